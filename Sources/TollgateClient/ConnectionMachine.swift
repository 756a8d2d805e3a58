internal import NIOCore

/// The state of a link, as its owner knows it.
enum LinkStanding {
    case takesWork
    /// It takes no more work, but answers are outstanding.
    case owesAnswers
    case isOver
}

/// When a client's connection is made, lost and made again, and which work it gets: a state machine
/// without I/O or clock. It is told of events and says what to do.
///
/// Work waits in order of arrival until a link takes it. A link is an established TCP connection; a
/// link that takes no more work is kept until no answer is outstanding. Of several endpoints each
/// is tried once before the waiting work fails.
struct ConnectionMachine<Work, Link: Equatable> {
    enum Phase {
        /// There is no link, and none is needed.
        case idle
        /// The attempt with this number is in progress.
        case connecting(Int)
        case connected(Link)
        /// Shut down, for good.
        case closed
    }

    /// What to do.
    enum Step {
        /// Nothing, until something happens.
        case rest
        /// Make a link to an endpoint that is not in `tried`, then call `connected` or
        /// `connectFailed` once.
        case connect(attempt: Int)
        /// Start the work; if the link has no free place, call `putBack` and ask for no further
        /// step until something happens.
        case start(Work, Link)
        case close(Link)
    }

    private let endpointCount: Int
    private(set) var phase = Phase.idle
    /// Endpoints that failed since the last successful connection.
    private(set) var tried: Set<Int> = []
    /// Links that take no more work and have outstanding answers.
    private(set) var leaving: [Link] = []
    private(set) var waiting = CircularBuffer<Work>()
    private var attempts = 0

    init(endpointCount: Int) { self.endpointCount = endpointCount }

    /// The link that takes work.
    var current: Link? {
        if case .connected(let link) = phase { return link }
        return nil
    }

    // MARK: What to do

    /// The next thing to do; call it after every event, until it is `rest`.
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

    /// Adds work to start. False: there will be no more links.
    mutating func submit(_ work: Work) -> Bool {
        if case .closed = phase { return false }
        waiting.append(work)
        return true
    }

    /// Puts back work that could not be started, ahead of the rest.
    ///
    /// - Returns: false: there will be no more links.
    mutating func putBack(_ work: Work) -> Bool {
        if case .closed = phase { return false }
        waiting.prepend(work)
        return true
    }

    /// Removes work that no longer waits.
    ///
    /// - Complexity: O(n) in the waiting work.
    mutating func drop(_ isOver: (Work) -> Bool) -> [Work] {
        let dropped: [Work] = Array(waiting).filter(isOver)
        if dropped.isEmpty == false { waiting.removeAll(where: isOver) }
        return dropped
    }

    // MARK: Links

    /// An attempt has succeeded. False: the link is no longer needed; close it.
    mutating func connected(attempt: Int, _ link: Link) -> Bool {
        guard case .connecting(attempt) = phase else { return false }
        tried.removeAll()
        phase = .connected(link)
        return true
    }

    /// An attempt has failed.
    ///
    /// - Returns: the work that fails, because no endpoint is left to try.
    mutating func connectFailed(attempt: Int, endpoint: Int) -> [Work] {
        guard case .connecting(attempt) = phase else { return [] }
        phase = .idle
        tried.insert(endpoint)
        if tried.count < endpointCount { return [] }
        tried.removeAll()
        return giveUpWaiting()
    }

    /// The current link takes no more work: another endpoint is better.
    ///
    /// - Returns: the link, if it must be closed at once.
    mutating func leave(_ owesAnswers: (Link) -> Bool) -> Link? {
        guard case .connected(let link) = phase else { return nil }
        phase = .idle
        if owesAnswers(link) == false { return link }
        leaving.append(link)
        return nil
    }

    /// A link has no outstanding answers. True: close it.
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
    /// - Returns: the work that fails, and the links to close.
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
