import Synchronization
import Testing

@testable import Admission

/// Connections by name; what became of them.
private final class Door: Sendable {
    let evicted = Mutex<[String]>([])
    let told = Mutex<[ConnectionPlaces.Notice]>([])

    func places(_ total: Int, _ perAddress: Int) -> ConnectionPlaces {
        ConnectionPlaces(total: total, perAddress: perAddress) { notice in
            self.told.withLock { $0.append(notice) }
        }
    }

    func open(
        _ places: ConnectionPlaces, _ name: String, from address: String, at now: UInt64
    ) -> ConnectionPlace? {
        places.take(address: address, nowNanoseconds: now) {
            self.evicted.withLock { $0.append(name) }
        }
    }

    var gone: [String] { evicted.withLock { $0 } }
}

@Suite struct PlacesTests {
    @Test func aStrangerGoesBeforeWhoIsKnown() throws {
        let door = Door()
        let places = door.places(3, 3)
        let known = try #require(door.open(places, "known", from: "a", at: 1))
        known.markKnown()
        _ = door.open(places, "first", from: "b", at: 2)
        _ = door.open(places, "second", from: "c", at: 3)
        for (index, name) in ["x", "y", "z"].enumerated() {
            let place = door.open(places, name, from: "d\(index)", at: UInt64(10 + index))
            #expect(place != nil)
        }
        #expect(door.gone == ["first", "second", "x"])
        #expect(places.count == 3)
    }

    /// Requests that strangers have under way do not keep their places from who comes.
    @Test func aBusyStrangerGoesByItsAge() throws {
        let door = Door()
        let places = door.places(3, 3)
        let all = try ["a", "b", "c"].enumerated().map { index, name in
            try #require(door.open(places, name, from: "x", at: UInt64(index)))
        }
        for place in all { place.markBusy() }
        _ = door.open(places, "d", from: "x", at: 10)
        _ = door.open(places, "e", from: "x", at: 11)
        #expect(door.gone == ["a", "b"])
    }

    /// Who comes again and again begins with less; others do not, and nothing is owed for ever.
    @Test func anAddressOwesForStrangersThatComeAgainAndAgain() throws {
        let places = Door().places(10, 10)
        let second: UInt64 = 1_000_000_000
        func visit(_ address: String, _ now: UInt64, isStranger: Bool = true) -> Bool {
            guard let place = places.take(address: address, nowNanoseconds: now, evict: {}) else {
                return false
            }
            place.give(unpaidAtNanoseconds: isStranger ? now : nil)
            return place.isSuspect
        }
        let patient = (0..<50).filter { visit("patient", second * UInt64($0) / 10) }
        #expect(patient.isEmpty)
        let known = (0..<100).filter { _ in visit("known", second, isStranger: false) }
        #expect(known.isEmpty)
        let suspect = (0..<200).count { _ in visit("attacker", second) }
        #expect((150..<200).contains(suspect))
        #expect(!visit("other", second))
        #expect(visit("attacker", 2 * second))
        #expect(!visit("attacker", 6 * second))
        for index in 0..<10_000 { _ = visit("many\(index)", second) }
        #expect(!visit("other", second))
    }

    @Test func amongTheKnownTheLongestIdleGoes() throws {
        let door = Door()
        let places = door.places(3, 3)
        let all = try ["a", "b", "c"].enumerated().map { index, name in
            try #require(door.open(places, name, from: name, at: UInt64(index)))
        }
        for place in all { place.markKnown() }
        all[0].markIdle(sinceNanoseconds: 50)
        all[1].markBusy()
        let fourth = try #require(door.open(places, "d", from: "d", at: 60))
        fourth.markKnown()
        #expect(door.gone == ["c"])
        // What a look has found is looked at again before it is believed.
        all[0].markIdle(sinceNanoseconds: 70)
        _ = door.open(places, "e", from: "e", at: 80)
        #expect(door.gone == ["c", "d"])
    }

    @Test func whereAllAreBusyWhoComesIsRefused() throws {
        let door = Door()
        let places = door.places(2, 2)
        for name in ["a", "b"] {
            let place = try #require(door.open(places, name, from: name, at: 1))
            place.markKnown()
            place.markBusy()
        }
        #expect(door.open(places, "c", from: "c", at: 2) == nil)
        #expect(places.counts.refused == 1)
        #expect(door.gone.isEmpty)
    }

    @Test func anAddressThatHasItsPlacesTakesThemFromItself() throws {
        let door = Door()
        let places = door.places(100, 2)
        let other = try #require(door.open(places, "other", from: "10.0.0.9", at: 0))
        for index in 0..<50 {
            #expect(door.open(places, "\(index)", from: "10.0.0.1", at: UInt64(index + 1)) != nil)
        }
        #expect(places.count == 3)
        #expect(door.gone == (0..<48).map(String.init))
        other.give()
        #expect(places.count == 2)
    }

    @Test func aHouseThatIsFullIsToldOnce() throws {
        let door = Door()
        let places = door.places(16, 16)
        var open = (0..<16).compactMap { door.open(places, "\($0)", from: "a\($0)", at: 1) }
        for _ in 0..<10 {
            if let place = door.open(places, "x", from: "b", at: 2) { open.append(place) }
        }
        #expect(door.told.withLock { $0 } == [.full(places: 16)])
        for place in open { place.give() }
        for place in open { place.give() }
        #expect(places.count == 0)
        #expect(door.told.withLock { $0 } == [.full(places: 16), .roomAgain])
    }

