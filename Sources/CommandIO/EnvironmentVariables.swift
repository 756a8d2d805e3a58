internal import Foundation

/// The process's environment. A variable that is empty is not set: that is how a unit file or a compose file leaves one
/// out.
package enum EnvironmentVariables {
    package static let all = set(in: ProcessInfo.processInfo.environment)

    package static func set(in environment: [String: String]) -> [String: String] {
        environment.filter { !$0.value.isEmpty }
    }
}
