import Foundation
import Testing
import X509

@testable import TransportSecurity

@Suite struct CredentialTests {
    private let authority: TestAuthority
    private let own: Issued
    private let directory: Directory

    init() throws {
        authority = try TestAuthority()
        own = try authority.issue("server", names: [.dnsName("localhost")])
        directory = try Directory()
    }

    /// Why files are not taken.
    private func fault(_ files: TLSFiles) -> TLSError? {
        do throws(TLSError) {
            _ = try files.load()
            return nil
        } catch {
            return error
        }
    }

    private func fault(certificate: String? = nil, key: String? = nil) throws -> TLSError? {
        fault(
            TLSFiles(
                certificate: try directory.write("server.pem", certificate ?? own.pem),
                key: try directory.write("server-key.pem", key ?? own.keyPEM)))
    }

    private func expect(
        _ fault: TLSError?, _ code: TLSError.Code, _ parts: String...,
        location: SourceLocation = #_sourceLocation
    ) {
        #expect(fault?.code == code, "\(fault?.description ?? "taken")", sourceLocation: location)
        for part in parts {
            #expect(
                fault?.description.contains(part) ?? false, "\(fault?.description ?? "taken")",
                sourceLocation: location)
        }
        #expect(fault?.description.contains("\n") == false, sourceLocation: location)
    }

    @Test func takesACertificateAndItsKey() throws {
        let material = try directory.files(own).load()
        #expect(material.notAfter == testNow + 90 * day)
        #expect(material.fingerprint == Fingerprint(of: own.der))
    }

    @Test func takesAChainAndSaysWhenItsFirstEnds() throws {
        let middle = try authority.issue("Middle CA", to: 5 * day, isAuthority: true)
        let own = try authority.issue("server", by: middle)
        let material = try directory.files(own, chain: [middle]).load()
        #expect(material.notAfter == testNow + 5 * day)
    }

    @Test func takesOneFileForBoth() throws {
        let path = try directory.write("both.pem", own.keyPEM + own.pem)
        #expect(fault(TLSFiles(certificate: path, key: path)) == nil)
    }

    @Test func takesRemarksAndParametersInFiles() throws {
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        #expect(
            try fault(certificate: "subject: server\n" + own.pem, key: parameters + own.keyPEM)
                == nil)
        #expect(try fault(certificate: own.pem.replacing("\n", with: "\r\n")) == nil)
    }

    @Test func namesAFileThatCannotBeRead() throws {
        var files = try directory.files(own)
        files.key = directory.at("missing.pem")
        expect(fault(files), .unreadable, "missing.pem cannot be read: No such file or directory")
        files.key = directory.path
        expect(fault(files), .unreadable, directory.path, "it is not a regular file")
        files.key = directory.at("pipe")
        mkfifo(files.key, 0o600)
        expect(fault(files), .unreadable, "pipe cannot be read: it is not a regular file")
    }

    @Test func refusesWhatIsNoPEM() throws {
        expect(try fault(certificate: ""), .malformed, "server.pem is empty")
        expect(
            try fault(certificate: "hello"), .malformed, "server.pem contains no PEM certificate")
        expect(try fault(key: "hello"), .malformed, "server-key.pem contains no PEM private key")
        let cut = String(own.pem.prefix(200))
        expect(try fault(certificate: cut), .malformed, "server.pem is not a PEM file")
        var bent = own.pem
        bent.replace("MII", with: "MIH", maxReplacements: 1)
        bent.replace("MIB", with: "MIC", maxReplacements: 1)
        expect(try fault(certificate: bent), .malformed, "certificate 1 in", "cannot be read")
        let files = try directory.files(own)
        try Data(own.der).write(to: URL(fileURLWithPath: files.certificate))
        expect(fault(files), .malformed, "server.pem is not a PEM file: it is not text")
        let key = own.keyPEM.replacing("MIGHAgEA", with: "MIGHAgEB")
        expect(
            try fault(key: key), .malformed,
            "server-key.pem contains an unusable private key")
    }

    @Test func refusesWhatIsTooLarge() throws {
        let huge = String(repeating: "#\n", count: 1 << 19) + own.pem
        expect(try fault(certificate: huge), .tooLarge, "server.pem is larger than 1048576 bytes")
        let many = String(repeating: own.pem, count: ServerCredentials.longestChain + 1)
        expect(try fault(certificate: many), .tooLarge, "more than 16 certificates")
    }

    @Test func saysThatFilesAreSwapped() throws {
        expect(
            try fault(certificate: own.keyPEM), .malformed,
            "server.pem contains a private key and no certificate: are the two files swapped?")
        expect(
            try fault(key: own.pem), .malformed,
            "server-key.pem contains a certificate and no private key: are the two files swapped?")
    }

    @Test(arguments: [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n",
        """
        -----BEGIN EC PRIVATE KEY-----
        Proc-Type: 4,ENCRYPTED
        DEK-Info: AES-256-CBC,0F

        AAAA
        -----END EC PRIVATE KEY-----

        """,
    ])
    func refusesAnEncryptedKey(key: String) throws {
        expect(try fault(key: key), .encrypted, "server-key.pem contains an encrypted private key")
    }

    @Test func refusesAKeyOfAnother() throws {
        let other = try authority.issue("other")
        expect(
            try fault(key: other.keyPEM), .mismatched, "server-key.pem", "server.pem",
            "is not the key of the certificate")
        expect(try fault(key: own.keyPEM + other.keyPEM), .malformed, "more than one private key")
    }

    @Test func refusesAnIncoherentChain() throws {
        let middle = try authority.issue("Middle CA", isAuthority: true)
        let own = try authority.issue("server", by: middle)
        expect(
            try fault(certificate: own.pem + authority.root.pem, key: own.keyPEM), .mismatched,
            "certificate 2", "did not issue certificate 1")
        expect(
            try fault(certificate: middle.pem + own.pem, key: own.keyPEM), .mismatched,
            "did not issue certificate 1")
        // The same name, another key.
        let impostor = try TestAuthority("Middle CA").root
        expect(
            try fault(certificate: own.pem + impostor.pem, key: own.keyPEM), .mismatched,
            "did not issue certificate 1")
        let chain = middle.pem + authority.root.pem
        expect(
            try fault(certificate: chain, key: authority.root.keyPEM), .mismatched,
            "must begin with the certificate of the key")
    }

    @Test func refusesCertificatesOfAnotherTime() throws {
        let old = try authority.issue("old", from: -9 * day, to: -1)
        expect(
            try fault(certificate: old.pem, key: old.keyPEM), .notValidNow, "server.pem", "CN=old",
            "expired on 2027-01-15T07:59:59Z")
        let early = try authority.issue("early", from: 60)
        expect(
            try fault(certificate: early.pem, key: early.keyPEM), .notValidNow,
            "is not valid before 2027-01-15T08:01:00Z")
        let middle = try authority.issue("Middle CA", from: -9 * day, to: -1, isAuthority: true)
        let own = try authority.issue("server", by: middle)
        expect(
            try fault(certificate: own.pem + middle.pem, key: own.keyPEM), .notValidNow,
            "CN=Middle CA")
    }

    @Test func refusesACertificateForClients() throws {
        let client = try authority.issue("client", usage: .clientAuth)
        expect(
            try fault(certificate: client.pem, key: client.keyPEM), .mismatched,
            "is not for use by a server")
        let free = try authority.issue("free", usage: nil)
        #expect(try fault(certificate: free.pem, key: free.keyPEM) == nil)
    }

    @Test func refusesABundleThatIsNone() throws {
        let files = try directory.files(own, authorities: [authority.root])
        #expect(fault(files) == nil)
        try directory.write("ca.pem", own.pem)
        expect(fault(files), .mismatched, "ca.pem", "CN=server", "is not a CA's")
        let middle = try authority.issue("Middle CA", isAuthority: true)
        try directory.write("ca.pem", middle.pem)
        expect(fault(files), .mismatched, "ca.pem contains no root CA")
        try directory.write("ca.pem", middle.pem + authority.root.pem)
        #expect(fault(files) == nil)
        try directory.write("ca.pem", authority.root.keyPEM)
        expect(fault(files), .malformed, "ca.pem contains a private key and no certificate")
        let old = try TestAuthority("Old CA", now: testNow - 1_000 * day).root
        try directory.write("ca.pem", authority.root.pem + old.pem)
        expect(fault(files), .notValidNow, "ca.pem", "CN=Old CA")
    }
}
