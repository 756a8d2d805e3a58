internal import GRPCServer
internal import NIOCore

/// `grpc.testing.TestService` on one event loop, on the transport that serves the product.
///
/// A request of FullDuplexCall has one answer: with no parameters an empty one, with several UNIMPLEMENTED. HalfDuplexCall
/// is not there. The transport has neither, since no service of ours needs them.
///
/// Thread safety: belongs to its event loop.
final class TestService: GRPCService {
    private enum Method: Int, CaseIterable {
        case emptyCall, unaryCall, streamingOutputCall, streamingInputCall, fullDuplexCall
    }

    /// The largest message of a test case has 271 828 bytes.
    static let methods: [MethodDescriptor] = Method.allCases.map { method in
        let (name, kind): (String, MethodKind) =
            switch method {
            case .emptyCall: ("EmptyCall", .unary)
            case .unaryCall: ("UnaryCall", .unary)
            case .streamingOutputCall: ("StreamingOutputCall", .serverStreaming)
            case .streamingInputCall: ("StreamingInputCall", .clientStreaming)
            case .fullDuplexCall: ("FullDuplexCall", .bidirectional)
            }
        return MethodDescriptor(
            path: "/grpc.testing.TestService/\(name)", kind: kind,
            maximumRequestBytes: 512 * 1024)
    }

    /// What is left to be sent on a stream of StreamingOutputCall.
    private struct Outgoing {
        var answers: [TestRequest.Answer]
        var ending: GRPCFailure?
        /// Its next answer waits for its time, or for room.
        var isWaiting = false
    }

    private weak var loop: ServerLoop?
    /// Bytes of payloads that the streams of StreamingInputCall have brought.
    private var aggregates: [CallToken: Int] = [:]
    private var outgoing: [CallToken: Outgoing] = [:]

    init(loop: ServerLoop) { self.loop = loop }

    // MARK: Unary

    func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        guard Method(rawValue: call.method) == .unaryCall else { return .done }
        guard let simple = TestRequest(simple: request) else { return .failed(Self.malformed) }
        if let failure = Self.check(simple, call) ?? Self.failure(simple) {
            return .failed(failure)
        }
        response.appendPayload(simple.answers[0].size)
        return .done
    }

    // MARK: Streams of requests

    func streamOpened(_ call: CallContext) -> GRPCFailure? {
        if Method(rawValue: call.method) == .streamingInputCall { aggregates[call.token] = 0 }
        return nil
    }

    func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        guard Method(rawValue: call.method) == .fullDuplexCall else {
            guard let input = TestRequest(input: request) else { return .failed(Self.malformed) }
            if let failure = Self.check(input, call) { return .failed(failure) }
            aggregates[call.token, default: 0] += input.payloadBytes
            return .done
        }
        guard let output = TestRequest(output: request) else { return .failed(Self.malformed) }
        if let failure = Self.failure(output) { return .failed(failure) }
        guard output.answers.count <= 1 else { return .failed(Self.severalAnswers) }
        if let answer = output.answers.first { response.appendPayload(answer.size) }
        return .done
    }

    func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> ServiceOutcome {
        response.appendAggregate(aggregates[call.token] ?? 0)
        return .done
    }

    // MARK: A stream of answers

    func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        guard let output = TestRequest(output: request) else { return Self.malformed }
        let token = call.token
        outgoing[token] = Outgoing(answers: output.answers, ending: Self.failure(output))
        // When the call is in place.
        loop?.eventLoop.assumeIsolated().execute { [weak self] in self?.send(token) }
        return nil
    }

    func streamWritable(_ token: CallToken) {
        guard outgoing[token] != nil else { return }
        outgoing[token]?.isWaiting = false
        send(token)
    }

    func streamClosed(_ token: CallToken) {
        aggregates[token] = nil
        outgoing[token] = nil
    }

    /// Sends what may leave now.
    private func send(_ token: CallToken) {
        guard let loop else { return }
        while let next = outgoing[token], !next.isWaiting {
            guard let answer = next.answers.first else {
                outgoing[token] = nil
                loop.end(token, next.ending)
                break
            }
            if answer.intervalMicroseconds > 0 {
                pause(token, answer.intervalMicroseconds)
                break
            }
            switch loop.push(token, { $0.appendPayload(answer.size) }) {
            case .sent: outgoing[token]?.answers.removeFirst()
            case .congested: outgoing[token]?.isWaiting = true
            case .gone: outgoing[token] = nil
            }
        }
        loop.flush()
    }

    private func pause(_ token: CallToken, _ microseconds: Int64) {
        outgoing[token]?.isWaiting = true
        outgoing[token]?.answers[0].intervalMicroseconds = 0
        loop?.eventLoop.assumeIsolated().scheduleTask(in: .microseconds(microseconds)) {
            [weak self] in self?.streamWritable(token)
        }
    }

    // MARK: Failures

    /// Whether a message came as its sender says that it must have.
    private static func check(_ request: TestRequest, _ call: CallContext) -> GRPCFailure? {
        guard let expected = request.expectsCompressed, expected != call.isCompressed else {
            return nil
        }
        return GRPCFailure(
            .invalidArgument,
            expected ? "the message came as it is" : "the message came compressed")
    }

    /// The status with which a test wants its call to end.
    private static func failure(_ request: TestRequest) -> GRPCFailure? {
        guard let status = request.status, status.code != 0 else { return nil }
        let code = UInt8(exactly: status.code).flatMap { GRPCCode(rawValue: $0) }
        return GRPCFailure(code ?? .unknown, status.message)
    }

    private static let malformed = GRPCFailure(.invalidArgument, "the request is no message")
    private static let severalAnswers = GRPCFailure(
        .unimplemented, "a request of FullDuplexCall has one answer here")
}
