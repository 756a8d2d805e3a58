internal import Foundation

/// Sentences for the person at the terminal; results go to standard output.
enum StandardError {
    static func print(_ text: String) {
        FileHandle.standardError.write(Data("tollgate: \(text)\n".utf8))
    }
}
