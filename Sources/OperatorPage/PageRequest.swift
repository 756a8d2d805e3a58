import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Notation

/// A request as the pages see it.
struct PageRequest: Sendable {
    let method: HTTPRequest.Method
    /// Parts of the path, decoded.
    let segments: [String]
    /// As it came, with the query.
    let target: String
    let query: [String: String]
    let headers: HTTPFields
    /// Of the peer, without its port.
    let address: String
    /// What the body says; nil: it was not read, or is no form.
    private(set) var form: [String: String]?
    private let body: RequestBody

    /// nil: the path or the query is not properly encoded.
    init?(_ request: Request, from address: String) {
        method = request.method == .head ? .get : request.method
        target = request.head.path ?? "/"
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var segments: [String] = []
        for segment in parts[0].dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        {
            guard let text = PercentEncoding.decoded(segment) else { return nil }
            segments.append(text)
        }
        self.segments = segments
        guard let query = Self.form(parts.count == 2 ? parts[1] : "") else { return nil }
        self.query = query
        headers = request.headers
        self.address = address
        body = request.body
    }

    /// Names and values of a form; nil: it is not properly encoded. Of one name the first counts.
    static func form(_ text: Substring) -> [String: String]? {
        var values: [String: String] = [:]
        for pair in text.split(separator: "&", maxSplits: 63) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.formDecoded(parts[0]),
                let value = PercentEncoding.formDecoded(parts.count == 2 ? parts[1] : "")
            else { return nil }
            if values[name] == nil { values[name] = value }
        }
        return values
    }

    /// Whether the body is looked at.
    var bringsForm: Bool { method == .post && (segments == ["login"] || segments == ["logout"]) }

    mutating func readForm(atMost maximum: Int) async {
        let type = headers[.contentType]?.split(separator: ";").first ?? ""
        guard type.lowercased() == "application/x-www-form-urlencoded",
            let buffer = try? await body.collect(upTo: maximum),
            let text = String(validating: buffer.readableBytesView, as: UTF8.self)
        else { return }
        form = Self.form(Substring(text))
    }

    /// Of a parameter, at most 256 bytes; empty: there is none.
    func text(_ name: String) -> String {
        guard let text = query[name], text.utf8.count <= 256 else { return "" }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The lines of a parameter; nil: there is none, or there are too many.
    func lines(_ name: String, most: Int) -> [String]? {
        guard let text = query[name], !text.isEmpty, text.utf8.count <= most * 65 else {
            return nil
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.count <= most ? lines.map { String($0) } : nil
    }

    /// From 1.
    func page(_ name: String = "page") -> Int {
        guard let number = Int(text(name)) else { return 1 }
        return min(max(1, number), 1_000_000)
    }

    /// Whether a browser says that another site made it send this.
    var isFromElsewhere: Bool { Self.isFromElsewhere(headers) }

    static func isFromElsewhere(_ headers: HTTPFields) -> Bool {
        guard let name = HTTPField.Name("sec-fetch-site"), let site = headers[name] else {
            return false
        }
        return site != "same-origin" && site != "none"
    }

    static func cookie(_ name: String, in headers: HTTPFields) -> String? {
        for pair in (headers[.cookie] ?? "").split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == name else {
                continue
            }
            return String(parts[1])
        }
        return nil
    }
}
