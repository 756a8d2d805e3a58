internal import Admission
internal import Synchronization

/// The sockets that the service accepts from, passed or opened by itself. They outlive the servers: an upgrade hands them
/// on.
///
/// Thread safety: any thread.
final class ListeningSockets: Sendable {
    private let sockets: Mutex<[PassedDescriptors.Port: ListeningSocket]>

    init(_ passed: [PassedDescriptors.Port: ListeningSocket] = [:]) { sockets = Mutex(passed) }

    /// The socket of a port: the one that was passed, else a new one.
    ///
    /// - Throws: why nobody can be served at the address.
    func open(
        _ port: PassedDescriptors.Port, at address: NetworkAddress
    ) throws(ListenError) -> ListeningSocket {
        if let socket = sockets.withLock({ $0[port] }) { return socket }
        do throws(ListeningSocket.Failure) {
            let socket = try ListeningSocket.open(host: address.host, port: address.port)
            sockets.withLock { $0[port] = socket }
            return socket
        } catch {
            throw ListenError(address, port.setting, error)
        }
    }

    /// Where they listen.
    var addresses: [PassedDescriptors.Port: NetworkAddress] {
        sockets.withLock { sockets in
            sockets.mapValues { NetworkAddress(host: $0.host, port: $0.port) }
        }
    }

    /// What an upgrade hands on.
    var handover: [(name: String, descriptor: Int32)] {
        sockets.withLock { sockets in
            sockets.map { (name: $0.key.rawValue, descriptor: $0.value.descriptor) }
                .sorted { $0.name < $1.name }
        }
    }

    /// Lets go of all: unless a supervisor has them too, callers are refused once the servers have stopped accepting.
    func close() {
        let all = sockets.withLock { sockets in
            defer { sockets = [:] }
            return Array(sockets.values)
        }
        for socket in all { socket.close() }
    }
}
