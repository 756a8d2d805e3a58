import Engine
import Foundation
import GRDB
import Journal

extension ProjectionError {
    /// What went wrong, in words, for logs and pages: SQLite's own without the statement, the system's without a number.
    package static func reason(of error: any Error) -> String {
        switch error {
        case let error as DatabaseError:
            return error.message ?? DatabaseError(resultCode: error.resultCode).message
                ?? "the database failed"
        case let error as CocoaError:
            let cause = error.userInfo[NSUnderlyingErrorKey] as? POSIXError
            let what =
                cause.map { String(cString: strerror($0.code.rawValue)) }
                ?? error.localizedDescription
            return error.filePath.map { "\($0): \(what)" } ?? what
        case is ProjectionError, is JournalError, is EngineError: return "\(error)"
        case is CancellationError: return "the service is stopping"
        default: return "an internal error"
        }
    }
}
