import Limits
import Testing
import Wire

@Suite("Hostile bytes fail cleanly and cost a bounded amount of memory")
struct HostileBytesTests {
    private let decoder = RequestDecoder()
    private static let arenaBytes = 256 * 1024
    private static let batchArenaBytes = 4 * 1024 * 1024

    private var fullCheck: [UInt8] {
        var fields = RequestKind.check.valid
        fields[2] = ProtoBytes.text(2, "be3eb60a-a346-470a-886c-ab4e421711bd")
        fields[5] = ProtoBytes.text(5, "key")
        fields[6] = ProtoBytes.number(6, 5_000)
        fields[11] = ProtoBytes.text(11, "reference")
        return ProtoBytes.message(fields)
    }

    private func expectMalformed(
        _ message: [UInt8], as kind: RequestKind = .check, limit: Int = arenaBytes,
        _ location: SourceLocation = #_sourceLocation
    ) {
        let failure = kind.failure(message, decoder)
        #expect(failure?.code == .malformed, sourceLocation: location)
        #expect(failure?.location == "", sourceLocation: location)
        #expect(decoder.violations.isEmpty, sourceLocation: location)
        #expect(decoder.usedBytes <= limit, sourceLocation: location)
    }

    @Test("a message cut at any byte is malformed or a shorter message, never a crash")
    func truncation() {
        let message = fullCheck
        for length in 0..<message.count {
            let failure = RequestKind.check.failure(Array(message[..<length]), decoder)
            if let failure {
                #expect([.malformed, .missingField].contains(failure.code), "\(length)")
            }
        }
        #expect(RequestKind.check.failure(message, decoder) == nil)
    }

