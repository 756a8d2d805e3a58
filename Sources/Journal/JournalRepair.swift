/// Cuts a damaged journal: the operator's last resort.
package struct JournalRepair {
    private let disk: any Disk
    private let id: JournalID

    package init(_ disk: any Disk, id: JournalID) {
        self.disk = disk
        self.id = id
    }

    /// Gives up everything behind a place: the segment's rest is overwritten with zeros, later segments are set aside.
    /// Copies of what is changed keep the name with `.damaged` behind it.
    ///
    /// - Returns: where the journal ends now, and what was done, a sentence each.
    package func truncate(
        at segment: UInt64, _ offset: Int
    ) throws(JournalError) -> (end: JournalPlace, done: [String]) {
        let name = JournalFiles.segment(segment)
        let names = try disk.list()
        guard names.contains(name) else {
            throw JournalError(
                .invalid, file: name, reason: "no such segment",
                remedy: "give the segment and offset from the error message")
        }
        let (place, size) = try frameStart(segment, name, offset)
        var done: [String] = []
        let copy = name + ".damaged"
        guard !names.contains(copy) else {
            throw JournalError(
                .invalid, file: copy, reason: "a copy already exists",
                remedy: "move it out of the directory first")
        }
        try self.copy(name, to: copy)
        try disk.syncDirectory()
        done.append("saved a copy: \(copy)")
        let file = try disk.open(name, isWritable: true)
        defer { disk.close(file) }
        // A segment that was cut short gets its length back.
        try disk.truncate(file, to: size)
        try disk.zero(file, from: place, to: size)
        try disk.sync(file)
        done.append("truncated \(name) at offset \(place)")
        for later in try disk.segmentNumbers() where later > segment {
            let name = JournalFiles.segment(later)
            try disk.rename(name, to: name + ".damaged")
            done.append("moved \(name) aside")
        }
        for later in try disk.checkpointNumbers() where later > segment {
            let name = JournalFiles.checkpoint(later)
            try disk.rename(name, to: name + ".damaged")
            done.append("moved \(name) aside")
        }
        try disk.syncDirectory()
        return (JournalPlace(segment: segment, offset: place), done)
    }

    /// The start of the frame that holds a place (a frame is whole or it is not there), and the segment's bytes.
    private func frameStart(
        _ segment: UInt64, _ name: String, _ offset: Int
    ) throws(JournalError) -> (place: Int, size: Int) {
        let file = try FrameFile(disk, name: name, kind: .segment, number: segment, id: id)
        let size = Int(file.header.size)
        guard (FileHeader.bytes...size).contains(offset) else {
            throw JournalError(
                .invalid, file: name, offset: offset, reason: "the offset is outside the frames",
                remedy: "give an offset from \(FileHeader.bytes) to \(size)")
        }
        var place = FileHeader.bytes
        while place < offset {
            guard case .frame(let frame, _) = try file.frame(at: place) else { break }
            let next = place + FrameHeader.bytes + frame.payloadBytes
            if next > offset { break }
            place = next
        }
        return (place, size)
    }

    private func copy(_ name: String, to copy: String) throws(JournalError) {
        let from = try disk.open(name, isWritable: false)
        defer { disk.close(from) }
        let to = try disk.create(copy)
        defer { disk.close(to) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4_096)
        defer { buffer.deallocate() }
        var offset = 0
        while true {
            let count = try disk.readFully(from, at: offset, into: buffer)
            if count == 0 { break }
            try disk.write(to, at: offset, [UnsafeRawBufferPointer(rebasing: buffer[..<count])])
            offset += count
        }
        try disk.sync(to)
    }
}
