import Limits
import Testing

@testable import Reservations

/// The fields of every word that threads share are apart: each is written all ones, and the others still read zero.
@Suite struct WordLayoutTests {
    @Test func headAndOrigin() {
        let version = Head(version: 0xff_ffff_ffff, buffer: 0)
        #expect(version.version == 0xff_ffff_ffff && version.buffer == 0)
        let buffer = Head(version: 0, buffer: Head.maxBuffers - 1)
        #expect(buffer.version == 0 && buffer.buffer == Head.maxBuffers - 1)

        let lane = Origin(lane: Origin.maxLanes - 1, position: 0)
        #expect(lane.lane == Origin.maxLanes - 1 && lane.position == 0)
        let position = Origin(lane: 0, position: 1 << 56 - 1)
        #expect(position.lane == 0 && position.position == 1 << 56 - 1)
        // No lane's, wherever its record stands.
        #expect(Origin.none.lane >= Origin.maxLanes)
    }

    @Test func idsAndOwners() {
        let generation = ReservationID(slot: -1, generation: ReservationID.lastGeneration)
        #expect(generation.generation == ReservationID.lastGeneration && generation.slot == -1)
        #expect(generation.raw < 1 << 56)
        let slot = ReservationID(slot: 0xffff_fffd, generation: 0)
        #expect(slot.generation == 0 && slot.slot == 0xffff_fffd)

        let owned = SlotOwner(generation: ReservationID.lastGeneration, lane: 0)
        #expect(owned.generation == ReservationID.lastGeneration && owned.lane == 0)
        let lane = SlotOwner(generation: 0, lane: SlotOwner.maxLanes - 1)
        #expect(lane.generation == 0 && lane.lane == SlotOwner.maxLanes - 1)
        #expect(Origin.maxLanes <= SlotOwner.maxLanes)
    }

    @Test func slotWords() {
        let last = ReservationID.lastGeneration
        let free = SlotWord.Phase.free
        func parts(_ word: SlotWord) -> [UInt64] {
            [
                word.generation, word.phase.rawValue, word.word >> 22 & 0x3fff,
                UInt64((word.body ?? -1) + 1),
            ]
        }
        #expect(parts(SlotWord(generation: last, phase: free)) == [last, 0, 0, 0])
        let phase = SlotWord.Phase(rawValue: 0xf)
        #expect(parts(SlotWord(generation: 0, phase: phase)) == [0, 0xf, 0, 0])
        let body = SlotWord(word: 0x3fff << 22).next(free, body: SlotWord.maxBodies - 1)
        #expect(
            parts(body) == [0, 0, 0, UInt64(SlotWord.maxBodies)], "the sequence wraps in its bits")
        #expect(parts(SlotWord(word: 0x3ffe << 22).next(free, body: nil)) == [0, 0, 0x3fff, 0])
        #expect(parts(body.replacingBody(0)) == [0, 0, 0, 1])
        #expect(SlotWord(word: 0x3fff << 22).isExhausted && !body.isExhausted)
    }

    @Test func whatASettledSlotAnswers() {
        let all = LimitSet(rawValue: 1 << SlotWord.limitCapacity - 1)
        let none = SlotWord(word: 0)
        let warned = none.settled(.free, body: nil, warnings: all, tenantStatus: .active)
        #expect(warned.warnings == all && warned.tenantStatus == .active)
        #expect(warned.generation == 0 && warned.phase == .free && warned.body == nil)
        let closed = none.settled(.free, body: nil, warnings: [], tenantStatus: .closed)
        #expect(closed.warnings.isEmpty && closed.tenantStatus == .closed && closed.body == nil)
        let other = SlotWord(generation: ReservationID.lastGeneration, phase: .held)
            .settled(
                SlotWord.Phase(rawValue: 0xf), body: SlotWord.maxBodies - 1, warnings: [],
                tenantStatus: .active)
        #expect(other.warnings.isEmpty && other.tenantStatus == .active)
        #expect(other.generation == ReservationID.lastGeneration && other.phase.rawValue == 0xf)
        #expect(other.body == SlotWord.maxBodies - 1)
        // A row of the catalogue more may not fit.
        for kind in LimitKind.allCases {
            let word = none.settled(.free, body: nil, warnings: [], tenantStatus: .active)
                .settled(.free, body: nil, warnings: LimitSet(kind), tenantStatus: .active)
            #expect(word.warnings == LimitSet(kind), "\(kind)")
        }
    }

    @Test func windowsAndTheTimeOfForgetting() {
        let latest: Int64 = 0xffff_ffff * 1_000
        let cycle = WindowStarts(cycle: latest, day: 0)
        #expect(cycle.cycle == latest && cycle.day == 0)
        let day = WindowStarts(cycle: 0, day: latest)
        #expect(day.cycle == 0 && day.day == latest)

        let far: Int64 = 1 << 42 - 1
        let none = SlotWord(word: 0)
        let time = ForgetTime(far, none)
        #expect(time.time == far && time.time(of: none) == far && !time.isRemembered)
        let life = SlotWord(generation: 0x3_ffff, phase: SlotWord.Phase(rawValue: 0xf))
        #expect(ForgetTime.unset(life).time == 0)
        #expect(ForgetTime(far, life).time(of: life) == far)
        for other in [
            none, SlotWord(generation: 0x3_ffff, phase: .free),
            SlotWord(generation: 0, phase: life.phase),
        ] {
            #expect(ForgetTime(far, life).time(of: other) == nil)
        }
        let charged = SlotWord(generation: 0x3_ffff, phase: .expiredCharged)
        let kept = ForgetTime(1, charged).remembered(until: far)
        #expect(kept.isRemembered && !kept.isReleased && kept.time(of: charged) == far)
        #expect(kept.released(at: 0).isReleased && kept.released(at: 0).time(of: charged) == 0)
    }

    @Test func storedAnswers() {
        func parts(_ answer: KeyedAnswer) -> [Int] {
            let read = KeyedAnswer(bits: answer.bits)
            return [
                Int(read.decision.rawValue), Int(read.tenantStatus.rawValue),
                Int(read.warnings.rawValue), Int(read.granted.present),
            ]
        }
        var answer = KeyedAnswer()
        answer.decision = .allowed
        #expect(parts(answer) == [1, 1, 0, 0])
        answer.decision = .denied
        #expect(parts(answer) == [2, 1, 0, 0])
        answer.tenantStatus = .closed
        #expect(parts(answer) == [2, 3, 0, 0])
        answer.tenantStatus = .active
        answer.warnings = .all
        #expect(parts(answer) == [2, 1, Int(LimitSet.all.rawValue), 0])
        answer.warnings = []
        answer.granted.present = UInt8(1 << Amounts.capacity - 1)
        #expect(parts(answer) == [2, 1, 0, 1 << Amounts.capacity - 1])
        answer.warnings = .all
        // Between the generation and the bit that makes it visible.
        #expect(answer.bits < 1 << 31)
    }
}

