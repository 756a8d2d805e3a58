import HTTP2
import Testing

@testable import GRPCServer

@Suite("How far a call is, and what is to be done about it")
struct CallLifecycleTests {
    private typealias Actions = CallLifecycle.Actions

    private static let failure = GRPCFailure(.notFound, "no")

    private static func release(
        _ life: inout CallLifecycle, _ count: UInt32 = 1, isGone: Bool = false,
        isLate: Bool = false
    ) -> CallLifecycle.Release {
        life.release(count, isGone: isGone, isLate: isLate, resumesAt: 1)
    }

    private static func isLeaving(_ filing: CallLifecycle.Filing) -> Bool {
        if case .leaves = filing { return true }
        return false
    }

    /// It lies in the record of every call whose answer waits for the disk.
    @Test func itIsTwoWords() {
        #expect(MemoryLayout<CallLifecycle>.stride == 16)
    }

    // MARK: Calls with one request

    @Test func aHeldAnswerLeavesWhenItsTicketIsReached() {
        var plain = CallLifecycle.parked(nil, isPacked: false)
        let left = Self.release(&plain)
        #expect(left.actions == [.forget, .answer] && left.outcome == .leave)
        var packed = CallLifecycle.parked(nil, isPacked: true)
        #expect(Self.release(&packed).actions == [.forget, .answer, .packed])
        var failed = CallLifecycle.parked(Self.failure, isPacked: false)
        let told = Self.release(&failed)
        #expect(told.actions == [.forget, .refuse] && told.outcome == .leave)
        #expect(told.failure === Self.failure)
    }

    @Test func aHeldAnswerThatIsLateIsTakenBack() {
        for failure in [nil, Self.failure] {
            var life = CallLifecycle.parked(failure, isPacked: false)
            let late = Self.release(&life, isLate: true)
            #expect(late.actions == [.forget, .refuse] && late.outcome == .late)
            #expect(late.failure == nil)
        }
    }

    @Test func whoHasGoneIsToldNothing() {
        var reset = CallLifecycle.parked(nil, isPacked: false)
        #expect(reset.closed() == [] && reset.isOver)
        let gone = Self.release(&reset)
        #expect(gone.actions == [.forget, .release] && gone.outcome == .gone)
        var unseen = CallLifecycle.parked(nil, isPacked: false)
        #expect(Self.release(&unseen, isGone: true, isLate: true).outcome == .gone)
    }

    @Test func aDeadlineIsToldOnceAndTheStreamIsKeptForWhatIsParked() {
        var life = CallLifecycle.parked(nil, isPacked: false)
        #expect(life.finish(failed: true) == [.refuse, .keep] && life.isOver)
        #expect(life.closed() == [])
        #expect(Self.release(&life, isLate: true).actions == [.forget, .release])
    }

    @Test func whatWasDoneOfARequestThatWasPutOffIsTakenBack() {
        for kind in [MethodKind.unary, .serverStreaming] {
            var late = CallLifecycle.putOff(kind)
            #expect(late.finish(failed: true) == [.withdrawRequest, .forget, .refuse])
            var reset = CallLifecycle.putOff(kind)
            #expect(reset.closed() == [.withdrawRequest, .forget, .release])
            var resumed = CallLifecycle.putOff(kind)
            #expect(resumed.resume() == .forget)
            var waiting = CallLifecycle.awaitingBody(kind)
            #expect(waiting.finish(failed: true) == [.forget, .refuse])
        }
    }

    // MARK: Streams

    @Test func aFailureIsToldBehindTheAnswersBeforeIt() {
        var life = CallLifecycle.stream(.bidirectional)
        #expect(life.start() && !life.start())
        _ = life.decided(nil, isParked: true)
        _ = life.decided(nil, isParked: false)
        #expect(life.parkedAnswers == 2)
        #expect(life.fail(Self.failure) == [] && !life.takesRequests && !life.isOver)
        let last = Self.release(&life, 2)
        #expect(last.actions == [.move, .forget, .finish, .tellService])
        #expect(last.failure === Self.failure)
    }

    @Test func requestsAreTakenAgainWhenFewAnswersAreHeld() {
        var life = CallLifecycle.stream(.bidirectional)
        for _ in 0..<3 { _ = life.decided(nil, isParked: true) }
        #expect(Self.release(&life).actions == [.move, .push])
        #expect(Self.release(&life).actions == [.move, .push, .take])
        #expect(Self.release(&life).actions == [.move, .push, .take, .rest])
        #expect(Self.isLeaving(life.decided(nil, isParked: false)))
    }

    @Test func aClientStreamsAnswerWaitsIfOneOfItsRequestsHadTo() {
        for isParked in [false, true] {
            var life = CallLifecycle.stream(.clientStreaming)
            _ = life.decided(nil, isParked: isParked)
            _ = life.decided(nil, isParked: false)
            #expect(life.parkedAnswers == 0)
            guard case .nothing = life.ranDry(isCutShort: false) else {
                Issue.record("answered before its end")
                return
            }
            guard case .take = life.arrived(.end),
                case .ask(let waits) = life.ranDry(isCutShort: false)
            else {
                Issue.record("not answered")
                return
            }
            #expect(waits == isParked)
            #expect(life.concluded(nil, isParked: true) == [])
            // Nothing of it waits beside the output.
            #expect(Self.release(&life).actions == [.start, .forget, .finish, .tellService])
        }
    }

    @Test func aServerStreamTakesMessagesUntilItEnds() {
        var life = CallLifecycle.stream(.serverStreaming)
        #expect(life.isPushed && life.owesNothing && !life.takesRequests)
        guard case .nothing = life.arrived(.end), case .writable = life.arrived(.writable) else {
            Issue.record("not told that there is room")
            return
        }
        #expect(life.start() == true)
        #expect(life.finish(failed: false) == [.forget, .finish, .tellService])
        #expect(!life.isPushed)
        var refused = CallLifecycle.stream(.serverStreaming)
        #expect(refused.refused() == [.forget, .refuse])
    }

    // MARK: What nobody may do

    @Test func aCallEndsOnce() async {
        await #expect(processExitsWith: .failure) {
            var life = CallLifecycle.stream(.bidirectional)
            _ = life.finish(failed: false)
            _ = life.finish(failed: false)
        }
    }

    @Test func anAnswerIsReleasedOnce() async {
        await #expect(processExitsWith: .failure) {
            var life = CallLifecycle.parked(nil, isPacked: false)
            _ = life.release(1, isGone: false, isLate: false, resumesAt: 0)
            _ = life.release(1, isGone: false, isLate: false, resumesAt: 0)
        }
    }
}
