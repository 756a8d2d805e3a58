// What is done to the files of segments; which one is written, and when, is the writer's own.

extension JournalWriter {
    /// Makes a segment full of zeros, synced slice by slice, so that no round waits behind much of it, under its name.
    ///
    /// - Parameter rest: called behind each slice. What it interrupts is removed.
    /// - Returns: the segment, open.
    static func makeSegment(
        _ number: UInt64, _ disk: any Disk, _ id: JournalID, _ configuration: JournalConfiguration,
        epoch: UInt64, _ rest: () throws(JournalError) -> Void = {}
    ) throws(JournalError) -> DiskFile {
        let names = try disk.list()
        if names.contains(JournalFiles.nextSegment) { try disk.remove(JournalFiles.nextSegment) }
        let file = try disk.create(JournalFiles.nextSegment)
        do throws(JournalError) {
            let header = FileHeader(
                kind: .segment, id: id, number: number,
                size: UInt64(configuration.segmentBytes), sequenceFloor: 0, epochFloor: epoch)
            try disk.write(file, at: 0, header.encoded)
            try disk.zero(file, from: FileHeader.bytes, to: configuration.segmentBytes) {
                () throws(JournalError) in
                try disk.sync(file)
                try rest()
            }
            try disk.rename(JournalFiles.nextSegment, to: JournalFiles.segment(number))
            try disk.syncDirectory()
            return DiskFile(descriptor: file.descriptor, name: JournalFiles.segment(number))
        } catch {
            disk.close(file)
            // Half of it would only take up room.
            try? disk.remove(JournalFiles.nextSegment)
            throw error
        }
    }

    /// Makes the end of a segment that an earlier process wrote firm.
    static func settle(
        _ end: JournalEnd, _ disk: any Disk, _ file: DiskFile
    ) throws(JournalError) {
        try writeAgain(end.lastFrame..<end.offset, disk, file)
        try disk.zero(file, from: end.offset, to: (end.tornEnd + 7) & ~7)
        try disk.sync(file)
    }

    /// Writes a frame that was read over itself.
    static func writeAgain(
        _ place: Range<Int>, _ disk: any Disk, _ file: DiskFile
    ) throws(JournalError) {
        let last = UnsafeMutableRawBufferPointer.allocate(byteCount: place.count, alignment: 8)
        defer { last.deallocate() }
        let count = try disk.readFully(file, at: place.lowerBound, into: last)
        guard count == last.count else {
            throw .damaged(file.name, offset: place.lowerBound, reason: "the last frame is missing")
        }
        try disk.write(file, at: place.lowerBound, [UnsafeRawBufferPointer(last)])
    }
}
