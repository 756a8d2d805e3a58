internal import Limits

/// How to take back an unkeyed CheckAndReserve whose answer did not leave (semantics §3, "Deadlines"), as bytes that
/// the transport keeps with the answer: the request's own are gone by then.
///
/// A hold is its reservation's id, eight bytes. A charge is eight zero bytes, a `Charge`, and the two ids.
enum Withdrawal {
    private struct Charge: BitwiseCopyable {
        var amounts: Amounts
        var starts: UInt64
        var dayStart: Int64
        /// `CheckAnswer.raised`
        var raised: UInt128
        var tenantBytes: UInt8
        var profileBytes: UInt8
    }

    /// Notes what an answer did, unless it did nothing or stands.
    @inline(__always)
    static func note(_ command: CheckCommand, _ answer: borrowing CheckAnswer, in call: CallContext)
    {
        guard command.idempotencyKey.count == 0, answer.decision == .allowed else { return }
        var reservationID = answer.reservationID
        if reservationID != 0 {
            withUnsafeBytes(of: &reservationID) { call.undo($0) }
        } else if command.mode == .commit {
            noteCharge(command, answer, in: call)
        }
    }

    private static func noteCharge(
        _ command: CheckCommand, _ answer: borrowing CheckAnswer, in call: CallContext
    ) {
        withUnsafeBytes(of: UInt64(0)) { call.undo($0) }
        // Ids are at most 64 bytes long.
        let charge = Charge(
            amounts: command.amounts, starts: answer.starts.word,
            dayStart: answer.dayStart, raised: answer.raised.rawValue,
            tenantBytes: UInt8(command.tenantID.count),
            profileBytes: UInt8(command.profileID.count))
        withUnsafeBytes(of: charge) { call.undo($0) }
        call.undo(command.tenantID)
        call.undo(command.profileID)
    }

    /// How many withdrawals the notes are.
    static func count(in undo: UnsafeRawBufferPointer) -> Int {
        var count = 0
        _ = forEach(in: undo) { _, _ in
            count += 1
            return true
        }
        return count
    }

    /// Calls `body` with the parts of each command and answer that a withdrawal needs, in the order of the notes, until it
    /// returns false.
    ///
    /// - Returns: bytes of the notes for which it returned true.
    static func forEach(
        in undo: UnsafeRawBufferPointer, _ body: (CheckCommand, CheckAnswer) -> Bool
    ) -> Int {
        var rest = undo
        func take(_ count: Int) -> UnsafeRawBufferPointer {
            let front = UnsafeRawBufferPointer(rebasing: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            return front
        }
        var answer = CheckAnswer()
        answer.decision = .allowed
        while !rest.isEmpty {
            let left = rest.count
            answer.reservationID = take(8).loadUnaligned(as: UInt64.self)
            var command = CheckCommand(
                tenantID: take(0), action: .unspecified, amounts: Amounts())
            if answer.reservationID == 0 {
                let charge = take(MemoryLayout<Charge>.size).loadUnaligned(as: Charge.self)
                command.mode = .commit
                command.amounts = charge.amounts
                command.tenantID = take(Int(charge.tenantBytes))
                command.profileID = take(Int(charge.profileBytes))
                answer.starts = WindowStarts(word: charge.starts)
                answer.dayStart = charge.dayStart
                answer.raised = EventSet(rawValue: charge.raised)
            }
            guard body(command, answer) else { return undo.count - left }
        }
        return undo.count
    }
}
