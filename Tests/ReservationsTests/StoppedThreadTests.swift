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
            var usage: String
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
                outcomes.insert(Outcome(answers: answers, usage: world.usage()))
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

        @Test(arguments: Operation.all)
        func othersFinishRight(_ first: Operation) throws {
            for second in Operation.all {
                let allowed = try Self.sequential([first, second])
                for step in 0... {
                    let world = try World()
                    var other = ""
                    let answer = Self.run(first, heldAt: step, in: world) {
                        other = second.run(world, world.lanes[1])
                        #expect(world.checkInvariants())
                    }
                    guard let answer else { break }
                    let outcome = Outcome(answers: [answer, other], usage: world.usage())
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
            let first = Operation.all[index]
            for second in chosen {
                for third in chosen {
                    let allowed = try Self.sequential([first, second, third])
                    outer: for outerStep in 0... {
                        for innerStep in 0... {
                            let world = try World()
                            var answers = ["", "", ""]
                            var heldInner = false
                            let answer = Self.run(first, heldAt: outerStep, in: world) {
                                var seen = 0
                                world.lanes[1].onStep = { _ in
                                    defer { seen += 1 }
                                    guard seen == innerStep else { return }
                                    heldInner = true
                                    answers[2] = third.run(world, world.lanes[2])
                                }
                                answers[1] = second.run(world, world.lanes[1])
                                world.lanes[1].onStep = nil
                            }
                            guard let answer else { break outer }
                            guard heldInner else { break }
                            answers[0] = answer
                            let outcome = Outcome(answers: answers, usage: world.usage())
                            #expect(
                                allowed.contains(outcome),
                                "\(first.name) at \(outerStep), \(second.name) at \(innerStep), \(third.name): \(outcome)"
                            )
                        }
                    }
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
