import Access
import Foundation
import HTTPTypes
import Hummingbird
import JSON
import Limits
import NIOCore

/// A request as a handler sees it.
struct Exchange: Sendable {
    var parameters: [String: String]
    /// What stands after the `?`.
    var query: String
    var headers: HTTPFields
    /// At most `RESTSettings.maximumBodyBytes`.
    var body: [UInt8]
    var caller: Caller
    /// The trace that the request belongs to; nil: none.
    var trace: TraceID?
    /// What ids are made of, so that a repeat makes the same; nil: of chance.
    var seed: [UInt8]?
    /// Of one with a seed: when it was first begun, engine time in Unix milliseconds.
    var begunAt: Int64 = 0
    /// It was begun before, and what became of it is not known.
    var isRepeated = false

    var requester: Requester { Requester(caller: caller.number, trace: trace) }

    /// A part of the path.
    func parameter(_ name: String) -> String { parameters[name] ?? "" }

    var id: String { parameter("id") }

    /// A UUID for what is made.
    func newID() -> String {
        guard var bytes = seed?.prefix(16) else { return UUID().uuidString.lowercased() }
        // Version 8, the variant of RFC 9562.
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        let groups = [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }
        return groups.joined(separator: "-")
    }

    /// Whether the first attempt made what has the id of `newID`; else an earlier request did, whose key is forgotten.
    func hasMade(createdAt: Int64) -> Bool { isRepeated && createdAt >= begunAt }

    func queryReader() -> QueryReader { QueryReader(query, ValidationErrors()) }

    /// The body as an object.
    ///
    /// - Parameter isOptional: an absent body reads as an empty object.
    func bodyReader(
        isOptional: Bool = false, outOfRange: ErrorKind = .outOfRange,
        wrongType: ErrorKind = .wrongType, findings: ValidationErrors = ValidationErrors()
    ) throws(APIError) -> BodyReader {
        if body.isEmpty {
            guard isOptional else { throw APIError(.malformed, "The body is empty") }
            return BodyReader([:], findings, outOfRange: outOfRange, wrongType: wrongType)
        }
        try requireJSON()
        do {
            let object = try JSONParser.parse(body)
            return BodyReader(object, findings, outOfRange: outOfRange, wrongType: wrongType)
        } catch {
            throw APIError(.malformed, "\(error.reason) (at byte \(error.offset))")
        }
    }

    private func requireJSON() throws(APIError) {
        let type = headers[.contentType] ?? ""
        let parts = type.lowercased().split(separator: ";").map {
            $0.trimming(while: { $0 == " " || $0 == "\t" })
        }
        let parameters = parts.dropFirst()
        guard parts.first == "application/json",
            parameters.allSatisfy({ $0 == "charset=utf-8" || $0 == "charset=\"utf-8\"" }),
            (headers[.contentEncoding] ?? "identity").lowercased() == "identity"
        else { throw APIError(.unsupportedMediaType) }
    }

    /// Compares `If-Match` with what the resource's `ETag` is now.
    func checkIfMatch(_ tag: String) throws(APIError) {
        guard let wanted = headers[.ifMatch] else { return }
        let tags = wanted.split(separator: ",").map { $0.trimming(while: { $0 == " " }) }
        if tags.contains("*") || tags.contains(tag) { return }
        throw APIError(
            .preconditionFailed, "The ETag is \(tag), not \(wanted.prefix(128))")
    }
}

extension Substring {
    func trimming(while condition: (Character) -> Bool) -> String {
        var text = drop(while: condition)
        while let last = text.last, condition(last) { text.removeLast() }
        return String(text)
    }
}

/// What a handler answers.
struct Reply: Sendable {
    var status = 200
    var headers: HTTPFields = [:]
    /// Shared by all who are given it.
    var body: ByteBuffer

    init(_ json: JSON) { self.init(stored: json.encoded) }

    /// - Parameter stored: JSON as it was encoded once.
    init(stored: [UInt8]) {
        body = ByteBuffer(bytes: stored)
        headers[.contentType] = "application/json"
    }

    /// `{"data":...}`, with an `ETag` and `meta` where there are such.
    static func data(_ data: JSON, tag: String? = nil, meta: JSON? = nil) -> Reply {
        let body: JSON = ["data": data]
        var reply = Reply(meta.map { body + ["meta": $0] } ?? body)
        if let tag { reply.headers[.eTag] = tag }
        return reply
    }
}
