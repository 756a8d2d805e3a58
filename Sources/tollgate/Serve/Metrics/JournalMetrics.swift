internal import Engine
internal import Journal
internal import Telemetry

/// The journal and the disk it is on; without a journal (--durability memory) there are none of these.
struct JournalMetrics: MetricGroup {
    static let title = "Journal and disk"

    let open = Metric.gauge(
        "tollgate_journal_open", "1: changes can be recorded; 0: they are refused, or wait")
    let failed = Metric.gauge(
        "tollgate_journal_failed", "1: a write or sync has failed, and the process ends")
    let commits = Metric.counter(
        "tollgate_journal_commits", "Group commits: one write and one sync of all that waits")
    let records = Metric.counter("tollgate_journal_records", "Records written")
    let written = Metric.counter("tollgate_journal_written_bytes", "Bytes written, frames included")
    let commitTimes = Metric.histogram(
        "tollgate_journal_commit_duration_seconds", "Time of a group commit: write and sync")
    let syncTimes = Metric.histogram(
        "tollgate_journal_sync_duration_seconds", "Time of a sync (fdatasync)")
    let commitAge = Metric.gauge(
        "tollgate_journal_commit_age_seconds",
        "For how long the group commit that is under way has lasted; 0: none is. More than a second: the disk is stalled"
    )
    let waiting = Metric.gauge(
        "tollgate_journal_waiting_bytes", "Records in memory that are not on disk yet")
    let ring = Metric.gauge(
        "tollgate_journal_ring_fill_ratio",
        "How full the fullest ring is, 0 to 1: an event loop whose ring is full makes callers wait")
    let segments = Metric.gauge("tollgate_journal_segments", "Segment files")
    let kept = Metric.gauge("tollgate_journal_kept_bytes", "Bytes of the segments that are kept")
    let limit = Metric.gauge(
        "tollgate_journal_limit_bytes", "Maximum bytes of segments: --journal-maximum")
    let checkpoints = Metric.counter(
        "tollgate_checkpoints", "Checkpoints made, and attempts that failed", by: "outcome")
    let checkpointAge = Metric.gauge(
        "tollgate_checkpoint_age_seconds",
        "Since the last checkpoint was made; since the start, if none was made")
    let checkpointTime = Metric.gauge(
        "tollgate_checkpoint_duration_seconds",
        "How long the last checkpoint took; 0: none was made")
    let uncovered = Metric.gauge(
        "tollgate_checkpoint_uncovered_bytes",
        "Sealed segments that the last checkpoint does not cover: a start replays them")
    let diskFree = Metric.gauge(
        "tollgate_disk_free_bytes", "Free space on the file system of --data-dir")
    let diskSize = Metric.gauge("tollgate_disk_size_bytes", "Size of the file system of --data-dir")
}

extension ServiceMetrics {
    /// - Parameter space: nil: it is not known now, or nothing is kept.
    func journalFamilies(_ space: DiskSpace?) -> [MetricFamily] {
        guard let journal = engine.journalFigures else { return [] }
        let metrics = MetricCatalogue.journal
        var checkpoints = MetricFamily(metrics.checkpoints)
        checkpoints.add(.count(journal.checkpoints.made), "made")
        checkpoints.add(.count(journal.checkpoints.failed), "failed")
        var families = [
            MetricFamily(metrics.open, journal.isOpen),
            MetricFamily(metrics.failed, journal.hasFailed),
            MetricFamily(metrics.commits, journal.status.rounds),
            MetricFamily(metrics.records, journal.status.records),
            MetricFamily(metrics.written, journal.status.bytes),
            MetricFamily(metrics.commitTimes, journal.roundTimes),
            MetricFamily(metrics.syncTimes, journal.syncTimes),
            MetricFamily(metrics.commitAge, Self.seconds(journal.roundAge)),
            MetricFamily(metrics.waiting, journal.bytesWaiting),
            MetricFamily(metrics.ring, journal.fullestRing),
            MetricFamily(metrics.segments, journal.segments),
            MetricFamily(metrics.kept, journal.bytesKept),
            MetricFamily(metrics.limit, journal.maximumBytes),
            checkpoints,
            MetricFamily(metrics.checkpointAge, Self.seconds(journal.checkpoints.age)),
            MetricFamily(
                metrics.checkpointTime, Self.seconds(journal.checkpoints.lastDuration ?? 0)),
            MetricFamily(metrics.uncovered, journal.checkpoints.bytesUncovered),
        ]
        if let space {
            families.append(MetricFamily(metrics.diskFree, space.free))
            families.append(MetricFamily(metrics.diskSize, space.size))
        }
        return families
    }

    private static func seconds(_ nanoseconds: Int64) -> Double { Double(nanoseconds) / 1e9 }
}
