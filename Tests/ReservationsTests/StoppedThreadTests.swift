#if STEP_POINTS
    import Limits
    import Testing

    @testable import Reservations

    /// A thread that stops at any step of any operation blocks nobody and misleads nobody.
    ///
    /// One thread is enough to show it: an operation is held in its step hook while another one runs from beginning
    /// to end on another lane. Whatever comes out must be what one of the two could have seen alone: the answers and
    /// the totals of one of the sequential orders, each run in a world of its own.
    @Suite struct StoppedThreadTests {
        /// The answers of operations and the totals after them.
        struct Outcome: Hashable {
            var answers: [String]
            var state: String
        }

        /// Every outcome that some order of the operations has.
        static func sequential(_ operations: [Operation]) throws -> Set<Outcome> {
            var outcomes: Set<Outcome> = []
            for order in permutations(Array(operations.indices)) {
                let world = try World()
                var answers = Array(repeating: "", count: operations.count)
                for index in order {
                    answers[index] = operations[index].run(world, world.lanes[index])
                }
                outcomes.insert(
                    Outcome(answers: answers, state: world.state(after: operations)))
            }
            return outcomes
        }

        static func permutations(_ items: [Int]) -> [[Int]] {
            guard items.count > 1 else { return [items] }
            return items.flatMap { item in
                permutations(items.filter { $0 != item }).map { [item] + $0 }
            }
        }

        /// Runs `first` and holds it at its `step`-th step point while `inner` runs. False: it has fewer steps.
        static func run(
            _ first: Operation, heldAt step: Int, in world: World, _ inner: @escaping () -> Void
        ) -> String? {
            let lane = world.lanes[0]
            var seen = 0
            var held = false
            lane.onStep = { _ in
                defer { seen += 1 }
                guard seen == step else { return }
                held = true
                inner()
            }
            let answer = first.run(world, lane)
            lane.onStep = nil
            return held ? answer : nil
        }

        @Test(arguments: Operation.all + Operation.late)
        func othersFinishRight(_ first: Operation) throws {
            for second in Operation.all + Operation.late {
                let allowed = try Self.sequential([first, second])
                for step in 0... {
                    let world = try World()
                    var other = ""
                    let answer = Self.run(first, heldAt: step, in: world) {
                        other = second.run(world, world.lanes[1])
                        #expect(world.checkInvariants())
                    }
                    guard let answer else { break }
                    let outcome = Outcome(
                        answers: [answer, other], state: world.state(after: [first, second]))
                    #expect(
                        allowed.contains(outcome),
                        "\(first.name) held at \(step), \(second.name): \(outcome)\nallowed: \(allowed)"
                    )
                }
            }
        }

        /// The operations that compete hardest, three at a time: the first held at any step, the second within it
        /// held at any step, the third whole.
        @Test(arguments: [0, 2, 4, 6, 9, 11, 12])
        func threeOperations(_ index: Int) throws {
            let chosen = [0, 2, 4, 6, 9, 11, 12].map { Operation.all[$0] }
            for second in chosen {
                for third in chosen { try Self.run([Operation.all[index], second, third]) }
            }
        }

        /// Two lanes that walk and forget the same reservations, and one that settles them late.
        @Test(arguments: [[1, 1, 2], [1, 2, 1], [2, 1, 1], [1, 4, 2], [1, 3, 0]])
        func threeAroundForgetting(_ indices: [Int]) throws {
            try Self.run(indices.map { Operation.late[$0] })
        }

        private static func run(_ operations: [Operation]) throws {
            let allowed = try sequential(operations)
            outer: for outerStep in 0... {
                for innerStep in 0... {
                    let world = try World()
                    var answers = ["", "", ""]
                    var heldInner = false
                    let answer = run(operations[0], heldAt: outerStep, in: world) {
                        var seen = 0
                        world.lanes[1].onStep = { _ in
                            defer { seen += 1 }
                            guard seen == innerStep else { return }
                            heldInner = true
                            answers[2] = operations[2].run(world, world.lanes[2])
                        }
                        answers[1] = operations[1].run(world, world.lanes[1])
                        world.lanes[1].onStep = nil
                    }
                    guard let answer else { break outer }
                    guard heldInner else { break }
                    answers[0] = answer
                    let outcome = Outcome(answers: answers, state: world.state(after: operations))
                    #expect(
                        allowed.contains(outcome),
                        "\(operations) held at \(outerStep) and \(innerStep): \(outcome)")
                }
            }
        }

        /// A (fits the spend cap, not the extension cap) stopped anywhere never makes B (fits) refused.
        @Test func aDoomedRequestRefusesNobody() throws {
            let doomed = Operation.all[2]
            for step in 0... {
                let world = try World(
                    limits: TenantLimits(monthlySpendNanos: 10, maxExtensions: 3), onLimit: .block)
                var neighbour: (failure: Failure?, answer: CheckAnswer)?
                let answer = Self.run(doomed, heldAt: step, in: world) {
                    neighbour = world.lanes[1].reserve("acme", Operation.spend(8), now: world.now)
                }
                guard answer != nil else { break }
                #expect(neighbour?.answer.decision == .allowed, "held at \(step)")
            }
        }

        /// A thread that makes tenants stops at any step of the directory's growth, also as its mover in the middle of a
        /// stretch: others find and make tenants as if nothing were.
        @Test func growthHeldAtAnyStep() throws {
            let points = try Self.growth(heldAt: .max)
            #expect(points.seen.contains(.moving) && points.seen.contains(.stretchMoved))
            #expect(points.seen.contains(.successorMade) && points.seen.contains(.placeFound))
            #expect(points.seen.contains(.cellFilled))
            for step in 0..<points.seen.count {
                let result = try Self.growth(heldAt: step)
                #expect(result.wrong.isEmpty, "held at \(step), \(points.seen[step])")
            }
        }

        /// Makes tenants from the tenth to the twelfth (the directory has 16 places at first) and holds it at a step
        /// while another lane makes those and more.
        static func growth(heldAt step: Int) throws -> (seen: [StepPoint], wrong: [String]) {
            let world = try World()
            let policy = TenantPolicy(limits: TenantLimits())
            let ids = (0..<45).map { "tenant-\($0)" }
            func isMissing(_ id: String, _ lane: Lane) -> Bool {
                lane.reserve(id, Operation.spend(0), mode: .checkOnly, now: world.now).failure
                    != nil
            }
            for id in ids[..<9] { _ = try world.lanes[0].setTenant(id, policy, now: world.now) }
            var seen: [StepPoint] = []
            var wrong: [String] = []
            world.lanes[0].onStep = { point in
                defer { seen.append(point) }
                guard seen.count == step else { return }
                for id in ids {
                    _ = try? world.lanes[1].setTenant(id, policy, now: world.now)
                    if isMissing(id, world.lanes[1]) { wrong.append(id) }
                }
            }
            for id in ids[9..<30] { _ = try world.lanes[0].setTenant(id, policy, now: world.now) }
            world.lanes[0].onStep = nil
            let made = step == .max ? ids[..<30] : ids[...]
            var cells: Set<Int> = []
            for id in made {
                if isMissing(id, world.lanes[2]) { wrong.append(id) }
                if let cell = id.withBorrowedBytes({ world.lanes[2].findTenant($0) }) {
                    cells.insert(cell)
                }
            }
            if cells.count != made.count { wrong.append("one cell twice") }
            return (seen, wrong)
        }

        /// Every step point is one that some test holds a thread at.
        @Test func allStepPointsAreReached() throws {
            var seen: Set<StepPoint> = Set(try Self.growth(heldAt: .max).seen)
            for operation in Operation.all + Operation.late {
                let world = try World(
                    capacity: TableCapacity(
                        tenants: 64, profiles: 64, reservations: 1_024, bodies: 256, keys: 256,
                        lanes: 8, ringWords: 32_768))
                // A predecessor that stopped right after its swing: its dependent records are there to help with.
                world.lanes[1].onStep = { point in
                    guard point == .headSwung else { return }
                    world.lanes[0].onStep = { seen.insert($0) }
                    _ = operation.run(world, world.lanes[0])
                    world.lanes[0].onStep = nil
                }
                _ = world.lanes[1].reserve(
                    "acme", profile: "sms", Operation.spend(1), key: "first", now: world.now)
                world.lanes[1].onStep = nil
                world.lanes[0].onStep = { seen.insert($0) }
                _ = operation.run(world, world.lanes[0])
                // Fills key chunks, so that one goes to the queue and comes back.
                for call in 0..<130 {
                    _ = world.lanes[0].record(
                        "acme", Operation.spend(0), key: "\(call)", now: world.now)
                }
                // The last of these find no room for their keys, and give their slots back.
                for call in 0..<130 {
                    _ = world.lanes[0].reserve(
                        "acme", Operation.spend(0), key: "held \(call)", now: world.now)
                }
                _ = world.lanes[0].record(
                    "acme", Operation.spend(0), key: "later", now: world.now + 2_000_000)
                world.lanes[0].onStep = nil
            }
            for point in StepPoint.allCases {
                #expect(seen.contains(point), "\(point)")
            }
        }

        /// A thread that never goes on: the table works as if it had stopped before or after its operation.
        @Test func aThreadThatNeverReturns() throws {
            for step in 0..<16 {
                let world = try World()
                var admitted: Int64 = 0
                let answer = Self.run(Operation.all[0], heldAt: step, in: world) {
                    // The stopped operation may hold 6 of 10 (2 are held already); others fill up the rest.
                    while world.lanes[1].reserve("acme", Operation.spend(1), now: world.now).answer
                        .decision == .allowed
                    {
                        admitted += 1
                    }
                    #expect(admitted == 8 || admitted == 2, "held at \(step): \(admitted)")
                }
                guard answer != nil else { break }
            }
        }
    }
#endif
