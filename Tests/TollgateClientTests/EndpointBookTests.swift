import NIOCore
import Testing

@testable import TollgateClient

@Suite("Which endpoints a client avoids")
struct EndpointBookTests {
    private static func at(_ seconds: Double) -> NIODeadline {
        .uptimeNanoseconds(UInt64((100 + seconds) * 1e9))
    }

    private static func book(_ count: Int) -> EndpointBook {
        EndpointBook(count: count, first: .seconds(2), most: .seconds(20))
    }

    @Test func connectionsBeginWhereTheyPrefer() {
        let book = Self.book(3)
        for preferred in 0..<3 {
            #expect(book.pick(preferred: preferred, excluding: [], at: Self.at(0)) == preferred)
        }
        #expect(book.pick(preferred: 2, excluding: [2], at: Self.at(0)) == 0)
        #expect(book.pick(preferred: 0, excluding: [0, 1, 2], at: Self.at(0)) == nil)
    }

    @Test func theTimeGrowsAndIsBounded() {
        var book = Self.book(2)
        var now = 0.0
        for expected in [2.0, 4, 8, 16, 20, 20, 20] {
            book.failed(0, at: Self.at(now), jitter: 0)
            #expect(book.isAvoided(0, at: Self.at(now + expected - 0.001)))
            #expect(book.isAvoided(0, at: Self.at(now + expected)) == false)
            now += expected
        }
        book.answered(0)
        book.failed(0, at: Self.at(now), jitter: 0)
        #expect(book.isAvoided(0, at: Self.at(now + 2)) == false)
    }

    /// Many connections find out the same at once.
    @Test func failuresWhileItIsAvoidedDoNotCount() {
        var book = Self.book(2)
        for _ in 0..<10 { book.failed(0, at: Self.at(0), jitter: 0) }
        #expect(book.isAvoided(0, at: Self.at(1.9)))
        #expect(book.isAvoided(0, at: Self.at(2)) == false)
    }

    @Test func jitterTakesUpToAFifth() {
        var book = Self.book(2)
        book.failed(0, at: Self.at(0), jitter: 1)
        #expect(book.isAvoided(0, at: Self.at(1.59)))
        #expect(book.isAvoided(0, at: Self.at(1.6)) == false)
    }

    @Test func anAvoidedOneIsPassedOver() {
        var book = Self.book(3)
        book.failed(1, at: Self.at(0), jitter: 0)
        #expect(book.pick(preferred: 1, excluding: [], at: Self.at(1)) == 2)
        #expect(book.pick(preferred: 1, excluding: [2], at: Self.at(1)) == 0)
        #expect(book.pick(preferred: 1, excluding: [], at: Self.at(2)) == 1)
        #expect(book.hasBetter(than: 1, at: Self.at(1)))
    }

    /// Calls wait: somebody must be asked.
    @Test func whenAllAreAvoidedTheOneWhoseTimeEndsFirstIsTried() {
        var book = Self.book(3)
        for (endpoint, second) in [(1, 0.0), (0, 0.5), (2, 1.0)] {
            book.failed(endpoint, at: Self.at(second), jitter: 0)
        }
        #expect(book.pick(preferred: 0, excluding: [], at: Self.at(1)) == 1)
        #expect(book.pick(preferred: 0, excluding: [1], at: Self.at(1)) == 0)
        #expect(book.hasBetter(than: 1, at: Self.at(1)) == false)
    }

    @Test func oneEndpointIsAlwaysTried() {
        var book = Self.book(1)
        book.failed(0, at: Self.at(0), jitter: 0)
        #expect(book.pick(preferred: 0, excluding: [], at: Self.at(0)) == 0)
        #expect(book.hasBetter(than: 0, at: Self.at(0)) == false)
    }
}
