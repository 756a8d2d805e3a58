internal import Foundation

extension SettingType<String> {
    /// Bytes: an error's answer has a link of its own for each limit that refused.
    private static var longestURL: Int { 128 }

    /// An absolute URL without user, query and fragment.
    static var url: Self {
        SettingType(
            kind: .url, valueName: "url",
            expected: """
                an absolute http or https URL without user, query and fragment, of at most \
                \(longestURL) bytes, like https://limits.example.com
                """
        ) { text in
            guard text.utf8.count <= longestURL,
                text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x3C }),
                let url = URLComponents(string: text),
                ["http", "https"].contains(url.scheme?.lowercased()),
                let host = url.host, !host.isEmpty, host != "[]",
                url.user == nil, url.password == nil, url.query == nil, url.fragment == nil
            else { return nil }
            return text
        }
    }
}
