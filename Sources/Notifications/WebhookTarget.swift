import Foundation
import NIOCore
import NIOPosix

/// Looks names up. The addresses may be anything; they are judged by whoever asked.
package typealias Resolver = @Sendable (_ host: String) async throws -> [IPAddress]

/// Where one attempt goes: an address that was judged, and nothing else, whatever the name leads to a moment later.
package struct WebhookTarget: Sendable {
    package struct Refusal: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// As it stands in the URL, without the brackets of IPv6.
    package let host: String
    package let address: IPAddress

    /// What is wrong with the text of an address; nil: nothing. Where its name leads is judged when it is used.
    package static func fault(of text: String) -> String? {
        guard text.utf8.count <= 1_024 else { return "The address is longer than 1 024 bytes" }
        guard let url = URLComponents(string: text), let scheme = url.scheme?.lowercased(),
            scheme == "https" || scheme == "http", let host = url.host, !host.isEmpty
        else { return "This must be an address like https://example.com/hooks" }
        if url.user != nil || url.password != nil {
            return "The address must not carry a user or password"
        }
        if url.fragment != nil { return "The address must not have a fragment" }
        if let port = url.port, !(1...65_535).contains(port) {
            return "The port must be 1 to 65535"
        }
        return nil
    }

    /// Looks a URL's name up and judges what is found: every address must be public or allowed.
    package init(
        _ text: String, allowed: [Network], resolver: Resolver
    ) async throws {
        if let fault = Self.fault(of: text) { throw Refusal(description: fault) }
        guard let name = URLComponents(string: text)?.host else {
            throw Refusal(description: "The address has no host")
        }
        host = name.hasPrefix("[") ? String(name.dropFirst().dropLast()) : name
        let addresses = try await resolver(host)
        for address in addresses
        where !address.isPublic && !allowed.contains(where: { $0.contains(address) }) {
            throw Refusal(
                description: """
                    \(host) leads to \(address), which is private or reserved; \
                    --webhook-allow-private can allow it
                    """)
        }
        guard let first = addresses.first else {
            throw Refusal(description: "\(host) has no address")
        }
        address = first
    }

    /// The system's resolver, on threads where it may block.
    package static let systemResolver: Resolver = { host in
        try await NIOThreadPool.singleton.runIfActive {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let status = getaddrinfo(host, nil, &hints, &list)
            guard status == 0 else {
                throw Refusal(
                    description:
                        "\(host) cannot be looked up: \(String(cString: gai_strerror(status)))"
                )
            }
            defer { freeaddrinfo(list) }
            var found: [IPAddress] = []
            var next = list
            while let entry = next {
                if let address = IPAddress(entry.pointee), !found.contains(address) {
                    found.append(address)
                }
                next = entry.pointee.ai_next
            }
            return found
        }
    }
}

extension IPAddress {
    fileprivate init?(_ entry: addrinfo) {
        guard let address = entry.ai_addr else { return nil }
        let raw = UnsafeRawPointer(address)
        switch Int32(entry.ai_family) {
        case AF_INET: self.init(SocketAddress(raw.loadUnaligned(as: sockaddr_in.self)))
        case AF_INET6: self.init(SocketAddress(raw.loadUnaligned(as: sockaddr_in6.self)))
        default: return nil
        }
    }
}
