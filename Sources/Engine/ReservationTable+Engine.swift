import Limits
import Reservations

extension ReservationTable {
    /// A table, and the lane of the configuration: it makes no reservations, so it keeps no time.
    static func withConfigurationLane(
        _ capacity: TableCapacity, _ schedules: Schedules, _ secret: HashSecret, now: Int64
    ) throws(EngineError) -> (ReservationTable, Lane) {
        do throws(TableError) {
            let table = try ReservationTable(
                capacity: capacity, schedules: schedules, secret: secret)
            let lane = try table.makeLane(now: now)
            lane.retire()
            return (table, lane)
        } catch {
            throw EngineError(error)
        }
    }
}
