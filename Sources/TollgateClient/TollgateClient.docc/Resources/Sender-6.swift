import TollgateClient

struct Sender {
    let client = TollgateClient(.init(host: "127.0.0.1", port: 50051))

    /// False: the message was denied.
    func send(
        _ id: String, for tenant: String, _ deliver: () async throws -> Void
    ) async throws -> Bool {
        let check = CheckRequest(
            tenantID: tenant, action: .sendMessage, quantities: [Quantity(.spend, 4_000_000)],
            idempotencyKey: id)
        let budget = [Quantity(.spend, 1_000_000_000)]
        switch try await client.check(check, onFailure: .failOpen(upTo: budget)) {
        case .letThrough:
            try await deliver()
            return true
        case .answered(let answer):
            guard answer.decision == .allowed else {
                for error in answer.errors { print(error.title, error.detail) }
                return false
            }
            do {
                try await deliver()
            } catch {
                _ = try await client.release(ReleaseRequest(reservationID: answer.reservationID))
                throw error
            }
            _ = try await client.commit(CommitRequest(reservationID: answer.reservationID))
            return true
        }
    }

    /// To be called every few seconds.
    func settle() async throws {
        for action in client.unsettled { try await client.settle(action) }
    }
}
