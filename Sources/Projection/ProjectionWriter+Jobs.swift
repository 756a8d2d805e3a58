import Engine
import Events
import GRDB
import Limits

/// Something that follows from one record and may concern any number of rows: it is done in steps, and the file says how
/// far it is.
struct Job: Equatable {
    enum Kind: Int {
        /// What is on its way to a recipient follows its setting: to where that says now, or nowhere. Subject: the name.
        case redirect = 0
        /// The messaging profiles of a tenant that was closed. Subject: its number.
        case closeProfiles = 1
        /// What waits for a later time than the clock's, which was set back. Subject: that time.
        case hasten = 2
    }

    var kind: Kind
    var subject: String
    /// Rows up to this number are done.
    var after: Int64 = -1
}

extension ProjectionWriter {
    /// Rows of one step.
    private static let step = 500

    /// Does the first step of something, and the rest later.
    func begin(_ kind: Job.Kind, _ subject: String, _ db: Database) throws {
        jobs.removeAll { $0.kind == kind && $0.subject == subject }
        var job = Job(kind: kind, subject: subject)
        if try step(&job, db) {
            try db.run(.forgetJob, [kind.rawValue, subject])
        } else {
            jobs.append(job)
            try db.run(.writeJob, [kind.rawValue, subject, job.after])
        }
    }

    /// Does one more step, if there is anything to do.
    func doNextStep(_ db: Database) throws {
        guard var job = jobs.first else { return }
        let isDone = try step(&job, db)
        if isDone {
            jobs.removeFirst()
            try db.run(.forgetJob, [job.kind.rawValue, job.subject])
            // Nothing was handed out meanwhile.
            hasDeliveries = true
        } else {
            jobs[0] = job
            try db.run(.writeJob, [job.kind.rawValue, job.subject, job.after])
        }
    }

    /// True: all is done.
    private func step(_ job: inout Job, _ db: Database) throws -> Bool {
        switch job.kind {
        case .redirect: try redirect(&job, db)
        case .closeProfiles: try closeProfiles(job, db)
        case .hasten: try hasten(job, db)
        }
    }

    /// What is due by a clock that was too far ahead is due at once: its pause is over, or nobody knows when it will be.
    func hasten(_ setting: ServiceSetting, now: Int64, _ db: Database) throws {
        guard !isTold, setting.name.hasSameBytes(as: AcceptedClock.setting) else { return }
        try begin(.hasten, "\(now)", db)
    }

    private func hasten(_ job: Job, _ db: Database) throws -> Bool {
        guard let time = Int64(job.subject) else { return true }
        let ids: [Int64] = try db.values(.dueLater, [time, Self.step])
        for id in ids { try db.run(.haveDue, [time, id]) }
        if !ids.isEmpty { hasDeliveries = true }
        return ids.count < Self.step
    }

    private func redirect(_ job: inout Job, _ db: Database) throws -> Bool {
        let channel = recipients.channel(job.subject)
        let rows = try db.rows(.onItsWay, [job.subject, job.after, Self.step])
        for row in rows {
            let id: Int64 = try row.value("id")
            job.after = id
            guard let channel else {
                try db.run(.giveUp, [max(time, record.time), id])
                continue
            }
            let (_, target, failover) = EventRows.columns(channel)
            let before: (target: String, failover: String) = (
                try row.value("target"), try row.value("failover")
            )
            if before.target.hasSameBytes(as: target) && before.failover.hasSameBytes(as: failover)
            {
                continue
            }
            try db.run(.redirect, [target, failover, DeliveryPlace(channel).name, id])
        }
        return rows.count < Self.step
    }

    private func closeProfiles(_ job: Job, _ db: Database) throws -> Bool {
        guard let tenant = Int64(job.subject) else { return true }
        let numbers: [Int64] = try db.values(.openProfiles, [tenant, Self.step])
        for number in numbers { try db.run(.closeProfile, [number]) }
        return numbers.count < Self.step
    }
}
