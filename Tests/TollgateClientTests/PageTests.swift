// What docs/clients/swift.md prints, from the line behind this one to the mark.
import TollgateClient

struct Gate {
    let client: TollgateClient

    /// Holds the room, sends, and charges what it came to; false: it must not be sent.
    func send(
        _ id: String, for tenant: String, _ deliver: () async throws -> Void
    ) async throws -> Bool {
        let cost = Quantity(.spend, 4_000_000)  // nano-USD: 0.004 USD
        let check = CheckRequest(
            tenantID: tenant, action: .sendMessage, quantities: [cost], idempotencyKey: id)
        let budget = [Quantity(.spend, 1_000_000_000)]  // 1 USD a minute
        switch try await client.check(check, onFailure: .failOpen(upTo: budget)) {
        case .answered(let answer) where answer.decision == .allowed:
            do {
                try await deliver()
            } catch {
                _ = try await client.release(ReleaseRequest(reservationID: answer.reservationID))
                throw error
            }
            _ = try await client.commit(CommitRequest(reservationID: answer.reservationID))
            return true
        case .answered:
            return false  // denied: answer.errors say why
        case .letThrough:
            try await deliver()
            return true  // no reservation: `settle` counts it
        }
    }

    /// Every few seconds: what was let through, now that the service is back.
    func settle() async throws {
        for action in client.unsettled { try await client.settle(action) }
    }
}

func makeGate(token: String) throws -> Gate {
    Gate(
        client: TollgateClient(
            .init(
                endpoints: [
                    Endpoint(host: "tollgate-1.internal", port: 50051),
                    Endpoint(host: "tollgate-2.internal", port: 50051),
                ],
                tls: try .init(
                    caFile: "ca.pem", certificateFile: "client.pem", keyFile: "client-key.pem"),
                token: token, connections: 2)))
}
// Here it ends.

import Foundation
import Testing

@Suite("docs/clients/swift.md")
struct PageTests {
    @Test func printsWhatIsCompiledHere() throws {
        let source = try String(contentsOf: URL(fileURLWithPath: #filePath), encoding: .utf8)
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appendingPathComponent("docs/clients/swift.md"), encoding: .utf8)
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        let end = try #require(lines.firstIndex(of: "// Here it ends."))
        #expect(page.contains(lines[1..<end].joined(separator: "\n")))
    }
}
