internal import NIOCore

/// How fast an event loop unpacks what came compressed: a value without input or output.
///
/// Times are nanoseconds of one monotonic clock.
struct UnpackingPace {
    private let nanosecondsPerByte: Double
    private let burstNanoseconds: UInt64
    /// When what was unpacked so far is paid for.
    private var paid: UInt64 = 0

    /// - Parameters:
    ///   - bytesPerSecond: above 0.
    ///   - burst: bytes that may be unpacked at once.
    init(bytesPerSecond: Int, burst: Int) {
        nanosecondsPerByte = 1_000_000_000 / Double(bytesPerSecond)
        burstNanoseconds = UInt64(Double(burst) * nanosecondsPerByte)
    }

    /// How long the next message has to wait; 0: not at all.
    func wait(_ now: UInt64) -> UInt64 {
        let due = now &+ burstNanoseconds
        return paid > due ? paid - due : 0
    }

    /// A message was unpacked: how large it would be nobody knew before.
    mutating func spend(_ bytes: Int, _ now: UInt64) {
        paid = max(paid, now) &+ UInt64(Double(bytes) * nanosecondsPerByte)
    }
}

/// Whose compressed message an event loop unpacks next. A byte that is received may stand for a thousand, so that the turns
/// of connections bound nothing here: what is unpacked in a time is bounded over all connections of the loop, and those whose
/// messages wait have their turns one after the other, a message each.
///
/// Thread safety: belongs to its event loop.
final class UnpackingQueue {
    private var pace: UnpackingPace
    private let clock: () -> UInt64
    private var alarm: LoopAlarm?
    /// Connections that wait, the longest first.
    private var waiting = CircularBuffer<ConnectionHandler>()
    /// The connection that is resumed may unpack one message.
    private var isGranted = false

    init(_ configuration: ServerConfiguration, on eventLoop: any EventLoop) {
        pace = UnpackingPace(
            bytesPerSecond: configuration.unpackedBytesPerSecond,
            burst: configuration.unpackedBurstBytes)
        clock = configuration.clock
        alarm = LoopAlarm(on: eventLoop) { [weak self] in self?.grant() }
    }

    /// Connections that wait.
    var count: Int { waiting.count }

    /// Whether a message may be unpacked now. If not, its connection is to wait.
    func take() -> Bool {
        if isGranted {
            isGranted = false
            return true
        }
        return count == 0 && pace.wait(clock()) == 0
    }

    func note(_ bytes: Int) { pace.spend(bytes, clock()) }

    /// Has `resume` called on a connection when its turn has come.
    func wait(_ handler: ConnectionHandler) {
        waiting.append(handler)
        setAlarm()
    }

    func stop() {
        alarm?.cancel()
        alarm = nil
        waiting.removeAll()
    }

    private func setAlarm() {
        // At once is for the next turn of the loop.
        alarm?.set(in: .nanoseconds(Int64(max(1_000, min(pace.wait(clock()), 1_000_000_000)))))
    }

    private func grant() {
        if pace.wait(clock()) == 0, let handler = waiting.popFirst() {
            isGranted = true
            handler.resume()
            isGranted = false
        }
        if count > 0 { setAlarm() }
    }
}
