package import Limits

/// What a listing needs to know of an open hold to choose and order it.
package struct OpenHoldKey: Sendable, BitwiseCopyable {
    package let id: UInt64
    /// Unix milliseconds.
    package let createdAt: Int64
    /// The numbers of its tenant and messaging profile; no profile: -1.
    package let tenant: Int32
    package let profile: Int32
}

// Reading the live table without stopping anybody: a slot's words are good if its state, which carries generation and
// sequence, is the same before and after they were read. A slot begins another life with its state, and names another
// body by its state, before anything else of it changes.
extension ReservationTable {
    /// Slots from this one on have never been used.
    package var usedSlots: Int { min(Int(counter(.slots)[0]), slots.capacity) }

    /// The tenants and profiles that an index below may name: numbers below these.
    package var tenantNumbers: Int { min(tenantCount, capacity.tenants) }
    package var profileNumbers: Int { min(Int(counter(.profiles)[0]), capacity.profiles) }

    /// Hands over the open holds in a stretch of the slots, as they stand at some instant of the call each.
    ///
    /// Thread safety: any thread, while everybody works.
    /// - Complexity: O(stretch)
    package func forEachOpenHold(in stretch: Range<Int>, _ body: (OpenHoldKey) -> Void) {
        for slot in stretch.clamped(to: 0..<usedSlots) {
            let words = slots[slot]
            while true {
                let word = SlotWord(word: words[Slot.state])
                guard word.phase == .held, words[Slot.published] == word.generation &<< 1 | 1 else {
                    break
                }
                let subjects = words[Slot.subjects]
                let createdAt = words.signed(Slot.createdAt)
                guard words[Slot.state] == word.word else { continue }
                body(
                    OpenHoldKey(
                        id: ReservationID(slot: slot, generation: word.generation).raw,
                        createdAt: createdAt,
                        tenant: Int32(truncatingIfNeeded: subjects & 0xffff_ffff),
                        profile: Int32(truncatingIfNeeded: Int(subjects &>> 32) &- 1)))
                break
            }
        }
    }

    /// The number of a tenant or a messaging profile; nil: there is none with this id.
    package func number(ofTenant id: String) -> Int? {
        id.withBorrowedBytes { tenants.find($0, hash: secret.directoryHash($0)) }
    }

    package func number(ofProfile id: String) -> Int? {
        id.withBorrowedBytes { profiles.find($0, hash: secret.directoryHash($0)) }
    }
}

extension Lane {
    /// The tenant of a reservation that is open or remembered: its id, which stays where it is as long as the table
    /// lives. nil: there is no such reservation.
    ///
    /// A reservation's tenant never changes, so that what is decided on the strength of it stays true.
    package func tenantID(ofReservation raw: UInt64) -> BorrowedBytes? {
        let id = ReservationID(raw: raw)
        guard id.slot >= 0, id.slot < table.slots.capacity, id.generation != 0 else { return nil }
        let words = table.slots[id.slot]
        let subjects = words[Slot.subjects]
        let tenant = Int(truncatingIfNeeded: subjects & 0xffff_ffff)
        // Its life may have ended, and another begun, while it was read.
        guard words[Slot.published] == id.generation &<< 1 | 1, words[Slot.subjects] == subjects,
            SlotWord(word: words[Slot.state]).generation == id.generation,
            tenant < table.tenantNumbers
        else { return nil }
        return CellID.bytes(table.tenantCells[tenant].advanced(CellID.firstWord), table.longIDs)
    }

    /// An open hold, in one instant; nil: it is not open.
    package func openHold(_ raw: UInt64) throws(TableError) -> OpenHold? {
        guard canRead else { throw TableError.busy }
        guard let open = openReservation(raw), open.word.phase == .held else { return nil }
        let ids = reservationSubjects
        let subjects = own.pointee.subjects
        return OpenHold(
            hold: own.pointee.hold, tenantID: ids.tenantID, profileID: ids.profileID,
            profileKind: subjects.hasProfile ? subjects.profile.kind : nil)
    }
}

/// An open hold and whose it is. The ids stay where they are as long as the table lives.
package struct OpenHold {
    package var hold: HoldState
    package var tenantID: BorrowedBytes
    /// Empty: no profile.
    package var profileID: BorrowedBytes
    /// nil: no profile.
    package var profileKind: ProfileKind?
}

extension Failure {
    /// What a reservation that does not exist is answered, and one that is not for the caller.
    package static var noSuchReservation: Failure { unknownReservation }
}
