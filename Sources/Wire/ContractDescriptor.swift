import CTollgate

/// The public contract, for server reflection.
package enum ContractDescriptor {
    /// A serialized google.protobuf.FileDescriptorSet with the one file tollgate/v1/tollgate.proto;
    /// lives as long as the program.
    package static var fileDescriptorSet: UnsafeRawBufferPointer {
        var count = 0
        let bytes = tollgate_descriptor_set(&count)
        return UnsafeRawBufferPointer(start: bytes, count: count)
    }
}
