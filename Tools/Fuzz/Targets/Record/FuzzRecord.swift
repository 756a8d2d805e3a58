internal import Journal
internal import Kit
internal import Limits

// Records and checkpoint entries whose checksum is right, but whose words are anything: they are refused, or read, and
// what was read is written and read again to the same words.

/// Rings into which what was read is written again.
private let first = RecordRing(capacity: 1 << 11)
private let second = RecordRing(capacity: 1 << 11)

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked(recordSeeds)
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    guard bytes.count >= 8 else { return 0 }
    var words = [UInt64](repeating: 0, count: bytes.count / 8)
    words.withUnsafeMutableBytes { $0.copyMemory(from: .init(rebasing: bytes[..<$0.count])) }
    // A container has found that the length is what the first word says; the checksum is not looked at here.
    words[0] = words[0] & ~(0xffff << 32) | UInt64(words.count) << 32
    words.withUnsafeBufferPointer { words in
        read(words)
    }
    // The same words as each kind of a checkpoint's entry.
    for kind in CheckpointEntry.Kind.allCases {
        words[0] =
            words[0] & 0xffff_ffff_ffff | UInt64(kind.rawValue) << 48
            | RecordWords.format << 56
        words.withUnsafeBufferPointer(readEntry)
    }
    return 0
}

private func readEntry(_ words: UnsafeBufferPointer<UInt64>) {
    guard let entry = try? CheckpointEntry(words) else { return }
    switch entry {
    case .tenant(let tenant): touch(tenant.settings)
    case .profile(let profile): touch(profile.settings)
    case .setting(_, let text): touch(text)
    case .table, .reservation, .key, .clock: break
    }
}

private func read(_ words: UnsafeBufferPointer<UInt64>) {
    var record = Record(.reserved)
    do {
        try record.read(words)
    } catch {
        return
    }
    precondition(record.text.count <= Record.longestText)
    precondition((0...4).contains(record.closed.count))
    touch(record.text)
    let copy = write(record, first)
    copy.withUnsafeBufferPointer { copy in
        var again = Record(.reserved)
        do {
            try again.read(copy)
        } catch {
            preconditionFailure("what was read cannot be written and read again: \(error)")
        }
        precondition(write(again, second) == Array(copy), "a record is not what it was")
    }
}

private func write(_ record: borrowing Record, _ ring: RecordRing) -> [UInt64] {
    let start = ring.end
    let end = ring.write(record)
    let words = (start..<end).map { ring[$0] }
    ring.publish(to: end)
    ring.setDurable(end)
    return words
}

/// Looks at every byte, so that one beyond the memory is found.
private func touch(_ text: BorrowedBytes?) {
    guard let text else { return }
    precondition(text.reduce(0) { $0 &+ Int($1) } >= 0)
}
