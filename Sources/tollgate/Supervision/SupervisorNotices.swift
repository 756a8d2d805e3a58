internal import CLinux
internal import Glibc

/// Reports the service's state to the process's supervisor: datagrams to the socket named in NOTIFY_SOCKET
/// (sd_notify(3)). Without one, nothing is sent.
///
/// Thread safety: any thread except an event loop's: if the supervisor does not read, sending blocks for up to a
/// second.
struct SupervisorNotices: Sendable {
    /// The supervisor expects `alive` at least this often, microseconds; nil: it does not.
    let watchdog: Int64?
    /// The supervisor's socket; nil: there is none.
    private let socket: Address?

    var isHeard: Bool { socket != nil }

    /// A path in the file system, or an abstract name.
    private struct Address: Sendable {
        var value = sockaddr_un()
        var length: socklen_t

        init?(_ name: String) {
            let isAbstract = name.hasPrefix("@")
            guard name.hasPrefix("/") || isAbstract else { return nil }
            var bytes = Array(name.utf8)
            if isAbstract { bytes[0] = 0 }
            let room = MemoryLayout.size(ofValue: value.sun_path) - 1
            guard bytes.count > 1, bytes.count <= room else { return nil }
            value.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &value.sun_path) { $0.copyBytes(from: bytes) }
            let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            length = socklen_t(offset + bytes.count + (isAbstract ? 0 : 1))
        }
    }

    /// - Parameters:
    ///   - environment: the variables that the supervisor has set.
    ///   - process: this process; a watchdog may be meant for another one.
    /// - Throws: if the name cannot be that of a socket.
    init(_ environment: [String: String], process: pid_t = getpid()) throws(SettingsError) {
        let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(process)" } ?? true
        watchdog = environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap {
            isMeant && $0 > 0 ? $0 : nil
        }
        guard let name = environment["NOTIFY_SOCKET"], !name.isEmpty else {
            socket = nil
            return
        }
        guard let address = Address(name) else {
            throw SettingsError(
                description: """
                    NOTIFY_SOCKET must be an absolute path or an abstract name, like \
                    /run/systemd/notify or @name, of at most 107 bytes, not \(name)
                    """)
        }
        socket = address
    }

    /// The variables that a supervisor sets for one process; programs that it starts must not have them.
    static let variables = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]

    // MARK: Notifications

    /// The start makes progress: asks for so many seconds more.
    func starting(_ status: String, moreSeconds: Int64) {
        send("EXTEND_TIMEOUT_USEC=\(moreSeconds * 1_000_000)", status)
    }

    func ready(_ status: String) { send("READY=1", status) }

    /// Something begins that ends with `ready`.
    func reloading(_ status: String) {
        send("RELOADING=1", status, "MONOTONIC_USEC=\(linux_monotonic_nanoseconds() / 1_000)")
    }

    func stopping(_ status: String) { send("STOPPING=1", status) }

    /// The service is alive.
    func alive() { send("WATCHDOG=1", nil) }

    private func send(_ state: String, _ status: String?, _ more: String...) {
        guard var socket else { return }
        let lines = [state] + more + (status.map { ["STATUS=\($0)"] } ?? [])
        var text = lines.joined(separator: "\n") + "\n"
        let descriptor = Glibc.socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience,
            socklen_t(MemoryLayout<timeval>.size))
        text.withUTF8 { bytes in
            withUnsafePointer(to: &socket.value) { value in
                value.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    // It is not an error if nobody listens.
                    _ = sendto(
                        descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL),
                        address, socket.length)
                }
            }
        }
    }
}
