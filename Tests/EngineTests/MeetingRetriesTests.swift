#if STEP_POINTS
    import Journal
    import Limits
    import Reservations
    import TestKit
    import Testing

    @testable import Engine

    /// A request and its retry at once, on two lanes: whoever decides it, neither answer leaves before it is on disk.
    @Suite struct MeetingRetriesTests {
        enum Request: CaseIterable {
            case check
            case record
            case extend
        }

        @Test(arguments: Request.allCases)
        func bothAnswersWait(_ request: Request) throws {
            for step in 0... {
                let engine = try Self.engine()
                let lanes = try engine.makeLanes(2)
                let (_, id) = Self.send(.check, key: "hold", 0, lanes[0])
                try engine.awaitDurable()
                var seen = 0
                var other: (failure: Failure?, reservation: UInt64)?
                lanes[0].lane.onStep = { _ in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    other = Self.send(request, key: "key", id, lanes[1])
                }
                let own = Self.send(request, key: "key", id, lanes[0])
                lanes[0].lane.onStep = nil
                guard let other else {
                    #expect(step > 5, "steps are gone")
                    break
                }
                #expect(own.failure == nil && other.failure == nil)
                #expect(own.reservation == other.reservation)
                #expect(lanes[0].answerWaits && lanes[1].answerWaits, "held at step \(step)")
                try engine.awaitDurable()
                #expect(!lanes[0].answerWaits && !lanes[1].answerWaits, "held at step \(step)")
                engine.close()
            }
        }

        private static func engine() throws -> Engine {
            var settings = DurabilitySettings()
            settings.journal.segmentBytes = 256 << 10
            settings.journal.maximumBytes = 64 << 20
            settings.hasThreads = false
            let capacity = TableCapacity(
                tenants: 16, profiles: 16, reservations: 1_024, bodies: 1_024, keys: 1_024,
                lanes: 3)
            let engine = try Engine.open(
                configuration: EngineConfiguration(capacity: capacity),
                disk: SimulatedDisk(seed: 1), settings: settings
            ).engine
            try engine.setTenant(TenantSettings(id: "acme"))
            return engine
        }

        private static func send(
            _ request: Request, key: String, _ reservation: UInt64, _ lane: EngineLane
        ) -> (failure: Failure?, reservation: UInt64) {
            lane.beginBatch()
            return "acme".withBorrowedBytes { tenant in
                key.withBorrowedBytes { key in
                    switch request {
                    case .check:
                        var command = CheckCommand(
                            tenantID: tenant, action: .charge, amounts: Amounts(.spend, 1))
                        command.idempotencyKey = key
                        var answer = CheckAnswer()
                        let failure = lane.check(command, answer: &answer)
                        return (failure, answer.reservationID)
                    case .record:
                        var command = RecordCommand(tenantID: tenant, amounts: Amounts(.spend, 1))
                        command.idempotencyKey = key
                        var answer = RecordAnswer()
                        return (lane.record(command, answer: &answer), 0)
                    case .extend:
                        var command = ExtendCommand(reservationID: reservation)
                        command.additional = Amounts(.spend, 1)
                        command.idempotencyKey = key
                        var answer = ExtendAnswer()
                        return (lane.extend(command, answer: &answer), reservation)
                    }
                }
            }
        }
    }
#endif
