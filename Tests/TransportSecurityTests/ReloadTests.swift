import Foundation
import Synchronization
import Testing
import X509

@testable import TransportSecurity

@Suite struct ExpiryNoticesTests {
    @Test func saysEachEdgeOnce() {
        var notices = ExpiryNotices([day, 30 * day, 7 * day])
        let end = testNow
        #expect(notices.look(at: end, now: end - 31 * day) == nil)
        #expect(notices.look(at: end, now: end - 30 * day) == .soon(days: 30))
        #expect(notices.look(at: end, now: end - 30 * day + 1) == nil)
        #expect(notices.look(at: end, now: end - 7 * day + 1) == .soon(days: 6))
        #expect(notices.look(at: end, now: end - 2 * day) == nil)
        #expect(notices.look(at: end, now: end - day) == .soon(days: 1))
        #expect(notices.look(at: end, now: end) == nil)
        #expect(notices.look(at: end, now: end + 1) == .ended)
        #expect(notices.look(at: end, now: end + day) == nil)
    }

    @Test func beginsAnewWithAnotherCertificate() {
        var notices = ExpiryNotices([7 * day])
        #expect(notices.look(at: testNow, now: testNow + 1) == .ended)
        #expect(notices.look(at: testNow + 90 * day, now: testNow + 2) == nil)
        #expect(notices.look(at: testNow + day, now: testNow + 3) == .soon(days: 0))
    }
}

@Suite struct ReloadTests {
    private let lines = LogLines()
    private let directory: Directory
    private let authority: TestAuthority

    init() throws {
        directory = try Directory()
        authority = try TestAuthority()
    }

    private final class Clock: Sendable {
        let time = Atomic(testNow)
        var now: @Sendable () -> Int64 { { [self] in time.load(ordering: .relaxed) } }
    }

    private func server(_ files: TLSFiles, _ clock: Clock = Clock()) throws -> ServerTLS {
        try ServerTLS(
            files, speaking: .http2, port: "grpc", logger: lines.logger, now: clock.now)
    }

    @Test func takesNewFilesWhenTheyHaveSettled() throws {
        let (old, new) = (try authority.issue("old"), try authority.issue("new"))
        let tls = try server(directory.files(old))
        try directory.write("server.pem", new.pem)
        tls.look()
        #expect(tls.fingerprint == Fingerprint(of: old.der), "the other file may be on its way")
        try directory.write("server-key.pem", new.keyPEM)
        tls.look()
        #expect(tls.fingerprint == Fingerprint(of: old.der))
        tls.look()
        #expect(tls.fingerprint == Fingerprint(of: new.der))
        #expect(lines.count("certificates are loaded and used for new connections") == 1)
        #expect(lines.count("error") == 0)
        tls.look()
        #expect(lines.count("certificates are loaded") == 2, "at the start, and once since")
    }

    @Test func keepsWhatItHasAndSaysWhyOnce() throws {
        let (old, new) = (try authority.issue("old"), try authority.issue("new"))
        let tls = try server(directory.files(old))
        try directory.write("server.pem", new.pem)
        for _ in 0..<5 { tls.look() }
        #expect(tls.fingerprint == Fingerprint(of: old.der))
        #expect(lines.count("error the new certificates cannot be used") == 1)
        #expect(lines.count("is not the key of the certificate") == 1)
        // Another way of being wrong is told, and that all is well.
        try directory.write("server-key.pem", "nothing")
        for _ in 0..<3 { tls.look() }
        #expect(lines.count("error the new certificates cannot be used") == 2)
        try directory.write("server-key.pem", new.keyPEM)
        for _ in 0..<3 { tls.look() }
        #expect(tls.fingerprint == Fingerprint(of: new.der))
    }

    @Test func keepsWhatItHasWhileAFileIsGone() throws {
        let old = try authority.issue("old")
        let files = try directory.files(old)
        let tls = try server(files)
        try FileManager.default.removeItem(atPath: files.key)
        for _ in 0..<3 { tls.look() }
        #expect(lines.count("server-key.pem cannot be read") == 1)
        #expect(tls.fingerprint == Fingerprint(of: old.der))
        try directory.write("server-key.pem", old.keyPEM)
        for _ in 0..<3 { tls.look() }
        #expect(lines.count("error") == 1)
    }

