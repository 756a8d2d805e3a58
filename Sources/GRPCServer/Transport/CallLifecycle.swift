internal import HTTP2

/// How far a call is that outlives the read which brought it, until nothing of it is left: a state machine without input
/// or output. It is told what happens, and says what is to be done. 16 bytes; O(1) throughout.
///
/// A call with one request begins in `awaitingBody` or `putOff`, from where it is begun anew, or in `answered` or `failed`
/// with its one answer parked. A stream begins in `open`. A call that ends while answers are parked stays in `over`
/// until the last of them is let go.
struct CallLifecycle {
    enum Phase {
        /// The head of its one request has come, and the body has not: its deadline runs.
        case awaitingBody
        /// Its one request is complete and waits to be unpacked, or for room.
        case putOff
        /// A stream: requests are taken, or answers pushed.
        case open
        /// The one answer to all its requests is asked for, or parked: it ends the call with status OK.
        case answered
        /// It ends with this status as soon as no answer before is parked.
        case failed(GRPCFailure)
        /// Its caller has been told how it ended, or is gone: what is parked of it is taken back.
        case over
    }

    /// What is to be done, in this order.
    struct Actions: OptionSet {
        let rawValue: UInt16

        /// What was done of the request that was put off is taken back.
        static let withdrawRequest = Actions(rawValue: 1)
        /// A message that waits beside the output moves into it.
        static let move = Actions(rawValue: 2)
        /// Send the response's head.
        static let start = Actions(rawValue: 4)
        /// The call's record goes: the machine is told nothing more.
        static let forget = Actions(rawValue: 8)
        /// Send what stands in the output, with its head and status OK; `packed`: it is compressed.
        static let answer = Actions(rawValue: 16)
        static let packed = Actions(rawValue: 32)
        /// Tell the caller a status, and nothing else (Trailers-Only).
        static let refuse = Actions(rawValue: 64)
        /// Send a status behind what stands in the output.
        static let finish = Actions(rawValue: 128)
        /// Of `refuse` and `finish`: the call keeps its stream, which else is released with them.
        static let keep = Actions(rawValue: 256)
        /// Release the stream.
        static let release = Actions(rawValue: 512)
        /// Tell the service that its stream is over.
        static let tellService = Actions(rawValue: 1_024)
        /// Send what was added to the output.
        static let push = Actions(rawValue: 2_048)
        /// Go on taking requests.
        static let take = Actions(rawValue: 4_096)
        /// The stream owes no answer: it ends if no more is wanted of the connection.
        static let rest = Actions(rawValue: 8_192)
    }

    /// What follows from what the session reports of the call's stream.
    enum Arrival {
        case nothing
        /// The request is complete, or too large: it is begun as if it had just come, and the record goes.
        case begin
        case take
        /// Messages that were pushed have gone.
        case writable
        /// More than a request may have.
        case overflow
    }

    /// What becomes of the answer to a request of a stream.
    enum Filing {
        /// It leaves now.
        case leaves
        /// It waits for the disk.
        case waits
        /// It leaves with the parked one before it.
        case follows
        /// A client stream's: there is none before all requests are there.
        case none
        /// It is none: the call ends, now or in its turn.
        case ends(Actions)
    }

    /// What follows from the client's having sent its last byte.
    enum Conclusion {
        /// It has not, or answers are parked.
        case nothing
        /// A message was begun and not ended.
        case cutShort
        /// The stream ends with status OK.
        case finish
        /// The client stream's one answer is asked for; `waits`: it must wait since one of its requests had to.
        case ask(waits: Bool)
    }

    /// What becomes of answers whose ticket is reached.
    struct Release {
        enum Outcome {
            case leave
            /// The deadline has passed, and the caller is told so.
            case late
            /// Nobody waits for them.
            case gone
        }
        let actions: Actions
        var outcome = Outcome.leave
        /// The status that the service gave; nil: OK.
        var failure: GRPCFailure?
    }

    struct Marks: OptionSet {
        let rawValue: UInt8
        /// A stream: the response's head was sent.
        static let started = Marks(rawValue: 1)
        /// A stream: the client has sent its last byte.
        static let halfClosed = Marks(rawValue: 2)
        /// A client stream: its answer must wait since one of its requests had to.
        static let waits = Marks(rawValue: 4)
        /// A unary call: its answer is compressed.
        static let packed = Marks(rawValue: 8)
    }

