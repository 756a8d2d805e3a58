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
