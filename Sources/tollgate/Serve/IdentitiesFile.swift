internal import Access
internal import CommandIO
internal import Foundation
internal import Limits
internal import LimitsFile
internal import Notation
internal import Yams

/// The identities file: whose word counts about who a caller is (docs/authorization.md).
enum IdentitiesFile {
    /// A longer file is not read, in bytes.
    static let maximumBytes = 1 << 20
    static let maximumIssuers = 16
    static let maximumCertificates = 1_000
    /// Tenants that a certificate may be for.
    static let mostTenants = 1_024
    /// Bytes of names and other texts.
    static let textLengths = 1...1_024

    /// - Throws: `LimitsFileError` with every problem found, in file order.
    static func read(_ path: String) throws(LimitsFileError) -> Identities {
        let bytes: [UInt8]?
        do {
            bytes = try InputFile.read(path, atMost: maximumBytes)
        } catch {
            throw LimitsFileError(file: path, sentence: "The file \(error.reason)")
        }
        guard let bytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw LimitsFileError(
                file: path, sentence: "The file is larger than 1 MiB, or not valid UTF-8")
        }
        return try parse(text, file: path)
    }

    static func parse(_ text: String, file: String) throws(LimitsFileError) -> Identities {
        guard let root = try YAMLDocument.root(of: text, file: file) else { return Identities() }
        var parser = IdentitiesParser()
        parser.parse(root)
        guard parser.problems.isEmpty else {
            throw LimitsFileError(file: file, problems: parser.problems)
        }
        return parser.identities
    }
}

/// Walks the tree of an identities file and notes every problem instead of stopping at the first.
private struct IdentitiesParser {
    private(set) var identities = Identities()
    private(set) var problems: [LimitsFileError.Problem] = []

    private static let issuerKeys = [
        "issuer", "audience", "keys", "algorithms", "scopes", "scope_claim", "scope_prefix",
        "tenant_claim", "all_tenants", "leeway", "refresh", "requests_per_second",
        "denied_token_ids",
    ]
    private static let certificateKeys = ["name", "scopes", "tenants", "requests_per_second"]

    mutating func parse(_ root: Node) {
        guard let file = fields(of: root, "The file", ["issuers", "certificates"]) else { return }
        for node in list(file["issuers"], "issuers", IdentitiesFile.maximumIssuers) {
            parseIssuer(node)
        }
        for node in list(file["certificates"], "certificates", IdentitiesFile.maximumCertificates) {
            parseCertificate(node)
        }
    }

    private mutating func parseIssuer(_ node: Node) {
        guard let fields = fields(of: node, "An issuer", Self.issuerKeys) else { return }
        let name = needed(
            fields["issuer"], "issuer", of: node, "An issuer", IdentitiesFile.textLengths)
        if identities.issuers.contains(where: { $0.name == name }) {
            note(fields["issuer"] ?? node, "Duplicate issuer \"\(name)\"")
        }
        let audiences = texts(fields["audience"], "audience", 16)
        if audiences.isEmpty {
            note(
                fields["audience"] ?? node,
                "An issuer needs an \"audience\": the aud of its tokens for this service")
        }
        let keys = needed(fields["keys"], "keys", of: node, "An issuer", 1...4_096)
        var issuer = Issuer(
            name: name, audiences: audiences,
            keys: source(keys, fields["keys"] ?? node),
            scopes: scopes(fields["scopes"], of: node, "An issuer"))
        if let node = fields["algorithms"] {
            let names = texts(node, "algorithms", SignatureAlgorithm.allCases.count)
            let algorithms = names.compactMap { SignatureAlgorithm(rawValue: $0) }
            if algorithms.count < names.count || algorithms.isEmpty {
                let known = SignatureAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
                note(node, "\"algorithms\" must be one or more of \(known)")
            }
            issuer.algorithms = Set(algorithms)
        }
        if let node = fields["scope_claim"] {
            issuer.scopeClaim = text(node, "scope_claim", 1...256)
        }
        if let node = fields["scope_prefix"] {
            issuer.scopePrefix = text(node, "scope_prefix", 0...256)
        }
        if let node = fields["tenant_claim"] {
            issuer.tenantClaim = text(node, "tenant_claim", 1...256)
        }
        issuer.mayNameNoTenant = flag(fields["all_tenants"], "all_tenants") ?? false
        if let node = fields["leeway"] {
            issuer.leeway = Double(duration(node, "leeway", 0...300_000)) / 1_000
        }
        if let node = fields["refresh"] {
            issuer.refresh = duration(node, "refresh", 60_000...86_400_000) / 1_000
        }
        issuer.rate = rate(fields["requests_per_second"])
        issuer.deniedTokens = Set(texts(fields["denied_token_ids"], "denied_token_ids", 10_000))
        identities.issuers.append(issuer)
    }

