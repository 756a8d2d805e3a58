package import Wire

/// The status of each service of a process, as health checks tell it: a value.
package struct ServingStatuses: Equatable, Sendable {
    /// A service that is served.
    package struct Service: Equatable, Sendable {
        /// Its full name; empty: the server as a whole.
        package var name: String
        /// It needs what the process may lack: it serves only while that is ready.
        package var needsReadiness: Bool

        package init(_ name: String, needsReadiness: Bool) {
            self.name = name
            self.needsReadiness = needsReadiness
        }
    }

    package let services: [Service]
    /// Whether the process can do its work.
    package var isReady = false
    /// The process stops: nothing serves any more, for good.
    package var isStopping = false

    package init(_ services: [Service]) { self.services = services }

    /// The place of a service among all; nil: there is no such service.
    package func place(of name: String) -> Int? {
        services.firstIndex { $0.name.utf8.elementsEqual(name.utf8) }
    }

    /// - Parameter place: nil: of no service.
    package func status(at place: Int?) -> ServingStatus {
        guard let place else { return .serviceUnknown }
        guard !isStopping else { return .notServing }
        return isReady || !services[place].needsReadiness ? .serving : .notServing
    }

    /// All of them, in order.
    package var all: [(service: String, status: ServingStatus)] {
        services.indices.map { (services[$0].name, status(at: $0)) }
    }
}
