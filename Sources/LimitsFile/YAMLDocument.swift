package import Yams

/// The one place that talks to the YAML parser: a text in, a tree with marks out.
package enum YAMLDocument {
    /// The root node of a text with at most one document; nil: there is none. A byte order mark in front is no part of it.
    ///
    /// - Throws: `LimitsFileError` with what is wrong and its place.
    package static func root(of text: String, file: String) throws(LimitsFileError) -> Node? {
        let text =
            text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
        if let problem = YAMLBounds.problem(in: text) {
            throw LimitsFileError(file: file, problems: [problem])
        }
        do {
            return try Parser(yaml: text).singleRoot()
        } catch let error as YamlError {
            throw LimitsFileError(file: file, problems: [problem(of: error)])
        } catch {
            throw LimitsFileError(file: file, sentence: "The YAML cannot be parsed")
        }
    }

    private static func problem(of error: YamlError) -> LimitsFileError.Problem {
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let doing = context.map { " (\($0.text) from line \($0.mark.line))" } ?? ""
            return .init(
                line: mark.line, column: mark.column,
                sentence: "Invalid YAML: \(problem)\(doing)")
        case .reader(let problem, let offset, _, let text):
            let (line, column) = position(of: offset ?? 0, in: text)
            return .init(
                line: line, column: column, sentence: "Invalid YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.map { "\"\($0)\"" }.joined(separator: ", ")
            return .init(
                line: context.mark.line, column: context.mark.column,
                sentence: "Duplicate key \(names)")
        default:
            return .init(line: 1, column: 1, sentence: "The YAML cannot be parsed")
        }
    }

    /// Line and column, from 1, of a character offset.
    private static func position(of offset: Int, in text: String) -> (line: Int, column: Int) {
        let before = text.prefix(offset)
        let line = before.count(where: \.isNewline) + 1
        let column =
            before.count
            - (before.lastIndex(where: \.isNewline).map {
                before.distance(from: before.startIndex, to: $0) + 1
            } ?? 0) + 1
        return (line, column)
    }
}
