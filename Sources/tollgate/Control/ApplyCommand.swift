internal import ArgumentParser
internal import CommandIO
internal import JSON
internal import LimitsFile

/// `tollgate apply`
struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Applies a limits file to a running service.",
        discussion: """
            Prints the differences and applies them; a second run has nothing to do. A resource that \
            somebody else changes meanwhile is left as it is and reported. What the file does not name \
            is left alone, unless --prune is given. Webhook addresses of profiles are \
            not part of the file and are kept.

            Exit status 0 includes "nothing to do". After a failure the other changes are \
            still made (not with --stop-on-error), and the exit status is that of the first failure.

            Example: tollgate apply -f limits.yaml --dry-run
            """)

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: .init("The limits file (docs/limits-file.md).", valueName: "file"))
    var file: String

    @Flag(help: "Only print the differences.")
    var dryRun = false

    @Flag(help: "Delete tenants and profiles that the file does not name.")
    var prune = false

    @Flag(help: "Confirm --prune: a deleted tenant cannot be restored.")
    var confirmDeletion = false

    @Flag(help: "Make no further change after one that failed.")
    var stopOnError = false

    @OptionGroup(title: "Service") var control: ControlOptions

    func validate() throws {
        if confirmDeletion && prune == false {
            throw ValidationError("--confirm-deletion confirms --prune, which is not given.")
        }
    }

    func run() async throws {
        let limits: LimitsFile
        do {
            limits = try LimitsFile.load(path: file)
        } catch {
            StandardError.print("\(error)")
            throw ExitStatus.usage.code
        }
        try await control.run { client in
            let progress = Progress()
            let plan = try await LimitsPlan.make(
                limits, client, prune: prune, progress: progress)
            show(plan)
            if dryRun || plan.steps.isEmpty { return }
            if plan.count(.delete) > 0 && confirmDeletion == false {
                throw ControlFailure(
                    .usage,
                    "nothing was changed: --prune also needs --confirm-deletion")
            }
            try await apply(plan, client, progress)
        }
    }

    // MARK: - Showing

    private func show(_ plan: LimitsPlan) {
        if control.json {
            if dryRun {
                for step in plan.steps { StandardOutput.print(step.json(result: "planned").text) }
            }
            if dryRun || plan.steps.isEmpty { StandardOutput.print(summary(plan, Tally()).text) }
            return
        }
        for step in plan.steps { StandardOutput.print("\(step.change)") }
        if let (tenants, profiles) = plan.leftAlone, tenants + profiles > 0 {
            let subjects = "\(tenants) tenants and \(profiles) profiles"
            StandardError.print("left alone because the file does not name them: \(subjects)")
        }
        if plan.steps.isEmpty {
            return StandardOutput.print("Nothing to do: the service matches the file.")
        }
        let counts = [
            (plan.count(.create), "create"), (plan.count(.update), "change"),
            (plan.count(.delete), "delete"),
        ].filter { $0.0 > 0 }.map { "\($0.0) to \($0.1)" }
        StandardOutput.print(
            counts.joined(separator: ", ") + (dryRun ? "; nothing was changed (--dry-run)." : "."))
    }

    private func summary(_ plan: LimitsPlan, _ tally: Tally) -> JSON {
        .object([
            ("record_type", .string("summary")),
            ("to_create", .integer(Int64(plan.count(.create)))),
            ("to_update", .integer(Int64(plan.count(.update)))),
            ("to_delete", .integer(Int64(plan.count(.delete)))),
            ("applied", .integer(Int64(tally.applied))),
            ("failed", .integer(Int64(tally.failures.count))),
            ("not_tried", .integer(Int64(plan.steps.count - tally.applied - tally.failures.count))),
        ])
    }

    // MARK: - Doing

    /// What became of a plan's steps.
    private struct Tally {
        var applied = 0
        var failures: [ControlFailure] = []
    }

    private func apply(
        _ plan: LimitsPlan, _ client: ControlClient, _ progress: Progress
    ) async throws {
        var tally = Tally()
        await progress.begin("applied", of: plan.steps.count)
        let halt = Halt()
        for phase in plan.phases {
            let failures = try await concurrently(phase, progress) { step in
                await outcome(of: step, client, halt)
            }
            for (step, outcome) in zip(phase, failures) {
                note(step, outcome, plan.places.place(of: step.change.subject), &tally)
            }
        }
        if control.json {
            StandardOutput.print(summary(plan, tally).text)
        } else {
            tell(plan, tally)
        }
        if let first = tally.failures.first { throw first.status.code }
    }

    private enum StepOutcome: Sendable { case applied, failed(ControlFailure), notTried }

    /// Whether no further step is begun.
    private actor Halt {
        private(set) var isOver = false
        func end() { isOver = true }
    }

    private func outcome(
        of step: LimitsPlan.Step, _ client: ControlClient, _ halt: Halt
    ) async -> StepOutcome {
        if await halt.isOver { return .notTried }
        do {
            try await step.apply(client)
            return .applied
        } catch {
            let failure =
                error as? ControlFailure ?? ControlFailure(.failure, "the change failed")
            // Without a service or the right to change it, every other step would fail too.
            if stopOnError || failure.status == .unavailable || failure.status == .notPermitted {
                await halt.end()
            }
            return .failed(failure)
        }
    }

    /// - Parameter place: where the file says it.
    private func note(
        _ step: LimitsPlan.Step, _ outcome: StepOutcome, _ place: String, _ tally: inout Tally
    ) {
        let result: String
        var told: ControlFailure?
        switch outcome {
        case .applied:
            tally.applied += 1
            result = "applied"
        case .failed(let failure):
            tally.failures.append(failure)
            result = "failed"
            told = failure
        case .notTried: result = "not_tried"
        }
        if control.json {
            StandardOutput.print(step.json(result: result, failure: told, place: place).text)
        } else if let told {
            let isConflict = told.httpStatus == 412
            let text =
                isConflict
                ? "it was changed meanwhile and left as it is; apply again" : told.text
            StandardError.print("\(place): \(step.change.subject): \(text)")
        }
    }

    private func tell(_ plan: LimitsPlan, _ tally: Tally) {
        let rest = plan.steps.count - tally.applied - tally.failures.count
        var sentence = "Applied \(tally.applied) of \(plan.steps.count) changes"
        if tally.failures.isEmpty == false { sentence += ", \(tally.failures.count) failed" }
        if rest > 0 { sentence += ", \(rest) not tried" }
        StandardOutput.print(sentence + ".")
    }
}
