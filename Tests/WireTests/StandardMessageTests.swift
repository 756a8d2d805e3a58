import Testing
import Wire

@Suite struct StandardMessageTests {
    typealias P = ProtoBytes

    static func written(_ write: ((Int) -> UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1_024, alignment: 8)
        defer { room.deallocate() }
        let count = write { _ in room }
        return Array(room[..<count])
    }

    // MARK: grpc.health.v1

    @Test func healthRequests() {
        let messages = HealthMessages()
        func service(_ bytes: [UInt8]) -> String? {
            bytes.withUnsafeBytes { messages.service($0) }
        }
        #expect(service([]) == "")
        #expect(service(P.text(1, "tollgate.v1.LimitService")) == "tollgate.v1.LimitService")
        #expect(service(P.text(1, "a\u{0}b")) == "a\u{0}b")
        #expect(service(P.text(2, "later") + P.text(1, "a")) == "a")
        #expect(service(P.bytes(1, [0xff])) == nil, "no UTF-8")
        #expect(service([0x0a, 9, 1]) == nil, "cut short")
        // As many unknown fields as a request has room for.
        #expect(service(Array(repeating: 0x10, count: HealthMessages.requestBytes)) == "")
        #expect(service([]) == "", "what was refused is forgotten")
    }

    @Test func healthAnswers() {
        let messages = HealthMessages()
        for (status, number) in [
            (ServingStatus.unknown, 0), (.serving, 1), (.notServing, 2), (.serviceUnknown, 3),
        ] as [(ServingStatus, Int64)] {
            let bytes = Self.written {
                messages.write(status, into: $0(HealthMessages.statusBytes))
            }
            #expect(bytes == (number == 0 ? [] : P.number(1, number)))
            #expect(bytes.count <= HealthMessages.statusBytes)
        }
        let list = Self.written { room in
            messages.write([("", .serving), ("a.B", .notServing)], into: room)
        }
        #expect(
            list == P.bytes(1, P.bytes(2, P.number(1, 1)))
                + P.bytes(1, P.text(1, "a.B") + P.bytes(2, P.number(1, 2))))
    }

    // MARK: grpc.reflection

    static func index() throws -> DescriptorIndex { try DescriptorIndexTests.index() }

    @Test func reflectionRequests() throws {
        let messages = ReflectionMessages(try Self.index())
        func question(_ bytes: [UInt8]) -> ReflectionQuestion? {
            bytes.withUnsafeBytes { messages.read($0) }
        }
        #expect(question([]) == ReflectionQuestion.none)
        #expect(question(P.text(3, "a.proto")) == .file("a.proto"))
        #expect(question(P.text(1, "host") + P.text(4, "a.B")) == .symbol("a.B"))
        #expect(
            question(P.bytes(5, P.text(1, "a.B") + P.number(2, 7)))
                == .fileExtending("a.B", number: 7))
        #expect(question(P.text(6, "a.B")) == .extensionNumbers(of: "a.B"))
        #expect(question(P.text(7, "*")) == .services)
        #expect(question(P.text(7, "")) == .services)
        #expect(question(P.text(3, "a") + P.text(4, "b")) == .symbol("b"), "the last one counts")
        for field in [1, 3, 4, 6, 7] { #expect(question(P.bytes(field, [0xff])) == nil) }
        #expect(question(P.bytes(5, P.bytes(1, [0xff]))) == nil)
        #expect(question([0x1a, 9]) == nil)
    }

    @Test func reflectionAnswersSayWhatWasAsked() throws {
        let index = try Self.index()
        let messages = ReflectionMessages(index)
        func answer(_ request: [UInt8]) -> [UInt8]? {
            request.withUnsafeBytes { request in
                messages.read(request).map { question in
                    Self.written { messages.write(index.answer(question), into: $0) }
                }
            }
        }
        let request = P.text(1, "h") + P.text(4, "no.Such")
        #expect(
            answer(request) == P.text(1, "h") + P.bytes(2, request)
                + P.bytes(7, P.number(1, 5) + P.text(2, "no such symbol")))
        let services = answer(P.text(7, "*"))
        #expect(
            services == P.bytes(2, P.text(7, "*"))
                + P.bytes(6, index.services.flatMap { P.bytes(1, P.text(1, $0)) }))
        #expect(
            answer(P.text(6, "tollgate.v1.Quantity"))
                == P.bytes(2, P.text(6, "tollgate.v1.Quantity"))
                + P.bytes(5, P.text(1, "tollgate.v1.Quantity")))
        guard case .files(let files) = index.answer(.file("grpc/health/v1/health.proto")) else {
            Issue.record("there is no such file")
            return
        }
        #expect(
            answer(P.text(3, "grpc/health/v1/health.proto"))
                == P.bytes(2, P.text(3, "grpc/health/v1/health.proto"))
                + P.bytes(4, P.bytes(1, files[0])))
        #expect(
            answer([]) == P.bytes(2, [])
                + P.bytes(7, P.number(1, 3) + P.text(2, "unsupported reflection request")))
    }
}
