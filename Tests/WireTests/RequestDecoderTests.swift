import Limits
import Testing
import Wire

@Suite("Requests become commands")
struct RequestDecoderTests {
    private let decoder = RequestDecoder()

    private func text(_ bytes: BorrowedBytes) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test("a check with every field at its upper bound")
    func fullCheck() throws {
        let longID = String(repeating: "é", count: 32)
        let key = String(repeating: "k", count: 128)
        var fields = RequestKind.check.valid
        fields[1] = ProtoBytes.text(1, longID)
        fields[2] = ProtoBytes.text(2, String(repeating: "p", count: 64))
        fields[3] = ProtoBytes.number(3, 6)
        fields[4] =
            ProtoBytes.bytes(4, ProtoBytes.quantity(4, .max, minimum: .max))
            + ProtoBytes.bytes(4, ProtoBytes.quantity(1, 0))
            + ProtoBytes.bytes(4, ProtoBytes.quantity(3, 3, minimum: 2))
            + ProtoBytes.bytes(4, ProtoBytes.quantity(2, 2))
        fields[5] = ProtoBytes.text(5, key)
        fields[6] = ProtoBytes.number(6, 86_400_000)
        fields[7] = ProtoBytes.number(7, 4)
        fields[8] = ProtoBytes.number(8, 2)
        fields[9] = ProtoBytes.number(9, 3)
        fields[10] = ProtoBytes.number(10, 1)
        fields[11] = ProtoBytes.text(11, String(repeating: "r", count: 64))
        try ProtoBytes.message(fields).withUnsafeBytes { bytes in
            let command = try decoder.check(bytes).get()
            #expect(text(command.tenantID) == longID)
            #expect(command.profileID.count == 64)
            #expect(command.action == .charge)
            #expect(command.amounts.present == 0b1111)
            #expect(command.amounts[.spend] == 0)
            #expect(command.amounts[.extensions] == 2)
            #expect(command.amounts[.dids] == 3)
            #expect(command.amounts[.callSeconds] == .max)
            #expect(command.minimums[.callSeconds] == .max)
            #expect(command.minimums[.dids] == 2)
            #expect(text(command.idempotencyKey) == key)
            #expect(command.ttlMilliseconds == 86_400_000)
            #expect(command.mode == .partial)
            #expect(command.onExpiry == .commit)
            #expect(command.overage == .reject)
            #expect(command.includeLimits)
            #expect(command.reference.count == 64)
        }
    }

    @Test("absent fields take the contract's defaults")
    func defaults() throws {
        try ProtoBytes.message(RequestKind.check.valid).withUnsafeBytes { bytes in
            let command = try decoder.check(bytes).get()
            #expect(command.profileID.isEmpty)
            #expect(command.idempotencyKey.isEmpty)
            #expect(command.ttlMilliseconds == 60_000)
            #expect(command.mode == .reserve)
            #expect(command.onExpiry == .release)
            #expect(command.overage == .record)
            #expect(command.includeLimits == false)
            #expect(command.minimums.isEmpty)
        }
        try ProtoBytes.message(RequestKind.extend.valid).withUnsafeBytes { bytes in
            let command = try decoder.extend(bytes).get()
            #expect(command.ttlMilliseconds == 0)
            #expect(command.mode == .reserve)
            #expect(command.additional.isEmpty)
        }
        try ProtoBytes.message(RequestKind.record.valid).withUnsafeBytes { bytes in
            let action = try decoder.record(bytes).get().action
            #expect(action == .unspecified)
        }
    }

    @Test("bounds of the ttl are within", arguments: [1_000, 86_400_000])
    func ttlBounds(ttl: Int64) throws {
        let message = RequestKind.check.replacing(6, ProtoBytes.number(6, ttl))
        try message.withUnsafeBytes { bytes in
            let command = try decoder.check(bytes).get()
            #expect(command.ttlMilliseconds == UInt32(ttl))
        }
    }

    @Test("RecordUsage takes negative counts, and the other list methods take zero")
    func signs() throws {
        let message = RequestKind.record.replacing(
            4,
            ProtoBytes.bytes(4, ProtoBytes.quantity(2, -5))
                + ProtoBytes.bytes(4, ProtoBytes.quantity(3, -Int64.max)))
        try message.withUnsafeBytes { bytes in
            let amounts = try decoder.record(bytes).get().amounts
            #expect(amounts[.extensions] == -5)
            #expect(amounts[.dids] == -Int64.max)
        }
        let commit = RequestKind.commit.replacing(2, ProtoBytes.bytes(2, ProtoBytes.quantity(4, 0)))
        try commit.withUnsafeBytes { bytes in
            let command = try decoder.commit(bytes).get()
            #expect(command.reservationID == 7)
            #expect(command.actual.contains(Resource.callSeconds.index))
            #expect(command.actual.contains(Resource.spend.index) == false)
        }
    }