    @Test func answersWhoeverAsks() throws {
        let old = try authority.issue("old")
        let tls = try server(directory.files(old))
        tls.load(isAsked: true)
        #expect(lines.count("the certificates have not changed") == 1)
        try directory.write("server-key.pem", "nothing")
        tls.load(isAsked: true)
        tls.load(isAsked: true)
        #expect(lines.count("error the new certificates cannot be used") == 2)
    }

    @Test func takesAnotherListOfTheRevoked() throws {
        let client = try authority.issue("client", usage: .clientAuth)
        let identity = try PeerIdentity(certificate: client.der)
        var files = try directory.files(authority.issue("server"), authorities: [authority.root])
        files.revoked = try directory.write("revoked.txt", "")
        let tls = try server(files)
        #expect(tls.fault(of: identity) == nil)
        try directory.write("revoked.txt", "sha256 \(client.fingerprint)")
        tls.look()
        tls.look()
        #expect(tls.fault(of: identity) == .revoked)
        try directory.write("revoked.txt", "nonsense")
        tls.look()
        tls.look()
        #expect(tls.fault(of: identity) == .revoked, "a list that is wrong sets nobody free")
        #expect(lines.count("revoked.txt:1:") == 1)
        #expect(lines.count("the list of revoked certificates is loaded port=grpc revoked=1") == 1)
        #expect(lines.count("certificates are loaded") == 1, "they are as they were")
    }

    /// Whatever becomes of the certificates.
    @Test(arguments: ["server.pem", "server-key.pem", "ca.pem"])
    func takesTheListBesideFilesThatDoNotDo(name: String) throws {
        let client = try authority.issue("client", usage: .clientAuth)
        let own = try authority.issue("server")
        var files = try directory.files(own, authorities: [authority.root])
        files.revoked = try directory.write("revoked.txt", "")
        let tls = try server(files)
        try directory.write(name, "nothing")
        try directory.write("revoked.txt", "sha256 \(client.fingerprint)")
        for _ in 0..<3 { tls.look() }
        #expect(tls.fault(of: try PeerIdentity(certificate: client.der)) == .revoked)
        #expect(tls.fingerprint == Fingerprint(of: own.der))
        #expect(lines.count("error the new certificates cannot be used") == 1)
        try FileManager.default.removeItem(atPath: directory.at(name))
        try directory.write("revoked.txt", "sha256 \(own.fingerprint)")
        for _ in 0..<3 { tls.look() }
        #expect(tls.fault(of: try PeerIdentity(certificate: client.der)) == nil)
    }

    /// At the start it is a mistake.
    @Test func takesCertificatesBesideACAThatHasEnded() throws {
        let (old, new) = (try authority.issue("old"), try authority.issue("new"))
        let ended = try TestAuthority("Ended CA", now: testNow - 200 * day)
        let coming = try TestAuthority("Coming CA", now: testNow + 200 * day)
        let tls = try server(directory.files(old, authorities: [authority.root]))
        let files = try directory.files(
            new, authorities: [ended.root, authority.root, coming.root])
        for _ in 0..<3 { tls.look() }
        #expect(tls.fingerprint == Fingerprint(of: new.der))
        #expect(lines.count("error") == 0)
        #expect(lines.count("warning client CAs are not valid now") == 1)
        #expect(lines.count("CN=Ended CA") == 1 && lines.count("CN=Coming CA") == 1)
        #expect(tls.current.authoritiesNotAfter == testNow + 90 * day, "of those that are valid")
        let fault = #expect(throws: TLSError.self) { try server(files) }
        #expect(fault?.code == .notValidNow)
    }

