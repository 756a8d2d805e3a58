internal import Admission
internal import CommandIO
internal import Glibc
internal import Limits

/// What a supervisor passes to a service that it starts: descriptors from 3 on, as systemd does it (sd_listen_fds(3)). An
/// upgrade hands them on in the same way.
struct PassedDescriptors: Sendable {
    /// The number of the first.
    static let first: Int32 = 3
    /// Their names' most, and a bound on what a variable can have this look at.
    private static let most = 64

    /// By port.
    private(set) var sockets: [Port: ListeningSocket] = [:]
    /// Where this process told how an upgrade goes, before it was upgraded; nil: it was not.
    private(set) var report: Int32?

    /// What a listening socket is for.
    enum Port: String, CaseIterable, Sendable {
        case grpc, http, ops

        /// Of its address.
        var setting: SettingRow {
            switch self {
            case .grpc: SettingsCatalogue.serving.grpcListen.row
            case .http: SettingsCatalogue.serving.httpListen.row
            case .ops: SettingsCatalogue.ops.opsListen.row
            }
        }
    }

    /// The name of `report`.
    static let reportName = "upgrade-report"

    private static let count = "LISTEN_FDS"
    private static let process = "LISTEN_PID"
    private static let names = "LISTEN_FDNAMES"

    /// This process was upgraded: they come from the program in whose place this one runs. To be asked before they are taken.
    static var isUpgrade: Bool {
        let environment = EnvironmentVariables.all
        let names = environment[names]?.split(separator: ":") ?? []
        return environment[process] == "\(getpid())" && names.contains { $0 == reportName }
    }

    /// - Parameter environment: the process's; what it says of descriptors is removed, there and in the process, so that
    ///   nobody takes it for theirs.
    /// - Throws: what is wrong with what was passed.
    init(takenFrom environment: inout [String: String]) throws(SettingsError) {
        let count = environment[Self.count]
        let process = environment[Self.process]
        let names = environment[Self.names]
        for name in [Self.count, Self.process, Self.names] {
            environment[name] = nil
            unsetenv(name)
        }
        // Meant for another process, perhaps the one that started this one.
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
                "a socket is named \(name); name it \(Port.allCases.map(\.rawValue).listed("or"))")
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
        SettingsError(description: "what was passed to listen on cannot be used: \(text)")
    }

    /// What a process is told of what it gets.
    static func variables(names: [String], process: pid_t) -> [String: String] {
        [
            count: "\(names.count)", Self.process: "\(process)",
            Self.names: names.joined(separator: ":"),
        ]
    }
}
