import Testing

@testable import tollgate_loadtest

@Suite("Plan of a load test")
struct PlanTests {
    @Test("Draws follow the weights")
    func aliasTable() {
        let weights = Zipf.shares(count: 100, skew: 1)
        let table = AliasTable(weights: weights)
        var random = SampleGenerator(seed: 5)
        var counts = Array(repeating: 0, count: 100)
        let draws = 1_000_000
        for _ in 0..<draws { counts[table.draw(&random)] += 1 }
        for (count, weight) in zip(counts, weights) {
            let expected = weight * Double(draws)
            // Six standard deviations.
            #expect(abs(Double(count) - expected) < 6 * expected.squareRoot())
        }
    }

    @Test("A weight of zero is never drawn")
    func zeroWeight() {
        let table = AliasTable(weights: [0, 3, 0, 1])
        var random = SampleGenerator(seed: 1)
        let drawn = Set((0..<10_000).map { _ in table.draw(&random) })
        #expect(drawn == [1, 3])
    }

    @Test("Zipf: the k-th has 1 / k^skew of the first, all together one")
    func zipf() {
        let shares = Zipf.shares(count: 1_000, skew: 1)
        #expect(abs(shares[9] * 10 - shares[0]) < 1e-12)
        #expect(abs(shares.reduce(0, +) - 1) < 1e-9)
        #expect(Set(Zipf.shares(count: 7, skew: 0)).count == 1)
    }

    @Test("A mix names kinds, each once, with weights above zero")
    func mix() {
        #expect(Mix("calls")?.shares == [0, 0, 1])
        #expect(Mix("messaging=8,provisioning=1,calls=1")?.shares == [0.8, 0.1, 0.1])
        #expect(Mix("calls,messaging")?.shares == [0.5, 0, 0.5])
        let wrong = [
            "", "letters", "calls,calls", "calls=0", "calls=-1", "calls=x", "calls=", "calls=1=2",
            "calls,", "calls=inf", "calls=nan",
        ]
        for text in wrong { #expect(Mix(text) == nil, "\(text)") }
    }

    @Test(
        "The expected demand is the average of what actions ask for", arguments: ActionKind.allCases
    )
    func demand(kind: ActionKind) throws {
        let traffic = Traffic(mix: try #require(Mix(kind.rawValue)), directShare: 0.5)
        var random = SampleGenerator(seed: 11)
        var sum = SIMD4<Double>()
        let count = 200_000
        for _ in 0..<count {
            let journey = Journey(kind, tenant: 0, profile: 0, directShare: 0.5, &random)
            var asked = SIMD4<Double>(journey.amounts)
            // A released hold has asked no less for its first slice; its further slices are not taken.
            journey.held = journey.amounts
            while journey.next(hangsUp: false) == .extend { asked += SIMD4(journey.amounts) }
            sum += asked
        }
        let average = sum / Double(count)
        for index in 0..<4 {
            // Released calls ask for less: the demand is an upper bound, a close one.
            #expect(average[index] <= traffic.demand[index] * 1.01)
            #expect(average[index] >= traffic.demand[index] * 0.9)
        }
    }

    @Test("A call charges what was held, less the unused rest of its last slice")
    func usedSeconds() {
        var random = SampleGenerator(seed: 3)
        for _ in 0..<1_000 {
            let journey = Journey(.calls, tenant: 0, profile: 0, directShare: 0, &random)
            journey.held = journey.amounts &* 3
            #expect((121...180).contains(journey.used[3]))
            #expect(journey.used[0] == journey.used[3] * Traffic.secondNanos)
        }
    }

    @Test("At the end of the schedule a call takes no further slice")
    func hangUp() {
        var random = SampleGenerator(seed: 4)
        for _ in 0..<1_000 {
            let journey = Journey(.calls, tenant: 0, profile: 0, directShare: 0, &random)
            #expect(journey.next(hangsUp: true) != .extend)
        }
    }

    @Test("Durations and endpoints")
    func texts() throws {
        #expect(LoadTestDuration.nanoseconds("250us") == 250_000)
        #expect(LoadTestDuration.nanoseconds("500ms") == 500_000_000)
        #expect(LoadTestDuration.nanoseconds("5m") == 300_000_000_000)
        for text in ["", "5", "ms", "-1s", "1.5s", "25h", "18446744073709551615h"] {
            #expect(LoadTestDuration.nanoseconds(text) == nil, "\(text)")
        }
        let endpoint = try #require(EndpointText.parse("[::1]:50051"))
        #expect(endpoint.host == "::1" && endpoint.port == 50_051)
        for text in ["host", "host:0", "host:65536", ":1", "::1:80"] {
            #expect(EndpointText.parse(text) == nil, "\(text)")
        }
    }

    @Test("The limits file holds every tenant and profile, with caps that this run meets")
    func limitsFile() throws {
        let population = Population(tenantCount: 10, profilesPerTenant: 2, skew: 0)
        let traffic = Traffic(mix: try #require(Mix("provisioning")), directShare: 0)
        let text = population.limitsFile(demand: traffic.demand, actions: 1_000)
        for tenant in 0..<10 {
            #expect(text.contains("  - id: \(population.tenantID(tenant))\n"))
            #expect(text.contains("      - id: \(population.profileID(tenant, 1))\n"))
        }
        // 50 of each are expected in each tenant: half, ten times, nine tenths.
        for cap in [25, 500, 45] { #expect(text.contains("    max_dids: \(cap)\n")) }
        #expect(text.contains("auto_suspend: true"))
    }
}
