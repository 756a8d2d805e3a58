package import Limits

/// An entry of a checkpoint: how something stood when everything that the checkpoint covers had happened.
///
/// It has a record's frame (see `RecordEncoding`): first word, version, time, tenant, then words of its own. What it says
/// is here alone; texts and runs of words are borrowed from what was read.
package enum CheckpointEntry {
    /// Kinds of records below 128 are operations (`Record.Kind`). Raw values stand in checkpoints and never change.
    package enum Kind: UInt8, Sendable, CaseIterable {
        case table = 128
        case tenant = 129
        case profile = 130
        case reservation = 131
        case key = 132
        case setting = 133
        case clock = 134
    }

    /// Word 4: the latest generation of any reservation.
    case table(latestGeneration: UInt64)
    case tenant(Tenant)
    case profile(Profile)
    case reservation(Reservation)
    case key(Key)
    /// Word 1: how often a setting was changed; from 4 on: the setting as text.
    case setting(version: UInt64, text: BorrowedBytes)
    /// Word 2: engine time; 4: life time; Unix milliseconds.
    case clock(time: Int64, life: Int64)

    /// From word 4 on: the state (`TenantState.encode`); then the settings as text.
    package struct Tenant {
        package var number: UInt32
        /// Its schedule is a number of the process that wrote it.
        package var state: TenantState
        package var settings: BorrowedBytes
    }

    /// Word 1: the version of the profile's last change; 4: its number; 5 ..< 10: the state (`ProfileState.encode`);
    /// from 10 on: the settings as text.
    package struct Profile {
        package var tenant: UInt32
        package var number: UInt32
        package var version: UInt64
        package var state: ProfileState
        package var settings: BorrowedBytes
    }

    /// Word 1: the slot; 4: its state; 5 ..< 15: what it says (subjects, policy, times, amounts, windows); 15: when it is
    /// forgotten; 16: the limits that its segments are held in, 16 bits each; from 17 on: the words of its body, if it has
    /// one.
    package struct Reservation {
        package static var statedWords: Int { 10 }
        package var slot: UInt64
        package var state: UInt64
        package var stated: UnsafeBufferPointer<UInt64>
        package var forgetting: UInt64
        package var limits: UInt64
        package var body: UnsafeBufferPointer<UInt64>
    }

    /// Words 4 ..< 8: high, low, content, until; 8: answer; 9, 10: reservation and expiry; 11 ..< 15: granted.
    package struct Key {
        package static var words: Int { 11 }
        /// For whom it counts: the tenant's number + 1; 0: for nobody.
        package var owner: UInt32
        package var high: UInt64
        package var low: UInt64
        package var content: UInt64
        /// Life time, Unix milliseconds.
        package var until: Int64
        package var answer: UInt64
        package var reservationID: UInt64
        package var expiresAt: Int64
        package var granted: InlineArray<4, Int64>
    }
}

// MARK: Reading

extension CheckpointEntry {
    /// Words of a record's frame, in front of the entry's own.
    fileprivate static let head = 4
    fileprivate static let profileText = head + 1 + ProfileState.wordCount
    fileprivate static let body = head + 1 + Reservation.statedWords + 2

    /// Reads an entry whose checksum was found right.
    ///
    /// - Precondition: `words.isCheckpointEntry`
    package init(_ words: UnsafeBufferPointer<UInt64>) throws(RecordError) {
        guard let kind = Kind(rawValue: words.recordKind) else {
            throw .unknownKind(words.recordKind)
        }
        let format = UInt8(truncatingIfNeeded: words[0] &>> 56)
        guard format <= RecordWords.format else { throw .newer(format: format) }
        guard format >= RecordWords.format else { throw .older(format: format) }
        guard words.count > Self.head, let entry = try Self.read(kind, words) else {
            throw .malformed
        }
        self = entry
    }

