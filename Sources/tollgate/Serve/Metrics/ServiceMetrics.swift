internal import Access
internal import ControlPlane
internal import Engine
internal import GRPCServer
internal import Notifications
internal import Projection
internal import Telemetry

/// Where the metrics come from: everything is counted where it happens, and read here when somebody asks.
///
/// What may wait for a disk (`SharedLook`) is left out of an answer that it would hold up.
struct ServiceMetrics: Sendable {
    let engine: Engine
    let server: GRPCServer
    let authority: TokenAuthority
    let admittance: Admittance
    let tls: PortsTLS
    /// nil: nothing is kept.
    let projection: Projection?
    let deliveries: DeliveryCounts?
    /// nil: nobody tells of calls.
    let calls: CallTelling?
    private let pending: SharedLook<(count: Int, oldest: Int64?)>?
    private let disk: SharedLook<DiskSpace>?

    /// How long a look at a disk may hold an answer up.
    private static let patience = Duration.milliseconds(500)

    /// - Parameter dataDirectory: nil: nothing is kept.
    init(
        engine: Engine, server: GRPCServer, authority: TokenAuthority, admittance: Admittance,
        tls: PortsTLS, projection: Projection?, deliveries: DeliveryCounts?, calls: CallTelling?,
        dataDirectory: String?
    ) {
        self.engine = engine
        self.server = server
        self.authority = authority
        self.admittance = admittance
        self.tls = tls
        self.projection = projection
        self.deliveries = deliveries
        self.calls = calls
        pending = projection.map { projection in
            SharedLook(patience: Self.patience) { try await projection.pendingDeliveries() }
        }
        disk = dataDirectory.map { path in
            SharedLook(patience: Self.patience) { try await DiskSpace.read(path) }
        }
    }

    /// Everything as it is now.
    func families(_ rest: RESTFigures) async -> [MetricFamily] {
        async let pending = pending?.value()
        async let space = disk?.value()
        let grpc = server.figures
        return await decisionFamilies + tableFamilies + families(grpc) + families(of: rest)
            + connectionFamilies(grpc, rest) + journalFamilies(space)
            + sideFamilies(pending) + callFamilies + processFamilies
    }
}
