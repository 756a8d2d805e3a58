import Glibc
import Limits
import Reservations
import Testing

@testable import Engine

@Suite struct AddressSpaceTests {
    @Test(arguments: [false, true]) func tooLittleIsASentence(hasJournal: Bool) throws {
        let capacity = TableCapacity()
        let needed = AddressSpace.bytes(capacity, hasJournal: hasJournal)
        try AddressSpace.check(capacity, hasJournal: hasJournal, limit: UInt64(needed))
        try AddressSpace.check(capacity, hasJournal: hasJournal, limit: .max)
        let error = #expect(throws: EngineError.self) {
            try AddressSpace.check(capacity, hasJournal: hasJournal, limit: UInt64(needed) - 1)
        }
        #expect(error?.message.contains("need \(needed)") == true)
    }

    /// What the system refuses is said in words: how much, why, and what to lower.
    @Test func aRefusalSaysWhatIsMissing() {
        let error = EngineError(TableError.cannotReserve(bytes: 123_456, errno: ENOMEM))
        for part in ["123456 bytes", "Cannot allocate memory", "--max-reservations"] {
            #expect(error.message.contains(part), "\(error.message)")
        }
    }
}
