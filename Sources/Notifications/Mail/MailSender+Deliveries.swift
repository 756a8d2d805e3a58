import Events

extension MailSender {
    /// What a `Deliverer` mails with.
    package var mailer: Deliverer.Mailer {
        { event, address, began in
            let message = MailMessage(event, brandName: self.settings.brandName)
            do throws(MailError) {
                let status = try await self.send(
                    message, to: address, id: event.id, began: began)
                return AttemptResult(status: status, error: nil)
            } catch {
                return AttemptResult(
                    status: error.status, error: error.description,
                    isFinal: !error.isWorthRetrying)
            }
        }
    }
}
