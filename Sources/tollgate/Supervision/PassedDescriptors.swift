internal import Admission
internal import CommandIO
internal import Glibc
internal import Limits

/// The descriptors that a supervisor passes to a service that it starts, from 3 up, as systemd does (sd_listen_fds(3)).
/// An upgrade passes them on in the same way.
struct PassedDescriptors: Sendable {
    /// The number of the first descriptor.
    static let first: Int32 = 3
    /// The most descriptors there can be; bounds the work that a variable can cause.
    private static let most = 64

    /// The listening sockets, by port.
    private(set) var sockets: [Port: ListeningSocket] = [:]
    /// The report that this process had before it was upgraded; nil: it was not upgraded.
    private(set) var report: Int32?

    /// What a listening socket is for.
    enum Port: String, CaseIterable, Sendable {
        case grpc, http, ops

        /// The setting of its address.
        var setting: SettingRow {
            switch self {
            case .grpc: SettingsCatalogue.serving.grpcListen.row
            case .http: SettingsCatalogue.serving.httpListen.row
            case .ops: SettingsCatalogue.ops.opsListen.row
            }
        }
    }

    /// The name that `report` is passed under.
    static let reportName = "upgrade-report"

    private static let count = "LISTEN_FDS"
    private static let process = "LISTEN_PID"
    private static let names = "LISTEN_FDNAMES"

    /// Whether this process was upgraded: the descriptors come from the program that this one replaced. Must be read
    /// before they are taken.
    static var isUpgrade: Bool {
        let environment = EnvironmentVariables.all
        let names = environment[names]?.split(separator: ":") ?? []
        return environment[process] == "\(getpid())" && names.contains { $0 == reportName }
    }

    /// - Parameter environment: the process's; the variables about descriptors are removed, here and in the process, so
    ///   that no other program takes them for its own.
    /// - Throws: what is wrong with the descriptors that were passed.
    init(takenFrom environment: inout [String: String]) throws(SettingsError) {
        let count = environment[Self.count]
        let process = environment[Self.process]
        let names = environment[Self.names]
        for name in [Self.count, Self.process, Self.names] {
            environment[name] = nil
            unsetenv(name)
        }
        // Meant for another process, perhaps this one's parent.
        guard let count, process == "\(getpid())" else { return }
        guard let number = Int(count), (0...Self.most).contains(number) else {
            throw Self.error("\(Self.count) must be 0 to \(Self.most), not \(count)")
        }
        guard number > 0 else { return }
        let list = (names ?? "").split(separator: ":", omittingEmptySubsequences: false)
        guard list.count == number, names != nil else {
            throw Self.error(
                """
                \(Self.names) must name each of the \(number) sockets that were passed, like \
                grpc:http (FileDescriptorName= in the socket unit)
                """)
        }
        for (index, name) in list.enumerated() {
            try take(Self.first + Int32(index), String(name))
        }
    }

    private mutating func take(_ descriptor: Int32, _ name: String) throws(SettingsError) {
        if name == Self.reportName {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            report = descriptor
            return
        }
        guard let port = Port(rawValue: name) else {
            throw Self.error(
                "unknown socket name \(name); use \(Port.allCases.map(\.rawValue).listed("or"))")
        }
        guard sockets[port] == nil else {
            throw Self.error("two sockets are named \(name): a port has one address")
        }
        do throws(ListeningSocket.Failure) {
            sockets[port] = try ListeningSocket.adopt(descriptor)
        } catch {
            throw Self.error("the socket named \(name): \(ListenError.reason(error))")
        }
    }

    private static func error(_ text: String) -> SettingsError {
        SettingsError(
            description: "the sockets that were passed (LISTEN_FDS) cannot be used: \(text)")
    }

    /// The variables that tell a process which descriptors it gets.
    static func variables(names: [String], process: pid_t) -> [String: String] {
        [
            count: "\(names.count)", Self.process: "\(process)",
            Self.names: names.joined(separator: ":"),
        ]
    }
}
