/// Why a limits file was refused: everything that is wrong with it, each with its place.
package struct LimitsFileError: Error, Sendable, Equatable {
    /// One thing that is wrong.
    package struct Problem: Sendable, Equatable {
        /// From 1; 0: the file as a whole.
        package var line: Int
        /// From 1, in Unicode scalars; 0: the file as a whole.
        package var column: Int
        /// What is wrong and, where it helps, what would be right.
        package var sentence: String

        package init(line: Int, column: Int, sentence: String) {
            self.line = line
            self.column = column
            self.sentence = sentence
        }
    }

    /// The file as the caller named it.
    package var file: String
    /// At least one, in file order.
    package var problems: [Problem]

    package init(file: String, problems: [Problem]) {
        precondition(problems.isEmpty == false, "an error needs a problem")
        self.file = file
        self.problems = problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
    }

    /// A problem of the file as a whole.
    package init(file: String, sentence: String) {
        self.init(file: file, problems: [Problem(line: 0, column: 0, sentence: sentence)])
    }
}

extension LimitsFileError: CustomStringConvertible {
    /// Problems that the text names: where there are more, they are most often one, made again and again.
    package static let mostTold = 1_000

    /// `file:line:column: sentence`, one line for each problem, as far as they are told, and one for the rest.
    package var description: String {
        var lines = problems.prefix(Self.mostTold).map { problem in
            problem.line == 0
                ? "\(file): \(problem.sentence)"
                : "\(file):\(problem.line):\(problem.column): \(problem.sentence)"
        }
        let rest = problems.count - lines.count
        if rest > 0 { lines.append("\(file): and \(rest) more") }
        return lines.joined(separator: "\n")
    }
}
