import Limits
import Testing
import Wire

@Suite("Answers become responses")
struct ResponseEncoderTests {
    private let encoder = ResponseEncoder()

    /// Encodes and gives the bytes; also shows that a buffer one byte short stays untouched.
    private func bytes(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        encoded(encode)
    }

    private var subjects: Subjects { Subjects(tenantID: Self.tenant, profileID: Self.profile) }

    // Texts that live as long as the program, to be borrowed.
    static var tenant: BorrowedBytes { borrowed("acme") }
    static var profile: BorrowedBytes { borrowed("p1") }

    private var state: LimitState {
        var state = LimitState()
        state.cap = 0
        state.committed = 10
        state.held = 2
        state.windowStart = 1_795_219_200_000
        state.resetsAt = 1_795_305_600_000
        state.blocking = true
        return state
    }

    private var denied: CheckAnswer {
        var answer = CheckAnswer()
        answer.refused = LimitSet(.profileDailySpend)
        answer.treatment = .reject
        answer.limits[.profileDailySpend] = state
        answer.limits.asOf = 1_795_219_201_000
        return answer
    }

    @Test("a denial is byte for byte what protoc makes of it")
    func golden() {
        let response = bytes { encoder.check(denied, subjects, into: $0) }
        #expect(response == GoldenBytes.deniedResponse)
    }

    @Test("an allowed answer")
    func allowed() throws {
        var answer = CheckAnswer()
        answer.decision = .allowed
        answer.reservationID = 4_611_686_018_427_387_905
        answer.expiresAt = 1_795_000_000_000
        answer.granted.set(Resource.spend.index, 5)
        answer.granted.set(Resource.dids.index, 0)
        answer.replayed = true
        answer.tenantStatus = .suspended
        let response = try CheckResponse(bytes { encoder.check(answer, subjects, into: $0) })
        #expect(response.decision == .allowed)
        #expect(response.reservationID == 4_611_686_018_427_387_905)
        #expect(response.expiresAtMilliseconds == 1_795_000_000_000)
        #expect(response.granted == [Quantity(.spend, 5), Quantity(.dids, 0)])
        #expect(response.isReplayed)
        #expect(response.tenantStatus == .suspended)
        #expect(response.errors.isEmpty && response.warnings.isEmpty && response.limits.isEmpty)
        #expect(response.treatment == .none)
        #expect(response.statusCode == 0)
    }

