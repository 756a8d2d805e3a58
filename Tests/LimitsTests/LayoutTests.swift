import Limits
import Testing

/// The fields of every word are apart: each is written all ones, and the others read what they read before.
@Suite struct LayoutTests {
    /// A field by what sets all of its bits, and what reads it.
    private struct Field<State> {
        let name: String
        let set: (inout State) -> Void
        let read: (State) -> Int

        init(
            _ name: String, _ read: @escaping (State) -> Int, _ set: @escaping (inout State) -> Void
        ) {
            self.name = name
            self.set = set
            self.read = read
        }
    }

    private func expectApart<State>(_ fields: [Field<State>], _ make: () -> State) {
        for field in fields {
            var state = make()
            field.set(&state)
            #expect(field.read(state) != field.read(make()), "\(field.name) is not kept")
            for other in fields where other.name != field.name {
                #expect(
                    other.read(state) == other.read(make()), "\(field.name) changes \(other.name)")
            }
        }
    }

    @Test func aTenantsLatches() {
        let fields: [Field<TenantState>] = [
            Field("raised", { $0.raised == .alerts(of: .all) ? 1 : 0 }) {
                $0.raised = .alerts(of: .all)
            },
            Field("percent epoch", { Int($0.percentEpoch) }) { $0.percentEpoch = .max },
        ]
        expectApart(fields) { TenantState() }
    }

    @Test func aTenantsFlags() {
        var fields: [Field<TenantState>] = [
            Field("status", { Int($0.status.rawValue) }, { $0.status = .closed }),
            Field("on_limit", { Int($0.onLimit.rawValue) }, { $0.onLimit = .alert }),
            Field("auto-suspend", { $0.autoSuspend ? 1 : 0 }, { $0.autoSuspend = true }),
            Field("discloses", { $0.disclosesLimits ? 1 : 0 }, { $0.disclosesLimits = true }),
            Field("by usage", { $0.suspendedByUsage ? 1 : 0 }, { $0.suspendedByUsage = true }),
            Field("ends holds", { $0.endsHolds ? 1 : 0 }, { $0.endsHolds = true }),
            Field("schedule", { Int($0.schedule) }, { $0.schedule = 0x7fff }),
        ]
        for level in 0..<4 {
            fields.append(
                Field("threshold \(level)", { Int($0.threshold(level)) }) {
                    $0.setThreshold(level, 0x7f)
                })
        }
        func zeros() -> TenantState {
            var state = TenantState()
            state.flags = 0
            return state
        }
        expectApart(fields, zeros)
        var state = zeros()
        for field in fields { field.set(&state) }
        #expect(fields.allSatisfy { $0.read(state) != $0.read(zeros()) })
        #expect(state.schedule == 0x7fff && state.threshold(3) == 0x7f)
        #expect(state.flagsWithoutSchedule == state.flags & ~(0x7fff << 36))
        // `hasFurtherThresholds` looks at the bits of the second to the fourth.
        for level in 0..<4 {
            var state = zeros()
            state.setThreshold(level, 1)
            #expect(state.hasFurtherThresholds == (level > 0))
            state.setThreshold(level, 0x40)
            #expect(state.hasFurtherThresholds == (level > 0))
        }
    }

    @Test func aProfilesFlags() throws {
        let kind = try #require(ProfileKind.allCases.last)
        let fields: [Field<ProfileState>] = [
            Field("enabled", { $0.enabled ? 1 : 0 }, { $0.enabled = true }),
            Field("closed", { $0.closed ? 1 : 0 }, { $0.closed = true }),
            Field("raised", { Int($0.raised) }, { $0.raised = 0x3f }),
            Field("kind", { Int($0.kind.rawValue) }, { $0.kind = kind }),
            Field("epoch", { Int($0.percentEpoch) }, { $0.percentEpoch = .max }),
        ]
        /// As the word says it.
        func packed(_ state: ProfileState) -> ProfileState {
            var read = ProfileState()
            read.flags = state.flags
            return read
        }
        expectApart(
            fields.map { field in
                Field(field.name, { field.read(packed($0)) }, field.set)
            }, ProfileState.init)
        for kind in ProfileKind.allCases {
            var state = ProfileState()
            state.kind = kind
            #expect(packed(state).kind == kind)
        }
    }

    @Test func eventsHaveABitEach() {
        let groups = EventSet.Group.allCases
        var all: EventSet = [.suspended, .reinstated]
        var count = 2
        for group in groups {
            for index in 0..<LimitSet.capacity {
                let limit = LimitSet(rawValue: 1 << index)
                let event = EventSet(group, limit)
                #expect(event.rawValue.nonzeroBitCount == 1 && all.isDisjoint(with: event))
                #expect(event.limits(group) == limit)
                for other in groups where other != group { #expect(event.limits(other).isEmpty) }
                all.formUnion(event)
                count += 1
            }
        }
        #expect(all.rawValue.nonzeroBitCount == count)
        #expect(LimitSet.all.rawValue == 1 << LimitSet.capacity - 1)
        for kind in LimitKind.allCases {
            #expect(EventSet(latched: .max, kind).latched(kind) == 0x3f)
            for group in groups where !group.hasEnded {
                #expect(EventSet(latched: 1 << group.rawValue, kind) == EventSet(group, kind))
                #expect(EventSet(group, kind).latched(kind) == 1 << group.rawValue)
            }
            for group in groups where group.hasEnded {
                #expect(EventSet(group, kind).latched(kind) == 0)
            }
        }
        // What a node has room for.
        #expect(EventSet.alerts(of: .all).rawValue >> 96 == 0)
        #expect(
            EventSet.alerts(of: .all)
                == EventSet.Group.latched.reduce(into: []) {
                    $0.formUnion(EventSet($1, .all))
                })
    }

    @Test func policiesOfHolds() {
        func parts(_ policy: UInt64) -> [UInt8] {
            var hold = HoldState(first: .none)
            hold.policy = policy
            return [hold.action.rawValue, hold.onExpiry.rawValue, hold.overage.rawValue]
        }
        for action in Action.allCases {
            for onExpiry in ExpiryPolicy.allCases {
                for overage in OveragePolicy.allCases {
                    let policy = HoldState.policy(action, onExpiry, overage)
                    #expect(
                        parts(policy) == [action.rawValue, onExpiry.rawValue, overage.rawValue])
                    // What a slot has above it.
                    #expect(policy < 1 << 24)
                    #expect(parts(policy | ~0 << 24) == parts(policy))
                }
            }
        }
    }

    /// States as files hold them: each word reads back.
    @Test func statesInFiles() throws {
        var state = TenantState()
        state.version = .max - 1
        state.flags = TenantState().flags
        (state.cycleStart, state.cycleEnd) = (1_000, -2)
        (state.dayStart, state.dayEnd) = (3_000, -4)
        state.percentEpoch = .max
        state.raised = .alerts(of: LimitRules.standard.tenantLimits)
        for counter in 0..<LimitKind.counterCount {
            state.caps[counter] = -Int64(10 * counter + 5)
            state.committed[counter] = -Int64(10 * counter + 6)
            state.held[counter] = -Int64(10 * counter + 7)
        }
        var words: [UInt64] = []
        state.encode(.standard) { words.append($0) }
        #expect(TenantState.wordCount(words.count) { words[$0] } == words.count)
        let read = try #require(TenantState(.standard, words.count) { words[$0] })
        #expect(read.version == state.version && read.flags == state.flags)
        #expect((read.cycleStart, read.cycleEnd) == (1_000, -2))
        #expect((read.dayStart, read.dayEnd) == (3_000, -4))
        #expect(read.percentEpoch == .max && read.raised == state.raised)
        for counter in 0..<LimitKind.counterCount {
            #expect(read.caps[counter] == state.caps[counter])
            #expect(read.committed[counter] == state.committed[counter])
            #expect(read.held[counter] == state.held[counter])
        }

        var profile = ProfileState()
        (profile.cap, profile.committed, profile.held, profile.dayStart) = (-1, -2, -3, -4)
        (profile.enabled, profile.percentEpoch) = (true, .max)
        var own: [UInt64] = []
        profile.encode { own.append($0) }
        #expect(own.count == ProfileState.wordCount)
        let again = ProfileState { own[$0] }
        #expect((again.cap, again.committed, again.held, again.dayStart) == (-1, -2, -3, -4))
        #expect(again.flags == profile.flags)
    }
}
