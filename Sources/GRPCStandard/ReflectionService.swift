package import GRPCServer
package import Wire

/// `grpc.reflection.v1.ServerReflection`, and v1alpha, on one event loop: the descriptors of what is served, for whoever
/// may call anything.
///
/// Thread safety: belongs to its event loop.
package final class ReflectionService: GRPCService {
    package static let names = [
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    ]

    package static let methods = names.map { name in
        MethodDescriptor(
            path: "/\(name)/ServerReflectionInfo", kind: .bidirectional,
            maximumRequestBytes: ReflectionMessages.requestBytes)
    }

    private let index: DescriptorIndex
    private let messages: ReflectionMessages

    package init(_ index: DescriptorIndex) {
        self.index = index
        messages = ReflectionMessages(index)
    }

    package func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome { .failed(GRPCFailure(.unimplemented, "not a unary method")) }

    package func streamOpened(_ call: CallContext) -> GRPCFailure? { nil }

    package func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        guard let question = messages.read(request) else {
            return .failed(GRPCFailure(.internal, "the message could not be decoded"))
        }
        let count = messages.write(index.answer(question)) { response.reserve($0) }
        response.commit(count)
        return .done
    }
}
