internal import Access
internal import AsyncHTTPClient
internal import CommandIO
internal import ControlPlane
internal import Foundation
internal import LogLines
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import ServerTrust
internal import Synchronization

/// What is to be done for access control beside the calls: issuers' keys are looked at, attempts that failed are told,
/// and it is put on record who was here.
final class AccessKeeping: Sendable {
    private let authority: TokenAuthority
    private let logger: Logger
    /// Of each issuer whose keys could not be read.
    private let troubles = Mutex<[String: StateLog]>([:])
    /// How long an issuer may take to send its keys, to the last byte.
    private static let timeout = Duration.seconds(10)

    init(_ authority: TokenAuthority, _ logger: Logger) {
        self.authority = authority
        self.logger = logger
        authority.attempts.onFirst { failure, address in
            logger.notice(
                "authentication failed",
                metadata: ["from": "\(address)", "reason": "\(failure.rawValue)"])
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            var seconds = 0
            while !Task.isCancelled {
                // Beside all else: an issuer that does not answer delays nothing.
                let now = Int64(MonotonicClock.now / 1_000_000)
                for issuer in authority.webTokens.due(now: now) {
                    group.addTask { await self.lookAtKeys(of: issuer) }
                }
                tellAttempts()
                if seconds % 60 == 59 { authority.keepUses() }
                seconds += 1
                try? await Task.sleep(for: .seconds(1), clock: .suspending)
            }
            // What the last minute brought.
            tellAttempts(isLast: true)
            authority.keepUses()
        }
    }

    private func tellAttempts(isLast: Bool = false) {
        guard let minute = authority.keepAttempts(isLast: isLast), minute.count > 1 else { return }
        logger.notice(
            "authentication failures in the last minute",
            metadata: [
                "count": "\(minute.count)", "addresses": "\(minute.addresses)",
                "most": "\(minute.lines.joined(separator: ", "))",
            ])
    }

    // MARK: Keys

    private func lookAtKeys(of issuer: Issuer) async {
        do {
            let bytes = try await read(issuer.keys)
            if try authority.keep(bytes, of: issuer) {
                logger.info("loaded an issuer's keys", metadata: ["issuer": "\(issuer.name)"])
            }
            trouble(of: issuer).look(nil, logger, ["issuer": "\(issuer.name)"])
        } catch {
            // The service stops.
            if Task.isCancelled { return }
            let reason = "\(Self.reason(error))"
            authority.webTokens.fail(reason, of: issuer)
            trouble(of: issuer).look(reason, logger, ["issuer": "\(issuer.name)"])
        }
    }

    private func trouble(of issuer: Issuer) -> StateLog {
        troubles.withLock { troubles in
            if let known = troubles[issuer.name] { return known }
            let state = StateLog(
                begins: "an issuer's keys cannot be read; the last keys stay in force",
                ends: "an issuer's keys can be read again", tellsChanges: true)
            troubles[issuer.name] = state
            return state
        }
    }

    private func read(_ source: Issuer.KeySource) async throws -> [UInt8] {
        switch source {
        case .file(let path):
            guard let bytes = try InputFile.read(path, atMost: JSONWebKeys.maximumBytes) else {
                throw KeyFailure("\(path) is larger than \(JSONWebKeys.maximumBytes) bytes")
            }
            return bytes
        case .url(let url):
            let parts = URLComponents(string: url)
            // A path or a query may hold a secret.
            let place = "\(parts?.scheme ?? "")://\(parts?.host ?? "")"
            let client = Self.client(for: parts)
            let look = Task { try await Self.read(url, client, place) }
            let found: Result<[UInt8]?, any Error>
            do {
                found = .success(try await look.value(within: Self.timeout))
            } catch {
                found = .failure(error)
            }
            look.cancel()
            // Nothing is to be done about a failure.
            try? await client.shutdown()
            guard let bytes = try found.get() else { throw HTTPClientError.deadlineExceeded }
            return bytes
        }
    }

    /// A client for one look: the name that a certificate must bear is fixed for a client.
    private static func client(for url: URLComponents?) -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = TimeAmount(timeout)
        configuration.timeout.read = TimeAmount(timeout)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.requireName(of: url)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    private static func read(
        _ url: String, _ client: HTTPClient, _ place: String
    ) async throws -> [UInt8] {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "Accept", value: "application/jwk-set+json, application/json")
        request.headers.add(name: "User-Agent", value: "tollgate/\(Tollgate.version)")
        let response = try await client.execute(request, timeout: TimeAmount(timeout))
        guard response.status == .ok else {
            throw KeyFailure("\(place) answered \(response.status.code)")
        }
        return Array(
            try await response.body.collect(upTo: JSONWebKeys.maximumBytes).readableBytesView)
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError: error.shortDescription
        case is NIOTooManyBytesError: "larger than \(JSONWebKeys.maximumBytes) bytes"
        case is KeyFailure, is FileFailure, is JSONWebKeysError: "\(error)"
        default: TLSText.failure(error, endpoint: "the issuer") ?? ConnectionText.reason(error)
        }
    }
}

private struct KeyFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
