import Access
import Engine
import HTTPTypes
import Hummingbird
import JSON

/// `/v2/access_statistics`: what the service counts about those who want in.
struct AccessStatistics: Sendable {
    let core: ControlPlaneContext

    var routes: [Route] {
        [
            Route(
                .get, "/v2/access_statistics", .readStatistics, Operations.accessStatistics, get)
        ]
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        let authority = core.authority
        let counts = authority.attempts.counts
        let failures = AttemptFailure.allCases.filter { counts[$0] != nil }.map { failure in
            (name: failure.rawValue, value: JSON.integer(Int64(counts[failure] ?? 0)))
        }
        return .data([
            "record_type": "access_statistics",
            "failed_attempts": .integer(Int64(counts.values.reduce(0, +))),
            "failures": .object(failures),
            "too_many_requests": .integer(Int64(authority.hurried)),
            "verified_tokens": .integer(Int64(authority.webTokens.verified)),
            "remembered_tokens": .integer(Int64(authority.webTokens.remembered)),
            "issuers": .array(
                authority.webTokens.status.map { status in
                    [
                        "issuer": .string(status.issuer), "keys": .integer(Int64(status.keys)),
                        "last_good_at": Instant.json(status.lastGood ?? 0),
                        "trouble": .text(status.trouble),
                    ]
                }),
        ])
    }
}
