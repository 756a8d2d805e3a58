/// Writes a checkpoint: entries in blocks of about a quarter of a megabyte, a trailer, then the name by which it is found.
///
/// Each block is synced by itself: an answer's sync never waits behind more than one of them.
///
/// A checkpoint that has its name is whole: the file is synced before it is renamed, and the directory after.
package final class CheckpointWriter {
    private static let blockWords = 1 << 15

    private let disk: any Disk
    private let id: JournalID
    private let file: DiskFile
    private let number: UInt64
    private let temporary: String
    private var words: [UInt64] = []
    private var block: FrameHeader
    private var checksum = CRC32C()
    private var offset = FileHeader.bytes
    private var sequence: UInt64 = 0
    private var records: UInt64 = 0

    /// - Parameters:
    ///   - number: the first segment that the checkpoint does not cover.
    ///   - epoch: the process run that its last record belongs to.
    ///   - sequence: the last frame that it covers.
    ///   - maker: tells apart those who may be at it at once.
    package init(
        _ disk: any Disk, id: JournalID, number: UInt64, epoch: UInt64, sequence: UInt64,
        maker: String = ""
    ) throws(JournalError) {
        self.disk = disk
        self.id = id
        self.number = number
        temporary = JournalFiles.checkpoint(number) + maker + JournalFiles.temporarySuffix
        if try disk.list().contains(temporary) { try disk.remove(temporary) }
        file = try disk.create(temporary)
        block = FrameHeader(kind: .block, sequence: 0, epoch: 0, file: number)
        words.reserveCapacity(Self.blockWords + RecordWords.most)
        let header = FileHeader(
            kind: .checkpoint, id: id, number: number, size: 0, sequenceFloor: sequence,
            epochFloor: epoch)
        try disk.write(file, at: 0, header.encoded)
    }

    deinit { disk.close(file) }

    /// Adds an entry: the words of a record, checksum included. True: it completed a block, which is on disk.
    @discardableResult
    package func append(_ record: UnsafeBufferPointer<UInt64>) throws(JournalError) -> Bool {
        words.append(contentsOf: record)
        checksum.add(record[0])
        block.recordCount += 1
        records += 1
        guard words.count >= Self.blockWords else { return false }
        try writeBlock()
        return true
    }

    private func writeBlock() throws(JournalError) {
        guard !words.isEmpty else { return }
        sequence += 1
        block.sequence = sequence
        block.epoch = records - UInt64(block.recordCount)
        block.payloadWords = words.count
        block.recordsChecksum = checksum.value
        try disk.write(file, at: offset, block.encoded(id) + words)
        offset += FrameHeader.bytes + words.count * 8
        try disk.sync(file)
        words.removeAll(keepingCapacity: true)
        block.recordCount = 0
        checksum = CRC32C()
    }

    /// Completes the checkpoint and gives it its name. Returns its bytes.
    package func finish() throws(JournalError) -> Int {
        try complete()
        try install()
        return offset + FrameHeader.bytes
    }

    /// Has all of the checkpoint on disk.
    package func complete() throws(JournalError) {
        try writeBlock()
        let trailer = FrameHeader(
            kind: .trailer, sequence: sequence + 1, epoch: records, file: number)
        try disk.write(file, at: offset, trailer.encoded(id))
        try disk.sync(file)
    }

    /// Gives what is complete its name.
    package func install() throws(JournalError) {
        try disk.rename(temporary, to: JournalFiles.checkpoint(number))
        try disk.syncDirectory()
    }

    /// Gives the checkpoint up.
    package func abandon() { try? disk.remove(temporary) }
}

/// Reads a checkpoint.
package struct CheckpointReader {
    /// What its header and trailer tell.
    package struct Summary: Sendable, Equatable {
        /// The first segment that it does not cover.
        package var number: UInt64
        package var epoch: UInt64
        /// The last frame that it covers.
        package var sequence: UInt64
        package var records: UInt64
        package var bytes: Int
    }

    private let disk: any Disk
    private let id: JournalID?

    package init(_ disk: any Disk, id: JournalID?) {
        self.disk = disk
        self.id = id
    }

    /// Hands over every entry, block by block, each of them checked. An error may come after some were handed over.
    package func read<E: Error>(
        _ number: UInt64, wrapping wrap: (JournalError) -> E,
        _ body: (UnsafeBufferPointer<UInt64>) throws(E) -> Void
    ) throws(E) -> Summary {
        let name = JournalFiles.checkpoint(number)
        let file: FrameFile
        do throws(JournalError) {
            file = try FrameFile(disk, name: name, kind: .checkpoint, number: number, id: id)
        } catch {
            throw wrap(error)
        }
        var summary = Summary(
            number: number, epoch: file.header.epochFloor, sequence: file.header.sequenceFloor,
            records: 0, bytes: FileHeader.bytes)
        var sequence: UInt64 = 0
        while true {
            let outcome: FrameFile.Outcome
            do throws(JournalError) {
                outcome = try file.frame(at: summary.bytes)
                if case .invalid = outcome { try insist(on: number) }
            } catch {
                throw wrap(error)
            }
            switch outcome {
            case .invalid(let offset, let reason):
                throw wrap(.damaged(name, offset: offset, reason: reason))
            case .frame(let frame, let payload):
                let isRight =
                    frame.sequence == sequence + 1 && frame.epoch == summary.records
                    && (frame.kind == .block || frame.kind == .trailer)
                guard isRight else {
                    throw wrap(
                        .damaged(name, offset: summary.bytes, reason: "a block is out of place"))
                }
                sequence = frame.sequence
                summary.bytes += FrameHeader.bytes + frame.payloadBytes
                if frame.kind == .trailer {
                    guard summary.bytes == file.size else {
                        throw wrap(
                            .damaged(
                                name, offset: summary.bytes,
                                reason: "there is unexpected data after the end"))
                    }
                    return summary
                }
                summary.records += UInt64(frame.recordCount)
                try body(payload)
            }
        }
    }

    /// One that is being removed while it is read is not damaged: it is not there.
    private func insist(on number: UInt64) throws(JournalError) {
        guard try disk.checkpointNumbers().contains(number) else {
            throw JournalError(
                .missing, file: JournalFiles.checkpoint(number),
                reason: "the checkpoint no longer exists", remedy: "start from a newer one")
        }
    }

    /// Whether a checkpoint is whole; nil: it is.
    package func check(_ number: UInt64) -> JournalError? {
        do throws(JournalError) {
            _ = try read(number, wrapping: { $0 }) { _ throws(JournalError) in }
            return nil
        } catch {
            return error
        }
    }
}