    /// A file that is being written is empty for a while.
    @Test func takesAnEmptyListFromWhoeverAsksAlone() throws {
        let client = try authority.issue("client", usage: .clientAuth)
        let identity = try PeerIdentity(certificate: client.der)
        var files = try directory.files(authority.issue("server"), authorities: [authority.root])
        let both = "sha256 \(client.fingerprint)\nserial 1 issuer CN=Test CA,O=Example\n"
        files.revoked = try directory.write("revoked.txt", both)
        let tls = try server(files)
        for text in ["", "# nobody\n"] {
            try directory.write("revoked.txt", text)
            for _ in 0..<3 { tls.look() }
            #expect(tls.fault(of: identity) == .revoked)
        }
        #expect(lines.count("error the new list of revoked certificates cannot be used") == 1)
        #expect(lines.count("has become empty") == 1)
        try directory.write("revoked.txt", "sha256 \(client.fingerprint)")
        for _ in 0..<3 { tls.look() }
        #expect(
            lines.count("warning fewer certificates are revoked than before before=2") == 1)
        try directory.write("revoked.txt", "")
        for _ in 0..<3 { tls.look() }
        #expect(lines.count("has become empty") == 2)
        tls.load(isAsked: true)
        #expect(tls.fault(of: identity) == nil)
        #expect(lines.count("fewer certificates are revoked than before before=1") == 1)
        #expect(lines.count("error") == 2)
    }

    @Test func saysThatCAsAreRevokedInVain() throws {
        let middle = try authority.issue("Middle CA", serial: [7], isAuthority: true)
        var files = try directory.files(
            authority.issue("server"), authorities: [authority.root, middle])
        files.revoked = try directory.write(
            "revoked.txt",
            "sha256 \(authority.root.fingerprint)\nserial 07 issuer CN=Test CA,O=Example\n")
        let tls = try server(files)
        let said = "warning client CAs are revoked, which has no effect"
        #expect(lines.count("\(said): remove them from the bundle authorities=2") == 1)
        try directory.write("revoked.txt", "sha256 \(middle.fingerprint)")
        for _ in 0..<3 { tls.look() }
        #expect(lines.count("\(said): remove them from the bundle authorities=1") == 1)
    }

    @Test func saysThatSerialNumbersAreOfNobody() throws {
        var files = try directory.files(authority.issue("server"), authorities: [authority.root])
        files.revoked = try directory.write("revoked.txt", "serial 1 issuer CN=Nobody")
        _ = try server(files)
        #expect(lines.count("issuers that are not client CAs issuers=1 port=grpc") == 1)
    }

    @Test func warnsBeforeTheEnd() throws {
        let clock = Clock()
        let tls = try server(directory.files(authority.issue("server", to: 20 * day)), clock)
        #expect(lines.count("warning a certificate expires soon days=20") == 1)
        clock.time.store(testNow + 14 * day, ordering: .relaxed)
        tls.look()
        tls.look()
        #expect(lines.count("a certificate expires soon days=6") == 1)
        clock.time.store(testNow + 21 * day, ordering: .relaxed)
        tls.look()
        tls.look()
        #expect(lines.count("error a certificate has expired: peers will reject it") == 1)
        #expect(tls.notAfter == testNow + 20 * day)
    }

    @Test func watchesByItself() async throws {
        let (old, new) = (try authority.issue("old"), try authority.issue("new"))
        var bounds = TLSBounds()
        bounds.watchMilliseconds = 10
        let tls = try ServerTLS(
            directory.files(old), bounds, speaking: .http2, port: "grpc", logger: lines.logger,
            now: Clock().now)
        tls.startWatching()
        try directory.write("server.pem", new.pem)
        try directory.write("server-key.pem", new.keyPEM)
        while tls.fingerprint != Fingerprint(of: new.der) {
            try await Task.sleep(for: .milliseconds(5))
        }
        tls.stopWatching()
    }
}

@Suite struct HandshakeLogTests {
    @Test func saysEachKindOnceInAWhile() {
        let lines = LogLines()
        let log = HandshakeLog(lines.logger)
        let now = ContinuousClock.now
        for _ in 0..<100 { log.tell(.failed, peer: "a", reason: "x", now: now) }
        log.tell(.failed, peer: "b", reason: "y", now: now)
        log.tell(.timedOut, peer: "c", now: now)
        #expect(lines.all.count == 3)
        log.tell(.failed, peer: "d", reason: "x", now: now + HandshakeLog.interval)
        #expect(lines.count("peer=d reason=x since_the_last_line=100") == 1)
        #expect(log.count == 103)
    }

    @Test func keepsABoundedNumberOfKinds() {
        let lines = LogLines()
        let log = HandshakeLog(lines.logger)
        let now = ContinuousClock.now
        for index in 0..<1_000 { log.tell(.failed, peer: "a", reason: "r\(index)", now: now) }
        #expect(lines.all.count == HandshakeLog.mostKinds + 1)
    }
}
