import Limits
import Testing
import Wire

@Suite("What the client writes, the service reads")
struct ClientTests {
    private let decoder = RequestDecoder()

    private func text(_ bytes: BorrowedBytes) -> String { String(decoding: bytes, as: UTF8.self) }

    private var request: CheckRequest {
        CheckRequest(
            tenantID: "acme", messagingProfileID: "be3eb60a-a346-470a-886c-ab4e421711bd",
            action: .sendMessage,
            quantities: [Quantity(.spend, 4_000_000), Quantity(.dids, 3, minimum: 2)],
            idempotencyKey: "k-1", ttlMilliseconds: 5_000, mode: .partial, onExpiry: .commit,
            overage: .cap, includesLimits: true, reference: "msg")
    }

    @Test("a check is byte for byte what protoc makes of it")
    func golden() throws {
        // protoc leaves the default minimum out, and so do we.
        #expect(request.encoded() == GoldenBytes.checkRequest)
        try GoldenBytes.checkRequest.withUnsafeBytes { bytes in
            let command = try decoder.check(bytes).get()
            #expect(text(command.profileID) == request.messagingProfileID)
            #expect(command.amounts[.spend] == 4_000_000)
            #expect(command.minimums[.dids] == 2)
            #expect(command.overage == .cap)
        }
    }

    @Test("commit, release, extend")
    func settling() throws {
        try CommitRequest(reservationID: 9, actual: [Quantity(.spend, 0)]).encoded()
            .withUnsafeBytes { bytes in
                let command = try decoder.commit(bytes).get()
                #expect(command.reservationID == 9)
                #expect(command.actual.present == 1)
            }
        try ReleaseRequest(reservationID: UInt64(Int64.max)).encoded().withUnsafeBytes { bytes in
            let id = try decoder.release(bytes).get().reservationID
            #expect(id == UInt64(Int64.max))
        }
        let extend = ExtendRequest(
            reservationID: 3, ttlMilliseconds: 1_000,
            additional: [Quantity(.callSeconds, 60, minimum: 5)], idempotencyKey: "k",
            mode: .partial)
        try extend.encoded().withUnsafeBytes { bytes in
            let command = try decoder.extend(bytes).get()
            #expect(command.reservationID == 3)
            #expect(command.ttlMilliseconds == 1_000)
            #expect(command.additional[.callSeconds] == 60)
            #expect(command.minimums[.callSeconds] == 5)
            #expect(text(command.idempotencyKey) == "k")
            #expect(command.mode == .partial)
        }
    }

    @Test("record, usage, watch")
    func reading() throws {
        let record = RecordUsageRequest(
            tenantID: "acme", messagingProfileID: "p", action: .charge,
            quantities: [Quantity(.extensions, -3)], idempotencyKey: "k", reference: "r")
        try record.encoded().withUnsafeBytes { bytes in
            let command = try decoder.record(bytes).get()
            #expect(text(command.tenantID) == "acme")
            #expect(text(command.profileID) == "p")
            #expect(command.action == .charge)
            #expect(command.amounts[.extensions] == -3)
            #expect(text(command.idempotencyKey) == "k")
            #expect(text(command.reference) == "r")
        }
        try UsageRequest(tenantID: "ä", messagingProfileID: "p").encoded().withUnsafeBytes {
            bytes in
            let query = try decoder.usage(bytes).get()
            #expect(text(query.tenantID) == "ä")
            #expect(text(query.profileID) == "p")
        }
        try UsageRequest(tenantID: "a", voiceProfileID: "v").encoded().withUnsafeBytes { bytes in
            let query = try decoder.usage(bytes).get()
            #expect(text(query.profileID) == "v" && query.profileKind == .voice)
        }
        let call = CheckRequest(
            tenantID: "a", action: .outboundCall, quantities: [Quantity(.spend, 1)],
            voiceProfileID: "v")
        try call.encoded().withUnsafeBytes { bytes in
            let command = try decoder.check(bytes).get()
            #expect(text(command.profileID) == "v" && command.profileKind == .voice)
        }
        let late = RecordUsageRequest(
            tenantID: "a", quantities: [Quantity(.spend, 1)], voiceProfileID: "v")
        try late.encoded().withUnsafeBytes { bytes in
            let command = try decoder.record(bytes).get()
            #expect(text(command.profileID) == "v" && command.profileKind == .voice)
        }
        #expect(WatchUsageRequest().encoded().isEmpty)
        try WatchUsageRequest(tenantID: "acme").encoded().withUnsafeBytes { bytes in
            let id = try decoder.watch(bytes).get()
            #expect(text(id) == "acme")
        }
    }

    @Test("a batch of a thousand")
    func batch() throws {
        let requests = (0..<1_000).map { index in
            var entry = request
            entry.reference = "r\(index)"
            return entry
        }
        try CheckBatchRequest(requests).encoded().withUnsafeBytes { bytes in
            let count = try decoder.batch(bytes).get()
            #expect(count == 1_000)
            let last = try decoder.batchEntry(999).get()
            #expect(text(last.reference) == "r999")
        }
    }

    @Test("numbers of a later version read as nil, damaged responses are errors")
    func laterVersions() throws {
        let response = try CheckResponse(
            ProtoBytes.number(1, 77) + ProtoBytes.number(7, 77) + ProtoBytes.number(11, 4)
                + ProtoBytes.bytes(5, ProtoBytes.number(1, 77))
                + ProtoBytes.bytes(6, ProtoBytes.quantity(9, 1))
                + ProtoBytes.bytes(6, ProtoBytes.quantity(2, 1)))
        #expect(response.decision == nil)
        #expect(response.treatment == .reject)
        #expect(response.tenantStatus == nil)
        #expect(response.limits.map(\.limit) == [nil])
        #expect(response.granted == [Quantity(.extensions, 1)])
        #expect(throws: WireDecodingError.self) { try CheckResponse([0x0A, 0x7F]) }
    }

    @Test("random responses never crash the client", arguments: 0..<4)
    func fuzz(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            var message = GoldenBytes.deniedResponse
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<message.count, using: &random)
                message[index] = UInt8.random(in: 0...255, using: &random)
            }
            let response = try? CheckResponse(message)
            #expect((response?.errors.count ?? 0) <= message.count)
            var status = GoldenBytes.badRequest
            let index = Int.random(in: 0..<status.count, using: &random)
            status[index] = UInt8.random(in: 0...255, using: &random)
            let details = try? StatusDetails(status)
            #expect((details?.fieldViolations.count ?? 0) <= status.count)
        }
    }

    @Test("the methods' paths belong to the service of the contract")
    func paths() {
        let set = String(
            decoding: Array(ContractDescriptor.fileDescriptorSet).filter { $0 < 0x80 },
            as: UTF8.self)
        for method in LimitServiceMethod.allCases {
            let prefix = "/\(LimitServiceMethod.service)/"
            #expect(method.path.description.hasPrefix(prefix))
            #expect(set.contains(method.path.description.dropFirst(prefix.count)))
        }
    }
}
