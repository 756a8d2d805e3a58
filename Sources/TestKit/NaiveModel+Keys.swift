import Limits

// Idempotency: keys, and the answers that are stored under them (semantics §3).
extension NaiveModel {
    /// The answer to give at once: a replay, 49201, or nil where the key is new, bound by a denial, or there is none.
    func storedAnswer(tenantID: String, key: String, content: String) -> ModelAnswer? {
        guard key.isEmpty == false else { return nil }
        guard let stored = storedAnswers[KeyReference(tenantID: tenantID, key: key)],
            now < stored.storedAt + retentionMilliseconds
        else { return nil }
        guard stored.content.hasSameBytes(as: content) else { return .failure(.keyReused) }
        return stored.answer.map(Self.replayed)
    }

    /// Keeps an answer. Failures are not stored; "a denial is no stored answer, the key stays bound to its content".
    ///
    /// Choice: bound for the retention from its first denial on; further ones do not prolong that.
    mutating func store(_ answer: ModelAnswer, tenantID: String, key: String, content: String) {
        guard key.isEmpty == false else { return }
        let reference = KeyReference(tenantID: tenantID, key: key)
        var isDenial = false
        switch answer {
        case .failure: return
        case .check(let answer): isDenial = answer.decision == .denied
        case .extend(let answer): isDenial = answer.decision == .denied
        default: break
        }
        if isDenial, let bound = storedAnswers[reference],
            now < bound.storedAt + retentionMilliseconds
        {
            return
        }
        storedAnswers[reference] = StoredAnswer(
            content: content, answer: isDenial ? nil : answer, storedAt: now)
    }

    private static func replayed(_ answer: ModelAnswer) -> ModelAnswer {
        switch answer {
        case .check(var answer):
            answer.replayed = true
            return .check(answer)
        case .extend(var answer):
            answer.replayed = true
            return .extend(answer)
        case .record(var answer):
            answer.replayed = true
            return .record(answer)
        default:
            preconditionFailure("an answer without a key was stored")
        }
    }

    /// Quantities as part of a content: sorted by resource, without those of zero.
    static func sorted(_ amounts: ModelAmounts) -> String {
        amounts.withoutZeros.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }

    /// Least amounts as part of a content: of what is asked, 0 meaning 1; without meaning but in PARTIAL.
    static func sorted(_ minimums: ModelAmounts, of asked: ModelAmounts, _ mode: Mode) -> String {
        guard mode == .partial else { return "" }
        return sorted(
            asked.withoutZeros.reduce(into: [:]) { $0[$1.key] = max(1, minimums[$1.key] ?? 0) })
    }
}
