internal import NIOCore

/// When a connection is asked for a sign of life, told that it ends, and given up: a state machine without input or
/// output. It is told what happens, and says what is to be done.
///
/// All times are nanoseconds of one monotonic clock that does not go back. O(1) throughout.
struct ConnectionLifecycle {
    enum Phase: Equatable {
        case serving
        /// The first GOAWAY and a PING are sent: the peer may not know yet that it should send no more.
        case draining(since: UInt64, Reason)
        /// The last GOAWAY is sent: what runs may finish.
        case leaving(since: UInt64, Reason)
        /// All is said: the channel closes when the last of it has left.
        case closing
    }

    /// Why a connection drains.
    enum Reason: Equatable {
        /// The service stops: how long that may take is the service's to say.
        case dismissed
        /// It is old, or was idle, while others go on: it has a bounded time to finish.
        case retired
        /// Its place is another's, and counts no more among the connections that there may be: it has a short time.
        case evicted
    }

    /// Nanoseconds.
    struct Limits {
        /// From `opened` to the peer's SETTINGS.
        var preface: UInt64
        /// From a request's first byte to its last.
        var request: UInt64
        /// Of output that waits and none of which is taken.
        var writeStall: UInt64
        /// Without a stream.
        var idle: UInt64
        /// Without having shown who it is.
        var stranger: UInt64
        /// How long what runs may take once the connection is retired, and once its place is another's.
        var grace: UInt64
        var evictionGrace: UInt64
        /// How long the last of it may take to leave once the place is another's.
        var linger: UInt64
        /// After how long a silence a PING is sent; 0: never. And how long its answer may take.
        var keepaliveInterval: UInt64
        var keepaliveTimeout: UInt64
        /// From the first GOAWAY to the last, if the peer does not acknowledge the PING between them.
        var farewell: UInt64 = 1_000_000_000
        /// How long nothing happens on a connection before what it keeps for its next streams is given back.
        var trim: UInt64 = 2_000_000_000
        /// Bytes of a peer that was told that the connection ends.
        var lingerBytes: Int
    }

    /// How the connection stands, as its owner knows.
    struct Facts {
        var openStreams = 0
        /// Streams that have ended so far.
        var finishedStreams: UInt64 = 0
        /// Bytes of bodies that the peer has taken so far, and whether anything waits for it.
        var sentBytes: UInt64 = 0
        var hasOutput = false
        /// What the peer sends is read: an answer to a PING would be.
        var isRead = true
        /// It has shown who it is.
        var isKnown = false
    }

    /// What is to be done, in this order.
    struct Actions: OptionSet {
        let rawValue: UInt16

        /// Close, or close without waiting for what the system still holds; nothing else is to be done.
        static let close = Actions(rawValue: 1)
        static let abort = Actions(rawValue: 2)
        /// Reset the requests that have been incomplete for `Limits.request`.
        static let resetIncomplete = Actions(rawValue: 4)
        /// Send the first GOAWAY, with a PING.
        static let announceEnd = Actions(rawValue: 8)
        /// Send the last GOAWAY, and end the streams that never end by themselves.
        static let refuseStreams = Actions(rawValue: 16)
        static let ping = Actions(rawValue: 32)
        /// Give back what is kept for the next streams.
        static let trim = Actions(rawValue: 64)
        /// Send a GOAWAY that ends whatever runs; nothing else is to be done.
        static let terminate = Actions(rawValue: 128)
    }

    let limits: Limits
    let opened: UInt64
    /// When it is old enough to be retired; `UInt64.max`: never.
    let endOfLife: UInt64
    private(set) var phase = Phase.serving
    private(set) var lastRead: UInt64
    /// When the last stream was open.
    private(set) var lastUse: UInt64
    /// Whether what the peer still sends is awaited when all is said.
    private(set) var lingers = true
    /// When whatever is left is cut off, however much of it the peer takes meanwhile; `UInt64.max`: it has no such time.
    private var cutOff = UInt64.max
    private var hasSettings = false
    private var finishedStreams: UInt64 = 0
    /// Since when the peer has taken nothing although something waits; and what it had taken then.
    private var stall: (since: UInt64, sentBytes: UInt64)?
    /// PINGs that are not acknowledged, and when one was last sent to ask for a sign of life.
    private var pingsUnderWay = 0
    private var lastPing: UInt64 = 0
    private var isTrimmed = true
    private var discardedBytes = 0

    init(opened: UInt64, endOfLife: UInt64, _ limits: Limits) {
        self.opened = opened
        self.endOfLife = endOfLife
        self.limits = limits
        lastRead = opened
        lastUse = opened
    }

    // MARK: What happens

    mutating func read(_ now: UInt64) { lastRead = now }

    mutating func settingsArrived() { hasSettings = true }

    mutating func pingAcknowledged() -> Actions {
        pingsUnderWay = max(0, pingsUnderWay - 1)
        return pingsUnderWay == 0 ? endFarewell() : []
    }

    /// More is kept for the connection than it needs when it is idle.
    mutating func keepsMemory() { isTrimmed = false }

    /// The connection is to end as soon as its calls have: the service stops.
    mutating func dismiss(_ now: UInt64) -> Actions { drain(now, .dismissed) }

    /// The connection's place is another's: whoever is served has a short time to finish, all others are told and hung up
    /// on.
    mutating func evict(_ now: UInt64, isServed: Bool) -> Actions {
        lingers = false
        guard phase != .closing, isServed else {
            endBy(now, limits.linger)
            return phase == .closing ? [] : .terminate
        }
        endBy(now, limits.evictionGrace)
        return drain(now, .evicted)
    }

