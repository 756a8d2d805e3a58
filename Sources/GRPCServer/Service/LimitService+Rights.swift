internal import Access
internal import Wire

extension LimitService {
    /// What a method is. WatchUsage of all tenants asks for more.
    static func right(of method: LimitServiceMethod) -> Right {
        switch method {
        case .checkAndReserve, .checkAndReserveBatch, .checkAndReserveStream, .commit, .release,
            .extend, .recordUsage:
            .charge
        case .getUsage, .watchUsage: .readUsage
        }
    }
}
