import Access
import Crypto
import Engine
import HTTPTypes
import Hummingbird
import Limits
import Synchronization

/// What all resources work with.
final class ControlPlaneContext: Sendable {
    let engine: Engine
    let lanes: LaneAccess
    let authority: TokenAuthority
    let projection: (any ReadModel)?
    /// Base64 of the key that webhooks are signed with.
    let publicKey: String
    let page: (any PageResponder)?
    let settings: RESTSettings
    let limiter: ConcurrencyLimiter
    let answers: StoredAnswers
    let requests = RequestCounts()
    /// Read, change and write of a setting of the service are one step under this.
    private let settingsLock = Mutex(())

    init(
        engine: Engine, lanes: LaneAccess, authority: TokenAuthority,
        projection: (any ReadModel)?, publicKey: String, answerKey: SymmetricKey,
        page: (any PageResponder)?, settings: RESTSettings
    ) {
        self.engine = engine
        self.lanes = lanes
        self.authority = authority
        self.projection = projection
        self.publicKey = publicKey
        self.page = page
        self.settings = settings
        limiter = ConcurrencyLimiter(maximum: settings.maximumRequests)
        answers = StoredAnswers(
            engine, key: answerKey, retention: settings.answerRetention,
            maximum: settings.maximumAnswers)
    }

    /// Engine time, Unix milliseconds.
    var now: Int64 { engine.clock.now }

    /// What a caller may see of its tenant.
    func disclosure(to caller: Caller) -> Disclosure {
        guard caller.isTenants else { return .full }
        // Of scope `tenant` it is for one.
        let tenant = caller.tenants?.first.flatMap { engine.tenant($0.text) }
        return tenant?.disclosesLimits == true ? .full : .profilesOnly
    }

    /// The read model; without a journal there is none.
    func readModel() throws(APIError) -> any ReadModel {
        if let projection { return projection }
        throw APIError(
            .unavailable,
            "Lists and logs need the journal, and this service runs without one (--durability memory)"
        )
    }

    /// Runs its argument while no other change of a setting is under way.
    func changingSettings<T: Sendable>(_ body: () throws -> T) throws -> T {
        try settingsLock.withLock { _ in try body() }
    }
}

extension APIError {
    /// A configuration change that the engine refused.
    init(_ error: EngineError) {
        switch error.code {
        case .notFound, .closed: self.init(.notFound, error.message)
        case .conflict: self.init(.conflict, error.message)
        case .full, .busy, .system: self.init(.unavailable, error.message)
        default: self.init(.badField, error.message)
        }
    }
}
