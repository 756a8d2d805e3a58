import HTTP2

@testable import GRPCServer

/// What becomes of a request, as the service, the disk and the clock have it.
enum CallAnswer: CaseIterable {
    case ok, packed, parked, failed, failedParked, putOff, late
}

enum CallHappening: Hashable {
    /// The head has come, and the body has not; the body has come.
    case head, body
    /// The one request is decided, or taken as the beginning of a stream, or not.
    case decided(CallAnswer)
    case opened, refused
    /// There is room, or it is the turn of what was compressed.
    case resumed
    case message(CallAnswer)
    /// The client's last byte; a client stream's answer will be this.
    case halfClosed(CallAnswer)
    case cutShort, overflow
    /// The ticket of the longest parked answers is reached.
    case ticket, ticketLate, cut
    case deadline
    /// The peer has reset the stream; the session says so.
    case reset, closed
    case pushed, ended, failed
    /// No more is wanted of the connection.
    case leaving

    static let all: [CallHappening] =
        [
            .head, .body, .opened, .refused, .resumed, .cutShort, .overflow, .ticket, .ticketLate,
            .cut, .deadline, .reset, .closed, .pushed, .ended, .failed, .leaving,
        ] + CallAnswer.allCases.flatMap { [.decided($0), .message($0), .halfClosed($0)] }
}

/// A connection with one call, that does what it is told, and knows what a caller, a session and a service are owed.
struct CallWorld {
    static let failure = GRPCFailure(.notFound, "no")
    static let mostUnanswered = 2
    static let resumesAt = 1

    /// Answers that share a place in the queue of those that wait for the disk.
    struct Parked: Hashable {
        var messages = 1
        /// Those of them whose bytes wait beside the output.
        var beside = 0
    }

    let kind: MethodKind
    /// nil: the call has no record.
    var life: CallLifecycle?
    /// The session has shown a request that nobody has begun.
    var isNew = true
    var hasHead = false
    var isPutOff = false
    /// What the service must take back of a request that was put off, if that is not decided.
    var owesWithdrawal = false
    var parked: [Parked] = []
    var beside = 0
    /// The output has bytes that the session does not know of.
    var isUnsent = false
    /// Messages that were not taken.
    var inbox: [CallAnswer] = []
    var end: CallAnswer?
    var isCutShort = false
    var isAsked = false
    /// A client stream: one of its requests must wait for the disk.
    var mustWait = false
    /// It cannot end with status OK any more.
    var hasFailed = false
    var heads = 0
    var told = 0
    var isReleased = false
    var isReset = false
    var isClosed = false
    var isCut = false
    var isKnown = false
    var toldService = 0
    var isLeaving = false
    /// Answers whose undo has no end yet, but for those that are parked or put off.
    var undecided = 0
    var faults: [String] = []

    init(_ kind: MethodKind) { self.kind = kind }

    /// All that says how it goes on.
    var key: [Int] {
        let flags: [Bool] = [
            isNew, hasHead, isPutOff, owesWithdrawal, isUnsent, isCutShort, isAsked, isReleased,
            isReset, isClosed, isCut, isKnown, isLeaving, mustWait, hasFailed,
        ]
        var key: [Int] = [heads, told, toldService, beside, undecided, parked.count, inbox.count]
        if let life {
            key += [Self.place(of: life.phase), Int(life.parkedAnswers), Int(life.marks.rawValue)]
        }
        for answer in parked { key += [answer.messages, answer.beside] }
        for answer in inbox + (end.map { [$0] } ?? []) {
            key.append(CallAnswer.allCases.firstIndex(of: answer) ?? -1)
        }
        for flag in flags { key.append(flag ? 1 : 0) }
        return key
    }

    static func place(of phase: CallLifecycle.Phase) -> Int {
        switch phase {
        case .awaitingBody: 0
        case .putOff: 1
        case .open: 2
        case .answered: 3
        case .failed: 4
        case .over: 5
        }
    }

    mutating func expect(_ holds: Bool, _ rule: @autoclosure () -> String) {
        if !holds { faults.append(rule()) }
    }

    // MARK: What happens

    var isDecidable: Bool { life == nil && isNew && !isClosed && !isCut && !isPutOff }
    var hasOneRequest: Bool { kind == .unary || kind == .serverStreaming }
    var mayEnd: Bool { life.map { !$0.isOver } ?? false }
    var maySend: Bool { !isReset && !isCut && end == nil && !isCutShort }

