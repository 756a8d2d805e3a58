import Testing

@testable import TollgateClient

@Suite("When a client's connection is made, and what goes over it")
struct ConnectionMachineTests {
    private typealias Machine = ConnectionMachine<Int, Int>

    private static func open(_ link: Int) -> LinkStanding { .takesWork }

    /// What a step is, in a form that can be compared.
    private enum Said: Equatable {
        case rest
        case connect(Int)
        case start(Int, Int)
        case close(Int)
    }

    private static func next(
        _ machine: inout Machine, _ standing: (Int) -> LinkStanding = open
    ) -> Said {
        switch machine.next(standing) {
        case .rest: .rest
        case .connect(let attempt): .connect(attempt)
        case .start(let work, let link): .start(work, link)
        case .close(let link): .close(link)
        }
    }

    private static func connected(_ machine: inout Machine, work: Int, link: Int) -> Bool {
        machine.submit(work) && next(&machine) == .connect(1) && machine.connected(attempt: 1, link)
            && next(&machine) == .start(work, link) && next(&machine) == .rest
    }

    // MARK: Each rule

    @Test func nothingIsConnectedBeforeSomethingWaits() {
        var machine = Machine(endpointCount: 1)
        #expect(Self.next(&machine) == .rest)
        #expect(machine.submit(7) && machine.submit(8))
        #expect(Self.next(&machine) == .connect(1))
        #expect(Self.next(&machine) == .rest)
        #expect(machine.connected(attempt: 1, 70) == true)
        #expect(Self.next(&machine) == .start(7, 70))
        #expect(Self.next(&machine) == .start(8, 70))
        #expect(Self.next(&machine) == .rest)
    }

    @Test func whatFindsNoPlaceStaysInFront() {
        var machine = Machine(endpointCount: 1)
        #expect(Self.connected(&machine, work: 1, link: 10))
        #expect(machine.submit(2) && machine.submit(3))
        #expect(Self.next(&machine) == .start(2, 10))
        #expect(machine.putBack(2) == true)
        #expect(Self.next(&machine) == .start(2, 10))
        #expect(Self.next(&machine) == .start(3, 10))
    }

    @Test func eachEndpointIsTriedOnceBeforeWorkIsGivenUp() {
        var machine = Machine(endpointCount: 3)
        #expect(machine.submit(1) && machine.submit(2))
        for (attempt, endpoint) in [2, 0].enumerated() {
            #expect(Self.next(&machine) == .connect(attempt + 1))
            #expect(machine.connectFailed(attempt: attempt + 1, endpoint: endpoint).isEmpty)
        }
        #expect(machine.tried == [0, 2])
        #expect(Self.next(&machine) == .connect(3))
        #expect(machine.connectFailed(attempt: 3, endpoint: 1) == [1, 2])
        // The next round begins with all of them.
        #expect(machine.tried.isEmpty && Self.next(&machine) == .rest)
        #expect(machine.submit(3) && Self.next(&machine) == .connect(4))
    }

    @Test func anEarlierRoundIsForgottenWhenNobodyWaits() {
        var machine = Machine(endpointCount: 2)
        #expect(machine.submit(1) && Self.next(&machine) == .connect(1))
        #expect(machine.connectFailed(attempt: 1, endpoint: 0).isEmpty)
        #expect(machine.drop { $0 == 1 } == [1])
        #expect(Self.next(&machine) == .rest && machine.tried.isEmpty)
    }

    @Test func aLinkThatTakesNoMoreStaysUntilItOwesNothing() {
        var machine = Machine(endpointCount: 1)
        #expect(Self.connected(&machine, work: 1, link: 10))
        #expect(machine.submit(2) == true)
        #expect(Self.next(&machine) { _ in .owesAnswers } == .connect(2))
        #expect(machine.leaving == [10])
        #expect(machine.connected(attempt: 2, 20) && Self.next(&machine) == .start(2, 20))
        #expect(machine.quiet(20) == false)
        let isFirst = machine.quiet(10)
        let isSecond = machine.quiet(10)
        #expect(isFirst && !isSecond && machine.leaving.isEmpty && machine.current == 20)
    }

