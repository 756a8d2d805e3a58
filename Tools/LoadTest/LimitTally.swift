// What the load test knows about one limit without trusting the service: an interval in which the usage must lie.
//
// Requests are under way at the same time, so at most moments nobody outside the service knows the exact usage. But
// two bounds are certain: what was admitted and not given back is used (`sure`), and nothing beyond what was asked and
// not yet refused or given back can be used (`may`). A claim is made only where a bound proves it. When nothing is
// under way and no outcome is unknown, both bounds meet, and the service must report exactly that number.

/// Bounds of one limit's usage; amounts in the resource's unit.
///
/// The calls come in pairs around each request: the bound that a request can only loosen moves before it is sent, the
/// bound that its answer tightens moves when the answer is there. An answer that never comes leaves the first half,
/// and the bounds stay apart for ever.
struct LimitTally: Equatable {
    /// nil: this limit refuses nothing.
    let blockingCap: Int64?
    /// nil: no cap.
    let cap: Int64?
    /// Unix milliseconds of the window at the start; 0: standing count.
    let windowStart: Int64

    /// Used for certain: committed + held.
    private(set) var sureUsed: Int64
    /// All that was ever asked for, the usage at the start included; only grows.
    private(set) var mayAdded: Int64
    /// What of it is certainly not used any more, or never was; only grows.
    private(set) var mayRemoved: Int64 = 0
    /// The highest that the usage can ever have been, requests under way included.
    private(set) var mayPeak: Int64
    /// Committed for certain.
    private(set) var sureCommitted: Int64
    /// Committed at most.
    private(set) var mayCommitted: Int64

    /// - Parameters:
    ///   - committed: at the start, from the service.
    ///   - held: at the start: it may be committed or freed at any time.
    init(cap: Int64?, isBlocking: Bool, committed: Int64, held: Int64, windowStart: Int64) {
        self.cap = cap
        blockingCap = isBlocking ? cap : nil
        self.windowStart = windowStart
        sureUsed = committed
        mayAdded = committed + held
        mayPeak = committed + held
        sureCommitted = committed
        mayCommitted = committed + held
    }

    /// Used at most, requests under way included.
    var mayUsed: Int64 { mayAdded - mayRemoved }

    /// The most that was certainly over the cap; nil: nothing was.
    var excess: Int64? {
        guard let blockingCap, sureUsed > blockingCap else { return nil }
        return sureUsed - blockingCap
    }

    // MARK: Asking for room

    /// A request for `amount` is about to be sent.
    ///
    /// - Returns: the mark that `refuses` wants back.
    mutating func ask(_ amount: Int64) -> Int64 {
        mayAdded += amount
        mayPeak = max(mayPeak, mayUsed)
        return mayRemoved
    }

    /// The request was allowed. `excess` says whether it should not have been.
    mutating func admit(_ amount: Int64) { sureUsed += amount }

    /// Can this limit have refused a request that is under way since `mark`?
    ///
    /// During the request the usage, the request itself included, was at no time above all that was asked until now
    /// less what had been given back before the request was sent. If that fits under the cap, it fitted always.
    func canRefuse(since mark: Int64) -> Bool {
        guard let blockingCap else { return false }
        return mayAdded - mark > blockingCap
    }

    /// The request was refused, or certainly not processed.
    mutating func refuse(_ amount: Int64) { mayRemoved += amount }

    // MARK: Giving room back

    /// A request that frees `amount` is about to be sent, or a hold of it is left to expire.
    mutating func beginFreeing(_ amount: Int64) { sureUsed -= amount }

    /// It was answered.
    mutating func free(_ amount: Int64) { mayRemoved += amount }

    // MARK: Committing

    /// A request that charges `amount` is about to be sent.
    mutating func beginCommitting(_ amount: Int64) { mayCommitted += amount }

    /// It was answered.
    mutating func commit(_ amount: Int64) { sureCommitted += amount }

    /// It was refused, or certainly not processed.
    mutating func forgo(_ amount: Int64) { mayCommitted -= amount }

    // MARK: The end

    /// Does what the service reports, with nothing under way, agree with the bounds?
    func agrees(committed: Int64, held: Int64) -> Bool {
        (sureCommitted...mayCommitted).contains(committed)
            && (sureUsed...mayUsed).contains(committed + held)
    }

    /// "12" or "12 to 14".
    var expectedCommitted: String { Self.text(sureCommitted, mayCommitted) }
    var expectedUsed: String { Self.text(sureUsed, mayUsed) }

    private static func text(_ low: Int64, _ high: Int64) -> String {
        low == high ? "\(low)" : "\(low) to \(high)"
    }
}
