import Foundation
import TestKit
import Testing

@testable import Journal

/// Whatever happens to the bytes on the disk: a journal is read exactly, or refused with file and offset.
/// `TOLLGATE_ALL_BITS` flips every bit and cuts at every byte, instead of a sample.
@Suite struct DamageTests {
    static let flipsAllBits = ProcessInfo.processInfo.environment["TOLLGATE_ALL_BITS"] != nil

    /// A journal of several segments with a checkpoint in the middle.
    private func make(closed: Bool) throws -> (disk: SimulatedDisk, count: UInt64) {
        let disk = SimulatedDisk(seed: 3)
        var random = SeededGenerator(seed: 11)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        while journal.writer.currentSegment < 3 {
            for _ in 0..<1 + random.next() % 40 { journal.publish(&random) }
            let isDone = journal.round()
            #expect(isDone)
        }
        // The checkpoint covers segment 1: its records, by their numbers.
        var numbers: [UInt64] = []
        let covered = try JournalReader(disk, id: SmallJournal.id).read(
            from: 1, below: 2, wrapping: { $0 }
        ) { (event) throws(JournalError) in
            if case .records(let payload, _) = event {
                payload.forEachRecord { numbers.append($0[1]) }
            }
        }
        let checkpoint = try CheckpointWriter(
            disk, id: SmallJournal.id, number: 2, epoch: 1, sequence: covered.sequence)
        for number in numbers {
            var image = CheckpointEntry.Encoder()
            image.begin(.setting, version: number, time: 0, tenant: 0)
            image.seal()
            _ = try image.words.withUnsafeBufferPointer { try checkpoint.append($0) }
        }
        _ = try checkpoint.finish()
        for _ in 0..<20 {
            for _ in 0..<1 + random.next() % 20 { journal.publish(&random) }
            let isDone = journal.round()
            #expect(isDone)
        }
        if closed { journal.writer.close() }
        return (disk, journal.published)
    }

    /// How many records a damaged copy gives; nil: it was refused, in the file's name.
    private func outcome(
        _ disk: SimulatedDisk, _ name: String, _ bytes: [UInt8], _ what: String
    ) -> [UInt64]? {
        let copy = disk.copy()
        copy.setContents(name, bytes)
        do throws(JournalError) {
            return try SmallJournal.read(copy).numbers.sorted()
        } catch {
            let names = error.file == name || error.code == .missing
            if !names || (error.offset == nil && error.code != .missing) || error.remedy.isEmpty {
                Issue.record("\(what): \(error)")
            }
            return nil
        }
    }

