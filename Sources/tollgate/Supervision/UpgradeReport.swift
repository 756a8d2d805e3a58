internal import CLinux
internal import Foundation
internal import Glibc
internal import JSON
internal import Synchronization

/// How a service stands with its upgrades, for `tollgate upgrade`: an anonymous file of the process that whoever may signal
/// it reads in /proc. It needs no disk, ends with the process, and goes through an upgrade with it.
///
/// Thread safety: any thread.
final class UpgradeReport: Sendable {
    enum Stage: String, Sendable {
        /// The journal is read, for the first time or behind an upgrade.
        case starting
        case ready
        /// The new program is asked whether it could start.
        case checking
        /// It could not, or the service could not let go; it serves on.
        case refused
        /// Calls that run finish, then the new program runs.
        case leaving
        case stopping

        var isServing: Bool { [.ready, .checking, .refused].contains(self) }
    }

    struct Entry: Sendable, Equatable {
        /// Upgrades that were asked for so far.
        var attempt: Int64 = 0
        var stage = Stage.starting
        /// The release that runs.
        var version = ""
        /// Why it is refused.
        var detail = ""
    }

    /// As /proc shows it, behind "memfd:".
    static let name = "tollgate-upgrade"
    private static let bytes = 8_192
    /// Bytes; each may be six in JSON.
    private static let longestDetail = 1_000

    /// -1: there is none; nothing is reported then.
    let descriptor: Int32
    private let entry: Mutex<Entry>

    /// - Parameter passed: the one that the process had before it was upgraded; nil: it was not.
    init(passed: Int32?, version: String) {
        let before = passed.flatMap(Self.read)
        descriptor = passed ?? linux_anonymous_file(Self.name)
        entry = Mutex(Entry(attempt: before?.attempt ?? 0, version: version))
        set(.starting)
    }

    var stage: Stage { entry.withLock { $0.stage } }

    /// - Parameter isNext: an upgrade was asked for.
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
        // All in one write, always of one size: nothing of what stood there before stays.
        var line = Array(text.utf8.prefix(bytes))
        line += Array(repeating: UInt8(ascii: " "), count: bytes - line.count)
        _ = pwrite(descriptor, line, line.count, 0)
    }

    /// What another user's process says is printed on root's terminal.
    private static func printable(_ value: JSON?) -> String {
        String(
            String.UnicodeScalarView(
                (value?.string ?? "").unicodeScalars.map { scalar in
                    scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar
                }))
    }

    /// nil: it is none, or is being written.
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
