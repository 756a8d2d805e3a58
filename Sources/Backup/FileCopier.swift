import Crypto
import Journal

/// Copies files from one directory to another, so that a file has its name there when it is whole and on the disk.
struct FileCopier {
    let source: any Disk
    let target: any Disk
    let work: CopyWork

    /// Bytes at a time, and between two syncs: a disk that others use is never given much at once.
    private static let piece = 1 << 20
    private static let betweenSyncs = 8 << 20

    /// What a copy came to.
    struct Outcome {
        var checksum: String
        /// Of the source.
        var stamp: FileIdentity?
    }

    /// Copies a file, or its front.
    ///
    /// - Parameters:
    ///   - bytes: what is copied, from the file's start.
    ///   - size: what the copy has; behind what is copied there are zeros.
    ///   - newName: the copy's; whatever had it is gone.
    ///   - isRight: asked with the checksum before the copy gets its name; throws if it is not what it should be.
    /// - Throws: `.removed` where the file was removed or replaced meanwhile.
    /// - Complexity: O(size)
    func copy(
        _ name: String, bytes: Int, size: Int, as newName: String,
        isRight: (String) throws(JournalError) -> Void = { _ in }
    ) throws(JournalError) -> Outcome {
        let file = try source.open(name, isWritable: false)
        defer { source.close(file) }
        let stamp = try source.stamp(of: file)
        let temporary = newName + JournalFiles.temporarySuffix
        if try target.list().contains(temporary) { try target.remove(temporary) }
        let copy = try target.create(temporary)
        do throws(JournalError) {
            defer { target.close(copy) }
            let checksum = try fill(copy, from: file, bytes: bytes)
            try pad(copy, from: bytes, to: size)
            try target.sync(copy)
            guard try source.isNamed(file) else {
                throw JournalError(
                    .removed, file: name, reason: "it was removed while it was copied",
                    remedy: "run the command again")
            }
            try isRight(checksum)
            try target.rename(temporary, to: newName)
            try target.syncDirectory()
            return Outcome(checksum: checksum, stamp: stamp)
        } catch {
            // Half of it would only take up room.
            try? target.remove(temporary)
            throw error
        }
    }

    private func fill(
        _ copy: DiskFile, from file: DiskFile, bytes: Int
    ) throws(JournalError) -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.piece, alignment: 4_096)
        defer { buffer.deallocate() }
        var hash = SHA256()
        var offset = 0
        while offset < bytes {
            let piece = UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<min(Self.piece, bytes - offset)])
            guard try source.readFully(file, at: offset, into: piece) == piece.count else {
                throw JournalError(
                    .removed, file: file.name, offset: offset,
                    reason: "it is shorter than it was when the copy began",
                    remedy: "run the command again")
            }
            hash.update(bufferPointer: UnsafeRawBufferPointer(piece))
            try target.write(copy, at: offset, [UnsafeRawBufferPointer(piece)])
            offset += piece.count
            if offset % Self.betweenSyncs == 0 { try target.sync(copy) }
            try work.spend(piece.count)
        }
        return hash.finalize().hexadecimal
    }

    private func pad(
        _ copy: DiskFile, from start: Int, to size: Int
    ) throws(JournalError) {
        var place = start
        while place < size {
            let end = min(size, place / Self.betweenSyncs * Self.betweenSyncs + Self.betweenSyncs)
            try target.zero(copy, from: place, to: end)
            try target.sync(copy)
            try work.check()
            place = end
        }
    }

    /// The checksum of a file of the target.
    func checksum(_ name: String) throws(JournalError) -> (text: String, bytes: Int) {
        let file = try target.open(name, isWritable: false)
        defer { target.close(file) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.piece, alignment: 4_096)
        defer { buffer.deallocate() }
        var hash = SHA256()
        var offset = 0
        while true {
            let count = try target.readFully(file, at: offset, into: buffer)
            guard count > 0 else { return (hash.finalize().hexadecimal, offset) }
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += count
            try work.check()
        }
    }
}

extension SHA256.Digest {
    /// Two lower-case digits for each byte.
    fileprivate var hexadecimal: String {
        map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
