import GRPCStandard
import HTTP2
import NIOCore
import Wire

@testable import GRPCServer

/// A server of one loop whose main service is a `TestService`, with what each server has beside its own.
struct StandardServer {
    let server: GRPCServer
    let journal = Journal()
    let standard: StandardServices

    static let main = "t.T"

    init(
        reflection: Bool = true, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) async throws {
        var configuration = ServerConfiguration.patient
        configuration.port = 0
        let journal = journal
        configuration.clock = { journal.clock }
        change(&configuration)
        let standard = StandardServices(
            main: Self.main, methods: TestService.methods, reflection: reflection)
        self.standard = standard
        standard.health.set(isReady: true)
        server = try await GRPCServer.start(configuration, methods: standard.methods) { loop in
            standard.set(TestService(journal, loop), loop: loop)
        }
    }

    func stop() async { await server.shutdown(within: .zero) }

    /// Waits until what was given to the loop before is done.
    func settle() async throws { try await server.loops[0].eventLoop.submit {}.get() }
}

/// Protobuf by hand.
enum Proto {
    static func text(_ field: UInt8, _ value: String) -> [UInt8] {
        let bytes = Array(value.utf8)
        precondition(bytes.count < 128)
        return [field << 3 | 2, UInt8(bytes.count)] + bytes
    }

    static func number(_ field: UInt8, _ value: UInt8) -> [UInt8] { [field << 3, value] }
}

extension TestClient {
    /// Makes a call whose peer is taken for known.
    func becomeKnown() async throws {
        guard try await call("/t.T/Echo", []).status == 0 else {
            throw ClientError(description: "no echo")
        }
    }
}
