import CTollgate
package import Limits

/// Turns request messages into commands: decoding, and every check that needs the message alone
/// (presence, ranges, known values, UTF-8). What needs state (does the tenant exist?) is the
/// engine's.
///
/// A wrong request is a `Failure` with the catalogue's code: 10023 where the bytes are no such
/// message or would take more memory than a request may, 10004 for a missing field, 10015 for a bad
/// one. The failure is the first finding in field order; `violations` holds all of them (up to
/// eight) until the next call.
///
/// What a command borrows lies in the decoder's own memory, not in the bytes that were decoded, and
/// is valid until the next call of this decoder. No call allocates, but for malformed messages and such with groups.
///
/// Thread safety: none; one decoder belongs to one event loop.
package final class RequestDecoder {
    /// Findings about the last message or batch entry; empty when it was fine or malformed.
    package var violations: Violations { findings.pointee }

    /// Behind a pointer, because the run-time exclusivity checks of a class's own variables would
    /// be a tenth of the cost of a message.
    let findings: UnsafeMutablePointer<Violations>
    let arena = Arena(capacity: WireLimits.batchArenaBytes)
    private let checkDescriptor = Tollgate__V1__CheckAndReserveRequest.descriptor
    private let batchDescriptor = Tollgate__V1__CheckAndReserveBatchRequest.descriptor
    private let commitDescriptor = Tollgate__V1__CommitRequest.descriptor
    private let releaseDescriptor = Tollgate__V1__ReleaseRequest.descriptor
    private let extendDescriptor = Tollgate__V1__ExtendRequest.descriptor
    private let recordDescriptor = Tollgate__V1__RecordUsageRequest.descriptor
    private let usageDescriptor = Tollgate__V1__GetUsageRequest.descriptor
    private let watchDescriptor = Tollgate__V1__WatchUsageRequest.descriptor
    /// The batch that `batchEntry` reads; nil before the first one.
    private var batch: UnsafePointer<Tollgate__V1__CheckAndReserveBatchRequest>?

    package init() {
        findings = .allocate(capacity: 1)
        findings.initialize(to: Violations())
    }

    deinit { findings.deallocate() }

    /// Bytes of memory that the last message took: for tests and figures.
    package var usedBytes: Int { arena.usedBytes }

    // MARK: - Methods

    /// CheckAndReserve, and one message of CheckAndReserveStream.
    ///
    /// - Complexity: O(count)
    package func check(_ bytes: BorrowedBytes) -> Result<CheckCommand, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__CheckAndReserveRequest> =
                unpack(bytes, checkDescriptor)
        else { return .failure(malformed(bytes)) }
        return command(message)
    }

    /// CheckAndReserveBatch: the number of its entries, which `batchEntry` then reads.
    ///
    /// - Complexity: O(count)
    package func batch(_ bytes: BorrowedBytes) -> Result<Int, Failure> {
        batch = nil
        guard
            let message: UnsafePointer<Tollgate__V1__CheckAndReserveBatchRequest> =
                unpack(
                    bytes, batchDescriptor, maximumBytes: WireLimits.batchBytes,
                    arenaBytes: WireLimits.batchArenaBytes)
        else { return .failure(malformed(bytes, maximumBytes: WireLimits.batchBytes)) }
        let count = message.pointee.n_requests
        if count == 0 {
            report(.missingField, "/requests", "A batch must have at least one request")
        } else if count > WireLimits.batchEntries {
            report(.badField, "/requests", "A batch must have at most 1000 requests")
        }
        return finish { () -> Int in
            batch = message
            return count
        }
    }

    /// An entry of the batch that was decoded last; pointers of its failure are relative to the
    /// entry.
    ///
    /// Entries may be read in any order; their commands stay valid until the next message. No other
    /// message may be decoded between `batch` and its entries.
    /// - Parameter index: 0 ..< the count that `batch` returned.
    package func batchEntry(_ index: Int) -> Result<CheckCommand, Failure> {
        guard let batch, index >= 0, index < batch.pointee.n_requests,
            let entry = batch.pointee.requests[index]
        else { preconditionFailure("no batch, or an index beyond its entries") }
        findings.pointee.removeAll()
        return command(entry)
    }

    /// Commit.
    package func commit(_ bytes: BorrowedBytes) -> Result<CommitCommand, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__CommitRequest> =
                unpack(bytes, commitDescriptor)
        else { return .failure(malformed(bytes)) }
        var command = CommitCommand(
            reservationID: reservationID(message.pointee.reservation_id))
        command.actual =
            quantities(
                message.pointee.actual, message.pointee.n_actual, .actual, rule: .actual
            ).amounts
        command.tenantID = statedTenantID(message.pointee.tenant_id)
        return finish { command }
    }

    /// Release.
    package func release(_ bytes: BorrowedBytes) -> Result<ReleaseCommand, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__ReleaseRequest> =
                unpack(bytes, releaseDescriptor)
        else { return .failure(malformed(bytes)) }
        var command = ReleaseCommand(
            reservationID: reservationID(message.pointee.reservation_id))
        command.tenantID = statedTenantID(message.pointee.tenant_id)
        return finish { command }
    }

    /// Extend.
    package func extend(_ bytes: BorrowedBytes) -> Result<ExtendCommand, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__ExtendRequest> =
                unpack(bytes, extendDescriptor)
        else { return .failure(malformed(bytes)) }
        var command = ExtendCommand(
            reservationID: reservationID(message.pointee.reservation_id))
        command.ttlMilliseconds = ttl(message.pointee.ttl_ms)
        let asked = quantities(
            message.pointee.additional, message.pointee.n_additional, .additional, rule: .additional
        )
        command.additional = asked.amounts
        command.idempotencyKey = key(message.pointee.idempotency_key)
        command.mode = extendMode(message.pointee.mode.rawValue)
        if command.mode == .partial { command.minimums = asked.minimums }
        command.tenantID = statedTenantID(message.pointee.tenant_id)
        return finish { command }
    }

    /// RecordUsage.
    package func record(_ bytes: BorrowedBytes) -> Result<RecordCommand, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__RecordUsageRequest> =
                unpack(bytes, recordDescriptor)
        else { return .failure(malformed(bytes)) }
        var command = RecordCommand(
            tenantID: tenantID(message.pointee.tenant_id), amounts: Amounts())
        (command.profileID, command.profileKind) = profile(
            messaging: message.pointee.messaging_profile_id,
            voice: message.pointee.voice_profile_id)
        command.action = action(message.pointee.action.rawValue)
        command.amounts =
            quantities(
                message.pointee.quantities, message.pointee.n_quantities, .quantities,
                rule: .recorded
            ).amounts
        command.idempotencyKey = key(message.pointee.idempotency_key)
        command.reference = reference(message.pointee.reference)
        return finish { command }
    }

    /// GetUsage.
    package func usage(_ bytes: BorrowedBytes) -> Result<UsageQuery, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__GetUsageRequest> =
                unpack(bytes, usageDescriptor)
        else { return .failure(malformed(bytes)) }
        let tenantID = tenantID(message.pointee.tenant_id)
        let profile = profile(
            messaging: message.pointee.messaging_profile_id,
            voice: message.pointee.voice_profile_id)
        let query = UsageQuery(tenantID: tenantID, profileID: profile.id, profile.kind)
        return finish { query }
    }

    /// WatchUsage: the tenant's id; empty: every tenant.
    package func watch(_ bytes: BorrowedBytes) -> Result<BorrowedBytes, Failure> {
        guard
            let message: UnsafePointer<Tollgate__V1__WatchUsageRequest> =
                unpack(bytes, watchDescriptor)
        else { return .failure(malformed(bytes)) }
        let tenantID = text(
            message.pointee.tenant_id, "/tenant_id", maximum: WireLimits.identifierBytes,
            tooLong: "An id must be 1 to 64 bytes")
        return finish { tenantID }
    }

    // MARK: - Parts

    private func command(
        _ message: UnsafePointer<Tollgate__V1__CheckAndReserveRequest>
    ) -> Result<CheckCommand, Failure> {
        var command = CheckCommand(
            tenantID: tenantID(message.pointee.tenant_id), action: .unspecified,
            amounts: Amounts())
        (command.profileID, command.profileKind) = profile(
            messaging: message.pointee.messaging_profile_id,
            voice: message.pointee.voice_profile_id)
        command.action = action(message.pointee.action.rawValue)
        if message.pointee.action.rawValue == 0 {
            report(.missingField, "/action", "The action is required")
        }
        let mode = message.pointee.mode.rawValue
        let asked = quantities(
            message.pointee.quantities, message.pointee.n_quantities, .quantities,
            rule: .asked(mode == UInt32(Mode.commit.rawValue) ? .commit : .reserve))
        command.amounts = asked.amounts
        command.idempotencyKey = key(message.pointee.idempotency_key)
        let ttlMilliseconds = ttl(message.pointee.ttl_ms)
        command.ttlMilliseconds = ttlMilliseconds == 0 ? WireLimits.defaultTTL : ttlMilliseconds
        command.mode = checkMode(mode)
        command.onExpiry = expiryPolicy(message.pointee.on_expiry.rawValue)
        command.overage = overagePolicy(message.pointee.overage.rawValue)
        command.includeLimits = message.pointee.include_limits != 0
        command.reference = reference(message.pointee.reference)
        if command.mode == .partial { command.minimums = asked.minimums }
        // Not `finish`, which would copy the command once more.
        guard findings.pointee.isEmpty else { return .failure(findings.pointee[0]) }
        return .success(command)
    }

    /// Forgets the last message and decodes; nil: malformed, too long or too expansive.
    private func unpack<Message: CMessage>(
        _ bytes: BorrowedBytes, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        maximumBytes: Int = WireLimits.messageBytes,
        arenaBytes: Int = WireLimits.messageArenaBytes
    ) -> UnsafePointer<Message>? {
        findings.pointee.removeAll()
        arena.reset(limit: arenaBytes)
        guard bytes.count <= maximumBytes else { return nil }
        // NULL: malformed bytes, or the arena is full.
        if let message = protobuf_c_message_unpack(
            descriptor, arena.allocator, bytes.count,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        {
            return UnsafeRawPointer(message).assumingMemoryBound(to: Message.self)
        }
        return arena.isExhausted ? nil : unpackWithoutGroups(bytes, descriptor, arenaBytes)
    }

    /// Decodes what protobuf-c has refused, without the groups that are all it may have refused it for.
    private func unpackWithoutGroups<Message: CMessage>(
        _ bytes: BorrowedBytes, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        _ arenaBytes: Int
    ) -> UnsafePointer<Message>? {
        guard let plain = UnknownGroups.removed(from: bytes, descriptor) else { return nil }
        arena.reset(limit: arenaBytes)
        guard
            let message = protobuf_c_message_unpack(
                descriptor, arena.allocator, plain.count, plain)
        else { return nil }
        return UnsafeRawPointer(message).assumingMemoryBound(to: Message.self)
    }

    private func malformed(
        _ bytes: BorrowedBytes, maximumBytes: Int = WireLimits.messageBytes
    ) -> Failure {
        if bytes.count > maximumBytes {
            return Failure(.malformed, detail: "The message is too large for this method")
        }
        if arena.isExhausted {
            return Failure(.malformed, detail: "The message needs too much memory to decode")
        }
        return Failure(.malformed)
    }

    private func finish<Command>(_ command: () -> Command) -> Result<Command, Failure> {
        findings.pointee.isEmpty ? .success(command()) : .failure(findings.pointee[0])
    }
}
