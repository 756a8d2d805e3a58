import Engine
import Foundation
import Journal
import Limits
import TestKit
import Testing

@testable import Backup

/// A small service whose data directory is backed up.
struct BackedUpService {
    let disk: SimulatedDisk
    let engine: Engine
    /// Tenants that were acknowledged.
    var tenants = 0

    static let capacity = TableCapacity(
        tenants: 4_096, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 2)
    static let start: Int64 = 1_700_000_000_000

    init(seed: UInt64 = 1) throws {
        disk = SimulatedDisk(seed: seed)
        disk.setContents(JournalFiles.lock, [])
        engine = try Self.open(disk)
        disk.setContents("webhook-key", Array("key".utf8))
    }

    static func open(_ disk: SimulatedDisk) throws -> Engine {
        try Engine.simulated(capacity, on: disk, segmentBytes: 64 << 10) { _, settings in
            // What is not needed is removed at once.
            settings.retention = 0
            settings.companions = CompanionFiles.all
        }.engine
    }

    /// Adds tenants, one segment's worth by default.
    mutating func grow(by count: Int = 400) throws {
        for _ in 0..<count {
            tenants += 1
            try engine.setTenant(TenantSettings(id: "tenant-\(tenants)", name: "Name"))
            engine.runJournal()
        }
    }

    /// Fills segments, 400 changes each, with no more tenants.
    func churn(_ count: Int) throws {
        for number in 0..<count {
            try engine.setTenant(TenantSettings(id: "churned", name: "Name \(number)"))
            engine.runJournal()
        }
    }

    /// Whether a directory has the first tenants, and how many.
    static func tenants(_ disk: SimulatedDisk) throws -> Int {
        let engine = try open(disk)
        defer { engine.close() }
        var count = 0
        while engine.tenant("tenant-\(count + 1)") != nil { count += 1 }
        return count
    }

    static func backUp(
        _ source: any Disk, to target: any Disk, work: CopyWork = CopyWork(),
        now: Int64 = start, attempts: Int = 10
    ) throws(JournalError) -> BackupWriter.Report {
        try BackupWriter(from: source, to: target, work: work, attempts: attempts) {
            _ throws(JournalError) in nil
        }.run(now: now)
    }

    /// A data directory made from a backup.
    static func restore(_ backup: any Disk) throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: 9)
        disk.setContents(JournalFiles.lock, [])
        _ = try Restorer(from: backup, to: disk, work: CopyWork()).run()
        return disk
    }

    /// Two directories of the system's, for a data directory and for its backup.
    static func withDirectories(_ body: (SystemDisk, SystemDisk) throws -> Void) throws {
        let place = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-backup-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: place) }
        let paths = ["data", "backup"].map { place.appendingPathComponent($0) }
        for path in paths {
            try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
        }
        try body(SystemDisk(path: paths[0].path), SystemDisk(path: paths[1].path))
    }

    /// Has a directory hold what the service's holds.
    func fill(_ directory: SystemDisk) throws {
        for name in try disk.list() {
            try directory.replace(name, with: disk.contents(name) ?? [])
        }
    }
}
