import Limits

/// The rules for certificates, as they are looked up: made once for each file of identities.
struct CertificateRules: Sendable {
    private let rules: [CertificateRule]
    /// In lower case, as an id: by bytes. The number of the first rule of that name.
    private var dnsNames: [Identifier: Int] = [:]
    private var uris: [Identifier: Int] = [:]
    /// Before the star, in the order of the list.
    private var patterns: [(prefix: String, rule: Int)] = []

    init(_ rules: [CertificateRule] = []) {
        self.rules = rules
        for (number, rule) in rules.enumerated() {
            if !rule.isURI {
                let name = Identifier(rule.name.lowercased())
                dnsNames[name] = dnsNames[name] ?? number
            } else if rule.name.hasSuffix("/*") {
                patterns.append((String(rule.name.dropLast()), number))
            } else {
                let name = Identifier(rule.name)
                uris[name] = uris[name] ?? number
            }
        }
    }

    /// The first rule that a certificate fits: exact names before patterns, each in the order of the list.
    ///
    /// - Complexity: O(names of the certificate); where none of them is exact, times O(patterns).
    func rule(_ names: CertificateNames) -> (rule: CertificateRule, name: String)? {
        var first: (rule: Int, name: String)?
        func meet(_ rule: Int?, _ name: String) {
            if let rule, rule < first?.rule ?? .max { first = (rule, name) }
        }
        if !dnsNames.isEmpty {
            for name in names.dnsNames { meet(dnsNames[Identifier(name.lowercased())], name) }
        }
        for uri in names.uris { meet(uris[Identifier(uri)], uri) }
        if first == nil {
            for uri in names.uris {
                meet(patterns.first { Self.isBelow($0.prefix, uri) }?.rule, uri)
            }
        }
        return first.map { (rules[$0.rule], $0.name) }
    }

    /// What begins so and goes back up, or ends there, is none of those below.
    private static func isBelow(_ prefix: String, _ uri: String) -> Bool {
        uri.utf8.starts(with: prefix.utf8) && uri.utf8.count > prefix.utf8.count
            && !uri.split(separator: "/").contains { $0 == "." || $0 == ".." }
    }
}
