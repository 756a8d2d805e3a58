import Foundation
import GRDB
import Journal
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Projection

/// Random histories: what the projection shows is what the engine says, however it came to know of it.
@Suite struct HistoryTests {
    /// Lives through a history, with something done every so often.
    private static func live(
        _ service: ProjectedService, seed: UInt64, steps: Int,
        _ meanwhile: (Int) async throws -> Void
    ) async throws {
        var model = NaiveModel(now: ProjectedService.start)
        var options = OperationGenerator.Options()
        options.timeZones = ["UTC", "Europe/Berlin", "America/Sao_Paulo"]
        var generator = OperationGenerator(seed: seed, options: options)
        for step in 0..<steps {
            let operation = generator.next(model)
            _ = model.perform(operation)
            service.perform(operation)
            if step % 5 == 4 { service.flush() }
            try await meanwhile(step)
        }
    }

    /// A history may last for months: what is made anew has no old events, what lived through it may still have some.
    private static func keepAll(_ service: ProjectedService) throws {
        service.configuration.eventRetention = 3_650 * 86_400_000
        service.configuration.auditRetention = 3_650 * 86_400_000
        try service.openProjection()
    }

    @Test(arguments: Array(1...12) as [UInt64])
    func totalsAreTheEngines(_ seed: UInt64) async throws {
        let service = try ProjectedService(seed: seed)
        try await Self.live(service, seed: seed, steps: 1_500) { step in
            guard step % 100 == 99 else { return }
            try service.catchUp()
            try await expectAgreement(service, "step \(step) of seed \(seed)")
        }
    }

    @Test(arguments: [21, 22, 23] as [UInt64])
    func restartsGoOnWithoutARebuild(_ seed: UInt64) async throws {
        let service = try ProjectedService(seed: seed)
        var reference: [Int64] = []
        try await Self.live(service, seed: seed, steps: 1_200) { step in
            if step % 70 == 69 { try service.catchUp() }
            if step % 150 == 149 {
                // Whatever was taken up stays: ids of lines are not made anew, nor is the file.
                let before = try await Shown.all {
                    try await service.projection.audit(AuditQuery(), $0)
                }.map(\.id)
                #expect(before.suffix(reference.count) == reference[...])
                reference = before
                if step % 300 == 149 { try service.restart() } else { try service.openProjection() }
                try service.catchUp()
                try await expectAgreement(service, "step \(step) of seed \(seed)")
            }
        }
    }

    /// Without its file the projection finds the same again: rows, lines, ids of events, deliveries, days.
    @Test(arguments: [31, 32, 33] as [UInt64])
    func deletedFilesAreMadeAnew(_ seed: UInt64) async throws {
        let service = try ProjectedService(seed: seed)
        try Self.keepAll(service)
        try service.engine.setSetting(
            "webhook-endpoint/1",
            """
            {"id":"1","url":"https://example.com/","failoverURL":"","description":"",\
            "enabled":true,"eventTypes":[],"createdAt":1,"updatedAt":1}
            """)
        try await Self.live(service, seed: seed, steps: 1_500) { step in
            if step % 90 == 89 { try service.catchUp() }
        }
        try service.catchUp()
        let before = try await Shown(service)
        #expect(before.events.count > 20 && before.deliveries.count == before.events.count)
        #expect(before.audit.count > 50)
        // However long ago it was: what may have been sent is sent again.
        service.configuration.attemptsGoOn = .max / 2
        try service.restart(ProjectedService.removeFile)
        try service.catchUp()
        var after = try await Shown(service)
        // Which deliveries came first is not kept: they are numbered by when they were added.
        #expect(after == before)
        // Also in slices of one frame each.
        service.configuration.sliceRecords = 1
        try service.openProjection(ProjectedService.removeFile)
        try service.catchUp()
        after = try await Shown(service)
        #expect(after == before)
    }

