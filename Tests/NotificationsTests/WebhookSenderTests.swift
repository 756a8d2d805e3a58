import Events
import Foundation
import NIOSSL
import Synchronization
import Testing
import X509

@testable import Notifications

@Suite struct WebhookSenderTests {
    private let event = Event(
        id: "evt-1", kind: .tenantReinstated, occurredAt: 0, tenantID: "acme")

    private func settings(timeout: Int64 = 300_000) throws -> WebhookSettings {
        var settings = WebhookSettings()
        settings.timeoutMilliseconds = timeout
        settings.allowedPrivate = [try #require(Network("127.0.0.0/8"))]
        return settings
    }

    private func withReceiver(
        answer: String?, tls: NIOSSLContext? = nil, _ body: (Receiver) async throws -> Void
    ) async throws {
        let receiver = try await Receiver(answer: answer, tls: tls)
        try await body(receiver)
        try await receiver.close()
    }

    @Test func theNameStaysAndTheAddressIsTheOneThatWasJudged() async throws {
        try await withReceiver(answer: Receiver.ok) { receiver in
            let sender = WebhookSender(
                try settings(), signer: WebhookSigner(),
                resolver: { _ in [IPAddress("127.0.0.1")].compactMap { $0 } },
                seconds: { 1_700_000_000 })
            // No resolver of the system knows the name: only the judged address leads anywhere.
            let url = "http://Hooks.invalid:\(receiver.port)/in?a=b"
            let result = await sender.send(
                WebhookPost(event: event, url: url, number: 2))
            #expect(result == AttemptResult(status: 200, error: nil))
            let text = try #require(receiver.texts.first)
            let head = text.lowercased()
            #expect(text.hasPrefix("POST /in?a=b HTTP/1.1\r\n"))
            #expect(head.contains("\r\nhost: hooks.invalid:\(receiver.port)\r\n"))
            #expect(head.contains("\r\nwebhook-id: evt-1\r\n"))
            #expect(head.contains("\r\ntelnyx-timestamp: 1700000000\r\n"))
            #expect(
                text.hasSuffix("\r\n\r\n" + EventJSON.body(event, attempt: 2, deliveredTo: url)))
        }
    }

    /// Allowed at the first question, loopback at the second: one question to an attempt, and nothing arrives.
    @Test func aResolverThatLiesTheSecondTimeIsNotAskedAgain() async throws {
        try await withReceiver(answer: Receiver.ok) { receiver in
            let questions = LockedCount()
            var settings = try settings()
            // Stands for a public address where nobody answers.
            settings.allowedPrivate = [try #require(Network("240.0.0.0/4"))]
            let resolver: Resolver = { _ in
                [IPAddress(questions.next() == 1 ? "240.0.0.1" : "127.0.0.1")].compactMap { $0 }
            }
            // The time is over a little after the question.
            let sender = WebhookSender(
                settings, signer: WebhookSigner(), resolver: resolver,
                pause: { _ in
                    while questions.value == 0 { try await Task.sleep(for: .milliseconds(1)) }
                    try await Task.sleep(for: .milliseconds(300))
                })
            // The system's resolver would lead "localhost" to the receiver.
            let result = await sender.send(
                WebhookPost(event: event, url: "http://localhost:\(receiver.port)/", number: 1))
            #expect(result.status == nil && result.error != nil)
            #expect(questions.value == 1)
            let patient = WebhookSender(settings, signer: WebhookSigner(), resolver: resolver)
            let second = await patient.send(
                WebhookPost(event: event, url: "http://localhost:\(receiver.port)/", number: 2))
            #expect(second.error?.contains("private") == true)
            #expect(receiver.connections == 0)
        }
    }

    /// The certificate is for the host of the URL: one for the address that its name leads to is somebody else's.
    @Test(arguments: [
        ("hooks.example", [GeneralName.dnsName("hooks.example")], true),
        ("Hooks.Example", [.dnsName("hooks.example"), TestAuthority.loopback], true),
        ("hooks.example", [.dnsName("*.example.org"), .dnsName("hooks.example")], true),
        ("hooks.example.org", [.dnsName("*.example.org")], true),
        ("hooks.example", [TestAuthority.loopback], false),
        ("hooks.example", [.dnsName("other.example"), TestAuthority.loopback], false),
        ("hooks.example", [], false),
        ("127.0.0.1", [TestAuthority.loopback], true),
        ("127.0.0.1", [.dnsName("hooks.example")], false),
    ])
    func aCertificateIsForTheHost(
        host: String, names: [GeneralName], isTaken: Bool
    ) async throws {
        let authority = try TestAuthority()
        // The common name has not counted for browsers for long.
        let tls = try authority.server(names, common: host)
        try await withReceiver(answer: Receiver.ok, tls: tls) { receiver in
            let sender = WebhookSender(
                try settings(), signer: WebhookSigner(),
                resolver: { _ in [IPAddress("127.0.0.1")].compactMap { $0 } },
                roots: .certificates([authority.certificate]))
            let result = await sender.send(
                WebhookPost(event: event, url: "https://\(host):\(receiver.port)/", number: 1))
            if isTaken {
                #expect(result == AttemptResult(status: 200, error: nil))
                #expect(receiver.texts.count == 1)
            } else {
                #expect(
                    result
                        == AttemptResult(
                            status: nil,
                            error:
                                "The certificate of \(host) is not trusted: it is for another host"
                        ))
                #expect(receiver.connections == 1 && receiver.texts.isEmpty)
            }
        }
    }