    private mutating func parseCertificate(_ node: Node) {
        guard let fields = fields(of: node, "A certificate", Self.certificateKeys) else { return }
        let name = needed(
            fields["name"], "name", of: node, "A certificate", IdentitiesFile.textLengths)
        if let pattern = name.firstIndex(of: "*"),
            !name.hasSuffix("/*") || pattern != name.index(before: name.endIndex)
                || !name.contains("://") || name.hasSuffix("://*")
        {
            note(
                fields["name"] ?? node,
                "A \"*\" is only allowed at the end of a URI, after a \"/\", like spiffe://example.org/ns/calls/*"
            )
        }
        let scopes = scopes(fields["scopes"], of: node, "A certificate")
        let ids = texts(fields["tenants"], "tenants", IdentitiesFile.mostTenants)
        if let node = fields["tenants"], ids.isEmpty {
            note(node, "\"tenants\" must not be empty; omit it for all tenants")
        }
        let tenants = fields["tenants"].map { _ in Set(ids.map { Identifier($0) }) }
        if !scopes.isEmpty, let fault = scopes.fault(tenants: tenants?.count) {
            note(fields["tenants"] ?? node, fault.sentence("A certificate"))
        }
        identities.certificates.append(
            CertificateRule(
                name: name, scopes: scopes, tenants: tenants,
                rate: rate(fields["requests_per_second"])))
    }

    // MARK: Values

    private mutating func source(_ text: String, _ node: Node) -> Issuer.KeySource {
        guard text.contains("://") else { return .file(text) }
        let url = URLComponents(string: text)
        let host = url?.host?.lowercased() ?? ""
        let isHere = Loopback.contains(host: host)
        if host.isEmpty || !(url?.scheme == "https" || url?.scheme == "http" && isHere) {
            note(
                node,
                "\"keys\" must be a file, or a URL that begins with https:// (http:// on this machine only)"
            )
        }
        if url?.user != nil || url?.password != nil {
            note(node, "\"keys\" must be a URL without user and password")
        }
        return .url(text)
    }

    private mutating func scopes(_ node: Node?, of owner: Node, _ what: String) -> Scopes {
        let known = Caller.Scope.allCases.map(\.rawValue)
        guard let node else {
            note(owner, "\(what) needs \"scopes\": one or more of \(known.joined(separator: ", "))")
            return []
        }
        let names = texts(node, "scopes", known.count)
        if names.isEmpty || !names.allSatisfy(known.contains) {
            note(node, "\"scopes\" must be one or more of \(known.joined(separator: ", "))")
        }
        return Scopes(names: names)
    }

    private mutating func rate(_ node: Node?) -> Int? {
        guard let node else { return nil }
        guard let number = node.scalar.flatMap({ Int($0.string) }), CallRate.range.contains(number)
        else {
            note(node, "\"requests_per_second\" must be a whole number from 1 to 1000000")
            return nil
        }
        return number
    }

    /// Milliseconds.
    private mutating func duration(
        _ node: Node, _ key: String, _ range: ClosedRange<Int64>
    ) -> Int64 {
        let value = node.scalar.flatMap { DurationText.milliseconds($0.string) }
        guard let value, range.contains(value) else {
            let bounds =
                "\(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))"
            note(node, "\"\(key)\" must be a duration from \(bounds), like 30s or 10m")
            return range.lowerBound
        }
        return value
    }

    private mutating func flag(_ node: Node?, _ key: String) -> Bool? {
        guard let node else { return nil }
        switch node.scalar?.string.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            note(node, "\"\(key)\" must be true or false")
            return nil
        }
    }

    private mutating func needed(
        _ node: Node?, _ key: String, of owner: Node, _ what: String, _ bytes: ClosedRange<Int>
    ) -> String {
        guard let node else {
            note(owner, "\(what) needs \"\(key)\"")
            return ""
        }
        return text(node, key, bytes)
    }

    private mutating func text(_ node: Node, _ key: String, _ bytes: ClosedRange<Int>) -> String {
        guard let text = node.scalar?.string, bytes.contains(text.utf8.count) else {
            note(
                node,
                "\"\(key)\" must be a string of \(bytes.lowerBound) to \(bytes.upperBound) bytes")
            return ""
        }
        return text
    }

    /// A text, or a list of texts.
    private mutating func texts(_ node: Node?, _ key: String, _ maximum: Int) -> [String] {
        guard let node else { return [] }
        let nodes = node.sequence.map { Array($0) } ?? [node]
        if nodes.count > maximum { note(node, "\"\(key)\" has more than \(maximum) entries") }
        return nodes.prefix(maximum).map { text($0, key, IdentitiesFile.textLengths) }
    }

    // MARK: Structure

    private mutating func note(_ node: Node, _ sentence: String) {
        problems.append(
            .init(line: node.mark?.line ?? 0, column: node.mark?.column ?? 0, sentence: sentence))
    }

    private mutating func list(_ node: Node?, _ key: String, _ maximum: Int) -> [Node] {
        guard let node else { return [] }
        if node.scalar.map({ $0.style == .plain && ["", "~", "null"].contains($0.string) }) ?? false
        {
            return []
        }
        guard let sequence = node.sequence else {
            note(node, "\"\(key)\" must be a list: each entry on its own line after a \"-\"")
            return []
        }
        if sequence.count > maximum { note(node, "\"\(key)\" has more than \(maximum) entries") }
        return Array(sequence.prefix(maximum))
    }

    private mutating func fields(
        of node: Node, _ what: String, _ keys: [String]
    ) -> [String: Node]? {
        guard let mapping = node.mapping else {
            note(node, "\(what) must be a mapping with the keys \(keys.joined(separator: ", "))")
            return nil
        }
        var fields: [String: Node] = [:]
        for (key, value) in mapping {
            guard let name = key.scalar?.string, keys.contains(name) else {
                note(
                    key,
                    "\(what) has no key \"\(key.scalar?.string ?? "this")\"; valid keys: \(keys.joined(separator: ", "))"
                )
                continue
            }
            fields[name] = value
        }
        return fields
    }
}
