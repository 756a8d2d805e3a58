internal import Limits
internal import Wire

extension GRPCFailure {
    /// A failure of the catalogue as a status with its details.
    ///
    /// - Parameter violations: the decoder's findings; empty: the failure alone is told.
    convenience init(
        _ failure: Failure, _ violations: Violations = Violations(), encoder: ResponseEncoder,
        isStrangers: Bool? = nil
    ) {
        let details = Self.bytes { encoder.status(failure, violations: violations, into: $0) }
        let message = Self.bytes { encoder.statusMessage(failure, into: $0) }
        self.init(
            GRPCCode(failure.code.row.status), String(decoding: message, as: UTF8.self),
            details: details, isStrangers: isStrangers)
    }

    /// What an encoder writes.
    static func bytes(
        _ encode: (UnsafeMutableRawBufferPointer) -> Int
    ) -> [UInt8] {
        withUnsafeTemporaryAllocation(
            byteCount: ResponseEncoder.sufficientBytes, alignment: 8
        ) { buffer in
            let count = encode(buffer)
            precondition(count <= buffer.count, "a status outgrew its bound")
            return Array(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        }
    }
}

extension GRPCCode {
    /// The two enumerations carry the same numbers.
    init(_ status: StatusCode) { self = GRPCCode(rawValue: status.rawValue) ?? .unknown }
}
