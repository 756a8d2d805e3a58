import Events
import Foundation
import GRDB
import JSON

/// Rows of events, deliveries and attempts.
enum EventRows {
    /// Writes an event down. False: it is there already.
    static func insert(_ event: Event, isTest: Bool, _ db: Database) throws -> Bool {
        try db.run(
            .writeEvent,
            [
                event.occurredAt * 1_000, event.id, event.kind.rawValue, event.tenantID,
                event.occurredAt, Data(try JSON(encoding: event).encoded), isTest,
            ])
        return db.changesCount > 0
    }

    /// Writes a delivery down that is due at once. Returns its id, which no delivery had, even in an earlier file.
    ///
    /// - Parameters:
    ///   - recipient: the setting that it is for; empty: none.
    ///   - transition: the number of the first event of the same transition; 0: it is alone.
    static func insertDelivery(
        of eventID: String, to channel: Delivery.Channel, recipient: String = "",
        transition: Int64 = 0, now: Int64, _ db: Database
    ) throws -> Int64 {
        let (isWebhook, target, failover) = columns(channel)
        try db.run(
            .writeDelivery,
            [
                now * 1_000, eventID, isWebhook, target, failover, DeliveryPlace(channel).name,
                recipient, transition, now, now,
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
        try JSONParser.parse(Array(try row.value("body") as Data)).decoded(as: Event.self)
    }

    static func channel(_ row: Row) throws -> Delivery.Channel {
        try row.value("webhook")
            ? .webhook(url: row.value("target"), failoverURL: row.value("failover"))
            : .email(address: row.value("target"))
    }
}
