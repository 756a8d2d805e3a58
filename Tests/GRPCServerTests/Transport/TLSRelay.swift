import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import TransportSecurity

/// Certificates as `Tools/dev-certificates` makes them, once for all tests.
enum TestCertificates {
    static let directory: URL = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let directory = FileManager.default.temporaryDirectory
            .appending(path: "tollgate-certificates-\(UUID().uuidString)")
        let tool = Process()
        tool.executableURL = root.appending(path: "Tools/dev-certificates")
        tool.arguments = [directory.path]
        tool.standardOutput = FileHandle.nullDevice
        do {
            try tool.run()
            tool.waitUntilExit()
        } catch {
            preconditionFailure("Tools/dev-certificates: \(error)")
        }
        precondition(tool.terminationStatus == 0, "Tools/dev-certificates failed")
        return directory
    }()

    static func path(_ name: String) -> String { directory.appending(path: name).path }

    static func server(
        clients: ClientAuthentication = .off, _ bounds: TLSBounds = TLSBounds()
    ) throws -> ServerTLS {
        let files = TLSFiles(
            certificate: path("server.pem"), key: path("server-key.pem"),
            clientAuthorities: clients == .off ? nil : path("ca.pem"),
            clientAuthentication: clients)
        return try ServerTLS(
            files, bounds, speaking: .http2, port: "test", logger: Logger(label: "test"))
    }
}

/// Carries the bytes of plaintext connections over TLS to a server, both ways and no faster than either side takes them: a
/// client without TLS is tried over it.
final class TLSRelay: Sendable {
    let port: Int
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel

    /// - Parameter protocols: what is named in the handshake (ALPN).
    init(to server: Int, protocols: [String] = ["h2"], client: String? = nil) async throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(TestCertificates.path("ca.pem"))
        configuration.applicationProtocols = protocols
        configuration.shutdownTimeout = .milliseconds(100)
        if let client {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(
                TestCertificates.path("\(client).pem")
            ).map { .certificate($0) }
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(
                    file: TestCertificates.path("\(client)-key.pem"), format: .pem))
        }
        let context = try NIOSSLContext(configuration: configuration)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        listener = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { near in
                ClientBootstrap(group: near.eventLoop)
                    .channelOption(.autoRead, value: false)
                    .channelInitializer { far in
                        far.eventLoop.makeCompletedFuture {
                            let tls = try NIOSSLClientHandler(
                                context: context, serverHostname: "localhost")
                            let (ahead, back) = (Pipe(), Pipe())
                            ahead.other = back
                            back.other = ahead
                            try far.pipeline.syncOperations.addHandlers(tls, back)
                            try near.pipeline.syncOperations.addHandler(ahead)
                        }
                    }
                    .connect(host: "127.0.0.1", port: server)
                    .map { _ in }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = listener.localAddress?.port ?? 0
    }

    func stop() async { try? await group.shutdownGracefully() }

    /// One side of a pair: hands on what comes, and asks for more when the other side has taken it.
    private final class Pipe: ChannelDuplexHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundIn = ByteBuffer

        var other: Pipe?
        private var context: ChannelHandlerContext?

        func handlerAdded(context: ChannelHandlerContext) {
            self.context = context
            if context.channel.isActive { context.read() }
        }

        func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

        func channelActive(context: ChannelHandlerContext) {
            context.read()
            context.fireChannelActive()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard let other = other?.context else { return context.close(promise: nil) }
            let written = other.eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenComplete { [weak self] result in
                if case .success = result { self?.context?.read() }
            }
            other.writeAndFlush(data, promise: written)
        }

        func channelInactive(context: ChannelHandlerContext) {
            let other = other
            self.other = nil
            other?.context?.close(promise: nil)
            context.fireChannelInactive()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