    @Test(arguments: [41, 42] as [UInt64])
    func crashesLoseNothingThatWasShown(_ seed: UInt64) async throws {
        let service = try ProjectedService(seed: seed)
        // Months pass; nothing goes because of its age.
        service.configuration.eventRetention = .max / 2
        try service.openProjection()
        try await Self.live(service, seed: seed, steps: 900) { step in
            if step % 40 == 39 { try service.catchUp() }
            if step % 130 == 129 {
                let before = try await Shown(service)
                try service.crash()
                try service.catchUp()
                let after = try await Shown(service)
                let lines = after.audit.suffix(before.audit.count)
                #expect(
                    lines.map(AuditRow.init(withoutCount:))
                        == before.audit.map(AuditRow.init(withoutCount:)))
                // Refusals that were not taken up yet are counted on a line that was shown.
                #expect(zip(lines, before.audit).allSatisfy { $0.count >= $1.count })
                #expect(after.events.suffix(before.events.count) == before.events[...])
                try await expectAgreement(service, "step \(step) of seed \(seed)")
            }
        }
    }

    /// The first segments are gone: the oldest checkpoint says how things stood, and the rest follows.
    @Test(arguments: [51, 52] as [UInt64])
    func checkpointsAreABeginning(_ seed: UInt64) async throws {
        let service = try ProjectedService(seed: seed, segmentBytes: 32 << 10)
        try await Self.live(service, seed: seed, steps: 3_000) { step in
            guard step % 500 == 499 else { return }
            try service.catchUp()
            try service.engine.makeCheckpoint()
        }
        try service.catchUp()
        let before = try await Shown(service)
        let first = try #require(try service.disk.segmentNumbers().first)
        #expect(first > 1, "the history is too short")
        try service.restart(ProjectedService.removeFile)
        try service.catchUp()
        try await expectAgreement(service, "seed \(seed)")
        let after = try await Shown(service)
        // What came before is lost; what is left is the same.
        #expect(after.audit.count < before.audit.count && !after.audit.isEmpty)
        // But for refusals that are counted on one line: of the first lines' some are lost.
        let lines = after.audit.filter { !$0.isCounted }.map { AuditRow(withoutID: $0) }
        let shown = before.audit.filter { !$0.isCounted }.map { AuditRow(withoutID: $0) }
        #expect(!lines.isEmpty && lines[...] == shown.prefix(lines.count))
        #expect(after.events[...] == before.events.prefix(after.events.count))
    }

    @Test(arguments: [0, 3_000, 40_000])
    func damagedFilesAreMadeAnew(_ place: Int) async throws {
        let service = try ProjectedService(seed: 61)
        try Self.keepAll(service)
        try await Self.live(service, seed: 61, steps: 600) { step in
            if step % 90 == 89 { try service.catchUp() }
        }
        try service.catchUp()
        let before = try await Shown(service)
        try service.restart { path in
            let queue = try DatabaseQueue(path: path)
            try queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
            try queue.close()
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            for index in place..<max(place, min(bytes.count, place + 200_000)) {
                bytes[index] = UInt8(truncatingIfNeeded: index * 7)
            }
            try bytes.write(to: URL(fileURLWithPath: path))
        }
        try service.catchUp()
        // Damage that the follower does not come across is found by a query.
        if (try? await Shown(service)) == nil { try service.catchUp() }
        let after = try await Shown(service)
        #expect(after == before)
    }

    @Test func otherVersionsAndJournalsAreMadeAnew() async throws {
        let service = try ProjectedService(seed: 71)
        try service.setTenant(TenantSettings(id: "acme"))
        try service.catchUp()
        let other = try ProjectedService(seed: 72)
        try other.setTenant(TenantSettings(id: "other"))
        try other.catchUp()
        // The other journal's file, under this one's name.
        try service.openProjection { path in
            try ProjectedService.removeFile(path)
            try FileManager.default.copyItem(atPath: other.path, toPath: path)
            try FileManager.default.copyItem(atPath: other.path + "-wal", toPath: path + "-wal")
        }
        try service.catchUp()
        try await expectAgreement(service)
        let list = try await service.projection.tenants(TenantQuery(), Page())
        #expect(list.rows.map(\.settings.id) == ["acme"])
        try service.openProjection { path in
            try ProjectedService.removeFile(path)
            try Data().write(to: URL(fileURLWithPath: path))
        }
        try service.catchUp()
        try await expectAgreement(service)
    }
}

extension AuditRow {
    /// Lines are numbered by their time; of those of one time a rebuilt projection may have lost the first.
    init(withoutID row: AuditRow) {
        self = row
        id = 0
    }

    /// Refusals that raised nothing, or charges that were taken back, on one line.
    var isCounted: Bool { (kind == "denied" || kind == "reversed") && events.isEmpty }

    /// Without how many refusals it stands for, which may grow.
    init(withoutCount row: AuditRow) {
        self = row
        (count, lastTime) = (1, 0)
    }
}
