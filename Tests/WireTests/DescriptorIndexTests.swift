import Testing
import Wire

@Suite struct DescriptorIndexTests {
    static func index() throws -> DescriptorIndex {
        try #require(DescriptorIndex(ContractDescriptor.fileDescriptorSet))
    }

    /// Names of files, by their `name` alone.
    static func names(_ answer: ReflectionAnswer) -> [String] {
        guard case .files(let files) = answer else { return [] }
        return files.map { file in
            // FileDescriptorProto.name = 1 comes first, and is short.
            String(decoding: file[2..<(2 + Int(file[1]))], as: UTF8.self)
        }
    }

    @Test func allThatIsServedIsListed() throws {
        #expect(
            try Self.index().answer(.services)
                == .services([
                    "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                    "grpc.reflection.v1alpha.ServerReflection", "tollgate.v1.LimitService",
                ]))
    }

    @Test(arguments: [
        ("tollgate.v1.LimitService", "tollgate/v1/tollgate.proto"),
        ("tollgate.v1.LimitService.GetUsage", "tollgate/v1/tollgate.proto"),
        ("tollgate.v1.Quantity", "tollgate/v1/tollgate.proto"),
        ("tollgate.v1.Quantity.amount", "tollgate/v1/tollgate.proto"),
        ("tollgate.v1.Action", "tollgate/v1/tollgate.proto"),
        ("tollgate.v1.ACTION_CHARGE", "tollgate/v1/tollgate.proto"),
        ("grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthListResponse.StatusesEntry.key", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        (
            "grpc.reflection.v1alpha.ServerReflectionRequest.message_request",
            "grpc/reflection/v1alpha/reflection.proto"
        ),
    ])
    func aNameIsFoundWhereItIsDeclared(name: String, file: String) throws {
        let index = try Self.index()
        #expect(Self.names(index.answer(.symbol(name))) == [file])
        #expect(index.answer(.symbol(name)) == index.answer(.file(file)))
    }

    @Test(arguments: [
        "", ".", "tollgate", "tollgate.v1", "tollgate.v1.", ".tollgate.v1.Quantity",
        "tollgate.v1.quantity", "tollgate.v1.Quantity.", "tollgate.v1.Quantity.amount.x",
        "tollgate.v1.Action.ACTION_CHARGE", "ünknown\u{0}",
    ])
    func otherNamesAreUnknown(name: String) throws {
        let index = try Self.index()
        #expect(index.answer(.symbol(name)) == .unknown("no such symbol"))
        #expect(index.answer(.file(name)) == .unknown("no such file"))
        #expect(index.answer(.extensionNumbers(of: name)) == .unknown("no such message"))
        #expect(
            index.answer(.fileExtending(name, number: 1)) == .unknown("no such extension"))
    }

    @Test func thereAreNoExtensionsOfOurMessages() throws {
        let index = try Self.index()
        let message = "tollgate.v1.Quantity"
        #expect(
            index.answer(.extensionNumbers(of: message)) == .extensionNumbers(of: message, []))
        #expect(
            index.answer(.fileExtending(message, number: 1)) == .unknown("no such extension"))
        // A service is no message.
        #expect(
            index.answer(.extensionNumbers(of: "tollgate.v1.LimitService"))
                == .unknown("no such message"))
    }

    // MARK: A set of our own

    /// a.proto needs b.proto and c.proto, which both need d.proto; c.proto needs a file that is not there.
    static func made() -> [UInt8] {
        typealias P = ProtoBytes
        func file(_ name: String, needs: [String], _ rest: [UInt8]) -> [UInt8] {
            P.bytes(
                1,
                P.text(1, name) + P.text(2, "p") + needs.flatMap { P.text(3, $0) } + rest)
        }
        func extending(_ name: String, _ type: String, _ number: Int64) -> [UInt8] {
            P.text(1, name) + P.text(2, type) + P.number(3, number)
        }
        return file(
            "a.proto", needs: ["b.proto", "c.proto"], P.bytes(7, extending("x", ".p.D", 9)))
            + file(
                "b.proto", needs: ["d.proto"],
                // An extension that a message declares.
                P.bytes(4, P.text(1, "B") + P.bytes(6, extending("y", ".p.D", 7))))
            + file("c.proto", needs: ["d.proto", "gone.proto"], [])
            + file("d.proto", needs: [], P.bytes(4, P.text(1, "D")))
    }

    @Test func aFileComesWithWhatItNeedsOnce() throws {
        let index = try #require(Self.made().withUnsafeBytes { DescriptorIndex($0) })
        #expect(
            Self.names(index.answer(.file("a.proto")))
                == ["a.proto", "b.proto", "c.proto", "d.proto"])
        #expect(Self.names(index.answer(.file("d.proto"))) == ["d.proto"])
    }

    @Test func extensionsAreFoundByTheirNumber() throws {
        let index = try #require(Self.made().withUnsafeBytes { DescriptorIndex($0) })
        #expect(index.answer(.extensionNumbers(of: "p.D")) == .extensionNumbers(of: "p.D", [7, 9]))
        #expect(Self.names(index.answer(.fileExtending("p.D", number: 9))).first == "a.proto")
        #expect(Self.names(index.answer(.fileExtending("p.D", number: 7))).first == "b.proto")
        #expect(index.answer(.fileExtending("p.D", number: 8)) == .unknown("no such extension"))
        #expect(Self.names(index.answer(.symbol("p.B.y"))).first == "b.proto")
    }

    @Test func whatIsNoSetIsRefused() {
        let made = Self.made()
        for count in 1..<made.count {
            _ = Array(made[..<count]).withUnsafeBytes { DescriptorIndex($0) }
        }
        #expect([0xff].withUnsafeBytes { DescriptorIndex($0) } == nil)
        #expect(ProtoBytes.bytes(1, [0xff]).withUnsafeBytes { DescriptorIndex($0) } == nil)
        #expect(
            [UInt8]().withUnsafeBytes { DescriptorIndex($0) }?.answer(.services) == .services([]))
    }
}