    @Test(arguments: [true, false])
    func everyBit(closed: Bool) throws {
        let (disk, count) = try make(closed: closed)
        let whole = Array(0..<count)
        #expect(try SmallJournal.read(disk).numbers.sorted() == whole)
        var random = SeededGenerator(seed: 5)
        var refused = 0
        var exact = 0
        let last = try SmallJournal.read(disk).end
        for name in try disk.list() where name != JournalFiles.segment(last.segment + 1) {
            guard let original = disk.contents(name) else { continue }
            // Nothing is read of a prepared segment's zeros, so a sample of them does.
            for place in original.indices {
                let isZeros = name == JournalFiles.segment(last.segment) && place > last.offset + 64
                if isZeros && place % 97 != 0 { continue }
                if !Self.flipsAllBits && random.next() % 8 != 0 { continue }
                let one = Int(random.next() % 8)
                for bit in Self.flipsAllBits && !isZeros ? Array(0..<8) : [one] {
                    var bytes = original
                    bytes[place] ^= 1 << UInt8(bit)
                    guard
                        let found = outcome(disk, name, bytes, "\(name), byte \(place), bit \(bit)")
                    else {
                        refused += 1
                        continue
                    }
                    exact += 1
                    // Of a journal that was not closed the last frame may be taken for a torn one.
                    let isRight =
                        found == whole
                        || (!closed && name == JournalFiles.segment(last.segment)
                            && found == Array(whole.prefix(found.count))
                            && found.count + 20 >= whole.count)
                    #expect(
                        isRight, "\(name), byte \(place), bit \(bit): \(found.count) of \(count)")
                }
            }
        }
        #expect(refused > 500 && exact > 50)
    }

    @Test(arguments: [true, false])
    func everyTruncation(closed: Bool) throws {
        let (disk, count) = try make(closed: closed)
        let last = try SmallJournal.read(disk).end
        for name in try disk.list() where name != JournalFiles.segment(last.segment + 1) {
            guard let original = disk.contents(name) else { continue }
            let step = Self.flipsAllBits ? 1 : 61
            for length in stride(from: 0, to: original.count, by: step) {
                let found = outcome(
                    disk, name, Array(original[..<length]), "\(name) cut at \(length)")
                // A checkpoint that is not whole is passed over: the segments behind it are still there.
                if JournalFiles.checkpointNumber(name) != nil {
                    #expect(found == Array(0..<count), "\(name) cut at \(length)")
                } else if let found {
                    // A segment is never taken short: its header says how long it is. One that a whole checkpoint
                    // covers is not looked at.
                    #expect(found == Array(0..<count), "\(name) cut at \(length)")
                }
            }
        }
    }

    /// The segment that is ready to be written holds nothing: whatever is wrong with it, nothing is lost.
    @Test func aPreparedSegmentMayBeDamaged() throws {
        let (disk, count) = try make(closed: true)
        let last = try SmallJournal.read(disk).end
        let name = JournalFiles.segment(last.segment + 1)
        let whole = try #require(disk.contents(name))
        var flipped = whole
        flipped[9] ^= 1
        let header = [UInt8](repeating: 0xff, count: 4_096) + whole[4_096...]
        for bytes in [flipped, header, Array(whole[..<5_000]), Array(whole[..<100]), []] {
            let copy = disk.copy()
            copy.setContents(name, bytes)
            let (numbers, end) = try SmallJournal.read(copy)
            #expect(numbers.sorted() == Array(0..<count) && end == last)
            #expect(try JournalReader.id(copy) == SmallJournal.id)
            // It is made anew.
            let journal = try SmallJournal(copy, after: end, next: count)
            #expect(try !JournalReader.isVoid(copy, last.segment + 1))
            journal.deallocate()
        }
        // With something in it, nobody knows what that was.
        var used = header
        used[9_000] = 1
        let copy = disk.copy()
        copy.setContents(name, used)
        let error = #expect(throws: JournalError.self) { try SmallJournal.read(copy) }
        #expect(error?.file == name && error?.code == .damaged)
    }

    /// One that is in use is not just made ready, though it looks as if: what it held is lost.
    @Test func aSegmentInUseThatIsEmptyIsRefused() throws {
        let (disk, _) = try make(closed: true)
        let last = try SmallJournal.read(disk).end
        try disk.remove(JournalFiles.segment(last.segment + 1))
        let name = JournalFiles.segment(last.segment)
        for bytes in [[], [UInt8](repeating: 0, count: SmallJournal.segmentBytes)] {
            disk.setContents(name, bytes)
            let error = #expect(throws: JournalError.self) { try SmallJournal.read(disk) }
            #expect(error?.file == name && error?.code == .damaged)
        }
    }

    /// A frame of the journal, valid but for its place.
    private struct Frame {
        var segment: UInt64
        var offset: Int
        var bytes: ArraySlice<UInt8>
    }

    /// All frames of the segments, and one of zeros behind the last.
    private func frames(_ disk: SimulatedDisk) throws -> [Frame] {
        var frames: [Frame] = []
        for number in try disk.segmentNumbers() {
            let name = JournalFiles.segment(number)
            let file = try FrameFile(
                disk, name: name, kind: .segment, number: number, id: SmallJournal.id)
            let bytes = try #require(disk.contents(name))
            var offset = FileHeader.bytes
            while case .frame(let header, _) = try file.frame(at: offset) {
                let end = offset + FrameHeader.bytes + header.payloadBytes
                frames.append(Frame(segment: number, offset: offset, bytes: bytes[offset..<end]))
                offset = end
            }
            if offset + FrameHeader.bytes <= bytes.count {
                frames.append(Frame(segment: number, offset: offset, bytes: []))
            }
        }
        return frames
    }

    /// A write that went to another place than it was meant for, of one file or of another: its checksums are right.
    @Test(arguments: [true, false])
    func aMisdirectedWriteIsNoticed(hasCheckpoint: Bool) throws {
        let (disk, count) = try make(closed: true)
        if !hasCheckpoint { try disk.remove(JournalFiles.checkpoint(2)) }
        let frames = try frames(disk)
        var random = SeededGenerator(seed: 23)
        var (exact, refused) = (0, 0)
        for source in frames where !source.bytes.isEmpty {
            for (index, target) in frames.enumerated() {
                // The ends of segments always, what lies between now and then.
                let neighbours = [index - 1, index + 1].filter(frames.indices.contains)
                let isEnd =
                    neighbours.count < 2
                    || neighbours.contains { frames[$0].segment != target.segment }
                if target.offset == source.offset && target.segment == source.segment { continue }
                if !isEnd && !Self.flipsAllBits && random.next() % 16 != 0 { continue }
                // At a frame's start, or in its middle.
                let shift = random.next() % 4 == 0 ? 8 * Int(random.next() % 16) : 0
                let name = JournalFiles.segment(target.segment)
                let place = target.offset + shift
                var bytes = try #require(disk.contents(name))
                guard place + source.bytes.count <= bytes.count else { continue }
                bytes.replaceSubrange(place..<place + source.bytes.count, with: source.bytes)
                let what = "\(source.segment):\(source.offset) to \(target.segment):\(place)"
                guard let found = outcome(disk, name, bytes, what) else {
                    refused += 1
                    continue
                }
                exact += 1
                #expect(found == Array(0..<count), "\(what): \(found.count) of \(count)")
            }
        }
        #expect(exact > 50 && refused > 200)
    }

    /// What another release wrote is not damaged, and nothing of it is cut or passed over.
    @Test(
        arguments: [JournalFiles.segment(2), JournalFiles.checkpoint(2)],
        [
            (FileHeader.version + 1, JournalError.Code.newerFormat, "newer than"),
            (FileHeader.version - 1, JournalError.Code.olderFormat, "run `tollgate export`"),
        ])
    func anotherFormatIsRefused(
        name: String, _ format: (number: UInt64, code: JournalError.Code, says: String)
    ) throws {
        let (disk, _) = try make(closed: true)
        let bytes = try #require(disk.contents(name))
        var words = bytes.withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) }
        words[1] = words[1] & ~0xFFFF_FFFF | format.number
        var checksum = CRC32C()
        for word in words[..<(FileHeader.words - 1)] { checksum.add(word) }
        words[FileHeader.words - 1] = UInt64(checksum.value)
        disk.setContents(name, words.withUnsafeBytes { Array($0) })
        var error: JournalError?
        if name == JournalFiles.checkpoint(2) {
            error = CheckpointReader(disk, id: SmallJournal.id).check(2)
        } else {
            error = #expect(throws: JournalError.self) { try SmallJournal.read(disk) }
        }
        #expect(error?.code == format.code && error?.file == name && error?.offset == 8)
        // Whoever asks before a start is told the same.
        let asked = #expect(throws: JournalError.self) { try JournalFormats.check(disk) }
        #expect(asked?.code == format.code && asked?.file == name)
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains("written in format \(format.number), "), "\(text)")
        #expect(text.contains(format.says), "\(text)")
        #expect(text.contains("release"), "\(text)")
    }

    @Test func aMissingSegmentIsNamed() throws {
        let (disk, _) = try make(closed: true)
        for number in [2, 3] as [UInt64] {
            let copy = disk.copy()
            try copy.remove(JournalFiles.segment(number))
            do throws(JournalError) {
                _ = try SmallJournal.read(copy)
                Issue.record("segment \(number) is missing and nobody says so")
            } catch {
                #expect(error.file == JournalFiles.segment(number), "\(error)")
            }
        }
    }

    @Test func repairGivesUpWhatIsBehindAPlace() throws {
        let (disk, count) = try make(closed: true)
        let name = JournalFiles.segment(2)
        var bytes = try #require(disk.contents(name))
        bytes[9_000] ^= 1
        disk.setContents(name, bytes)
        do throws(JournalError) {
            _ = try SmallJournal.read(disk)
            Issue.record("damage is not seen")
        } catch {
            let offset = try #require(error.offset)
            let done = try JournalRepair(disk, id: SmallJournal.id).truncate(at: 2, offset)
            #expect(done.done.count >= 3 && done.end.segment == 2 && done.end.offset <= offset)
        }
        let (numbers, end) = try SmallJournal.read(disk)
        #expect(end.segment == 2 && !numbers.isEmpty && numbers.count < Int(count))
        #expect(disk.contents(name + ".damaged") == bytes)
        // And it can be written on.
        var journal = try SmallJournal(disk, after: end, next: count)
        defer { journal.deallocate() }
        var random = SeededGenerator(seed: 1)
        journal.publish(&random)
        let isDone = journal.round()
        #expect(isDone)
        #expect(try SmallJournal.read(disk).numbers.last == count)
    }
}
