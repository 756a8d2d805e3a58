internal import Admission
internal import CommandIO
internal import Foundation
internal import Glibc

/// What the service exchanges with its supervisor: sockets, notifications, and the program itself. One per process.
struct Supervision: Sendable {
    let program: ProgramImage
    let notices: SupervisorNotices
    let sockets: ListeningSockets
    /// The addresses of the sockets that were passed.
    let listening: [PassedDescriptors.Port: NetworkAddress]
    let report: UpgradeReport
    let progress: StartProgress

    /// Takes what is meant for this process out of its environment.
    ///
    /// - Throws: what in it cannot be used.
    static func take() throws(SettingsError) -> Supervision {
        var environment = ProcessInfo.processInfo.environment
        let passed = try PassedDescriptors(takenFrom: &environment)
        let notices = try SupervisorNotices(environment)
        for name in SupervisorNotices.variables { unsetenv(name) }
        return Supervision(
            program: ProgramImage(environment: environment), notices: notices,
            sockets: ListeningSockets(passed.sockets),
            listening: passed.sockets.mapValues { NetworkAddress(host: $0.host, port: $0.port) },
            report: UpgradeReport(passed: passed.report, version: Tollgate.version),
            progress: StartProgress(notices))
    }

    /// How long a supervisor with a watchdog is asked to wait for the new program's first notification, seconds.
    private static let patience: Int64 = 60

    /// Runs the program again in this process, with the sockets: the service's last act.
    ///
    /// - Returns: only on failure: why, in a sentence.
    func upgrade() -> String {
        notices.starting("Upgrading", moreSeconds: Self.patience)
        var passed = sockets.handover
        if report.descriptor >= 0 {
            passed.append((PassedDescriptors.reportName, report.descriptor))
        }
        StandardError.finish()
        let code = program.replaceProcess(passing: passed)
        return "\(program.path) cannot be run: \(SystemText.of(code))"
    }
}
