internal import Journal
internal import Kit
internal import Limits

/// Records of every kind with random sections, and a checkpoint's entries.
func recordSeeds() -> [[UInt8]] {
    var random = SeededGenerator(seed: 1)
    let ring = RecordRing(capacity: 1 << 11)
    defer { ring.deallocate() }
    let text = Array("be3eb60a-a346-470a-886c-ab4e421711bd".utf8)
    var seeds: [[UInt8]] = []
    for kind in Record.Kind.allCases {
        for _ in 0..<4 {
            text.withUnsafeBytes { text in
                let start = ring.end
                let end = ring.write(randomRecord(kind, text, &random))
                seeds.append(bytes((start..<end).map { ring[$0] }))
            }
        }
    }
    for kind in CheckpointEntry.Kind.allCases {
        var image = CheckpointEntry.Encoder()
        image.begin(kind, version: 7, time: 1_800_000_000_000, tenant: 3)
        for word in 0..<12 { image.append(UInt64(word)) }
        image.append(text)
        image.seal()
        seeds.append(bytes(image.words))
    }
    return seeds
}

private func randomRecord(
    _ kind: Record.Kind, _ text: UnsafeRawBufferPointer, _ random: inout SeededGenerator
) -> Record {
    func amounts() -> Amounts {
        var amounts = Amounts()
        for resource in Resource.allCases where Bool.random(using: &random) {
            amounts.set(resource.index, Int64.random(in: -9...1_000_000_000, using: &random))
        }
        return amounts
    }
    func deltas() -> CounterDeltas {
        var deltas = CounterDeltas()
        for counter in 0..<LimitKind.counterCount where Bool.random(using: &random) {
            deltas.set(counter, Int64.random(in: -9...1_000_000_000, using: &random))
        }
        return deltas
    }
    var record = Record(kind)
    record.version = .random(in: 1...1_000, using: &random)
    record.time = 1_800_000_000_000
    record.tenant = .random(in: 0...9, using: &random)
    record.profile = Bool.random(using: &random) ? 5 : nil
    record.transition.committed = deltas()
    record.transition.held = deltas()
    record.asked = amounts()
    record.charged = amounts()
    record.transition.profileHeld = .random(in: 0...1, using: &random)
    record.transition.profileCommitted = .random(in: 0...1, using: &random)
    record.openedDay = .random(in: 0...1, using: &random)
    record.openedCycleEnd = .random(in: 0...1, using: &random)
    record.reservationID = .random(in: 0...1, using: &random) << 62
    record.expiresAt = .random(in: 0...1, using: &random)
    record.keyHigh = .random(in: 0...1, using: &random)
    record.keyUntil = record.time
    record.closed.count = .random(in: 0...4, using: &random)
    for index in 0..<record.closed.count { record.closed.charges[index].amounts = amounts() }
    if Bool.random(using: &random) { record.text = text }
    return record
}

private func bytes(_ words: [UInt64]) -> [UInt8] { words.withUnsafeBytes { Array($0) } }
