import Testing

@testable import tollgate_loadtest

@Suite("Limit tally")
struct LimitTallyTests {
    static func tally(cap: Int64?, isBlocking: Bool = true, committed: Int64 = 0) -> LimitTally {
        LimitTally(
            cap: cap, isBlocking: isBlocking, committed: committed, held: 0, windowStart: 0)
    }

    @Test("A refusal of what fitted at every moment is found, at the edge")
    func certainRefusal() {
        var tally = Self.tally(cap: 10, committed: 7)
        let fits = tally.ask(3)
        #expect(tally.canRefuse(since: fits) == false)
        tally.refuse(3)
        let exceeds = tally.ask(4)
        #expect(tally.canRefuse(since: exceeds))
    }

    @Test("What others may have used meanwhile excuses a refusal, also when they were refused")
    func overlappingRefusal() {
        var tally = Self.tally(cap: 10)
        let first = tally.ask(8)
        let second = tally.ask(8)
        #expect(tally.canRefuse(since: second))
        tally.refuse(8)
        // The second one may have been in the way for a moment.
        #expect(tally.canRefuse(since: first))
        tally.refuse(8)
        let third = tally.ask(8)
        #expect(tally.canRefuse(since: third) == false)
    }

    @Test("Room that comes back excuses a refusal only if it came back after the sending")
    func freedRoom() {
        var tally = Self.tally(cap: 10)
        _ = tally.ask(10)
        tally.admit(10)
        tally.beginFreeing(10)
        let early = tally.ask(1)
        tally.free(10)
        #expect(tally.canRefuse(since: early))
        tally.refuse(1)
        let late = tally.ask(1)
        #expect(tally.canRefuse(since: late) == false)
    }

    @Test(
        "A limit without cap, or set to alert only, cannot refuse", arguments: [nil, 1 as Int64?])
    func withoutBlockingCap(cap: Int64?) {
        var tally = Self.tally(cap: cap, isBlocking: false)
        let mark = tally.ask(5)
        #expect(tally.canRefuse(since: mark) == false)
        tally.admit(5)
        #expect(tally.excess == nil)
    }

    @Test("More than the cap is found when it is certain, not while it is possible")
    func excess() {
        var tally = Self.tally(cap: 10)
        _ = tally.ask(8)
        _ = tally.ask(8)
        tally.admit(8)
        #expect(tally.excess == nil)
        tally.admit(8)
        #expect(tally.excess == 6)
    }

    @Test("An unknown outcome keeps the bounds apart for ever")
    func unknownOutcome() {
        var tally = Self.tally(cap: nil, isBlocking: false)
        _ = tally.ask(5)
        tally.beginCommitting(5)
        #expect(tally.agrees(committed: 0, held: 0))
        #expect(tally.agrees(committed: 5, held: 0))
        #expect(tally.agrees(committed: 0, held: 5))
        #expect(tally.agrees(committed: 6, held: 0) == false)
        tally.admit(5)
        tally.commit(5)
        #expect(tally.agrees(committed: 5, held: 0))
        #expect(tally.agrees(committed: 0, held: 5) == false)
        #expect(tally.agrees(committed: 0, held: 0) == false)
    }

    /// A correct service processes requests at any moment between sending and answer, loses some answers, and lets
    /// expire what is not settled; its usage must always lie between the bounds, and it must never be accused.
    @Test("A correct service is never accused", arguments: 1...200 as ClosedRange<UInt64>)
    func soundness(seed: UInt64) {
        var story = Story(seed: seed)
        for _ in 0..<2_000 { story.step() }
        story.finish()
    }
}

/// Random requests against one limit of a service that is right.
private struct Story {
    struct Request {
        enum Kind { case reserve, commit, release }
        var kind: Kind
        var amount: Int64
        /// Of a commit: less than what is held.
        var charged: Int64 = 0
        var mark: Int64 = 0
        /// nil: not yet processed.
        var allowed: Bool?
    }

