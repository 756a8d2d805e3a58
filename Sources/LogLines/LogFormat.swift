/// How the log is written.
package enum LogFormat: String, CaseIterable, Sendable {
    /// For people: time, level, fields, message.
    case text
    /// For machines: one JSON object per line.
    case json
}
