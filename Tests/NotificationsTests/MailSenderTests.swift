import NIOCore
import NIOPosix
import Testing

@testable import Notifications

@Suite struct MailSenderTests {
    private let message = MailMessage(
        subject: "S", text: "T\n", html: "<p>T</p>\n", brandName: "B", date: 0)

    private func send(
        _ sender: MailSender, to address: String = "ops@example.com"
    ) async -> Result<Int, MailError> {
        do {
            return .success(try await sender.send(message, to: address, id: "1"))
        } catch {
            return .failure(error)
        }
    }

    /// A listening socket that never says a word.
    private func withSilentServer(_ body: (Int) async throws -> Void) async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        try await body(try #require(channel.localAddress?.port))
        try await channel.close()
    }

    private func failure(_ result: Result<Int, MailError>) -> MailError? {
        if case .failure(let error) = result { error } else { nil }
    }

    @Test func aSilentServerIsGivenUp() async throws {
        try await withSilentServer { port in
            let sender = MailSender(
                SMTPSettings(
                    host: "127.0.0.1", port: port, security: .none, from: "a@example.com",
                    timeoutMilliseconds: 200))
            let error = failure(await send(sender))
            #expect(error?.code == .unreachable && error?.status == nil)
            #expect(error?.isWorthRetrying == true)
        }
    }

    @Test func aDeadServerIsWorthAnotherAttempt() async throws {
        var free = 0
        try await withSilentServer { free = $0 }
        let sender = MailSender(
            SMTPSettings(host: "127.0.0.1", port: free, security: .none, from: "a@example.com"))
        let error = failure(await send(sender))
        #expect(error?.code == .unreachable && error?.isWorthRetrying == true)
    }

    @Test func aCancelledTaskDoesNotWaitForTheServer() async throws {
        try await withSilentServer { port in
            let sender = MailSender(
                SMTPSettings(
                    host: "127.0.0.1", port: port, security: .none, from: "a@example.com",
                    timeoutMilliseconds: 600_000))
            let task = Task { await send(sender) }
            task.cancel()
            #expect(failure(await task.value)?.code == .notTried)
        }
    }

    @Test func addressesAreRefusedBeforeAnyConnection() async {
        let sender = MailSender(SMTPSettings(host: "127.0.0.1", port: 9, from: "a@example.com"))
        let error = failure(await send(sender, to: "x@example.com>\r\nRCPT TO:<y@example.com"))
        #expect(error?.code == .unusable && error?.isWorthRetrying == false)
    }

    @Test(arguments: ["", "a/b", "a@b", "a b", "a?b", "a#b", "a%00", "a\r\nb", "ä"])
    func aHostIsAHost(_ host: String) async {
        let sender = MailSender(SMTPSettings(host: host, from: "a@example.com"))
        #expect(failure(await send(sender))?.code == .unusable)
    }

    @Test func aRefusalForGoodIsNotTriedAgain() {
        #expect(!MailError(.refused, status: 550, "no").isWorthRetrying)
        #expect(MailError(.refused, status: 450, "later").isWorthRetrying)
        #expect(MailError(.login, status: 535, "password").isWorthRetrying)
    }
}
