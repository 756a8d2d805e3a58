import Limits
import Projection

/// A chart of days: bars with an axis, as numbers for an SVG.
struct DailyChart: Sendable {
    enum Subject: Hashable, CaseIterable {
        /// What adds up.
        case usage(Resource)
        case decisions

        static let allCases: [Subject] =
            Resource.accumulating.map { .usage($0.resource) }
            + [.decisions]

        /// The first where there is none of that name.
        init(named name: String) {
            self = Self.allCases.first { $0.name == name } ?? Self.allCases[0]
        }

        var title: String {
            switch self {
            case .usage(let resource): resource.row.title
            case .decisions: "Decisions"
            }
        }

        /// In the page's address.
        var name: String { title.lowercased() }

        fileprivate var isMoney: Bool {
            if case .usage(let resource) = self { resource.unit == .amount } else { false }
        }
    }

    private static let size = (width: 1_100.0, height: 220.0)
    private static let plot = (left: 64.0, right: 1_092.0, top: 14.0, bottom: 190.0)

    private struct Day {
        var day: Int64
        var value: Double
        /// On top of it.
        var second: Double
        var text: String
    }

    private let subject: Subject
    private let days: [Day]
    private let top: Double

    /// - Parameter rows: one for each day, oldest first.
    init(_ rows: [DailyUsageRow], _ subject: Subject) {
        self.subject = subject
        days = rows.map { row in
            switch subject {
            case .usage(let resource):
                let amount = row.committed[resource]
                return Day(
                    day: row.day, value: Double(amount) / Self.scale(resource), second: 0,
                    text: Texts.counted(amount, of: resource))
            case .decisions:
                return Day(
                    day: row.day, value: Double(row.allowed), second: Double(row.denied),
                    text: "\(Texts.count(row.allowed)) allowed, \(Texts.count(row.denied)) denied")
            }
        }
        top = Self.rounded(days.map { $0.value + $0.second }.max() ?? 0, whole: !subject.isMoney)
    }

    /// Units of a resource in one of the axis: dollars, pieces, minutes.
    private static func scale(_ resource: Resource) -> Double {
        switch resource.unit {
        case .amount: 1e9
        case .count: 1
        case .seconds: 60
        }
    }

    /// The next of 1, 2 and 5 times a power of ten.
    private static func rounded(_ value: Double, whole: Bool) -> Double {
        var power = whole ? 1.0 : 0.01
        while power < 1e18 {
            for factor in [1.0, 2, 5] where factor * power >= value && factor * power > 0 {
                return max(factor * power, whole ? 2 : 0.02)
            }
            power *= 10
        }
        return power
    }

    private func label(_ value: Double) -> String {
        guard subject.isMoney else { return Texts.count(Int64(value)) }
        let cents = Int64(value * 100)
        return cents % 100 == 0
            ? "$" + Texts.count(cents / 100) : Texts.money(cents * 10_000_000)
    }

    private func y(_ value: Double) -> Double {
        Self.plot.bottom - (Self.plot.bottom - Self.plot.top) * value / top
    }

    var fields: Fields {
        let plot = Self.plot
        let step = (plot.right - plot.left) / Double(max(1, days.count))
        let grid = [0, top / 2, top].map { value -> Fields in
            [
                "left": number(plot.left), "right": number(plot.right), "y": number(y(value)),
                "textY": number(y(value) + 4), "labelX": number(plot.left - 8),
                "label": label(value),
            ]
        }
        let bars = days.enumerated().map { index, day -> Fields in
            let height = plot.bottom - y(day.value)
            let second = y(day.value) - y(day.value + day.second)
            return [
                "text": "\(Texts.day(day.day)): \(day.text)",
                "x": number(plot.left + step * Double(index) + step * 0.15),
                "width": number(step * 0.7), "top": number(plot.top),
                "full": number(plot.bottom - plot.top), "y": number(y(day.value)),
                "height": number(max(height, day.value > 0 ? 1.5 : 0)), "second": day.second > 0,
                "y2": number(y(day.value + day.second)),
                "height2": number(max(second, day.second > 0 ? 1.5 : 0)),
            ]
        }
        let labels = days.enumerated().filter { (days.count - 1 - $0.offset) % 5 == 0 }.map {
            index, day -> Fields in
            [
                "x": number(plot.left + step * (Double(index) + 0.5)),
                "y": number(plot.bottom + 20),
                "label": String(Texts.day(day.day).dropFirst(5)),
            ]
        }
        return [
            "width": number(Self.size.width), "height": number(Self.size.height),
            "title": "\(subject.title) by day", "text": summary, "grid": grid, "bars": bars,
            "labels": labels, "legend": subject == .decisions,
        ]
    }

    private var summary: String {
        guard let first = days.first, let last = days.last,
            let most = days.max(by: { $0.value + $0.second < $1.value + $1.second }),
            most.value + most.second > 0
        else { return "No usage on these days." }
        return
            "\(Texts.day(first.day)) to \(Texts.day(last.day)); highest on \(Texts.day(most.day)): \(most.text)."
    }

    private func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
