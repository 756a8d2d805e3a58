/// The methods of tollgate.v1.LimitService, as gRPC names them.
package enum LimitServiceMethod: CaseIterable, Sendable {
    case checkAndReserve, checkAndReserveBatch, checkAndReserveStream, commit, release, extend
    case recordUsage, getUsage, watchUsage

    /// The full name of the service.
    package static let service: StaticString = "tollgate.v1.LimitService"

    /// The value of `:path`.
    package var path: StaticString {
        switch self {
        case .checkAndReserve: "/tollgate.v1.LimitService/CheckAndReserve"
        case .checkAndReserveBatch: "/tollgate.v1.LimitService/CheckAndReserveBatch"
        case .checkAndReserveStream: "/tollgate.v1.LimitService/CheckAndReserveStream"
        case .commit: "/tollgate.v1.LimitService/Commit"
        case .release: "/tollgate.v1.LimitService/Release"
        case .extend: "/tollgate.v1.LimitService/Extend"
        case .recordUsage: "/tollgate.v1.LimitService/RecordUsage"
        case .getUsage: "/tollgate.v1.LimitService/GetUsage"
        case .watchUsage: "/tollgate.v1.LimitService/WatchUsage"
        }
    }

    /// The client may send several messages.
    package var clientStreams: Bool { self == .checkAndReserveStream }

    /// The server may send several messages.
    package var serverStreams: Bool { self == .checkAndReserveStream || self == .watchUsage }

    /// Largest request message in bytes.
    package var maximumRequestBytes: Int {
        self == .checkAndReserveBatch ? WireLimits.batchBytes : WireLimits.messageBytes
    }
}
