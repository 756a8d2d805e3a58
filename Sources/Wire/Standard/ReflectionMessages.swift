import CTollgate
package import Limits

/// The messages of grpc.reflection.v1 and v1alpha, whose bytes are the same.
///
/// Thread safety: none; one object belongs to one event loop.
package final class ReflectionMessages {
    /// Bytes of a request: room for any name, and for fields that this version does not know.
    package static let requestBytes = 4 * 1_024

    private typealias Request = Grpc__Reflection__V1__ServerReflectionRequest
    private typealias Response = Grpc__Reflection__V1__ServerReflectionResponse

    private let questions = Arena(capacity: 256 * 1_024)
    private let answers: Arena
    private let descriptor = Request.descriptor
    /// What is answered next; an answer says again what was asked.
    private var request: UnsafePointer<Request>?

    /// - Parameter index: what answers come from.
    package init(_ index: DescriptorIndex) {
        // An answer holds each file once at the most, and names of services; the rest is small.
        answers = Arena(capacity: (index.byteCount + 64 * 1_024) & ~7)
    }

    /// What a ServerReflectionRequest asks; nil: malformed.
    package func read(_ bytes: BorrowedBytes) -> ReflectionQuestion? {
        request = questions.unpack(bytes, descriptor)
        guard let request, Self.text(request.pointee.host) != nil else { return nil }
        switch request.pointee.message_request_case.rawValue {
        case 3:
            return Self.text(request.pointee.file_by_filename).map { .file($0) }
        case 4:
            return Self.text(request.pointee.file_containing_symbol).map { .symbol($0) }
        case 5:
            guard let asked = request.pointee.file_containing_extension?.pointee,
                let type = Self.text(asked.containing_type)
            else { return nil }
            return .fileExtending(type, number: asked.extension_number)
        case 6:
            return Self.text(request.pointee.all_extension_numbers_of_type)
                .map { .extensionNumbers(of: $0) }
        case 7:
            return Self.text(request.pointee.list_services).map { _ in .services }
        default:
            return ReflectionQuestion.none
        }
    }

    /// Writes the response to the request that was read last.
    ///
    /// - Parameter buffer: gives room for so many bytes, or more.
    package func write(
        _ answer: ReflectionAnswer, into buffer: (Int) -> UnsafeMutableRawBufferPointer
    ) -> Int {
        answers.reset(limit: answers.capacity)
        let response = answers.need(Response.self)
        // protobuf-c only reads what it packs.
        response.pointee.original_request = UnsafeMutablePointer(mutating: request)
        if let request { response.pointee.valid_host = request.pointee.host }
        fill(response, answer)
        return answers.pack(response, into: buffer)
    }

    private func fill(_ response: UnsafeMutablePointer<Response>, _ answer: ReflectionAnswer) {
        switch answer {
        case .files(let files):
            let found = answers.need(Grpc__Reflection__V1__FileDescriptorResponse.self)
            let list = answers.need(ProtobufCBinaryData.self, count: files.count)
            for (index, file) in files.enumerated() { list[index] = data(file) }
            found.pointee.n_file_descriptor_proto = files.count
            found.pointee.file_descriptor_proto = list
            response.pointee.message_response_case = .init(rawValue: 4)
            response.pointee.file_descriptor_response = found
        case .extensionNumbers(let type, let numbers):
            let found = answers.need(Grpc__Reflection__V1__ExtensionNumberResponse.self)
            let list = answers.need(Int32.self, count: numbers.count)
            for (index, number) in numbers.enumerated() { list[index] = number }
            found.pointee.base_type_name = data(type.utf8)
            found.pointee.n_extension_number = numbers.count
            found.pointee.extension_number = list
            response.pointee.message_response_case = .init(rawValue: 5)
            response.pointee.all_extension_numbers_response = found
        case .services(let names):
            typealias Name = Grpc__Reflection__V1__ServiceResponse
            let found = answers.need(Grpc__Reflection__V1__ListServiceResponse.self)
            let list = answers.need(UnsafeMutablePointer<Name>?.self, count: names.count)
            for (index, name) in names.enumerated() {
                let service = answers.need(Name.self)
                service.pointee.name = data(name.utf8)
                list[index] = service
            }
            found.pointee.n_service = names.count
            found.pointee.service = list
            response.pointee.message_response_case = .init(rawValue: 6)
            response.pointee.list_services_response = found
        case .unknown(let message):
            fail(response, code: 5, message)  // NOT_FOUND
        case .notUnderstood(let message):
            fail(response, code: 3, message)  // INVALID_ARGUMENT
        }
    }

    private func fail(_ response: UnsafeMutablePointer<Response>, code: Int32, _ message: String) {
        let error = answers.need(Grpc__Reflection__V1__ErrorResponse.self)
        error.pointee.error_code = code
        error.pointee.error_message = data(message.utf8)
        response.pointee.message_response_case = .init(rawValue: 7)
        response.pointee.error_response = error
    }

    private func data(_ bytes: some Collection<UInt8>) -> ProtobufCBinaryData {
        ProtobufCBinaryData(
            UnsafeRawBufferPointer(start: answers.copy(bytes), count: bytes.count))
    }

    private static func text(_ data: ProtobufCBinaryData) -> String? {
        String(validating: data.bytes, as: UTF8.self)
    }
}

// How each message is initialized, as generated.
extension Grpc__Reflection__V1__ServerReflectionRequest: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__server_reflection_request__init(pointer)
    }
}
extension Grpc__Reflection__V1__ServerReflectionResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__server_reflection_response__init(pointer)
    }
}
extension Grpc__Reflection__V1__FileDescriptorResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__file_descriptor_response__init(pointer)
    }
}
extension Grpc__Reflection__V1__ExtensionNumberResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__extension_number_response__init(pointer)
    }
}
extension Grpc__Reflection__V1__ListServiceResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__list_service_response__init(pointer)
    }
}
extension Grpc__Reflection__V1__ServiceResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__service_response__init(pointer)
    }
}
extension Grpc__Reflection__V1__ErrorResponse: CMessage {
    static func initialize(_ pointer: UnsafeMutablePointer<Self>) {
        grpc__reflection__v1__error_response__init(pointer)
    }
}
