internal import Foundation
internal import JSON

/// Why a command over the REST API could not do what it should: sentences, JSON, and an exit status.
struct ControlFailure: Error, Sendable {
    /// One entry of the service's `errors`.
    struct Entry: Sendable, Equatable {
        var code: String
        var title: String
        var detail: String
        /// RFC 6901 pointer into the body, or the name of a query parameter; empty: neither.
        var source: String
    }

    var status: ExitStatus
    /// HTTP status; nil: there was no answer.
    var httpStatus: Int?
    /// For people when there are no entries.
    var sentence: String
    var entries: [Entry] = []
    /// What the service said, for `--json`.
    var body: JSON?

    init(_ status: ExitStatus, _ sentence: String) {
        self.status = status
        self.sentence = sentence
    }

    /// An answer that is no success.
    init(httpStatus: Int, body: JSON?) {
        self.httpStatus = httpStatus
        self.body = body
        status = Self.exitStatus(httpStatus)
        entries = (body?["errors"]?.array ?? []).map { entry in
            let source = entry["source"]
            return Entry(
                code: entry["code"]?.string ?? "", title: entry["title"]?.string ?? "",
                detail: entry["detail"]?.string ?? "",
                source: source?["pointer"]?.string ?? source?["parameter"]?.string ?? "")
        }
        sentence = "The service answered with HTTP status \(httpStatus)"
        if entries.isEmpty && body == nil { sentence += " and no JSON: is this its REST address?" }
    }

    static func exitStatus(_ httpStatus: Int) -> ExitStatus {
        switch httpStatus {
        case 401, 403: .notPermitted
        // Nothing wrong with the input: it may be sent again.
        case 408, 425, 429, 502, 503, 504: .unavailable
        // A path or method that this version of the service does not have.
        case 405, 501: .failure
        case 400..<500: .refusedInput
        default: .failure
        }
    }

    /// For people: one line, or one for each entry beside its pointer.
    var text: String {
        switch entries.count {
        case 0: sentence
        case 1: Self.line(entries[0])
        default:
            "The service refused the request:" + entries.map { "\n  \(Self.line($0))" }.joined()
        }
    }

    private static func line(_ entry: Entry) -> String {
        var line = entry.source.isEmpty ? "" : "\(entry.source): "
        line += entry.detail.isEmpty ? entry.title : "\(entry.title): \(entry.detail)"
        return entry.code.isEmpty ? line : "\(line) (\(entry.code))"
    }

    /// For scripts: what the service said, with its HTTP status; else the sentence in the same shape.
    var json: JSON {
        let errors = body?["errors"] ?? .array([.object([("title", .string(sentence))])])
        return .object([
            ("status", httpStatus.map { .integer(Int64($0)) } ?? .null), ("errors", errors),
        ])
    }
}
