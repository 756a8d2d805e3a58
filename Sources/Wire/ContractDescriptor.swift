import CTollgate

/// What is served, for server reflection: the public contract, health checks, and reflection itself.
package enum ContractDescriptor {
    /// A serialized google.protobuf.FileDescriptorSet; lives as long as the program.
    package static var fileDescriptorSet: UnsafeRawBufferPointer {
        var count = 0
        let bytes = tollgate_descriptor_set(&count)
        return UnsafeRawBufferPointer(start: bytes, count: count)
    }
}
