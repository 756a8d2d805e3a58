internal import HTTP2
internal import Telemetry

/// One answer that waits for the disk. The encoded bytes lie with its call, what would take it back
/// in the loop's `undo`.
struct ParkedAnswer: BitwiseCopyable {
    /// Unretained: a connection keeps its place in the loop, and thereby lives, as long as one of its
    /// answers is parked.
    let connection: Unmanaged<ConnectionHandler>
    /// A call keeps its stream as long as one of its answers is parked.
    let stream: StreamHandle
    /// Encoded bytes.
    var answerBytes: UInt32
    /// Requests that it answers: 1, and those of a stream whose answers need not wait but come next.
    var messages: UInt32 = 1
    /// Of the loop's `undo`.
    let undoBytes: UInt32
    /// When its request had been read, on the monotonic clock.
    let receivedNanoseconds: UInt64
}

/// The answers of one event loop that wait for the disk, in the order in which they were given: in
/// this order they leave, ticket by ticket. Filing one and letting it go are each O(1) and allocate
/// nothing in the steady state.
struct ParkedAnswers: ~Copyable {
    /// Answers up to a place in the queue share a ticket.
    struct Batch: BitwiseCopyable {
        let ticket: UInt64
        let end: UInt64
        /// When it was filed, on the monotonic clock.
        let filedNanoseconds: UInt64
    }

    private var answers = FIFO<ParkedAnswer>()
    private var batches = FIFO<Batch>()
    /// Answers with a ticket, ever; and answers that have left, ever.
    private var filed: UInt64 = 0
    private var taken: UInt64 = 0

    /// Answers that wait.
    var count: Int { answers.count }

    /// Answers that have no ticket yet.
    var unfiled: Int { Int(taken &+ UInt64(answers.count) &- filed) }

    /// - Returns: the answer's number.
    mutating func append(_ answer: ParkedAnswer) -> UInt64 {
        answers.append(answer)
        return taken &+ UInt64(answers.count - 1)
    }

    /// Adds an answer that need not wait itself to the one that it stands behind.
    mutating func extend(_ number: UInt64, answerBytes: Int) {
        let answer = answers.pointer(at: Int(number &- taken))
        answer.pointee.answerBytes += UInt32(answerBytes)
        answer.pointee.messages += 1
    }

    /// Gives all answers that have none this ticket.
    mutating func file(under ticket: UInt64, atNanoseconds now: UInt64 = 0) {
        filed = taken &+ UInt64(answers.count)
        batches.append(Batch(ticket: ticket, end: filed, filedNanoseconds: now))
    }

    /// Records how long it took from their reads until now to decide the answers that have no ticket yet.
    ///
    /// - Complexity: O(unfiled)
    mutating func noteUnfiled(_ recorder: LatencyRecorder, nowNanoseconds now: UInt64) {
        var received: UInt64 = 0
        var count: UInt64 = 0
        for index in answers.count - unfiled..<answers.count {
            let next = answers.pointer(at: index).pointee.receivedNanoseconds
            if next != received, count > 0 {
                recorder.record(nanoseconds: now &- min(received, now), count: count)
                count = 0
            }
            received = next
            count += 1
        }
        if count > 0 { recorder.record(nanoseconds: now &- min(received, now), count: count) }
    }

    /// When the next answers were filed, and how many of them were filed together, if their ticket is reached.
    func due(upTo durableTicket: UInt64) -> (filedNanoseconds: UInt64, count: UInt64)? {
        guard let batch = batches.first, batch.ticket <= durableTicket else { return nil }
        return (batch.filedNanoseconds, batch.end &- taken)
    }

    /// The next answer, if its ticket is reached.
    mutating func take(upTo durableTicket: UInt64) -> ParkedAnswer? {
        guard let batch = batches.first, batch.ticket <= durableTicket else { return nil }
        taken &+= 1
        if taken == batch.end { _ = batches.popFirst() }
        return answers.popFirst()
    }

    /// The next answer, whatever its ticket.
    mutating func takeAny() -> ParkedAnswer? {
        guard answers.count > 0 else { return nil }
        if unfiled == answers.count { file(under: .max) }
        return take(upTo: .max)
    }
}

/// A growable ring of plain values.
struct FIFO<Element: BitwiseCopyable>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    /// A power of two.
    private var capacity = 64
    private var head = 0
    private(set) var count = 0

    init() { base = .allocate(capacity: capacity) }

    deinit { base.deallocate() }

    var first: Element? { count > 0 ? base[head] : nil }

    mutating func append(_ element: Element) {
        if count == capacity { grow() }
        (base + ((head + count) & (capacity - 1))).initialize(to: element)
        count += 1
    }

    /// Valid until the queue is next changed.
    ///
    /// - Parameter index: 0 ..< count, from the front.
    func pointer(at index: Int) -> UnsafeMutablePointer<Element> {
        precondition(index >= 0 && index < count, "beyond the queue")
        return base + ((head + index) & (capacity - 1))
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = base[head]
        head = (head + 1) & (capacity - 1)
        count -= 1
        return element
    }

    private mutating func grow() {
        let grown = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        let front = capacity - head
        grown.initialize(from: base + head, count: front)
        (grown + front).initialize(from: base, count: head)
        base.deallocate()
        base = grown
        head = 0
        capacity *= 2
    }
}
