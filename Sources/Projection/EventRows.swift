import Events
import Foundation
import GRDB

/// Rows of events, deliveries and attempts.
enum EventRows {
    /// Writes an event down. False: it is there already.
    static func insert(_ event: Event, isTest: Bool, _ db: Database) throws -> Bool {
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO event (number, id, kind, tenant, time, body, test)
                VALUES (MAX(IFNULL((SELECT MAX(number) FROM event), 0) + 1, ?), ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO NOTHING
                """)
        try statement.execute(arguments: [
            event.occurredAt * 1_000, event.id, event.kind.rawValue, event.tenantID,
            event.occurredAt, try JSONEncoder().encode(event), isTest,
        ])
        return db.changesCount > 0
    }

    /// Writes a delivery down that is due at once. Returns its id, which no delivery had, even in an earlier file.
    ///
    /// - Parameter recipient: the setting that it is for; empty: none.
    static func insertDelivery(
        of eventID: String, to channel: Delivery.Channel, recipient: String = "", now: Int64,
        _ db: Database
    ) throws -> Int64 {
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO delivery
                (id, event, webhook, target, failover, place, recipient, status, attempts, due,
                created)
                VALUES (MAX(IFNULL((SELECT MAX(id) FROM delivery), 0) + 1, ?),
                (SELECT number FROM event WHERE id = ?), ?, ?, ?, ?, ?, 0, 0, ?, ?)
                """)
        let (isWebhook, target, failover) = columns(channel)
        try statement.execute(arguments: [
            now * 1_000, eventID, isWebhook, target, failover, DeliveryPlace(channel).name,
            recipient, now, now,
        ])
        return db.lastInsertedRowID
    }

    static func columns(
        _ channel: Delivery.Channel
    ) -> (isWebhook: Bool, target: String, failover: String) {
        switch channel {
        case .webhook(let url, let failoverURL): (true, url, failoverURL)
        case .email(let address): (false, address, "")
        }
    }

    static func event(_ row: Row) throws -> Event {
        try JSONDecoder().decode(Event.self, from: try row.value("body") as Data)
    }

    static func channel(_ row: Row) throws -> Delivery.Channel {
        try row.value("webhook")
            ? .webhook(url: row.value("target"), failoverURL: row.value("failover"))
            : .email(address: row.value("target"))
    }
}
