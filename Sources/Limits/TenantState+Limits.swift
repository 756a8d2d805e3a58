// A tenant's limits by what they are called: whoever reads a state goes by the limit, never by its resource.
extension TenantState {
    /// In the unit of its resource; -1: no limit.
    ///
    /// - Precondition: of these three: the limit is a tenant's.
    public func cap(of kind: LimitKind) -> Int64 { caps[Self.counter(kind)] }
    public func committed(of kind: LimitKind) -> Int64 { committed[Self.counter(kind)] }
    public func held(of kind: LimitKind) -> Int64 { held[Self.counter(kind)] }

    private static func counter(_ kind: LimitKind) -> Int {
        guard let counter = LimitRules.standard.counter(of: kind) else {
            preconditionFailure("not a tenant's limit")
        }
        return counter
    }
}
