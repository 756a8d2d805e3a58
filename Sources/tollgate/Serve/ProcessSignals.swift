internal import Dispatch
internal import Glibc

/// SIGTERM, SIGINT and SIGHUP as a sequence, instead of what they do by default.
struct ProcessSignals {
    /// The signals, in the order of their arrival.
    let received: AsyncStream<Int32>
    private let sources: [any DispatchSourceSignal]

    /// Returns when each of them is caught; one that comes before the call still ends the process.
    init() async {
        let numbers = [SIGTERM, SIGINT, SIGHUP]
        let (received, arrivals) = AsyncStream.makeStream(of: Int32.self)
        let (ready, registrations) = AsyncStream.makeStream(of: Void.self)
        self.received = received
        // Dispatch catches a signal only while its default action is off.
        for number in numbers { signal(number, SIG_IGN) }
        sources = numbers.map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { arrivals.yield(number) }
            source.setRegistrationHandler { registrations.yield() }
            source.resume()
            return source
        }
        var waiting = ready.makeAsyncIterator()
        for _ in numbers { await waiting.next() }
    }

    /// Ends the sequence. Until then the sources must live: a signal whose source is gone is ignored for good.
    func cancel() {
        for source in sources { source.cancel() }
    }
}
