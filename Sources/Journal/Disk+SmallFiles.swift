extension Disk {
    /// All bytes of a small file; nil: it is longer than that, or not there.
    package func contents(_ name: String, atMost maximum: Int) throws(JournalError) -> [UInt8]? {
        guard try list().contains(name) else { return nil }
        let file = try open(name, isWritable: false)
        defer { close(file) }
        let size = try size(of: file)
        guard size <= maximum else { return nil }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { buffer.deallocate() }
        let count = try readFully(file, at: 0, into: buffer)
        return Array(buffer[..<count])
    }

    /// Has a file hold these bytes, or what it held before, whatever happens.
    package func replace(_ name: String, with bytes: [UInt8]) throws(JournalError) {
        let temporary = name + JournalFiles.temporarySuffix
        if try list().contains(temporary) { try remove(temporary) }
        let file = try create(temporary)
        do throws(JournalError) {
            defer { close(file) }
            let written: Result<Void, JournalError> = bytes.withUnsafeBytes { raw in
                do throws(JournalError) {
                    return .success(try write(file, at: 0, [raw]))
                } catch {
                    return .failure(error)
                }
            }
            try written.get()
            try sync(file)
            try rename(temporary, to: name)
            try syncDirectory()
        } catch {
            try? remove(temporary)
            throw error
        }
    }
}
