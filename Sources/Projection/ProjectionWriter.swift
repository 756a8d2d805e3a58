import Engine
import Events
import Foundation
import GRDB
import Journal
import Limits

/// Takes records up: into the states in memory at once, and into the database by the end of the slice.
///
/// Everything of a slice belongs into one transaction, which `finish` completes. After an error, or if the transaction
/// fails, the writer is good for nothing: it is ahead of the file.
final class ProjectionWriter {
    var fold: StateFold
    var recipients = RecipientIndex()
    /// Engine time of the latest record, Unix milliseconds.
    var time: Int64 = 0
    /// Of the audit log.
    var lastAudit: Int64 = 0
    /// Lines and events in the file.
    var auditCount = 0
    var eventCount = 0
    /// Of those, written in this slice.
    var newLines = 0
    var newEvents = 0
    /// The slice added deliveries.
    var hasDeliveries = false
    /// What is still to be done of something large.
    var jobs: [Job] = []

    private var outOfOrder = OutOfOrderRecords()
    private var hasNewWaiting = false
    var record = Limits.Record(.reserved)

    /// What of a tenant's row changes.
    private enum Touch: UInt8 {
        case untouched = 0
        case totals = 1
        /// Also status or cycle, or it is new.
        case whole = 2
    }

    private var tenantTouches: ContiguousArray<Touch> = []
    private var touchedTenants: [UInt32] = []
    private var touchedProfiles: Set<UInt32> = []
    /// What the slice adds to usage.
    var usage: [UsageKey: UsageSum] = [:]
    var refusals: [RefusalKey: Int64] = [:]
    /// What was added to holds, by reservation.
    var growths: [UInt64: [Growth]] = [:]
    /// Days of time zones, and the zones of tenants, as far as they were asked for.
    var calendar = DayCalendar()
    var zones: [UInt32: Int] = [:]
    /// Zones that tenants had before, oldest first.
    var formerZones: [UInt32: [FormerZone]] = [:]
    /// What tenants are called, as far as the slice asked.
    var tenantNames: [UInt32: (id: String, name: String)] = [:]

    /// Whose events these are.
    let journal: JournalID

    init(_ journal: JournalID, _ capacity: TableCapacity) {
        self.journal = journal
        fold = StateFold(mostTenants: capacity.tenants, mostProfiles: capacity.profiles)
    }

    // MARK: The past

    /// nil: there is no past that this file would not hold.
    var told: HistoryWatermark?
    /// How old an event may be to be sent though a file that is gone may have sent it, milliseconds.
    var attemptsGoOn = ProjectionConfiguration().attemptsGoOn
    /// What takes effect now is told already.
    private(set) var isTold = false
    /// What takes effect now may have been sent.
    private(set) var mayBeSent = false

    func beginSlice() {
        hasDeliveries = false
        newLines = 0
        newEvents = 0
    }

    /// Says where what is taken up next stands.
    ///
    /// - Parameters:
    ///   - place: where its frame ends.
    ///   - start: where its frame begins.
    ///   - index: its number within the frame.
    func reach(_ place: JournalPlace, from start: JournalPlace, index: Int = 0) {
        isTold =
            told.map {
                place <= $0.history || (start == $0.history && index < $0.records)
            } ?? false
        mayBeSent = told.map { place <= $0.deliveries } ?? false
    }

    // MARK: Records

    /// A process begins: nothing that still waits was ever acknowledged.
    func beginProcess() {
        if outOfOrder.beginProcess() > 0 { hasNewWaiting = true }
    }

    /// Takes one record up.
    ///
    /// - Parameter now: engine time, for what is due from now on.
    func take(_ words: UnsafeBufferPointer<UInt64>, _ db: Database, now: Int64) throws {
        guard try apply(words, db, now: now) else {
            wait(words)
            return
        }
        if !outOfOrder.isEmpty { try takeWaiting(record.tenant, db, now: now) }
    }

    /// Has a record wait for its predecessor.
    func wait(_ words: UnsafeBufferPointer<UInt64>) {
        outOfOrder.add(words)
        hasNewWaiting = true
    }

    private func takeWaiting(_ tenant: UInt32, _ db: Database, now: Int64) throws {
        while let next = outOfOrder.next(of: tenant) {
            let taken = try next.withUnsafeBufferPointer { try apply($0, db, now: now) }
            guard taken else { return }
            outOfOrder.removeNext(of: tenant)
            hasNewWaiting = true
        }
    }

