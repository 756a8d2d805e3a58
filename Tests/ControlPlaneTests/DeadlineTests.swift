import Engine
import HTTPTypes
import JSON
import Limits
import Synchronization
import Testing

@testable import ControlPlane

/// A request that has come whole is answered in time, whatever the disk does.
@Suite struct DeadlineTests {
    /// What was handed to the data plane, held back until it is let go. Any thread.
    private final class Held: Sendable {
        private let works = Mutex<[@Sendable () -> Void]?>([])

        func add(_ work: @escaping @Sendable () -> Void) {
            let isHeld = works.withLock { works in
                works?.append(work)
                return works != nil
            }
            if !isHeld { work() }
        }

        func letGo() {
            let all = works.withLock { works in
                defer { works = nil }
                return works ?? []
            }
            for work in all { work() }
        }
    }

    @Test(.timeLimit(.minutes(1))) func whoWaitsForTheDiskIsToldSo() async throws {
        var settings = RESTSettings()
        settings.requestTimeLimit = .milliseconds(20)
        settings.maximumRequests = 1
        let held = Held()
        let rest = try RESTHarness(settings: settings, through: { held.add($0) })
        var acme = TenantSettings(id: "acme")
        acme.limits.monthlySpendNanos = 5_000_000_000
        try rest.engine.setTenant(acme)
        let usage = #"{"tenant_id":"acme","action":"charge","quantities":{"spend":"1"}}"#
        let late = try await rest(.post, "/v2/usage_records", usage)
        #expect(late.status == 503 && late.errors == ["10037"])
        #expect(late[header: "retry-after"] == "1")
        #expect(late.body.contains("it may still take effect"))
        // What is still worked on keeps its place.
        let next = try await rest(.post, "/v2/usage_records", usage)
        #expect(next.status == 503 && next.body.contains("Too many requests"))
        held.letGo()
        // It takes effect, and makes room.
        var answer = next
        while answer.status == 503 { answer = try await rest(.get, "/v2/tenants/acme/usage") }
        #expect(answer.body.contains(#""committed":"1.00""#), "\(answer.body)")
    }
}
