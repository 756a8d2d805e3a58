import Glibc
import Limits

/// The id of a tenant or profile inside its 64-byte cell: the low half of word 0 of the area is that of the directory
/// hash (the other half is `TenantCell.use`), then one byte of
/// length and up to 39 bytes of id. A longer id (up to 64 bytes) stands in a record of its own, whose index takes
/// the place of the bytes.
///
/// Written once before the cell is published in a directory, and never again: plain memory accesses.
enum CellID {
    /// Where the area starts within a cell.
    static let firstWord = 2
    static let inlineBytes = 39
    /// Of the area: the hash, and length and bytes.
    static let words = 1 + (1 + inlineBytes + 7) / 8

    /// The low half, which says where an id belongs in a directory of up to 2^32 places.
    static func hash(_ area: Words) -> UInt64 { area[0] & 0xffff_ffff }

    static func write(
        _ id: BorrowedBytes, hash: UInt64, to area: Words, longIDs: Region<CacheLine>,
        nextLong: Words
    ) throws(TableError) {
        precondition((1...CacheLine.longestID).contains(id.count), "id length")
        guard let source = id.baseAddress else { return }
        area[0] = hash & 0xffff_ffff
        let bytes = UnsafeMutableRawPointer(area.base + 1)
        if id.count <= inlineBytes {
            memcpy(bytes + 1, source, id.count)
        } else {
            let index = Int(nextLong.add(0, 1))
            guard index < longIDs.capacity else { throw TableError.full("long ids") }
            memcpy(UnsafeMutableRawPointer(longIDs[index].base), source, id.count)
            area[2] = UInt64(index)
        }
        bytes.storeBytes(of: UInt8(id.count), as: UInt8.self)
    }

    @inline(always)
    static func bytes(_ area: Words, _ longIDs: Region<CacheLine>) -> BorrowedBytes {
        let start = UnsafeRawPointer(area.base + 1)
        let count = Int(start.load(as: UInt8.self))
        if count <= inlineBytes { return BorrowedBytes(start: start + 1, count: count) }
        return BorrowedBytes(start: UnsafeRawPointer(longIDs[Int(area[2])].base), count: count)
    }

    @inline(always)
    static func matches(_ area: Words, _ id: BorrowedBytes, _ longIDs: Region<CacheLine>) -> Bool {
        let own = bytes(area, longIDs)
        guard own.count == id.count, let a = own.baseAddress, let b = id.baseAddress else {
            return false
        }
        guard id.count >= 8 else { return memcmp(a, b, id.count) == 0 }
        // Word by word; the last word takes up again some bytes of the one before.
        let last = id.count &- 8
        var offset = 0
        while offset < last {
            guard
                a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    == b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            else { return false }
            offset &+= 8
        }
        return a.loadUnaligned(fromByteOffset: last, as: UInt64.self)
            == b.loadUnaligned(fromByteOffset: last, as: UInt64.self)
    }
}
