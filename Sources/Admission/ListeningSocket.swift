internal import Glibc

/// A listening TCP socket that outlives whoever accepts from it: connections wait in its queue while nobody does.
///
/// Thread safety: a value; `close` from one thread, when nobody uses the socket any more.
package struct ListeningSocket: Sendable, Equatable {
    package let descriptor: Int32
    /// The bound address, in numeric form, and the port.
    package let host: String
    package let port: Int

    /// Why there is no socket.
    package enum Failure: Error, Sendable, Equatable {
        /// The name has no address.
        case unresolved
        /// `errno` of the system call that failed.
        case system(Int32)
        /// The descriptor that was passed is not a listening socket: why, in words that follow a colon.
        case unfit(String)
    }

    private init(_ descriptor: Int32) throws(Failure) {
        self.descriptor = descriptor
        (host, port) = try Self.address(of: descriptor)
    }

    /// Binds a name or an address, and listens. May block on a name server.
    ///
    /// - Parameter port: 0: any free port.
    package static func open(host: String, port: Int) throws(Failure) -> ListeningSocket {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0, let first = found else {
            throw .unresolved
        }
        defer { freeaddrinfo(found) }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(first.pointee.ai_family, kind, 0)
        guard descriptor >= 0 else { throw .system(errno) }
        var yes: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size) == 0,
            bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0,
            listen(descriptor, Int32(ConnectionPlaces.backlog)) == 0
        else {
            let code = errno
            Glibc.close(descriptor)
            throw .system(code)
        }
        do throws(Failure) {
            return try ListeningSocket(descriptor)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    /// Takes over a socket that somebody else has bound: programs that this one starts do not inherit it, and its queue
    /// gets the length of our own.
    ///
    /// - Throws: `.unfit`: it is not a socket that accepts TCP connections.
    package static func adopt(_ descriptor: Int32) throws(Failure) -> ListeningSocket {
        let flags = fcntl(descriptor, F_GETFD)
        guard flags >= 0 else { throw .unfit("it is not open") }
        _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC)
        guard let kind = option(SO_TYPE, of: descriptor) else { throw .unfit("it is not a socket") }
        guard kind == Int32(SOCK_STREAM.rawValue) else { throw .unfit("it is not a stream socket") }
        guard option(SO_ACCEPTCONN, of: descriptor) == 1 else {
            throw .unfit("it is not listening")
        }
        let socket = try ListeningSocket(descriptor)
        socket.lengthenQueue()
        return socket
    }

    /// Gives the queue the length of our own: whoever else uses the socket may have shortened it, as swift-nio does.
    package func lengthenQueue() { _ = listen(descriptor, Int32(ConnectionPlaces.backlog)) }

    /// Another descriptor of the same socket, for whoever accepts from it and then closes it.
    package func duplicate() throws(Failure) -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw .system(errno) }
        return copy
    }

    /// Closes it. If nobody else holds it, connections are refused from here on.
    package func close() { Glibc.close(descriptor) }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
    }

    private static func address(
        of descriptor: Int32
    ) throws(Failure) -> (host: String, port: Int) {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &size)
            }
        }
        guard code == 0 else { throw .system(errno) }
        guard
            storage.ss_family == sa_family_t(AF_INET) || storage.ss_family == sa_family_t(AF_INET6)
        else { throw .unfit("its address is neither IPv4 nor IPv6") }
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let named = withUnsafePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo(
                    $0, size, &host, socklen_t(host.count), &service, socklen_t(service.count),
                    NI_NUMERICHOST | NI_NUMERICSERV)
            }
        }
        guard named == 0 else { throw .unfit("its address cannot be read") }
        return (text(host), Int(text(service)) ?? 0)
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
