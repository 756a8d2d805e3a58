import CLinux
import Journal
package import Limits
import Reservations

/// Plays a journal back into a table that nobody serves from yet: what recovery and the checkpoint's fold have in common.
///
/// Records of one tenant take effect in the order of their versions, wherever they stand: one that comes before its
/// predecessor waits for it. What still waits when a process' records end was never acknowledged, and is dropped.
struct Replayer {
    /// What was played back.
    struct Statistics: Sendable, Equatable {
        var records = 0
        /// Second copies.
        var duplicates = 0
        /// Without a predecessor when their process had ended: never acknowledged.
        var dropped = 0
        /// The latest engine time and life time on record, Unix milliseconds; 0: there is none.
        var time: Int64 = 0
        var life: Int64 = 0
    }

    let lane: Lane
    let schedules: Schedules
    /// Keys that are over by then are left out, life time; so are those that are over by the latest one on record.
    let now: Int64
    var tenants = SettingsByID<TenantSettings>()
    var profiles = SettingsByID<ProfileSettings>()
    /// Settings of the whole service, and how often one was changed.
    var settings: [String: String] = [:]
    var settingsVersion: UInt64 = 0
    private(set) var statistics = Statistics()
    private var outOfOrder = OutOfOrderRecords()
    /// What is over by then is over for certain: life time does not go back.
    private var leastLife: Int64 { max(now, statistics.life) }
    private var record = Record(.reserved)

    init(_ lane: Lane, _ schedules: Schedules, now: Int64) {
        self.lane = lane
        self.schedules = schedules
        self.now = now
    }

    /// Plays records back that lie one behind the other. O(records)
    mutating func playAll(_ block: UnsafeBufferPointer<UInt64>) throws(EngineError) {
        var far = KeysAhead(block, lane)
        var near = KeysAhead(block, lane)
        for _ in 0..<2 * Self.distance { far.fetchBucket() }
        for _ in 0..<Self.distance { near.fetchEntry() }
        try block.forEachRecord { (words) throws(EngineError) in
            far.fetchBucket()
            near.fetchEntry()
            try play(words)
        }
    }

    /// So many records are played while memory is fetched for a later one.
    private static let distance = 6

    /// Plays one record back. O(1) but for those that waited for it.
    mutating func play(_ words: UnsafeBufferPointer<UInt64>) throws(EngineError) {
        statistics.records += 1
        if words.isCheckpointEntry {
            try restore(words)
            return
        }
        guard try apply(words) else {
            outOfOrder.add(words)
            return
        }
        if !outOfOrder.isEmpty { try playWaiting(record.tenant) }
    }

    /// A process begins: nothing that still waits will find its predecessor.
    mutating func beginProcess() { statistics.dropped += outOfOrder.beginProcess() }

    /// What waits for a predecessor, for a checkpoint to carry on.
    var waiting: [[UInt64]] { outOfOrder.all }

    /// Hands over everything that was played back as entries of a checkpoint, and the records that still wait.
    ///
    /// - Parameter now: the latest time on record.
    func forEachEntry<E: Error>(
        now: EngineTime, _ body: (UnsafeBufferPointer<UInt64>) throws(E) -> Void
    ) throws(E) {
        func hand(_ entry: borrowing CheckpointEntry.Encoder) throws(E) {
            try entry.words.withUnsafeBufferPointer { (words) throws(E) in try body(words) }
        }
        var entry = CheckpointEntry.Encoder()
        entry.clock(time: now.windows, life: now.lives)
        try hand(entry)
        try lane.table.forEachEntry(
            now: now.lives, tenantText: { tenants[$0]?.encoded ?? [] },
            profileText: { profiles[$0]?.encoded ?? [] }, hand)
        for (name, value) in settings {
            entry.setting(
                ServiceSetting(name: name, value: value).encoded, version: settingsVersion,
                time: now.windows)
            try hand(entry)
        }
        for words in waiting {
            try words.withUnsafeBufferPointer { (words) throws(E) in try body(words) }
        }
    }

