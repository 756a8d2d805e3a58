internal import Histogram
internal import TollgateClient

/// Latencies in microseconds, 1 ... 3.6 × 10^9 (an hour), with three significant digits.
struct Latencies {
    private(set) var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1, highestTrackableValue: Self.most,
        numberOfSignificantValueDigits: .three)

    private static let most: UInt64 = 3_600_000_000

    mutating func record(nanoseconds: UInt64) {
        _ = histogram.record(min((nanoseconds + 500) / 1_000, Self.most))
    }

    mutating func reset() { histogram.reset() }

    var count: UInt64 { histogram.totalCount }
}

/// How a call ended.
enum Ending: Hashable {
    case allowed
    /// By the codes of the catalogue that the denial named.
    case denied([String])
    /// A commit or a release that was done.
    case done
    case failed(TollgateError.Code)
    /// Due, but the run was broken off before it could be sent.
    case unsent
}

/// Everything that a run measures. A latency runs from the moment at which a call was due, whatever became of it.
struct Measurements {
    /// One second of the schedule.
    struct Second {
        /// Calls that were due in it and have ended.
        var calls = 0
        var sumNanoseconds: UInt64 = 0
        var maxNanoseconds: UInt64 = 0
    }

    private(set) var all = Latencies()
    private(set) var bySteps = Step.allCases.map { _ in Latencies() }
    /// From the moment of sending: what a closed loop would have reported.
    private(set) var fromSending = Latencies()
    /// How long after it was due a call was sent.
    private(set) var lateness = Latencies()
    private(set) var endings: [Ending: Int] = [:]
    private(set) var seconds: [Second] = []
    /// Ended while the schedule ran.
    private(set) var endedInTime = 0
    /// Since the last progress line.
    private(set) var recent = Latencies()

    var inFlightPeak = 0
    /// Calls that were due and waited for a place below `--max-in-flight`, at most.
    var queuePeak = 0

    /// - Parameter start: when the schedule began. All times: monotonic nanoseconds.
    mutating func record(
        _ step: Step, due: UInt64, sent: UInt64, ended: UInt64, start: UInt64, isInTime: Bool,
        _ ending: Ending
    ) {
        let latency = ended - due
        all.record(nanoseconds: latency)
        recent.record(nanoseconds: latency)
        bySteps[step.rawValue].record(nanoseconds: latency)
        fromSending.record(nanoseconds: ended - sent)
        lateness.record(nanoseconds: sent - due)
        count(due: due, latency, start, ending)
        if isInTime { endedInTime += 1 }
    }

    /// A call that was due and will not be sent any more: its waiting time counts all the same.
    mutating func recordUnsent(due: UInt64, now: UInt64, start: UInt64) {
        all.record(nanoseconds: now - due)
        bySteps[Step.check.rawValue].record(nanoseconds: now - due)
        count(due: due, now - due, start, .unsent)
    }

    private mutating func count(
        due: UInt64, _ latency: UInt64, _ start: UInt64, _ ending: Ending
    ) {
        endings[ending, default: 0] += 1
        let second = Int((due - start) / 1_000_000_000)
        while seconds.count <= second { seconds.append(Second()) }
        seconds[second].calls += 1
        seconds[second].sumNanoseconds += latency
        seconds[second].maxNanoseconds = max(seconds[second].maxNanoseconds, latency)
    }

    mutating func resetRecent() { recent.reset() }

    // MARK: Sums

    var callCount: Int { endings.values.reduce(0, +) }

    var deniedCount: Int {
        endings.reduce(0) { sum, entry in
            if case .denied = entry.key { sum + entry.value } else { sum }
        }
    }

    var failedCount: Int {
        endings.reduce(0) { sum, entry in
            switch entry.key {
            case .failed, .unsent: sum + entry.value
            default: sum
            }
        }
    }
}
