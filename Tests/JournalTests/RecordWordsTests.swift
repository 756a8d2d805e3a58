import Journal
import Limits
import Testing

/// The fields of a record's words are apart: each is written as large as it gets, and every other one reads back what it
/// was.
@Suite struct RecordWordsTests {
    /// A field by what changes it, and what reads it.
    private struct Field {
        let name: String
        let set: (inout Record) -> Void
        let read: (Record) -> String

        init(
            _ name: String, _ read: @escaping (Record) -> String,
            _ set: @escaping (inout Record) -> Void
        ) {
            self.name = name
            self.set = set
            self.read = read
        }

        /// One that is a number.
        init<Value: Equatable>(
            _ path: WritableKeyPath<Record, Value>, _ value: Value, _ name: String
        ) {
            self.init(name, { "\($0[keyPath: path])" }, { $0[keyPath: path] = value })
        }
    }

    private static let amounts: Amounts = {
        var amounts = Amounts()
        for index in Resource.indices { amounts.set(index, .max - Int64(index)) }
        return amounts
    }()

    private static let deltas: CounterDeltas = {
        var deltas = CounterDeltas()
        for counter in 0..<LimitKind.counterCount { deltas.set(counter, .min + Int64(counter)) }
        return deltas
    }()

    private static var fields: [Field] {
        [
            Field("kind", { "\($0.kind)" }, { $0.kind = .refusals }),
            Field(\.version, .max, "version"),
            Field(\.time, 1 << 50, "time"),
            Field(\.tenant, .max, "tenant"),
            Field(\.profile, .max, "profile"),
            Field(\.lead, .min, "lead"),
            Field(
                "committed", { "\($0.transition.committed)" }, { $0.transition.committed = deltas }),
            Field("held", { "\($0.transition.held)" }, { $0.transition.held = deltas }),
            Field(\.transition.profileCommitted, .min, "profile's committed"),
            Field(\.transition.profileHeld, .min, "profile's held"),
            Field(\.transition.events, EventSet(rawValue: .max), "events"),
            Field(\.transition.rearms, EventSet(rawValue: .max), "rearms"),
            Field(\.transition.touchesProfile, true, "touches the profile"),
            Field("cycle", { "\($0.openedCycleStart) \($0.openedCycleEnd)" }) {
                ($0.openedCycleStart, $0.openedCycleEnd) = (4_294_967_295_000, .max)
            },
            Field("tenant's day", { "\($0.openedTenantDayStart) \($0.openedTenantDayEnd)" }) {
                ($0.openedTenantDayStart, $0.openedTenantDayEnd) = (4_294_967_294_000, .max)
            },
            Field(\.openedDay, .max, "day"),
            Field(\.reservationID, .max, "reservation"),
            Field(\.expiresAt, .max, "expiry"),
            Field(\.action, .charge, "action"),
            Field(\.mode, .partial, "mode"),
            Field(\.onExpiry, .commit, "on expiry"),
            Field(\.overage, .reject, "overage"),
            Field(\.asked, amounts, "asked"),
            Field(\.charged, amounts, "charged"),
            Field(\.decision, .denied, "decision"),
            Field(\.treatment, .billingSuspended, "treatment"),
            Field(\.tenantStatus, .closed, "status"),
            Field(\.refusedBySuspension, true, "refused by suspension"),
            Field(\.refused, .all, "refused"),
            Field(\.warnings, .all, "warnings"),
            Field("closed", { "\($0.closed.count) \($0.closed.charges[3])" }) {
                let charge = ClosedCharges.Charge(
                    cycleStart: .max, dayStart: .max, amounts: amounts, profileSpend: .min)
                $0.closed.count = 4
                $0.closed.charges = InlineArray(repeating: charge)
            },
            Field("key", { "\($0.keyHigh) \($0.keyLow) \($0.contentHash) \($0.keyUntil)" }) {
                ($0.keyHigh, $0.keyLow, $0.contentHash, $0.keyUntil) = (
                    .max, .max - 1, .max - 2, .max
                )
            },
            Field(\.caller, .max, "caller"),
            Field(\.trace, TraceID(high: 0, low: .max), "trace"),
            Field(\.takenAt, 1, "taken at"),
            Field(\.count, Record.Count(all: .max, quiet: .max, first: .max, last: .min), "count"),
            Field("text", { $0.text.map { "\($0)" }.joined(separator: " ") }) {
                $0.text = BorrowedBytes(start: text.baseAddress, count: text.count)
            },
        ]
    }

    // SAFETY: written once, never freed.
    private nonisolated(unsafe) static let text: UnsafeBufferPointer<UInt8> = {
        let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 27)
        bytes.initialize(repeating: 0xff)
        return UnsafeBufferPointer(bytes)
    }()

    private static func values(_ record: Record) -> [String: String] {
        var values: [String: String] = [:]
        for field in fields { values[field.name] = field.read(record) }
        return values
    }

    /// What a record says that was written and read.
    private static func again(_ record: Record) throws -> [String: String] {
        let ring = RecordRing(capacity: 1_024)
        defer { ring.deallocate() }
        let end = ring.write(record)
        let words = (0..<end).map { ring[$0] }
        return try words.withUnsafeBufferPointer { words in
            var read = Record(.reserved)
            try read.read(words)
            return values(read)
        }
    }

    @Test func eachByItself() throws {
        let empty = Self.values(Record(.denied))
        for field in Self.fields {
            var record = Record(.denied)
            field.set(&record)
            var expected = empty
            expected[field.name] = field.read(record)
            #expect(expected != empty, "\(field.name) is not set")
            #expect(try Self.again(record) == expected, "\(field.name)")
        }
    }

    /// Releases that know no traces refuse a record with one by its format, and read all others.
    @Test func aTraceIsAFormatOfItsOwn() throws {
        func words(_ record: borrowing Record) -> [UInt64] {
            let ring = RecordRing(capacity: 1_024)
            defer { ring.deallocate() }
            return (0..<ring.write(record)).map { ring[$0] }
        }
        var record = Record(.tenantChanged)
        record.caller = 7
        let plain = words(record)
        record.trace = TraceID(high: 1, low: 2)
        var traced = words(record)
        #expect(plain[0] >> 56 == 3 && traced[0] >> 56 == 4)
        #expect(traced.count == plain.count + 2 && traced.suffix(2) == [1, 2])
        traced[0] = traced[0] & ~(0xff << 56) | 3 << 56
        #expect(throws: RecordError.malformed) {
            try traced.withUnsafeBufferPointer { words in
                var read = Record(.reserved)
                try read.read(words)
            }
        }
    }

    @Test func allAtOnce() throws {
        var record = Record(.denied)
        for field in Self.fields { field.set(&record) }
        #expect(try Self.again(record) == Self.values(record))
    }
}