/// The same of the records that words make up: each field reads back what was written to it, whatever is in the others.
@Suite struct RecordLayoutTests {
    /// Zeroed words.
    private static func words<Layout: RecordLayout>(
        _: Layout.Type, _ body: (Words) throws -> Void
    ) throws {
        let region = try Region<Layout>(capacity: 1)
        defer { region.unmap() }
        try body(region[0])
    }

    private enum Field {
        case word(WritableKeyPath<TenantState, UInt64>)
        case instant(WritableKeyPath<TenantState, Int64>)
        case amount(WritableKeyPath<TenantState, InlineArray<8, Int64>>, Int)
        case epoch
        /// What latches remember, and nothing else.
        case raised

        static var all: [Field] {
            [.word(\.version), .word(\.flags), .word(\.starts.word), .epoch, .raised]
                + [.instant(\.cycleEnd), .instant(\.dayEnd)]
                + (0..<LimitKind.counterCount).flatMap {
                    [.amount(\.committed, $0), .amount(\.held, $0), .amount(\.caps, $0)]
                }
        }

        func set(_ state: inout TenantState, ones: Bool) {
            switch self {
            case .word(let path): state[keyPath: path] = ones ? .max : 0
            case .instant(let path): state[keyPath: path] = ones ? -1 : 0
            case .amount(let path, let counter): state[keyPath: path][counter] = ones ? -1 : 0
            case .epoch: state.percentEpoch = ones ? .max : 0
            case .raised: state.raised = ones ? .alerts(of: .all) : []
            }
        }

        /// All ones: true; all zeros: false; else nil.
        func read(_ state: TenantState) -> Bool? {
            switch self {
            case .word(let path):
                state[keyPath: path] == .max ? true : state[keyPath: path] == 0 ? false : nil
            case .instant(let path): Self.ones(state[keyPath: path])
            case .amount(let path, let counter): Self.ones(state[keyPath: path][counter])
            case .epoch: state.percentEpoch == .max ? true : state.percentEpoch == 0 ? false : nil
            case .raised:
                state.raised == .alerts(of: .all) ? true : state.raised.isEmpty ? false : nil
            }
        }

