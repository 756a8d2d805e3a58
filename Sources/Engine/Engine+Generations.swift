import Limits
import Reservations

// Reservation ids of earlier processes that no record knows of. In `sync` there are none: what was not durable was
// shown to nobody. A process that does not wait for the disk may have given out ids that a crash took back.
extension Engine {
    /// What such a process keeps, before it serves: the generation that it began above.
    private static let passedOverSetting = "reservation_generations_passed_over"
    /// More than one slot can go through between two syncs: a life lasts the retention, and a second at the least.
    private static let unrecordedGenerations: UInt64 = 8
    /// Where the mark cannot be kept, the disk being full: by chance another one than the process before.
    private static let randomGenerations: UInt64 = 4_096
    /// Without a journal: a quarter of all.
    private static let generationsWithoutJournal: UInt64 = 1 << 22

    /// Passes over what a process without `sync` may have given out after it kept its mark.
    static func passOverGenerations(of table: ReservationTable, _ settings: [String: String]) {
        guard let mark = settings[passedOverSetting].flatMap({ UInt64($0) }) else { return }
        table.passOverGenerations(
            upTo: max(mark, table.passedOverGeneration) &+ unrecordedGenerations)
    }

    /// Passes over what was given out in a time whose records are lost: the journal was restored from a backup.
    static func passOverLostGenerations(of table: ReservationTable, _ count: UInt64) {
        guard count > 0 else { return }
        table.passOverGenerations(
            upTo: table.passedOverGeneration &+ min(count, mostLostGenerations))
    }

    /// A quarter of all: so long a time is lost with no journal.
    private static let mostLostGenerations: UInt64 = 1 << 22

    /// A process in memory begins anywhere: the one before it may have been anywhere.
    static func passOverGenerations(of table: ReservationTable, withoutJournal secret: HashSecret) {
        table.passOverGenerations(upTo: secret.k0 % generationsWithoutJournal)
    }

    /// Keeps the mark of this process. False: it could not, and will begin higher.
    @discardableResult
    func keepPassedOver() -> Bool {
        do throws(EngineError) {
            try setSetting(Self.passedOverSetting, "\(table.passedOverGeneration)")
            try awaitDurable()
            return true
        } catch {
            table.passOverGenerations(
                upTo: table.passedOverGeneration &+ .random(in: 0..<Self.randomGenerations))
            return false
        }
    }
}