    private static func read(
        _ kind: Kind, _ words: UnsafeBufferPointer<UInt64>
    ) throws(RecordError) -> CheckpointEntry? {
        switch kind {
        case .table: words.count == head + 1 ? .table(latestGeneration: words[4]) : nil
        case .tenant: try Tenant(words).map { .tenant($0) }
        case .profile: Profile(words).map { .profile($0) }
        case .reservation: try Reservation(words).map { .reservation($0) }
        case .key: Key(words).map { .key($0) }
        case .setting:
            text(words, at: head).map { .setting(version: words[1], text: $0) }
        case .clock:
            .clock(time: Int64(bitPattern: words[2]), life: Int64(bitPattern: words[4]))
        }
    }

    /// The text that stands in a run of words from a place on; nil: it does not fit.
    fileprivate static func text(
        _ words: UnsafeBufferPointer<UInt64>, at place: Int
    ) -> BorrowedBytes? {
        guard place < words.count, words[place] <= UInt64(Record.longestText) else { return nil }
        let count = Int(words[place])
        guard place + 1 + (count + 7) / 8 <= words.count else { return nil }
        let start = UnsafeRawPointer(words.baseAddress.map { $0 + place + 1 })
        return BorrowedBytes(start: start, count: count)
    }
}

extension CheckpointEntry.Tenant {
    fileprivate init?(_ words: UnsafeBufferPointer<UInt64>) throws(RecordError) {
        let head = CheckpointEntry.head
        let available = words.count - head
        guard words[head] != 0,
            let count = TenantState.wordCount(available, { words[head + $0] }),
            WindowStarts.mayBegin(at: Int64(bitPattern: words[head + 3])),
            WindowStarts.mayBegin(at: Int64(bitPattern: words[head + 5])),
            let text = CheckpointEntry.text(words, at: head + count)
        else { return nil }
        guard let state = TenantState(.standard, available, { words[head + $0] }) else {
            throw .unknownLimit
        }
        number = UInt32(truncatingIfNeeded: words[3])
        self.state = state
        settings = text
    }
}

extension CheckpointEntry.Profile {
    fileprivate init?(_ words: UnsafeBufferPointer<UInt64>) {
        guard let text = CheckpointEntry.text(words, at: CheckpointEntry.profileText),
            words[4] < UInt64(UInt32.max)
        else { return nil }
        tenant = UInt32(truncatingIfNeeded: words[3])
        number = UInt32(truncatingIfNeeded: words[4])
        version = words[1]
        state = ProfileState { words[CheckpointEntry.head + 1 + $0] }
        settings = text
    }
}

extension CheckpointEntry.Reservation {
    fileprivate init?(_ words: UnsafeBufferPointer<UInt64>) throws(RecordError) {
        guard words.count >= CheckpointEntry.body else { return nil }
        for shift in stride(from: UInt64(0), to: 64, by: 16) {
            let limits = LimitSet(
                rawValue: UInt16(truncatingIfNeeded: words[CheckpointEntry.body - 1] &>> shift))
            guard LimitRules.standard.counters(of: limits) != nil else { throw .unknownLimit }
        }
        slot = words[1]
        state = words[4]
        stated = UnsafeBufferPointer(rebasing: words[5..<CheckpointEntry.body - 2])
        forgetting = words[CheckpointEntry.body - 2]
        limits = words[CheckpointEntry.body - 1]
        body = UnsafeBufferPointer(rebasing: words[CheckpointEntry.body...])
    }
}

extension CheckpointEntry.Key {
    fileprivate init?(_ words: UnsafeBufferPointer<UInt64>) {
        guard words.count == CheckpointEntry.head + Self.words else { return nil }
        owner = UInt32(truncatingIfNeeded: words[3])
        high = words[4]
        low = words[5]
        content = words[6]
        until = Int64(bitPattern: words[7])
        answer = words[8]
        reservationID = words[9]
        expiresAt = Int64(bitPattern: words[10])
        granted = InlineArray { Int64(bitPattern: words[11 + $0]) }
    }
}

