import Glibc
import Journal
import Reservations

/// Why a configuration change was refused.
package struct EngineError: Error, Sendable, Equatable, CustomStringConvertible {
    package struct Code: Sendable, Equatable {
        private let name: String
        private init(_ name: String) { self.name = name }
        package static let invalid = Code("invalid")
        package static let notFound = Code("not found")
        package static let closed = Code("closed")
        /// The revision is not the one that was expected.
        package static let conflict = Code("conflict")
        package static let full = Code("full")
        /// The journal has no room at the moment: the same may succeed a little later.
        package static let busy = Code("busy")
        package static let system = Code("system")
        /// Given up half-way, as was asked: the service stops, or somebody else is to do it.
        package static let interrupted = Code("interrupted")
    }
    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

extension EngineError {
    init(_ error: JournalError) {
        let code: Code =
            switch error.code {
            case .noSpace: .full
            case .system: .system
            case .interrupted: .interrupted
            default: .invalid
            }
        self.init(code, "\(error)")
    }
}

extension EngineError {
    init(_ error: TableError) {
        switch error {
        case .cannotReserve(let bytes, let errno):
            self.init(
                .system,
                """
                the system cannot reserve \(bytes) bytes of address space for the table: \
                \(String(cString: strerror(errno))); lower --max-reservations, --max-remembered, \
                --max-amended, --max-tenants or --max-profiles, or raise the process's limits \
                (ulimit -v, vm.max_map_count, vm.overcommit_memory)
                """)
        case .full(let what): self.init(.full, "no room for more \(what)")
        case .busy: self.init(.busy, "the journal has no room at the moment")
        case .notFound(let id): self.init(.notFound, "\(id) does not exist")
        case .closed(let id): self.init(.closed, "\(id) was deleted; ids are never reused")
        case .invalid(let message): self.init(.invalid, message)
        }
    }
}
