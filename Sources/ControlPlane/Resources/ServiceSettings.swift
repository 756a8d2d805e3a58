import Access
import Engine
import Events
import HTTPTypes
import Hummingbird
import JSON

/// A resource of the whole service that is kept as a setting in the journal.
protocol KeptResource: Codable, Sendable {
    static var settingPrefix: String { get }
    /// For people: "webhook endpoint".
    static var title: String { get }
    var id: String { get }
    /// Unix milliseconds.
    var createdAt: Int64 { get }
    var updatedAt: Int64 { get set }
    var json: JSON { get }
    /// With what only its creation shows.
    var newJSON: JSON { get }
}

extension KeptResource {
    var newJSON: JSON { json }
}

/// The five methods of such a resource.
struct ServiceSettings<Resource: KeptResource>: Sendable {
    let core: ControlPlaneContext
    let maximum: Int
    /// Takes over the members of a body that are there.
    let read: @Sendable (BodyReader, inout Resource) -> Void
    /// - Parameters: id, and the instant of creation in Unix milliseconds.
    let make: @Sendable (BodyReader, String, Int64) -> Resource

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let page = reader.page()
        try reader.finish()
        return .page(all: try all(), page) { $0.json }
    }

    func create(_ exchange: Exchange) async throws -> Reply {
        try core.changingSettings {
            let body = try exchange.bodyReader()
            var resource = make(body, exchange.newID(), core.now)
            read(body, &resource)
            body.finish()
            try body.findings.check()
            if let (present, tag) = try present(resource.id) {
                if exchange.hasMade(createdAt: present.createdAt) {
                    return .data(present.newJSON, tag: tag)
                }
                throw APIError(
                    .duplicate, Tokens.madeBefore, at: .parameter("Idempotency-Key"))
            }
            guard try all().count < maximum else {
                throw APIError(
                    .unprocessable, "At most \(maximum) \(Resource.title)s are allowed")
            }
            return .data(resource.newJSON, tag: try keep(resource, exchange))
        }
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        let (resource, tag) = try find(exchange.id)
        return reply(resource, tag: tag)
    }

    func update(_ exchange: Exchange) async throws -> Reply {
        try core.changingSettings {
            var (resource, tag) = try find(exchange.id)
            try exchange.checkIfMatch(tag)
            let body = try exchange.bodyReader()
            read(body, &resource)
            body.finish()
            try body.findings.check()
            resource.updatedAt = core.now
            tag = try keep(resource, exchange)
            return reply(resource, tag: tag)
        }
    }

    func delete(_ exchange: Exchange) async throws -> Reply {
        try core.changingSettings {
            let (resource, tag) = try find(exchange.id)
            try exchange.checkIfMatch(tag)
            try core.engine.setSetting(
                Resource.settingPrefix + resource.id, "", by: exchange.requester)
            return .data(resource.json)
        }
    }

    /// Changes a resource by an action without a body, and shows it as new.
    ///
    /// - Parameter isDone: the first attempt has changed it: it is shown as it is.
    func change(
        _ exchange: Exchange, unless isDone: (Resource) -> Bool, _ body: (inout Resource) -> Void
    ) throws -> Reply {
        try core.changingSettings {
            var (resource, tag) = try find(exchange.id)
            // Before its tag is compared, which the first attempt has changed too.
            if isDone(resource) { return .data(resource.newJSON, tag: tag) }
            try exchange.checkIfMatch(tag)
            body(&resource)
            resource.updatedAt = core.now
            tag = try keep(resource, exchange)
            return .data(resource.newJSON, tag: tag)
        }
    }

    // MARK: Parts

    /// Oldest first.
    private func all() throws -> [Resource] {
        try core.engine.settings(prefix: Resource.settingPrefix).values
            .map { try SettingValue.decode(Resource.self, $0) }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    func find(_ id: String) throws -> (resource: Resource, tag: String) {
        if let present = try present(id) { return present }
        throw APIError(.notFound, "No such \(Resource.title)")
    }

    private func present(_ id: String) throws -> (resource: Resource, tag: String)? {
        guard id.utf8.count <= 40, let value = core.engine.setting(Resource.settingPrefix + id)
        else { return nil }
        return (try SettingValue.decode(Resource.self, value), Tag.of(value))
    }

    private func keep(_ resource: Resource, _ exchange: Exchange) throws -> String {
        let value = try SettingValue.encode(resource)
        try core.engine.setSetting(
            Resource.settingPrefix + resource.id, value, by: exchange.requester)
        return Tag.of(value)
    }

    private func reply(_ resource: Resource, tag: String) -> Reply {
        .data(resource.json, tag: tag)
    }
}

extension BodyReader {
    /// `event_types`: kinds of events; empty: all.
    func eventTypes(or present: [Event.Kind]) -> [Event.Kind] {
        let names = Event.Kind.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        return list(
            "event_types", atMost: Event.Kind.allCases.count, "one of \(names)",
            { Event.Kind(rawValue: $0) }
        ).value ?? present
    }
}
