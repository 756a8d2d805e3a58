import Testing
import X509

@testable import TransportSecurity

@Suite struct RevocationTests {
    private let authority: TestAuthority

    init() throws { authority = try TestAuthority() }

    private func list(_ text: String) throws(TLSError) -> Revocations {
        try Revocations(Array(text.utf8), of: "revoked.txt")
    }

    private func identity(_ issued: Issued) throws -> PeerIdentity {
        try PeerIdentity(certificate: issued.der)
    }

    @Test func knowsByFingerprint() throws {
        let (one, two) = (try authority.issue("one"), try authority.issue("two"))
        let digits = one.fingerprint.filter { $0 != ":" }.lowercased()
        for text in [
            "sha256 \(one.fingerprint)\n", "SHA256 \(digits)",
            "sha256 Fingerprint=\(one.fingerprint)",
            "# gone\r\n\r\n\t sha256   \(digits)  \r\n",
        ] {
            let revoked = try list(text)
            #expect(revoked.count == 1)
            #expect(try revoked.contain(identity(one)), "\(text)")
            #expect(try !revoked.contain(identity(two)))
        }
    }

    @Test func knowsByIssuerAndSerial() throws {
        let one = try authority.issue("one", serial: [0x0a, 0x1b])
        let other = try TestAuthority("Other CA").issue("one", serial: [0x0a, 0x1b])
        for serial in ["0A1B", "a1b", "00:0a:1b"] {
            let revoked = try list("serial \(serial) issuer CN=Test CA,O=Example # no remark here")
            #expect(try !revoked.contain(identity(one)), "what stands behind the name is the name")
            let right = try list("serial \(serial)   issuer  cn=test  ca,  o=EXAMPLE ")
            #expect(try right.contain(identity(one)), "\(serial)")
            #expect(try !right.contain(identity(other)))
            #expect(right.issuers == [CertificateName(authority.root.certificate.subject)])
        }
        #expect(try !list("serial 0A1C issuer CN=Test CA,O=Example").contain(identity(one)))
    }

    @Test func isEmptyWhereNothingStands() throws {
        #expect(try list("").count == 0)
        #expect(try list("\n # sha256 \n").count == 0)
    }

    @Test(arguments: [
        "sha256", "sha256 AB", "sha256 \(String(repeating: "zz", count: 32))",
        "sha256 \(String(repeating: "ab", count: 33))",
        "sha1 \(String(repeating: "ab", count: 32))",
        "sha256 Hash=\(String(repeating: "ab", count: 32))", "serial", "serial 1",
        "serial 1 issuer",
        "serial x issuer CN=a", "serial 1 issuer nobody", "serial 1 issuer CN",
        "serial 1 issuer X=a",
        "serial 1 issuer CN=a,", "serial 1 issuer CN=\"a\"", "serial 1 issuer CN=a\\",
        "serial \(String(repeating: "ab", count: 65)) issuer CN=a", "revoked",
    ])
    func refusesALine(line: String) {
        let fault = #expect(throws: TLSError.self) { try list("# first\n\(line)\n") }
        #expect(fault?.code == .malformed)
        #expect(fault?.description.hasPrefix("revoked.txt:2: expected ") == true)
    }

    @Test func isBounded() throws {
        let serials = (1...Revocations.mostEntries).map {
            "serial \(String($0, radix: 16)) issuer CN=a"
        }
        #expect(try list(serials.joined(separator: "\n")).count == Revocations.mostEntries)
        let fault = #expect(throws: TLSError.self) {
            try list((serials + ["serial 0 issuer CN=b"]).joined(separator: "\n"))
        }
        #expect(fault?.code == .tooLarge)
        #expect(throws: TLSError.self) { try Revocations([0xff, 0xfe], of: "revoked.txt") }
    }

    @Test func readsNamesAsTheyAreWritten() throws {
        let name = try DistinguishedName {
            CountryName("DE")
            OrganizationName("Müller, Söhne + Co")
            OrganizationalUnitName("Quality=1")
            CommonName("  A\\B ")
        }
        let written = #"CN=\20 A\\B\20,OU=Quality=1,O=M\C3\BCller\, Söhne \+ Co,C=DE"#
        #expect(CertificateName(written) == CertificateName(name))
        #expect(
            CertificateName("CN=A\\\\B,OU=quality=1,2.5.4.10=müller\\2c söhne \\2b co,c=de")
                == CertificateName(name))
        #expect(CertificateName("C=DE,O=x") != CertificateName("O=x,C=DE"))
        #expect(CertificateName("CN=a+UID=b") == CertificateName("UID=b+CN=a"))
        #expect(CertificateName("CN=a+UID=b") != CertificateName("CN=a,UID=b"))
    }

    @Test func identityHoldsWhatTheCertificateSays() throws {
        let issued = try authority.issue(
            "billing",
            names: [
                .uniformResourceIdentifier("spiffe://example.org/Billing"),
                .dnsName("Billing.Example.ORG"), .rfc822Name("a@example.org"),
            ], usage: .clientAuth, serial: [0, 0, 7])
        let identity = try identity(issued)
        #expect(identity.uris == ["spiffe://example.org/Billing"])
        #expect(identity.dnsNames == ["billing.example.org"])
        #expect(identity.serial == [7])
        #expect(identity.notAfter == testNow + 90 * day)
        #expect(identity.subject == "CN=billing,O=Example")
        #expect("\(identity.fingerprint)" == issued.fingerprint.filter { $0 != ":" }.lowercased())
    }

    @Test func identityIsBounded() throws {
        let names = (0..<200).map { GeneralName.dnsName("n\($0)") }
        let identity = try identity(authority.issue("many", names: names))
        #expect(identity.dnsNames.count == PeerIdentity.mostNames)
        #expect(throws: (any Error).self) { try PeerIdentity(certificate: [1, 2, 3]) }
    }
}
