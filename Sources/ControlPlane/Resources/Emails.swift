import Access
import Events
import HTTPTypes
import Hummingbird
import JSON

extension EmailRecipient: KeptResource {
    static var title: String { "e-mail recipient" }

    var json: JSON {
        [
            "record_type": "email_recipient", "id": .string(id), "address": .string(address),
            "name": .string(name), "enabled": .bool(enabled),
            "event_types": .array(eventTypes.map { .string($0.rawValue) }),
            "created_at": Instant.json(createdAt), "updated_at": Instant.json(updatedAt),
        ]
    }
}

/// `/v2/email_recipients`
struct Emails: Sendable {
    let core: ControlPlaneContext

    private var settings: ServiceSettings<EmailRecipient> {
        ServiceSettings(
            core: core, maximum: core.settings.maximumEmailRecipients,
            read: { body, recipient in
                recipient.address = Self.address(body, or: recipient.address)
                recipient.name = body.text("name", bytes: 0...256).value ?? recipient.name
                recipient.enabled = body.flag("enabled").value ?? recipient.enabled
                recipient.eventTypes = body.eventTypes(or: recipient.eventTypes)
            },
            make: { body, id, now in
                body.require("address")
                return EmailRecipient(id: id, address: "", createdAt: now, updatedAt: now)
            })
    }

    /// What is there already, where it is absent, or wrong and noted.
    private static func address(_ body: BodyReader, or present: String = "") -> String {
        switch body.text("address", bytes: 3...254, nullable: true) {
        case .absent: return present
        case .null:
            // A creation has noted it.
            if !present.isEmpty { body.note(.missingField, "address", "The address is required") }
            return present
        case .value(let address):
            guard let fault = fault(of: address) else { return address }
            body.note(.badField, "address", fault)
            return present
        }
    }

    /// Bytes of an address' parts (RFC 5321 §4.5.3.1).
    private static let localLengths = 1...64
    private static let domainLengths = 1...253

    /// What is wrong with a mail address (the plain form of RFC 5321, without quotes and comments); nil: nothing.
    static func fault(of address: String) -> String? {
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        let letters = Set("!#$%&'*+-/=?^_`{|}~.".utf8)
        func isLetter(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard parts.count == 2, localLengths.contains(parts[0].utf8.count),
            domainLengths.contains(parts[1].utf8.count),
            parts[0].utf8.allSatisfy({ isLetter($0) || letters.contains($0) }),
            !parts[0].hasPrefix("."), !parts[0].hasSuffix("."), !parts[0].contains(".."),
            parts[1].split(separator: ".", omittingEmptySubsequences: false).allSatisfy({ label in
                (1...63).contains(label.utf8.count) && !label.hasPrefix("-")
                    && !label.hasSuffix("-")
                    && label.utf8.allSatisfy { isLetter($0) || $0 == UInt8(ascii: "-") }
            })
        else { return "Must be an e-mail address like ops@example.com" }
        return nil
    }

    var routes: [Route] {
        let settings = settings
        let collection = "/v2/email_recipients"
        return [
            Route(.get, collection, .readRecipients, Operations.listEmails, settings.list),
            Route(.post, collection, .administer, Operations.createEmail, settings.create),
            Route(.get, collection + "/{id}", .readRecipients, Operations.getEmail, settings.get),
            Route(
                .patch, collection + "/{id}", .administer, Operations.updateEmail, settings.update),
            Route(
                .delete, collection + "/{id}", .administer, Operations.deleteEmail,
                settings.delete),
            Route(
                .post, collection + "/{id}/actions/test", .administer, Operations.testEmail
            ) { exchange in
                let (recipient, _) = try settings.find(exchange.id)
                return try await Deliveries(core: core).test(
                    exchange, to: .email(address: recipient.address))
            },
            Route(
                .post, collection + "/actions/test", .administer, Operations.testAddress
            ) { exchange in
                let body = try exchange.bodyReader()
                body.require("address")
                let address = Self.address(body)
                body.finish()
                try body.findings.check()
                return try await Deliveries(core: core).test(
                    exchange, to: .email(address: address))
            },
        ]
    }
}
