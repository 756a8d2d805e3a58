internal import JSON
internal import LogLines
package import Logging
internal import Notation
internal import Synchronization

/// A collector's answer to a request.
package struct CollectorAnswer: Sendable {
    package var status: Int
    /// `Retry-After`, as it is in the answer; nil: there is none.
    package var retryAfter: String?
    package var body: [UInt8]

    package init(status: Int, retryAfter: String? = nil, body: [UInt8] = []) {
        self.status = status
        self.retryAfter = retryAfter
        self.body = body
    }
}

/// Sends spans to a collector, batch by batch, in one task that nobody waits for. If the collector does not answer or
/// is overloaded, the batch is sent again after growing pauses, and given up after a number of attempts; meanwhile
/// spans wait as long as the queue has room.
package struct SpanExport: Sendable {
    package struct Bounds: Sendable {
        /// Spans per request.
        package var batch = 512
        /// The time between two looks at an empty queue, milliseconds.
        package var lookMilliseconds: Int64 = 1_000
        /// Attempts per batch.
        package var attempts = 5
        /// The pause after the first failure, and the longest pause, milliseconds. A collector may ask for more than
        /// the first, but not for more than the longest.
        package var backoffMilliseconds: Int64 = 1_000
        package var longestPause: Int64 = 30_000

        package init() {}
    }

    /// Sends a body; throws why there was no answer, in words that contain no secret. Must end within a bounded time.
    package typealias Send = @Sendable ([UInt8]) async throws -> CollectorAnswer

    enum Outcome: Equatable {
        case taken(rejected: Int)
        /// Worth another attempt, after so many milliseconds if the collector says so.
        case again(reason: String, after: Int64?)
        case refused(reason: String)
    }

    private let queue: SpanQueue
    private let document: OTLPDocument
    private let bounds: Bounds
    private let send: Send
    private let now: @Sendable () -> Int64
    private let sleep: @Sendable (Int64) async -> Void
    private let logger: Logger
    private let trouble = StateLog(
        begins: "traces cannot be exported", ends: "traces are exported again", level: .warning)
    private let loss = SpanLoss()

    /// - Parameters:
    ///   - now: Unix milliseconds.
    ///   - sleep: waits for so many milliseconds, or until the task is cancelled.
    package init(
        _ queue: SpanQueue, _ document: OTLPDocument, _ bounds: Bounds = Bounds(), logger: Logger,
        now: @escaping @Sendable () -> Int64,
        sleep: @escaping @Sendable (Int64) async -> Void = {
            try? await Task.sleep(for: .milliseconds($0), clock: .suspending)
        },
        send: @escaping Send
    ) {
        self.queue = queue
        self.document = document
        self.bounds = bounds
        self.logger = logger
        self.now = now
        self.sleep = sleep
        self.send = send
    }

    /// Exports until the task is cancelled; `flush` is for what is still waiting then.
    package func run() async {
        while !Task.isCancelled {
            let batch = queue.take(atMost: bounds.batch)
            if batch.isEmpty {
                await sleep(bounds.lookMilliseconds)
            } else {
                await export(batch)
            }
            lookAtLoss()
        }
    }

    /// Sends what is waiting, each batch once, until one is not accepted. To be called before the process ends.
    package func flush() async {
        while case let batch = queue.take(atMost: bounds.batch), !batch.isEmpty {
            guard case .taken(let rejected) = await attemptToSend(document.encoded(batch)) else {
                return queue.drop(batch.count)
            }
            queue.noteExported(batch.count, rejected: rejected)
        }
    }

    /// Sends one batch until it is accepted, refused or given up. If the task is cancelled meanwhile, the batch goes
    /// back into the queue: the collector may then get it twice, with the same ids.
    func export(_ batch: [EndedSpan]) async {
        let body = document.encoded(batch)
        var pause = bounds.backoffMilliseconds
        for attempt in 1...bounds.attempts {
            lookAtLoss()
            switch await attemptToSend(body) {
            case .taken(let rejected):
                trouble.look(rejected > 0 ? "the collector rejected spans" : nil, logger)
                return queue.noteExported(batch.count, rejected: rejected)
            case .refused(let reason):
                trouble.look(reason, logger)
                return queue.drop(batch.count)
            case .again(let reason, let after):
                // The attempt ended because this task was cancelled.
                if Task.isCancelled { return queue.putBack(batch) }
                trouble.look(reason, logger)
                guard attempt < bounds.attempts else { break }
                // With jitter: a collector that has recovered does not get all requests at once.
                let spread = Int64.random(in: -pause / 4...pause / 4)
                await sleep(min(max(after ?? 0, pause + spread), bounds.longestPause))
                if Task.isCancelled { return queue.putBack(batch) }
                pause = min(pause * 2, bounds.longestPause)
            }
        }
        queue.drop(batch.count)
    }

    private func lookAtLoss() { loss.look(queue.counts, now: now(), logger) }

    private func attemptToSend(_ body: [UInt8]) async -> Outcome {
        do {
            return Self.outcome(of: try await send(body), now: now())
        } catch {
            return .again(reason: "\(error)", after: nil)
        }
    }

    /// As OTLP specifies: transient failures are retried, all others are not.
    static func outcome(of answer: CollectorAnswer, now: Int64) -> Outcome {
        switch answer.status {
        case 200..<300: .taken(rejected: rejected(answer.body))
        case 429, 502, 503, 504:
            .again(
                reason: "the collector answered \(answer.status)",
                after: answer.retryAfter.flatMap { pause($0, now: now) })
        default: .refused(reason: "the collector answered \(answer.status)")
        }
    }

    /// Milliseconds; nil: it cannot be parsed.
    private static func pause(_ text: String, now: Int64) -> Int64? {
        if let seconds = Int64(text), seconds >= 0 {
            return seconds.multipliedReportingOverflow(by: 1_000).overflow
                ? .max : seconds * 1_000
        }
        return Instant.parseHTTP(text).map { max(0, $0 - now) }
    }

    /// Spans of a request that the collector rejected although it accepted the rest.
    private static func rejected(_ body: [UInt8]) -> Int {
        let bounds = JSONParser.Bounds(depth: 8, values: 1_000)
        guard let answer = try? JSONParser.parse(body, within: bounds) else { return 0 }
        let count = answer["partialSuccess"]?["rejectedSpans"]
        return max(0, count?.integer.map(Int.init) ?? count?.string.flatMap { Int($0) } ?? 0)
    }
}

/// Logs when spans begin to be dropped because the queue is full, and when none has been for a while.
private final class SpanLoss: Sendable {
    /// How long none must have been dropped, milliseconds.
    private static let quiet: Int64 = 60_000

    private let state = StateLog(
        begins: "spans are dropped: they end faster than they are exported",
        ends: "no more spans are dropped", level: .warning)
    /// How many had been dropped, and when that number last changed.
    private let seen = Mutex<(count: UInt64, at: Int64)>((0, 0))

    /// - Parameter now: Unix milliseconds.
    func look(_ counts: SpanQueue.Counts, now: Int64, _ logger: Logger) {
        let isQuiet = seen.withLock { seen in
            guard counts.overflowed > seen.count else { return now - seen.at >= Self.quiet }
            seen = (counts.overflowed, now)
            return false
        }
        // Within the minute, nothing is known to be over.
        guard isQuiet || !state.lasts else { return }
        state.look(
            isQuiet ? nil : "", logger, ["dropped": .stringConvertible(counts.overflowed)])
    }
}