    private mutating func playWaiting(_ tenant: UInt32) throws(EngineError) {
        while let next = outOfOrder.next(of: tenant) {
            let played = try next.withUnsafeBufferPointer { words throws(EngineError) in
                try apply(words)
            }
            guard played else { return }
            outOfOrder.removeNext(of: tenant)
        }
    }

    /// False: its predecessor is missing so far.
    private mutating func apply(_ words: UnsafeBufferPointer<UInt64>) throws(EngineError) -> Bool {
        do throws(RecordError) {
            try record.read(words)
        } catch {
            throw EngineError(.invalid, "\(error)")
        }
        statistics.time = max(statistics.time, record.time)
        statistics.life = max(statistics.life, record.life)
        let replayed: Replayed
        switch record.kind {
        // They changed nothing; the projection counts them.
        case .refusals: return true
        case .tenantCreated, .tenantChanged: replayed = try applyTenant()
        case .profileCreated, .profileChanged: replayed = try applyProfile()
        case .settingChanged:
            replayed = try applySetting(record.text, version: record.version)
            // The time on record before it was wrong.
            if isAcceptedClock(record.text) {
                statistics.time = record.time
            }
        case .time: replayed = .applied
        default: replayed = lane.replay(record, now: leastLife)
        }
        switch replayed {
        case .applied: return true
        case .duplicate:
            statistics.duplicates += 1
            return true
        case .outOfOrder: return false
        case .corrupt(let what):
            throw EngineError(
                .invalid,
                "version \(record.version) of tenant \(record.tenant) (\(record.kind)): \(what)")
        }
    }

    /// Takes an entry of a checkpoint over.
    private mutating func restore(_ words: UnsafeBufferPointer<UInt64>) throws(EngineError) {
        let entry: CheckpointEntry
        do throws(RecordError) {
            entry = try CheckpointEntry(words)
        } catch {
            throw EngineError(.invalid, "\(error)")
        }
        switch entry {
        case .clock(let time, let life):
            statistics.time = max(statistics.time, time)
            statistics.life = max(statistics.life, life)
        case .tenant(let tenant): try restore(tenant)
        case .profile(let profile): try restore(profile)
        case .setting(let version, let text): _ = try applySetting(text, version: version)
        case .table(let latestGeneration): lane.restore(latestGeneration: latestGeneration)
        case .reservation(let reservation):
            guard lane.restore(reservation) else {
                throw Self.doesNotFit("reservation", "--max-reservations and --max-amended")
            }
        case .key(let key):
            guard lane.restore(key, now: leastLife) else {
                throw Self.doesNotFit("key", "--max-remembered")
            }
        }
    }

    private mutating func restore(_ entry: CheckpointEntry.Tenant) throws(EngineError) {
        guard let settings = TenantSettings(encoded: entry.settings) else {
            throw Self.unreadableSettings("tenant", entry.number)
        }
        let schedule = try schedules.number(
            cycleDay: settings.billingCycleDay, timeZone: settings.timeZone,
            now: statistics.time)
        try placed(settings.id) { (id) throws(TableError) in
            try lane.restore(entry, id, schedule: schedule)
        }
        tenants[settings.id] = settings
    }

    private mutating func restore(_ entry: CheckpointEntry.Profile) throws(EngineError) {
        guard let settings = ProfileSettings(encoded: entry.settings) else {
            throw Self.unreadableSettings("profile", entry.number)
        }
        try placed(settings.id) { (id) throws(TableError) in try lane.restore(entry, id) }
        profiles[settings.id] = settings
    }

    private static func unreadableSettings(_ what: String, _ number: UInt32) -> EngineError {
        EngineError(
            .invalid,
            """
            the settings of \(what) \(number) cannot be read; if a later release wrote them, run \
            that one
            """)
    }