    var random: SampleGenerator
    var tally: LimitTally
    let cap: Int64
    var committed: Int64
    var held: Int64 = 0
    var underWay: [Request] = []
    var holds: [Int64] = []
    /// Holds whose settling never reached the service.
    var abandoned: [Int64] = []
    var lost = 0

    init(seed: UInt64) {
        random = SampleGenerator(seed: seed)
        cap = Int64(10 + random.index(below: 200))
        committed = Int64(random.index(below: 10))
        tally = LimitTallyTests.tally(cap: cap, committed: committed)
    }

    mutating func step() {
        switch random.index(below: 16) {
        case 0..<4: send()
        case 4..<12: process()
        case 12..<15: answer()
        default: expire()
        }
        check()
    }

    mutating func expire() {
        guard abandoned.isEmpty == false else { return }
        held -= abandoned.remove(at: random.index(below: abandoned.count))
    }

    mutating func check() {
        #expect((tally.sureUsed...tally.mayUsed).contains(committed + held))
        #expect((tally.sureCommitted...tally.mayCommitted).contains(committed))
        #expect(committed + held <= tally.mayPeak)
        #expect(tally.excess == nil)
    }

    mutating func send() {
        if holds.isEmpty || random.index(below: 2) == 0 {
            var request = Request(kind: .reserve, amount: Int64(1 + random.index(below: 20)))
            request.mark = tally.ask(request.amount)
            underWay.append(request)
            return
        }
        let amount = holds.remove(at: random.index(below: holds.count))
        // Mostly released, or the story would end at the cap.
        if random.index(below: 4) > 0 {
            tally.beginFreeing(amount)
            underWay.append(Request(kind: .release, amount: amount))
        } else {
            let charged = Int64(random.index(below: Int(amount) + 1))
            tally.beginFreeing(amount - charged)
            tally.beginCommitting(charged)
            underWay.append(Request(kind: .commit, amount: amount, charged: charged))
        }
    }

    mutating func process() {
        guard underWay.isEmpty == false else { return }
        let index = random.index(below: underWay.count)
        guard underWay[index].allowed == nil else { return }
        let request = underWay[index]
        switch request.kind {
        case .reserve:
            let fits = committed + held + request.amount <= cap
            if fits { held += request.amount }
            underWay[index].allowed = fits
        case .commit:
            held -= request.amount
            committed += request.charged
            underWay[index].allowed = true
        case .release:
            held -= request.amount
            underWay[index].allowed = true
        }
    }

    mutating func answer() {
        guard underWay.isEmpty == false else { return }
        let index = random.index(below: underWay.count)
        let isLost = random.index(below: 200) == 0
        guard isLost || underWay[index].allowed != nil else { return }
        let request = underWay.remove(at: index)
        if isLost { lose(request) } else { answer(request, allowed: request.allowed == true) }
    }

    /// Its outcome stays unknown; perhaps it was never processed.
    mutating func lose(_ request: Request) {
        lost += 1
        guard request.kind != .reserve else { return }
        tally.beginFreeing(request.charged)
        if request.allowed == nil { abandoned.append(request.amount) }
    }

    mutating func answer(_ request: Request, allowed: Bool) {
        switch request.kind {
        case .reserve:
            if allowed {
                tally.admit(request.amount)
                holds.append(request.amount)
            } else {
                #expect(tally.canRefuse(since: request.mark))
                tally.refuse(request.amount)
            }
        case .commit:
            tally.free(request.amount - request.charged)
            tally.commit(request.charged)
        case .release: tally.free(request.amount)
        }
    }

    mutating func finish() {
        while underWay.isEmpty == false {
            process()
            answer()
        }
        check()
        #expect(tally.agrees(committed: committed, held: held))
        // One unit more or less is noticed where every outcome is known.
        if lost == 0 {
            #expect(tally.agrees(committed: committed + 1, held: held) == false)
            #expect(tally.agrees(committed: committed, held: held - 1) == false)
        }
    }
}
