import Journal
import Limits
import Reservations
import Synchronization
import Testing

@testable import Engine

/// The listing of open reservations, from the live table.
@Suite struct OpenReservationTests {
    /// Unix milliseconds.
    private static let start: Int64 = 1_700_000_000_000
    private final class Time: Sendable {
        let milliseconds = Atomic<Int64>(OpenReservationTests.start)
        func advance(_ amount: Int64) { milliseconds.wrappingAdd(amount, ordering: .relaxed) }
        var clock: EngineClock {
            let read: @Sendable () -> Int64 = { self.milliseconds.load(ordering: .relaxed) }
            return EngineClock(EngineClock.Source(boot: read, wall: read))
        }
    }

    private let time = Time()
    private let engine: Engine
    private let lane: EngineLane

    init() throws {
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 300_000, keys: 1_024, lanes: 8)
        engine = try Engine(
            configuration: EngineConfiguration(capacity: capacity), clock: time.clock)
        for id in ["acme", "other"] { try engine.setTenant(TenantSettings(id: id)) }
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        lane = try engine.makeLane()
    }

    @discardableResult
    private func hold(
        _ tenant: String = "acme", profile: String = "", spend: Int64 = 1,
        _ change: (inout CheckCommand) -> Void = { _ in }
    ) -> UInt64 {
        Self.hold(lane, tenant, profile: profile, spend: spend, change)
    }

    private static func hold(
        _ lane: EngineLane, _ tenant: String, profile: String = "", spend: Int64 = 1,
        _ change: (inout CheckCommand) -> Void = { _ in }
    ) -> UInt64 {
        lane.beginBatch()
        return tenant.withBorrowedBytes { tenantID in
            profile.withBorrowedBytes { profileID in
                var amounts = Amounts()
                amounts.set(Resource.spend.index, spend)
                var command = CheckCommand(
                    tenantID: tenantID, action: .sendMessage, amounts: amounts)
                command.profileID = profileID
                change(&command)
                var answer = CheckAnswer()
                #expect(lane.check(command, answer: &answer) == nil)
                return answer.reservationID
            }
        }
    }

    @Test func rowsSayWhatIsHeld() async throws {
        let created = time.milliseconds.load(ordering: .relaxed)
        let id = hold(profile: "sms", spend: 7) {
            $0.ttlMilliseconds = 5_000
            $0.onExpiry = .commit
            $0.overage = .reject
        }
        time.advance(10)
        var extend = ExtendCommand(reservationID: id)
        extend.ttlMilliseconds = 60_000
        extend.additional.set(Resource.spend.index, 3)
        var answer = ExtendAnswer()
        lane.beginBatch()
        #expect(lane.extend(extend, answer: &answer) == nil)
        let page = try await engine.openReservations()
        var amounts = Amounts()
        amounts.set(Resource.spend.index, 10)
        let expected = OpenReservation(
            id: id, tenantID: "acme",
            profile: ProfileReference(id: "sms", kind: .messaging), action: .sendMessage,
            amounts: amounts, createdAt: created, expiresAt: created + 60_010,
            onExpiry: .commit, overage: .reject)
        #expect(page.total == 1 && page.rows == [expected])
        #expect(try engine.openReservation(id) == expected)
        #expect(try engine.openReservation(id + 1) == nil && engine.openReservation(0) == nil)
    }

    @Test func whatIsSettledIsNotListed() async throws {
        let ids = (0..<4).map { _ in hold { $0.ttlMilliseconds = 5_000 } }
        var released = ReleaseAnswer()
        #expect(lane.release(ids[0], answer: &released) == nil)
        var committed = CommitAnswer()
        #expect(lane.commit(CommitCommand(reservationID: ids[1]), answer: &committed) == nil)
        #expect(try await engine.openReservations().rows.map(\.id).sorted() == ids[2...].sorted())
        let late = hold { $0.ttlMilliseconds = 60_000 }
        time.advance(6_000)
        lane.tick()
        #expect(try await engine.openReservations().rows.map(\.id) == [late])
        for id in ids { #expect(try engine.openReservation(id) == nil) }
    }

    @Test func filtersAndPages() async throws {
        var acme: [UInt64] = []
        for number in 0..<30 {
            time.advance(1)
            if number % 3 == 2 {
                hold("other")
            } else {
                acme.append(hold(profile: number % 3 == 1 ? "sms" : ""))
            }
        }
        let all = try await engine.openReservations(tenantID: "acme", limit: 100)
        #expect(all.total == 20 && all.rows.map(\.id) == acme, "oldest first")
        let second = try await engine.openReservations(tenantID: "acme", offset: 5, limit: 7)
        #expect(second.total == 20 && second.rows.map(\.id) == Array(acme[5..<12]))
        let beyond = try await engine.openReservations(offset: 30, limit: 5)
        #expect(beyond.total == 30 && beyond.rows.isEmpty)
        let profile = ProfileReference(id: "sms", kind: .messaging)
        let sms = try await engine.openReservations(tenantID: "acme", profile: profile)
        #expect(sms.total == 10 && sms.rows.allSatisfy { $0.profile == profile })
        #expect(try await engine.openReservations(tenantID: "other", profile: profile).total == 0)
        let calls = ProfileReference(id: "sms", kind: .voice)
        #expect(try await engine.openReservations(tenantID: "acme", profile: calls).total == 0)
        #expect(try await engine.openReservations(tenantID: "nobody").total == 0)
        let nobody = ProfileReference(id: "nobody", kind: .messaging)
        #expect(try await engine.openReservations(profile: nobody).total == 0)
        let before = Self.start + 10
        let old = try await engine.openReservations(createdBefore: before, limit: 100)
        #expect(old.total == 10 && old.rows.allSatisfy { $0.createdAt <= before })
    }

    /// What a page costs is its own length and the one of those before it, however many are open.
    @Test func pagesOfMany() async throws {
        // The later ones take the slots of those that were released: age and id have different orders.
        let early = (0..<1_000).map { _ in hold() }
        for id in early {
            var answer = ReleaseAnswer()
            #expect(lane.release(id, answer: &answer) == nil)
        }
        var ids: [UInt64] = []
        for number in 0..<3_000 {
            if number % 7 == 0 { time.advance(1) }
            ids.append(hold())
        }
        var listed: [UInt64] = []
        for offset in stride(from: 0, to: 3_000, by: 250) {
            let page = try await engine.openReservations(offset: offset, limit: 250)
            #expect(page.total == 3_000)
            let keys = page.rows.map { ($0.createdAt, $0.id) }
            #expect(zip(keys, keys.dropFirst()).allSatisfy { $0 < $1 })
            listed += page.rows.map(\.id)
        }
        #expect(listed.count == 3_000 && Set(listed) == Set(ids))
        let beyond = try await engine.openReservations(
            offset: Engine.mostListedReservations, limit: 20)
        #expect(beyond.total == 3_000 && beyond.rows.isEmpty)
        #expect(try await engine.openReservations(offset: .max, limit: .max).rows.isEmpty)
        #expect(try await engine.openReservations(offset: 2_990, limit: .max).rows.count == 10)
    }

    /// Reservations come and go in another thread: what is listed was held, whole, and what stands is listed.
    @Test func whileOthersWork() async throws {
        let standing = (0..<100).map { _ in hold(spend: 5) { $0.ttlMilliseconds = 86_400_000 } }
        let worker = try Worker(lane: engine.makeLane())
        async let worked: Void = worker.run()
        for _ in 0..<200 {
            let page = try await engine.openReservations(limit: 200)
            #expect(Set(standing).isSubset(of: Set(page.rows.map(\.id))))
            #expect(page.rows.count <= 101)
            for row in page.rows {
                let spend = row.amounts[Resource.spend.index]
                if row.tenantID == "acme" {
                    #expect(spend == 5 && row.overage == .record)
                } else {
                    #expect((1...50).contains(spend))
                    #expect(row.overage == (spend % 2 == 0 ? .cap : .record))
                }
            }
        }
        worker.isDone.store(true, ordering: .relaxed)
        await worked
    }

    /// Makes and releases reservations until it is told to stop.
    // SAFETY: the lane is used by the task alone that runs it.
    private final class Worker: @unchecked Sendable {
        let isDone = Atomic<Bool>(false)
        private let lane: EngineLane

        init(lane: EngineLane) { self.lane = lane }

        func run() async {
            while !isDone.load(ordering: .relaxed) {
                for spend in 1...50 as ClosedRange<Int64> {
                    let id = OpenReservationTests.hold(lane, "other", spend: spend) {
                        $0.overage = spend % 2 == 0 ? .cap : .record
                    }
                    var answer = ReleaseAnswer()
                    #expect(lane.release(id, answer: &answer) == nil)
                }
                await Task.yield()
            }
        }
    }
}
