import Glibc
package import Journal

/// A directory in memory that loses what was not synced when its machine crashes: any of the 512-byte sectors written
/// since the last sync of their file, and any tail of the changes of names since the last sync of the directory.
///
/// Deterministic: the same seed and the same calls give the same faults and the same `trace`. One thread.
// SAFETY: for one thread at a time.
package final class SimulatedDisk: Disk, @unchecked Sendable {
    package static let sector = 512

    /// What goes wrong, and when.
    package struct Faults: Sendable {
        /// The power goes at this operation (1: the next one that changes something): it happens in part or not at
        /// all, and every later one fails until `crash`.
        package var powerCutIn: Int?
        /// The sync of this number, from now on, fails; what it should have synced stays unsynced.
        package var failingSyncIn: Int?
        /// Bytes that all files together may have; nil: any.
        package var capacity: Int?
        /// Files that may be open at a time, the process's descriptors; nil: any. A listing needs one too.
        package var openFiles: Int?

        package init() {}
    }

    private final class File {
        var bytes: [UInt8] = []
        /// As they are on the disk for sure.
        var durable: [UInt8] = []
        /// Sectors whose bytes differ from `durable`, or may.
        var dirty: Set<Int> = []
    }

    private enum NameChange {
        case add(String, File)
        case remove(String)
        case rename(String, String)
    }

    package var faults = Faults()
    /// Called with its name when a file was made.
    package var onCreate: ((String) -> Void)?
    /// Called with its name when a file was synced.
    package var onSync: ((String) -> Void)?
    /// A hash of every operation so far, with every byte that was written.
    package private(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325
    /// Operations that changed something or synced.
    package private(set) var operations = 0
    private var random: SeededGenerator
    private var names: [String: File] = [:]
    private var durableNames: [String: File] = [:]
    private var nameChanges: [NameChange] = []
    private var open: [Int32: File] = [:]
    private var nextDescriptor: Int32 = 3
    private var isLocked = false
    /// The power is gone: everything fails until `crash`.
    package private(set) var hasNoPower = false

    package init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    // MARK: The machine

    /// The machine crashes and comes back: what was not synced is there in part. The process that used it is gone.
    package func crash() {
        var survivors = durableNames
        let kept = nameChanges.isEmpty ? 0 : Int(random.next() % UInt64(nameChanges.count + 1))
        for change in nameChanges.prefix(kept) { Self.apply(change, to: &survivors) }
        for name in survivors.keys.sorted() {
            guard let file = survivors[name] else { continue }
            for sector in file.dirty.sorted() where random.next() & 1 == 0 {
                Self.copySector(sector, from: file.bytes, to: &file.durable)
            }
            file.bytes = file.durable
            file.dirty = []
        }
        names = survivors
        durableNames = survivors
        nameChanges = []
        endProcess()
    }

    /// The process ends; what it wrote stays.
    package func endProcess() {
        open = [:]
        isLocked = false
        hasNoPower = false
        faults.powerCutIn = nil
        faults.failingSyncIn = nil
    }

    private static func apply(_ change: NameChange, to names: inout [String: File]) {
        switch change {
        case .add(let name, let file): names[name] = file
        case .remove(let name): names[name] = nil
        case .rename(let old, let new):
            names[new] = names[old]
            names[old] = nil
        }
    }

    private static func copySector(_ sector: Int, from: [UInt8], to: inout [UInt8]) {
        let start = sector * Self.sector
        let end = min(start + Self.sector, from.count)
        guard start < end else { return }
        if to.count < end { to += Array(repeating: 0, count: end - to.count) }
        to.replaceSubrange(start..<end, with: from[start..<end])
    }

    /// All of a file's bytes, for a test to look at or to change.
    package func contents(_ name: String) -> [UInt8]? { names[name]?.bytes }

    package func setContents(_ name: String, _ bytes: [UInt8]) {
        let file = File()
        file.bytes = bytes
        file.durable = bytes
        names[name] = file
        durableNames[name] = file
    }

    /// An independent copy of what a process would find, without faults.
    package func copy() -> SimulatedDisk {
        let copy = SimulatedDisk(seed: 0)
        for (name, file) in names { copy.setContents(name, file.bytes) }
        return copy
    }

    /// An independent copy of what is on the disk for sure, without faults.
    package func durableCopy() -> SimulatedDisk {
        let copy = SimulatedDisk(seed: 0)
        for (name, file) in durableNames { copy.setContents(name, file.durable) }
        return copy
    }

    // MARK: Faults

    /// Counts an operation. False: the power goes during it.
    private func proceed(_ name: String, _ what: UInt64) throws(JournalError) -> Bool {
        guard !hasNoPower else { throw failure(name, "the power is gone") }
        operations += 1
        note(what)
        for byte in name.utf8 { note(UInt64(byte)) }
        guard let left = faults.powerCutIn else { return true }
        faults.powerCutIn = left - 1
        guard left <= 1 else { return true }
        hasNoPower = true
        return false
    }

    private func note(_ word: UInt64) {
        trace = (trace ^ word) &* 0x0000_0100_0000_01b3
    }

    private func note(_ bytes: UnsafeRawBufferPointer) {
        var checksum = CRC32C()
        var offset = 0
        while offset + 8 <= bytes.count {
            checksum.add(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        for byte in bytes[offset...] { checksum.add(UInt64(byte)) }
        note(UInt64(checksum.value))
    }

    private func failure(_ name: String, _ reason: String) -> JournalError {
        JournalError(.system, file: name, reason: reason, remedy: "simulated")
    }

    private func file(_ file: DiskFile) throws(JournalError) -> File {
        guard let found = open[file.descriptor] else { throw failure(file.name, "it is not open") }
        return found
    }

    // MARK: Disk

    package func list() throws(JournalError) -> [String] {
        try spareDescriptor("the directory")
        return names.keys.sorted()
    }

    private func spareDescriptor(_ name: String) throws(JournalError) {
        guard let most = faults.openFiles, open.count >= most else { return }
        throw JournalError(
            .system, file: name, errno: EMFILE, reason: "too many open files",
            remedy: "simulated")
    }

    package func create(_ name: String) throws(JournalError) -> DiskFile {
        try spareDescriptor(name)
        let goesOn = try proceed(name, 1)
        guard names[name] == nil else { throw failure(name, "it exists") }
        let file = File()
        names[name] = file
        nameChanges.append(.add(name, file))
        guard goesOn else { throw failure(name, "the power is gone") }
        onCreate?(name)
        return opened(file, name)
    }

    package func open(_ name: String, isWritable: Bool) throws(JournalError) -> DiskFile {
        try spareDescriptor(name)
        guard let file = names[name] else {
            throw JournalError(.missing, file: name, reason: "it is not there", remedy: "simulated")
        }
        return opened(file, name)
    }

    private func opened(_ file: File, _ name: String) -> DiskFile {
        nextDescriptor += 1
        open[nextDescriptor] = file
        return DiskFile(descriptor: nextDescriptor, name: name)
    }

    package func close(_ file: DiskFile) { open[file.descriptor] = nil }

    package func size(of file: DiskFile) throws(JournalError) -> Int {
        try self.file(file).bytes.count
    }

    package func read(
        _ file: DiskFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(JournalError) -> Int {
        let bytes = try self.file(file).bytes
        guard offset < bytes.count else { return 0 }
        // Now and then less than there is, as systems may.
        var count = min(buffer.count, bytes.count - offset)
        if count > 1 && random.next() % 16 == 0 { count = max(1, count / 2) }
        bytes.withUnsafeBytes { source in
            buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + count]))
        }
        return count
    }

    package func write(
        _ file: DiskFile, at offset: Int, _ pieces: [UnsafeRawBufferPointer]
    ) throws(JournalError) {
        let target = try self.file(file)
        let goesOn = try proceed(file.name, 2)
        let total = pieces.reduce(0) { $0 + $1.count }
        let grows = max(0, offset + total - target.bytes.count)
        if let capacity = faults.capacity,
            grows > 0 && usedBytes + grows > capacity
        {
            throw JournalError(
                .noSpace, file: file.name, offset: offset, reason: "the disk is full",
                remedy: "simulated")
        }
        // A write that the power interrupts has reached some of its bytes.
        var left = goesOn ? total : total > 0 ? Int(random.next() % UInt64(total)) : 0
        var place = offset
        if target.bytes.count < offset + left {
            target.bytes += Array(repeating: 0, count: offset + left - target.bytes.count)
        }
        for piece in pieces where left > 0 {
            let count = min(piece.count, left)
            target.bytes.replaceSubrange(place..<place + count, with: piece[..<count])
            place += count
            left -= count
        }
        note(UInt64(offset))
        note(UInt64(total))
        note(UInt64(place - offset))
        for piece in pieces { note(piece) }
        if place > offset {
            for sector in offset / Self.sector...(place - 1) / Self.sector {
                target.dirty.insert(sector)
            }
        }
        if !goesOn { throw failure(file.name, "the power is gone") }
    }

    package func sync(_ file: DiskFile) throws(JournalError) {
        let target = try self.file(file)
        let goesOn = try proceed(file.name, 3)
        if let left = faults.failingSyncIn {
            faults.failingSyncIn = left - 1
            if left <= 1 { throw failure(file.name, "cannot sync it: simulated") }
        }
        guard goesOn else { throw failure(file.name, "the power is gone") }
        for sector in target.dirty.sorted() {
            Self.copySector(sector, from: target.bytes, to: &target.durable)
        }
        if target.durable.count > target.bytes.count {
            target.durable.removeLast(target.durable.count - target.bytes.count)
        }
        target.dirty = []
        onSync?(file.name)
    }

    package func truncate(_ file: DiskFile, to size: Int) throws(JournalError) {
        let target = try self.file(file)
        guard try proceed(file.name, 4) else { throw failure(file.name, "the power is gone") }
        note(UInt64(size))
        if size < target.bytes.count {
            target.bytes.removeLast(target.bytes.count - size)
        } else {
            target.bytes += Array(repeating: 0, count: size - target.bytes.count)
        }
        for sector in 0...max(0, size / Self.sector) { target.dirty.insert(sector) }
    }

    package func rename(_ name: String, to newName: String) throws(JournalError) {
        let goesOn = try proceed(name, 5)
        guard names[name] != nil else { throw failure(name, "it is not there") }
        for byte in newName.utf8 { note(UInt64(byte)) }
        let change = NameChange.rename(name, newName)
        Self.apply(change, to: &names)
        nameChanges.append(change)
        guard goesOn else { throw failure(name, "the power is gone") }
    }

    package func remove(_ name: String) throws(JournalError) {
        let goesOn = try proceed(name, 6)
        guard names[name] != nil else { throw failure(name, "it is not there") }
        let change = NameChange.remove(name)
        Self.apply(change, to: &names)
        nameChanges.append(change)
        guard goesOn else { throw failure(name, "the power is gone") }
    }

    package func syncDirectory() throws(JournalError) {
        guard try proceed("", 7) else { throw failure("directory", "the power is gone") }
        durableNames = names
        nameChanges = []
    }

    /// Files that are open.
    package var openFiles: Int { open.count }

    /// Bytes of all files together.
    package var usedBytes: Int { names.values.reduce(0) { $0 + $1.bytes.count } }

    package func lock() throws(JournalError) {
        guard !isLocked else {
            throw JournalError(
                .locked, file: JournalFiles.lock,
                reason: "the directory is in use by another process",
                remedy: "simulated")
        }
        isLocked = true
    }

    package func unlock() { isLocked = false }
}
