import Foundation
import Journal
import Testing

@Suite("Record ring") struct RecordRingTests {
    @Test("Holds its capacity and no more, and has room again for what is durable")
    func room() {
        let ring = RecordRing(capacity: 1_000)
        defer { ring.deallocate() }
        #expect(ring.capacity == 1_024)
        #expect(ring.hasRoom(1_024))
        ring.publish(to: 1_000)
        #expect(ring.hasRoom(24))
        #expect(!ring.hasRoom(25))
        ring.setDurable(10)
        #expect(ring.hasRoom(34))
        #expect(!ring.hasRoom(35))
    }

    @Test("A consumer reads every word that a producer published, lap after lap")
    func laps() {
        let ring = RecordRing(capacity: 1_024)
        defer { ring.deallocate() }
        let total: UInt64 = 200_000
        let producer = Thread {
            while ring.end < total {
                let count = min(7, total - ring.end)
                guard ring.hasRoom(Int(count)) else {
                    sched_yield()
                    continue
                }
                for offset in 0..<count { ring[ring.end + offset] = (ring.end + offset) * 3 }
                ring.publish(to: ring.end + count)
            }
        }
        producer.start()
        var wrong = 0
        while ring.durable < total {
            let start = ring.durable
            let end = ring.published
            var position = start
            while position < end {
                let piece = ring.bytes(from: position, count: Int(end - position))
                for word in piece.bindMemory(to: UInt64.self) {
                    if word != position * 3 { wrong += 1 }
                    position += 1
                }
            }
            ring.setDurable(end)
            if start == end { sched_yield() }
        }
        #expect(wrong == 0)
    }
}
