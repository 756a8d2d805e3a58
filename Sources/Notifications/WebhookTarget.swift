import Foundation
import Limits
import NIOCore
import NIOPosix
import ServerTrust
import Threads

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
    /// Over TLS.
    package let isSecure: Bool

    /// What is wrong with the text of an address; nil: nothing. Where its name leads is judged when it is used.
    package static func fault(of text: String) -> String? {
        guard text.utf8.count <= SettingShape.longestAddress else {
            return "The URL must be at most \(SettingShape.longestAddress) bytes"
        }
        // As an address is written (RFC 3986): so that two texts are never one address.
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return "The URL must be ASCII without spaces; percent-encode other characters"
        }
        guard let url = URLComponents(string: text), let scheme = url.scheme?.lowercased(),
            scheme == "https" || scheme == "http", let host = url.host, !host.isEmpty
        else { return "Must be a URL like https://example.com/hooks" }
        guard hostName(text) != nil else {
            return "The host must be an IP address or a name of ASCII letters, digits, '-' and '.'"
        }
        if url.user != nil || url.password != nil {
            return "The URL must not contain a user or password"
        }
        if url.fragment != nil { return "The URL must not have a fragment" }
        if let port = url.port, !(1...65_535).contains(port) {
            return "The port must be 1 to 65535"
        }
        return nil
    }

    /// The host of a URL, without the brackets of IPv6; nil: none, or one that is not what it looks like. Whoever
    /// connects takes it out of the URL a second time: only a text that cannot be read in two ways (no escapes, no
    /// Unicode) is sure to be the one that was judged.
    static func hostName(_ text: String) -> String? {
        guard let host = URLComponents(string: text)?.host, let again = URL(string: text)?.host,
            text.contains(host)
        else { return nil }
        let name = bare(host)
        let isAddress = name.contains(":") && IPAddress(name) != nil
        let isName = TLSNames.isMadeOfLabels(name)
        return !name.isEmpty && name == bare(again) && (isAddress || isName) ? name : nil
    }

    private static func bare(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    /// Looks a URL's name up and judges what is found: every address must be public or allowed.
    ///
    /// - Parameter turn: 0, 1, ...: which of several addresses, so that later attempts try others.
    /// - Throws: `Refusal`, or what the resolver throws.
    package init(
        _ text: String, allowed: [Network], turn: Int = 0, resolver: Resolver
    ) async throws {
        if let fault = Self.fault(of: text) { throw Refusal(description: fault) }
        guard let name = Self.hostName(text) else {
            throw Refusal(description: "The URL has no host")
        }
        host = name
        isSecure = URLComponents(string: text)?.scheme?.lowercased() == "https"
        let addresses = try await resolver(host)
        guard !addresses.isEmpty else {
            throw Refusal(description: "\(host) does not resolve to an address")
        }
        for address in addresses
        where !address.isPublic && !allowed.contains(where: { $0.contains(address) }) {
            throw Refusal(
                description: """
                    \(host) resolves to \(address), which is private or reserved; \
                    allow it with --webhook-allow-private
                    """)
        }
        address = addresses[max(0, turn) % addresses.count]
    }

    /// The system's resolver.
    package static let systemResolver: Resolver = { [lookups = Lookups()] host in
        try await lookups.addresses(of: host)
    }
}

/// Look-ups of names on threads of their own, where they may block. A name is looked up once at a time: one whose
/// servers are dead takes one thread, however many wait for it.
///
/// **Fairness.** Half of the threads are for names whose last look-up was quick: what hangs is in no way of theirs. Names
/// whose last one failed or was slow have at most a few threads, and do not wait for one.
actor Lookups {
    /// Of each half.
    static let threadCount = 8
    /// Names that are looked up or wait for a thread; one more is refused.
    static let maximumNames = 1_024
    /// Of those, names whose last look-up failed or was slow.
    static let mostTroubled = 4
    /// Names of which it is known how their last look-up went; with one more all are as new.
    static let mostKnown = 65_536

    /// How the last look-up of a name went.
    private enum Standing {
        case quick
        case troubled
    }

    private let quickThreads = NIOThreadPool(numberOfThreads: Lookups.threadCount)
    private let threads = NIOThreadPool(numberOfThreads: Lookups.threadCount)
    private var underway: [String: Task<[IPAddress], any Error>] = [:]
    private var troubled = 0
    private var known: [String: Standing] = [:]
    private let slow: Duration
    private let lookUp: @Sendable (String) throws -> [IPAddress]

    /// - Parameters:
    ///   - slow: what takes longer is.
    ///   - lookUp: may block.
    init(
        slow: Duration = .seconds(1),
        lookUp: @escaping @Sendable (String) throws -> [IPAddress] = Lookups.lookUp
    ) {
        self.slow = slow
        self.lookUp = lookUp
    }

    func addresses(of host: String) async throws -> [IPAddress] {
        if let address = IPAddress(host) { return [address] }
        // DNS knows no case.
        let name = host.lowercased()
        if let lookup = underway[name] { return try await lookup.value }
        guard underway.count < Self.maximumNames else { throw Self.refusal(host) }
        let standing = known[name]
        if standing == .troubled {
            guard troubled < Self.mostTroubled else { throw Self.refusal(host) }
            troubled += 1
        }
        let threads = standing == .quick ? quickThreads : threads
        threads.start()
        let lookup = Task { [slow, lookUp] in
            try await threads.runIfActive {
                NamedThread.setName(.lookUps)
                let began = ContinuousClock.now
                let result = Result { try lookUp(name) }
                return (result, isSlow: ContinuousClock.now - began > slow)
            }
        }
        let addresses = Task { try await lookup.value.0.get() }
        underway[name] = addresses
        defer {
            underway[name] = nil
            if standing == .troubled { troubled -= 1 }
        }
        let (result, isSlow) = try await lookup.value
        if known.count >= Self.mostKnown { known.removeAll() }
        known[name] = isSlow || (try? result.get()) == nil ? .troubled : .quick
        return try result.get()
    }

    private static func refusal(_ host: String) -> WebhookTarget.Refusal {
        WebhookTarget.Refusal(
            description: "\(host) cannot be resolved: too many lookups are waiting")
    }

    private static func lookUp(_ host: String) throws -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        // 0, or a code that gai_strerror describes.
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            throw WebhookTarget.Refusal(
                description:
                    "\(host) cannot be resolved: \(String(cString: gai_strerror(status)))")
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