extension UnsafeBufferPointer<UInt64> {
    /// The kind that a record's first word tells.
    package var recordKind: UInt8 { count > 0 ? UInt8(truncatingIfNeeded: self[0] &>> 48) : 0 }

    /// Whether the words are a checkpoint's entry, and not an operation.
    package var isCheckpointEntry: Bool { recordKind >= CheckpointEntry.Kind.table.rawValue }
}

// MARK: Writing

extension CheckpointEntry {
    /// Builds entries, one after the other, in memory that it keeps.
    package struct Encoder {
        /// The latest entry.
        package private(set) var words: [UInt64] = []

        package init() { words.reserveCapacity(RecordWords.most) }

        package mutating func table(latestGeneration: UInt64, time: Int64) {
            begin(.table, version: 0, time: time, tenant: 0)
            append(latestGeneration)
            seal()
        }

        package mutating func tenant(
            _ number: UInt32, _ state: TenantState, settings: [UInt8], time: Int64
        ) {
            begin(.tenant, version: state.version, time: time, tenant: number)
            state.encode(.standard) { append($0) }
            append(settings)
            seal()
        }

        package mutating func profile(
            _ number: UInt32, of tenant: UInt32, version: UInt64, _ state: ProfileState,
            settings: [UInt8], time: Int64
        ) {
            begin(.profile, version: version, time: time, tenant: tenant)
            append(UInt64(number))
            state.encode { append($0) }
            append(settings)
            seal()
        }

        /// - Parameter stated: the index of each of the `statedWords` → the word.
        package mutating func reservation(
            slot: UInt64, of tenant: UInt32, state: UInt64, stated: (Int) -> UInt64,
            forgetting: UInt64, limits: UInt64, body: [UInt64], time: Int64
        ) {
            begin(.reservation, version: slot, time: time, tenant: tenant)
            append(state)
            for index in 0..<Reservation.statedWords { append(stated(index)) }
            append(forgetting)
            append(limits)
            for word in body { append(word) }
            seal()
        }

        /// - Parameter entry: the key's words, in their order.
        package mutating func key(_ entry: [UInt64], owner: UInt32, time: Int64) {
            precondition(entry.count == Key.words, "a key's entry has its length")
            begin(.key, version: 0, time: time, tenant: owner)
            for word in entry { append(word) }
            seal()
        }

        package mutating func setting(_ text: [UInt8], version: UInt64, time: Int64) {
            begin(.setting, version: version, time: time, tenant: .max)
            append(text)
            seal()
        }

        package mutating func clock(time: Int64, life: Int64) {
            begin(.clock, version: 0, time: time, tenant: .max)
            append(UInt64(bitPattern: life))
            seal()
        }

        /// Starts an entry. Words 1 ... 3 are those of any record: version, time, tenant.
        package mutating func begin(
            _ kind: Kind, version: UInt64, time: Int64, tenant: UInt32
        ) {
            words.removeAll(keepingCapacity: true)
            words.append(UInt64(kind.rawValue) << 48 | RecordWords.format << 56)
            words.append(version)
            words.append(UInt64(bitPattern: time))
            words.append(UInt64(tenant))
        }

        package mutating func append(_ word: UInt64) { words.append(word) }

        package mutating func append(_ text: [UInt8]) {
            words.append(UInt64(text.count))
            var index = 0
            while index < text.count {
                var word: UInt64 = 0
                for byte in 0..<min(8, text.count - index) {
                    word |= UInt64(text[index + byte]) << UInt64(8 * byte)
                }
                words.append(word)
                index += 8
            }
        }

        /// Completes length and checksum.
        package mutating func seal() {
            precondition(words.count <= RecordWords.most, "an entry is longer than its bound")
            let upper = words[0] >> 32 | UInt64(words.count)
            var crc = CRC32C()
            crc.add(upper)
            for word in words[1...] { crc.add(word) }
            words[0] = upper << 32 | UInt64(crc.value)
        }
    }
}
