import CTollgate
import Limits

extension CheckRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(textBytes: textBytes, messages: messages)
        return writer.pack(message(writer))
    }

    fileprivate var textBytes: Int {
        tenantID.utf8.count + messagingProfileID.utf8.count + voiceProfileID.utf8.count
            + idempotencyKey.utf8.count + reference.utf8.count
    }

    fileprivate var messages: Int { 1 + quantities.count }

    fileprivate func message(
        _ writer: borrowing ClientWriter
    ) -> UnsafeMutablePointer<Tollgate__V1__CheckAndReserveRequest> {
        let message = writer.make(Tollgate__V1__CheckAndReserveRequest.self)
        message.pointee.tenant_id = writer.text(tenantID)
        message.pointee.messaging_profile_id = writer.text(messagingProfileID)
        message.pointee.voice_profile_id = writer.text(voiceProfileID)
        message.pointee.action = Tollgate__V1__Action(UInt32(action.rawValue))
        message.pointee.n_quantities = quantities.count
        message.pointee.quantities = writer.quantities(quantities)
        message.pointee.idempotency_key = writer.text(idempotencyKey)
        message.pointee.ttl_ms = ttlMilliseconds
        message.pointee.mode = Tollgate__V1__Mode(UInt32(mode.rawValue))
        message.pointee.on_expiry = Tollgate__V1__ExpiryPolicy(UInt32(onExpiry.rawValue))
        message.pointee.overage = Tollgate__V1__OveragePolicy(UInt32(overage.rawValue))
        message.pointee.include_limits = includesLimits ? 1 : 0
        message.pointee.reference = writer.text(reference)
        return message
    }
}

extension CheckBatchRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(
            textBytes: requests.reduce(0) { $0 + $1.textBytes },
            messages: requests.reduce(1) { $0 + $1.messages + 1 })
        let message = writer.make(Tollgate__V1__CheckAndReserveBatchRequest.self)
        message.pointee.n_requests = requests.count
        message.pointee.requests = writer.list(requests) { $0.message(writer) }
        return writer.pack(message)
    }
}

extension CommitRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(
            textBytes: tenantID.utf8.count, messages: 1 + actual.count)
        let message = writer.make(Tollgate__V1__CommitRequest.self)
        message.pointee.reservation_id = reservationID
        message.pointee.n_actual = actual.count
        message.pointee.actual = writer.quantities(actual)
        message.pointee.tenant_id = writer.text(tenantID)
        return writer.pack(message)
    }
}

extension ReleaseRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(textBytes: tenantID.utf8.count, messages: 1)
        let message = writer.make(Tollgate__V1__ReleaseRequest.self)
        message.pointee.reservation_id = reservationID
        message.pointee.tenant_id = writer.text(tenantID)
        return writer.pack(message)
    }
}

extension ExtendRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(
            textBytes: idempotencyKey.utf8.count + tenantID.utf8.count,
            messages: 1 + additional.count)
        let message = writer.make(Tollgate__V1__ExtendRequest.self)
        message.pointee.reservation_id = reservationID
        message.pointee.tenant_id = writer.text(tenantID)
        message.pointee.ttl_ms = ttlMilliseconds
        message.pointee.n_additional = additional.count
        message.pointee.additional = writer.quantities(additional)
        message.pointee.idempotency_key = writer.text(idempotencyKey)
        message.pointee.mode = Tollgate__V1__Mode(UInt32(mode.rawValue))
        return writer.pack(message)
    }
}

extension RecordUsageRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(
            textBytes: tenantID.utf8.count + messagingProfileID.utf8.count
                + voiceProfileID.utf8.count + idempotencyKey.utf8.count + reference.utf8.count,
            messages: 1 + quantities.count)
        let message = writer.make(Tollgate__V1__RecordUsageRequest.self)
        message.pointee.tenant_id = writer.text(tenantID)
        message.pointee.messaging_profile_id = writer.text(messagingProfileID)
        message.pointee.voice_profile_id = writer.text(voiceProfileID)
        message.pointee.action = Tollgate__V1__Action(UInt32(action.rawValue))
        message.pointee.n_quantities = quantities.count
        message.pointee.quantities = writer.quantities(quantities)
        message.pointee.idempotency_key = writer.text(idempotencyKey)
        message.pointee.reference = writer.text(reference)
        return writer.pack(message)
    }
}

extension UsageRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(
            textBytes: tenantID.utf8.count + messagingProfileID.utf8.count
                + voiceProfileID.utf8.count, messages: 1)
        let message = writer.make(Tollgate__V1__GetUsageRequest.self)
        message.pointee.tenant_id = writer.text(tenantID)
        message.pointee.messaging_profile_id = writer.text(messagingProfileID)
        message.pointee.voice_profile_id = writer.text(voiceProfileID)
        return writer.pack(message)
    }
}

extension WatchUsageRequest: RequestMessage {
    package func encoded() -> [UInt8] {
        let writer = ClientWriter(textBytes: tenantID.utf8.count, messages: 1)
        let message = writer.make(Tollgate__V1__WatchUsageRequest.self)
        message.pointee.tenant_id = writer.text(tenantID)
        return writer.pack(message)
    }
}
