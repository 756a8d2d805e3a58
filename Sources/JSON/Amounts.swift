package import Limits
package import Notation

extension Resource {
    /// An amount: money as a decimal text, counts and seconds as numbers.
    package func json(_ amount: Int64) -> JSON {
        unit == .amount ? .string(Money.format(amount)) : .integer(amount)
    }
}

extension SettingField.Value {
    /// As the REST API has it.
    package var json: JSON {
        switch self {
        case .none: .null
        case .text(let text): .string(text)
        case .amount: .string(text)
        case .whole(let number): .integer(number)
        case .wholes(let numbers): .array(numbers.map { .integer($0) })
        case .flag(let flag): .bool(flag)
        }
    }
}

extension Instant {
    /// To the millisecond; null where there is no such instant.
    package static func json(_ milliseconds: Int64) -> JSON {
        milliseconds == 0 ? .null : .string(text(milliseconds))
    }
}
