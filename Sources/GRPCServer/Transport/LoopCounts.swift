package import HTTP2
internal import Synchronization
package import Telemetry

/// What one event loop counts and measures for operators.
///
/// Thread safety: everything that adds or sets on the loop, the rest on any thread.
package final class LoopCounts: Sendable {
    /// Of a request for a path that is no method's.
    private let unknownMethod: Int
    private static let codes = Int(GRPCCode.unauthenticated.rawValue) + 1

    /// How long requests took: until they were decided, from then until the disk had confirmed what they changed, and
    /// altogether. See `ServerFigures`.
    package let decided = LatencyRecorder()
    package let durable = LatencyRecorder()
    package let whole = LatencyRecorder()
    /// How late the loop's timer came.
    package let lateness = LatencyRecorder()
    /// What the sessions of its connections count.
    package let sessions: SessionCounts
    private let requests: CounterBank
    private let failures: CounterBank
    // ORDERING: relaxed, all; each stands for itself.
    private let openStreams = Atomic<Int>(0)
    private let parkedAnswers = Atomic<Int>(0)
    private let putOffConnections = Atomic<Int>(0)

    init(methods: Int, sessions: SessionCounts) {
        self.sessions = sessions
        unknownMethod = methods
        requests = CounterBank(count: max(1, methods))
        failures = CounterBank(count: (methods + 1) * Self.codes)
    }

    /// A method has answered a request, or failed: a unary call, or one message of a stream.
    @inline(__always)
    func addRequest(_ method: Int) { requests.add(to: method) }

    /// A call has ended with a status other than OK.
    ///
    /// - Parameter method: another one than there is: an unknown one.
    func addFailure(method: Int, _ code: GRPCCode) {
        let row = (0..<unknownMethod).contains(method) ? method : unknownMethod
        failures.add(to: row * Self.codes + Int(code.rawValue))
    }

    /// How things stand: told once a second.
    func set(streams: Int, parked: Int, putOff: Int) {
        openStreams.store(streams, ordering: .relaxed)
        parkedAnswers.store(parked, ordering: .relaxed)
        putOffConnections.store(putOff, ordering: .relaxed)
    }

    /// Adds what was counted to what other loops of the same server have.
    fileprivate func add(to figures: inout ServerFigures) {
        for (method, count) in requests.values.enumerated()
        where method < figures.requests.count { figures.requests[method].count &+= count }
        for (place, count) in failures.values.enumerated() where count > 0 {
            let code = GRPCCode(rawValue: UInt8(place % Self.codes)) ?? .unknown
            figures.failures[
                ServerFigures.Failure(method: place / Self.codes, code: code), default: 0] &+= count
        }
        figures.decided = figures.decided + decided.histogram
        figures.durable = figures.durable + durable.histogram
        figures.whole = figures.whole + whole.histogram
        figures.lateness = figures.lateness + lateness.histogram
        figures.openStreams += openStreams.load(ordering: .relaxed)
        figures.parkedAnswers += parkedAnswers.load(ordering: .relaxed)
        figures.putOffConnections += putOffConnections.load(ordering: .relaxed)
        figures.resetsSent = Self.sum(figures.resetsSent, sessions.resetsSent)
        figures.resetsReceived = Self.sum(figures.resetsReceived, sessions.resetsReceived)
        figures.connectionsEnded = Self.sum(figures.connectionsEnded, sessions.connectionsEnded)
        figures.defencesUsed = Self.sum(figures.defencesUsed, sessions.defencesUsed)
    }

    private static func sum(_ one: [UInt64], _ other: [UInt64]) -> [UInt64] {
        zip(one, other).map { $0 &+ $1 }
    }
}

/// What all event loops of a server have counted and measured since it began.
package struct ServerFigures: Sendable {
    package struct Failure: Sendable, Hashable {
        /// The method's id; the number of methods: a path that is no method's.
        package let method: Int
        package let code: GRPCCode
    }

    /// What methods have answered, failures included: unary calls, and messages of streams; by the method's id.
    package var requests: [(path: String, count: UInt64)]
    /// Calls that ended with a status other than OK.
    package var failures: [Failure: UInt64] = [:]
    /// From the read that brought the last of a request until it was decided: where its answer waits for the disk, until
    /// the end of that turn of its loop; else until the answer was written.
    package var decided = LatencyHistogram()
    /// From then until the disk let the answer go; only of those that wait.
    package var durable = LatencyHistogram()
    /// See `GRPCServer.latency`.
    package var whole = LatencyHistogram()
    package var lateness = LatencyHistogram()
    /// As it was within the last second: streams, answers that waited for the disk, connections of which a request waited
    /// for room.
    package var openStreams = 0
    package var parkedAnswers = 0
    package var putOffConnections = 0
    /// By the place of their code in `SessionCounts.codes`.
    package var resetsSent = [UInt64](repeating: 0, count: SessionCounts.codes.count)
    package var resetsReceived = [UInt64](repeating: 0, count: SessionCounts.codes.count)
    package var connectionsEnded = [UInt64](repeating: 0, count: SessionCounts.codes.count)
    /// By raw value of `SessionDefence`.
    package var defencesUsed = [UInt64](repeating: 0, count: SessionDefence.allCases.count)
}

extension GRPCServer {
    /// Any thread, without waiting.
    ///
    /// - Complexity: O(loops)
    package var figures: ServerFigures {
        var figures = ServerFigures(requests: methodPaths.map { ($0, 0) })
        for loop in loops { loop.counts.add(to: &figures) }
        return figures
    }
}
