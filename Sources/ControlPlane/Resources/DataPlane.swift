import Access
import Engine
import HTTPTypes
import Hummingbird
import JSON
import Limits

/// The data plane as JSON, beside gRPC: the same commands, the same answers, one space of idempotency keys.
struct DataPlane: Sendable {
    let core: ControlPlaneContext

    static let actions: KeyValuePairs<String, Action> = [
        "send_message": .sendMessage, "provision_extension": .provisionExtension,
        "assign_did": .assignDID, "outbound_call": .outboundCall, "inbound_call": .inboundCall,
        "charge": .charge,
    ]
    static let modes: KeyValuePairs<String, Mode> = [
        "reserve": .reserve, "check_only": .checkOnly, "commit": .commit, "partial": .partial,
    ]
    static let extendModes: KeyValuePairs<String, Mode> = [
        "reserve": .reserve, "partial": .partial,
    ]
    static let expiries: KeyValuePairs<String, ExpiryPolicy> = [
        "release": .release, "commit": .commit,
    ]
    static let overages: KeyValuePairs<String, OveragePolicy> = [
        "record": .record, "cap": .cap, "reject": .reject,
    ]

    var routes: [Route] {
        [
            Route(.post, "/v2/check_and_reserve", .charge, Operations.checkAndReserve, check),
            Route(
                .post, "/v2/reservations/{id}/actions/commit", .charge, Operations.commit,
                commit),
            Route(
                .post, "/v2/reservations/{id}/actions/release", .charge, Operations.release,
                release),
            Route(
                .post, "/v2/reservations/{id}/actions/extend", .charge, Operations.extend,
                extend),
            Route(.post, "/v2/usage_records", .charge, Operations.recordUsage, record),
        ]
    }

    // MARK: Methods

    func check(_ exchange: Exchange) async throws -> Reply {
        let body = try Self.body(exchange)
        var request = CheckBody()
        request.tenantID = Self.tenantID(body)
        request.profile = Self.profile(body)
        request.action = body.choice("action", Self.actions).value ?? .unspecified
        body.require("action")
        request.mode = body.choice("mode", Self.modes).value ?? .reserve
        request.amounts = Self.quantities(
            body, "quantities", isRequired: true, areCharged: request.mode == .commit)
        request.minimums = Self.quantities(body, "minimums")
        Self.checkMinimums(request.minimums, within: request.amounts, body)
        request.key = try Self.key(exchange, body.findings)
        request.ttlMilliseconds = Self.ttl(body).map { $0 == 0 ? 60_000 : $0 } ?? 60_000
        request.onExpiry = body.choice("on_expiry", Self.expiries).value ?? .release
        request.overage = body.choice("overage", Self.overages).value ?? .record
        request.includeLimits = body.flag("include_limits").value ?? false
        request.reference = Self.reference(body)
        body.finish()
        try body.findings.check()
        try authorize(exchange.caller, request.tenantID)

        let decided = request
        let caller = exchange.caller
        let answer = try await core.lanes(by: exchange.requester, isLimited: caller.tenants != nil)
        {
            decided.perform(on: $0)
        }.get()
        let disclosure = core.disclosure(to: caller)
        let limits =
            answer.includeLimits
            ? answer.limits.views(tenantID: request.tenantID, profileID: request.profile?.id ?? "")
            : []
        if let denial = DenialReply(answer) {
            let meta: JSON = ["limits": .array(limits.map { $0.json(disclosure) })]
            throw denial.error(
                disclosure, elapses: core.engine.clock.elapses,
                meta: answer.includeLimits ? meta : nil)
        }
        return .data([
            "record_type": "reservation",
            "id": answer.reservationID == 0 ? .null : "\(answer.reservationID)",
            "decision": "allowed", "expires_at": Instant.json(answer.expiresAt),
            "granted": answer.granted.json,
            "limits": .array(limits.map { $0.json(disclosure) }),
            "warnings": answer.warnings.warnings(disclosure),
            "tenant_status": .string(answer.tenantStatus.name),
            "replayed": .bool(answer.replayed),
        ])
    }

    func commit(_ exchange: Exchange) async throws -> Reply {
        let id = try Self.reservationID(exchange)
        let body = try Self.body(exchange, isOptional: true)
        let actual = Self.quantities(body, "actual", areCharged: true)
        if case .object(let members) = body.raw("actual"), members.isEmpty {
            // In the contract nothing named means all of it; here somebody wrote down that it is nothing.
            body.note(
                .badField, "actual",
                "Give the amounts used (0 is allowed), or omit the field to charge what was held")
        }
        let tenantID = Self.statedTenantID(body)
        let key = try Self.key(exchange, body.findings) ?? ""
        body.finish()
        try body.findings.check()
        let answer = try await settle(id, of: tenantID, exchange) {
            lane -> Result<CommitAnswer, Failure> in
            var answer = CommitAnswer()
            let failure = key.withBorrowedBytes { key in
                var command = CommitCommand(reservationID: id, actual: actual)
                command.idempotencyKey = key
                return lane.commit(command, answer: &answer)
            }
            return failure.map { .failure($0) } ?? .success(answer)
        }
        return .data([
            "record_type": "reservation", "id": "\(id)", "committed": answer.committed.json,
            "uncharged": answer.uncharged.json, "late": .bool(answer.late),
            "warnings": answer.warnings.warnings(core.disclosure(to: exchange.caller)),
            "tenant_status": .string(answer.tenantStatus.name),
            "replayed": .bool(answer.replayed),
        ])
    }

