internal import TollgateClient

/// Amounts of the first four resources, which the load test uses; index: `Resource.index`.
typealias ResourceAmounts = SIMD4<Int64>

extension ResourceAmounts {
    static func spend(nanos: Int64) -> ResourceAmounts { ResourceAmounts(nanos, 0, 0, 0) }

    /// As the contract's quantities; zeros are left out.
    var quantities: [Quantity] {
        Resource.allCases.prefix(scalarCount).compactMap { resource in
            self[resource.index] > 0 ? Quantity(resource, self[resource.index]) : nil
        }
    }
}

/// The tenants and messaging profiles of a run: the same names, shares and caps for the same settings.
struct Population {
    let tenantCount: Int
    let profilesPerTenant: Int
    /// Zipf; tenant 0 is the busiest.
    let shares: [Double]

    init(tenantCount: Int, profilesPerTenant: Int, skew: Double) {
        self.tenantCount = tenantCount
        self.profilesPerTenant = profilesPerTenant
        shares = Zipf.shares(count: tenantCount, skew: skew)
    }

    func tenantID(_ tenant: Int) -> String { "load-\(Self.digits(tenant, 8))" }

    /// - Parameter profile: 0 ..< `profilesPerTenant` within the tenant.
    func profileID(_ tenant: Int, _ profile: Int) -> String {
        "load-\(Self.digits(tenant, 8))-profile-\(Self.digits(profile, 3))"
    }

    private static func digits(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    // MARK: Caps

    /// How tight a tenant is kept, by its number: every fifth has no cap, others meet one about half way or shortly
    /// before the end, so that all kinds of answers occur.
    private enum Tightness: Int {
        case profiles, tenant, ample, none, suspending
    }

    /// The limits file that a service needs for this run.
    ///
    /// - Parameters:
    ///   - demand: what one action asks for on average, of each resource.
    ///   - actions: the number of actions of the run.
    func limitsFile(demand: SIMD4<Double>, actions: Double) -> String {
        var text = """
            # Written by tollgate-loadtest --write-limits: the tenants and caps of one run with the same settings.
            version: 1
            tenants:

            """
        for tenant in 0..<tenantCount {
            let expected = demand * (actions * shares[tenant])
            append(tenant, Tightness(rawValue: tenant % 5) ?? .none, expected, to: &text)
        }
        return text
    }

    private func append(
        _ tenant: Int, _ tightness: Tightness, _ expected: SIMD4<Double>, to text: inout String
    ) {
        text += "  - id: \(tenantID(tenant))\n    on_limit: block\n"
        let scale: Double? =
            switch tightness {
            case .profiles, .none: nil
            case .tenant: 0.5
            case .ample: 10
            case .suspending: 0.9
            }
        if let scale {
            let caps = expected * scale
            // Never below what one action needs.
            text += """
                    monthly_spend_limit: "\(Self.usd(max(caps[Resource.spend.index], 1e8)))"
                    max_extensions: \(Int64(max(1, caps[Resource.extensions.index])))
                    max_dids: \(Int64(max(1, caps[Resource.dids.index])))
                    max_monthly_minutes: \(Int64(max(5, caps[Resource.callSeconds.index] / 60)))
                    auto_suspend: \(tightness == .suspending)

                """
        }
        text += "    messaging_profiles:\n"
        let share = expected[Resource.spend.index] / Double(profilesPerTenant)
        for profile in 0..<profilesPerTenant {
            text += "      - id: \(profileID(tenant, profile))\n"
            guard tightness == .profiles || tightness == .ample else { continue }
            let cap = max(share * (tightness == .profiles ? 0.5 : 10), 2e7)
            text += """
                        daily_spend_limit: "\(Self.usd(cap))"
                        daily_spend_limit_enabled: true

                """
        }
    }

    /// USD with four decimals.
    private static func usd(_ nanos: Double) -> String {
        let units = Int64(nanos / 100_000)
        return "\(units / 10_000).\(digits(Int(units % 10_000), 4))"
    }
}
