internal import JSON
internal import Limits
internal import LimitsFile

/// What has to be done so that the service has what a limits file says.
struct LimitsPlan: Sendable {
    struct Step: Sendable {
        var change: SettingChange
        /// Of what the service had when the plan was made; nil: it does not exist yet, or has none.
        var etag: String?
    }

    /// Each phase needs the one before it: tenants before their profiles, profiles away before their tenants.
    var phases: [[Step]] = []
    /// Where the file says what.
    var places = LimitsPlaces()
    /// Tenants and profiles of the service that the file does not name, and that stay; nil: nobody knows.
    var leftAlone: (tenants: Int, profiles: Int)?

    var steps: [Step] { phases.flatMap { $0 } }

    func count(_ kind: SettingChange.Kind) -> Int { steps.count { $0.change.kind == kind } }

    /// Compares a file with the service, resource by resource: what the service is asked is what it decides by, not a
    /// list that may lag.
    ///
    /// - Parameter prune: also plan to delete what the file does not name.
    static func make(
        _ file: LimitsFile, _ client: ControlClient, prune: Bool, progress: Progress
    ) async throws -> LimitsPlan {
        var defaults: [Step] = []
        if file.hasDefaults {
            let answer = try await client.send(.get, Paths.defaults)
            let present = try TenantLimits(answer.data)
            if let change = SettingChange(defaults: file.defaults, present: present) {
                defaults.append(Step(change: change, etag: answer.etag))
            }
        }
        let count = file.tenants.count + file.profiles.count
        await progress.begin("compared", of: count)
        let tenants = try await concurrently(file.tenants, progress) { wanted in
            let found = try await client.find(Paths.one(Paths.tenants, wanted.id))
            let present = try found.map { try TenantSettings($0.data) }
            let change = SettingChange(tenant: wanted, present: present)
            return change.map { Step(change: $0, etag: found?.etag) }
        }
        let profiles = try await concurrently(file.profiles, progress) { wanted in
            let found = try await client.find(Paths.one(Paths.profiles(wanted.kind), wanted.id))
            let present = try found.map { try ProfileSettings($0.data, wanted.kind) }
            if let present, !present.tenantID.hasSameBytes(as: wanted.tenantID) {
                let place = file.places.place(
                    of: .profile(id: wanted.id, kind: wanted.kind, tenantID: wanted.tenantID))
                throw ControlFailure(
                    .refusedInput,
                    """
                    \(place): The \(wanted.kind.noun) \(wanted.id) belongs to tenant \(present.tenantID), not \
                    \(wanted.tenantID), and a profile's tenant cannot change
                    """)
            }
            let change = SettingChange(profile: wanted, present: present)
            return change.map { Step(change: $0, etag: found?.etag) }
        }
        var plan = LimitsPlan(
            phases: [defaults, tenants.compactMap { $0 }, profiles.compactMap { $0 }],
            places: file.places)
        let others = try await unnamed(file, client, isNeeded: prune)
        if prune, let others {
            await progress.begin("compared", of: others.profiles.count + others.tenants.count)
            for subjects in [others.profiles, others.tenants] {
                plan.phases.append(try await deletions(of: subjects, client, progress))
            }
        } else {
            plan.leftAlone = others.map { ($0.tenants.count, $0.profiles.count) }
        }
        plan.phases.removeAll(where: \.isEmpty)
        return plan
    }

    /// Deletes them as they are now, and not what somebody makes of them meanwhile.
    private static func deletions(
        of subjects: [SettingChange.Subject], _ client: ControlClient, _ progress: Progress
    ) async throws -> [Step] {
        try await concurrently(subjects, progress) { subject in
            let found = try await client.find(subject.path)
            // The list lagged: it is gone.
            return found.map { Step(change: .delete(subject), etag: $0.etag) }
        }.compactMap { $0 }
    }

