#if STEP_POINTS
    import Journal
    import Limits
    import Testing

    @testable import Reservations

    /// A thread that stops at any step keeps nobody's answer from becoming durable: whatever an answer reflects is
    /// published by the time it is given, by the stopped thread or by whoever came after it.
    @Suite struct StoppedRecordTests {
        static let capacity = TableCapacity(
            tenants: 4, profiles: 4, reservations: 256, bodies: 64, keys: 256, lanes: 6,
            ringWords: 4_096)

        /// What a process would find that starts now with everything that is published.
        static func recovered(_ world: World) throws -> (usage: String, left: Int) {
            let fresh = try World(capacity: capacity, empty: true)
            let lane = fresh.lanes[1]
            var left: [[UInt64]] = []
            for ring in world.table.rings {
                var position = ring.durable
                while position < ring.published {
                    let count = UInt64(RecordWords.count(ring[position]))
                    left.append((0..<count).map { ring[position + $0] })
                    position += count
                }
            }
            var progress = true
            while progress {
                progress = false
                for words in left {
                    guard try play(words, lane, now: world.now) else { continue }
                    left.removeAll { $0 == words }
                    progress = true
                }
            }
            fresh.now = world.now
            return (fresh.usage(), left.count)
        }

        private static func play(_ words: [UInt64], _ lane: Lane, now: Int64) throws -> Bool {
            var record = Record(.reserved)
            return try words.withUnsafeBufferPointer { words in
                try record.read(words)
                let replayed: Replayed
                switch record.kind {
                case .tenantCreated, .tenantChanged:
                    let policy = record.kind == .tenantCreated ? World.policy : World.loweredPolicy
                    let name = record.tenant == 0 ? "acme" : "tenant \(record.tenant)"
                    replayed = try name.withBorrowedBytes { id in
                        Result { try lane.replay(record, id, policy) }
                    }.get()
                case .profileCreated, .profileChanged:
                    let policy = ProfilePolicy(
                        enabled: record.kind == .profileCreated, dailySpendNanos: 8)
                    let name = record.profile == 0 ? "sms" : "profile \(record.profile ?? 0)"
                    replayed = try name.withBorrowedBytes { id in
                        Result { try lane.replay(record, id, policy) }
                    }.get()
                default: replayed = lane.replay(record, now: now)
                }
                if case .corrupt(let what) = replayed { Issue.record("\(what)") }
                return replayed == .applied || replayed == .duplicate
            }
        }

        @Test(arguments: Operation.all + Operation.late)
        func whatIsAnsweredIsPublished(_ first: Operation) throws {
            for second in Operation.all {
                for step in 0... {
                    let world = try World(capacity: Self.capacity)
                    var held = ""
                    let answer = StoppedThreadTests.run(first, heldAt: step, in: world) {
                        _ = second.run(world, world.lanes[1])
                        do {
                            let found = try Self.recovered(world)
                            #expect(found.left == 0)
                            held = found.usage
                        } catch {
                            Issue.record("\(error)")
                        }
                        let usage = world.usage(by: 2)
                        // Time that passes is no answer: it may find nothing to do for the tenant.
                        #expect(
                            held == usage || second.advance > 0,
                            "\(first.name) held at \(step), \(second.name)")
                        let afterReading = try? Self.recovered(world)
                        #expect(afterReading?.usage == usage)
                    }
                    // Afterwards there may be second copies; they change nothing.
                    let after = try Self.recovered(world)
                    #expect(after.usage == world.usage() && after.left == 0)
                    if answer == nil { break }
                }
            }
        }
    }
#endif
