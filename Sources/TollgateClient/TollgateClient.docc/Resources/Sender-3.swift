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
        let answer = try await client.check(check)
        guard answer.decision == .allowed else {
            for error in answer.errors { print(error.title, error.detail) }
            return false
        }
        try await deliver()
        return true
    }
}