    @Test func aFullAddressIsToldOnce() throws {
        let door = Door()
        let places = door.places(16, 2)
        let open = (0..<6).compactMap { door.open(places, "\($0)", from: "a", at: UInt64($0)) }
        #expect(
            door.told.withLock { $0 } == [.addressFull(address: "a", places: 2)])
        open.last?.give()
        #expect(door.told.withLock { $0.last } == .roomAgain)
    }

    /// Who opens and closes connections at the bound has no say in how much is told.
    @Test func whoComesAndGoesIsToldOfOnceAMinute() throws {
        let door = Door()
        let places = door.places(16, 2)
        let minute = ConnectionPlaces.quiet
        for turn in 0..<120 {
            let now = UInt64(turn) * (minute / 60)
            let open = (0..<3).compactMap { door.open(places, "\($0)", from: "a", at: now) }
            for place in open { place.give() }
        }
        let told = door.told.withLock { $0 }
        let full = ConnectionPlaces.Notice.addressFull(address: "a", places: 2)
        #expect(told == [full, .roomAgain, full, .roomAgain])
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002::/64"),
        ("2001:db8:1:2::7", "20010db800010002::/64"), ("fe80::1%eth0", "fe80000000000000::/64"),
        ("nonsense:", "nonsense:"), ("", ""),
    ])
    func addressesOfOneNetworkAreOne(address: String, group: String) {
        #expect(PeerAddress.group(of: address) == group)
    }
}

@Suite struct MemoryTests {
    @Test func aConnectionsFirstBytesAreFree() {
        let memory = PeerMemory(limit: 100 << 10)
        var share = PeerMemoryShare(of: memory)
        let free = share.set(PeerMemoryShare.freeBytes)
        #expect(free)
        #expect(memory.used == 0)
        let grain = share.set(PeerMemoryShare.freeBytes + 1)
        #expect(grain)
        #expect(memory.used == 16 << 10)
        let tooMuch = share.set(1 << 20)
        #expect(!tooMuch)
        #expect(memory.isFull)
        // Nobody's small request is refused for it.
        var other = PeerMemoryShare(of: memory)
        let small = other.set(1_000)
        #expect(small)
        let large = other.set(20_000)
        #expect(!large)
    }

    @Test func whatAShareCountsIsGivenBackWithIt() {
        let memory = PeerMemory(limit: 1 << 20)
        do {
            var share = PeerMemoryShare(of: memory)
            _ = share.set(300_000)
            #expect(memory.used > 280_000)
            _ = share.set(0)
            #expect(memory.used == 0)
            _ = share.set(200_000)
        }
        #expect(memory.used == 0)
        #expect(memory.takePeak() > 280_000)
        #expect(memory.takePeak() == 0)
    }

    @Test func aReservationBeyondTheLimitCountsNothing() {
        let memory = PeerMemory(limit: 10)
        #expect(memory.reserve(10))
        #expect(!memory.reserve(1))
        #expect(memory.used == 10)
        memory.release(10)
        #expect(memory.used == 0)
    }
}

@Suite struct MemoryReturnTests {
    private static let mib = 1 << 20

    private func back(_ levels: [Int]) -> [Int] {
        let back = MemoryReturn(PeerMemory(), [])
        return levels.indices.filter {
            back.look(level: levels[$0] * Self.mib, peak: levels[$0] * Self.mib)
        }
    }

    @Test func memoryIsGivenBackOnceAfterItsPeak() {
        #expect(back([1, 400, 390, 120, 90, 90, 90, 90, 90, 80, 70]) == [6])
        #expect(back([1, 400, 1, 1, 1, 200, 1, 1, 1, 1]) == [4, 8])
    }

    @Test func smallPeaksAreLeftAlone() {
        #expect(back([1, 20, 1, 1, 1, 1]) == [])
        #expect(back([100, 90, 80, 70, 60, 50, 40, 30]) == [])
    }
}

@Suite struct DescriptorTests {
    @Test func enoughDescriptorsChangeNothing() throws {
        let plan = try #require(DescriptorPlan(limit: 20_000, own: 256, grpc: 10_000, http: 1_024))
        #expect((plan.grpc, plan.http, plan.isFitted) == (10_000, 1_024, false))
    }

    @Test(arguments: [128, 200, 256, 1_024, 4_096, 11_000])
    func fewAreShared(limit: Int) throws {
        let plan = try #require(DescriptorPlan(limit: limit, own: 256, grpc: 10_000, http: 1_024))
        #expect(plan.isFitted)
        #expect(plan.grpc + plan.http + plan.reserve <= limit)
        #expect(plan.grpc >= plan.http && plan.http >= 1)
        #expect(plan.reserve >= min(256, limit / 2))
    }

    @Test func tooFewAreRefused() {
        #expect(DescriptorPlan(limit: 127, own: 256, grpc: 10_000, http: 1_024) == nil)
    }

    @Test func theSoftLimitIsRaised() {
        #expect(DescriptorPlan.raiseLimit() >= 128)
    }
}
