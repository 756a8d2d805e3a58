import CNGHTTP2
import Glibc

/// The allocator that nghttp2's sessions of one thread share: size classes with free lists.
///
/// nghttp2 allocates and frees about eight small objects for each request (stream, queued frames,
/// copied field lists). The lists turn each of those into a few instructions, and keep the same few
/// cache lines in use over all connections. Blocks above the largest class go to malloc.
///
/// Every block carries its class in the sixteen bytes ahead of it, because nghttp2 frees without a
/// size. Memory is returned to the system with the pool, or by `trim`.
///
/// Thread safety: none; one pool per thread. The pool must outlive its sessions (they retain it).
package final class SessionMemory {
    private static let headerBytes = 16
    /// Block sizes without header: 48, 112, 240, 496, 1 008 bytes.
    private static let classCount = 5
    private static let smallest = 64
    private static let large = UInt64.max

    private struct Node {
        var next: UnsafeMutablePointer<Node>?
    }

    /// What the sessions of this thread count.
    package let counts = SessionCounts()
    /// Heads of the free lists; outside the object so that the C thunks reach them by pointer.
    private let lists: UnsafeMutablePointer<UnsafeMutablePointer<Node>?>
    /// nghttp2 keeps no copy of this structure's address beyond session creation.
    private let hooks: UnsafeMutablePointer<nghttp2_mem>

    package init() {
        lists = .allocate(capacity: Self.classCount)
        lists.initialize(repeating: nil, count: Self.classCount)
        hooks = .allocate(capacity: 1)
        hooks.initialize(
            to: nghttp2_mem(
                mem_user_data: lists,
                malloc: { SessionMemory.allocate($0, $1) },
                free: { SessionMemory.free($0, $1) },
                calloc: { SessionMemory.allocateZeroed($0, $1, $2) },
                realloc: { SessionMemory.reallocate($0, $1, $2) }))
    }

    deinit {
        for index in 0..<Self.classCount {
            while let node = lists[index] {
                lists[index] = node.pointee.next
                Glibc.free(node)
            }
        }
        lists.deallocate()
        hooks.deallocate()
    }

    /// Frees blocks that wait for use, but for some of each size.
    ///
    /// - Complexity: O(blocks)
    package func trim(keeping count: Int) {
        for index in 0..<Self.classCount {
            var last = lists[index]
            var kept = 1
            while kept < count, let node = last {
                last = node.pointee.next
                kept += 1
            }
            guard let last else { continue }
            var node = last.pointee.next
            last.pointee.next = nil
            while let freed = node {
                node = freed.pointee.next
                Glibc.free(freed)
            }
        }
    }

    /// What `nghttp2_session_*_new3` takes.
    var nghttp2: UnsafeMutablePointer<nghttp2_mem> { hooks }

    /// The class of a block of `total` bytes, header included; nil: too large.
    @inline(__always)
    private static func sizeClass(_ total: Int) -> Int? {
        guard total <= smallest << (classCount - 1) else { return nil }
        guard total > smallest else { return 0 }
        return (Int.bitWidth - (total - 1).leadingZeroBitCount) - smallest.trailingZeroBitCount
    }

    @inline(__always)
    private static func allocate(
        _ size: Int, _ user: UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer? {
        let (total, overflow) = size.addingReportingOverflow(headerBytes)
        guard !overflow, size >= 0, let user else { return nil }
        guard let index = sizeClass(total) else {
            guard let block = malloc(total) else { return nil }
            block.storeBytes(of: large, as: UInt64.self)
            block.storeBytes(of: size, toByteOffset: 8, as: Int.self)
            return block + headerBytes
        }
        let lists = user.assumingMemoryBound(to: UnsafeMutablePointer<Node>?.self)
        let block: UnsafeMutableRawPointer
        if let node = lists[index] {
            lists[index] = node.pointee.next
            block = UnsafeMutableRawPointer(node)
        } else {
            guard let fresh = malloc(smallest << index) else { return nil }
            block = fresh
        }
        block.storeBytes(of: UInt64(index), as: UInt64.self)
        return block + headerBytes
    }

    @inline(__always)
    private static func free(_ pointer: UnsafeMutableRawPointer?, _ user: UnsafeMutableRawPointer?)
    {
        guard let pointer, let user else { return }
        let block = pointer - headerBytes
        let index = block.load(as: UInt64.self)
        guard index != large else { return Glibc.free(block) }
        let lists = user.assumingMemoryBound(to: UnsafeMutablePointer<Node>?.self)
        let node = block.bindMemory(to: Node.self, capacity: 1)
        node.pointee.next = lists[Int(index)]
        lists[Int(index)] = node
    }

    private static func allocateZeroed(
        _ count: Int, _ size: Int, _ user: UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer? {
        let (total, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, let pointer = allocate(total, user) else { return nil }
        memset(pointer, 0, total)
        return pointer
    }

    private static func reallocate(
        _ pointer: UnsafeMutableRawPointer?, _ size: Int, _ user: UnsafeMutableRawPointer?
    ) -> UnsafeMutableRawPointer? {
        guard let pointer else { return allocate(size, user) }
        let block = pointer - headerBytes
        let index = block.load(as: UInt64.self)
        let room =
            index == large
            ? block.load(fromByteOffset: 8, as: Int.self) : smallest << Int(index) - headerBytes
        if index != large, size <= room { return pointer }
        guard let fresh = allocate(size, user) else { return nil }
        memcpy(fresh, pointer, min(room, size))
        free(pointer, user)
        return fresh
    }
}
