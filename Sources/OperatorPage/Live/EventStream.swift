import Hummingbird
import JSON
import NIOCore

/// Server-sent events (the HTML standard): a message whenever there is something new, and a comment now and then.
struct EventStream: Sendable {
    let hub: LiveHub
    /// Milliseconds.
    let heartbeat: Int64
    /// Asked before each message: false ends the stream.
    let isAllowed: @Sendable () -> Bool

    /// - Parameter message: what is to be said now, on one line; nil: there is nothing more to say.
    func reply(_ message: @escaping @Sendable () async throws -> String?) -> PageReply? {
        guard let watch = hub.join() else { return nil }
        let membership = Membership(hub, watch)
        return .events { writer in
            defer { membership.end() }
            try await run(watch, &writer, message)
            try await writer.finish(nil)
        }
    }

    private func run(
        _ watch: LiveHub.Watch, _ writer: inout any ResponseBodyWriter,
        _ message: @Sendable () async throws -> String?
    ) async throws {
        try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
        var told = ""
        var last = ContinuousClock.now
        for await _ in watch.beats {
            guard isAllowed(), let text = try await message() else { return }
            if text != told {
                try await writer.write(ByteBuffer(string: "data: \(text)\n\n"))
                told = text
            } else if ContinuousClock.now - last >= .milliseconds(heartbeat) {
                try await writer.write(ByteBuffer(string: ":\n\n"))
            } else {
                continue
            }
            last = ContinuousClock.now
        }
    }

    static func line(_ value: some Encodable) throws -> String {
        try JSON(encoding: value).text
    }
}

/// Leaves the hub when the stream ends, or when it never begins.
private final class Membership: Sendable {
    private let hub: LiveHub
    private let watch: LiveHub.Watch

    init(_ hub: LiveHub, _ watch: LiveHub.Watch) {
        self.hub = hub
        self.watch = watch
    }

    func end() { hub.leave(watch) }

    deinit { hub.leave(watch) }
}
