internal import Glibc

/// How a process shares out its file descriptors: some for its own files, threads and deliveries, the rest for peers.
package struct DescriptorPlan: Sendable, Equatable {
    /// Fewer than this are too few to serve with.
    package static let least = 128

    /// What the process may open.
    package let limit: Int
    /// Kept for everything but peers.
    package let reserve: Int
    /// Connections of either port.
    package let grpc: Int
    package let http: Int
    /// Whether fewer are allowed than were wanted.
    package let isFitted: Bool

    /// - Parameters:
    ///   - own: what the process may need for itself.
    ///   - grpc, http: the connections that are wanted.
    /// - Returns: nil: there are fewer than `least`.
    package init?(limit: Int, own: Int, grpc: Int, http: Int) {
        guard limit >= Self.least else { return nil }
        self.limit = limit
        // Where there are few, the process still keeps more than half: it can go on with fewer peers, and not without a
        // journal.
        reserve = min(own, limit * 5 / 8)
        let room = limit - reserve
        isFitted = grpc + http > room
        guard isFitted else {
            self.grpc = grpc
            self.http = http
            return
        }
        // REST has a quarter at most: the data plane is what the service is there for.
        self.http = max(1, min(http, room / 4))
        self.grpc = max(1, min(grpc, room - self.http))
    }

    /// Raises the process' soft limit on descriptors to its hard one.
    ///
    /// - Returns: the limit that holds now.
    package static func raiseLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return 1_024
        }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 {
                limit = raised
            }
        }
        return Int(clamping: limit.rlim_cur)
    }
}

/// The process's file descriptors.
package enum Descriptors {
    /// Why none can be opened any more; nil: one can. Any thread; costs one to be opened and closed.
    package static var shortage: String? {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 {
            close(descriptor)
            return nil
        }
        switch errno {
        case EMFILE: return "The process has reached its limit of open files"
        case ENFILE: return "The machine has reached its limit of open files"
        default: return nil
        }
    }
}
