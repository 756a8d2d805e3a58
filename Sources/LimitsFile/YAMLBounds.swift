internal import CYaml

/// What keeps a small text from becoming an endless document: told from the parser's events, before anything is made of
/// them. An alias stands for all that its anchor holds, aliases included, so that a few lines can mean more nodes than
/// there is memory, and a mapping with such a key never ends being compared.
enum YAMLBounds {
    /// Sequences and mappings within each other.
    static let deepest = 64
    /// Nodes that aliases may add to those that are written out.
    static let mostUnfolded = 1_000_000

    private struct Open {
        var anchor: String?
        /// Nodes, with what aliases stand for.
        var size = 1
    }

    /// What is out of bounds, and where; nil: nothing, or the text is no YAML, which its reader finds out.
    ///
    /// - Complexity: O(*n*) in the length of the text.
    static func problem(in text: String) -> LimitsFileError.Problem? {
        // It points into itself: it must stay where it is.
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        // 0: no memory.
        guard yaml_parser_initialize(parser) == 1 else { return nil }
        defer { yaml_parser_delete(parser) }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        var text = text
        return text.withUTF8 { bytes in
            yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
            return problem(of: parser)
        }
    }

    private static func problem(
        of parser: UnsafeMutablePointer<yaml_parser_t>
    ) -> LimitsFileError.Problem? {
        var sizes: [String: Int] = [:]
        var stack: [Open] = []
        var added = 0
        while true {
            var event = yaml_event_t()
            // 0: it is no YAML.
            guard yaml_parser_parse(parser, &event) == 1 else { return nil }
            defer { yaml_event_delete(&event) }
            var closed: Open?
            switch event.type {
            case YAML_STREAM_END_EVENT: return nil
            case YAML_ALIAS_EVENT:
                let size = text(event.data.alias.anchor).flatMap { sizes[$0] } ?? 1
                added += size - 1
                closed = Open(size: size)
            case YAML_SCALAR_EVENT: closed = Open(anchor: text(event.data.scalar.anchor))
            case YAML_SEQUENCE_START_EVENT:
                stack.append(Open(anchor: text(event.data.sequence_start.anchor)))
            case YAML_MAPPING_START_EVENT:
                stack.append(Open(anchor: text(event.data.mapping_start.anchor)))
            case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: closed = stack.popLast()
            default: break
            }
            if let closed {
                if let anchor = closed.anchor { sizes[anchor] = closed.size }
                if !stack.isEmpty { stack[stack.count - 1].size += closed.size }
            }
            if added > mostUnfolded {
                return problem(
                    at: event, "The aliases expand to more than \(mostUnfolded) values")
            }
            if stack.count > deepest {
                return problem(at: event, "Nested more than \(deepest) levels deep")
            }
        }
    }

    private static func text(_ anchor: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        anchor.map { String(cString: $0) }
    }

    private static func problem(at event: yaml_event_t, _ sentence: String)
        -> LimitsFileError.Problem
    {
        LimitsFileError.Problem(
            line: event.start_mark.line + 1, column: event.start_mark.column + 1,
            sentence: sentence)
    }
}