    /// False: its predecessor is missing so far.
    private func apply(
        _ words: UnsafeBufferPointer<UInt64>, _ db: Database, now: Int64
    ) throws -> Bool {
        do throws(Journal.RecordError) {
            try record.read(words)
        } catch {
            throw ProjectionError(.journal, "\(error)")
        }
        switch record.kind {
        case .settingChanged:
            try takeSetting(db)
            time = max(time, record.time)
            return true
        case .refusals:
            // It may stand in front of what made the tenant.
            guard fold.tenant(record.tenant) != nil else { return false }
            if !isTold { try takeRefusals(db) }
            time = max(time, record.time)
            return true
        default: break
        }
        if record.kind == .time {
            time = max(time, record.time)
            return true
        }
        let change = try Change(record)
        switch fold.apply(record, change.policy) {
        case .outOfOrder: return false
        case .duplicate: return true
        case .corrupt(let what):
            throw ProjectionError(
                .journal,
                "version \(record.version) of tenant \(record.tenant) (\(record.kind)): \(what)")
        case .applied: break
        }
        time = max(time, record.time)
        touch()
        let grown = try takeGrowth(db)
        if !isTold { try count(grown, db) }
        switch record.kind {
        case .tenantCreated, .tenantChanged, .profileCreated, .profileChanged, .tenantClosed,
            .profileClosed, .tenantSuspended, .tenantReinstated, .reversed, .countsReconciled:
            try tell(change, db, now: now)
        case .usageRecorded, .released, .releasedLate:
            // By hand: recipients record usage and release all the time.
            if recipients.isOperator(record.caller) || !record.transition.events.isEmpty {
                try tell(change, db, now: now)
            }
        default:
            if !record.transition.events.isEmpty { try tell(change, db, now: now) }
        }
        return true
    }

    /// The settings that a record brings.
    struct Change {
        var tenant: TenantSettings?
        var profile: ProfileSettings?

        init(_ record: borrowing Limits.Record) throws {
            switch record.kind {
            case .tenantCreated, .tenantChanged:
                tenant = TenantSettings(encoded: record.text)
                if tenant == nil {
                    throw ProjectionError(.journal, "a tenant's settings cannot be read")
                }
            case .profileCreated, .profileChanged:
                profile = ProfileSettings(encoded: record.text)
                if profile == nil {
                    throw ProjectionError(.journal, "a profile's settings cannot be read")
                }
            default: break
            }
        }

        var policy: PolicyChange {
            // The number of the schedule is of no use: windows are the records'.
            if let tenant { return .tenant(TenantPolicy(tenant, schedule: 0)) }
            if let profile { return .profile(ProfilePolicy(profile)) }
            return .none
        }
    }

    private func touch() {
        let isWhole =
            record.openedCycleEnd != 0 || record.openedTenantDayEnd != 0
            || record.kind == .tenantCreated
            || record.kind == .tenantClosed
            || !record.transition.events.isDisjoint(with: [.suspended, .reinstated])
        touch(tenant: record.tenant, isWhole ? .whole : .totals)
        if let profile = record.profile { touchedProfiles.insert(profile) }
    }

    private func touch(tenant number: UInt32, _ touch: Touch) {
        let index = Int(number)
        while tenantTouches.count <= index { tenantTouches.append(.untouched) }
        if tenantTouches[index] == .untouched { touchedTenants.append(number) }
        if tenantTouches[index].rawValue < touch.rawValue { tenantTouches[index] = touch }
    }

    // MARK: The end of a slice

    /// What writing a row costs, milliseconds.
    private static let rowMilliseconds = 0.01

    /// What the end of the slice will cost, milliseconds: rows that changed are written once, however often they did.
    var owedMilliseconds: Double {
        let rows = touchedTenants.count + touchedProfiles.count + usage.count + refusals.count
        return Double(rows) * Self.rowMilliseconds
    }

    /// Writes what the slice changed, and how far it came.
    ///
    /// - Parameter records: of the frame that begins at the position, those that were taken up.
    func finish(
        _ db: Database, _ position: JournalPosition, records: Int, now: Int64
    ) throws {
        try writeStates(db, now: now)
        try writeUsage(db)
        if hasNewWaiting { try writeWaiting(db) }
        try db.run(
            .writePosition,
            [
                Int64(bitPattern: journal.low), Int64(bitPattern: journal.high),
                Int64(bitPattern: position.place.segment), position.place.offset,
                Int64(bitPattern: position.sequence), records, time, auditCount, eventCount,
            ])
        tenantNames.removeAll(keepingCapacity: true)
    }

