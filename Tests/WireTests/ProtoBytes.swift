import Limits
import Wire

// Protobuf bytes written by hand: the tests must not trust the code under test to make its input.

enum ProtoBytes {
    static func varint(_ value: UInt64) -> [UInt8] {
        var value = value
        var bytes: [UInt8] = []
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7F) | 0x80)
            value >>= 7
        }
        return bytes + [UInt8(value)]
    }

    static func number(_ field: Int, _ value: Int64) -> [UInt8] {
        varint(UInt64(field) << 3) + varint(UInt64(bitPattern: value))
    }

    static func fixed64(_ field: Int, _ value: UInt64) -> [UInt8] {
        varint(UInt64(field) << 3 | 1)
            + (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    static func bytes(_ field: Int, _ value: [UInt8]) -> [UInt8] {
        varint(UInt64(field) << 3 | 2) + varint(UInt64(value.count)) + value
    }

    static func text(_ field: Int, _ value: String) -> [UInt8] { bytes(field, Array(value.utf8)) }

    static func quantity(_ resource: Int64, _ amount: Int64, minimum: Int64 = 0) -> [UInt8] {
        (resource == 0 ? [] : number(1, resource)) + (amount == 0 ? [] : number(2, amount))
            + (minimum == 0 ? [] : number(3, minimum))
    }

    /// Joins fields by number; empty fields are absent.
    static func message(_ fields: [Int: [UInt8]]) -> [UInt8] {
        fields.sorted { $0.key < $1.key }.flatMap(\.value)
    }
}

extension Failure {
    /// The pointer with its position in place.
    var location: String {
        var text = ""
        for character in pointer.description {
            text += character == "*" ? String(position) : String(character)
        }
        return text
    }
}

extension Result {
    var failure: Failure? {
        guard case .failure(let failure) = self else { return nil }
        return failure
    }
}

/// Deterministic pseudo-random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// A request message by its name in the contract, and the decoder's method for it.
enum RequestKind: String, CaseIterable {
    case check = "CheckAndReserveRequest"
    case batch = "CheckAndReserveBatchRequest"
    case commit = "CommitRequest"
    case release = "ReleaseRequest"
    case extend = "ExtendRequest"
    case record = "RecordUsageRequest"
    case usage = "GetUsageRequest"
    case watch = "WatchUsageRequest"

    /// A message within all ranges, by field number.
    var valid: [Int: [UInt8]] {
        let spend = ProtoBytes.bytes(4, ProtoBytes.quantity(1, 4_000_000))
        switch self {
        case .check:
            return [1: ProtoBytes.text(1, "acme"), 3: ProtoBytes.number(3, 1), 4: spend]
        case .batch:
            return [1: ProtoBytes.bytes(1, ProtoBytes.message(RequestKind.check.valid))]
        case .commit, .release, .extend: return [1: ProtoBytes.fixed64(1, 7)]
        case .record: return [1: ProtoBytes.text(1, "acme"), 4: spend]
        case .usage, .watch: return [1: ProtoBytes.text(1, "acme")]
        }
    }

    /// The valid message with one field replaced; an empty replacement leaves it out.
    func replacing(_ field: Int, _ bytes: [UInt8]) -> [UInt8] {
        var fields = valid
        fields[field] = bytes
        return ProtoBytes.message(fields)
    }

    /// What is wrong with the message; nil: nothing. Entries of a batch are not looked at.
    func failure(_ message: [UInt8], _ decoder: RequestDecoder) -> Failure? {
        message.withUnsafeBytes { bytes in
            switch self {
            case .check: decoder.check(bytes).failure
            case .batch: decoder.batch(bytes).failure
            case .commit: decoder.commit(bytes).failure
            case .release: decoder.release(bytes).failure
            case .extend: decoder.extend(bytes).failure
            case .record: decoder.record(bytes).failure
            case .usage: decoder.usage(bytes).failure
            case .watch: decoder.watch(bytes).failure
            }
        }
    }
}
