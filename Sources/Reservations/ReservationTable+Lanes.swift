import Limits

extension ReservationTable {
    /// A lane for one more thread. Its clock starts at `now`.
    package func makeLane(now: Int64) throws(TableError) -> Lane {
        let index = Int(counter(.lanes).add(0, 1))
        guard index < capacity.lanes else { throw TableError.full("lanes") }
        let node = Int(counter(.tenantNodes).add(0, 1))
        let profileNode = Int(counter(.profileNodes).add(0, 1))
        return Lane(self, index: index, spareNode: node, spareProfileNode: profileNode, now: now)
    }
}
