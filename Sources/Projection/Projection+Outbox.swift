import Engine
package import Events
import Foundation
import GRDB

extension Projection {
    package func places(
        due now: Int64, after place: DeliveryPlace?, limit: Int
    ) async throws -> (due: [DeliveryPlace], last: DeliveryPlace?) {
        // What a file that begins anew finds in the past is not sent before it is known who still wants it.
        guard isSending else { return ([], nil) }
        return try await read { db in
            var due: [DeliveryPlace] = []
            var last = place?.name ?? ""
            for _ in 0..<limit {
                guard let row = try db.row(.nextPlace, [last]) else { return (due, nil) }
                last = try row.value("place")
                if try row.value("due") <= now { due.append(DeliveryPlace(name: last)) }
            }
            return (due, DeliveryPlace(name: last))
        }
    }

    /// Addresses that are looked at with one question.
    private static let endpointsOfAQuestion = 64

    package func nextDelivery(
        at place: DeliveryPlace, due now: Int64, after endpoint: String,
        except underway: [String: Set<Int64>], bound: Int
    ) async throws -> NextDelivery {
        guard isSending else { return .none }
        return try await read { db in
            var last = endpoint
            for _ in 0..<Self.endpointsOfAQuestion {
                guard let next: String = try db.value(.nextEndpoint, [place.name, last]) else {
                    return .none
                }
                last = next
                let taken = underway[next] ?? []
                if taken.count >= bound { continue }
                let rows = try db.rows(.dueAtEndpoint, [place.name, next, now, taken.count + 1])
                for row in rows {
                    let id: Int64 = try row.value("id")
                    if taken.contains(id) { continue }
                    let recipient: String = try row.value("recipient")
                    let isMoving: Bool? = try db.value(
                        .hasJob, [Job.Kind.redirect.rawValue, recipient])
                    if isMoving != nil { continue }
                    return .found(try Self.delivery(row))
                }
            }
            return .goOn(after: last)
        }
    }

    private static func delivery(_ row: Row) throws -> Delivery {
        var delivery = Delivery(
            id: try row.value("id"), event: try EventRows.event(row),
            channel: try EventRows.channel(row), attempts: try row.value("attempts"),
            begun: try row.value("begun"), dueAt: try row.value("due"))
        delivery.transition = try row.value("transition")
        delivery.recipient = try row.value("recipient")
        return delivery
    }

    package func reason(of error: any Error) -> String { ProjectionError.reason(of: error) }

    package func nextDue(after now: Int64) async throws -> Int64? {
        try await read { try $0.value(.dueAfter, [now]) }
    }

    /// Deliveries that are looked at to know how many wait.
    package static let mostPending = 10_000

    /// How many deliveries wait, of the first `mostPending` by the time at which they fall due; and when the oldest of them
    /// was created, Unix milliseconds.
    ///
    /// - Complexity: O(`mostPending`)
    package func pendingDeliveries() async throws -> (count: Int, oldest: Int64?) {
        try await read { db in
            let created: [Int64] = try db.values(.pendingDeliveries, [-1, Self.mostPending])
            return (created.count, created.min())
        }
    }

    package func note(
        _ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome
    ) async throws {
        try await write { db in
            var status = DeliveryStatus.pending
            var due: Int64?
            var place: String?
            let isPending: Bool? = try db.value(.isPending, [delivery])
            switch outcome {
            // Nobody wants it any more.
            case .again where isPending == false: status = DeliveryStatus.failed
            case .delivered: status = DeliveryStatus.delivered
            case .again(let time, let next): (due, place) = (time, next.name)
            case .failed: status = DeliveryStatus.failed
            }
            try db.run(
                .noteOutcome,
                [status, due, place, due == nil ? attempt.finishedAt : nil, delivery])
            // The file may have been made anew since the delivery was taken from it.
            guard db.changesCount > 0 else { return }
            try db.run(
                .noteAttempt,
                [
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
    /// - Parameter recipient: the setting that it is for; empty: none.
    /// - Returns: the delivery's id.
    package func enqueue(
        _ event: Event, to channel: Delivery.Channel, recipient: String = ""
    ) async throws -> Int64 {
        let now = clock.now
        let id = try await write { db in
            _ = try EventRows.insert(event, isTest: true, db)
            return try EventRows.insertDelivery(
                of: event.id, to: channel, recipient: recipient, now: now, db)
        }
        tellListeners()
        return id
    }
}
