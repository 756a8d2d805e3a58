import Limits
import Testing

@testable import Journal

/// Each kind of a checkpoint's entry, written and read; and that the words are where they have always been.
@Suite struct CheckpointEntryTests {
    private static func read(
        _ words: [UInt64]
    ) -> Result<CheckpointEntry, RecordError> {
        words.withUnsafeBufferPointer { words in
            Result { () throws(RecordError) in try CheckpointEntry(words) }
        }
    }

    private static func text(_ bytes: BorrowedBytes) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    @Test func aTenant() throws {
        var state = TenantState()
        state.version = 12
        for counter in 0..<LimitKind.counterCount {
            state.committed[counter] = Int64(counter + 1)
            state.held[counter] = Int64(counter + 11)
            state.caps[counter] = Int64(counter) - 1
        }
        (state.cycleStart, state.cycleEnd) = (100_000, 200)
        (state.dayStart, state.dayEnd) = (110_000, 120)
        (state.endsHolds, state.percentEpoch) = (true, 6)
        var expected: [UInt64] = []
        state.encode(.standard) { expected.append($0) }
        var encoder = CheckpointEntry.Encoder()
        encoder.tenant(7, state, settings: Array("acme: settings".utf8), time: 42)
        #expect(Array(encoder.words[1..<4]) == [12, 42, 7])
        let end = 4 + expected.count
        #expect(Array(encoder.words[4..<end]) == expected)
        #expect(encoder.words[end] == 14 && encoder.words.count == end + 3)
        try encoder.words.withUnsafeBufferPointer { words in
            #expect(words.isCheckpointEntry && RecordWords.count(words[0]) == words.count)
            guard case .tenant(let tenant) = try CheckpointEntry(words) else {
                Issue.record("another kind")
                return
            }
            #expect(tenant.number == 7 && Self.text(tenant.settings) == "acme: settings")
            var again = CheckpointEntry.Encoder()
            again.tenant(7, tenant.state, settings: Array(tenant.settings), time: 42)
            #expect(again.words == encoder.words)
        }
        // The number of the first counter's limit.
        var unknown = encoder.words
        unknown[11] |= 0xff
        #expect(Self.fault(unknown) == .unknownLimit)
        // A window that begins within a second, or before 1970.
        for (word, start) in [(7, 1), (9, UInt64(bitPattern: -1_000))] {
            var impossible = encoder.words
            impossible[word] = start
            #expect(Self.fault(impossible) == .malformed)
        }
    }

    @Test func aProfile() throws {
        var state = ProfileState()
        (state.cap, state.committed, state.held, state.dayStart) = (9, 8, 7, 6)
        (state.enabled, state.raised, state.percentEpoch) = (true, 0b10, 3)
        var encoder = CheckpointEntry.Encoder()
        encoder.profile(21, of: 7, version: 12, state, settings: [1, 2], time: 42)
        #expect(encoder.words[1...] == [12, 42, 7, 21, 9, 8, 7, 6, state.flags, 2, 0x0201])
        try encoder.words.withUnsafeBufferPointer { words in
            guard case .profile(let profile) = try CheckpointEntry(words) else {
                Issue.record("another kind")
                return
            }
            #expect(profile.number == 21 && profile.tenant == 7 && profile.version == 12)
            #expect(profile.state.cap == 9 && profile.state.dayStart == 6)
            #expect(profile.state.raised == 0b10 && profile.state.percentEpoch == 3)
            #expect(Array(profile.settings) == [1, 2])
        }
    }

    @Test(arguments: [0, 32]) func aReservation(bodyWords: Int) throws {
        var encoder = CheckpointEntry.Encoder()
        let body = (0..<bodyWords).map { 100 + UInt64($0) }
        encoder.reservation(
            slot: 5, of: 7, state: 77, stated: { UInt64($0 + 1) }, forgetting: 99, limits: 98,
            body: body,
            time: 42)
        let expected: [UInt64] = [5, 42, 7, 77, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99, 98] + body
        #expect(Array(encoder.words.dropFirst()) == expected)
        try encoder.words.withUnsafeBufferPointer { words in
            guard case .reservation(let reservation) = try CheckpointEntry(words) else {
                Issue.record("another kind")
                return
            }
            #expect(reservation.slot == 5 && reservation.state == 77)
            #expect(Array(reservation.stated) == Array(1...10))
            #expect(reservation.forgetting == 99 && reservation.limits == 98)
            #expect(Array(reservation.body) == body)
        }
    }

    @Test func aKey() throws {
        var encoder = CheckpointEntry.Encoder()
        encoder.key(Array(11...21), owner: 8, time: 42)
        #expect(Array(encoder.words.dropFirst()) == [0, 42, 8] + Array(11...21))
        guard case .key(let key) = try Self.read(encoder.words).get() else {
            Issue.record("another kind")
            return
        }
        #expect(key.owner == 8 && key.high == 11 && key.low == 12 && key.content == 13)
        #expect(key.until == 14 && key.answer == 15 && key.reservationID == 16)
        #expect(key.expiresAt == 17 && (0..<4).map { key.granted[$0] } == [18, 19, 20, 21])
    }

    @Test func settingClockAndTable() throws {
        var encoder = CheckpointEntry.Encoder()
        encoder.setting(Array("name=value".utf8), version: 6, time: 42)
        try encoder.words.withUnsafeBufferPointer { words in
            guard case .setting(let version, let text) = try CheckpointEntry(words) else {
                Issue.record("another kind")
                return
            }
            #expect(version == 6 && Self.text(text) == "name=value")
        }
        encoder.clock(time: 42, life: 40)
        #expect(encoder.words[1...] == [0, 42, 0xffff_ffff, 40])
        if case .clock(let time, let life) = try Self.read(encoder.words).get() {
            #expect(time == 42 && life == 40)
        } else {
            Issue.record("another kind")
        }
        encoder.table(latestGeneration: 9, time: 42)
        #expect(encoder.words[1...] == [0, 42, 0, 9])
        if case .table(let generation) = try Self.read(encoder.words).get() {
            #expect(generation == 9)
        } else {
            Issue.record("another kind")
        }
    }

    /// Nothing that stands on a disk is taken for what it is not.
    @Test func whatIsTooShortOrNewerIsRefused() throws {
        var encoder = CheckpointEntry.Encoder()
        for kind in CheckpointEntry.Kind.allCases {
            encoder.begin(kind, version: 1, time: 0, tenant: 0)
            encoder.seal()
            #expect(Self.fault(encoder.words) == .malformed, "\(kind) without words of its own")
            var newer = encoder.words
            newer[0] |= 0xff << 56
            #expect(Self.fault(newer) == .newer(format: 0xff))
        }
        // A text that is longer than its entry.
        encoder.begin(.setting, version: 1, time: 0, tenant: 0)
        encoder.append(9)
        encoder.append(0)
        encoder.seal()
        #expect(Self.fault(encoder.words) == .malformed)
        encoder.begin(.setting, version: 1, time: 0, tenant: 0)
        encoder.append(.max)
        encoder.seal()
        #expect(Self.fault(encoder.words) == .malformed)
        // Kinds between are operations; behind the last one nothing is known.
        let unknown = 200 << 48 | RecordWords.format << 56
        #expect(Self.fault([unknown, 1, 0, 0, 0]) == .unknownKind(200))
        [UInt64(Record.Kind.reserved.rawValue) << 48].withUnsafeBufferPointer {
            #expect(!$0.isCheckpointEntry)
        }
    }

    private static func fault(_ words: [UInt64]) -> RecordError? {
        if case .failure(let error) = read(words) { return error }
        return nil
    }
}
