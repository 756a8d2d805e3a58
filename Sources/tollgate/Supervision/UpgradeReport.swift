internal import CLinux
internal import Foundation
internal import Glibc
internal import JSON
internal import Synchronization

/// The state of a service's upgrades, for `tollgate upgrade`: an anonymous file of the process, which anyone who may
/// signal the process can read in /proc. It needs no disk, ends with the process, and survives an upgrade.
///
/// Thread safety: any thread.
final class UpgradeReport: Sendable {
    enum Stage: String, Sendable {
        /// The journal is being read, at the first start or after an upgrade.
        case starting
        case ready
        /// The new program is checking whether it could start.
        case checking
        /// It could not, or the service could not stop in good order; the service goes on.
        case refused
        /// Running calls finish, then the new program runs.
        case leaving
        case stopping

        var isServing: Bool { [.ready, .checking, .refused].contains(self) }
    }

    struct Entry: Sendable, Equatable {
        /// Upgrades requested so far.
        var attempt: Int64 = 0
        var stage = Stage.starting
        /// The running release.
        var version = ""
        /// Why the upgrade was refused.
        var detail = ""
    }

    /// As shown in /proc, after "memfd:".
    static let name = "tollgate-upgrade"
    private static let bytes = 8_192
    /// Bytes; each may take six in JSON.
    private static let longestDetail = 1_000

    /// -1: there is none, and nothing is reported.
    let descriptor: Int32
    private let entry: Mutex<Entry>

    /// - Parameter passed: the report that the process had before it was upgraded; nil: it was not upgraded.
    init(passed: Int32?, version: String) {
        let before = passed.flatMap(Self.read)
        descriptor = passed ?? linux_anonymous_file(Self.name)
        entry = Mutex(Entry(attempt: before?.attempt ?? 0, version: version))
        set(.starting)
    }

    var stage: Stage { entry.withLock { $0.stage } }

    /// - Parameter isNext: a new upgrade was requested.
    func set(_ stage: Stage, _ detail: String = "", isNext: Bool = false) {
        entry.withLock { entry in
            entry.stage = stage
            entry.detail = String(decoding: detail.utf8.prefix(Self.longestDetail), as: UTF8.self)
            if isNext { entry.attempt += 1 }
            Self.write(entry, to: descriptor)
        }
    }

    private static func write(_ entry: Entry, to descriptor: Int32) {
        let text = JSON.object([
            ("attempt", .integer(entry.attempt)), ("stage", .string(entry.stage.rawValue)),
            ("version", .string(entry.version)), ("detail", .string(entry.detail)),
        ]).text
        // A single write of constant size, so that nothing remains of what was there before.
        var line = Array(text.utf8.prefix(bytes))
        line += Array(repeating: UInt8(ascii: " "), count: bytes - line.count)
        _ = pwrite(descriptor, line, line.count, 0)
    }

    /// Text from another user's process may be printed on root's terminal.
    private static func printable(_ value: JSON?) -> String {
        String(
            String.UnicodeScalarView(
                (value?.string ?? "").unicodeScalars.map { scalar in
                    scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar
                }))
    }

    /// nil: it is not a report, or it is being written.
    static func read(_ descriptor: Int32) -> Entry? {
        var bytes = [UInt8](repeating: 0, count: Self.bytes)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count == bytes.count, let json = try? JSONParser.parse(bytes),
            let stage = json["stage"]?.string.flatMap(Stage.init(rawValue:))
        else { return nil }
        return Entry(
            attempt: json["attempt"]?.integer ?? 0, stage: stage,
            version: printable(json["version"]), detail: printable(json["detail"]))
    }
}
