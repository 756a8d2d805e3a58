internal import NIOCore

/// How a link stands, as its owner knows.
enum LinkStanding {
    case takesWork
    /// It takes no more, but owes answers.
    case owesAnswers
    case isOver
}

/// When a client's connection is made, lost and made again, and what goes over it: a state machine without I/O or clock.
/// It is told what happens, and says what is to be done.
///
/// Work waits in the order of its coming until there is a link that takes it. A link is one TCP connection that has been
/// made; a link that takes no more work stays until it owes no answer. Of several endpoints each is tried once before
/// the work that waits is given up.
struct ConnectionMachine<Work, Link: Equatable> {
    enum Phase {
        /// There is no link, and nobody needs one.
        case idle
        /// The attempt of this number is under way.
        case connecting(Int)
        case connected(Link)
        /// Shut down, for good.
        case closed
    }

    /// What there is to do.
    enum Step {
        /// Nothing, until something happens.
        case rest
        /// Make a link to an endpoint that is not in `tried`, then call `connected` or `connectFailed`, just once.
        case connect(attempt: Int)
        /// Start it; a link without a place gets none: `putBack`, and no further step until something happens.
        case start(Work, Link)
        case close(Link)
    }

    private let endpointCount: Int
    private(set) var phase = Phase.idle
    /// Endpoints to which no connection came about since there was one.
    private(set) var tried: Set<Int> = []
    /// Links that take no more work, and owe answers.
    private(set) var leaving: [Link] = []
    private(set) var waiting = CircularBuffer<Work>()
    private var attempts = 0

    init(endpointCount: Int) { self.endpointCount = endpointCount }

    /// The link that takes work.
    var current: Link? {
        if case .connected(let link) = phase { return link }
        return nil
    }

    // MARK: What is to be done

    /// The next thing to do; to be asked until it is `rest`, after whatever happens.
    mutating func next(_ standing: (Link) -> LinkStanding) -> Step {
        while true {
            switch phase {
            case .closed, .connecting: return .rest
            case .idle:
                if waiting.isEmpty {
                    tried.removeAll()
                    return .rest
                }
                attempts += 1
                phase = .connecting(attempts)
                return .connect(attempt: attempts)
            case .connected(let link):
                if waiting.isEmpty { return .rest }
                switch standing(link) {
                case .takesWork:
                    guard let work = waiting.popFirst() else { return .rest }
                    return .start(work, link)
                case .owesAnswers: leaving.append(link)
                case .isOver:
                    phase = .idle
                    return .close(link)
                }
                phase = .idle
            }
        }
    }

    // MARK: Work

    /// Work that wants to start. False: there will be no link any more.
    mutating func submit(_ work: Work) -> Bool {
        if case .closed = phase { return false }
        waiting.append(work)
        return true
    }

    /// Work that could not be started goes first.
    ///
    /// - Returns: false: there will be no link any more.
    mutating func putBack(_ work: Work) -> Bool {
        if case .closed = phase { return false }
        waiting.prepend(work)
        return true
    }

    /// Takes work out that waits no longer.
    ///
    /// - Complexity: O(n) of what waits.
    mutating func drop(_ isOver: (Work) -> Bool) -> [Work] {
        let dropped: [Work] = Array(waiting).filter(isOver)
        if dropped.isEmpty == false { waiting.removeAll(where: isOver) }
        return dropped
    }

    // MARK: Links

    /// An attempt has come to a link. False: nobody needs it any more; it is to be closed.
    mutating func connected(attempt: Int, _ link: Link) -> Bool {
        guard case .connecting(attempt) = phase else { return false }
        tried.removeAll()
        phase = .connected(link)
        return true
    }

    /// An attempt has come to nothing.
    ///
    /// - Returns: the work that is given up, because no endpoint is left to try.
    mutating func connectFailed(attempt: Int, endpoint: Int) -> [Work] {
        guard case .connecting(attempt) = phase else { return [] }
        phase = .idle
        tried.insert(endpoint)
        if tried.count < endpointCount { return [] }
        tried.removeAll()
        return giveUpWaiting()
    }

    /// The present link is to take no more work: another endpoint is better.
    ///
    /// - Returns: the link, if it is to be closed at once.
    mutating func leave(_ owesAnswers: (Link) -> Bool) -> Link? {
        guard case .connected(let link) = phase else { return nil }
        phase = .idle
        if owesAnswers(link) == false { return link }
        leaving.append(link)
        return nil
    }

    /// A link owes no answer. True: it is to be closed.
    mutating func quiet(_ link: Link) -> Bool {
        guard let index = leaving.firstIndex(of: link) else { return false }
        leaving.remove(at: index)
        return true
    }

    /// A link is gone.
    mutating func lost(_ link: Link) {
        leaving.removeAll { $0 == link }
        if current == link { phase = .idle }
    }

    /// No more connections are made.
    ///
    /// - Returns: the work that is given up, and the links to be closed.
    mutating func shutDown() -> (work: [Work], links: [Link]) {
        let links = leaving + (current.map { [$0] } ?? [])
        phase = .closed
        leaving.removeAll()
        return (giveUpWaiting(), links)
    }

    private mutating func giveUpWaiting() -> [Work] {
        let work = Array(waiting)
        waiting.removeAll()
        return work
    }
}
