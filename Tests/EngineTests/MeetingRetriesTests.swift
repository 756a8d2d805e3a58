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

        /// Room has come back since a denial: of two retries at once, one decides.
        @Test func oneOfTwoRetriesDecides() throws {
            for step in 0... {
                let engine = try Self.engine(spend: 0)
                let lanes = try engine.makeLanes(2)
                #expect(Self.send(.check, key: "key", 0, lanes[0]).reservation == 0)
                try engine.setTenant(Self.tenant(spend: 100))
                var seen = 0
                var other: (failure: Failure?, reservation: UInt64)?
                lanes[0].lane.onStep = { _ in
                    defer { seen += 1 }
                    if seen == step { other = Self.send(.check, key: "key", 0, lanes[1]) }
                }
                let own = Self.send(.check, key: "key", 0, lanes[0])
                lanes[0].lane.onStep = nil
                guard let other else {
                    #expect(step > 5, "steps are gone")
                    break
                }
                #expect(own.reservation != 0 && own.reservation == other.reservation)
                #expect(Self.held(lanes[1]) == 1, "held at step \(step)")
                engine.close()
            }
        }

        /// A denial comes between an attempt and its decision, under the same key, and its entry in front of the other's:
        /// what was allowed is remembered all the same.
        @Test func anAnswerBehindADenialCounts() throws {
            for step in 0... {
                let engine = try Self.engine(spend: 100)
                let lanes = try engine.makeLanes(2)
                var seen = 0
                lanes[0].lane.onStep = { _ in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    _ = try? engine.setTenant(Self.tenant(spend: 0))
                    _ = Self.send(.check, key: "key", 0, lanes[1])
                    _ = try? engine.setTenant(Self.tenant(spend: 100))
                }
                let own = Self.send(.check, key: "key", 0, lanes[0])
                lanes[0].lane.onStep = nil
                if seen <= step {
                    #expect(step > 5, "steps are gone")
                    break
                }
                #expect(own.reservation != 0)
                for lane in lanes {
                    #expect(Self.send(.check, key: "key", 0, lane).reservation == own.reservation)
                }
                #expect(Self.held(lanes[1]) == 1, "held at step \(step)")
                engine.close()
            }
        }

        private static func held(_ lane: EngineLane) -> Int64 {
            var answer = UsageAnswer()
            _ = "acme".withBorrowedBytes { tenant in
                lane.usage(
                    UsageQuery(tenantID: tenant, profileID: .none), answer: &answer)
            }
            return answer.limits[.tenantMonthlySpend].held
        }

        private static func tenant(spend: Int64?) -> TenantSettings {
            TenantSettings(
                id: "acme", limits: TenantLimits(monthlySpendNanos: spend), onLimit: .block)
        }

        private static func engine(spend: Int64? = nil) throws -> Engine {
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
            try engine.setTenant(tenant(spend: spend))
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