    private static func doesNotFit(_ what: String, _ bounds: String) -> EngineError {
        EngineError(
            .invalid,
            "a \(what) entry does not fit: \(bounds) must not be lower than before")
    }

    private mutating func applySetting(
        _ text: BorrowedBytes, version: UInt64
    ) throws(EngineError) -> Replayed {
        guard let setting = ServiceSetting(encoded: text) else {
            throw EngineError(.invalid, "a setting of the service cannot be read")
        }
        // Entries of a checkpoint share a version; of records, one lane writes them all.
        guard version >= settingsVersion else { return .duplicate }
        settingsVersion = version
        settings[setting.name] = setting.value.isEmpty ? nil : setting.value
        return .applied
    }

    private func isAcceptedClock(_ text: BorrowedBytes) -> Bool {
        ServiceSetting(encoded: text)?.name == AcceptedClock.setting
    }

    private mutating func applyTenant() throws(EngineError) -> Replayed {
        guard let settings = TenantSettings(encoded: record.text) else {
            throw EngineError(.invalid, "the settings of tenant \(record.tenant) cannot be read")
        }
        let policy = TenantPolicy(
            settings,
            schedule: try schedules.number(
                cycleDay: settings.billingCycleDay, timeZone: settings.timeZone, now: record.time))
        let replayed = try placed(settings.id) { (id) throws(TableError) in
            try lane.replay(record, id, policy)
        }
        if replayed == .applied { tenants[settings.id] = settings }
        return replayed
    }

    private mutating func applyProfile() throws(EngineError) -> Replayed {
        guard let settings = ProfileSettings(encoded: record.text) else {
            throw EngineError(.invalid, "the settings of a profile cannot be read")
        }
        let replayed = try placed(settings.id) { (id) throws(TableError) in
            try lane.replay(record, id, ProfilePolicy(settings))
        }
        if replayed == .applied { profiles[settings.id] = settings }
        return replayed
    }

    private func placed<T>(
        _ id: String, _ place: (BorrowedBytes) throws(TableError) -> T
    ) throws(EngineError) -> T {
        let result = id.withBorrowedBytes { bytes in
            Result { () throws(TableError) in try place(bytes) }
        }
        do throws(TableError) {
            return try result.get()
        } catch {
            throw EngineError(.invalid, "\(error)")
        }
    }
}

/// The keys of the records that stand some way in front of those that are played back: where each belongs in the
/// memory of keys is anywhere, and waiting for it would take a quarter of the time.
private struct KeysAhead {
    private let block: UnsafeBufferPointer<UInt64>
    private let lane: Lane
    private var place = 0

    init(_ block: UnsafeBufferPointer<UInt64>, _ lane: Lane) {
        self.block = block
        self.lane = lane
    }

    @inline(__always)
    mutating func fetchBucket() {
        if let key = next() { linux_prefetch(lane.bucket(ofKey: key)) }
    }

    @inline(__always)
    mutating func fetchEntry() {
        if let key = next(), let entry = lane.entry(ofKey: key) { linux_prefetch(entry) }
    }

    /// The next record's key; nil: it has none, or there is no record.
    @inline(__always)
    private mutating func next() -> UInt64? {
        guard place < block.count else { return nil }
        let length = RecordWords.count(block[place])
        guard length > 0, place + length <= block.count else {
            place = block.count
            return nil
        }
        defer { place += length }
        return RecordWords.keyLow(UnsafeBufferPointer(rebasing: block[place..<place + length]))
    }
}

extension TenantPolicy {
    package init(_ settings: TenantSettings, schedule: UInt32) {
        self.init(
            limits: settings.limits, onLimit: settings.onLimit,
            disclosesLimits: settings.disclosesLimits, schedule: schedule)
    }
}

extension ProfilePolicy {
    package init(_ settings: ProfileSettings) {
        self.init(
            kind: settings.kind, enabled: settings.dailySpendLimitEnabled,
            dailySpendNanos: settings.dailySpendLimitNanos)
    }
}
