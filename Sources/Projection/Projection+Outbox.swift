import Engine
package import Events
import Foundation
import GRDB

extension Projection {
    // Indices are named: left to itself SQLite reads all that is pending, and sorts it.

    /// The next place behind one, and when the first of its deliveries is due.
    static let nextPlace = """
        SELECT place, due FROM delivery INDEXED BY delivery_place
        WHERE status = 0 AND place > ? ORDER BY place, due LIMIT 1
        """

    package func places(
        due now: Int64, after place: DeliveryPlace?, limit: Int
    ) async throws -> (due: [DeliveryPlace], last: DeliveryPlace?) {
        // What a file that begins anew finds in the past is not sent before it is known who still wants it.
        guard isSending else { return ([], nil) }
        return try await read { db in
            let next = try db.cachedStatement(sql: Self.nextPlace)
            var due: [DeliveryPlace] = []
            var last = place?.name ?? ""
            for _ in 0..<limit {
                guard let row = try Row.fetchOne(next, arguments: [last]) else { return (due, nil) }
                last = try row.value("place")
                if try row.value("due") <= now { due.append(DeliveryPlace(name: last)) }
            }
            return (due, DeliveryPlace(name: last))
        }
    }

    /// What is due at a place, oldest first.
    static let dueAtPlace = """
        SELECT d.*, e.body FROM delivery d INDEXED BY delivery_place
        JOIN event e ON e.number = d.event
        WHERE d.status = 0 AND d.place = ? AND d.due <= ? ORDER BY d.due, d.id LIMIT ?
        """

    package func nextDelivery(
        at place: DeliveryPlace, due now: Int64, except underway: Set<Int64>
    ) async throws -> Delivery? {
        guard isSending else { return nil }
        return try await read { db in
            let rows = try Row.fetchCursor(
                try db.cachedStatement(sql: Self.dueAtPlace),
                arguments: [place.name, now, underway.count + 1])
            while let row = try rows.next() {
                let id: Int64 = try row.value("id")
                if underway.contains(id) { continue }
                return Delivery(
                    id: id, event: try EventRows.event(row), channel: try EventRows.channel(row),
                    attempts: try row.value("attempts"), begun: try row.value("begun"),
                    dueAt: try row.value("due"))
            }
            return nil
        }
    }

    static let dueAfter = """
        SELECT due FROM delivery INDEXED BY delivery_due
        WHERE status = 0 AND due > ? ORDER BY due LIMIT 1
        """

    package func nextDue(after now: Int64) async throws -> Int64? {
        try await read { try Int64.fetchOne($0, sql: Self.dueAfter, arguments: [now]) }
    }

    package func note(
        _ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome
    ) async throws {
        try await write { db in
            var status = DeliveryStatus.pending
            var due: Int64?
            var place: String?
            let isPending = try Bool.fetchOne(
                db, sql: "SELECT status = 0 FROM delivery WHERE id = ?", arguments: [delivery])
            switch outcome {
            // Nobody wants it any more.
            case .again where isPending == false: status = DeliveryStatus.failed
            case .delivered: status = DeliveryStatus.delivered
            case .again(let time, let next): (due, place) = (time, next.name)
            case .failed: status = DeliveryStatus.failed
            }
            try db.execute(
                sql: """
                    UPDATE delivery SET status = ?, due = ?, place = IFNULL(?, place),
                    attempts = attempts + 1, finished = ? WHERE id = ?
                    """,
                arguments: [status, due, place, due == nil ? attempt.finishedAt : nil, delivery])
            // The file may have been made anew since the delivery was taken from it.
            guard db.changesCount > 0 else { return }
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO attempt
                    (delivery, number, started, finished, target, status, error)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    delivery, attempt.number, attempt.startedAt, attempt.finishedAt,
                    attempt.target, attempt.status, attempt.error,
                ])
        }
    }

    /// Has a delivery tried again now, whatever became of it. nil: there is none with that id.
    package func resend(_ delivery: Int64) async throws -> DeliveryRow? {
        let now = clock.now
        let row = try await write { db -> DeliveryRow? in
            guard let row = try Self.deliveryRow(delivery, db) else { return nil }
            // Shared out where it went first, even if its next attempt is one on the failover address.
            try db.execute(
                sql: """
                    UPDATE delivery SET status = 0, begun = attempts, due = ?, place = ?,
                    finished = NULL WHERE id = ?
                    """, arguments: [now, DeliveryPlace(row.channel).name, delivery])
            return try Self.deliveryRow(delivery, db)
        }
        if row != nil { tellListeners() }
        return row
    }

    /// Has a message sent that no record asks for: a test. It is no event of any list.
    ///
    /// - Returns: the delivery's id.
    package func enqueue(_ event: Event, to channel: Delivery.Channel) async throws -> Int64 {
        let now = clock.now
        let id = try await write { db in
            _ = try EventRows.insert(event, isTest: true, db)
            return try EventRows.insertDelivery(of: event.id, to: channel, now: now, db)
        }
        tellListeners()
        return id
    }
}
