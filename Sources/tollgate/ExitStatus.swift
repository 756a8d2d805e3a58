internal import ArgumentParser

/// What the command's exit status says (sysexits.h where it has a word for it).
enum ExitStatus: Int32 {
    /// Allowed, or done.
    case done = 0
    /// A limit or a suspension refused.
    case denied = 3
    /// Wrong flags or arguments, wrong configuration.
    case usage = 64
    /// The service refused the input: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION.
    case refusedInput = 65
    /// The service is not reachable, not ready, or did not answer in time.
    case unavailable = 69
    /// Anything else.
    case failure = 70
    /// Not now: the service is busy with what was asked for, or not done with it in time.
    case tryAgain = 75
    /// No token, or one that may not do this.
    case notPermitted = 77

    var code: ExitCode { ExitCode(rawValue) }
}
