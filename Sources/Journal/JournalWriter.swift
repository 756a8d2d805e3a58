import CLinux
import Synchronization
package import Telemetry

/// Puts what lanes publish on disk, a round at a time.
///
/// **A round.** (1) The round's number is published. (2) How far each ring is published is read, twice. (3) Everything
/// up to where the second look found it is written as one frame. (4) One sync. (5) Each ring is told where it is
/// durable (the second look) and where it is settled (the first). (6) The round is done.
///
/// *Tickets.* An answer that was given before the round began depends only on records that were published before it was
/// given, hence before any ring was read: they are all in this frame or an earlier one. An answer therefore waits for
/// the round after the one that had begun when it was given (`roundsStarted` + 1).
///
/// *Answers that need not wait* reflect what is settled. What is published while the rings are read may come into the
/// frame without what it builds on, which stands in a ring that was read before. So that a record is durable does not
/// do. But a record that the first look found was published after all that it builds upon, and so the second look found
/// those, in whatever rings. Recovery leaves out a record whose predecessor never comes.
///
/// **Room.** The next segment is prepared (written full of zeros and synced) before it is needed, and stays open until
/// then. The rings are shut when what is prepared is less than they could still bring, and opened when it is more again:
/// nothing that was let in can fail for want of room or of a file descriptor.
///
/// **Failure.** A failed write or sync is final: nobody knows what is on disk. Nothing is retried, no further round
/// is done, and whom `onFailure` names is told.
///
/// Thread safety: `round`, `prepareNext` and `close` each by one thread at a time (`JournalThread`, or a simulator);
/// the counters by any.
// SAFETY: what is not atomic belongs to the thread that does rounds.
package final class JournalWriter: @unchecked Sendable {
    package let id: JournalID
    package let configuration: JournalConfiguration
    let disk: any Disk
    let rings: [RecordRing]

    private let started = Atomic<UInt64>(0)
    private let done = Atomic<UInt64>(0)
    private let failure = Atomic<Bool>(false)
    /// The segment that is written, and the one that is prepared behind it; 0: none.
    private let currentNumber = Atomic<UInt64>(0)
    private let preparedNumber = Atomic<UInt64>(0)
    /// The first segment that is still kept.
    private let firstNumber: Atomic<UInt64>
    /// The disk had no room for the next segment, and no segment has been removed since.
    private let isDiskFull = Atomic<Bool>(false)
    /// Bytes left in the segment that is written.
    private let room = Atomic<Int>(0)
    /// Behind the last frame that was synced.
    private let durable = Atomic<UInt64>(0)
    /// The oldest segment that a follower needs; `.max`: nobody follows.
    private let needed = Atomic<UInt64>(.max)
    private let status = Lock(JournalStatus())
    /// How long rounds that wrote something took, and the syncs among it.
    package let roundTimes = LatencyRecorder()
    package let syncTimes = LatencyRecorder()
    /// When the round that is under way began, on the monotonic clock, nanoseconds; 0: none is.
    private let roundBegan = Atomic<Int64>(0)
    /// Held while the rings are opened or shut (they are open), and while a segment is made (the one that is prepared):
    /// two threads do either.
    private let gate = Lock(true)
    private let preparing = Lock<DiskFile?>(nil)
    /// Called after each round, by the thread that does rounds.
    package var onRound: (@Sendable () -> Void)?
    #if STEP_POINTS
        /// A test's hook: called between the steps of a round.
        package var onStep: ((WriterStep) -> Void)?
    #endif
    private let reports = Lock(FailureReports())

    private struct FailureReports {
        /// Why the journal has failed; nil: it has not.
        var error: JournalError?
        var waiting: [@Sendable (JournalError) -> Void] = []
    }

    private var file: DiskFile
    /// Bytes of the segment that is written: an earlier configuration may have made it.
    private var size: Int
    private var offset: Int
    private var sequence: UInt64
    package let epoch: UInt64
    /// Behind the last frame with records nothing says that it was durable.
    package private(set) var needsMark = false
    /// What a round's first look at the rings found published, and its second; and where the last frame ended.
    private var firstEnds: [UInt64]
    private var ends: [UInt64]
    private var taken: [UInt64]
    /// The header of the frame that is written, and all of it, the header in front. Kept, so that a round allocates
    /// nothing.
    private var header = [UInt64](repeating: 0, count: FrameHeader.words)
    private var pieces: [UnsafeRawBufferPointer] = []

    /// Opens a journal to be written on, behind what a reader found, in a new process run; or a new one.
    ///
    /// A torn tail is overwritten with zeros, so that nothing of it is ever taken for a frame. The last frame is written
    /// again, a seal too: after a failed sync the system may hold it in memory as if it were on disk.
    /// - Parameter end: where the journal ends; nil: there is none, `id` is its name from now on.
    package init(
        _ disk: any Disk, id: JournalID, _ configuration: JournalConfiguration,
        rings: [RecordRing], after end: JournalEnd?
    ) throws(JournalError) {
        self.disk = disk
        self.id = id
        self.configuration = configuration
        self.rings = rings
        ends = rings.map(\.published)
        firstEnds = ends
        taken = ends
        sequence = end?.sequence ?? 0
        epoch = (end?.epoch ?? 0) + 1
        var numbers = try disk.segmentNumbers()
        if let last = numbers.last, try JournalReader.isVoid(disk, last) {
            try disk.removeGently([JournalFiles.segment(last)]) {}
            numbers.removeLast()
        }
        firstNumber = Atomic(numbers.first ?? 1)
        var number: UInt64 = 1
        if let end { number = end.isSealed ? end.segment + 1 : end.segment }
        if let seal = end?.seal {
            let sealed = try disk.open(JournalFiles.segment(seal.segment), isWritable: true)
            defer { disk.close(sealed) }
            try Self.writeAgain(seal.offset..<seal.offset + FrameHeader.bytes, disk, sealed)
            try disk.sync(sealed)
        }
        file =
            numbers.contains(number)
            ? try disk.open(JournalFiles.segment(number), isWritable: true)
            : try Self.makeSegment(number, disk, id, configuration, epoch: epoch)
        offset = FileHeader.bytes
        size = Int(
            try FileHeader.read(disk, file, kind: .segment, number: number, id: id).size)
        if let end, !end.isSealed {
            try Self.settle(end, disk, file)
            offset = end.offset
        }
        // ORDERING: relaxed because nobody else has the writer yet.
        currentNumber.store(number, ordering: .relaxed)
        if numbers.contains(number + 1) {
            // Prepared by a process that came no further. Its size may be another configuration's.
            try disk.removeGently([JournalFiles.segment(number + 1)]) {}
            try disk.syncDirectory()
        }
        status.withLock { $0.segment = number }
        // A full journal is opened too: what makes room needs it open.
        try makeRoom(FrameHeader.bytes, atStart: true)
        try writeFrame(.start)
        try disk.sync(file)
        publishDurableEnd()
        updateGate()
    }

    deinit {
        disk.close(file)
        if let prepared = preparing.withLock({ $0 }) { disk.close(prepared) }
    }

    // MARK: Counters

    /// The number of the round that began last.
    package var roundsStarted: UInt64 {
        // ORDERING: sequentially consistent; see `RecordRing.publish`.
        started.load(ordering: .sequentiallyConsistent)
    }

    /// The number of the last round that is done.
    package var durableRound: UInt64 {
        // ORDERING: sequentially consistent; pairs with the store in `round`. Who takes a ticket says so before it reads a
        // round's number, and the end of a round is told after this is stored: one of them sees the other.
        done.load(ordering: .sequentiallyConsistent)
    }

    /// Whether a write or a sync has failed: nothing more becomes durable.
    package var hasFailed: Bool {
        // ORDERING: acquire; pairs with the release in `fail`. Why it failed is read under a lock of its own.
        failure.load(ordering: .acquiring)
    }

    /// The segment that is written: all before it are sealed.
    package var currentSegment: UInt64 {
        // ORDERING: acquire; pairs with the release in `makeRoom`: who finds a segment finds its `room`, and the one before
        // it sealed.
        currentNumber.load(ordering: .acquiring)
    }

    /// Whether the segment behind the one that is written is ready.
    package var isPrepared: Bool {
        // ORDERING: acquire; pairs with the release in `prepareNextOrThrow`: the segment is on disk under its name. The
        // file itself is handed over under `preparing`.
        preparedNumber.load(ordering: .acquiring) == currentSegment + 1
    }

    /// Bytes of the segments that are kept.
    package var bytesKept: Int { segmentsKept * configuration.segmentBytes }

    private var segmentsKept: Int {
        // ORDERING: acquire; pairs with the release in `removeSegments`: what is not counted is removed. First, so that the
        // present one is not before it, however many come and go meanwhile.
        let first = firstNumber.load(ordering: .acquiring)
        return Int(currentSegment + 1 - first)
    }

    /// Whether the bounds have no room for the segment that is needed next.
    package var isFull: Bool {
        !isPrepared && bytesKept + configuration.segmentBytes > configuration.maximumBytes
    }

    /// Whether there is no room for the segment that is needed next, within the bounds or on the disk.
    package var lacksRoom: Bool {
        // ORDERING: relaxed because it goes with no other data.
        isFull || !isPrepared && isDiskFull.load(ordering: .relaxed)
    }

    package var currentStatus: JournalStatus { status.withLock { $0 } }

    /// Segments that are kept, and the one that is prepared.
    package var segmentCount: Int { segmentsKept + (isPrepared ? 1 : 0) }

    /// For how long the round that is under way has been writing or syncing, nanoseconds; 0: none is. After a failure it
    /// goes on growing: that round will never be done.
    package var roundAge: Int64 {
        // ORDERING: relaxed because it goes with no other data.
        let began = roundBegan.load(ordering: .relaxed)
        return began == 0 ? 0 : max(0, linux_monotonic_nanoseconds() - began)
    }

    /// Where what is durable ends: what a `JournalFollower` may read. Any thread, without waiting.
    package var durableEnd: JournalPlace {
        // ORDERING: acquire; pairs with the release in `publishDurableEnd`.
        JournalPlace(packed: durable.load(ordering: .acquiring))
    }

    private func publishDurableEnd() {
        // ORDERING: release; the frames in front are written and synced.
        durable.store(
            JournalPlace(segment: currentSegment, offset: offset).packed, ordering: .releasing)
    }

    /// Keeps the segments from one on for a follower; nil: nobody follows. Any thread.
    package func keepSegments(from number: UInt64?) {
        // ORDERING: sequentially consistent, with the load in `removeSegments`.
        needed.store(number ?? .max, ordering: .sequentiallyConsistent)
    }

    /// Whether lanes are let in. Any thread.
    package var isOpen: Bool { gate.withLock { $0 } }

    /// Has a failure reported once, with why: by the thread that does rounds, or at once if there was one already.
    /// Several reports are called in this order. Any thread.
    package func onFailure(_ report: @escaping @Sendable (JournalError) -> Void) {
        let error = reports.withLock { reports in
            if reports.error == nil { reports.waiting.append(report) }
            return reports.error
        }
        if let error { report(error) }
    }

    // MARK: A round

    /// Does a round. Returns whether there was anything to write.
    @discardableResult
    package func round() -> Bool {
        guard !hasFailed else { return false }
        // ORDERING: sequentially consistent, before any ring is read; see `RecordRing.publish`.
        let number = started.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
        step(.roundBegun)
        collect(&firstEnds)
        collect(&ends)
        var hasRecords = false
        do throws(JournalError) {
            hasRecords = try writeRecords()
        } catch {
            fail(error)
            return false
        }
        settle()
        // ORDERING: sequentially consistent; see `durableRound`. Publishes what the round made durable and settled.
        done.store(number, ordering: .sequentiallyConsistent)
        step(.roundDone)
        onRound?()
        return hasRecords
    }

    /// Reads how far each ring is published.
    private func collect(_ ends: inout [UInt64]) {
        for index in rings.indices {
            ends[index] = rings[index].published
            step(.ringRead)
        }
    }

    /// Tells each ring where its records are on disk with all that they build upon.
    private func settle() {
        for (index, ring) in rings.enumerated() {
            var end = firstEnds[index]
            #if STEP_POINTS
                if InjectedBug.planted == .unsettledAnswer { end = ends[index] }
            #endif
            if ring.settled != end { ring.setSettled(end) }
            step(.ringSettled)
        }
    }

    private func writeRecords() throws(JournalError) -> Bool {
        var frame = FrameHeader(kind: .data, sequence: 0, epoch: epoch, file: 0)
        var checksum = CRC32C()
        for (index, ring) in rings.enumerated() {
            var position = taken[index]
            while position < ends[index] {
                let head = ring[position]
                checksum.add(head)
                frame.recordCount += 1
                position += UInt64(RecordWords.count(head))
            }
            frame.payloadWords += Int(ends[index] - taken[index])
        }
        guard frame.payloadWords > 0 else { return false }
        frame.recordsChecksum = checksum.value
        let began = linux_monotonic_nanoseconds()
        // ORDERING: relaxed because it goes with no other data.
        roundBegan.store(began, ordering: .relaxed)
        try makeRoom(FrameHeader.bytes + frame.payloadBytes)
        beginPieces()
        for (index, ring) in rings.enumerated() {
            var position = taken[index]
            while position < ends[index] {
                let piece = ring.bytes(from: position, count: Int(ends[index] - position))
                pieces.append(piece)
                position += UInt64(piece.count / 8)
            }
        }
        try writeFrame(frame)
        step(.frameWritten)
        let syncBegan = linux_monotonic_nanoseconds()
        try sync()
        syncTimes.record(nanoseconds: UInt64(max(0, linux_monotonic_nanoseconds() - syncBegan)))
        step(.frameSynced)
        publishDurableEnd()
        for (index, ring) in rings.enumerated() {
            ring.setDurable(ends[index])
            taken[index] = ends[index]
            step(.ringDurable)
        }
        needsMark = true
        let elapsed = linux_monotonic_nanoseconds() - began
        roundTimes.record(nanoseconds: UInt64(max(0, elapsed)))
        // ORDERING: relaxed because it goes with no other data.
        roundBegan.store(0, ordering: .relaxed)
        status.withLock { status in
            status.rounds += 1
            status.records += UInt64(frame.recordCount)
            status.bytes += UInt64(FrameHeader.bytes + frame.payloadBytes)
        }
        updateGate()
        return true
    }

    private func sync() throws(JournalError) {
        #if STEP_POINTS
            if InjectedBug.planted == .skippedSync { return }
        #endif
        try disk.sync(file)
    }

    /// A frame without records.
    private func writeFrame(_ kind: FrameKind) throws(JournalError) {
        beginPieces()
        try writeFrame(FrameHeader(kind: kind, sequence: 0, epoch: epoch, file: 0))
    }

    private func beginPieces() {
        pieces.removeAll(keepingCapacity: true)
        // The place of the header.
        pieces.append(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Writes `pieces`, the first of which becomes the header.
    private func writeFrame(_ template: FrameHeader) throws(JournalError) {
        var frame = template
        sequence += 1
        frame.sequence = sequence
        frame.file = currentSegment
        frame.encode(id, to: &header)
        let result: Result<Void, JournalError> = header.withUnsafeBytes { bytes in
            pieces[0] = bytes
            return Result { () throws(JournalError) in try disk.write(file, at: offset, pieces) }
        }
        try result.get()
        offset += FrameHeader.bytes + frame.payloadBytes
        // ORDERING: release; pairs with the acquires in `updateGate` and `prepareNext`: as much has been written.
        room.store(size - offset, ordering: .releasing)
    }

    /// Says that what was written is durable: damage to it can then be told from a torn tail. To be called when
    /// nothing has happened for a while; not synced, because it promises nothing.
    package func mark() {
        guard needsMark, !hasFailed else { return }
        needsMark = false
        guard offset + 2 * FrameHeader.bytes <= size else { return }
        do throws(JournalError) {
            try writeFrame(.mark)
            // The next frame takes its place: if it stayed and got lost, that frame would stand behind a hole.
            offset -= FrameHeader.bytes
            sequence -= 1
        } catch {
            fail(error)
        }
    }

    /// Fails when what is written could not be found again: somebody removed the directory, the lock or the segment. To be
    /// called every second, by the thread that does rounds.
    package func look() {
        guard !hasFailed else { return }
        do throws(JournalError) {
            try disk.look(after: file)
        } catch {
            fail(error)
        }
    }

    /// Ends the journal in good order: nothing may be published any more.
    package func close() {
        round()
        mark()
        guard !hasFailed else { return }
        do throws(JournalError) {
            try disk.sync(file)
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: JournalError) {
        // ORDERING: release; pairs with the acquire in `hasFailed`.
        failure.store(true, ordering: .releasing)
        updateGate()
        status.withLock { $0.trouble = error }
        let waiting = reports.withLock { reports in
            reports.error = error
            defer { reports.waiting = [] }
            return reports.waiting
        }
        for report in waiting { report(error) }
    }

    /// What preparing the next segment came to; a failure is final.
    private func setTrouble(_ error: JournalError?) {
        status.withLock { if !hasFailed { $0.trouble = error } }
    }

    // MARK: Segments

    /// Goes on in the next segment if a frame, and the seal behind it, do not fit this one.
    ///
    /// - Parameter atStart: goes on where the journal's bounds are reached.
    private func makeRoom(_ bytes: Int, atStart: Bool = false) throws(JournalError) {
        guard offset + bytes + 2 * FrameHeader.bytes > size else { return }
        // The rings are shut before this can come to nothing.
        try prepareNextOrThrow(atStart: atStart)
        try writeFrame(.seal)
        try sync()
        let next = currentSegment + 1
        disk.close(file)
        file = takePrepared()
        size = configuration.segmentBytes
        offset = FileHeader.bytes
        // ORDERING: release, both; pair with the acquires in `updateGate` and `prepareNext`, and in `currentSegment`. The
        // segment's room is there before its number.
        room.store(size - offset, ordering: .releasing)
        currentNumber.store(next, ordering: .releasing)
        status.withLock { $0.segment = next }
    }

    /// The segment that is prepared, whose turn it is now.
    private func takePrepared() -> DiskFile {
        preparing.withLock { prepared in
            guard let file = prepared else { preconditionFailure("no segment is prepared") }
            prepared = nil
            return file
        }
    }

    /// Prepares the next segment if it is not there. Another thread than that of the rounds, which goes on meanwhile.
    ///
    /// - Parameters:
    ///   - isPaced: leaves most of the disk's time to the rounds, as long as the present segment is not half full.
    ///   - isGivenUp: asked behind each slice; nothing is left of a segment that is given up.
    /// - Returns: False: the journal has failed, the work was given up, or there is no room, or no file descriptor: then
    ///   the rings are shut if they must be, and it is worth another try in a second.
    @discardableResult
    package func prepareNext(
        isPaced: Bool = false, unless isGivenUp: () -> Bool = { false }
    ) -> Bool {
        guard !hasFailed else { return false }
        guard !isPrepared else { return true }
        do throws(JournalError) {
            var throttle = Throttle(isPaced: isPaced) { [self] in
                // ORDERING: acquire; pairs with the release in `writeFrame`. An old value only delays a slice.
                room.load(ordering: .acquiring) < configuration.segmentBytes / 2
            }
            try prepareNextOrThrow { () throws(JournalError) in
                if isGivenUp() {
                    throw JournalError(
                        .interrupted, file: JournalFiles.nextSegment,
                        reason: "the service is stopping", remedy: "no action is needed")
                }
                throttle.rest()
            }
            setTrouble(nil)
            // ORDERING: relaxed because it goes with no other data.
            isDiskFull.store(false, ordering: .relaxed)
        } catch {
            if error.code != .interrupted { setTrouble(error) }
            // ORDERING: relaxed because it goes with no other data.
            isDiskFull.store(error.code == .noSpace && !isFull, ordering: .relaxed)
            updateGate()
            return false
        }
        updateGate()
        return true
    }

    private func prepareNextOrThrow(
        atStart: Bool = false, _ rest: () throws(JournalError) -> Void = {}
    ) throws(JournalError) {
        try preparing.withLock { (prepared) throws(JournalError) in
            guard !isPrepared else { return }
            prepared = try prepare(atStart: atStart, rest)
            // ORDERING: release; pairs with the acquire in `isPrepared`.
            preparedNumber.store(currentSegment + 1, ordering: .releasing)
        }
    }

    private func prepare(
        atStart: Bool, _ rest: () throws(JournalError) -> Void
    ) throws(JournalError) -> DiskFile {
        let next = currentSegment + 1
        guard atStart || !isFull else {
            throw JournalError(
                .noSpace, file: JournalFiles.segment(next),
                reason: """
                    \(bytesKept / configuration.segmentBytes) segments fill the journal's \
                    \(configuration.maximumBytes) bytes
                    """,
                remedy: "raise --journal-maximum, or find out why no checkpoint is written")
        }
        return try Self.makeSegment(next, disk, id, configuration, epoch: epoch, rest)
    }

    /// Removes the sealed segments below a number, but for those that a follower still needs. Any thread.
    ///
    /// A follower that does not get on holds segments until the journal fills three quarters of its bounds, or the disk is
    /// full: the service goes on, and the follower begins anew from the oldest checkpoint. No more of what it needs is
    /// taken than that; on a full disk one at a time.
    ///
    /// - Parameter rest: called behind each piece.
    package func removeSegments(
        below number: UInt64, _ rest: () throws(JournalError) -> Void = {}
    ) throws(JournalError) {
        let limit = min(number, currentSegment)
        // ORDERING: acquire; pairs with the release below, by whichever thread removed the last ones.
        guard firstNumber.load(ordering: .acquiring) < limit else { return }
        var end = limit
        var mayTakeOne = !isFull && lacksRoom
        for segment in try disk.segmentNumbers() where segment < limit {
            // ORDERING: sequentially consistent, with the store in `keepSegments`: who asked for a segment before it was
            // looked at here finds it kept.
            if segment >= needed.load(ordering: .sequentiallyConsistent),
                bytesKept <= configuration.maximumBytes / 4 * 3
            {
                guard mayTakeOne else {
                    end = segment
                    break
                }
                mayTakeOne = false
            }
            try disk.removeGently([JournalFiles.segment(segment)], rest)
            // ORDERING: release; pairs with the acquire in `bytesKept`.
            firstNumber.store(segment + 1, ordering: .releasing)
            // ORDERING: relaxed because it goes with no other data.
            isDiskFull.store(false, ordering: .relaxed)
        }
        // An earlier attempt may have renamed some that are in no list any more, and then failed.
        // ORDERING: release; pairs with the acquire in `bytesKept`.
        firstNumber.store(end, ordering: .releasing)
        try disk.syncDirectory()
    }

    /// Lets lanes in if all that they could bring until they look again has its place on disk.
    private func updateGate() {
        // Every record might get a frame of its own, which at worst makes two and a half times as much of it.
        let possible = rings.reduce(0) { $0 + $1.capacity * 8 } * 3 + (64 << 10)
        gate.withLock { isOpen in
            // ORDERING: acquire; pairs with the release in `writeFrame`. The thread that writes calls this again behind it
            // whenever it may change the outcome.
            isOpen = !hasFailed && (isPrepared || room.load(ordering: .acquiring) >= possible)
            for ring in rings where ring.isOpen != isOpen { ring.setOpen(isOpen) }
        }
    }
}