    func release(_ exchange: Exchange) async throws -> Reply {
        let id = try Self.reservationID(exchange)
        let body = try Self.body(exchange, isOptional: true)
        let tenantID = Self.statedTenantID(body)
        let key = try Self.key(exchange, body.findings) ?? ""
        body.finish()
        try body.findings.check()
        let answer = try await settle(id, of: tenantID, exchange) {
            lane -> Result<ReleaseAnswer, Failure> in
            var answer = ReleaseAnswer()
            let failure = key.withBorrowedBytes { lane.release(id, key: $0, answer: &answer) }
            return failure.map { .failure($0) } ?? .success(answer)
        }
        return .data([
            "record_type": "reservation", "id": "\(id)", "expired": .bool(answer.expired),
            "replayed": .bool(answer.replayed),
        ])
    }

    func extend(_ exchange: Exchange) async throws -> Reply {
        let id = try Self.reservationID(exchange)
        let body = try Self.body(exchange, isOptional: true)
        var request = ExtendBody(reservationID: id)
        request.ttlMilliseconds = Self.ttl(body) ?? 0
        request.additional = Self.quantities(body, "additional")
        request.minimums = Self.quantities(body, "minimums")
        Self.checkMinimums(request.minimums, within: request.additional, body)
        request.mode = body.choice("mode", Self.extendModes).value ?? .reserve
        request.key = try Self.key(exchange, body.findings)
        let tenantID = Self.statedTenantID(body)
        body.finish()
        try body.findings.check()
        let asked = request
        let answer = try await settle(id, of: tenantID, exchange) {
            asked.perform(on: $0)
        }
        let disclosure = core.disclosure(to: exchange.caller)
        if let denial = DenialReply(answer) {
            throw denial.error(disclosure, elapses: core.engine.clock.elapses)
        }
        return .data([
            "record_type": "reservation", "id": "\(id)", "decision": "allowed",
            "expires_at": Instant.json(answer.expiresAt), "granted": answer.granted.json,
            "warnings": answer.warnings.warnings(disclosure), "replayed": .bool(answer.replayed),
        ])
    }

    func record(_ exchange: Exchange) async throws -> Reply {
        let body = try Self.body(exchange)
        var request = RecordRequest()
        request.tenantID = Self.tenantID(body)
        request.profile = Self.profile(body)
        request.action = body.choice("action", Self.actions).value ?? .unspecified
        request.amounts = Self.quantities(
            body, "quantities", isRequired: true, areCharged: true, allowsNegativeCounts: true)
        request.key = try Self.key(exchange, body.findings)
        request.reference = Self.reference(body)
        body.finish()
        try body.findings.check()
        try authorize(exchange.caller, request.tenantID)
        let recorded = request
        let caller = exchange.caller
        let answer = try await core.lanes(
            by: exchange.requester, isLimited: caller.tenants != nil, settles: true
        ) {
            recorded.perform(on: $0)
        }.get()
        return .data([
            "record_type": "usage_record", "tenant_id": .string(request.tenantID),
            "warnings": answer.warnings.warnings(core.disclosure(to: exchange.caller)),
            "tenant_status": .string(answer.tenantStatus.name),
            "replayed": .bool(answer.replayed),
        ])
    }

    // MARK: Authorization

    private func authorize(_ caller: Caller, _ tenantID: String) throws(APIError) {
        guard caller.mayCharge(tenantID) else { throw APIError(ErrorKind(.forbidden)) }
    }

    /// Settles a reservation of a tenant that the caller may charge, and of the one that it takes it for, if it says
    /// so; another one's is not there.
    private func settle<Answer: Sendable>(
        _ id: UInt64, of tenantID: String?, _ exchange: Exchange,
        _ body: @escaping @Sendable (EngineLane) -> Result<Answer, Failure>
    ) async throws -> Answer {
        let caller = exchange.caller
        return try await core.lanes(
            by: exchange.requester, isLimited: caller.tenants != nil, settles: true
        ) { lane -> Result<Answer, Failure> in
            if caller.tenants != nil || tenantID != nil,
                let refusal = lane.refusal(
                    ofReservation: id,
                    unless: { owner in
                        caller.mayCharge(String(decoding: owner, as: UTF8.self))
                            && (tenantID.map { owner.elementsEqual($0.utf8) } ?? true)
                    })
            {
                return .failure(refusal)
            }
            return body(lane)
        }.get()
    }

    // MARK: Fields

    /// Field rules and codes are those of the gRPC contract (Wire's `RequestDecoder`).
    private static func body(
        _ exchange: Exchange, isOptional: Bool = false
    ) throws(APIError) -> BodyReader {
        try exchange.bodyReader(isOptional: isOptional, outOfRange: .badField)
    }

