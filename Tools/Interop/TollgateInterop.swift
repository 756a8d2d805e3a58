internal import ArgumentParser
internal import CommandIO
internal import GRPCServer
internal import HTTP2
internal import Logging
internal import TransportSecurity

@main
enum Main {
    static func main() { TollgateInterop.process(named: "tollgate-interop") }
}

/// Serves what the interop test clients of gRPC ask for, until it is killed.
struct TollgateInterop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate-interop",
        abstract: "Serves grpc.testing.TestService for the interop clients of gRPC.",
        discussion: """
            For tests: everybody may call, and answers are as large as a caller wants. It says where it listens, and \
            serves until a signal ends it.
            """)

    @Option(help: "Where to listen.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0: a free one.")
    var port = 0

    @Option(help: "A PEM file with the server's certificate; without it connections are plaintext.")
    var tlsCertificate: String?

    @Option(help: "A PEM file with its key.")
    var tlsKey: String?

    func validate() throws {
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
    }

    func run() async throws {
        var configuration = ServerConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.compression = .accepted
        configuration.maximumCompressedBytes = 1024 * 1024
        configuration.echoedFields = [
            EchoedField("x-grpc-test-echo-initial"),
            EchoedField("x-grpc-test-echo-trailing-bin", isTrailer: true),
        ]
        if let tlsCertificate, let tlsKey {
            configuration.tls = try ServerTLS(
                TLSFiles(certificate: tlsCertificate, key: tlsKey), speaking: .http2, port: "grpc",
                logger: Logger(label: "tollgate-interop") {
                    StreamLogHandler.standardError(label: $0)
                })
        }
        let server = try await GRPCServer.start(configuration, methods: TestService.methods) {
            TestService(loop: $0)
        }
        StandardOutput.announce("tollgate-interop ready grpc=\(server.host):\(server.port)")
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
    }
}
