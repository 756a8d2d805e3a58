internal import Foundation
internal import JSON
package import Logging

/// Writes log entries as lines.
package struct LineLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel = Logger.Level.info
    private let format: LogFormat
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes a line including its line break; must not block.
    package init(_ format: LogFormat, write: @escaping @Sendable (String) -> Void) {
        self.format = format
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let more = metadataProvider?.get() { all.merge(more) { $1 } }
        if let more = event.metadata { all.merge(more) { $1 } }
        if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
        let fields = all.sorted { $0.key < $1.key }.map { ($0.key, Self.json($0.value)) }
        write(
            LogLine(
                time: Self.now, level: event.level, message: "\(event.message)",
                source: event.source, fields: fields
            ).encoded(as: format))
    }

    /// Unix milliseconds.
    package static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    private static func json(_ value: Logger.MetadataValue) -> JSON {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let value as any BinaryInteger): .integer(Int64(clamping: value))
        case .stringConvertible(let value as Double): .decimal(value)
        case .stringConvertible(let value as Bool): .bool(value)
        case .stringConvertible(let value): .string("\(value)")
        default: .string("\(value)")
        }
    }
}
