import CTollgate
import Limits

/// Where a request carries quantities: the pointers that its failures name.
struct QuantityField {
    let list: StaticString
    let resource: StaticString
    let amount: StaticString
    let minimum: StaticString

    static var quantities: QuantityField {
        QuantityField(
            list: "/quantities", resource: "/quantities/*/resource",
            amount: "/quantities/*/amount", minimum: "/quantities/*/min_amount")
    }
    static var actual: QuantityField {
        QuantityField(
            list: "/actual", resource: "/actual/*/resource", amount: "/actual/*/amount",
            minimum: "/actual/*/min_amount")
    }
    static var additional: QuantityField {
        QuantityField(
            list: "/additional", resource: "/additional/*/resource",
            amount: "/additional/*/amount", minimum: "/additional/*/min_amount")
    }
}

/// What a method asks of its quantities.
struct QuantityRule {
    /// At least one.
    var isRequired = false
    /// Counts may be negative.
    var allowsNegativeCounts = false
    /// `min_amount` has a meaning.
    var hasMinimums = false
    /// What is only ever held may not be named.
    var charges = false

    /// CheckAndReserve.
    static func asked(_ mode: Mode) -> QuantityRule {
        QuantityRule(isRequired: true, hasMinimums: true, charges: mode == .commit)
    }
    /// Commit.
    static var actual: QuantityRule { QuantityRule(charges: true) }
    /// Extend.
    static var additional: QuantityRule { QuantityRule(hasMinimums: true) }
    /// RecordUsage.
    static var recorded: QuantityRule {
        QuantityRule(isRequired: true, allowsNegativeCounts: true, charges: true)
    }
}

// Each function checks one field, reports what is wrong, and returns a value that is only used when
// nothing is.
extension RequestDecoder {
    func report(
        _ code: ErrorCode, _ pointer: StaticString, _ detail: StaticString, position: Int = -1
    ) {
        findings.pointee.append(
            Failure(
                code, pointer: pointer, detail: detail,
                position: Int16(truncatingIfNeeded: position)))
    }

    // MARK: - Texts

    func tenantID(_ field: ProtobufCBinaryData) -> BorrowedBytes {
        if field.len == 0 {
            report(.missingField, "/tenant_id", "The tenant_id is required")
        }
        return text(
            field, "/tenant_id", maximum: WireLimits.identifierBytes,
            tooLong: "An id must be 1 to 64 bytes")
    }

    /// The tenant of a reservation, where the caller says it.
    func statedTenantID(_ field: ProtobufCBinaryData) -> BorrowedBytes {
        text(
            field, "/tenant_id", maximum: WireLimits.identifierBytes,
            tooLong: "An id must be 1 to 64 bytes")
    }

    /// The profile that a request names, of one kind or the other; empty: none.
    func profile(
        messaging: ProtobufCBinaryData, voice: ProtobufCBinaryData
    ) -> (id: BorrowedBytes, kind: ProfileKind) {
        let kind: ProfileKind = voice.len == 0 ? .messaging : .voice
        if kind == .voice && messaging.len > 0 {
            report(.badField, kind.idPointer, "A request can name at most one profile")
        }
        let id = text(
            kind == .voice ? voice : messaging, kind.idPointer,
            maximum: WireLimits.identifierBytes, tooLong: "An id must be 1 to 64 bytes")
        return (id, kind)
    }

    func key(_ field: ProtobufCBinaryData) -> BorrowedBytes {
        text(
            field, "/idempotency_key", maximum: WireLimits.idempotencyKeyBytes,
            tooLong: "An idempotency key must be at most 128 bytes")
    }

    func reference(_ field: ProtobufCBinaryData) -> BorrowedBytes {
        text(
            field, "/reference", maximum: WireLimits.referenceBytes,
            tooLong: "A reference must be at most 64 bytes")
    }

    func text(
        _ field: ProtobufCBinaryData, _ pointer: StaticString, maximum: Int,
        tooLong: StaticString
    ) -> BorrowedBytes {
        let bytes = field.bytes
        if bytes.count == 0 { return bytes }
        if bytes.count > maximum {
            report(.badField, pointer, tooLong)
            return bytes
        }
        switch bytes.textFault {
        case nil: break
        case .invalidUTF8: report(.badField, pointer, "The string is not valid UTF-8")
        case .controlCharacter:
            report(.badField, pointer, "The string must not contain control characters")
        }
        return bytes
    }

    // MARK: - Numbers