    @Test(
        "what is only ever held is asked for, never charged",
        arguments: Resource.allCases.filter { !$0.mayBeCharged })
    func onlyHeld(_ resource: Resource) throws {
        let number = Int64(resource.rawValue)
        for kind in [RequestKind.check, .extend] {
            let field = kind == .check ? 4 : 3
            let asked = ProtoBytes.bytes(field, ProtoBytes.quantity(number, 1))
            #expect(kind.failure(kind.replacing(field, asked), decoder) == nil)
        }
        for amount: Int64 in [0, 1, -1] {
            let asked = ProtoBytes.bytes(4, ProtoBytes.quantity(number, amount))
            var charge = RequestKind.check.valid
            charge[4] = ProtoBytes.bytes(4, ProtoBytes.quantity(1, 1)) + asked
            charge[7] = ProtoBytes.number(7, 3)
            let failures = [
                RequestKind.check.failure(ProtoBytes.message(charge), decoder),
                RequestKind.record.failure(RequestKind.record.replacing(4, asked), decoder),
                RequestKind.commit.failure(
                    RequestKind.commit.replacing(
                        2, ProtoBytes.bytes(2, ProtoBytes.quantity(number, amount))), decoder),
            ]
            #expect(failures.allSatisfy { $0?.code == .badField })
            #expect(
                failures.map { $0?.location } == [
                    "/quantities/1/resource", "/quantities/0/resource", "/actual/0/resource",
                ])
            #expect(
                failures.allSatisfy { $0.map { "\($0.detail)" } == "\(Resource.chargingDetail)" })
        }
    }

    @Test("all findings are kept, in field order, up to eight")
    func allFindings() {
        var fields: [Int: [UInt8]] = [:]
        fields[2] = ProtoBytes.bytes(2, [0xFF])
        fields[4] = ProtoBytes.bytes(4, ProtoBytes.quantity(9, -1))
        fields[6] = ProtoBytes.number(6, 1)
        fields[7] = ProtoBytes.number(7, 99)
        fields[8] = ProtoBytes.number(8, 99)
        fields[9] = ProtoBytes.number(9, 99)
        fields[11] = ProtoBytes.bytes(11, [0])
        let failure = RequestKind.check.failure(ProtoBytes.message(fields), decoder)
        #expect(failure?.code == .missingField)
        #expect(failure?.location == "/tenant_id")
        let locations = (0..<decoder.violations.count).map { decoder.violations[$0].location }
        #expect(
            locations == [
                "/tenant_id", "/messaging_profile_id", "/action", "/quantities/0/resource",
                "/ttl_ms", "/mode", "/on_expiry", "/overage",
            ])
    }

    @Test("one bad entry of a batch fails alone")
    func batch() throws {
        let good = ProtoBytes.message(RequestKind.check.valid)
        let bad = RequestKind.check.replacing(1, [])
        let message = [good, bad, good].flatMap { ProtoBytes.bytes(1, $0) }
        try message.withUnsafeBytes { bytes in
            let count = try decoder.batch(bytes).get()
            #expect(count == 3)
            let first = try decoder.batchEntry(0).get()
            #expect(decoder.batchEntry(1).failure?.location == "/tenant_id")
            #expect(decoder.violations.count == 1)
            let last = try decoder.batchEntry(2).get()
            #expect(last.amounts[.spend] == 4_000_000)
            #expect(decoder.violations.isEmpty)
            #expect(text(first.tenantID) == "acme")
        }
    }

    @Test("a thousand full entries fit the batch's memory")
    func fullBatch() throws {
        var fields = RequestKind.check.valid
        fields[1] = ProtoBytes.text(1, String(repeating: "t", count: 64))
        fields[2] = ProtoBytes.text(2, String(repeating: "p", count: 64))
        fields[4] = (1...4).flatMap { ProtoBytes.bytes(4, ProtoBytes.quantity($0, .max)) }
        fields[5] = ProtoBytes.text(5, String(repeating: "k", count: 128))
        fields[11] = ProtoBytes.text(11, String(repeating: "r", count: 64))
        let entry = ProtoBytes.bytes(1, ProtoBytes.message(fields))
        let message = (0..<1_000).flatMap { _ in entry }
        #expect(message.count <= WireLimits.batchBytes)
        try message.withUnsafeBytes { bytes in
            let count = try decoder.batch(bytes).get()
            #expect(count == 1_000)
            #expect(decoder.usedBytes < 1024 * 1024)
            let last = try decoder.batchEntry(999).get()
            #expect(last.reference.count == 64)
        }
    }

    @Test("memory is used anew by every message, and a full request takes under 2 KiB of it")
    func memoryIsReused() {
        var fields = RequestKind.check.valid
        fields[2] = ProtoBytes.text(2, String(repeating: "p", count: 64))
        fields[4] = (1...4).flatMap { ProtoBytes.bytes(4, ProtoBytes.quantity($0, .max)) }
        fields[5] = ProtoBytes.text(5, String(repeating: "k", count: 128))
        let message = ProtoBytes.message(fields)
        #expect(RequestKind.check.failure(message, decoder) == nil)
        let used = decoder.usedBytes
        #expect((1..<2_048).contains(used))
        for _ in 0..<10_000 { _ = RequestKind.check.failure(message, decoder) }
        #expect(decoder.usedBytes == used)
    }

    @Test("fields of a later version are ignored")
    func unknownFields() throws {
        let message =
            ProtoBytes.message(RequestKind.check.valid) + ProtoBytes.text(500, "later")
            + ProtoBytes.number(501, 7) + ProtoBytes.fixed64(502, 7)
        try message.withUnsafeBytes { bytes in
            let command = try decoder.check(bytes).get()
            #expect(text(command.tenantID) == "acme")
        }
    }

    @Test("a command outlives the bytes it was decoded from")
    func ownsNothingOfTheInput() throws {
        var message = ProtoBytes.message(RequestKind.check.valid)
        let result = message.withUnsafeBytes { decoder.check($0) }
        message = []
        let command = try result.get()
        #expect(message.isEmpty)
        #expect(text(command.tenantID) == "acme")
    }
}
