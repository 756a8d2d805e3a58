import Testing

@testable import GRPCServer

@Suite("A call, whatever happens in whatever order")
struct CallOrderTests {
    /// Every state that a call can be in is reached, and from there everything happens that can: it is answered once at most,
    /// nothing is done after its end, every answer that is parked leaves or is taken back, once, and nothing is kept or awaited
    /// for ever.
    @Test(arguments: [
        (MethodKind.unary, 50), (.serverStreaming, 20), (.clientStreaming, 5_000),
        (.bidirectional, 5_000),
    ])
    func everyOrder(_ kind: MethodKind, _ leastStates: Int) {
        var seen: Set<[Int]> = []
        var steps = 0
        var faults: Set<String> = []
        var found: [(world: CallWorld, path: [CallHappening])] = [(CallWorld(kind), [])]
        var place = 0
        while place < found.count, faults.count < 3 {
            let (world, path) = found[place]
            place += 1
            guard seen.insert(world.key).inserted else { continue }
            for fault in world.faultsAtTheEnd() { faults.insert("\(fault) at the end of \(path)") }
            for happening in CallHappening.all {
                var changed = world
                guard changed.happens(happening) else { continue }
                steps += 1
                if changed.faults.isEmpty {
                    found.append((changed, path + [happening]))
                } else {
                    faults.insert("\(changed.faults): \(path + [happening])")
                }
            }
        }
        #expect(faults.isEmpty, "\(faults)")
        #expect(seen.count > leastStates && steps > seen.count, "\(seen.count) of \(steps)")
    }
}
