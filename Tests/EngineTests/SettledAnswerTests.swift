#if STEP_POINTS
    import Journal
    import Limits
    import Reservations
    import TestKit
    import Testing

    @testable import Engine

    /// What is told without waiting for the disk is on it, with all that it builds upon, whichever lanes made it and
    /// wherever the writer, an author or a reader stands.
    @Suite struct SettledAnswerTests {
        /// An engine whose rounds the test does, three lanes, and what is told of its one tenant.
        private final class Bench {
            let disk = SimulatedDisk(seed: 1)
            let engine: Engine
            let lanes: [EngineLane]
            /// Readings that left at once, and those that waited.
            private(set) var left = 0
            private(set) var waited = 0

            init() throws {
                engine = try Self.open(disk)
                try engine.setTenant(
                    TenantSettings(id: "acme", limits: TenantLimits(maxExtensions: 3)))
                lanes = try engine.makeLanes(3)
                engine.runJournal()
                engine.runJournal()
            }

            static func open(_ disk: SimulatedDisk) throws -> Engine {
                var settings = DurabilitySettings()
                settings.journal.segmentBytes = 64 << 10
                settings.journal.maximumBytes = 1 << 20
                settings.hasThreads = false
                let capacity = TableCapacity(
                    tenants: 4, profiles: 4, reservations: 256, bodies: 16, keys: 1_024, lanes: 4)
                return try Engine.open(
                    configuration: EngineConfiguration(capacity: capacity), disk: disk,
                    settings: settings
                ).engine
            }

            /// Takes one extension under a key; what that came to.
            @discardableResult
            func take(_ key: String, _ lane: EngineLane, mode: Mode = .reserve) -> CheckAnswer {
                lane.beginBatch()
                var answer = CheckAnswer()
                let failure = "acme".withBorrowedBytes { tenantID in
                    key.withBorrowedBytes { key in
                        var command = CheckCommand(
                            tenantID: tenantID, action: .provisionExtension,
                            amounts: Amounts(.extensions, 1))
                        command.idempotencyKey = key
                        command.mode = mode
                        command.ttlMilliseconds = 86_400_000
                        return lane.check(command, answer: &answer)
                    }
                }
                #expect(failure == nil)
                return answer
            }

            static func held(_ lane: EngineLane) -> Int64 {
                lane.beginBatch()
                var answer = UsageAnswer()
                let failure = "acme".withBorrowedBytes { tenant in
                    "".withBorrowedBytes { none in
                        lane.usage(UsageQuery(tenantID: tenant, profileID: none), answer: &answer)
                    }
                }
                #expect(failure == nil)
                return answer.limits[.tenantExtensions].held
            }

            /// What a process would tell that finds the disk as it is for sure.
            func onDisk() throws -> Int64 {
                let engine = try Self.open(disk.durableCopy())
                defer { engine.close() }
                return Self.held(try engine.makeLane())
            }

            /// Asks in every way that changes nothing, and holds what leaves at once against the disk.
            func read(_ lane: EngineLane, _ place: String) {
                do {
                    let held = Self.held(lane)
                    try tell(held, lane, "\(place), usage")
                    var answer = UsageAnswer()
                    lane.lane.beginCall()
                    _ = lane.lane.usage(of: .tenant(0), now: lane.now, answer: &answer)
                    try tell(
                        answer.limits[.tenantExtensions].held, lane, "\(place), watch")
                    let denied = take("", lane, mode: .checkOnly).decision == .denied
                    if denied { try tell(held, lane, "\(place), check only") }
                    for key in 0..<held where take("\(key)", lane).replayed {
                        try tell(key + 1, lane, "\(place), replay")
                    }
                } catch {
                    Issue.record("\(place): \(error)")
                }
            }

            private func tell(_ held: Int64, _ lane: EngineLane, _ place: String) throws {
                guard !lane.answerWaits else {
                    waited += 1
                    return
                }
                left += 1
                let kept = try onDisk()
                #expect(kept >= held, "\(place): told of \(held), \(kept) on disk")
            }
        }

        /// Each pair of lanes, in the order in which the writer reads their rings and in the other one.
        private static let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]

        /// At each step of a round two lanes build upon one another; a third reads at that step and all later ones.
        @Test(arguments: pairs.indices)
        func theWriterStands(_ index: Int) throws {
            let (first, second) = Self.pairs[index]
            for step in 0... {
                let bench = try Bench()
                bench.take("0", bench.lanes[first])
                var seen = 0
                var isMade = false
                bench.engine.onWriterStep = { point in
                    defer { seen += 1 }
                    if seen == step {
                        bench.take("1", bench.lanes[first])
                        bench.take("2", bench.lanes[second])
                        isMade = true
                    }
                    if isMade { bench.read(bench.lanes[3 - first - second], "\(point) (\(seen))") }
                }
                bench.engine.runJournal()
                bench.engine.onWriterStep = nil
                for lane in bench.lanes { bench.read(lane, "after the round") }
                // Nobody waits for ever.
                bench.engine.runJournal()
                let waited = bench.waited
                for lane in bench.lanes { bench.read(lane, "after the next one") }
                #expect(bench.waited == waited && bench.left > 0)
                bench.engine.close()
                guard isMade else {
                    #expect(step == 2 + 2 * 4 + 2 + 2 * 4, "the steps of a round with four rings")
                    break
                }
            }
        }

        /// An author stops at any step; another lane builds upon what it did, a round is done, a third lane reads.
        @Test func anAuthorStands() throws {
            for step in 0... {
                let bench = try Bench()
                var seen = 0
                var isHeld = false
                bench.lanes[0].lane.onStep = { point in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    isHeld = true
                    bench.take("1", bench.lanes[1])
                    bench.read(bench.lanes[2], "\(point), no round")
                    bench.engine.runJournal()
                    bench.read(bench.lanes[2], "\(point), a round")
                    bench.engine.runJournal()
                    bench.read(bench.lanes[1], "\(point), two rounds")
                }
                bench.take("0", bench.lanes[0])
                bench.lanes[0].lane.onStep = nil
                bench.engine.runJournal()
                let waited = bench.waited
                bench.read(bench.lanes[0], "afterwards")
                #expect(bench.waited == waited)
                bench.engine.close()
                guard isHeld else { break }
            }
        }

        /// A reader stops at any step, others build upon one another within a round: what it tells then is on disk.
        @Test func aReaderStands() throws {
            for step in 0... {
                let bench = try Bench()
                bench.take("0", bench.lanes[0])
                bench.engine.runJournal()
                var seen = 0
                var isHeld = false
                bench.lanes[2].lane.onStep = { _ in
                    defer { seen += 1 }
                    guard seen == step else { return }
                    isHeld = true
                    var reads = 0
                    bench.engine.onWriterStep = { point in
                        guard case .ringRead = point else { return }
                        reads += 1
                        // The second look has passed the first lane's ring, and not the second's.
                        guard reads == 4 + 2 else { return }
                        bench.take("1", bench.lanes[0])
                        bench.take("2", bench.lanes[1])
                    }
                    bench.engine.runJournal()
                    bench.engine.onWriterStep = nil
                }
                bench.read(bench.lanes[2], "held at \(step)")
                bench.lanes[2].lane.onStep = nil
                bench.engine.close()
                guard isHeld else { break }
            }
        }
    }
#endif