        private static func ones(_ value: Int64) -> Bool? {
            value == -1 ? true : value == 0 ? false : nil
        }
    }

    @Test func aTenantsNode() throws {
        try Self.words(TenantNode.self) { node in
            for (index, _) in Field.all.enumerated() {
                var state = TenantState()
                for (other, field) in Field.all.enumerated() {
                    field.set(&state, ones: other == index)
                }
                var pending = Pending()
                TenantNode.store(&state, to: node)
                TenantNode.store(&pending, to: node)
                node[TenantNode.origin] = 0
                var read = TenantState()
                TenantNode.load(node, into: &read)
                for (other, field) in Field.all.enumerated() {
                    #expect(field.read(read) == (other == index), "\(field) of \(Field.all[index])")
                }
                TenantNode.load(node, into: &pending)
                #expect(pending.flags == 0 && node[TenantNode.origin] == 0)
            }
        }
    }

    /// What a node says of dependent records lies beside its state.
    @Test func whatIsPendingInANode() throws {
        try Self.words(TenantNode.self) { node in
            var state = TenantState()
            for field in Field.all { field.set(&state, ones: false) }
            TenantNode.store(&state, to: node)
            var pending = Pending()
            pending.flags =
                Pending.hasProfile | Pending.publication | Pending.swing | Pending.hasKey
            (pending.profile, pending.slot) = (0xffff_ffff, 0xffff_fffd)
            (pending.profileOld, pending.profileNew) = (.max - 1, .max - 2)
            (pending.slotOld, pending.slotNew, pending.key) = (.max - 3, .max - 4, .max - 5)
            TenantNode.store(&pending, to: node)
            node[TenantNode.origin] = Origin.none.word
            var read = Pending()
            TenantNode.load(node, into: &read)
            #expect(read.flags == pending.flags)
            #expect(read.profile == pending.profile && read.slot == pending.slot)
            #expect(read.profileOld == .max - 1 && read.profileNew == .max - 2)
            #expect(read.slotOld == .max - 3 && read.slotNew == .max - 4 && read.key == .max - 5)
            TenantNode.load(node, into: &state)
            for field in Field.all { #expect(field.read(state) == false, "\(field)") }
            #expect(node[TenantNode.origin] == Origin.none.word)
        }
    }

    @Test func aProfilesNode() throws {
        try Self.words(ProfileNode.self) { node in
            var state = ProfileState()
            (state.cap, state.committed, state.held, state.dayStart) = (-1, -2, -3, -4)
            state.flags = .max
            ProfileNode.store(&state, to: node)
            let flags = state.flags
            var read = ProfileState()
            ProfileNode.load(node, into: &read)
            #expect((read.cap, read.committed, read.held, read.dayStart) == (-1, -2, -3, -4))
            #expect(read.flags == flags)
        }
    }

    private static let fields: [(words: Int, fields: [(place: Int, words: Int)])] = [
        (
            Slot.words,
            [
                (Slot.state, 1), (Slot.published, 1), (Slot.subjects, 1), (Slot.policy, 1),
                (Slot.createdAt, 1), (Slot.expiresAt, 1), (Slot.amounts, Slot.mostAmounts),
                (Slot.dayStart, 1), (Slot.tenantWindows, 1), (Slot.link, 1), (Slot.owner, 1),
                (Slot.forgetting, 1), (Slot.block, 1),
            ]
        ),
        (
            TenantCell.words,
            [(TenantCell.head, 1), (TenantCell.completed, 1), (TenantCell.use, CellID.words)]
        ),
        (
            ProfileCell.words,
            [(ProfileCell.head, 1), (ProfileCell.tenant, 1), (CellID.firstWord, CellID.words)]
        ),
        (
            CacheLine.words,
            [(Heartbeat.time, 1), (Heartbeat.walkBegun, 1), (Heartbeat.walkDone, 1)]
        ),
        (
            TimerChunk.words,
            [(TimerChunk.link, 1), (TimerChunk.entries, 2 * TimerChunk.capacity)]
        ),
        (ChunkQueue.Node.words, [(ChunkQueue.Node.next, 1), (ChunkQueue.Node.value, 1)]),
    ]

    @Test(arguments: fields)
    func fieldsAreApart(words: Int, _ fields: [(place: Int, words: Int)]) {
        var end = 0
        for field in fields {
            #expect(field.place >= end, "a field at \(field.place) overlaps the one before")
            end = field.place + field.words
        }
        #expect(end <= words)
    }

    @Test func aBodysSegments() throws {
        func segment(_ index: Int) -> HoldSegment {
            var amounts = Amounts()
            for resource in 0..<Amounts.capacity {
                amounts.set(resource, Int64(100 * index + resource + 1))
            }
            let start = Int64(index + 1) * 1_000
            return HoldSegment(
                amounts: amounts, counters: .max - UInt8(index), dayStart: -start,
                starts: WindowStarts(cycle: start * 10, day: start * 100))
        }
        try Self.words(Body.self) { body in
            body[Body.link] = .max
            body.setSigned(Body.expiresAt, -1)
            body[Body.segmentCount] = UInt64(HoldState.maxSegments)
            for index in 0..<HoldState.maxSegments { Body.store(segment(index), to: body, index) }
            for index in 0..<HoldState.maxSegments {
                #expect(Body.segment(body, index) == segment(index))
            }
            Body.setCounters(1, of: 1, body)
            var expected = segment(1)
            expected.counters = 1
            #expect(Body.segment(body, 1) == expected && Body.segment(body, 2) == segment(2))
            #expect(body.signed(Body.expiresAt) == -1)
            #expect(body[Body.segmentCount] == UInt64(HoldState.maxSegments))
        }
    }

    @Test func aBodysSettlement() throws {
        func amounts(_ place: Int) -> Amounts {
            var amounts = Amounts()
            for resource in 0..<Amounts.capacity {
                amounts.set(resource, -Int64(100 * place + resource + 1))
            }
            return amounts
        }
        let places = [Body.held, Body.asked, Body.charged, Body.uncharged]
        try Self.words(Body.self) { body in
            for place in places { Body.store(amounts(place), to: body, at: place) }
            for place in places { #expect(Body.amounts(body, at: place) == amounts(place)) }
            #expect(body[Body.link] == 0)
        }
    }

    @Test func aKeysEntry() throws {
        let memory = try KeyMemory(capacity: 1)
        defer { memory.unmap() }
        let key = KeyHash(high: .max - 1, low: .max - 2)
        let reference = memory.renew(0, key, content: .max - 3, until: .max - 4, .none)
        memory.push(reference, key, .none)
        var answer = KeyedAnswer()
        (answer.decision, answer.tenantStatus, answer.warnings) = (.allowed, .closed, .all)
        (answer.reservationID, answer.expiresAt) = (.max - 5, .max - 6)
        for resource in 0..<Slot.mostAmounts {
            answer.granted.set(resource, .max - Int64(resource))
        }
        memory.fill(reference, answer)
        #expect(memory.find(key, content: .max - 3, now: 0) == nil, "it is not visible yet")
        memory.reveal(reference)
        let found = try #require(memory.find(key, content: .max - 3, now: 0))
        #expect(found.same && found.answer.bits == answer.bits)
        #expect(found.answer.reservationID == .max - 5 && found.answer.expiresAt == .max - 6)
        #expect(found.answer.granted == answer.granted)
        var entries: [[UInt64]] = []
        memory.forEach(now: 0, chunks: 1) { words, _ in entries.append(words) }
        let granted = (0..<Slot.mostAmounts).map { UInt64(Int64.max - Int64($0)) }
        var expected: [UInt64] = [.max - 1, .max - 2, .max - 3, UInt64(Int64.max - 4)]
        expected.append(contentsOf: [answer.bits, .max - 5, UInt64(Int64.max - 6)])
        expected.append(contentsOf: granted)
        #expect(entries == [expected])
    }

    /// With a cap on each of its limits or none, its places in the indexes included.
    @Test func anIdleTenantTakesFourHundredBytesAtMost() throws {
        let capacity = TableCapacity(
            tenants: 1, profiles: 1, reservations: 1, bodies: 1, keys: 1, lanes: 1)
        let tenants = try #require(capacity.memory.first { $0.kind == "tenants" })
        // As README and docs/performance.md say.
        #expect(tenants.bytesEach == 392)
    }

    /// Every record of the table has room for its fields; the table asks the same when it is made.
    @Test func fieldsFitTheirRecords() {
        let layouts: [any RecordLayout.Type] = [
            TenantCell.self, ProfileCell.self, TenantNode.self, ProfileNode.self, Slot.self,
            Body.self, Word.self, CacheLine.self, KeyMemory.Entry.self, ChunkQueue.Node.self,
            TimerChunk.self,
        ]
        for layout in layouts { #expect((1...layout.words).contains(layout.end), "\(layout)") }
    }
}