    @Test("every limit that refused is named, warned ones apart, states on demand")
    func severalLimits() throws {
        var answer = denied
        answer.refused.insert(.tenantExtensions)
        answer.limits[.tenantExtensions] = LimitState()
        answer.warnings = LimitSet(.tenantMonthlySpend)
        answer.limits[.tenantMonthlySpend] = state
        var response = try CheckResponse(bytes { encoder.check(answer, subjects, into: $0) })
        #expect(response.decision == .denied)
        #expect(response.errors.map(\.code) == ["40333", "49002"])
        #expect(response.errors.map(\.limit) == [.profileDailySpend, .tenantExtensions])
        #expect(response.errors.map { $0.state?.subjectID } == ["p1", "acme"])
        #expect(response.errors.map { $0.state?.cap } == [0, nil])
        #expect(response.errors[0].resetsAtMilliseconds == 1_795_305_600_000)
        #expect(response.errors[0].title == "Messaging profile spend limit reached")
        #expect(response.errors[0].url.hasSuffix("/40333"))
        #expect(response.warnings.map(\.code) == ["49001"])
        #expect(response.limits.isEmpty)
        answer.includeLimits = true
        response = try CheckResponse(bytes { encoder.check(answer, subjects, into: $0) })
        #expect(
            response.limits.map(\.limit)
                == [.profileDailySpend, .tenantMonthlySpend, .tenantExtensions])
        #expect(response.limits.allSatisfy { !$0.capIsHidden })
        #expect(response.limits[1].isBlocking)
        #expect(response.limits[1].asOfMilliseconds == 1_795_219_201_000)
    }

    @Test("a suspension is one generic 20012")
    func suspended() throws {
        var answer = CheckAnswer()
        answer.refusedBySuspension = true
        answer.treatment = .blockCall
        answer.tenantStatus = .suspended
        let response = try CheckResponse(bytes { encoder.check(answer, subjects, into: $0) })
        #expect(response.errors.map(\.code) == ["20012"])
        #expect(response.errors[0].limit == nil)
        #expect(response.treatment == .blockCall)
    }

    @Test("white label: the tenant's limits read as the generic 20012, the profile's stay")
    func hidden() throws {
        var answer = denied
        answer.refused.insert(.tenantMonthlySpend)
        answer.refused.insert(.tenantMonthlyMinutes)
        answer.warnings = LimitSet(.tenantDIDs)
        for kind in [LimitKind.tenantMonthlySpend, .tenantMonthlyMinutes, .tenantDIDs] {
            answer.limits[kind] = state
        }
        answer.includeLimits = true
        let response = try CheckResponse(
            bytes { encoder.check(answer, subjects, disclosure: .profilesOnly, into: $0) })
        #expect(response.errors.map(\.code) == ["40333", "20012"])
        #expect(response.errors[1].limit == nil)
        #expect(response.errors[1].state == nil)
        #expect(response.errors[1].resetsAtMilliseconds == 0)
        #expect(response.warnings.isEmpty)
        let spend = try #require(response.limits.first { $0.limit == .tenantMonthlySpend })
        #expect(spend.capIsHidden)
        #expect(spend.cap == nil)
        #expect(spend.committed == 10)
        #expect(spend.windowStartMilliseconds == 0)
        #expect(spend.resetsAtMilliseconds == 0)
        #expect(spend.isBlocking == false)
        let daily = try #require(response.limits.first { $0.limit == .profileDailySpend })
        #expect(daily.capIsHidden == false)
        #expect(daily.cap == 0)
        #expect(daily.isBlocking)
    }

    @Test("the other methods")
    func others() throws {
        var commit = CommitAnswer()
        commit.committed = Amounts(.callSeconds, 61)
        commit.uncharged = Amounts(.callSeconds, 9)
        commit.late = true
        commit.warnings = LimitSet(.tenantMonthlyMinutes)
        commit.limits[.tenantMonthlyMinutes] = state
        let committed = try CommitResponse(bytes { encoder.commit(commit, subjects, into: $0) })
        #expect(committed.committed == [Quantity(.callSeconds, 61)])
        #expect(committed.uncharged == [Quantity(.callSeconds, 9)])
        #expect(committed.isLate && !committed.isReplayed)
        #expect(committed.warnings.map(\.code) == ["49004"])
        #expect(committed.tenantStatus == .active)

        var release = ReleaseAnswer()
        release.expired = true
        let released = try ReleaseResponse(bytes { encoder.release(release, into: $0) })
        #expect(released.isExpired && !released.isReplayed)

        var extend = ExtendAnswer()
        extend.refused = LimitSet(.tenantMonthlyMinutes)
        extend.expiresAt = 5
        extend.treatment = .reject
        let extended = try ExtendResponse(bytes { encoder.extend(extend, subjects, into: $0) })
        #expect(extended.decision == .denied)
        #expect(extended.errors.map(\.code) == ["49004"])
        #expect(extended.errors[0].state == nil)
        #expect(extended.expiresAtMilliseconds == 5)

        var record = RecordAnswer()
        record.replayed = true
        record.tenantStatus = .suspended
        let recorded = try RecordUsageResponse(
            bytes { encoder.record(record, subjects, into: $0) })
        #expect(recorded.isReplayed)
        #expect(recorded.tenantStatus == .suspended)

        var usage = UsageAnswer()
        usage.limits[.tenantDIDs] = state
        let read = try UsageResponse(bytes { encoder.usage(usage, subjects, into: $0) })
        #expect(read.limits.map(\.limit) == [.tenantDIDs])
        let update = try UsageUpdate(bytes { encoder.watch(usage, subjects, into: $0) })
        #expect(update.tenantID == "acme")
        #expect(update.limits == read.limits)
        let end = try UsageUpdate(bytes { encoder.watchSnapshotComplete(into: $0) })
        #expect(end.isSnapshotComplete)
        #expect(end.tenantID.isEmpty)
    }

    @Test("batch results, one after the other, are the batch's response")
    func batch() throws {
        let decoder = RequestDecoder()
        let failure = try #require(
            RequestKind.check.failure(RequestKind.check.replacing(6, [0x30, 0x01]), decoder))
        let message =
            bytes { encoder.batchResult(denied, subjects, into: $0) }
            + bytes {
                encoder.failedBatchResult(failure, violations: decoder.violations, into: $0)
            }
            + bytes { encoder.failedBatchResult(Failure(.notFound), into: $0) }
        let results = try CheckBatchResponse(message).results
        #expect(results.count == 3)
        #expect(results[0].response?.errors.map(\.code) == ["40333"])
        #expect(results[0].statusCode == 0)
        #expect(results[1].response == nil)
        #expect(results[1].statusCode == 3)
        #expect(results[1].errors.map(\.pointer) == ["/ttl_ms"])
        #expect(results[2].statusCode == 5)
        #expect(results[2].errors.map(\.code) == ["10005"])
        #expect(results[2].errors.map(\.pointer) == [""])
    }

    @Test("a stream's bad entry answers with its status code and errors")
    func failedStreamEntry() throws {
        let failure = Failure(.badField, pointer: "/quantities/*/amount", position: 3)
        let response = try CheckResponse(bytes { encoder.failedCheck(failure, into: $0) })
        #expect(response.decision == nil)
        #expect(response.statusCode == 3)
        #expect(response.errors.map(\.pointer) == ["/quantities/3/amount"])
        #expect(response.errors.map(\.detail) == ["A request field is invalid"])
    }

    @Test("the largest answer fits the stated bound")
    func bound() {
        let id = String(repeating: "i", count: 64)
        var answer = CheckAnswer()
        var full = LimitState()
        (full.cap, full.committed, full.held) = (-1, -1, -1)
        (full.windowStart, full.resetsAt, full.blocking) = (-1, -1, true)
        answer.includeLimits = true
        answer.limits.asOf = -1
        for kind in LimitKind.allCases {
            answer.refused.insert(kind)
            answer.warnings.insert(kind)
            answer.limits[kind] = full
        }
        for index in 0..<4 { answer.granted.set(index, -1) }
        (answer.reservationID, answer.expiresAt) = (.max, -1)
        Array(id.utf8).withUnsafeBytes { id in
            let subjects = Subjects(tenantID: id, profileID: id)
            let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            let size = encoder.batchResult(answer, subjects, into: nothing)
            #expect(size > 3_500)
            #expect(size <= ResponseEncoder.sufficientBytes)
        }
        var violations = [7: ProtoBytes.number(7, 99), 8: ProtoBytes.number(8, 99)]
        violations[4] = (0..<4).flatMap { _ in
            ProtoBytes.bytes(4, ProtoBytes.quantity(1, -1, minimum: -1))
        }
        let decoder = RequestDecoder()
        let failure = RequestKind.check.failure(ProtoBytes.message(violations), decoder)
        #expect(decoder.violations.count == 8)
        let size = encoder.failedBatchResult(
            failure ?? Failure(.unexpected), violations: decoder.violations,
            into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        #expect(size <= ResponseEncoder.sufficientBytes)
    }
}

/// Bytes of a literal: they live as long as the program.
func borrowed(_ text: StaticString) -> BorrowedBytes {
    BorrowedBytes(start: text.utf8Start, count: text.utf8CodeUnitCount)
}

/// Encodes with room to spare, with exactly enough room, and with too little: the first two agree,
/// the last writes nothing.
func encoded(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
    func attempt(_ count: Int) -> (needed: Int, buffer: [UInt8]) {
        var buffer = [UInt8](repeating: 0xEE, count: count)
        return (buffer.withUnsafeMutableBytes { encode($0) }, buffer)
    }
    let spacious = attempt(ResponseEncoder.sufficientBytes)
    let needed = spacious.needed
    let exact = attempt(needed)
    #expect(exact.needed == needed)
    #expect(exact.buffer == Array(spacious.buffer[..<needed]))
    #expect(spacious.buffer[needed...].allSatisfy { $0 == 0xEE })
    if needed > 0 {
        let short = attempt(needed - 1)
        #expect(short.needed == needed)
        #expect(short.buffer.allSatisfy { $0 == 0xEE })
    }
    return exact.buffer
}

extension ResponseMessage {
    init(_ bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { try Self(decoding: $0) }
    }
}
