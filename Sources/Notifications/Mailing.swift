import Events

extension MailSender {
    /// Mails events for a deliverer.
    ///
    /// - Parameter brandName: whom the mails speak for.
    package func mailer(brandName: String) -> Deliverer.Mailer {
        { event, address in
            do throws(MailError) {
                let message = MailMessage(event, brandName: brandName)
                let status = try await self.send(message, to: address, id: event.id)
                return AttemptResult(status: status, error: nil)
            } catch {
                return AttemptResult(
                    status: error.status, error: error.description,
                    isFinal: !error.isWorthRetrying)
            }
        }
    }
}