    /// Writes how tenants and profiles stand that changed.
    func writeStates(_ db: Database, now: Int64) throws {
        try writeTenants(db, now: now)
        try writeProfiles(db)
    }

    private func writeTenants(_ db: Database, now: Int64) throws {
        guard !touchedTenants.isEmpty else { return }
        let totals = try db.cachedStatement(sql: StandingStatement.writeTotals.sql)
        let whole = try db.cachedStatement(sql: StandingStatement.writeTenantState.sql)
        // In the order of the rows: neighbours share pages.
        touchedTenants.sort()
        for number in touchedTenants {
            guard let state = fold.tenant(number) else { continue }
            var arguments: StatementArguments = [state.blob]
            arguments += state.columns(now, fold.rules)
            arguments += [state.fullness(now, fold.rules), number]
            if tenantTouches[Int(number)] == .whole {
                arguments += [
                    state.status.rawValue, state.nextEnd(after: now, fold.rules),
                    state.status != .closed,
                ]
                try whole.execute(arguments: arguments)
            } else {
                try totals.execute(arguments: arguments)
            }
            tenantTouches[Int(number)] = .untouched
        }
        touchedTenants.removeAll(keepingCapacity: true)
    }

    private func writeProfiles(_ db: Database) throws {
        guard !touchedProfiles.isEmpty else { return }
        let statement = try db.cachedStatement(sql: StandingStatement.writeProfileState.sql)
        for number in touchedProfiles.sorted() {
            guard let profile = fold.profile(number) else { continue }
            try statement.execute(arguments: [number, profile.tenant, profile.state.blob])
        }
        touchedProfiles.removeAll(keepingCapacity: true)
    }

    private func writeWaiting(_ db: Database) throws {
        try db.run(.forgetWaiting)
        for words in outOfOrder.all {
            let blob = words.withUnsafeBytes { Data($0) }
            try db.run(.writeWaiting, [blob])
        }
        hasNewWaiting = false
    }
}

extension ProjectionWriter {
    /// Takes an entry of a checkpoint over, or a record that still waits in it.
    func restore(_ words: UnsafeBufferPointer<UInt64>, _ db: Database, now: Int64) throws {
        guard words.isCheckpointEntry else {
            try take(words, db, now: now)
            return
        }
        let entry: CheckpointEntry
        do throws(Journal.RecordError) {
            entry = try CheckpointEntry(words)
        } catch {
            throw ProjectionError(.journal, "checkpoint: \(error)")
        }
        switch entry {
        case .tenant(let tenant): try restore(tenant, db)
        case .profile(let profile): try restore(profile, db)
        case .setting(_, let text):
            guard let setting = ServiceSetting(encoded: text) else {
                throw ProjectionError(.journal, "a setting cannot be read")
            }
            try keep(setting, db)
            try hasten(setting, now: now, db)
        case .clock(let time, _): self.time = max(self.time, time)
        case .table, .reservation, .key: break
        }
    }

    private func restore(_ entry: borrowing CheckpointEntry.Tenant, _ db: Database) throws {
        guard let settings = TenantSettings(encoded: entry.settings) else {
            throw ProjectionError(.journal, "a tenant's settings cannot be read")
        }
        var state = entry.state
        state.flags = state.flagsWithoutSchedule
        guard fold.restore(state, tenant: entry.number) else {
            throw ProjectionError(
                .journal, "more tenants than the table holds: raise --max-tenants")
        }
        try write(settings, tenant: entry.number, isOpen: state.status != .closed, db)
        touch(tenant: entry.number, .whole)
    }

    private func restore(_ entry: borrowing CheckpointEntry.Profile, _ db: Database) throws {
        guard let settings = ProfileSettings(encoded: entry.settings) else {
            throw ProjectionError(.journal, "a profile's settings cannot be read")
        }
        guard let owner = fold.tenant(entry.tenant),
            fold.restore(
                StateFold.Profile(state: entry.state, tenant: entry.tenant), profile: entry.number)
        else {
            throw ProjectionError(
                .journal, "profile \(entry.number) belongs to no tenant, or there is no room for it"
            )
        }
        try write(
            settings, profile: entry.number, of: entry.tenant,
            isOpen: !entry.state.closed && owner.status != .closed, db)
        touchedProfiles.insert(entry.number)
    }
}
