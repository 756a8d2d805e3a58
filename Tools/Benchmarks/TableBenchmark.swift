internal import Glibc
internal import Limits
internal import Reservations
internal import Synchronization

/// The table in process: a call is a look-up, a decision and a hold with expiry and record, or its release.
///
/// Time is simulated: it advances by one millisecond every `callsPerMillisecond` calls, so that holds (1 s) and the
/// memory of settled ones (1 s) come and go in the measured loop as they would at that rate.
struct TableBenchmark {
    var tenants = 1_000
    var calls = 20_000_000
    var threads = 1
    var withProfile = false
    var keyed = false
    var random = false
    var oneTenant = false
    var callsPerMillisecond = 16

    struct Result {
        var callsPerSecond: Double
        var denied: Int
    }

    /// The calendar of the benchmark: one cycle and one day for ever.
    struct OneCycle: WindowSchedules {
        func cycle(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
            CycleWindow(start: 0, end: .max)
        }
        func day(schedule: UInt32, containing now: Int64, notBefore: Int64?) -> CycleWindow {
            CycleWindow(start: 0, end: .max)
        }
    }

    static let start: Int64 = 1_800_000_000_000

    func makeTable() throws -> ReservationTable {
        let table = try ReservationTable(
            capacity: TableCapacity(
                tenants: max(tenants, 16), profiles: max(tenants, 16), reservations: 8_000_000,
                keys: 8_000_000, lanes: 8, retention: 1_000),
            schedules: OneCycle())
        let lane = try table.makeLane(now: Self.start)
        let limits = TenantLimits(
            monthlySpendNanos: .max / 4, maxExtensions: 1_000_000, maxDIDs: 1_000_000,
            monthlyCallSeconds: 1_000_000_000, autoSuspend: true)
        for index in 0..<tenants {
            let id = Self.tenantID(index)
            _ = try lane.setTenant(id, TenantPolicy(limits: limits), now: Self.start)
            if withProfile {
                _ = try lane.setProfile(
                    Self.profileID(index), of: id,
                    ProfilePolicy(enabled: true, dailySpendNanos: .max / 4), now: Self.start)
            }
        }
        lane.retire()
        return table
    }

    static func tenantID(_ index: Int) -> String { id("be3eb60a-a346-470a-886c-", index) }
    static func profileID(_ index: Int) -> String { id("3fa85f64-5717-4562-b3fc-", index) }
    private static func id(_ prefix: String, _ index: Int) -> String {
        let digits = String(index, radix: 16)
        return prefix + String(repeating: "0", count: 12 - digits.count) + digits
    }

    /// What one thread asks about; made before the clock runs.
    struct Workload {
        let ids: IDs
        let profiles: IDs
        let count: Int
        let offset: Int

        func deallocate() {
            ids.deallocate()
            profiles.deallocate()
        }
    }

    /// The tenants `offset, offset + stride, …`, or the one that all threads share.
    func workload(offset: Int, stride: Int) -> Workload {
        let count = oneTenant ? 1 : tenants / stride
        let number = { (index: Int) in oneTenant ? 0 : index * stride + offset }
        return Workload(
            ids: IDs(count: count) { Self.tenantID(number($0)) },
            profiles: IDs(count: withProfile ? count : 0) { Self.profileID(number($0)) },
            count: count, offset: offset)
    }

    /// One thread's calls. Returns how many were not admitted, or not released.
    func run(_ lane: Lane, _ workload: Workload, _ clocks: SimulatedClocks) -> Int {
        let (ids, profiles, count, offset) = (
            workload.ids, workload.profiles, workload.count, workload.offset
        )
        var amounts = Amounts()
        amounts.set(Resource.spend.index, 4_000_000)
        var command = CheckCommand(tenantID: ids[0], action: .sendMessage, amounts: amounts)
        command.ttlMilliseconds = 1_000
        let keyBytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 36, alignment: 8)
        defer { keyBytes.deallocate() }
        keyBytes.initializeMemory(as: UInt8.self, repeating: 0x61)
        var answer = CheckAnswer()
        var released = ReleaseAnswer()
        var now = Self.start
        var untilTick = 0
        var denied = 0
        var state: UInt64 = 88_172_645_463_325_252 &+ UInt64(offset)
        var index = 0
        for call in 0..<calls / 2 {
            if random {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                index = Int(truncatingIfNeeded: state >> 11) % count
            } else {
                index += 1
                if index == count { index = 0 }
            }
            command.tenantID = ids[index]
            if withProfile { command.profileID = profiles[index] }
            if keyed {
                keyBytes.storeBytes(of: UInt64(call) << 8 | UInt64(offset), as: UInt64.self)
                command.idempotencyKey = BorrowedBytes(keyBytes)
            }
            if lane.check(command, now: now, answer: &answer) != nil
                || answer.decision != .allowed
                || lane.release(answer.reservationID, now: now, answer: &released) != nil
            {
                denied += 1
            }
            untilTick += 2
            if untilTick >= 8 * callsPerMillisecond {
                untilTick = 0
                now += 8
                clocks.wait(offset, until: now)
                lane.tick(now: now)
            }
        }
        clocks.end(offset)
        return denied
    }
}

/// The simulated times of threads that run at once. A table's lanes share one time: a thread that is held up must not
/// find its holds expired by one that is seconds ahead.
final class SimulatedClocks: Sendable {
    /// Less than the silence after which a lane is taken over, and than a hold lives; milliseconds.
    private static let furthestAhead: Int64 = 200

    private let first = Atomic<Int64>(0)
    private let second: Atomic<Int64>

    /// - Parameter threads: one or two.
    init(threads: Int) { second = Atomic(threads == 1 ? .max : 0) }

    /// Says that a thread has come to `now`; returns when the other one is not far behind.
    func wait(_ thread: Int, until now: Int64) {
        set(thread, now)
        while now - time(of: 1 - thread) > Self.furthestAhead { sched_yield() }
    }

    /// Nobody waits for this thread any more.
    func end(_ thread: Int) { set(thread, .max) }

    private func set(_ thread: Int, _ now: Int64) {
        if thread == 0 {
            first.store(now, ordering: .relaxed)
        } else {
            second.store(now, ordering: .relaxed)
        }
    }

    private func time(of thread: Int) -> Int64 {
        thread == 0 ? first.load(ordering: .relaxed) : second.load(ordering: .relaxed)
    }
}

/// Ids side by side in memory.
struct IDs {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int, _ make: (Int) -> String) {
        bytes = .allocate(byteCount: max(1, count) * 36, alignment: 8)
        for index in 0..<count {
            var id = make(index)
            id.withUTF8 { source in
                UnsafeMutableRawBufferPointer(rebasing: bytes[index * 36..<(index + 1) * 36])
                    .copyMemory(from: UnsafeRawBufferPointer(source))
            }
        }
    }

    subscript(index: Int) -> BorrowedBytes {
        BorrowedBytes(rebasing: bytes[index * 36..<(index + 1) * 36])
    }

    func deallocate() { bytes.deallocate() }
}
