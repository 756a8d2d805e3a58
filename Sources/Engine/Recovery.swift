import Journal
import Reservations

/// Finds and plays back what a directory holds.
struct Recovery {
    let disk: any Disk
    let id: JournalID
    /// The id was found, not made up.
    let exists: Bool
    var secret: HashSecret { HashSecret(k0: id.low, k1: id.high) }
    let checkpoint: UInt64?
    let passedOver: [String]
    let found = Found()

    /// What playing back found out.
    final class Found {
        var end: JournalEnd?
        var sequence: UInt64 = 0
        var epoch: UInt64 = 0
    }

    init(
        _ disk: any Disk, newID: JournalID? = nil, removesTemporaries: Bool = true
    ) throws(EngineError) {
        do throws(JournalError) {
            if removesTemporaries { try disk.removeTemporaries() }
            let id = try JournalReader.id(disk)
            self.disk = disk
            self.id = id ?? newID ?? .random()
            exists = id != nil
            var passedOver: [String] = []
            var checkpoint: UInt64?
            for number in try disk.checkpointNumbers().reversed() {
                guard let error = CheckpointReader(disk, id: id).check(number) else {
                    checkpoint = number
                    break
                }
                if error.code == .newerFormat || error.code == .olderFormat { throw error }
                passedOver.append("\(error)")
            }
            if checkpoint == nil, let first = try disk.segmentNumbers().first, first != 1 {
                throw JournalError(
                    .missing, file: JournalFiles.checkpoint(first),
                    reason: passedOver.first.map { "no checkpoint is intact (\($0))" }
                        ?? "the journal begins with segment \(first), and there is no checkpoint",
                    remedy: "restore the checkpoint from a backup")
            }
            self.checkpoint = checkpoint
            self.passedOver = passedOver
        } catch {
            throw EngineError(error)
        }
    }

    /// Plays the checkpoint and everything after it back.
    ///
    /// - Parameter progressed: called behind each block and frame.
    func play(
        into replayer: inout Replayer, _ progressed: () -> Void = {}
    ) throws(EngineError) {
        guard exists else { return }
        if let checkpoint {
            let summary = try Self.play(checkpoint, disk, id, into: &replayer) { progressed() }
            found.sequence = summary.sequence
            found.epoch = summary.epoch
        }
        found.end = try Self.play(
            from: checkpoint ?? 1, below: nil, disk, id,
            after: checkpoint == nil ? nil : found.sequence, into: &replayer
        ) { progressed() }
        // The segments behind the checkpoint may not hold a frame yet.
        if found.end?.sequence == found.sequence { found.end?.epoch = found.epoch }
        // What still waits was never acknowledged, and this process uses its versions anew.
        replayer.beginProcess()
    }

    /// Plays a checkpoint back.
    ///
    /// - Parameter rest: called behind each block.
    static func play(
        _ checkpoint: UInt64, _ disk: any Disk, _ id: JournalID, into replayer: inout Replayer,
        _ rest: () throws(JournalError) -> Void = {}
    ) throws(EngineError) -> CheckpointReader.Summary {
        try CheckpointReader(disk, id: id).read(checkpoint, wrapping: { EngineError($0) }) {
            (block) throws(EngineError) in
            do throws(EngineError) {
                try replayer.playAll(block)
            } catch {
                throw EngineError(
                    error.code,
                    """
                    \(JournalFiles.checkpoint(checkpoint)), entry \(replayer.statistics.records): \
                    \(error.message)
                    """)
            }
            try wrapped(rest)
        }
    }

    /// Plays segments back.
    ///
    /// - Parameters:
    ///   - last: the last frame that the checkpoint covers; nil: there is no checkpoint.
    ///   - rest: called behind each frame.
    static func play(
        from first: UInt64, below limit: UInt64?, _ disk: any Disk, _ id: JournalID,
        after last: UInt64?, into replayer: inout Replayer,
        _ rest: () throws(JournalError) -> Void = {}
    ) throws(EngineError) -> JournalEnd {
        try JournalReader(disk, id: id).read(
            from: first, below: limit, after: last, wrapping: { EngineError($0) }
        ) { (event) throws(EngineError) in
            switch event {
            case .start: replayer.beginProcess()
            case .records(let payload, let place):
                do throws(EngineError) {
                    try replayer.playAll(payload)
                } catch {
                    throw EngineError(
                        error.code,
                        """
                        \(JournalFiles.segment(place.segment)), records at offset \(place.offset): \
                        \(error.message)
                        """)
                }
                try wrapped(rest)
            }
        }
    }

    private static func wrapped(_ work: () throws(JournalError) -> Void) throws(EngineError) {
        do throws(JournalError) {
            try work()
        } catch {
            throw EngineError(error)
        }
    }
}
