import ArgumentParser
import JSON
import Limits
import Testing

@testable import tollgate

/// Options of the command line that rows of the catalogues stand for.
@Suite struct CatalogueOptionsTests {
    @Test func eachResourceHasItsOption() throws {
        for row in Resource.catalogue {
            let text = row.unit == .amount ? "0.000000007" : "7"
            let options = try QuantityOptions<Asked>.parse(["--\(row.option)", text])
            #expect(try options.quantities().text == row.resource.text(7))
        }
        let options = try QuantityOptions<Asked>.parse(["--seconds", "-5", "--spend=-1.5"])
        #expect(try options.quantities().text == "-1.50 USD, -5 s")
        #expect(throws: (any Error).self) { try QuantityOptions<Asked>.parse(["--dids", "x"]) }
        #expect(throws: (any Error).self) { try QuantityOptions<Asked>.parse(["--dids"]) }
        #expect(throws: (any Error).self) { try QuantityOptions<Asked>.parse(["--minutes", "1"]) }
        let none = try QuantityOptions<Asked>.parse([])
        #expect(try none.quantities().isEmpty)
        #expect {
            try none.someQuantities()
        } throws: {
            "\($0)".contains(
                "Give an amount: \(Resource.catalogue.map { "--\($0.option)" }.listed("or")).")
        }
    }

    @Test func eachCapHasItsOption() throws {
        typealias Flags = CatalogueOptions<LimitFlags>
        for cap in CapSetting.all {
            let option = cap.name.replacing("_", with: "-")
            let members = try Flags.parse(["--\(option)", "7"]).members()
            #expect(members.map(\.0) == [cap.name])
            #expect(members[0].1 == (cap.unit == .amount ? .string("7.00") : .integer(7)))
            #expect(try Flags.parse(["--\(option)", "none"]).members()[0].1.isNull)
            let wrong = try Flags.parse(["--\(option)", "x"])
            #expect {
                try wrong.members()
            } throws: {
                "\($0)".contains("--\(option) must be")
            }
        }
        let flags = try Flags.parse(["--alert-threshold", "70", "--max-dids", "3"])
        #expect(try flags.members().map(\.0) == ["max_dids", "alert_threshold"])
        let profile = try CatalogueOptions<ProfileFlags>.parse([
            "--daily-spend-limit", "2", "--no-daily-spend-limit-enabled",
        ])
        #expect(
            try profile.members().map(\.0) == ["daily_spend_limit", "daily_spend_limit_enabled"])
    }
}
