internal import GRPCServer

/// The requests of `grpc.testing.TestService`: a union of all of them, since their fields do not collide in meaning.
struct TestRequest {
    struct Answer {
        var size = 0
        var intervalMicroseconds: Int64 = 0
    }

    /// Bytes of the request's payload.
    var payloadBytes = 0
    var answers: [Answer] = []
    /// The status to end with.
    var status: (code: Int, message: String)?
    /// Whether the message must have come compressed; nil: either.
    var expectsCompressed: Bool?

    /// SimpleRequest.
    init?(simple bytes: UnsafeRawBufferPointer) {
        var answer = Answer()
        let isMessage = Self.read(bytes) { number, value in
            switch (number, value) {
            case (2, .number(let size)): answer.size = Self.size(size)
            case (3, .bytes(let payload)): return takePayload(payload)
            case (7, .bytes(let status)): return takeStatus(status)
            case (8, .bytes(let flag)): return takeExpectation(flag)
            default: break
            }
            return true
        }
        guard isMessage else { return nil }
        answers = [answer]
    }

    /// StreamingInputCallRequest.
    init?(input bytes: UnsafeRawBufferPointer) {
        let isMessage = Self.read(bytes) { number, value in
            switch (number, value) {
            case (1, .bytes(let payload)): takePayload(payload)
            case (2, .bytes(let flag)): takeExpectation(flag)
            default: true
            }
        }
        guard isMessage else { return nil }
    }

    /// StreamingOutputCallRequest.
    init?(output bytes: UnsafeRawBufferPointer) {
        let isMessage = Self.read(bytes) { number, value in
            switch (number, value) {
            case (2, .bytes(let parameters)): takeAnswer(parameters)
            case (3, .bytes(let payload)): takePayload(payload)
            case (7, .bytes(let status)): takeStatus(status)
            default: true
            }
        }
        guard isMessage else { return nil }
    }

    // MARK: Parts

    /// False: the bytes are no message, or one of its parts is none.
    private static func read(
        _ bytes: UnsafeRawBufferPointer, _ take: (Int, WireReader.Value) -> Bool
    ) -> Bool {
        var reader = WireReader(bytes)
        while let (number, value) = reader.next() {
            guard take(number, value) else { return false }
        }
        return !reader.isMalformed
    }

    /// An `int32` of 0 or more that a test may ask for.
    private static func size(_ number: UInt64) -> Int { Int(min(number, 4 << 20)) }

    private mutating func takePayload(_ bytes: UnsafeRawBufferPointer) -> Bool {
        Self.read(bytes) { number, value in
            if number == 2, case .bytes(let body) = value { payloadBytes += body.count }
            return true
        }
    }

    private mutating func takeAnswer(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var answer = Answer()
        let isMessage = Self.read(bytes) { number, value in
            switch (number, value) {
            case (1, .number(let size)): answer.size = Self.size(size)
            case (2, .number(let interval)):
                answer.intervalMicroseconds = Int64(min(interval, 60_000_000))
            default: break
            }
            return true
        }
        answers.append(answer)
        return isMessage
    }

    private mutating func takeStatus(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var echo = (code: 0, message: "")
        let isMessage = Self.read(bytes) { number, value in
            switch (number, value) {
            case (1, .number(let code)): echo.code = Int(truncatingIfNeeded: code)
            case (2, .bytes(let text)): echo.message = String(decoding: text, as: UTF8.self)
            default: break
            }
            return true
        }
        status = echo
        return isMessage
    }

    private mutating func takeExpectation(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var expected = false
        let isMessage = Self.read(bytes) { number, value in
            if number == 1, case .number(let flag) = value { expected = flag != 0 }
            return true
        }
        expectsCompressed = expected
        return isMessage
    }
}

extension ResponseBuffer {
    /// SimpleResponse and StreamingOutputCallResponse: a payload of zeros.
    mutating func appendPayload(_ size: Int) {
        let body = Self.tag(2, 2) + Self.varint(size)
        append(Self.tag(1, 2) + Self.varint(body.count + size) + body)
        let room = reserve(size)
        for index in 0..<size { room[index] = 0 }
        commit(size)
    }

    /// StreamingInputCallResponse.
    mutating func appendAggregate(_ size: Int) {
        append(Self.tag(1, 0) + Self.varint(size))
    }

    private mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    private static func tag(_ number: UInt8, _ type: UInt8) -> [UInt8] { [number << 3 | type] }

    private static func varint(_ value: Int) -> [UInt8] {
        var rest = value
        var bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}
