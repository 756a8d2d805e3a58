import GRDB
import Limits

// Usage by day and hour.
extension Projection {
    /// nil: there is no such tenant or profile.
    ///
    /// - Complexity: O(days or hours).
    package func series(_ query: SeriesQuery) async throws -> UsageSeries? {
        let known = knownTime
        return try await list { db in
            var subject = UsageLookup.Subject.everybody
            if let id = query.tenantID {
                guard let number = try Self.tenantNumber(id, db) else { return nil }
                subject = .tenant(number)
            }
            if let id = query.profileID {
                var tenant: Int64?
                if case .tenant(let number) = subject { tenant = number }
                guard let number = try Self.profileNumber(id, nil, of: tenant, db) else {
                    return nil
                }
                let owner = try Int64.fetchOne(
                    db, sql: "SELECT tenant FROM profile WHERE number = ?", arguments: [number])
                subject = .profile(number, of: owner ?? UsageKey.everybody)
            }
            var points = try UsageLookup(db).points(
                query.interval.table, of: subject, from: query.from, to: query.to,
                action: query.action.map { Int16($0.rawValue) })
            if let code = query.code {
                for index in points.indices {
                    let count = points[index].refusals[code] ?? 0
                    points[index].figures.setDenied(count)
                    points[index].refusals = count == 0 ? [:] : [code: count]
                }
            }
            return UsageSeries(points: points, basis: try ReportBasis(db, asOf: known))
        }
    }
}

extension UsageLookup {
    /// One point for each day or hour, those without any usage too.
    ///
    /// - Parameter action: nil: whatever it was for; else refusals are not told apart by code.
    func points(
        _ table: UsageSums.Table, of subject: Subject, from: Int64, to: Int64, action: Int16?
    ) throws -> [SeriesPoint] {
        let length = table == .hourly ? UsageKey.hourLength : ProfileState.dayLength
        let refusals =
            action == nil ? try refusals(table, of: subject, from: from, to: to) : [:]
        var found: [Int64: UsageFigures] = [:]
        for (start, actions) in try sums(table, of: subject, from: from, to: to) {
            var figures = UsageFigures()
            for (own, sum) in actions where action == nil || own == action {
                figures.add(sum, for: own)
            }
            found[start] = figures
        }
        return stride(from: from, to: to, by: Int(length)).map {
            SeriesPoint(
                start: $0, figures: found[$0] ?? UsageFigures(), refusals: refusals[$0] ?? [:])
        }
    }
}
