import Journal
import Testing

@Suite struct OutOfOrderRecordsTests {
    private static func record(_ tenant: UInt64, _ version: UInt64, mark: UInt64 = 0) -> [UInt64] {
        [mark, version, 0, tenant | 5 << 32]
    }

    private static func waiting(_ records: [[UInt64]]) -> OutOfOrderRecords {
        var waiting = OutOfOrderRecords()
        for record in records { record.withUnsafeBufferPointer { waiting.add($0) } }
        return waiting
    }

    @Test func theyGoInTheOrderOfTheirVersions() {
        var waiting = Self.waiting([
            Self.record(7, 5), Self.record(3, 9), Self.record(7, 3), Self.record(7, 4, mark: 1),
            Self.record(7, 4, mark: 2),
        ])
        #expect(waiting.count == 5)
        #expect(
            waiting.all == [
                Self.record(3, 9), Self.record(7, 3), Self.record(7, 4, mark: 1),
                Self.record(7, 4, mark: 2), Self.record(7, 5),
            ])
        #expect(waiting.next(of: 8) == nil)
        var taken: [UInt64] = []
        while let next = waiting.next(of: 7) {
            taken.append(next[1])
            waiting.removeNext(of: 7)
        }
        #expect(taken == [3, 4, 4, 5] && waiting.count == 1 && !waiting.isEmpty)
        waiting.removeNext(of: 7)
        #expect(waiting.count == 1, "none of that tenant waits")
    }

    @Test func aProcessDropsWhatTheOneBeforeLeft() {
        var waiting = Self.waiting([Self.record(1, 5), Self.record(2, 5)])
        #expect(waiting.beginProcess() == 2)
        #expect(waiting.isEmpty && waiting.all.isEmpty && waiting.next(of: 1) == nil)
        #expect(waiting.beginProcess() == 0)
    }

    // Quadratic work would take minutes here.
    @Test(.timeLimit(.minutes(1)))
    func lanesThatWereReadOneByOneAreWovenTogether() {
        let lanes: UInt64 = 8
        let each: UInt64 = 10_000
        var waiting = OutOfOrderRecords()
        for lane in 0..<lanes {
            for place in 0..<each {
                Self.record(7, place * lanes + lane, mark: lane)
                    .withUnsafeBufferPointer { waiting.add($0) }
            }
        }
        var expected: UInt64 = 0
        while let next = waiting.next(of: 7) {
            guard next[0] == expected % lanes, next[1] == expected else { break }
            waiting.removeNext(of: 7)
            expected += 1
        }
        #expect(expected == lanes * each && waiting.isEmpty)
    }
}