    @Test func aLinkThatIsOverIsClosedBeforeAnotherIsMade() {
        var machine = Machine(endpointCount: 1)
        #expect(Self.connected(&machine, work: 1, link: 10))
        #expect(machine.submit(2) == true)
        #expect(Self.next(&machine) { _ in .isOver } == .close(10))
        #expect(Self.next(&machine) == .connect(2))
    }

    @Test func aBetterEndpointLeavesTheOldLinkItsAnswers() {
        var machine = Machine(endpointCount: 2)
        #expect(Self.connected(&machine, work: 1, link: 10))
        #expect(machine.leave { _ in true } == nil)
        #expect(machine.leaving == [10] && machine.current == nil)
        // Nobody waits: the other one is made when it is needed.
        #expect(Self.next(&machine) == .rest)
        #expect(machine.submit(2) && Self.next(&machine) == .connect(2))
        var idle = Machine(endpointCount: 2)
        #expect(Self.connected(&idle, work: 1, link: 10))
        #expect(idle.leave { _ in false } == 10)
        #expect(idle.leaving.isEmpty && idle.leave { _ in true } == nil)
    }

    @Test func shutDownEndsEverythingForGood() {
        var machine = Machine(endpointCount: 1)
        #expect(Self.connected(&machine, work: 1, link: 10))
        #expect(machine.leave { _ in true } == nil)
        #expect(machine.submit(2) && Self.next(&machine) == .connect(2))
        let (work, links) = machine.shutDown()
        #expect(work == [2] && links == [10])
        #expect(machine.connected(attempt: 2, 20) == false)
        #expect(machine.connectFailed(attempt: 2, endpoint: 0).isEmpty)
        #expect(machine.submit(3) == false && machine.putBack(4) == false)
        #expect(Self.next(&machine) == .rest)
    }

    // MARK: Every order

    private enum Happening: CaseIterable {
        case submitted, made, notMade, ended, refused, lost, oldLost, avoided, expired, shutDown
    }

    private enum Fate { case waits, started, failed, dropped }

    private struct Link {
        var isOpen = true
        var takesWork = true
        /// Of two places.
        var taken = 0

        var standing: LinkStanding {
            isOpen && takesWork ? .takesWork : taken > 0 ? .owesAnswers : .isOver
        }
    }

    /// An owner that does what it is told, and what it knows itself.
    private struct World {
        var machine = Machine(endpointCount: 2)
        var fates: [Fate] = []
        var links: [Link] = []
        var attempt: (number: Int, endpoint: Int)?
        var failedEndpoints: Set<Int> = []
        var isShutDown = false
        var faults: [String] = []

        mutating func expect(_ holds: Bool, _ rule: @autoclosure () -> String) {
            if holds == false { faults.append(rule()) }
        }

        var isWaiting: Bool { fates.contains(.waits) }

        /// False: it cannot happen now.
        mutating func happens(_ happening: Happening) -> Bool {
            let current = machine.current
            switch happening {
            case .submitted:
                // Three at once are enough to be in each other's way.
                guard fates.count(where: { $0 == .waits }) < 3 else { return false }
                fates.append(.waits)
                if machine.submit(fates.count - 1) == false { fates[fates.count - 1] = .failed }
                expect((fates.last == .failed) == isShutDown, "refused without being shut down")
            case .made:
                guard let made = attempt else { return false }
                attempt = nil
                links.append(Link())
                if machine.connected(attempt: made.number, links.count - 1) {
                    failedEndpoints = []
                    expect(isShutDown == false, "connected after the end")
                } else {
                    links[links.count - 1].isOpen = false
                    expect(isShutDown, "a link for nobody")
                }
            case .notMade:
                guard let failed = attempt else { return false }
                attempt = nil
                failedEndpoints.insert(failed.endpoint)
                let given = machine.connectFailed(attempt: failed.number, endpoint: failed.endpoint)
                expect(given.isEmpty || failedEndpoints.count == 2, "given up too soon")
                for work in given { give(work, .failed) }
                if failedEndpoints.count == 2 { failedEndpoints = [] }
            case .ended:
                guard let index = links.firstIndex(where: { $0.taken > 0 }) else { return false }
                links[index].taken -= 1
                if links[index].taken == 0, machine.quiet(index) { close(index) }
            case .refused:
                guard let current, links[current].takesWork else { return false }
                links[current].takesWork = false
            case .lost:
                guard let current else { return false }
                lose(current)
            case .oldLost:
                guard let old = machine.leaving.first else { return false }
                lose(old)
            case .avoided:
                guard current != nil else { return false }
                let links = links
                if let left = machine.leave({ links[$0].taken > 0 }) { close(left) }
            case .expired:
                guard let oldest = fates.firstIndex(of: .waits) else { return false }
                let dropped = machine.drop { $0 == oldest }
                expect(dropped == [oldest], "what waits is not there")
                fates[oldest] = .dropped
            case .shutDown:
                guard isShutDown == false else { return false }
                isShutDown = true
                let (work, known) = machine.shutDown()
                for work in work { give(work, .failed) }
                for link in known { close(link, owes: true) }
            }
            doSteps()
            checkRest()
            return true
        }

