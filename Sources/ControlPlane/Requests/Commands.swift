import Engine
import Limits

// Commands of the data plane that own their texts until a lane decides them.

struct CheckBody: Sendable {
    var tenantID = ""
    var profile: ProfileReference?
    var action = Action.unspecified
    var amounts = Amounts()
    var minimums = Amounts()
    var key: String?
    var ttlMilliseconds: UInt32 = 60_000
    var mode = Mode.reserve
    var onExpiry = ExpiryPolicy.release
    var overage = OveragePolicy.record
    var includeLimits = false
    var reference: String?

    func perform(on lane: EngineLane) -> Result<CheckAnswer, Failure> {
        Optional(tenantID).withBytes { tenant in
            (profile?.id).withBytes { profileID in
                key.withBytes { key in
                    reference.withBytes { reference in
                        var command = CheckCommand(
                            tenantID: tenant, action: action, amounts: amounts)
                        command.profileID = profileID
                        command.profileKind = profile?.kind ?? .messaging
                        if mode == .partial {
                            command.minimums = amounts
                            for index in amounts.resources {
                                command.minimums[index] = minimums[index]
                            }
                        }
                        command.idempotencyKey = key
                        command.ttlMilliseconds = ttlMilliseconds
                        command.mode = mode
                        command.onExpiry = onExpiry
                        command.overage = overage
                        command.includeLimits = includeLimits
                        command.reference = reference
                        var answer = CheckAnswer()
                        if let failure = lane.check(command, answer: &answer) {
                            return .failure(failure)
                        }
                        return .success(answer)
                    }
                }
            }
        }
    }
}

struct ExtendBody: Sendable {
    var reservationID: UInt64
    var ttlMilliseconds: UInt32 = 0
    var additional = Amounts()
    var minimums = Amounts()
    var key: String?
    var mode = Mode.reserve

    func perform(on lane: EngineLane) -> Result<ExtendAnswer, Failure> {
        key.withBytes { key in
            var command = ExtendCommand(reservationID: reservationID)
            command.ttlMilliseconds = ttlMilliseconds
            command.additional = additional
            if mode == .partial {
                command.minimums = additional
                for index in additional.resources { command.minimums[index] = minimums[index] }
            }
            command.idempotencyKey = key
            command.mode = mode
            var answer = ExtendAnswer()
            if let failure = lane.extend(command, answer: &answer) { return .failure(failure) }
            return .success(answer)
        }
    }
}

struct RecordRequest: Sendable {
    var tenantID = ""
    var profile: ProfileReference?
    var action = Action.unspecified
    var amounts = Amounts()
    var key: String?
    var reference: String?

    /// - Parameter isTotal: the amounts are what counts are, not what is added.
    func perform(on lane: EngineLane, isTotal: Bool = false) -> Result<RecordAnswer, Failure> {
        Optional(tenantID).withBytes { tenant in
            (profile?.id).withBytes { profileID in
                key.withBytes { key in
                    reference.withBytes { reference in
                        var command = RecordCommand(tenantID: tenant, amounts: amounts)
                        command.profileID = profileID
                        command.profileKind = profile?.kind ?? .messaging
                        command.action = action
                        command.idempotencyKey = key
                        command.reference = reference
                        var answer = RecordAnswer()
                        let failure =
                            isTotal
                            ? lane.setCounts(command, answer: &answer)
                            : lane.record(command, answer: &answer)
                        return failure.map { .failure($0) } ?? .success(answer)
                    }
                }
            }
        }
    }
}

extension EngineLane {
    /// Usage of a tenant, and of one of its profiles.
    func usage(tenantID: String, _ profile: ProfileReference?) -> Result<UsageAnswer, Failure> {
        Optional(tenantID).withBytes { tenant in
            (profile?.id).withBytes { profileID in
                var answer = UsageAnswer()
                let query = UsageQuery(
                    tenantID: tenant, profileID: profileID, profile?.kind ?? .messaging)
                if let failure = usage(query, answer: &answer) { return .failure(failure) }
                return .success(answer)
            }
        }
    }
}
