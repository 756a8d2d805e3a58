internal import Engine
package import Limits
internal import Wire

/// Whom requests are from and about, for the access log and traces: found out once more, so that calls of which nobody is
/// told pay nothing.
extension LimitService {
    package func note(_ trace: TraceID?) { lane.trace = trace }

    package func subject(
        of call: CallContext, request: UnsafeRawBufferPointer, isAnswered: Bool
    ) -> CallSubject {
        var subject = CallSubject(caller: callers == nil ? nil : lane.caller)
        let (tenant, isReservation) = tenant(of: call.method, request)
        if let tenant, tenant.count > 0 {
            subject.tenant = Self.text(tenant)
        } else if isReservation, isAnswered {
            subject.tenant = Self.text(lane.reservationSubjects.tenantID)
        }
        if isAnswered { subject.answer = answer(to: call.method) }
        return subject
    }

    /// The tenant that a request names, and whether one without is known by its reservation.
    private func tenant(
        of method: Int, _ request: UnsafeRawBufferPointer
    ) -> (id: BorrowedBytes?, isReservation: Bool) {
        switch LimitServiceMethod.allCases[method] {
        case .checkAndReserve: (try? decoder.check(request).get().tenantID, false)
        case .recordUsage: (try? decoder.record(request).get().tenantID, false)
        case .getUsage: (try? decoder.usage(request).get().tenantID, false)
        case .watchUsage: (try? decoder.watch(request).get(), false)
        case .commit: (try? decoder.commit(request).get().tenantID, true)
        case .release: (try? decoder.release(request).get().tenantID, true)
        case .extend: (try? decoder.extend(request).get().tenantID, true)
        // They are about many.
        case .checkAndReserveBatch, .checkAndReserveStream: (nil, false)
        }
    }

    private func answer(to method: Int) -> String? {
        let decision: Decision
        switch LimitServiceMethod.allCases[method] {
        case .checkAndReserve: decision = answers.pointee.check.decision
        case .extend: decision = answers.pointee.extend.decision
        default: return nil
        }
        return decision == .denied ? "denied" : "allowed"
    }

    private static func text(_ id: BorrowedBytes) -> String { String(decoding: id, as: UTF8.self) }
}
