internal import Journal
internal import Kit
internal import TestKit

// A segment, or a checkpoint, whose header is right and whose frames are anything. The first byte chooses; mostly the
// checksums are then set right, so that what stands behind them is reached. Whatever it is, it is read, or refused with
// the file's name and a place.

private let base = Base()

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked {
        [
            [0] + base.segment.dropFirst(base.headerBytes).prefix(3_000),
            [1] + base.segment.dropFirst(base.headerBytes).prefix(600),
            [2] + base.checkpoint.dropFirst(base.headerBytes),
        ]
    }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    guard let choice = bytes.first else { return 0 }
    var body = Array(bytes.dropFirst())
    if choice & 1 == 0 { Checksums.repair(&body, Base.id) }
    let isCheckpoint = choice & 2 != 0
    let disk = SimulatedDisk(seed: 1)
    if isCheckpoint {
        disk.setContents(
            JournalFiles.checkpoint(2), Array(base.checkpoint.prefix(base.headerBytes)) + body)
        _ = CheckpointReader(disk, id: Base.id).check(2)
    } else {
        disk.setContents(
            JournalFiles.segment(1), Array(base.segment.prefix(base.headerBytes)) + body)
        read(disk)
    }
    return 0
}

private func read(_ disk: SimulatedDisk) {
    do throws(JournalError) {
        _ = try JournalReader(disk, id: Base.id).read(from: 1, wrapping: { $0 }) {
            (event) throws(JournalError) in
            guard case .records(let payload, _) = event else { return }
            var words = 0
            payload.forEachRecord { words += $0.reduce(0) { count, _ in count + 1 } }
            precondition(words == payload.count, "records do not fill their frame")
        }
    } catch {
        precondition(!error.file.isEmpty && !error.remedy.isEmpty)
        precondition(error.code != .damaged || error.offset != nil, "damage without a place")
    }
}

/// A small journal and a checkpoint, as the project writes them.
private struct Base {
    static let id = JournalID(low: 7, high: 9)

    let segment: [UInt8]
    let checkpoint: [UInt8]
    /// Bytes of a file's header: what stands before the first frame.
    let headerBytes: Int

    init() {
        do throws(JournalError) {
            let disk = SimulatedDisk(seed: 1)
            let ring = RecordRing(capacity: 1_024)
            defer { ring.deallocate() }
            var configuration = JournalConfiguration()
            configuration.segmentBytes = 16 << 10
            let writer = try JournalWriter(
                disk, id: Self.id, configuration, rings: [ring], after: nil)
            _ = writer.prepareNext()
            var image = CheckpointEntry.Encoder()
            for round in 0..<6 {
                for record in 0...round {
                    image.begin(.setting, version: UInt64(round * 10 + record), time: 0, tenant: 0)
                    image.append(UInt64(record))
                    image.seal()
                    for (index, word) in image.words.enumerated() {
                        ring[ring.end + UInt64(index)] = word
                    }
                    ring.publish(to: ring.end + UInt64(image.words.count))
                }
                _ = writer.round()
            }
            let checkpointWriter = try CheckpointWriter(
                disk, id: Self.id, number: 2, epoch: 1, sequence: 0)
            let words = image.words
            for _ in 0..<4 {
                try words.span.withUnsafeBufferPointer { (buffer) throws(JournalError) in
                    _ = try checkpointWriter.append(buffer)
                }
            }
            _ = try checkpointWriter.finish()
            segment = disk.contents(JournalFiles.segment(1)) ?? []
            checkpoint = disk.contents(JournalFiles.checkpoint(2)) ?? []
        } catch {
            preconditionFailure("the base cannot be made: \(error)")
        }
        headerBytes = Checksums.firstFrame(segment)
        precondition(headerBytes == Checksums.firstFrame(checkpoint))
    }
}
