internal import CommandIO
internal import Engine
internal import Journal

/// How commands end that work on a data directory or a backup.
enum DirectoryFailure {
    /// Runs a body and turns what is wrong into a sentence and an exit status.
    static func reporting(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as JournalError {
            StandardError.print("\(error)")
            throw status(of: error).code
        } catch let error as EngineError {
            StandardError.print("\(error)")
            throw error.code == .invalid
                ? ExitStatus.refusedInput.code : ExitStatus.failure.code
        } catch let error as FileFailure {
            StandardError.print("\(error)")
            throw ExitStatus.failure.code
        }
    }

    private static func status(of error: JournalError) -> ExitStatus {
        switch error.code {
        case .locked: .unavailable
        case .system, .noSpace, .interrupted, .removed: .failure
        case .damaged, .missing, .foreign, .newerFormat, .olderFormat, .invalid: .refusedInput
        }
    }
}
