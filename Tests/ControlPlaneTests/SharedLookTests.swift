import Access
import HTTPTypes
import JSON
import Synchronization
import Testing

@testable import ControlPlane

/// One look for all who ask, which is waited for no longer than anybody has patience: `/readyz` asks the disk so, and a
/// scrape what it needs of it.
@Suite struct SharedLookTests {
    /// A disk that confirms nothing before it is let go. Any thread.
    private final class Disk: Sendable {
        struct Gone: Error {}

        let looks = Atomic<Int>(0)
        let isGone = Atomic<Bool>(false)
        private let stream = AsyncStream<Void>.makeStream()

        func confirm() async throws {
            looks.add(1, ordering: .relaxed)
            for await _ in stream.stream {}
            if isGone.load(ordering: .relaxed) { throw Gone() }
        }

        func letGo() { stream.continuation.finish() }
    }

    private enum Answer { case yes, no, notYet }

    private func ask(_ look: SharedLook<Void>) async -> Answer {
        switch await look.outcome() {
        case .found: .yes
        case .failed: .no
        case .notYet: .notYet
        }
    }

    /// What comes of asking until it is known.
    private func outcome(_ look: SharedLook<Void>) async -> Answer {
        var answer = Answer.notYet
        while answer == .notYet { answer = await ask(look) }
        return answer
    }

    @Test(.timeLimit(.minutes(1))) func allWhoAskShareOneLook() async {
        let disk = Disk()
        let look = SharedLook(patience: .milliseconds(50)) { try await disk.confirm() }
        await withTaskGroup(of: Answer.self) { group in
            for _ in 0..<500 { group.addTask { await ask(look) } }
            for await answer in group { #expect(answer == .notYet) }
        }
        while disk.looks.load(ordering: .relaxed) == 0 { await Task.yield() }
        #expect(await ask(look) == .notYet)
        #expect(disk.looks.load(ordering: .relaxed) == 1)
        disk.letGo()
        #expect(await outcome(look) == .yes)
        // What was confirmed once is asked for again.
        #expect(await outcome(look) == .yes)
        #expect(disk.looks.load(ordering: .relaxed) > 1)
        disk.isGone.store(true, ordering: .relaxed)
        #expect(await outcome(look) == .no)
    }

    /// Nobody waits for whoever has gone, and the look goes on for the others.
    @Test(.timeLimit(.minutes(1))) func whoGoesAwayIsNotWaitedFor() async {
        let disk = Disk()
        let look = SharedLook(patience: .seconds(3_600)) { try await disk.confirm() }
        let gone = Task { await ask(look) }
        while disk.looks.load(ordering: .relaxed) == 0 { await Task.yield() }
        gone.cancel()
        #expect(await gone.value == .notYet)
        async let other = ask(look)
        disk.letGo()
        #expect(await other == .yes)
    }

    /// It is waited for once, and not by those who come later; when it is done there is another one.
    @Test(.timeLimit(.minutes(1))) func aLookThatDoesNotEndHoldsNobodyUp() async {
        let disk = Disk()
        let look = SharedLook(patience: .milliseconds(50)) { try await disk.confirm() }
        #expect(await ask(look) == .notYet)
        let began = ContinuousClock.now
        for _ in 0..<1_000 { #expect(await ask(look) == .notYet) }
        #expect(ContinuousClock.now - began < .seconds(20), "nobody waits for it again")
        #expect(disk.looks.load(ordering: .relaxed) == 1)
        disk.letGo()
        #expect(await outcome(look) == .yes)
    }

    /// A scraper that hangs up ends its own waiting, and not what others wait for.
    @Test(.timeLimit(.minutes(1))) func theLookOfOneWhoGoesIsNotCancelled() async {
        let disk = Disk()
        let look = SharedLook(patience: .seconds(3_600)) {
            try await disk.confirm()
            return Task.isCancelled
        }
        let first = Task { await look.value() }
        while disk.looks.load(ordering: .relaxed) == 0 { await Task.yield() }
        let other = Task { await look.value() }
        first.cancel()
        #expect(await first.value == nil)
        disk.letGo()
        #expect(await other.value == false)
    }

    @Test(.timeLimit(.minutes(1))) func aDiskThatHangsIsSaidSo() async throws {
        let disk = Disk()
        defer { disk.letGo() }
        let rest = try RESTHarness()
        let health = Health(
            core: rest.server.core,
            disk: SharedLook(patience: .milliseconds(20)) { try await disk.confirm() })
        let asked = Exchange(
            parameters: [:], query: "", headers: [:], body: [], caller: .anyone)
        let error = await #expect(throws: APIError.self) { try await health.readyz(asked) }
        #expect(error?.status == 503)
        let text = String(decoding: error?.json.encoded ?? [], as: UTF8.self)
        #expect(text.contains("The disk has not confirmed a write for 0.02 seconds"), "\(text)")
    }
}
