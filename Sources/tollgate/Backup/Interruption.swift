internal import Glibc
internal import Synchronization

/// SIGINT and SIGTERM as a wish that long work looks at: it ends in good order. A second signal ends the process at once.
enum Interruption {
    private static let isWanted = Atomic<Bool>(false)

    // ORDERING: relaxed because it goes with no other data; it is seen in time.
    static var isAskedFor: Bool { isWanted.load(ordering: .relaxed) }

    static func catchSignals() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                Interruption.isWanted.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }
}
