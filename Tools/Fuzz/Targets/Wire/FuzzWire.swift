internal import Kit
internal import Limits
internal import Wire

// Request messages: the first byte chooses the method, the rest is the message. Whatever is accepted is within the
// contract's ranges; whatever is refused is malformed or has a finding.

nonisolated(unsafe) private let decoder = RequestDecoder()
nonisolated(unsafe) private let health = HealthMessages()
private let index = DescriptorIndex(ContractDescriptor.fileDescriptorSet)
nonisolated(unsafe) private let reflection = index.map { ReflectionMessages($0) }

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked(wireSeeds)
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    var input = InputReader(UnsafeRawBufferPointer(start: start, count: count))
    let method = input.byte() % 11
    let message = input.rest()
    switch method {
    case 0: check(decoder.check(message)) { isWithinRanges($0) }
    case 1:
        check(decoder.batch(message)) { (1...WireLimits.batchEntries).contains($0) }
        guard case .success(let entries) = decoder.batch(message) else { break }
        for index in 0..<entries { check(decoder.batchEntry(index)) { isWithinRanges($0) } }
    case 2:
        check(decoder.commit(message)) {
            isID($0.reservationID) && isPositive($0.actual) && isText($0.tenantID, 0...64)
        }
    case 3:
        check(decoder.release(message)) {
            isID($0.reservationID) && isText($0.tenantID, 0...64)
        }
    case 4:
        check(decoder.extend(message)) {
            isID($0.reservationID) && $0.idempotencyKey.count <= WireLimits.idempotencyKeyBytes
                && isText($0.tenantID, 0...64)
        }
    case 5:
        check(decoder.record(message)) {
            isText($0.tenantID, 1...64) && isText($0.profileID, 0...64)
                && isText($0.idempotencyKey, 0...128) && !$0.amounts.isEmpty
        }
    case 6:
        check(decoder.usage(message)) {
            isText($0.tenantID, 1...64) && isText($0.profileID, 0...64)
        }
    case 7: check(decoder.watch(message)) { isText($0, 0...64) }
    case 8:
        // As the transport bounds it.
        guard message.count <= HealthMessages.requestBytes else { break }
        precondition((health.service(message)?.utf8.count ?? 0) <= message.count)
    case 9: reflect(message)
    default: _ = DescriptorIndex(message)?.answer(.services)
    }
    return 0
}

/// What is understood is answered, and the answer says again what was asked.
private func reflect(_ message: BorrowedBytes) {
    guard message.count <= ReflectionMessages.requestBytes, let index, let reflection,
        let question = reflection.read(message)
    else { return }
    let answer = index.answer(question)
    let count = withUnsafeTemporaryAllocation(byteCount: 1 << 20, alignment: 8) { buffer in
        reflection.write(answer) { _ in buffer }
    }
    precondition(count > 0, "no answer to \(question)")
}

private func check<Command>(_ result: Result<Command, Failure>, _ isSound: (Command) -> Bool) {
    switch result {
    case .success(let command):
        precondition(decoder.violations.isEmpty, "accepted with a finding")
        precondition(isSound(command), "accepted beyond the contract's ranges: \(command)")
    case .failure(let failure):
        precondition(
            failure.code == .malformed || !decoder.violations.isEmpty, "refused without a finding")
    }
}

private func isWithinRanges(_ command: CheckCommand) -> Bool {
    isText(command.tenantID, 1...64) && isText(command.profileID, 0...64)
        && isText(command.idempotencyKey, 0...128) && isText(command.reference, 0...64)
        && (1_000...86_400_000).contains(command.ttlMilliseconds)
        && command.action != .unspecified && !command.amounts.isEmpty
        && isPositive(command.amounts)
        && (0..<4).allSatisfy {
            (0...command.amounts[$0]).contains(command.minimums[$0])
        }
}

private func isID(_ id: UInt64) -> Bool { id > 0 && id <= UInt64(Int64.max) }

private func isPositive(_ amounts: Amounts) -> Bool { (0..<4).allSatisfy { amounts[$0] >= 0 } }

private func isText(_ text: BorrowedBytes, _ length: ClosedRange<Int>) -> Bool {
    length.contains(text.count) && String(validating: text, as: UTF8.self) != nil
        && text.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
}