    private(set) var phase: Phase
    /// Requests whose answers are parked, or of a stream stand behind one that is. While there are any, the call keeps its
    /// record and its stream.
    private(set) var parkedAnswers: UInt32 = 0
    let kind: MethodKind
    private(set) var marks: Marks = []

    /// Of nothing: a place in the table that no call has.
    static var none: CallLifecycle { CallLifecycle(.over, .unary) }

    private init(_ phase: Phase, _ kind: MethodKind) {
        self.phase = phase
        self.kind = kind
    }

    // MARK: Beginnings

    /// The head of a call with one request has come.
    static func awaitingBody(_ kind: MethodKind) -> CallLifecycle {
        CallLifecycle(.awaitingBody, kind)
    }

    /// The one request of a call cannot be decided now.
    static func putOff(_ kind: MethodKind) -> CallLifecycle { CallLifecycle(.putOff, kind) }

    /// A unary call was decided, and its answer waits for the disk.
    ///
    /// - Parameter failure: nil: the answer stands in the output.
    @inline(__always)
    static func parked(_ failure: GRPCFailure?, isPacked: Bool) -> CallLifecycle {
        var life = CallLifecycle(failure.map { .failed($0) } ?? .answered, .unary)
        if isPacked { life.marks = .packed }
        life.parkedAnswers = 1
        return life
    }

    /// A stream begins.
    ///
    /// - Parameter kind: not `unary`.
    static func stream(_ kind: MethodKind) -> CallLifecycle {
        precondition(kind != .unary, "a unary call is no stream")
        return CallLifecycle(.open, kind)
    }

    // MARK: How it stands

    var isOver: Bool {
        if case .over = phase { return true }
        return false
    }

    /// Streaming in either direction has begun, so that the service knows of the call.
    var isStream: Bool {
        switch phase {
        case .awaitingBody, .putOff: false
        case .open, .answered, .failed, .over: kind != .unary
        }
    }

    /// A server stream on which messages may be pushed.
    var isPushed: Bool { isOpen && kind == .serverStreaming }

    /// A stream from which requests are still taken.
    var takesRequests: Bool { isOpen && kind != .serverStreaming }

    /// A stream none of whose answers is parked.
    var owesNothing: Bool { isStream && parkedAnswers == 0 }

    private var isOpen: Bool {
        if case .open = phase { return true }
        return false
    }

    // MARK: What happens

    /// The session reports something other than the stream's end.
    mutating func arrived(_ events: StreamEvents) -> Arrival {
        switch phase {
        case .awaitingBody: return .begin
        case .putOff, .over: return .nothing
        case .open, .answered, .failed: break
        }
        guard kind != .unary else { return .nothing }
        if events.contains(.end) { marks.insert(.halfClosed) }
        if events.contains(.overflow) { return .overflow }
        guard kind == .serverStreaming else { return .take }
        return events.contains(.writable) ? .writable : .nothing
    }

    /// The one request that was put off is begun again: the record goes.
    mutating func resume() -> Actions {
        guard case .putOff = phase else { preconditionFailure("a call is begun twice") }
        phase = .over
        return .forget
    }

    /// The service does not take the stream, which it was shown just now.
    mutating func refused() -> Actions {
        precondition(isOpen && parkedAnswers == 0, "a stream is refused that has begun")
        phase = .over
        return [.forget, .refuse]
    }

    /// Answers begin to leave. True: the response's head is to be sent.
    mutating func start() -> Bool { marks.insert(.started).inserted }

    /// The service has decided a request of a stream.
    mutating func decided(_ failure: GRPCFailure?, isParked: Bool) -> Filing {
        precondition(takesRequests, "a request was taken of a call that takes none")
        if let failure {
            guard isParked else { return .ends(fail(failure)) }
            phase = .failed(failure)
        } else if kind == .clientStreaming {
            if isParked { marks.insert(.waits) }
            return .none
        }
        guard isParked || parkedAnswers > 0 else { return .leaves }
        parkedAnswers += 1
        return isParked ? .waits : .follows
    }

    /// All requests that are complete were taken.
    ///
    /// - Parameter isCutShort: bytes of one more are left.
    mutating func ranDry(isCutShort: Bool) -> Conclusion {
        guard takesRequests, marks.contains(.halfClosed) else { return .nothing }
        if isCutShort { return .cutShort }
        guard parkedAnswers == 0 else { return .nothing }
        guard kind == .clientStreaming else { return .finish }
        phase = .answered
        return .ask(waits: marks.contains(.waits))
    }

