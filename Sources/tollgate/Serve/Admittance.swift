internal import Admission
internal import Foundation
internal import Logging
internal import NIOCore
internal import Threads

/// What peers may take of the process: places on its ports, fitted to its descriptors, and bytes that wait.
struct Admittance: Sendable {
    let grpc: ConnectionPlaces
    let http: ConnectionPlaces
    /// nil: there is no ops listener.
    let ops: ConnectionPlaces?
    let memory: PeerMemory
    /// Watches when memory that peers have left is to be given back.
    let memoryReturn: MemoryReturn

    /// Descriptors that the process needs for itself: threads, journal, projection, standard streams, with some to spare.
    private static let ownDescriptors = 160

    /// Raises the process' limit on descriptors and shares them out.
    ///
    /// - Throws: `SettingsError`: there are too few to serve with.
    init(_ settings: ServeSettings, logger: Logger) throws(SettingsError) {
        let limit = DescriptorPlan.raiseLimit()
        let ops = settings.opsListen == nil ? 0 : settings.opsMaxConnections + 1
        let own =
            Self.ownDescriptors + 8 * settings.threads + 2 * settings.webhookConcurrency + ops
        guard
            let plan = DescriptorPlan(
                limit: limit, own: own, grpc: settings.maxConnections,
                http: settings.httpMaxConnections)
        else {
            throw SettingsError(
                description: """
                    the process may open \(limit) files (RLIMIT_NOFILE, ulimit -n), but needs at \
                    least \(DescriptorPlan.least)
                    """)
        }
        if plan.isFitted {
            logger.warning(
                "fewer connections than configured: the open file limit is too low",
                metadata: [
                    "descriptors": "\(plan.limit)", "kept": "\(plan.reserve)",
                    "grpc_connections": "\(plan.grpc)", "http_connections": "\(plan.http)",
                ])
        }
        memory = PeerMemory(limit: settings.peerMemoryBytes)
        let most = settings.maxConnectionsPerAddress
        grpc = Self.places(plan.grpc, ofAddress: most, "grpc", logger)
        // A browser has six, a portal's server some dozens.
        let mostHTTP = settings.httpMaxConnectionsPerAddress ?? min(most, max(1, plan.http / 4))
        http = Self.places(plan.http, ofAddress: mostHTTP, "http", logger)
        let mostOps = settings.opsMaxConnections
        self.ops = settings.opsListen.map { _ in
            Self.places(mostOps, ofAddress: mostOps, "ops", logger)
        }
        memoryReturn = MemoryReturn(memory, [grpc, http])
    }

    /// Of each port, by its name.
    var places: [(port: String, places: ConnectionPlaces)] {
        [("grpc", grpc), ("http", http)] + (ops.map { [("ops", $0)] } ?? [])
    }

    /// Gives memory back when peers have left, from now until the event loop ends.
    func giveMemoryBack(_ eventLoop: any EventLoop) {
        eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            // On a thread of its own: it may take a while, and everybody else goes on.
            if memoryReturn.look() { NamedThread.detach(.memory) { MemoryReturn.giveBack() } }
        }
    }

    private static func places(
        _ total: Int, ofAddress most: Int, _ port: String, _ logger: Logger
    ) -> ConnectionPlaces {
        ConnectionPlaces(total: total, perAddress: most) { notice in
            switch notice {
            case .full(let places):
                logger.warning(
                    "all connections are in use: the longest idle ones are closed for new ones",
                    metadata: ["port": "\(port)", "connections": "\(places)"])
            case .addressFull(let address, let places):
                logger.warning(
                    "an address has reached its maximum number of connections",
                    metadata: [
                        "port": "\(port)", "address": "\(address)", "connections": "\(places)",
                    ])
            case .roomAgain:
                logger.notice("connections are available again", metadata: ["port": "\(port)"])
            }
        }
    }
}
