#if STEP_POINTS
    import Limits
    import Testing

    @testable import Reservations

    /// A thread that stops at any step for so long that the slot that it was about to fill, to settle or to forget lives
    /// several lives meanwhile takes nothing from the one that has it then.
    @Suite struct SeveralLivesTests {
        private static let holders = 8

        /// Lets everything come up that there is, on a lane that takes over what silent ones time: what is held expires,
        /// and is forgotten.
        private static func passLife(_ world: World, _ lane: Lane) {
            for wait: Int64 in [400, 20_000, 901_000, 901_000] {
                world.now += wait
                lane.pass(to: world.now)
            }
        }

        private static func reserve(_ world: World, _ lane: Lane) -> [UInt64] {
            (0..<holders).map { _ in
                lane.reserve("acme", Amounts(.dids, 1), ttl: 10_000, now: world.now).answer
                    .reservationID
            }
        }

        /// Of each kind of store one: slots, keys and bodies are filled, settled, expired, forgotten.
        private static let operations =
            [0, 4, 10, 11, 12, 18].map { Operation.all[$0] } + Operation.late[...2]

        @Test(arguments: operations)
        func whoHasTheSlotKeepsIt(_ operation: Operation) throws {
            for step in 0... {
                let world = try World()
                let lane = world.lanes[1]
                var holders: [UInt64] = []
                let answer = StoppedThreadTests.run(operation, heldAt: step, in: world) {
                    for _ in 0..<2 {
                        Self.passLife(world, lane)
                        holders = Self.reserve(world, lane)
                    }
                }
                guard answer != nil else { break }
                let place = "\(operation.name) held at \(step)"
                // A tenant that was closed or suspended gives no holds.
                for id in holders where id != 0 {
                    var answer = CommitAnswer()
                    let failure = lane.commit(
                        CommitCommand(reservationID: id), now: world.now, answer: &answer)
                    #expect(failure == nil && !answer.replayed, "\(place): a holder's commit")
                }
                // What the stopped thread made comes up like everything else: nothing stays held.
                Self.passLife(world, lane)
                Self.passLife(world, world.lanes[0])
                _ = lane.open(0)
                let tenant = lane.own.pointee.subjects.tenant
                #expect(
                    (0..<LimitKind.counterCount).allSatisfy { tenant.held[$0] == 0 },
                    "\(place): a hold leaks")
                let isHeld = (0..<world.table.usedSlots).filter {
                    SlotWord(word: world.table.slots[$0][Slot.state]).phase == .held
                }
                #expect(isHeld.isEmpty, "\(place): a slot leaks")
            }
        }

        /// Stopped right behind its decision, a thread finds its slot in the hands of another: the case that all is about.
        @Test func theSlotLivesAgain() throws {
            let world = try World()
            let lane = world.lanes[1]
            var holders: [UInt64] = []
            var made: UInt64 = 0
            world.lanes[0].onStep = { point in
                guard case .headSwung = point else { return }
                world.lanes[0].onStep = nil
                for _ in 0..<3 {
                    Self.passLife(world, lane)
                    holders = Self.reserve(world, lane)
                }
            }
            made =
                world.lanes[0].reserve("acme", Amounts(.dids, 1), now: world.now).answer
                .reservationID
            let slot = ReservationID(raw: made).slot
            let holder = holders.first { ReservationID(raw: $0).slot == slot }
            let id = try #require(holder, "no slot lived again")
            #expect(id != made)
            var answer = ReleaseAnswer()
            #expect(lane.release(id, now: world.now, answer: &answer) == nil)
        }

        /// A walker that stops before it says of which silence its walk is says nothing about a later one.
        @Test func aLateWalkerTakesNoWordBack() throws {
            let world = try World()
            let (walker, next, silent) = (world.lanes[0], world.lanes[1], world.lanes[2])
            let beat = world.table.heartbeats[silent.index]
            silent.tick(now: world.now)
            var later: UInt64 = 0
            walker.onStep = { point in
                guard case .silenceFound = point,
                    walker.own.pointee.walk.beats[silent.index] != 0
                else { return }
                walker.onStep = nil
                // The silent lane comes back and is silent again; another walker says so.
                world.now += 1_000
                silent.tick(now: world.now)
                world.now += 1_000
                next.pass(to: world.now)
                later = beat[Heartbeat.walkBegun]
                #expect(later == beat[Heartbeat.time])
            }
            world.now += 1_000
            walker.tick(now: world.now)
            #expect(later != 0 && beat[Heartbeat.walkBegun] == later)
        }
    }
#endif
