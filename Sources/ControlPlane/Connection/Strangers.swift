import NIOCore

/// The requests of peers that have not shown who they are: a few are worked on at one time, each address in turn, so that
/// however many there are, those who are known, and strangers from elsewhere, are answered in between.
///
/// Thread safety: the event loop of the connections only.
final class Strangers: @unchecked Sendable {
    // SAFETY: handed to the event loop when connections are made; used there alone.

    /// The right to be worked on.
    struct Turn { fileprivate let round: Int }

    /// Requests that are worked on at one time.
    static let atOnce = 2
    /// Whose answer is not made in this time waits for something, and is no work meanwhile.
    static let patience = TimeAmount.milliseconds(50)

    private let isKnown: @Sendable (String) -> Bool
    private var underWay = 0
    /// Turns that have ended, and the first turns that count.
    private var ended = 0
    private var round = 0
    private var waiting: [String: CircularBuffer<HTTPConnection>] = [:]
    /// Addresses of which somebody waits, in turn.
    private var addresses = CircularBuffer<String>()
    private var isGivingTurns = false
    private var isWatching = false

    /// - Parameter isKnown: whether a value of `authorization`, "" if there is none, is somebody's.
    init(isKnown: @escaping @Sendable (String) -> Bool) { self.isKnown = isKnown }

    func know(_ authorization: String?) -> Bool { isKnown(authorization ?? "") }

    /// A connection waits for its turn (`HTTPConnection.take`), which may come before this returns.
    func ask(_ connection: HTTPConnection, of address: String) {
        if waiting[address] == nil { addresses.append(address) }
        waiting[address, default: CircularBuffer()].append(connection)
        giveTurns()
        guard !addresses.isEmpty, !isWatching, let loop = connection.parts?.eventLoop else {
            return
        }
        isWatching = true
        watch(loop, since: ended)
    }

    func end(_ turn: Turn) {
        guard turn.round == round else { return }
        ended += 1
        underWay -= 1
        giveTurns()
    }

    private func giveTurns() {
        guard !isGivingTurns else { return }
        isGivingTurns = true
        defer { isGivingTurns = false }
        while underWay < Self.atOnce, let connection = next() {
            underWay += 1
            if !connection.take(Turn(round: round)) { underWay -= 1 }
        }
    }

    private func next() -> HTTPConnection? {
        guard let address = addresses.popFirst() else { return nil }
        let connection = waiting[address]?.popFirst()
        if waiting[address]?.isEmpty ?? true {
            waiting[address] = nil
        } else {
            addresses.append(address)
        }
        return connection
    }

    /// Lets others go on when none of those whose turn it is has ended for a while.
    private func watch(_ loop: any EventLoop, since before: Int) {
        loop.assumeIsolated().scheduleTask(in: Self.patience) { [weak self] in
            guard let self else { return }
            if ended == before {
                round += 1
                underWay = 0
                giveTurns()
            }
            isWatching = !addresses.isEmpty
            if isWatching { watch(loop, since: ended) }
        }
    }
}
