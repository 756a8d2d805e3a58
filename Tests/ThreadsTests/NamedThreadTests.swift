import Glibc
import Synchronization
import Testing

@testable import Threads

@Suite("Threads: each has a name that the system shows")
struct NamedThreadTests {
    /// What the kernel calls the calling thread.
    private static func name() -> String {
        guard let file = fopen("/proc/thread-self/comm", "r") else { return "" }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard fgets(&line, Int32(line.count), file) != nil else { return "" }
        let bytes = line.prefix { $0 != 0 && $0 != CChar(UInt8(ascii: "\n")) }
        return String(decoding: bytes.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    @Test(arguments: ThreadName.all + [.grpc(0), .grpc(1_000_000)])
    func theSystemShowsTheWholeName(name: ThreadName) throws {
        let found = Mutex("")
        try #require(
            NamedThread.start(name) {
                let name = Self.name()
                found.withLock { $0 = name }
            }
        ).join()
        #expect(found.withLock { $0 } == name.description)
    }

    @Test func namesAreShortAndTellThreadsApart() {
        let names = ThreadName.all.map(\.description)
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { (1...15).contains($0.utf8.count) })
    }

    @Test func aThreadOfALibraryIsNamedFromWithin() throws {
        let found = Mutex("")
        try #require(
            NamedThread.start(.work) {
                NamedThread.setName(.mail)
                let name = Self.name()
                found.withLock { $0 = name }
            }
        ).join()
        #expect(found.withLock { $0 } == "mail")
    }

    @Test func aDetachedOneRuns() {
        let done = Done()
        #expect(NamedThread.detach(.work) { done.post() })
        // Never ends if it does not.
        done.wait()
    }

    /// What a thread holds is given back when it ends.
    @Test func whatItRunsIsReleased() throws {
        let count = Counted.living.load(ordering: .relaxed)
        let held = Counted()
        try #require(NamedThread.start(.work) { held.touch() }).join()
        _ = consume held
        #expect(Counted.living.load(ordering: .relaxed) == count)
    }

    private final class Counted: Sendable {
        static let living = Atomic<Int>(0)
        init() { Self.living.add(1, ordering: .relaxed) }
        deinit { Self.living.subtract(1, ordering: .relaxed) }
        func touch() {}
    }

    // SAFETY: a semaphore is for any thread.
    private final class Done: @unchecked Sendable {
        private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
        init() { sem_init(semaphore, 0, 0) }
        deinit {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }
        func post() { sem_post(semaphore) }
        func wait() { while sem_wait(semaphore) != 0 {} }
    }
}
