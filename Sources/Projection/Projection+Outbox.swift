import Engine
package import Events
import Foundation
import GRDB

extension Projection {
    package func due(
        now: Int64, limit: Int, except underway: Set<Int64>
    ) async throws -> [Delivery] {
        try await read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT d.*, e.body FROM delivery d JOIN event e ON e.number = d.event
                    WHERE d.status = 0 AND d.due <= ? ORDER BY d.due, d.id LIMIT ?
                    """, arguments: [now, limit + underway.count])
            return try rows.filter { !underway.contains(try $0.value("id")) }.prefix(limit).map {
                Delivery(
                    id: try $0.value("id"), event: try EventRows.event($0),
                    channel: try EventRows.channel($0), attempts: try $0.value("attempts"),
                    dueAt: try $0.value("due"))
            }
        }
    }

    package func nextDue(except underway: Set<Int64>) async throws -> Int64? {
        try await read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT id, due FROM delivery WHERE status = 0 ORDER BY due LIMIT ?",
                arguments: [underway.count + 1])
            return try rows.first { !underway.contains(try $0.value("id")) }?.value("due")
        }
    }

    package func note(
        _ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome
    ) async throws {
        try await write { db in
            var status = DeliveryStatus.pending
            var due: Int64?
            switch outcome {
            case .delivered: status = DeliveryStatus.delivered
            case .again(let time): due = time
            case .failed: status = DeliveryStatus.failed
            }
            try db.execute(
                sql: """
                    UPDATE delivery SET status = ?, due = ?, attempts = attempts + 1, finished = ?
                    WHERE id = ?
                    """,
                arguments: [status, due, due == nil ? attempt.finishedAt : nil, delivery])
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
            try db.execute(
                sql: "UPDATE delivery SET status = 0, due = ?, finished = NULL WHERE id = ?",
                arguments: [now, delivery])
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