    /// The session is over: the last that was said leaves, unless the peer does not take it. False: it was known.
    mutating func finish(_ now: UInt64) -> Bool {
        guard phase != .closing else { return false }
        phase = .closing
        endBy(now, lingers ? limits.writeStall : limits.linger)
        return true
    }

    /// The peer goes on sending to a session that is over.
    mutating func discard(_ bytes: Int) -> Actions {
        discardedBytes += bytes
        return discardedBytes > limits.lingerBytes ? .close : []
    }

    /// A second, or so, has passed.
    mutating func tick(_ now: UInt64, _ facts: Facts) -> Actions {
        if !hasSettings, isOver(limits.preface, since: opened, now) { return .close }
        if facts.finishedStreams != finishedStreams || facts.openStreams > 0 {
            finishedStreams = facts.finishedStreams
            lastUse = now
        }
        if isStalled(now, facts) || now > cutOff { return .abort }
        var actions: Actions = []
        if facts.openStreams > 0, now > limits.request { actions.insert(.resetIncomplete) }
        switch phase {
        case .serving:
            if isDueToRetire(now, facts) {
                actions.formUnion(drain(now, .retired))
            } else {
                let asked = askForLife(now, facts)
                if asked == .abort { return .abort }
                actions.formUnion(asked)
            }
        case .draining(let since, _):
            if isOver(limits.farewell, since: since, now) { actions.formUnion(endFarewell()) }
        case .leaving, .closing:
            break
        }
        if facts.openStreams > 0 {
            isTrimmed = false
        } else if !isTrimmed, isOver(limits.trim, since: lastRead, now) {
            isTrimmed = true
            actions.insert(.trim)
        }
        return actions
    }

    // MARK: How it stands

    /// No stream is begun any more: those that would never end are ended, with this reason.
    var leaving: Reason? {
        if case .leaving(_, let reason) = phase { return reason }
        return nil
    }

    var isClosing: Bool { phase == .closing }

    // MARK: Parts

    private func isOver(_ limit: UInt64, since start: UInt64, _ now: UInt64) -> Bool {
        now > start && now - start > limit
    }

    /// Whatever is left ends a time from now, unless it ends sooner.
    private mutating func endBy(_ now: UInt64, _ limit: UInt64) {
        let (end, overflow) = now.addingReportingOverflow(limit)
        if !overflow { cutOff = min(cutOff, end) }
    }

    private mutating func drain(_ now: UInt64, _ reason: Reason) -> Actions {
        guard phase == .serving else { return [] }
        phase = .draining(since: now, reason)
        if reason == .retired { endBy(now, limits.grace) }
        pingsUnderWay += 1
        return .announceEnd
    }

    private mutating func endFarewell() -> Actions {
        guard case .draining(let since, let reason) = phase else { return [] }
        phase = .leaving(since: since, reason)
        return .refuseStreams
    }

    private mutating func isStalled(_ now: UInt64, _ facts: Facts) -> Bool {
        guard facts.hasOutput else {
            stall = nil
            return false
        }
        guard let stall, stall.sentBytes == facts.sentBytes else {
            stall = (now, facts.sentBytes)
            return false
        }
        return isOver(limits.writeStall, since: stall.since, now)
    }

    private func isDueToRetire(_ now: UInt64, _ facts: Facts) -> Bool {
        now >= endOfLife
            || facts.openStreams == 0 && isOver(limits.idle, since: lastUse, now)
            || !facts.isKnown && isOver(limits.stranger, since: opened, now)
    }

    private mutating func askForLife(_ now: UInt64, _ facts: Facts) -> Actions {
        guard limits.keepaliveInterval > 0, facts.isRead else { return [] }
        if pingsUnderWay > 0, lastRead < lastPing {
            return isOver(limits.keepaliveTimeout, since: lastPing, now) ? .abort : []
        }
        guard isOver(limits.keepaliveInterval, since: lastRead, now) else { return [] }
        pingsUnderWay = 1
        lastPing = now
        return .ping
    }
}

extension ConnectionLifecycle {
    /// As a server's configuration has it; connections that were opened together do not end together.
    init(opened: UInt64, _ configuration: ServerConfiguration) {
        func nanoseconds(_ time: TimeAmount) -> UInt64 { UInt64(max(0, time.nanoseconds)) }
        let age = nanoseconds(configuration.maximumAge)
        self.init(
            opened: opened,
            endOfLife: age == 0
                ? .max : opened &+ UInt64.random(in: (age - age / 10)...(age + age / 10)),
            Limits(
                preface: nanoseconds(configuration.prefaceTimeout),
                request: nanoseconds(configuration.requestTimeout),
                writeStall: nanoseconds(configuration.writeStallTimeout),
                idle: nanoseconds(configuration.idleTimeout),
                stranger: nanoseconds(configuration.strangerTimeout),
                grace: nanoseconds(configuration.ageGrace),
                evictionGrace: nanoseconds(configuration.evictionGrace),
                linger: nanoseconds(configuration.lingerTime),
                keepaliveInterval: nanoseconds(configuration.keepaliveInterval),
                keepaliveTimeout: nanoseconds(configuration.keepaliveTimeout),
                lingerBytes: configuration.maximumLingerBytes))
    }
}
