import Limits
import Testing

@Suite("Money: exact decimals")
struct MoneyTests {
    @Test(
        "A decimal text is parsed exactly",
        arguments: [
            ("0", 0), ("0.0", 0), ("0.000000000", 0), ("0.12", 120_000_000),
            ("1", 1_000_000_000), ("1.23", 1_230_000_000), ("10.00", 10_000_000_000),
            ("0.000000001", 1), ("0.100000000", 100_000_000), ("0.01", 10_000_000),
            ("500.00", 500_000_000_000), ("9223372036.854775807", Int64.max),
            ("9223372036", 9_223_372_036_000_000_000),
        ] as [(String, Int64)])
    func parsesExactly(_ text: String, _ nanos: Int64) throws {
        #expect(try Money.parse(text) == nanos)
        #expect(try Money.parse(Array(text.utf8)) == nanos)
        #expect(try Money.parse(text, allowsNegative: true) == nanos)
        #expect(try Money.parse("-" + text, allowsNegative: true) == -nanos)
    }

    @Test(
        "What is not exactly an amount is refused, with its reason",
        arguments: [
            ("", .empty), ("-", .notADecimal), (".", .notADecimal), (".5", .notADecimal),
            ("1.", .notADecimal), ("-.5", .notADecimal), ("+1", .notADecimal),
            (" 1", .notADecimal), ("1 ", .notADecimal), ("1\n", .notADecimal),
            ("1e3", .notADecimal), ("1E3", .notADecimal), ("1,5", .notADecimal),
            ("1.2.3", .notADecimal), ("1..2", .notADecimal), ("--1", .notADecimal),
            ("1-", .notADecimal), ("1_000", .notADecimal), ("0x10", .notADecimal),
            ("nan", .notADecimal), ("inf", .notADecimal), ("$1", .notADecimal),
            ("1\0", .notADecimal), ("\u{0661}", .notADecimal), ("1.\u{0661}", .notADecimal),
            ("00", .leadingZero), ("01", .leadingZero), ("007.50", .leadingZero),
            ("0.0000000001", .tooManyDecimals), ("1.0000000000", .tooManyDecimals),
            ("-1", .negative), ("-0", .negative), ("-0.00", .negative),
            ("9223372036.854775808", .overflow), ("9223372037", .overflow),
            ("9223372037.0", .overflow), ("92233720368", .overflow),
            ("18446744073.709551616", .overflow), ("10000000000000000000000000", .overflow),
        ] as [(String, MoneyError)])
    func refuses(_ text: String, _ reason: MoneyError) {
        #expect(throws: reason) { try Money.parse(text) }
    }

    @Test("Allowing negatives widens the sign and nothing else")
    func negatives() throws {
        #expect(try Money.parse("-0", allowsNegative: true) == 0)
        #expect(try Money.parse("-9223372036.854775808", allowsNegative: true) == Int64.min)
        #expect(throws: MoneyError.overflow) {
            try Money.parse("-9223372036.854775809", allowsNegative: true)
        }
        #expect(throws: MoneyError.overflow) {
            try Money.parse("9223372036.854775808", allowsNegative: true)
        }
        #expect(throws: MoneyError.leadingZero) {
            try Money.parse("-01", allowsNegative: true)
        }
    }

    @Test(
        "Written back with 2 to 9 decimals, zeros beyond two trimmed",
        arguments: [
            (0, "0.00"), (1, "0.000000001"), (10, "0.00000001"), (120_000_000, "0.12"),
            (100_000_000, "0.10"), (4_000_000, "0.004"), (1_000_000_000, "1.00"),
            (1_230_000_000, "1.23"), (10_020_000_000, "10.02"), (-1, "-0.000000001"),
            (-1_500_000_000, "-1.50"), (Int64.max, "9223372036.854775807"),
            (Int64.min, "-9223372036.854775808"),
        ] as [(Int64, String)])
    func writes(_ nanos: Int64, _ text: String) {
        #expect(Money.format(nanos) == text)
    }

    @Test("Written and read again, every amount is itself")
    func roundTrip() throws {
        var generator = SystemRandomNumberGenerator()
        var amounts: [Int64] = []
        for exponent in 0..<63 {
            for offset in -2...2 { amounts.append((1 << Int64(exponent)) + Int64(offset)) }
        }
        for bits in 1...64 {
            for _ in 0..<200 {
                let word = generator.next() as UInt64
                amounts.append(Int64(bitPattern: word) >> Int64(64 - bits))
            }
        }
        for nanos in amounts {
            let text = Money.format(nanos)
            #expect(try Money.parse(text, allowsNegative: true) == nanos, "\(text)")
            let decimals =
                text.utf8.count - (try #require(text.split(separator: ".").first)).utf8.count - 1
            #expect((2...9).contains(decimals), "\(text)")
            #expect(decimals == 2 || text.hasSuffix("0") == false, "\(text)")
        }
    }

    @Test("Every short text over the alphabet parses exactly when the grammar says so")
    func exhaustiveShortTexts() {
        let alphabet: [UInt8] = Array("019.-+ e".utf8)
        let grammar = /-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?/
        var texts: [[UInt8]] = [[]]
        for _ in 0..<5 {
            texts = texts.flatMap { head in alphabet.map { head + [$0] } }
            for text in texts {
                let matches = String(decoding: text, as: UTF8.self).wholeMatch(of: grammar) != nil
                #expect(((try? Money.parse(text, allowsNegative: true)) != nil) == matches)
            }
        }
    }

    @Test("Every reason is a sentence")
    func sentences() {
        for error in MoneyError.allCases {
            #expect(error.description.hasPrefix("The amount "))
        }
    }
}