    static func tenantID(_ body: BodyReader) -> String {
        if body.raw("tenant_id") == .string("") {
            body.note(.missingField, "tenant_id", "The tenant_id is required")
            return ""
        }
        body.require("tenant_id")
        let id = body.text("tenant_id", bytes: Identifier.lengths, nullable: true).value ?? ""
        RequestNotes.current?.note(tenant: id)
        return id
    }

    /// The tenant of a reservation, where the caller says it.
    static func statedTenantID(_ body: BodyReader) -> String? {
        let id = body.text("tenant_id", bytes: 0...64, nullable: true).value
        if let id, !id.isEmpty { RequestNotes.current?.note(tenant: id) }
        return id == "" ? nil : id
    }

    static func profile(_ body: BodyReader) -> ProfileReference? {
        var named: ProfileReference?
        for kind in ProfileKind.allCases {
            let id = body.text(kind.idField, bytes: 0...64, nullable: true).value
            guard let id, !id.isEmpty else { continue }
            if named != nil {
                body.note(.badField, kind.idField, "A request can name at most one profile")
            }
            named = ProfileReference(id: id, kind: kind)
        }
        return named
    }

    static func reference(_ body: BodyReader) -> String? {
        body.text("reference", bytes: 0...64, nullable: true).value
    }

    /// 0 or nil: the method's own.
    static func ttl(_ body: BodyReader) -> UInt32? {
        guard let value = body.integer("ttl_ms", 0...86_400_000, nullable: true).value else {
            return nil
        }
        guard value == 0 || value >= 1_000 else {
            body.note(.badField, "ttl_ms", "The ttl_ms must be 0, or 1000 to 86400000")
            return nil
        }
        return UInt32(value)
    }

    /// Amounts by the names of their resources.
    ///
    /// - Parameter areCharged: what is only ever held may not be named.
    static func quantities(
        _ body: BodyReader, _ name: String, isRequired: Bool = false, areCharged: Bool = false,
        allowsNegativeCounts: Bool = false
    ) -> Amounts {
        var amounts = Amounts()
        guard let object = body.object(name) else {
            if isRequired {
                body.note(.missingField, name, "At least one quantity is required")
            }
            return amounts
        }
        let before = body.findings.entries.count
        for resource in Resource.allCases where object.has(resource.name) {
            guard !areCharged || resource.mayBeCharged else {
                object.note(.badField, resource.name, "\(Resource.chargingDetail)")
                continue
            }
            let lowest: Int64 = allowsNegativeCounts && resource.mayShrink ? -Int64.max : 0
            let amount =
                resource.unit == .amount
                ? object.money(resource.name) : object.integer(resource.name, lowest...Int64.max)
            if let amount = amount.value { amounts.set(resource.index, amount) }
        }
        object.finish()
        if amounts.present.nonzeroBitCount > Resource.mostOfRequest {
            body.note(.badField, name, "\(Resource.mostOfRequestDetail)")
        }
        if isRequired, amounts.isEmpty, body.findings.entries.count == before {
            body.note(.missingField, name, "At least one quantity is required")
        }
        return amounts
    }

    private static func checkMinimums(
        _ minimums: Amounts, within amounts: Amounts, _ body: BodyReader
    ) {
        for index in minimums.resources where minimums[index] > amounts[index] {
            let name = Resource.allCases[index].name
            body.findings.note(
                .badField, .pointer("/minimums/\(name)"),
                "The minimum must not exceed the amount")
        }
    }

    /// `Idempotency-Key`: a quoted string (RFC 9651) or a bare one. Two of them would be one key that nobody sent.
    static func key(_ exchange: Exchange, _ findings: ValidationErrors) throws(APIError) -> String?
    {
        let values = exchange.headers[allOf: HeaderName.idempotencyKey]
        guard let raw = values.first else { return nil }
        let source = APIErrorEntry.Source.parameter("Idempotency-Key")
        guard values.count == 1 else {
            throw APIError(.badRequest, "The header appears \(values.count) times", at: source)
        }
        var key = raw
        if raw.hasPrefix("\"") {
            guard let unquoted = unquote(raw) else {
                findings.note(.badField, source, "The key's quotes are unbalanced")
                return nil
            }
            key = unquoted
        }
        if let fault = BodyReader.fault(of: key, bytes: 1...128) {
            findings.note(.badField, source, fault)
            return nil
        }
        return key
    }

    /// The text within quotes; nil: it is not one quoted text.
    static func unquote(_ raw: String) -> String? {
        var text = ""
        var isEscaped = false
        var rest = raw.unicodeScalars.dropFirst()
        while let scalar = rest.popFirst() {
            if isEscaped {
                guard scalar == "\\" || scalar == "\"" else { return nil }
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
                continue
            } else if scalar == "\"" {
                return rest.isEmpty ? text : nil
            }
            text.unicodeScalars.append(scalar)
        }
        return nil
    }

    static func reservationID(_ exchange: Exchange) throws(APIError) -> UInt64 {
        let text = exchange.id
        guard let id = UInt64(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            id > 0, id <= UInt64(Int64.max)
        else { throw APIError(.notFound, "No such reservation") }
        return id
    }
}
