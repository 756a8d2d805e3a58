package import Journal
package import Reservations
package import Telemetry

/// How the journal fares: what operators are shown.
package struct JournalFigures: Sendable {
    package var status: JournalStatus
    /// How long rounds that wrote something took, and the syncs among it.
    package var roundTimes: LatencyHistogram
    package var syncTimes: LatencyHistogram
    /// For how long the round that is under way has lasted, nanoseconds; 0: none is.
    package var roundAge: Int64
    /// Segments that are kept, and the one that is prepared.
    package var segments: Int
    package var bytesKept: Int
    package var maximumBytes: Int
    /// Whether changes are let in, and whether a write or sync has failed for good.
    package var isOpen: Bool
    package var hasFailed: Bool
    /// Bytes of records that are in rings and not on disk.
    package var bytesWaiting: Int
    /// How much of the fullest ring they are, 0 ... 1.
    package var fullestRing: Double
    package var checkpoints: CheckpointFigures
}

/// What has come of checkpoints since the process began.
package struct CheckpointFigures: Sendable {
    package var made: UInt64 = 0
    package var failed: UInt64 = 0
    /// How long the last one took, nanoseconds; nil: none was made.
    package var lastDuration: Int64?
    /// For how long it has been there, or, where none was made, the checkpointer; nanoseconds.
    package var age: Int64 = 0
    /// Bytes of segments that are sealed and that the newest one does not cover.
    package var bytesUncovered = 0
}

extension Engine {
    /// How the journal fares; nil: there is none. Any thread, without waiting for the disk.
    ///
    /// - Complexity: O(lanes)
    package var journalFigures: JournalFigures? {
        guard let journal else { return nil }
        let writer = journal.writer
        var waiting = 0
        var fullest = 0.0
        for ring in rings {
            // In this order, so that there is never less than nothing.
            let durable = ring.durable
            let words = Int(ring.published - durable)
            waiting += words * 8
            fullest = max(fullest, Double(words) / Double(ring.capacity))
        }
        return JournalFigures(
            status: writer.currentStatus, roundTimes: writer.roundTimes.histogram,
            syncTimes: writer.syncTimes.histogram, roundAge: writer.roundAge,
            segments: writer.segmentCount, bytesKept: writer.bytesKept,
            maximumBytes: writer.configuration.maximumBytes, isOpen: writer.isOpen,
            hasFailed: writer.hasFailed, bytesWaiting: waiting, fullestRing: min(1, fullest),
            checkpoints: journal.checkpointer.figures)
    }

    /// Whether anything is in rings that is not on disk with all that it builds on.
    ///
    /// - Complexity: O(lanes)
    package var hasUnsettledRecords: Bool {
        // In this order: what is published in between counts.
        rings.contains { ring in
            let settled = ring.settled
            return ring.published != settled
        }
    }

    /// What has become of holds.
    package var holdTotals: HoldTotals { table.holdTotals }

    /// Tenants and profiles that have a place in the table, deleted ones included: ids are never used again.
    package var placesInUse: (tenants: Int, profiles: Int) {
        (table.tenantCount, table.profileCount)
    }
}
