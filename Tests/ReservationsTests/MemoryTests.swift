import Glibc
import Limits
import Testing

@testable import Reservations

/// Bounded memory: a full table says so, does nothing by halves, and recovers.
@Suite struct MemoryTests {
    static let minute: Int64 = 60_000

    func table(
        reservations: Int = 128, bodies: Int = 8, keys: Int = 128, retention: Int64 = 900_000
    ) throws -> World {
        try World(
            capacity: TableCapacity(
                tenants: 64, profiles: 64, reservations: reservations, bodies: bodies, keys: keys,
                lanes: 8, retention: retention),
            limits: TenantLimits())
    }

    private enum Page: RecordLayout {
        static var words: Int { 512 }
        static var end: Int { 512 }
    }

    /// What `/proc/self/smaps` says of the mapping at an address: two letters each.
    private func mappingFlags(at address: UInt) -> [Substring]? {
        guard let file = fopen("/proc/self/smaps", "r") else { return nil }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        defer { free(line) }
        var size = 0
        var isIt = false
        while getline(&line, &size, file) > 0, let line {
            let words = String(cString: line).split { $0 == " " || $0 == "\n" }
            let bounds = words.first?.split(separator: "-").compactMap { UInt($0, radix: 16) }
            if let bounds, bounds.count == 2 { isIt = (bounds[0]..<bounds[1]).contains(address) }
            if isIt, words.first == "VmFlags:" { return Array(words.dropFirst()) }
        }
        return nil
    }

    /// A crash is over within a second, however large the table is.
    @Test func theTableIsLeftOutOfCoreFiles() throws {
        let region = try Region<Page>(capacity: 1_024)
        defer { region.unmap() }
        let flags = try #require(mappingFlags(at: UInt(bitPattern: region.base)))
        #expect(flags.contains("dd"), "\(flags)")
    }

    @Test func aFullTableRefusesAndRecovers() throws {
        // One block of 64 slots belongs to the lane that made the hold, the other to this one.
        let world = try table(retention: 1_000)
        let lane = world.lanes[0]
        var ids: [UInt64] = []
        while true {
            let (failure, answer) = lane.reserve("acme", Operation.spend(1), now: world.now)
            if failure != nil {
                #expect(failure?.code == .unavailable)
                break
            }
            ids.append(answer.reservationID)
        }
        #expect(ids.count == 64)
        #expect(Set(ids).count == ids.count)
        let before = world.usage()
        #expect(
            lane.reserve("acme", Operation.spend(1), now: world.now).failure?.code == .unavailable)
        #expect(world.usage() == before, "a refusal for want of memory changes nothing")

        for id in ids {
            var answer = ReleaseAnswer()
            #expect(lane.release(id, now: world.now, answer: &answer) == nil)
        }
        // Released, but still remembered: the slots come back when they may be forgotten.
        #expect(lane.reserve("acme", Operation.spend(1), now: world.now).failure != nil)
        world.now += 2 * Self.minute
        lane.tick(now: world.now)
        world.now += 2_000
        lane.tick(now: world.now)
        let again = lane.reserve("acme", Operation.spend(1), now: world.now)
        #expect(again.failure == nil)
        #expect(!ids.contains(again.answer.reservationID), "ids are never reused")
    }

    @Test func settledReservationsAreRememberedForTheRetention() throws {
        let world = try table(retention: 5_000)
        let lane = world.lanes[0]
        let id = lane.reserve("acme", Operation.spend(1), ttl: 1_000, now: world.now).answer
            .reservationID
        var answer = ReleaseAnswer()
        #expect(lane.release(id, now: world.now, answer: &answer) == nil)
        for _ in 0..<5 {
            world.now += 1_000
            lane.tick(now: world.now)
            #expect(lane.release(id, now: world.now, answer: &answer) == nil)
            #expect(answer.replayed)
        }
        world.now += 5_000
        lane.tick(now: world.now)
        #expect(lane.release(id, now: world.now, answer: &answer)?.code == .notFound)
    }

    @Test func aSpentBudgetOfKeysRefusesOnlyKeyedRequests() throws {
        let world = try table(reservations: 1_024, keys: 128)
        let lane = world.lanes[0]
        var stored = 0
        while lane.reserve(
            "acme", Operation.spend(0), key: "key-\(stored)", mode: .commit, now: world.now
        )
        .failure == nil {
            stored += 1
        }
        #expect(stored == 128)
        #expect(lane.reserve("acme", Operation.spend(1), now: world.now).failure == nil)
        let full = lane.reserve("acme", Operation.spend(1), key: "one more", now: world.now)
        #expect(full.failure?.code == .unavailable)
        // Nothing is forgotten early, and what is remembered still answers.
        let replay = lane.reserve(
            "acme", Operation.spend(0), key: "key-0", mode: .commit, now: world.now)
        #expect(replay.failure == nil && replay.answer.replayed)
        world.now += 900_000 + KeyShares.clockMargin + 1
        let fresh = lane.reserve("acme", Operation.spend(1), key: "one more", now: world.now)
        #expect(fresh.failure == nil && !fresh.answer.replayed)
        let forgotten = lane.reserve(
            "acme", Operation.spend(0), key: "key-0", mode: .commit, now: world.now)
        #expect(forgotten.failure == nil && !forgotten.answer.replayed)
    }

    @Test func extensionsGiveTheirBodiesBack() throws {
        let world = try table(bodies: 4)
        let lane = world.lanes[0]
        let id = lane.reserve("acme", Operation.spend(1), ttl: 60_000, now: world.now).answer
            .reservationID
        for round in 0..<100 {
            let (failure, answer) = lane.extend(id, Operation.spend(1), now: world.now)
            #expect(failure == nil && answer.decision == .allowed, "round \(round)")
        }
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: id)
        #expect(lane.commit(command, now: world.now, answer: &answer) == nil)
        #expect(answer.committed[.spend] == 101)
    }

    @Test func newTenantsAndProfilesAreBounded() throws {
        let world = try table()
        let lane = world.lanes[0]
        var made = 1
        do {
            while made < 1_000 {
                _ = try lane.setTenant(
                    "tenant-\(made)", TenantPolicy(limits: TenantLimits()), now: world.now)
                made += 1
            }
        } catch {
            #expect(error == .full("tenants"))
        }
        #expect(made == 64)
        #expect(lane.reserve("tenant-5", Operation.spend(1), now: world.now).failure == nil)
    }

    @Test func boundsSayWhatTheyCost() {
        let capacity = TableCapacity(
            reservations: 9_000_000, bodies: 900_000, keys: 1_800_000, retention: 900_000)
        let slots = capacity.memory.first { $0.kind == "reservations" }
        #expect(slots?.bytes == 9_000_000 * 128)
        #expect(capacity.memoryBytes > 9_000_000 * 128 + 900_000 * 320 + 1_800_000 * 96)
    }

    @Test func longIDsAreKept() throws {
        let world = try table()
        let lane = world.lanes[0]
        for length in [1, 8, 38, 39, 40, 63, 64] {
            let id = String(repeating: "x", count: length)
            _ = try lane.setTenant(id, TenantPolicy(limits: TenantLimits()), now: world.now)
            #expect(lane.reserve(id, Operation.spend(1), now: world.now).failure == nil)
        }
        let other = String(repeating: "x", count: 41)
        #expect(lane.reserve(other, Operation.spend(1), now: world.now).failure?.code == .notFound)
    }
}
