import Foundation
import GRDB
import Limits

// What a file holds, taken over into memory.
extension ProjectionWriter {
    /// Rows that are read in one go.
    private static let step = 5_000

    /// Takes everything over that the file holds, a step at a time: nobody else changes what is read.
    ///
    /// - Parameter goOn: throws if the service stops.
    /// - Complexity: O(rows of tenants and profiles).
    func load(_ file: any DatabaseReader, _ goOn: () throws -> Void) throws {
        try file.read { db in
            told = try HistoryWatermark.read(db)
            let position = try db.row(.position)
            time = position?.optional("time") ?? 0
            lastAudit = try db.value(.lastLine) ?? 0
            auditCount = position?.optional("lines") ?? -1
            eventCount = position?.optional("events") ?? -1
            for row in try db.rows(.loadSettings) {
                recipients.set(try row.value("name"), try row.value("value"))
            }
            for row in try db.rows(.loadJobs) {
                guard let kind = Job.Kind(rawValue: try row.value("kind")) else { continue }
                jobs.append(
                    Job(
                        kind: kind, subject: try row.value("subject"),
                        after: try row.value("after")))
            }
            for row in try db.rows(.loadGrowths) { try keepGrowth(row) }
            for row in try db.rows(.loadZones) {
                formerZones[try row.value("tenant"), default: []].append(
                    try FormerZone(row, &calendar))
            }
            for words in try db.values(.loadWaiting) as [Data] {
                guard words.count.isMultiple(of: 8) else { continue }
                let aligned = words.withUnsafeBytes { bytes in
                    (0..<bytes.count / 8).map {
                        bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)
                    }
                }
                guard aligned.count > 3 else { continue }
                aligned.withUnsafeBufferPointer(wait)
            }
        }
        if auditCount < 0 { auditCount = try count(.passLines, .countLines, file, goOn) }
        if eventCount < 0 { eventCount = try count(.passEvents, .countEvents, file, goOn) }
        try load(.loadTenants, file, goOn) { row, number in
            guard let state = TenantState(blob: try row.value("state")),
                fold.restore(state, tenant: number)
            else { throw ProjectionError(.unusable, "a tenant's row is invalid") }
        }
        try load(.loadProfiles, file, goOn) { row, number in
            guard let state = ProfileState(blob: try row.value("state")),
                fold.restore(
                    StateFold.Profile(state: state, tenant: try row.value("tenant")),
                    profile: number)
            else { throw ProjectionError(.unusable, "a messaging profile's row is invalid") }
        }
    }

    /// How many rows a table has, counted a step at a time.
    private func count(
        _ pass: StandingStatement, _ rest: StandingStatement, _ file: any DatabaseReader,
        _ goOn: () throws -> Void
    ) throws -> Int {
        var last = Int64.min
        var count = 0
        while true {
            try goOn()
            let next: Int64? = try file.read { try $0.value(pass, [last, Self.step - 1]) }
            guard let next else {
                return count + (try file.read { try $0.value(rest, [last]) ?? 0 })
            }
            last = next
            count += Self.step
        }
    }

    private func keepGrowth(_ row: Row) throws {
        let id = UInt64(bitPattern: try row.value("reservation") as Int64)
        let version = UInt64(bitPattern: try row.value("version") as Int64)
        var growth = Growth(quarter: try row.value("quarter"), version: version)
        for resource in Resource.catalogue {
            growth.amounts[resource.resource.index] = try row.value(resource.column)
        }
        growths[id, default: []].append(growth)
    }

    private func load(
        _ statement: StandingStatement, _ file: any DatabaseReader, _ goOn: () throws -> Void,
        _ restore: (Row, UInt32) throws -> Void
    ) throws {
        var last: Int64 = -1
        while true {
            try goOn()
            let rows = try file.read { try $0.rows(statement, [last, Self.step]) }
            for row in rows { try restore(row, try row.value("number")) }
            guard rows.count == Self.step, let end = rows.last else { return }
            last = try end.value("number")
        }
    }
}

extension FormerZone {
    init(_ row: Row, _ calendar: inout DayCalendar) throws {
        until = try row.value("until")
        day = try row.value("day")
        zone = calendar.zone(named: try row.value("name"))
    }
}
