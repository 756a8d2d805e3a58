internal import Access
internal import AsyncHTTPClient
internal import CommandIO
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// What is to be done for access control beside the calls: issuers' keys are looked at, attempts that failed are told,
/// and it is put on record who was here.
struct AccessKeeping: Sendable {
    private let authority: TokenAuthority
    private let logger: Logger
    /// How long an issuer may take to send its keys.
    private static let timeout = TimeAmount.seconds(10)

    init(_ authority: TokenAuthority, _ logger: Logger) {
        self.authority = authority
        self.logger = logger
        authority.attempts.onFirst { failure, address in
            logger.notice(
                "an attempt to get in failed",
                metadata: ["from": "\(address)", "reason": "\(failure.rawValue)"])
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = Self.timeout
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        var seconds = 0
        while !Task.isCancelled {
            await lookAtKeys(client)
            tellAttempts()
            if seconds % 60 == 59 { authority.keepUses() }
            seconds += 1
            try? await Task.sleep(for: .seconds(1), clock: .suspending)
        }
        // What the last minute brought.
        tellAttempts(isLast: true)
        authority.keepUses()
        // Nothing is under way any more; there is nothing to do about a failure.
        try? await client.shutdown()
    }

    private func tellAttempts(isLast: Bool = false) {
        guard let minute = authority.keepAttempts(isLast: isLast), minute.count > 1 else { return }
        logger.notice(
            "attempts to get in failed within a minute",
            metadata: [
                "count": "\(minute.count)", "addresses": "\(minute.addresses)",
                "most": "\(minute.lines.joined(separator: ", "))",
            ])
    }

    // MARK: Keys

    private func lookAtKeys(_ client: HTTPClient) async {
        let due = authority.webTokens.due(now: Int64(MonotonicClock.now / 1_000_000))
        // Side by side: one that does not answer delays no other.
        await withTaskGroup(of: Void.self) { group in
            for issuer in due { group.addTask { await lookAtKeys(of: issuer, client) } }
        }
    }

    private func lookAtKeys(of issuer: Issuer, _ client: HTTPClient) async {
        do {
            let bytes = try await read(issuer.keys, client)
            if try authority.keep(bytes, of: issuer) {
                logger.info("took an issuer's keys over", metadata: ["issuer": "\(issuer.name)"])
            }
        } catch {
            let reason = "\(Self.reason(error))"
            guard authority.webTokens.fail(reason, of: issuer) else { return }
            logger.error(
                "an issuer's keys cannot be read; those that were read last stay in force",
                metadata: ["issuer": "\(issuer.name)", "reason": "\(reason)"])
        }
    }

    private func read(_ source: Issuer.KeySource, _ client: HTTPClient) async throws -> [UInt8] {
        switch source {
        case .file(let path):
            guard let bytes = try InputFile.read(path, atMost: JSONWebKeys.maximumBytes) else {
                throw KeyFailure("\(path) is longer than \(JSONWebKeys.maximumBytes) bytes")
            }
            return bytes
        case .url(let url):
            var request = HTTPClientRequest(url: url)
            request.headers.add(name: "Accept", value: "application/jwk-set+json, application/json")
            request.headers.add(name: "User-Agent", value: "tollgate/\(Tollgate.version)")
            let response = try await client.execute(request, timeout: Self.timeout)
            guard response.status == .ok else {
                throw KeyFailure("\(url) answered \(response.status.code)")
            }
            return Array(
                try await response.body.collect(upTo: JSONWebKeys.maximumBytes).readableBytesView)
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError: error.shortDescription
        case is NIOTooManyBytesError: "longer than \(JSONWebKeys.maximumBytes) bytes"
        default: "\(error)"
        }
    }
}

private struct KeyFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
