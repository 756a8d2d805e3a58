internal import NIOCore
internal import Synchronization

/// A client's endpoints, shared by its connections.
///
/// Thread safety: any thread.
final class Endpoints: Sendable {
    /// Each endpoint, and the header fields of calls to it.
    let all: [(endpoint: Endpoint, headers: RequestHeaders)]
    private let book: Mutex<EndpointBook>
    private let counters: OutcomeCounters

    init(_ configuration: ClientConfiguration, _ counters: OutcomeCounters) {
        all = configuration.endpoints.map { ($0, RequestHeaders(configuration, $0)) }
        book = Mutex(
            EndpointBook(
                count: configuration.endpoints.count,
                first: TimeAmount(configuration.endpointAvoidance),
                most: TimeAmount(configuration.maximumEndpointAvoidance)))
        self.counters = counters
    }

    func pick(preferred: Int, excluding tried: Set<Int>) -> Int? {
        book.withLock { $0.pick(preferred: preferred, excluding: tried, at: .now()) }
    }

    func failed(_ endpoint: Int) {
        counters.count(.endpointFailed)
        book.withLock { $0.failed(endpoint, at: .now(), jitter: .random(in: 0...1)) }
    }

    func answered(_ endpoint: Int) { book.withLock { $0.answered(endpoint) } }

    func hasBetter(than endpoint: Int) -> Bool {
        all.count > 1 && book.withLock { $0.hasBetter(than: endpoint, at: .now()) }
    }
}
