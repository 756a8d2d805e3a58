import Access
import HTTPTypes
import JSON
import Synchronization
import Testing

@testable import ControlPlane

/// `/readyz` asks the disk once for all who ask, and waits for it no longer than anybody has patience.
@Suite struct DiskLookTests {
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

    /// What comes of asking until it is known.
    private func outcome(_ look: DiskLook) async -> DiskLook.Answer {
        var answer = DiskLook.Answer.notYet
        while answer == .notYet { answer = await look.answer() }
        return answer
    }

    @Test(.timeLimit(.minutes(1))) func allWhoAskShareOneLook() async {
        let disk = Disk()
        let look = DiskLook(patience: .milliseconds(50)) { try await disk.confirm() }
        await withTaskGroup(of: DiskLook.Answer.self) { group in
            for _ in 0..<500 { group.addTask { await look.answer() } }
            for await answer in group { #expect(answer == .notYet) }
        }
        while disk.looks.load(ordering: .relaxed) == 0 { await Task.yield() }
        #expect(await look.answer() == .notYet)
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
        let look = DiskLook(patience: .seconds(3_600)) { try await disk.confirm() }
        let gone = Task { await look.answer() }
        while disk.looks.load(ordering: .relaxed) == 0 { await Task.yield() }
        gone.cancel()
        #expect(await gone.value == .notYet)
        async let other = look.answer()
        disk.letGo()
        #expect(await other == .yes)
    }

    @Test(.timeLimit(.minutes(1))) func aDiskThatHangsIsSaidSo() async throws {
        let disk = Disk()
        defer { disk.letGo() }
        let rest = try RESTHarness()
        let health = Health(
            core: rest.server.core,
            disk: DiskLook(patience: .milliseconds(20)) { try await disk.confirm() })
        let asked = Exchange(
            parameters: [:], query: "", headers: [:], body: [], caller: .anyone)
        let error = await #expect(throws: APIError.self) { try await health.readyz(asked) }
        #expect(error?.status == 503)
        let text = String(decoding: error?.json.encoded ?? [], as: UTF8.self)
        #expect(text.contains("The disk has not confirmed a write for 0.02 seconds"), "\(text)")
    }
}
