#if STEP_POINTS
    import Journal
    import Limits
    @testable import Reservations
    import TestKit
    import Testing

    @testable import Engine

    /// Asking for the configuration while the journal has no room for it, and another thread is in the middle of a
    /// change: nothing may be written over what is not on disk yet.
    @Suite struct FullRingTests {
        @Test func readersWriteOverNothing() throws {
            var settings = DurabilitySettings()
            settings.journal.segmentBytes = 256 << 10
            settings.journal.maximumBytes = 64 << 20
            settings.hasThreads = false
            let capacity = TableCapacity(
                tenants: 3_000, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 3)
            let engine = try Engine.open(
                configuration: EngineConfiguration(capacity: capacity),
                disk: SimulatedDisk(seed: 1), settings: settings
            ).engine
            try engine.setTenant(TenantSettings(id: "acme"))
            try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
            let lane = try engine.makeLane()
            let first = Self.hold(lane)
            // Changes leave room for others' records; copies of a record take that too.
            var made = 0
            while made < 3_000, (try? engine.setTenant(TenantSettings(id: "t\(made)"))) != nil {
                made += 1
            }
            let ring = try #require(
                engine.rings.first {
                    !$0.hasRoom(2 * RecordWords.most + $0.capacity / Lane.expiryShare)
                })
            while ring.hasRoom(RecordWords.most) { Self.repeatFirst(ring) }
            var asked = false
            lane.lane.onStep = { step in
                guard case .headSwung = step, !asked else { return }
                asked = true
                let before = Self.words(ring)
                #expect(engine.tenant("acme")?.id == "acme")
                #expect(engine.profile("sms")?.id == "sms")
                let errors = [
                    #expect(throws: EngineError.self) { try engine.status(ofTenant: "acme") },
                    #expect(throws: EngineError.self) { try engine.openReservation(first) },
                    #expect(throws: EngineError.self) {
                        try engine.setProfile(ProfileSettings(id: "voice", tenantID: "acme"))
                    },
                ]
                #expect(errors.allSatisfy { $0?.code == .busy })
                #expect(Self.words(ring) == before, "what is not on disk was overwritten")
            }
            _ = Self.hold(lane)
            lane.lane.onStep = nil
            #expect(asked)
            try engine.awaitDurable()
            #expect(try engine.status(ofTenant: "acme") == .active)
            #expect(try engine.openReservation(first)?.id == first)
            engine.close()
        }

        private static func hold(_ lane: EngineLane) -> UInt64 {
            lane.beginBatch()
            return "acme".withBorrowedBytes { tenantID in
                var amounts = Amounts()
                amounts.set(Resource.spend.index, 1)
                var answer = CheckAnswer()
                let command = CheckCommand(
                    tenantID: tenantID, action: .sendMessage, amounts: amounts)
                #expect(lane.check(command, answer: &answer) == nil)
                return answer.reservationID
            }
        }

        /// What the journal has not taken yet.
        private static func words(_ ring: RecordRing) -> [UInt64] {
            (ring.durable..<ring.end).map { ring[$0] }
        }

        private static func repeatFirst(_ ring: RecordRing) {
            let (first, end) = (ring.durable, ring.end)
            let count = UInt64(RecordWords.count(ring[first]))
            for offset in 0..<count { ring[end + offset] = ring[first + offset] }
            ring.publish(to: end + count)
        }
    }
#endif