        mutating func give(_ work: Int, _ fate: Fate) {
            expect(fates[work] == .waits, "work \(work) ends twice")
            fates[work] = fate
        }

        mutating func close(_ link: Int, owes: Bool = false) {
            expect(links[link].isOpen, "closed twice")
            expect(owes || links[link].taken == 0, "closed while it owes answers")
            links[link].isOpen = false
            links[link].taken = 0
        }

        mutating func lose(_ link: Int) {
            links[link].isOpen = false
            links[link].taken = 0
            machine.lost(link)
        }

        mutating func doSteps() {
            for _ in 0..<20 {
                let links = links
                switch machine.next({ links[$0].standing }) {
                case .rest:
                    // Nobody waits: the next round is a new one.
                    if isWaiting == false, attempt == nil { failedEndpoints = [] }
                    return
                case .connect(let number):
                    expect(
                        attempt == nil && isShutDown == false && isWaiting, "connects needlessly")
                    expect(machine.tried == failedEndpoints, "another round than it is")
                    attempt = (number, machine.tried.contains(0) ? 1 : 0)
                case .start(let work, let link):
                    expect(fates.firstIndex(of: .waits) == work, "not in turn")
                    expect(links[link].standing == .takesWork, "started where nothing is taken")
                    if links[link].taken == 2 {
                        expect(machine.putBack(work), "no way back")
                        return
                    }
                    give(work, .started)
                    self.links[link].taken += 1
                case .close(let link): close(link)
                }
            }
            expect(false, "it never rests")
        }

        mutating func checkRest() {
            let known = machine.leaving + (machine.current.map { [$0] } ?? [])
            expect(Set(known).count == known.count, "a link in two places")
            for (index, link) in links.enumerated() {
                expect(known.contains(index) == link.isOpen, "link \(index) is forgotten, or dead")
            }
            for old in machine.leaving { expect(links[old].taken > 0, "an old link owes nothing") }
            expect(
                machine.waiting.count == fates.count { $0 == .waits },
                "what waits is not what waits")
            expect(machine.tried.count < 2, "nothing is left to try")
            if isWaiting {
                expect(isShutDown == false, "waits for ever")
                let isFull = machine.current.map {
                    links[$0].standing == .takesWork && links[$0].taken == 2
                }
                expect(attempt != nil || isFull == true, "waits without a reason")
            }
        }
    }

    /// Whatever happens in whatever order: work is started in turn, once, or is given up for a reason; no link is
    /// forgotten or closed while it owes answers; nobody waits for nothing.
    @Test func everyOrderOfWhatHappens() {
        var orders = 0
        var faults: Set<String> = []
        func goOn(_ world: World, _ path: [Happening]) {
            guard path.count < 9 else { return }
            for happening in Happening.allCases {
                var next = world
                guard next.happens(happening) else { continue }
                orders += 1
                if next.faults.isEmpty == false {
                    if faults.count < 5 { faults.insert("\(next.faults): \(path + [happening])") }
                } else {
                    goOn(next, path + [happening])
                }
            }
        }
        goOn(World(), [])
        #expect(faults.isEmpty, "\(faults)")
        #expect(orders > 50_000, "\(orders)")
    }
}
