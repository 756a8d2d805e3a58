import Glibc
package import Journal
package import Limits
package import Reservations
import Synchronization

/// Bounds and time-outs of an engine; each a number with a sane default.
package struct EngineConfiguration: Sendable {
    package var capacity: TableCapacity
    /// How far the wall clock may have gone on, or stand back, since the latest time on record for a start to go by it;
    /// how far it may leap ahead to be believed by a running engine. Milliseconds.
    package var maximumClockAdvance = EngineClock.defaultMaximumAdvance
    /// The operator's word that the wall clock is right, however far it is from the time on record: about now, Unix
    /// milliseconds; nil: none.
    package var acceptedClock: Int64?

    package init(capacity: TableCapacity = TableCapacity()) {
        self.capacity = capacity
    }
}

/// The service behind every interface: commands in, answers out.
///
/// The data plane works through `EngineLane`s, one for each event loop. Configuration goes through the methods
/// here, from any thread, one at a time; a change is obeyed by every decision that starts after its return.
package final class Engine: Sendable {
    package let configuration: EngineConfiguration
    package let clock: EngineClock
    let table: ReservationTable
    let schedules: Schedules
    let control: Lock<Control>
    /// Every window that had begun by then is on disk: engine time, Unix milliseconds.
    let shownUntil = Atomic<Int64>(.min)
    /// nil: nothing is kept.
    let journal: EngineJournal?
    private let decisions = DecisionCounters()

    /// What configuration needs besides the table.
    struct Control {
        let lane: Lane
        var tenants = SettingsByID<TenantSettings>()
        var profiles = SettingsByID<ProfileSettings>()
        var settings: [String: String] = [:]
        var settingsVersion: UInt64 = 0
        /// How often the holds of a tenant, by its number, began to be ended.
        var endings: [Int: Int] = [:]

        /// Begins a change at a time, on behalf of a requester; life time.
        func begin(_ time: EngineTime, by requester: Requester) -> Int64 {
            lane.caller = requester.caller
            lane.trace = requester.trace
            lane.lead = time.lead
            return time.lives
        }

        func tenant(_ id: String) -> TenantSettings? {
            guard let settings = tenants[id], lane.isOpen(tenant: id) else { return nil }
            return settings
        }

        func profile(_ id: String) -> ProfileSettings? {
            guard let settings = profiles[id], lane.isOpen(profile: id),
                tenant(settings.tenantID) != nil
            else { return nil }
            return settings
        }
    }

    /// An engine in memory: what it knows ends with the process.
    ///
    /// - Parameter secret: of the hashes of idempotency keys; kept with the journal.
    package convenience init(
        configuration: EngineConfiguration = EngineConfiguration(),
        clock: EngineClock = EngineClock(), secret: HashSecret = .random()
    ) throws(EngineError) {
        try AddressSpace.check(configuration.capacity, hasJournal: false)
        try ClockStart.check(clock.now)
        let schedules = Schedules()
        let (table, lane) = try ReservationTable.withConfigurationLane(
            configuration.capacity, schedules, secret, now: clock.life)
        Self.passOverGenerations(of: table, withoutJournal: secret)
        self.init(configuration, clock, table, schedules, Control(lane: lane), nil)
    }

    init(
        _ configuration: EngineConfiguration, _ clock: EngineClock, _ table: ReservationTable,
        _ schedules: Schedules, _ control: sending Control, _ journal: EngineJournal?
    ) {
        self.configuration = configuration
        self.clock = clock
        self.table = table
        self.schedules = schedules
        self.control = Lock(control)
        self.journal = journal
    }

    /// A lane for one more event loop.
    package func makeLane() throws(EngineError) -> EngineLane {
        do {
            return EngineLane(try table.makeLane(now: clock.life), clock, journal, decisions)
        } catch {
            throw EngineError(error)
        }
    }

    /// The lanes of all event loops. They share the timekeeping of what stood in the table before.
    package func makeLanes(_ count: Int) throws(EngineError) -> [EngineLane] {
        var lanes: [EngineLane] = []
        for _ in 0..<count { lanes.append(try makeLane()) }
        for lane in lanes { lane.lane.adoptSlots(sharedBy: count, now: clock.life) }
        return lanes
    }

    /// What all lanes have decided since the process began, those that are gone among them.
    ///
    /// - Complexity: O(lanes)
    package var decisionTotals: DecisionTotals { DecisionTotals(decisions.counts.decisions) }

    /// The same by operation; and how many stored answers were given again.
    package var decisionCounts: (decisions: [DecisionCount], replays: UInt64) {
        let counts = decisions.counts
        return (counts.decisions, counts.replays)
    }

    /// Where the lanes' records go, by lane; empty: nothing is recorded.
    package var rings: [RecordRing] { table.rings }

    // MARK: Configuration

    /// Makes a tenant or changes its settings. The result says by how much present usage is over each cap.
    ///
    /// - Parameters:
    ///   - revision: the number of the revision that this change was made from, 0: there is no such tenant;
    ///     nil: any. Another one is `EngineError.conflict`. The settings' own revision means nothing.
    ///   - requester: who is behind it, for the audit log.
    @discardableResult
    package func setTenant(
        _ settings: TenantSettings, from revision: Int64? = nil, by requester: Requester = .nobody
    ) throws(EngineError) -> ChangeResult {
        try Self.validate(settings, TenantSettings.settings)
        let time = clock.time
        return try control.withLock { control throws(EngineError) in
            let now = control.begin(time, by: requester)
            let present = control.tenant(settings.id)
            if present == nil { try Self.validate(newID: settings.id, "tenant id") }
            try Self.expect(revision, of: present?.revision, settings.id)
            var settings = settings
            settings.revision = (present?.revision ?? Revision()).next(at: time.windows)
            let schedule = try schedules.number(
                cycleDay: settings.billingCycleDay, timeZone: settings.timeZone, now: time.windows)
            let policy = TenantPolicy(settings, schedule: schedule)
            do throws(TableError) {
                let result = try withBytes(settings.encoded) { (text) throws(TableError) in
                    try control.lane.setTenant(settings.id, policy, text: text, now: now)
                }
                control.tenants[settings.id] = settings
                return result
            } catch {
                throw EngineError(error)
            }
        }
    }

    /// Makes a profile or changes its settings. Parameters as for `setTenant`.
    @discardableResult
    package func setProfile(
        _ settings: ProfileSettings, from revision: Int64? = nil, by requester: Requester = .nobody
    ) throws(EngineError) -> ChangeResult {
        try Self.validate(settings, ProfileSettings.settings(settings.kind))
        guard settings.vendorFields.utf8.count <= ProfileSettings.longestVendorFields else {
            throw EngineError(.invalid, "the vendor fields are too long")
        }
        let time = clock.time
        return try control.withLock { control throws(EngineError) in
            let now = control.begin(time, by: requester)
            let present = control.profile(settings.id)
            if present == nil { try Self.validate(newID: settings.id, "\(settings.kind.noun) id") }
            if let present,
                !present.tenantID.hasSameBytes(as: settings.tenantID)
                    || present.kind != settings.kind
            {
                throw EngineError(.notFound, "\(settings.id) does not exist")
            }
            try Self.expect(revision, of: present?.revision, settings.id)
            var settings = settings
            settings.revision = (present?.revision ?? Revision()).next(at: time.windows)
            do throws(TableError) {
                let result = try withBytes(settings.encoded) { (text) throws(TableError) in
                    try control.lane.setProfile(
                        settings.id, of: settings.tenantID, ProfilePolicy(settings), text: text,
                        now: now)
                }
                control.profiles[settings.id] = settings
                return result
            } catch {
                throw EngineError(error)
            }
        }
    }

    /// Suspends, reinstates or closes a tenant; doing so again changes nothing.
    ///
    /// - Parameters:
    ///   - revision: as for `setTenant`.
    ///   - ending: what `ending` said; if it says something else by now, that is `.conflict`. nil: whatever it says.
    ///   - reason: for the audit log, at most 512 bytes.
    package func setStatus(
        ofTenant id: String, _ status: TenantStatus, from revision: Int64? = nil,
        after ending: Int? = nil, reason: String = "", by requester: Requester = .nobody
    ) throws(EngineError) {
        guard reason.utf8.count <= 512 else {
            throw EngineError(.invalid, "a reason must be at most 512 bytes")
        }
        let time = clock.time
        try control.withLock { control throws(EngineError) in
            let now = control.begin(time, by: requester)
            try Self.expect(revision, of: control.tenant(id)?.revision, id)
            let tenant = table.number(ofTenant: id)
            if let ending, ending != tenant.flatMap({ control.endings[$0] }) ?? 0 {
                throw EngineError(.conflict, "\(id) was suspended again in the meantime")
            }
            do throws(TableError) {
                try withBytes(Array(reason.utf8)) { (text) throws(TableError) in
                    try control.lane.setStatus(id, status, text: text, now: now)
                }
            } catch {
                throw EngineError(error)
            }
            if status != .active, let tenant { control.endings[tenant, default: 0] += 1 }
        }
    }

    private static func expect(
        _ expected: Int64?, of present: Revision?, _ id: String
    ) throws(EngineError) {
        guard let expected, expected != present?.number ?? 0 else { return }
        throw EngineError(
            .conflict,
            present.map { "\(id) has been changed: it is at revision \($0.number)" }
                ?? "\(id) does not exist")
    }

    /// Deletes a profile: new requests do not find it, open holds may settle.
    ///
    /// - Parameter revision: as for `setTenant`.
    package func closeProfile(
        _ id: String, from revision: Int64? = nil, by requester: Requester = .nobody
    ) throws(EngineError) {
        let time = clock.time
        try control.withLock { control throws(EngineError) in
            let now = control.begin(time, by: requester)
            try Self.expect(revision, of: control.profile(id)?.revision, id)
            do throws(TableError) {
                try control.lane.closeProfile(id, now: now)
            } catch {
                throw EngineError(error)
            }
        }
    }

    private static let longestSettingName = 64
    private static let longestSettingValue = 4_096

    /// Keeps a setting of the whole service, or removes it (an empty value); it is on record when this returns, and on
    /// disk after `awaitDurable`.
    ///
    /// - Parameters:
    ///   - name: 1 ... 64 bytes.
    ///   - value: at most 4 096 bytes.
    package func setSetting(
        _ name: String, _ value: String, by requester: Requester = .nobody
    ) throws(EngineError) {
        guard !name.isEmpty, name.utf8.count <= Self.longestSettingName,
            value.utf8.count <= Self.longestSettingValue
        else {
            throw EngineError(.invalid, "a setting's name or value is too long")
        }
        let time = clock.time
        try control.withLock { control throws(EngineError) in
            guard control.settings[name] ?? "" != value else { return }
            let now = control.begin(time, by: requester)
            let text = ServiceSetting(name: name, value: value).encoded
            let version = control.settingsVersion + 1
            let recorded = text.withUnsafeBytes {
                control.lane.recordSetting($0, version: version, now: now)
            }
            guard recorded else { throw EngineError(TableError.busy) }
            control.settings[name] = value.isEmpty ? nil : value
            control.settingsVersion = version
        }
    }

    /// A setting of the whole service as it was last set.
    package func setting(_ name: String) -> String? {
        control.withLock { $0.settings[name] }
    }

    /// All settings of the whole service whose names begin so.
    package func settings(prefix: String) -> [String: String] {
        control.withLock { $0.settings.filter { $0.key.hasPrefix(prefix) } }
    }

    /// A tenant's settings as they were last set; nil: it does not exist, or was deleted.
    package func tenant(_ id: String) -> TenantSettings? {
        control.withLock { $0.tenant(id) }
    }

    /// A tenant's status; nil: it does not exist, or was deleted.
    ///
    /// - Throws: `.busy`: the journal has no room for what others are just doing to it.
    package func status(ofTenant id: String) throws(EngineError) -> TenantStatus? {
        let status = try control.withLock { control throws(EngineError) in
            do throws(TableError) {
                return try control.lane.status(ofTenant: id)
            } catch {
                throw EngineError(error)
            }
        }
        return status == .closed ? nil : status
    }

    /// A profile's settings as they were last set; nil: it does not exist, or it or its tenant was deleted, or it is not
    /// of the kind that is asked for (nil: any).
    package func profile(_ id: String, _ kind: ProfileKind? = nil) -> ProfileSettings? {
        guard let settings = control.withLock({ $0.profile(id) }) else { return nil }
        return kind == nil || settings.kind == kind ? settings : nil
    }

    /// Tenants that exist.
    package var tenantCount: Int { table.tenantCount }

    private static func validate(newID id: String, _ what: String) throws(EngineError) {
        if let fault = Identifier.fault(of: id) { throw EngineError(.invalid, "\(what) \(fault)") }
    }

    private static func validate<Owner>(
        _ owner: Owner, _ settings: [SettingDescriptor<Owner>]
    ) throws(EngineError) {
        for setting in settings {
            if let fault = setting.fault(in: owner) {
                throw EngineError(.invalid, "\(setting.name) \(fault)")
            }
        }
    }

    private func withBytes<T>(
        _ bytes: [UInt8], _ body: (BorrowedBytes) throws(TableError) -> T
    ) throws(TableError) -> T {
        try bytes.withUnsafeBytes { (text: UnsafeRawBufferPointer) in
            Result { () throws(TableError) in try body(text) }
        }.get()
    }
}