    /// False: it cannot happen now.
    mutating func happens(_ happening: CallHappening) -> Bool {
        guard canHappen(happening) else { return false }
        switch happening {
        case .head:
            (isNew, hasHead) = (false, true)
            life = .awaitingBody(kind)
        case .body: arrive(.end)
        case .resumed: resume()
        case .decided(let answer): decide(answer)
        case .opened, .refused: open(isTaken: happening == .opened)
        case .message(let answer):
            inbox.append(answer)
            arrive(.data)
        case .halfClosed(let answer):
            end = answer
            arrive(.end)
        case .cutShort:
            (isCutShort, end) = (true, .ok)
            arrive(.end)
        case .overflow: arrive([.overflow, .data])
        case .ticket: releaseAnswer()
        case .ticketLate: releaseAnswer(isLate: true)
        case .cut:
            isCut = true
            while !parked.isEmpty { releaseAnswer() }
        case .deadline, .failed: finish(failed: true)
        case .ended: finish(failed: false)
        case .reset: isReset = true
        case .closed: close()
        case .pushed:
            if life?.start() == true { heads += 1 }
        case .leaving:
            isLeaving = true
            rest()
        }
        check()
        return true
    }

    func canHappen(_ happening: CallHappening) -> Bool {
        switch happening {
        case .head: isDecidable && hasOneRequest && !hasHead
        case .body: hasHead && life.map { !$0.isOver && !$0.isStream } == true && isWaiting
        case .resumed: isPutOff && !isCut
        case .decided: isDecidable && kind == .unary
        case .opened, .refused: isDecidable && kind != .unary
        case .message(let answer): takes && maySend && inbox.count < 2 && answer != .packed
        case .halfClosed(let answer):
            takes && maySend && answer != .packed && answer != .putOff
                && (kind == .clientStreaming || answer == .ok)
        case .cutShort: takes && maySend
        case .overflow: takes && maySend
        case .ticket, .ticketLate, .cut: !parked.isEmpty && !isCut
        case .deadline: mayEnd
        case .reset: !isReset && !isReleased && !isNew
        case .closed: isReset && !isClosed && (life != nil || isNew)
        case .pushed, .ended, .failed: life?.isPushed == true && !isReset
        case .leaving: !isLeaving
        }
    }

    var isWaiting: Bool {
        if case .awaitingBody? = life?.phase { return true }
        return false
    }

    var takes: Bool { !hasOneRequest && life != nil }

    // MARK: What always holds

    mutating func check() {
        expect(!isUnsent, "what was added to the output is not sent")
        expect(undecided == 0, "nobody says what becomes of an answer")
        expect(heads <= 1 && told <= 1 && toldService <= 1, "said twice")
        expect(beside == parked.reduce(0) { $0 + $1.beside }, "bytes wait for nothing")
        guard let life else {
            expect(parked.isEmpty && !owesWithdrawal, "forgotten, and something is owed")
            if !isNew {
                expect(isReleased, "the stream is kept for ever")
                expect(toldService == (isKnown ? 1 : 0), "the service waits for ever")
                expect(told == 1 || isReset || isCut, "the caller waits for ever")
            }
            return
        }
        expect(!isReleased, "the stream is released under its call")
        checkRest(life)
        expect(Int(life.parkedAnswers) == parked.reduce(0) { $0 + $1.messages }, "miscounted")
        if life.isOver {
            expect(!parked.isEmpty, "a call that is over stays for nothing")
            expect(told == 1 || isReset || isCut, "over, and nobody knows")
        } else {
            expect(told == 0, "it goes on after its end")
        }
        if case .putOff = life.phase {
            expect(owesWithdrawal, "put off for nothing")
        } else {
            expect(!owesWithdrawal, "a request was put off and is forgotten")
        }
        expect(life.isStream == isKnown, "the service knows of another stream")
        expect(toldService == (isKnown && life.isOver ? 1 : 0), "the service believes it goes on")
    }

    /// It waits for nothing that is there.
    private mutating func checkRest(_ life: CallLifecycle) {
        expect(!hasFailed || !life.takesRequests, "it goes on after its failure")
        expect(!isLeaving || !life.owesNothing, "it stays on a connection that is to end")
        guard life.takesRequests, !isPutOff, Int(life.parkedAnswers) <= Self.resumesAt else {
            return
        }
        expect(inbox.isEmpty, "a request waits for nothing")
        expect(end == nil || life.parkedAnswers > 0, "the end waits for nothing")
    }

    // MARK: How it ends

    /// The faults that show when all tickets are reached in time, and then the peer goes.
    func faultsAtTheEnd() -> [String] {
        var world = self
        while world.happens(.ticket) {}
        if let life = world.life, world.isReset == false, world.isPutOff == false {
            world.expect(!life.isOver, "over, and kept for nothing")
            switch life.phase {
            case .answered, .failed: world.expect(false, "its answers have left, and it stays")
            default: break
            }
        }
        _ = world.happens(.reset)
        _ = world.happens(.closed)
        while world.happens(.ticket) {}
        world.expect(world.life == nil, "something keeps it for ever")
        world.expect(world.isReleased || world.isNew, "its stream stays for ever")
        return world.faults
    }
}
