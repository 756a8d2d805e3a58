internal import Admission
internal import Synchronization

/// The listening sockets of the service, whether they were passed or it opened them itself. They outlive the servers:
/// an upgrade passes them on.
///
/// Thread safety: any thread.
final class ListeningSockets: Sendable {
    private let sockets: Mutex<[PassedDescriptors.Port: ListeningSocket]>

    init(_ passed: [PassedDescriptors.Port: ListeningSocket] = [:]) { sockets = Mutex(passed) }

    /// The socket of a port: the one that was passed, otherwise a new one.
    ///
    /// - Throws: why the service cannot listen on the address.
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

    /// The addresses that they listen on.
    var addresses: [PassedDescriptors.Port: NetworkAddress] {
        sockets.withLock { sockets in
            sockets.mapValues { NetworkAddress(host: $0.host, port: $0.port) }
        }
    }

    /// What an upgrade passes on.
    var handover: [(name: String, descriptor: Int32)] {
        sockets.withLock { sockets in
            sockets.map { (name: $0.key.rawValue, descriptor: $0.value.descriptor) }
                .sorted { $0.name < $1.name }
        }
    }

    /// Closes all of them: unless a supervisor holds them too, callers are refused once the servers have stopped
    /// accepting.
    func close() {
        let all = sockets.withLock { sockets in
            defer { sockets = [:] }
            return Array(sockets.values)
        }
        for socket in all { socket.close() }
    }
}