    func reservationID(_ id: UInt64) -> UInt64 {
        if id == 0 {
            report(.missingField, "/reservation_id", "The reservation_id is required")
        } else if id > WireLimits.maximumReservationID {
            report(.badField, "/reservation_id", "The reservation_id must be less than 2^63")
        }
        return id
    }

    /// 0 stays 0: what it means is the method's.
    func ttl(_ milliseconds: UInt32) -> UInt32 {
        if milliseconds != 0 && !WireLimits.ttl.contains(milliseconds) {
            report(.badField, "/ttl_ms", "The ttl_ms must be 0, or 1000 to 86400000")
        }
        return milliseconds
    }

    // MARK: - Choices

    private func choice<Choice: RawRepresentable<UInt8>>(
        _ number: UInt32, _ pointer: StaticString, unspecified: Choice, unknown: StaticString
    ) -> Choice {
        if number == 0 { return unspecified }
        if let raw = UInt8(exactly: number), let value = Choice(rawValue: raw) { return value }
        report(.badField, pointer, unknown)
        return unspecified
    }

    func action(_ number: UInt32) -> Action {
        choice(
            number, "/action", unspecified: .unspecified, unknown: "Unknown action")
    }

    func checkMode(_ number: UInt32) -> Mode {
        choice(number, "/mode", unspecified: .reserve, unknown: "Unknown mode")
    }

    func extendMode(_ number: UInt32) -> Mode {
        let mode = checkMode(number)
        if mode == .checkOnly || mode == .commit {
            report(.badField, "/mode", "The mode of Extend must be RESERVE or PARTIAL")
        }
        return mode
    }

    func expiryPolicy(_ number: UInt32) -> ExpiryPolicy {
        choice(
            number, "/on_expiry", unspecified: .release,
            unknown: "Unknown expiry policy")
    }

    func overagePolicy(_ number: UInt32) -> OveragePolicy {
        choice(
            number, "/overage", unspecified: .record, unknown: "Unknown overage policy")
    }

    // MARK: - Quantities

    func quantities(
        _ list: UnsafeMutablePointer<UnsafeMutablePointer<Tollgate__V1__Quantity>?>?, _ count: Int,
        _ field: @autoclosure () -> QuantityField, rule: QuantityRule
    ) -> (amounts: Amounts, minimums: Amounts) {
        var amounts = Amounts()
        var minimums = Amounts()
        if count == 0 {
            if rule.isRequired {
                report(.missingField, field().list, "At least one quantity is required")
            }
            return (amounts, minimums)
        }
        guard let list, count <= WireLimits.quantities else {
            report(.badField, field().list, Resource.mostOfRequestDetail)
            return (amounts, minimums)
        }
        for position in 0..<count {
            guard let quantity = list[position] else { continue }
            let number = quantity.pointee.resource.rawValue
            guard let raw = UInt8(exactly: number), let resource = Resource(rawValue: raw) else {
                if number == 0 {
                    report(
                        .missingField, field().resource, "The resource is required",
                        position: position)
                } else {
                    report(
                        .badField, field().resource, "Unknown resource",
                        position: position)
                }
                continue
            }
            if amounts.contains(resource.index) {
                report(
                    .badField, field().resource, "The resource appears more than once",
                    position: position)
            }
            if rule.charges && !resource.mayBeCharged {
                report(
                    .badField, field().resource, Resource.chargingDetail, position: position)
                continue
            }
            check(quantity.pointee, resource, field(), rule, position: position)
            amounts.set(resource.index, quantity.pointee.amount)
            if rule.hasMinimums { minimums.set(resource.index, quantity.pointee.min_amount) }
        }
        return (amounts, minimums)
    }

    private func check(
        _ quantity: Tollgate__V1__Quantity, _ resource: Resource,
        _ field: @autoclosure () -> QuantityField, _ rule: QuantityRule, position: Int
    ) {
        if quantity.amount < 0 {
            if !rule.allowsNegativeCounts {
                report(
                    .badField, field().amount, "The amount must not be negative",
                    position: position)
            } else if !resource.mayShrink {
                report(
                    .badField, field().amount, Resource.shrinkingDetail, position: position)
            } else if quantity.amount == .min {
                // Its magnitude is no Int64, and no count can hold it.
                report(
                    .badField, field().amount, "The amount would make the count negative",
                    position: position)
            }
        }
        guard rule.hasMinimums else { return }
        if quantity.min_amount < 0 {
            report(
                .badField, field().minimum, "The min_amount must not be negative",
                position: position)
        } else if quantity.min_amount > max(quantity.amount, 0) {
            report(
                .badField, field().minimum, "The min_amount must not exceed the amount",
                position: position)
        }
    }
}
