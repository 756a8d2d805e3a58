import HTTPTypes
import Hummingbird
import JSON
import Limits

/// A row of the error catalogue as REST shows it (semantics §8).
struct ErrorKind: Sendable, Equatable {
    var code: String
    var title: String
    /// The standing detail; an error may say more.
    var detail: String
    /// Where it is explained, unless the service explains it (`ErrorPages`).
    private var standardURL: String
    /// It is Tollgate's own, and not the vendor's.
    private var isOwn: Bool
    var status: Int

    /// Where it is explained.
    var url: String {
        guard let base = ErrorPages.base, isOwn else { return standardURL }
        return base + code
    }

    init(_ code: ErrorCode) {
        let row = code.row
        self.init(
            "\(row.text)", "\(row.title)", "\(row.detail)", "\(row.url)", row.httpStatus,
            isOwn: ErrorPages.isOwn(code.rawValue))
    }

    private init(
        _ code: String, _ title: String, _ detail: String, _ url: String, _ status: Int,
        isOwn: Bool
    ) {
        self.code = code
        self.title = title
        self.detail = detail
        standardURL = url
        self.isOwn = isOwn
        self.status = status
    }

    /// A code of the seed's vendor.
    private static func vendor(
        _ code: String, _ title: String, _ detail: String, _ status: Int
    ) -> ErrorKind {
        ErrorKind(
            code, title, detail, "https://developers.telnyx.com/docs/overview/errors/\(code)",
            status, isOwn: false)
    }

    /// One of our own.
    private static func own(
        _ code: String, _ title: String, _ detail: String, _ status: Int
    ) -> ErrorKind {
        ErrorKind(
            code, title, detail, "https://tollgate.dev/errors/\(code)", status, isOwn: true)
    }

    static let badField = ErrorKind(.badField)
    static let missingField = ErrorKind(.missingField)
    static let malformed = ErrorKind(.malformed)
    static let notFound = ErrorKind(.notFound)
    static let unavailable = ErrorKind(.unavailable)
    static let tooManyRequests = ErrorKind(.tooManyRequests)
    static let unexpected = ErrorKind(.unexpected)

    // What only REST can meet.
    static let duplicate = vendor(
        "10012", "Duplicate resource", "The id is or was in use", 409)
    static let conflict = vendor(
        "10036", "Resource is being processed",
        "The resource is being changed by other requests; try again", 409)
    static let badRequest = vendor(
        "10015", "Bad Request", "The request is malformed", 400)
    static let unsupportedMediaType = vendor(
        "10014", "Unsupported Media Type", "The body must be application/json", 415)
    static let wrongType = vendor(
        "10026", "Invalid parameter type", "The value has the wrong type", 422)
    static let unprocessable = vendor(
        "10027", "Unprocessable Entity", "The request cannot be processed", 422)
    static let methodNotAllowed = vendor(
        "10030", "Method not allowed", "The method is not allowed for this resource", 405)
    static let outOfRange = vendor(
        "10033", "Value outside of range", "The value is out of range", 422)
    static let tooLarge = own(
        "49301", "Request too large", "The body is too large", 413)
    static let preconditionFailed = own(
        "49302", "Precondition failed", "The resource has been changed since", 412)
    static let tooSlow = own(
        "49303", "Request timeout", "The body did not arrive in time", 408)
    static let targetTooLong = own(
        "49304", "Target too long", "The request line is too long", 414)
    static let fieldsTooLong = own(
        "49305", "Header too long", "The header has too many bytes or fields",
        431)
    static let notImplemented = own(
        "49306", "Not implemented", "The service does not support this", 501)
    static let expectationFailed = own(
        "49307", "Expectation failed", "The only supported expectation is 100-continue", 417)
    static let versionNotSupported = own(
        "49308", "HTTP version not supported", "Only HTTP/1.1 is supported", 505)
}

/// One entry of `errors`.
struct APIErrorEntry: Sendable, Equatable {
    enum Source: Sendable, Equatable {
        /// RFC 6901, into the body.
        case pointer(String)
        /// The name of a query parameter or header.
        case parameter(String)
    }

    var kind: ErrorKind
    /// nil: the kind's own.
    var detail: String?
    var source: Source?

    init(_ kind: ErrorKind, _ detail: String? = nil, source: Source? = nil) {
        self.kind = kind
        self.detail = detail
        self.source = source
    }

    var json: JSON {
        let entry: JSON = [
            "code": .string(kind.code), "title": .string(kind.title),
            "detail": .string(detail ?? kind.detail), "meta": ["url": .string(kind.url)],
        ]
        switch source {
        case nil: return entry
        case .pointer(let pointer): return entry + ["source": ["pointer": .string(pointer)]]
        case .parameter(let name): return entry + ["source": ["parameter": .string(name)]]
        }
    }
}

/// A request that failed or was denied: status and `{"errors":[...]}`.
struct APIError: Error {
    var status: Int
    /// At least one.
    var entries: [APIErrorEntry]
    var headers: HTTPFields
    /// Beside `errors`; nil: nothing.
    var meta: JSON?

    init(_ entries: [APIErrorEntry], headers: HTTPFields = [:], meta: JSON? = nil) {
        self.entries = entries
        status = entries.first?.kind.status ?? 500
        self.headers = headers
        self.meta = meta
    }

    init(_ kind: ErrorKind, _ detail: String? = nil, at source: APIErrorEntry.Source? = nil) {
        self.init([APIErrorEntry(kind, detail, source: source)])
        if kind == .unavailable || kind == .tooManyRequests { headers[.retryAfter] = "1" }
        // The vendor's SDKs try every 409 again, and this one never goes well.
        if kind == .duplicate { headers[header: HeaderName.shouldRetry] = "false" }
    }

    var json: JSON {
        let body: JSON = ["errors": .array(entries.map(\.json))]
        return meta.map { body + ["meta": $0] } ?? body
    }
}

/// Collects everything that is wrong with one request.
final class ValidationErrors {
    /// More are not told.
    static let maximum = 64
    private(set) var entries: [APIErrorEntry] = []

    func note(_ kind: ErrorKind, _ source: APIErrorEntry.Source, _ detail: String? = nil) {
        guard entries.count < Self.maximum else { return }
        entries.append(APIErrorEntry(kind, detail, source: source))
    }

    /// Throws all of them, if there are any.
    func check() throws(APIError) {
        if !entries.isEmpty { throw APIError(entries) }
    }
}
