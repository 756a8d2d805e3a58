import Telemetry

/// Why a session tears its connection down before HTTP/2 itself is broken: budgets against abuse (docs/decisions/0005).
package enum SessionDefence: Int, Sendable, CaseIterable {
    /// PING, SETTINGS, PRIORITY, empty DATA and others that ask for nothing.
    case controlFrames
    /// Requests that the peer resets.
    case resets
    /// Requests that are refused, or reset for the peer's fault.
    case refusals
    /// Frames of streams that are closed.
    case strayFrames
    /// Header blocks far beyond the bound.
    case headerBytes
}

/// What the sessions of one thread count: what is rare in a peer that means well.
///
/// Thread safety: `add` and its likes on that thread, the rest on any.
package final class SessionCounts: Sendable {
    /// Error codes of RFC 9113 §7; others count as the last.
    package static let codes = [
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
        "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
        "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED", "OTHER",
    ]

    private let sent = CounterBank(count: SessionCounts.codes.count)
    private let received = CounterBank(count: SessionCounts.codes.count)
    private let ends = CounterBank(count: SessionCounts.codes.count)
    private let defences = CounterBank(count: SessionDefence.allCases.count)

    func addResetSent(_ code: UInt32) { sent.add(to: Self.place(code)) }

    func addResetReceived(_ code: UInt32) { received.add(to: Self.place(code)) }

    /// A GOAWAY with an error was sent: the connection ends.
    func addEnd(_ code: UInt32) { ends.add(to: Self.place(code)) }

    func add(_ defence: SessionDefence) { defences.add(to: defence.rawValue) }

    private static func place(_ code: UInt32) -> Int { Int(min(code, UInt32(codes.count - 1))) }

    /// By the place of their code in `codes`.
    package var resetsSent: [UInt64] { sent.values }
    package var resetsReceived: [UInt64] { received.values }
    package var connectionsEnded: [UInt64] { ends.values }
    /// By raw value.
    package var defencesUsed: [UInt64] { defences.values }
}
