import Limits
import Testing
import Wire

@Suite("Failures and denials become google.rpc.Status")
struct StatusTests {
    private let encoder = ResponseEncoder()
    private var subjects: Subjects {
        Subjects(tenantID: borrowed("acme"), profileID: borrowed("p1"))
    }

    @Test("byte for byte what protoc makes of Google's definitions")
    func golden() {
        let unavailable = encoded {
            encoder.status(Failure(.unavailable), retryAfterMilliseconds: 1_500, into: $0)
        }
        #expect(unavailable == GoldenBytes.unavailable)
        let bad = Failure(
            .badField, pointer: "/quantities/*/amount", detail: "The amount must not be negative",
            position: 1)
        #expect(encoded { encoder.status(bad, into: $0) } == GoldenBytes.badRequest)
        var refused = LimitSet(.profileDailySpend)
        refused.insert(.tenantMonthlySpend)
        let denial = Denial(bySuspension: false, refused: refused)
        #expect(
            encoded { encoder.status(denial, subjects, into: $0) } == GoldenBytes.quotaFailure)
    }

    @Test("every code of the catalogue", arguments: ErrorCode.allCases)
    func everyCode(code: ErrorCode) throws {
        let details = try StatusDetails(encoded { encoder.status(Failure(code), into: $0) })
        #expect(details.code == Int32(code.row.status.rawValue))
        #expect(details.message == code.row.detail.description)
        #expect(details.reason == code.row.reason.description)
        #expect(details.domain == "tollgate")
        #expect(details.metadata == ["code": String(code.rawValue)])
        #expect(details.fieldViolations.isEmpty)
        #expect(details.quotaViolations.isEmpty)
        let helps = code == .unavailable || code == .tooManyRequests
        #expect(details.retryDelayMilliseconds == (helps ? 1_000 : nil))
    }

    @Test("all findings of the decoder are field violations")
    func violations() throws {
        let decoder = RequestDecoder()
        let failure = try #require(
            RequestKind.check.failure(ProtoBytes.quantity(0, 0), decoder))
        let details = try StatusDetails(
            encoded { encoder.status(failure, violations: decoder.violations, into: $0) })
        #expect(details.code == 3)
        #expect(details.metadata == ["code": "10004"])
        #expect(
            details.fieldViolations.map(\.field) == ["/tenant_id", "/action", "/quantities"])
        #expect(details.fieldViolations.allSatisfy { !$0.description.isEmpty })
        #expect(details.message == "/tenant_id: The tenant_id is required")
        let message = encoded { encoder.statusMessage(failure, into: $0) }
        #expect(String(decoding: message, as: UTF8.self) == details.message)
    }

    @Test("positions of one to five digits", arguments: [0, 9, 10, 999, 32_767] as [Int16])
    func positions(position: Int16) {
        let failure = Failure(.badField, pointer: "/a/*/b", detail: "x", position: position)
        let message = encoded { encoder.statusMessage(failure, into: $0) }
        #expect(String(decoding: message, as: UTF8.self) == "/a/\(position)/b: x")
    }

    @Test("denials as failures, seen by the tenant: the profile's limit, else the generic 20012")
    func hiddenDenials() throws {
        let spend = Denial(bySuspension: false, refused: LimitSet(.tenantMonthlySpend))
        #expect(spend.code(.full) == .tenantSpendLimit)
        #expect(spend.code(.full).row.status == .resourceExhausted)
        #expect(spend.code(.profilesOnly) == .suspended)
        #expect(spend.code(.profilesOnly).row.status == .failedPrecondition)
        let details = try StatusDetails(
            encoded { encoder.status(spend, subjects, disclosure: .profilesOnly, into: $0) })
        #expect(details.code == 9)
        #expect(details.metadata == ["code": "20012"])
        #expect(details.quotaViolations.map(\.subject) == ["tenant:acme"])
        #expect(details.quotaViolations.allSatisfy { !$0.description.contains("spend") })
        var both = spend
        both.refused.insert(.profileDailySpend)
        #expect(both.code(.profilesOnly) == .profileSpendLimit)
        let suspension = Denial(bySuspension: true, refused: [])
        #expect(suspension.code(.full) == .suspended)
    }

    @Test("an allowed answer is no denial")
    func allowed() {
        var check = CheckAnswer()
        #expect(Denial(check) != nil)
        check.decision = .allowed
        #expect(Denial(check) == nil)
        var extend = ExtendAnswer()
        extend.decision = .allowed
        #expect(Denial(extend) == nil)
    }

    @Test("damaged details are left out, a damaged status is an error")
    func damaged() throws {
        #expect(throws: WireDecodingError.self) { try StatusDetails([0x0A]) }
        let anyOfGarbage =
            ProtoBytes.text(1, "type.googleapis.com/google.rpc.ErrorInfo")
            + ProtoBytes.bytes(2, [0x0A, 0x7F])
        let details = try StatusDetails(
            ProtoBytes.number(1, 5) + ProtoBytes.bytes(3, anyOfGarbage))
        #expect(details.code == 5)
        #expect(details.reason.isEmpty)
    }
}