    /// The service has given a client stream's one answer, after `ranDry` had it asked for. Nothing is to be done if it is
    /// parked.
    mutating func concluded(_ failure: GRPCFailure?, isParked: Bool) -> Actions {
        guard case .answered = phase, parkedAnswers == 0 else {
            preconditionFailure("a client stream is answered twice")
        }
        guard isParked else { return finish(failed: failure != nil) }
        if let failure { phase = .failed(failure) }
        parkedAnswers = 1
        return []
    }

    /// The ticket of parked answers is reached.
    ///
    /// - Parameters:
    ///   - count: requests that they answer; 1 ... `parkedAnswers`.
    ///   - isGone: nobody waits for them any longer.
    ///   - isLate: the deadline has passed.
    ///   - resumesAt: the most parked answers at which requests are taken again.
    @inline(__always)
    mutating func release(_ count: UInt32, isGone: Bool, isLate: Bool, resumesAt: Int) -> Release {
        parkedAnswers -= count  // traps below 0
        if kind == .unary { return releasedAnswer(isGone: isGone, isLate: isLate) }
        return releasedMessages(isGone: isGone, isLate: isLate, resumesAt: resumesAt)
    }

    @inline(__always)
    private func releasedAnswer(isGone: Bool, isLate: Bool) -> Release {
        switch phase {
        case .answered where !isGone && !isLate:
            return Release(
                actions: marks.contains(.packed)
                    ? [.forget, .answer, .packed] : [.forget, .answer])
        case .failed(let failure) where !isGone && !isLate:
            return Release(actions: [.forget, .refuse], failure: failure)
        case .answered where !isGone, .failed where !isGone:
            return Release(actions: [.forget, .refuse], outcome: .late)
        case .answered, .failed, .over:
            return Release(actions: [.forget, .release], outcome: .gone)
        case .awaitingBody, .putOff, .open:
            preconditionFailure("an answer of a call that was not decided")
        }
    }

    private mutating func releasedMessages(isGone: Bool, isLate: Bool, resumesAt: Int) -> Release {
        precondition(isStream, "an answer of a call that was not decided")
        guard !isGone, !isOver else {
            var actions: Actions = isOver ? [] : .tellService
            phase = .over
            if parkedAnswers == 0 { actions.formUnion([.forget, .release]) }
            return Release(actions: actions, outcome: .gone)
        }
        guard !isLate else { return Release(actions: finish(failed: true), outcome: .late) }
        switch phase {
        case .answered: return Release(actions: finish(failed: false))
        case .failed(let failure) where parkedAnswers == 0:
            return Release(actions: finish(failed: true).union(.move), failure: failure)
        default: break
        }
        var actions: Actions = [.move, .push]
        if Int(parkedAnswers) <= resumesAt { actions.insert(.take) }
        if parkedAnswers == 0 { actions.insert(.rest) }
        return Release(actions: actions)
    }

    // MARK: Ends

    /// The call ends with a status behind the answers that are parked.
    mutating func fail(_ failure: GRPCFailure) -> Actions {
        if parkedAnswers == 0 { return finish(failed: true) }
        if isOpen { phase = .failed(failure) }
        return []
    }

    /// The call ends with a status now: answers that are parked will not leave.
    ///
    /// - Parameter failed: with another than OK.
    mutating func finish(failed: Bool) -> Actions {
        precondition(!isOver, "a call ends twice")
        var actions: Actions
        if isStream {
            if failed {
                actions = marks.contains(.started) ? .finish : .refuse
            } else {
                actions = start() ? [.start, .finish] : .finish
            }
            actions.insert(.tellService)
        } else {
            precondition(failed, "a call ends without its answer")
            actions = .refuse
        }
        if case .putOff = phase { actions.insert(.withdrawRequest) }
        actions.insert(parkedAnswers > 0 ? .keep : .forget)
        phase = .over
        return actions
    }

    /// The peer has reset the stream, or the connection is gone, or the stream was kept and is done.
    mutating func closed() -> Actions {
        var actions: Actions = isStream && !isOver ? .tellService : []
        if case .putOff = phase { actions.insert(.withdrawRequest) }
        if parkedAnswers == 0 { actions.formUnion([.forget, .release]) }
        phase = .over
        return actions
    }
}
