import Foundation
import NIOPosix
import Synchronization
import Threads

/// Sends mails, each over a connection of its own, on a few threads that do nothing else.
///
/// Thread safety: any thread. Callers wait without a thread.
package final class MailSender: Sendable {
    /// Mails underway at a time; each blocks a thread.
    static let threadCount = 8
    /// Mails that wait for a thread, or are underway; one more is refused.
    static let maximumMails = 1_024

    let settings: SMTPSettings
    private let threads: NIOThreadPool
    private let mails = Atomic<Int>(0)

    package init(_ settings: SMTPSettings) {
        self.settings = settings
        threads = NIOThreadPool(numberOfThreads: Self.threadCount)
        threads.start()
    }

    deinit {
        // Ends by itself, when the last mail is through.
        threads.shutdownGracefully { _ in }
    }

    /// Sends a mail to one address. Takes at most the time limit of the settings, once it has a thread; ends early if the
    /// task is cancelled.
    ///
    /// - Parameters:
    ///   - address: a plain mail address, ASCII.
    ///   - id: of the event; Message-ID is made of it, so that a mail that is sent twice is seen to be one.
    ///   - began: called when a thread has it in hand, if it comes to that.
    /// - Returns: the server's reply code, 2xx.
    /// - Throws: `MailError`; `isWorthRetrying` says whether to come back.
    package func send(
        _ message: MailMessage, to address: String, id: String,
        began: @escaping @Sendable () -> Void = {}
    ) async throws(MailError) -> Int {
        let settings = settings
        try Self.check(settings)
        let bytes = try MIME.message(message, from: settings.from, to: address, id: id)
        // ORDERING: relaxed; a count that publishes nothing.
        let others = mails.wrappingAdd(1, ordering: .relaxed).oldValue
        defer { mails.wrappingSubtract(1, ordering: .relaxed) }
        guard others < Self.maximumMails else {
            throw MailError(.notTried, "\(Self.maximumMails) mails are already queued.")
        }
        let cancellation = MailCancellation()
        let result: Result<Int, MailError>?
        do {
            result = try await withTaskCancellationHandler {
                try await threads.runIfActive {
                    NamedThread.setName(.mail)
                    began()
                    return Result { () throws(MailError) -> Int in
                        try SMTPTransaction.send(bytes, to: address, settings, cancellation)
                    }
                }
            } onCancel: {
                cancellation.cancel()
            }
        } catch {
            // Cancelled before a thread took it.
            result = nil
        }
        guard let result else { throw MailError(.notTried, "The service is stopping.") }
        return try result.get()
    }

    /// Nothing but a host may stand where the host does: it becomes a part of a URL.
    private static func check(_ settings: SMTPSettings) throws(MailError) {
        let host = settings.host.utf8
        let isHost = host.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: ":"):
                true
            default: false
            }
        }
        guard isHost, !host.isEmpty, (1...65_535).contains(settings.port) else {
            throw MailError(.unusable, "The mail server's name or port is invalid.")
        }
    }
}
