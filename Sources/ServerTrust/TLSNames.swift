internal import Glibc
package import NIOCore
package import NIOSSL

/// The names that servers' certificates bear.
package enum TLSNames {
    package static func isAddress(_ host: String) -> Bool {
        var four = in_addr()
        var six = in6_addr()
        return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1
    }

    package static func isDNSName(_ name: String) -> Bool {
        (1...253).contains(name.utf8.count) && isMadeOfLabels(name) && isAddress(name) == false
    }

    /// Whether a text has only what the labels of host names are made of, and dots.
    package static func isMadeOfLabels(_ name: String) -> Bool {
        name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }

    /// Whether a certificate bears a DNS name among its subject alternative names.
    package static func bears(_ certificate: NIOSSLCertificate, _ name: String) -> Bool {
        certificate._subjectAlternativeNames().contains { found in
            found.nameType == .dnsName
                && found.contents.withUnsafeBufferPointer {
                    matches(String(decoding: $0, as: UTF8.self), name)
                }
        }
    }

    /// For a channel whose handshake is done: closes it, and fails, if its certificate does not bear a DNS name. NIOSSL is
    /// content with one for the address where a name was asked for: whoever leads the name astray may have one.
    package static func check(_ name: String, of channel: any Channel) -> EventLoopFuture<Void> {
        channel.pipeline.handler(type: NIOSSLClientHandler.self).flatMapThrowing { tls in
            guard let certificate = tls.peerCertificate, bears(certificate, name) else {
                throw NIOSSLError.unableToValidateCertificate
            }
        }.flatMapErrorThrowing { error in
            channel.close(promise: nil)
            throw error
        }
    }

    /// RFC 6125: without regard to case, and with an asterisk for the first label alone.
    package static func matches(_ pattern: String, _ name: String) -> Bool {
        func labels(_ text: String) -> [Substring] {
            text.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        }
        func withoutDot(_ text: String) -> String {
            text.hasSuffix(".") ? String(text.dropLast()) : text
        }
        let (found, asked) = (labels(withoutDot(pattern)), labels(withoutDot(name)))
        if found.first == "*", found.count > 2 {
            return found.count == asked.count && found.dropFirst() == asked.dropFirst()
        }
        return found == asked && pattern.contains("*") == false
    }
}
