import HTTPTypes
import Hummingbird
import JSON
import Limits
import NIOCore

/// What every error means and what to do about it, for people (HTML) and for programs (JSON): the texts of docs/errors,
/// which `Tools/reference` writes to `errors.json` too.
///
/// All answers are made when the service starts, so that whoever asks costs nothing.
struct ErrorCatalogue: Sendable {
    /// An answer in both forms.
    private struct Page: Sendable {
        var html: Reply
        var json: Reply
    }

    private let index: Page
    private let pages: [String: Page]

    init() {
        let entries = Self.entries
        pages = Dictionary(
            uniqueKeysWithValues: entries.map { entry in
                (
                    entry["code"]?.string ?? "",
                    Page(html: Self.htmlPage(entry), json: Reply(["data": Self.shown(entry)]))
                )
            })
        index = Page(
            html: Self.htmlIndex(entries),
            json: Reply(["data": .array(entries.map { Self.shown($0, isWhole: false) })]))
    }

    var routes: [Route] {
        [
            Route(.get, "/errors", nil, Operations.listErrors) { [index] exchange in
                Self.reply(index, exchange)
            },
            Route(.get, "/errors/{code}", nil, Operations.getError) { [pages] exchange in
                guard let page = pages[exchange.parameter("code")] else {
                    throw APIError(.notFound, "There is no error with this code")
                }
                return Self.reply(page, exchange)
            },
        ]
    }

    /// As `errors.json` has them, by code.
    static var entries: [JSON] {
        guard
            let file = try? JSONParser.parse(PackageResources.errors_json),
            let entries = file["errors"]?.array
        else { preconditionFailure("errors.json of the build is not a list of errors") }
        return entries
    }

    private static func reply(_ page: Page, _ exchange: Exchange) -> Reply {
        prefersHTML(AcceptedTypes(exchange.headers[.accept])) ? page.html : page.json
    }

    /// Browsers name HTML; programs name JSON or nothing.
    static func prefersHTML(_ accepted: AcceptedTypes) -> Bool {
        accepted.weight(of: "text/html") > accepted.weight(of: "application/json")
    }

    // MARK: JSON

    private static func shown(_ entry: JSON, isWhole: Bool = true) -> JSON {
        var members: [JSON.Member] = [("record_type", "error")]
        for name in ["code", "title", "detail", "http_status", "grpc_status", "reason", "limit"] {
            members.append((name, entry[name] ?? .null))
        }
        if isWhole { members.append(("text", entry["text"] ?? "")) }
        return .object(members)
    }

    // MARK: HTML

    private static func htmlPage(_ entry: JSON) -> Reply {
        let code = escaped(entry["code"])
        let facts = [
            ("detail", "detail"), ("HTTP status", "http_status"), ("gRPC status", "grpc_status"),
            ("reason", "reason"), ("limit", "limit"),
        ].compactMap { title, name -> String? in
            guard let value = entry[name], !value.isNull else { return nil }
            return "<dt>\(title)</dt><dd>\(escaped(value))</dd>"
        }
        return document(
            "\(code): \(escaped(entry["title"]))",
            """
            <dl>
            \(facts.joined(separator: "\n"))
            </dl>
            \(entry["html"]?.string ?? "")
            <p><a href="../errors">All errors</a></p>
            """)
    }

    private static func htmlIndex(_ entries: [JSON]) -> Reply {
        let rows = entries.map { entry in
            let code = escaped(entry["code"])
            return """
                <tr><td><a href="errors/\(code)">\(code)</a></td><td>\(escaped(entry["title"]))</td>\
                <td>\(escaped(entry["http_status"]))</td></tr>
                """
        }
        return document(
            "Errors",
            """
            <table>
            <thead><tr><th>Code</th><th>Title</th><th>HTTP</th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table>
            """)
    }

    /// - Parameters:
    ///   - title: HTML.
    ///   - body: HTML.
    private static func document(_ title: String, _ body: String) -> Reply {
        let text = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title)</title>
            <style>
            body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
            dt { font-weight: 600; } dd { margin: 0 0 .5rem; } td, th { text-align: left; padding: .2rem 1rem .2rem 0; }
            code { font-size: .9em; }
            </style>
            </head>
            <body>
            <h1>\(title)</h1>
            \(body)
            </body>
            </html>

            """
        var reply = Reply(stored: Array(text.utf8))
        reply.headers[.contentType] = "text/html; charset=utf-8"
        reply.headers[.contentSecurityPolicy] =
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        return reply
    }

    private static func escaped(_ value: JSON?) -> String {
        let text = value?.string ?? value?.text ?? ""
        return text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            .replacing("\"", with: "&quot;")
    }
}