    @Test("wrong wire types, groups, lengths beyond the end, over-long varints")
    func malformed() {
        expectMalformed([0x08, 0x01])  // tenant_id as a varint
        expectMalformed([0x0A])
        expectMalformed([0x0A, 0x05, 0x61])
        expectMalformed([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
        expectMalformed([0x0B, 0x0C])  // a group
        expectMalformed([0x07])
        expectMalformed([0x00, 0x00])  // field number 0
        expectMalformed([UInt8](repeating: 0xFF, count: 64))
        expectMalformed(ProtoBytes.bytes(4, [0x12, 0x01, 0x61]))
        expectMalformed([0x09, 0x01], as: .commit)
    }

    /// An unknown field of wire type 3, with fields of every kind and a group inside.
    private var group: [UInt8] {
        let start: [UInt8] = [0xF3, 0x01]  // field 30
        let end: [UInt8] = [0xF4, 0x01]
        let inner: [UInt8] = [0x0B, 0x08, 0x01, 0x0C]
        return start + ProtoBytes.number(1, 300) + ProtoBytes.text(2, "x") + inner
            + ProtoBytes.fixed64(3, 7) + [0x25, 1, 2, 3, 4] + end
    }

    @Test("unknown groups are passed over, wherever they stand")
    func unknownGroups() throws {
        for message in [group + fullCheck, fullCheck + group, group + fullCheck + group] {
            let command = try message.withUnsafeBytes { try decoder.check($0).get() }
            #expect(command.tenantID.count > 0)
            #expect(command.ttlMilliseconds == 5_000)
        }
        var fields = RequestKind.check.valid
        fields[4] = ProtoBytes.bytes(4, group + ProtoBytes.quantity(1, 70) + group)
        let nested = ProtoBytes.message(fields)
        let command = try nested.withUnsafeBytes { try decoder.check($0).get() }
        #expect(command.amounts[.spend] == 70)
        let batch = group + ProtoBytes.bytes(1, nested) + ProtoBytes.bytes(1, nested)
        let count = try batch.withUnsafeBytes { try decoder.batch($0).get() }
        #expect(count == 2)
        let entry = try decoder.batchEntry(1).get()
        #expect(entry.amounts[.spend] == 70)
    }

    @Test(
        "groups that do not end, end twice, end as another, or stand for a known field are malformed"
    )
    func brokenGroups() {
        for length in 1..<group.count { expectMalformed(Array(group[..<length])) }
        expectMalformed([0xF4, 0x01])
        expectMalformed([0xF3, 0x01, 0xFC, 0x01])
        expectMalformed(fullCheck + group + [0xF4, 0x01])
        expectMalformed([UInt8](repeating: 0x7B, count: 60_000))  // groups in groups
        expectMalformed([0x23, 0x24] + fullCheck)  // quantities as a group
    }

    @Test("a message beyond its size is refused before it is looked at")
    func oversized() {
        let filler = [UInt8](repeating: 0x61, count: WireLimits.messageBytes)
        expectMalformed(ProtoBytes.bytes(500, filler), limit: 0)
        let more = [UInt8](repeating: 0x61, count: WireLimits.batchBytes)
        expectMalformed(ProtoBytes.bytes(500, more), as: .batch, limit: 0)
    }

    @Test("protobuf bombs stop at the bound of the arena")
    func bombs() {
        let count = WireLimits.messageBytes
        func repeated(_ unit: [UInt8], upTo bytes: Int) -> [UInt8] {
            (0..<(bytes / unit.count)).flatMap { _ in unit }
        }
        let emptyQuantity = ProtoBytes.bytes(4, [])
        let unknownScalar = ProtoBytes.number(500, 1)
        // A known scalar over and over: only its scan takes memory, but that alone is too much.
        let scalar = ProtoBytes.number(6, 1)
        expectMalformed(repeated(emptyQuantity, upTo: count))
        expectMalformed(repeated(unknownScalar, upTo: count))
        expectMalformed(repeated(scalar, upTo: count))
        expectMalformed(
            repeated(ProtoBytes.bytes(1, []), upTo: WireLimits.batchBytes), as: .batch,
            limit: Self.batchArenaBytes)
        expectMalformed(
            repeated(unknownScalar, upTo: WireLimits.batchBytes), as: .batch,
            limit: Self.batchArenaBytes)
        expectMalformed(
            ProtoBytes.bytes(1, repeated(unknownScalar, upTo: WireLimits.batchBytes - 8)),
            as: .batch, limit: Self.batchArenaBytes)
        // The same decoder serves the next request.
        #expect(RequestKind.check.failure(fullCheck, decoder) == nil)
    }

    @Test("mutated and random messages, every method", arguments: 0..<8)
    func fuzz(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for round in 0..<2_000 {
            for kind in RequestKind.allCases {
                var message = kind == .check ? fullCheck : ProtoBytes.message(kind.valid)
                switch round % 3 {
                case 0:
                    for _ in 0..<Int.random(in: 1...4, using: &random) {
                        let index = Int.random(in: 0..<message.count, using: &random)
                        message[index] = UInt8.random(in: 0...255, using: &random)
                    }
                case 1:
                    let cut = Int.random(in: 0...message.count, using: &random)
                    message.insert(
                        contentsOf: (0..<8).map { _ in UInt8.random(in: 0...255, using: &random) },
                        at: cut)
                default:
                    message = (0..<Int.random(in: 0...96, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                }
                check(message, kind, "seed \(seed), round \(round), \(kind): \(message)")
            }
        }
    }

    /// Whatever is accepted is within the ranges.
    private func check(_ message: [UInt8], _ kind: RequestKind, _ comment: String) {
        message.withUnsafeBytes { bytes in
            switch kind {
            case .check:
                if case .success(let command) = decoder.check(bytes) {
                    #expect(isWithinRanges(command), "\(comment)")
                }
            case .batch:
                if case .success(let count) = decoder.batch(bytes) {
                    #expect((1...1_000).contains(count), "\(comment)")
                    for index in 0..<count {
                        if case .success(let command) = decoder.batchEntry(index) {
                            #expect(isWithinRanges(command), "\(comment)")
                        }
                    }
                }
            default:
                let failure = kind.failure(message, decoder)
                #expect(
                    failure == nil || failure?.code == .malformed || !decoder.violations.isEmpty,
                    "\(comment)")
            }
        }
        #expect(decoder.usedBytes <= Self.batchArenaBytes, "\(comment)")
    }

    private func isWithinRanges(_ command: CheckCommand) -> Bool {
        (1...64).contains(command.tenantID.count) && command.profileID.count <= 64
            && command.idempotencyKey.count <= 128 && command.reference.count <= 64
            && (1_000...86_400_000).contains(command.ttlMilliseconds)
            && command.action != .unspecified && !command.amounts.isEmpty
            && (0..<4).allSatisfy {
                command.amounts[$0] >= 0 && command.minimums[$0] >= 0
                    && command.minimums[$0] <= command.amounts[$0]
            }
            && String(validating: command.tenantID, as: UTF8.self) != nil
    }

    @Test("identifiers are judged as the standard library judges UTF-8")
    func utf8AgainstTheStandardLibrary() {
        var random = SeededGenerator(seed: 7)
        // Bytes at the edges of the ranges of RFC 3629, and some ASCII.
        let edges: [UInt8] = [
            0x20, 0x41, 0x7E, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
            0xE1,
            0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF, 0x1F, 0x7F, 0x00,
        ]
        for _ in 0..<100_000 {
            var id = [UInt8](repeating: 0x61, count: Int.random(in: 0...12, using: &random))
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                id.append(edges.randomElement(using: &random) ?? 0)
            }
            id += [UInt8](repeating: 0x62, count: Int.random(in: 0...12, using: &random))
            let scalars = String(validating: id, as: UTF8.self)?.unicodeScalars
            let isFine =
                scalars?.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
                ?? false
            let failure = RequestKind.watch.failure(ProtoBytes.bytes(1, id), decoder)
            #expect((failure == nil) == isFine, "\(id)")
        }
    }
}
