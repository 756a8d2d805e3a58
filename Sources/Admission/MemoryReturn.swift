internal import CLinux
internal import Synchronization

/// Gives memory back to the system when peers have left: the allocator keeps what they have used, and would for ever.
///
/// Once what peers take falls to a quarter of its peak, the allocator's free pages are returned: at an edge, not each
/// second, since that takes some milliseconds for each 100 MiB.
///
/// Thread safety: any thread.
package final class MemoryReturn: Sendable {
    /// Peaks below are not worth it.
    static let leastPeak = 32 << 20
    /// What a connection takes that waits for nothing, roughly: its channel, session and buffers.
    static let connectionBytes = 24 << 10
    /// Looks between the edge and the return: connections give back to the allocator first.
    static let patience = 3

    private struct State {
        var peak = 0
        /// Looks until the return; nil: none is due.
        var due: Int?
    }

    private let memory: PeerMemory
    private let places: [ConnectionPlaces]
    private let state = Mutex(State())

    package init(_ memory: PeerMemory, _ places: [ConnectionPlaces]) {
        self.memory = memory
        self.places = places
    }

    /// To be called every second.
    ///
    /// - Returns: whether `giveBack` should be called now, on a thread that may take its time.
    package func look() -> Bool {
        let connections = places.reduce(0) { $0 + $1.count } * Self.connectionBytes
        return look(level: memory.used + connections, peak: memory.takePeak() + connections)
    }

    func look(level: Int, peak: Int) -> Bool {
        state.withLock { state in
            state.peak = max(state.peak, peak)
            if state.due == nil, state.peak >= Self.leastPeak, level <= state.peak / 4 {
                state.due = Self.patience
                state.peak = level
            }
            guard let due = state.due else { return false }
            state.due = due > 1 ? due - 1 : nil
            return due == 1
        }
    }

    /// Returns the allocator's free pages to the system.
    package static func giveBack() { linux_trim_heap() }
}