    @Test func aCertificateOfAnotherAuthorityIsRefused() async throws {
        let tls = try TestAuthority().server([.dnsName("hooks.example")])
        let other = try TestAuthority().certificate
        try await withReceiver(answer: Receiver.ok, tls: tls) { receiver in
            let sender = WebhookSender(
                try settings(), signer: WebhookSigner(),
                resolver: { _ in [IPAddress("127.0.0.1")].compactMap { $0 } },
                roots: .certificates([other]))
            let result = await sender.send(
                WebhookPost(
                    event: event, url: "https://hooks.example:\(receiver.port)/", number: 1))
            let reason = "is not trusted: it was not issued by a trusted CA"
            #expect(
                result.error?.hasPrefix("The certificate of hooks.example \(reason)") == true,
                "\(result)")
            #expect(receiver.texts.isEmpty)
        }
    }

    @Test func aRedirectIsAFailureAndIsNotFollowed() async throws {
        try await withReceiver(answer: Receiver.ok) { other in
            let answer = """
                HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:\(other.port)/\r\n\
                content-length: 0\r\n\r\n
                """
            try await withReceiver(answer: answer) { receiver in
                let sender = WebhookSender(try settings(), signer: WebhookSigner())
                let result = await sender.send(
                    WebhookPost(event: event, url: "http://127.0.0.1:\(receiver.port)/", number: 1))
                #expect(result.status == 307 && result.error != nil)
                #expect(receiver.texts.count == 1 && other.connections == 0)
            }
        }
    }

    @Test(arguments: [
        (200, true), (204, true), (299, true), (199 + 101, false), (404, false), (500, false),
    ])
    func only2xxIsSuccess(status: Int, isTaken: Bool) async throws {
        let answer = "HTTP/1.1 \(status) X\r\ncontent-length: 0\r\n\r\n"
        try await withReceiver(answer: status == 204 ? "HTTP/1.1 204 X\r\n\r\n" : answer) {
            receiver in
            let sender = WebhookSender(try settings(), signer: WebhookSigner())
            let result = await sender.send(
                WebhookPost(event: event, url: "http://127.0.0.1:\(receiver.port)/", number: 1))
            #expect(result.status == status && (result.error == nil) == isTaken)
        }
    }

    @Test func aBodyThatNeverEndsHoldsNobodyUp() async throws {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nx"
        try await withReceiver(answer: answer) { receiver in
            let sender = WebhookSender(try settings(), signer: WebhookSigner())
            let result = await sender.send(
                WebhookPost(event: event, url: "http://127.0.0.1:\(receiver.port)/", number: 1))
            #expect(result == AttemptResult(status: 200, error: nil))
        }
    }

    @Test func silenceEndsWithTheTimeLimit() async throws {
        try await withReceiver(answer: nil) { receiver in
            // The time is over when the receiver has been reached, however long that takes here.
            let sender = WebhookSender(
                try settings(), signer: WebhookSigner(),
                pause: { _ in
                    while receiver.connections == 0 { try await Task.sleep(for: .milliseconds(1)) }
                })
            let result = await sender.send(
                WebhookPost(event: event, url: "http://127.0.0.1:\(receiver.port)/", number: 1))
            #expect(result.status == nil && result.error?.contains("no answer") == true)
            #expect(receiver.connections == 1)
        }
    }

    @Test func aLookUpThatHangsEndsWithTheTimeLimit() async throws {
        let (never, end) = AsyncStream.makeStream(of: Void.self)
        let resolver: Resolver = { _ in
            // As one that cannot be interrupted.
            await Task.detached { for await _ in never {} }.value
            return []
        }
        let sender = WebhookSender(
            try settings(timeout: 100), signer: WebhookSigner(), resolver: resolver)
        let result = await sender.send(
            WebhookPost(event: event, url: "http://a.example/", number: 1))
        #expect(result.error?.contains("no answer") == true)
        end.finish()
    }
}

final class LockedCount: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }

    func next() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
}
