import BillingCalendar
import Limits

extension NaiveModel {
    /// The real calendar, asked anew for every window.
    package static let billingCalendar: Calendar = { span, zone, instant, previousEnd in
        do {
            let window =
                switch span {
                case .day:
                    try DaySchedule(timeZone: zone, around: instant, before: 3, after: 3)
                        .window(containing: instant, notBefore: previousEnd)
                case .cycle(let day):
                    try BillingSchedule(cycleDay: Int(day), timeZone: zone, around: instant)
                        .window(containing: instant, notBefore: previousEnd)
                }
            guard let window else { preconditionFailure("no window around \(instant)") }
            return window
        } catch {
            preconditionFailure("\(error)")
        }
    }
}