    /// What the service has and the file does not name; nil: it keeps no lists (`--durability memory`).
    private static func unnamed(
        _ file: LimitsFile, _ client: ControlClient, isNeeded: Bool
    ) async throws -> (tenants: [SettingChange.Subject], profiles: [SettingChange.Subject])? {
        do {
            let tenantIDs = Set(file.tenants.map { Identifier($0.id) })
            let profileIDs = Set(file.profiles.map { Identifier($0.id) })
            let tenants = try await client.list(Paths.tenants, limit: nil).rows
                .map { try ResourceReader(resource: $0).id("id") }
                .filter { tenantIDs.contains(Identifier($0)) == false }
            let profiles = try await client.profiles()
                .filter { profileIDs.contains(Identifier($0.id)) == false }
            return (
                tenants.map { .tenant(id: $0) },
                profiles.map { .profile(id: $0.id, kind: $0.kind, tenantID: $0.tenantID) }
            )
        } catch let failure as ControlFailure
            where failure.httpStatus == 503 && isNeeded == false
        {
            return nil
        }
    }
}

extension LimitsPlan.Step {
    /// Carries it out.
    ///
    /// - Throws: `ControlFailure`; one with HTTP status 412 when somebody changed the resource since.
    func apply(_ client: ControlClient) async throws {
        let members: [JSON.Member] = change.fields.map { ($0.name, $0.after.json) }
        switch (change.subject, change.kind) {
        case (_, .delete): try await delete(client)
        case (.defaults, _):
            _ = try await client.send(
                .patch, Paths.defaults, body: .object(members), ifMatch: etag)
        case (.tenant(let id), .create):
            _ = try await client.send(
                .post, Paths.tenants, body: .object([("id", .string(id))] + members))
        case (.profile(let id, let kind, let tenantID), .create):
            let ids: [JSON.Member] = [("id", .string(id)), ("tenant_id", .string(tenantID))]
            _ = try await client.send(
                .post, Paths.profiles(kind), body: .object(ids + members))
        case (_, .update):
            _ = try await client.send(
                .patch, change.subject.path, body: .object(members), ifMatch: etag)
        }
    }

    private func delete(_ client: ControlClient) async throws {
        do {
            _ = try await client.send(.delete, change.subject.path, ifMatch: etag)
        } catch let failure as ControlFailure where failure.httpStatus == 404 {
            // Somebody was faster, or its tenant took it along: it is gone.
        }
    }

    /// One line of `--json`.
    ///
    /// - Parameter place: where the file says it; said together with errors.
    func json(result: String, failure: ControlFailure? = nil, place: String = "") -> JSON {
        let (type, id): (String, String?) =
            switch change.subject {
            case .defaults: ("tenant_defaults", nil)
            case .tenant(let id): ("tenant", id)
            case .profile(let id, let kind, _): (kind.recordType, id)
            }
        let action =
            switch change.kind {
            case .create: "create"
            case .update: "update"
            case .delete: "delete"
            }
        let changes = change.fields.map { field in
            JSON.object([
                ("name", .string(field.name)), ("before", field.before?.json ?? .null),
                ("after", field.after.json),
            ])
        }
        return .object(
            named([
                ("record_type", .string("change")), ("resource", .string(type)),
                ("id", id.map { .string($0) } ?? .null), ("action", .string(action)),
                ("changes", .array(changes)), ("result", .string(result)),
                ("errors", failure?.json["errors"]),
                ("place", failure.map { _ in .string(place) }),
            ]))
    }
}

extension SettingChange.Subject {
    /// Where REST has it.
    fileprivate var path: String {
        switch self {
        case .defaults: Paths.defaults
        case .tenant(let id): Paths.one(Paths.tenants, id)
        case .profile(let id, let kind, _): Paths.one(Paths.profiles(kind), id)
        }
    }
}

extension ControlClient {
    /// All profiles, of every kind.
    func profiles() async throws -> [ProfileSettings] {
        var profiles: [ProfileSettings] = []
        for kind in ProfileKind.allCases {
            profiles += try await list(Paths.profiles(kind), limit: nil).rows
                .map { try ProfileSettings($0, kind) }
        }
        return profiles
    }

    /// A resource; nil: there is none.
    func find(_ path: String) async throws -> ControlAnswer? {
        do {
            return try await send(.get, path)
        } catch let failure as ControlFailure where failure.httpStatus == 404 {
            return nil
        }
    }
}
