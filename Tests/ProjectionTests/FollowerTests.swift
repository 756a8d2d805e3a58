import Engine
import Foundation
import Journal
import Limits
import TestKit
import Testing

@testable import Projection

/// Reading a journal while it is written.
@Suite struct FollowerTests {
    /// The records' versions and times, as a follower hands them over.
    private static func read(
        _ follower: JournalFollower, before end: JournalPlace
    ) throws -> (records: [UInt64], starts: Int) {
        var records: [UInt64] = []
        var starts = 0
        while let event = try follower.next(before: end) {
            switch event {
            case .start: starts += 1
            case .records(let payload, _): payload.forEachRecord { records.append($0[1]) }
            }
        }
        return (records, starts)
    }

    /// One follower reads along, over segment changes, marks and a restart; another reads all at the end.
    @Test func readsAlong() throws {
        let service = try ProjectedService(segmentBytes: 128 << 10)
        let feed = try #require(service.engine.journalFeed)
        let along = JournalFollower(feed.disk, id: feed.id, at: .start(ofSegment: 1))
        try service.setTenant(TenantSettings(id: "acme"))
        var seen: [UInt64] = []
        var starts = 0
        for step in 0..<6_000 {
            service.charge("acme", spend: 1)
            if step % 3 == 0 { service.flush() }
            if step % 7 == 0 {
                let feed = try #require(service.engine.journalFeed)
                let read = try Self.read(along, before: feed.durableEnd)
                seen += read.records
                starts += read.starts
            }
            if step == 3_000 { try service.restart() }
        }
        service.engine.runJournal()
        let end = try #require(service.engine.journalFeed).durableEnd
        #expect(end.segment > 3)
        let rest = try Self.read(along, before: end)
        seen += rest.records
        starts += rest.starts
        #expect(starts == 2)
        // Lanes' records stand side by side within a frame.
        // The time, which an orderly stop puts on record, is of no tenant and has no version.
        #expect(seen.filter { $0 > 0 }.sorted() == Array(1...6_001))
        #expect(along.position.place == end)
        let whole = JournalFollower(feed.disk, id: feed.id, at: .start(ofSegment: 1))
        #expect(try Self.read(whole, before: end).records == seen)
    }

    @Test func whatIsNotDurableIsNotRead() throws {
        let service = try ProjectedService()
        try service.setTenant(TenantSettings(id: "acme"))
        let feed = try #require(service.engine.journalFeed)
        let follower = JournalFollower(feed.disk, id: feed.id, at: .start(ofSegment: 1))
        #expect(try Self.read(follower, before: feed.durableEnd).records == [])
        // The round is written, but its sync fails.
        service.disk.faults.failingSyncIn = 1
        try? service.engine.awaitDurable()
        #expect(service.engine.hasFailed)
        #expect(try Self.read(follower, before: feed.durableEnd).records == [])
    }

    @Test func damageIsFound() throws {
        let service = try ProjectedService()
        try service.setTenant(TenantSettings(id: "acme"))
        service.engine.runJournal()
        let name = JournalFiles.segment(1)
        var bytes = try #require(service.disk.contents(name))
        bytes[4_096 + 48 + 48 + 20] ^= 1
        service.disk.setContents(name, bytes)
        let feed = try #require(service.engine.journalFeed)
        let follower = JournalFollower(feed.disk, id: feed.id, at: .start(ofSegment: 1))
        #expect {
            try Self.read(follower, before: feed.durableEnd)
        } throws: {
            ($0 as? JournalError)?.code == .damaged
        }
    }

    /// A journal that was cut grows again: what the file knew of the rest must be gone before, but for what was shown.
    @Test func whatWasCutIsForgottenButNotTheHistory() async throws {
        let service = try ProjectedService()
        try service.setTenant(TenantSettings(id: "acme"))
        try service.catchUp()
        let before = try #require(service.engine.journalFeed).durableEnd
        try service.setTenant(TenantSettings(id: "cut"))
        try service.catchUp()
        let end = try #require(service.engine.journalFeed).durableEnd
        #expect(before < end)
        let file = ProjectionFile(path: service.path)
        #expect(try !file.forget(behind: end))
        #expect(try file.forget(behind: before))
        #expect(try !file.forget(behind: before))
        // Here nothing was cut: what comes behind the place is told again, and only that.
        try service.openProjection()
        try service.catchUp()
        try await expectAgreement(service)
        let lines = try await service.projection.audit(AuditQuery(), Page()).rows
        #expect(lines.map(\.tenantID) == ["cut", "cut", "acme"])
        // What cannot be read the projection sees to.
        try service.openProjection { path in
            try ProjectedService.removeFile(path)
            try Data("no database".utf8).write(to: URL(fileURLWithPath: path))
            #expect(try !file.forget(behind: before))
            #expect(FileManager.default.fileExists(atPath: path))
        }
        try service.catchUp()
        try await expectAgreement(service)
    }

    /// A projection that is behind keeps the segments that it needs, and those before them go.
    @Test func segmentsAreHeld() throws {
        let service = try ProjectedService(segmentBytes: 128 << 10)
        try service.setTenant(TenantSettings(id: "acme"))
        try service.catchUp()
        func fill() {
            for step in 0..<3_000 {
                service.charge("acme", spend: 1)
                if step % 50 == 0 { service.flush() }
            }
        }
        func make() throws -> UInt64? {
            fill()
            try service.engine.makeCheckpoint()
            return try service.disk.segmentNumbers().first
        }
        _ = try make()
        _ = try make()
        #expect(try make() == 1)
        try service.catchUp()
        #expect(try #require(try make()) > 3)
    }

    /// But not for ever: beyond three quarters of the journal's bounds they go, and the projection begins anew.
    @Test func segmentsAreNotHeldForEver() async throws {
        let service = try ProjectedService(segmentBytes: 128 << 10, maximumBytes: 3 << 20)
        try service.setTenant(TenantSettings(id: "acme"))
        try service.catchUp()
        for _ in 0..<120 {
            for step in 0..<600 {
                service.charge("acme", spend: 1)
                if step % 50 == 0 { service.flush() }
            }
            try service.engine.makeCheckpoint()
        }
        #expect(try #require(try service.disk.segmentNumbers().first) > 1)
        try service.catchUp()
        try await expectAgreement(service)
        // Whoever asked had the time put on record.
        try service.catchUp()
        #expect(service.projection.status.trouble == nil)
        #expect(service.projection.status.behindBytes == 0)
    }
}
