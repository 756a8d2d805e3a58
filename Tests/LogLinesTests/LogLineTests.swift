import JSON
import Logging
import Synchronization
import Testing

@testable import LogLines

@Suite struct LogLineTests {
    private static let time: Int64 = 1_700_000_000_123

    private func line(_ message: String, _ fields: [JSON.Member] = []) -> LogLine {
        LogLine(time: Self.time, level: .warning, message: message, fields: fields)
    }

    @Test func asTextItIsForPeople() {
        let line = line("limits applied", [("tenants", .integer(3)), ("file", "a b")])
        #expect(
            line.encoded(as: .text)
                == "2023-11-14T22:13:20.123Z warning tollgate: tenants=3 file=\"a b\" [tollgate] limits applied\n"
        )
    }

    @Test func asJSONItIsAnObject() throws {
        let text = line("it \"is\"", [("count", .integer(3)), ("why", "a\\b")]).encoded(as: .json)
        #expect(
            text
                == "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warning\",\"message\":\"it \\\"is\\\"\",\"count\":3,\"why\":\"a\\\\b\"}\n"
        )
    }

    /// Whatever its values contain.
    @Test(arguments: [
        "two\nlines", "\r\n", "tab\t", "\u{0}\u{1b}[31mred", "\u{7f}", "\u{85}next",
        "\u{2028}\u{2029}",
        "\u{FFFD}", "𝄞 ü", String(decoding: [0xFF, 0xC3, 0x28, 0x0A], as: UTF8.self),
    ])
    func itIsOneLine(text: String) throws {
        let line = line(text, [("value", .string(text)), (text, "x")])
        for format in LogFormat.allCases {
            let encoded = line.encoded(as: format)
            #expect(encoded.utf8.filter { $0 == 0x0A }.count == 1 && encoded.utf8.last == 0x0A)
        }
        let object = try JSONParser.parse(String(line.encoded(as: .json).dropLast()))
        #expect(object["message"]?.string == text && object["value"]?.string == text)
        for format in LogFormat.allCases {
            let shown = line.encoded(as: format).dropLast()
            #expect(
                !shown.unicodeScalars.contains {
                    [.control, .lineSeparator, .paragraphSeparator].contains(
                        $0.properties.generalCategory)
                })
        }
    }

    /// A value can be told from the fields and the message that follow it.
    @Test(arguments: [
        ("plain-1.5:7/x", "plain-1.5:7/x"), ("", "\"\""), ("a b", "\"a b\""), ("a=b", "\"a=b\""),
        ("say \"x\"", #""say \"x\"""#), (#"a\b"#, #""a\\b""#), ("a\nb", #""a\nb""#),
        ("x level=error [tollgate] stopped", "\"x level=error [tollgate] stopped\""),
    ])
    func asTextAValueIsQuotedWhereItMustBe(value: String, shown: String) {
        let text = line("said", [("a", .string(value)), ("b", 1)]).encoded(as: .text)
        #expect(
            text == "2023-11-14T22:13:20.123Z warning tollgate: a=\(shown) b=1 [tollgate] said\n")
    }

    @Test(
        arguments: LogFormat.allCases, ["x", "\"", "\n", "\u{1}", "\u{85}", "\u{2028}", "ü", "𝄞"])
    func itHasABound(format: LogFormat, letter: String) throws {
        let long = String(repeating: letter, count: 100_000)
        let line = line(long, (0..<100).map { ("field\($0)", .string(long)) })
        let encoded = line.encoded(as: format)
        #expect(encoded.utf8.count <= LogLine.maximumBytes)
        #expect(encoded.utf8.count > LogLine.maximumBytes / 4)
        if format == .json {
            let object = try JSONParser.parse(String(encoded.dropLast()))
            #expect(object["truncated"]?.bool == true)
            #expect(long.hasPrefix(try #require(object["message"]?.string)))
        } else {
            #expect(encoded.contains("truncated=true"))
        }
    }

    @Test func whatFitsIsNotCut() {
        let long = String(repeating: "x", count: LogLine.longestText)
        let encoded = line(long, [("a", .string(long))]).encoded(as: .json)
        #expect(encoded.contains(long) && !encoded.contains("truncated"))
    }

    @Test func fieldsDoNotTakeThePlaceOfMembers() throws {
        let text = line("said", [("level", "x"), ("time", "y"), ("message", "z")])
            .encoded(as: .json)
        let object = try JSONParser.parse(String(text.dropLast()))
        #expect(object["level"] == "warning" && object["message"] == "said")
        #expect(object["level_"] == "x" && object["message_"] == "z" && object["time_"] == "y")
    }
}

@Suite struct LineLogHandlerTests {
    private struct Failure: Error, CustomStringConvertible {
        let description = "it broke"
    }

    @Test func writesWhatIsLogged() throws {
        let lines = Lines()
        var logger = lines.logger(.json)
        logger[metadataKey: "port"] = "grpc"
        logger.info(
            "said",
            metadata: ["count": .stringConvertible(3), "of": .stringConvertible(true), "b": "x"])
        logger.debug("not said")
        let object = try JSONParser.parse(String(try #require(lines.all.first).dropLast()))
        #expect(object["message"] == "said" && object["level"] == "info" && object["b"] == "x")
        #expect(object["port"] == "grpc" && object["count"] == 3 && object["of"] == true)
        #expect(lines.all.count == 1)
    }

    @Test func anErrorIsAField() {
        let lines = Lines()
        lines.logger(.text).error("said", error: Failure())
        #expect(lines.all.first?.contains("error=\"it broke\"") == true)
    }
}

@Suite struct StateLogTests {
    private let lines = Lines()
    private var logger: Logger { lines.logger(.text) }

    @Test func saysWhenItBeginsAndWhenItIsOver() {
        let state = StateLog(begins: "it began", ends: "it is over")
        state.look(nil, logger)
        #expect(lines.take() == [])
        for second in 1...5 { state.look("for \(second) s", logger, ["where": "here"]) }
        #expect(lines.take() == ["error reason=\"for 1 s\" where=here it began"])
        #expect(state.lasts)
        for _ in 1...5 { state.look(nil, logger, ["where": "here"]) }
        #expect(lines.take() == ["notice where=here it is over"])
        state.look("", logger)
        #expect(lines.take() == ["error it began"])
    }

    @Test func anotherReasonIsToldWhereItIsWanted() {
        let state = StateLog(begins: "b", ends: "e", level: .warning, tellsChanges: true)
        for reason in ["x", "x", "y", "y"] { state.look(reason, logger) }
        #expect(lines.take() == ["warning reason=x b", "warning reason=y b"])
        state.look("y", logger, isAsked: true)
        #expect(lines.take() == ["warning reason=y b"])
        state.look(nil, logger)
        #expect(lines.take() == ["notice e"])
    }
}

@Suite struct RepeatLogTests {
    @Test func ofAKindOneInAWhile() {
        let log = RepeatLog(interval: .seconds(60), rest: "rest")
        let now = ContinuousClock.now
        #expect(log.note("a", now: now) == 1)
        for _ in 0..<9 { #expect(log.note("a", now: now + .seconds(59)) == nil) }
        #expect(log.note("b", now: now) == 1)
        #expect(log.note("a", now: now + .seconds(60)) == 10)
        #expect(log.note("a", now: now + .seconds(120)) == 1)
    }

    @Test func furtherKindsAreOne() {
        let log = RepeatLog(mostKinds: 2, rest: 0)
        let now = ContinuousClock.now
        #expect((1...100).count { log.note($0, now: now) != nil } == 3)
    }

    /// A kind is told again after a while, also when many others were there before; what was not told of those is.
    @Test func oldKindsAreForgotten() {
        let log = RepeatLog(interval: .seconds(60), mostKinds: 2, rest: 0)
        let now = ContinuousClock.now
        for kind in [1, 2] {
            #expect(log.note(kind, now: now) == 1 && log.note(kind, now: now) == nil)
        }
        #expect(log.note(3, now: now) == 1 && log.note(4, now: now) == nil)
        let later = now + .seconds(60)
        #expect(log.note(5, now: later) == 1 && log.note(6, now: later) == 1)
        #expect(log.note(5, now: later + .seconds(60)) == 1)
        // 1 and 2 once each, 4, and this one.
        #expect(log.note(7, now: later) == 4)
    }
}

/// What is written, without its time.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func logger(_ format: LogFormat) -> Logger {
        Logger(label: "test") { _ in
            LineLogHandler(format) { line in self.lines.withLock { $0.append(line) } }
        }
    }

    /// As "level fields message".
    func take() -> [String] {
        lines.withLock { lines in
            defer { lines = [] }
            return lines.map { line in
                String(line.drop { $0 != " " }.dropFirst().dropLast())
                    .replacing(" tollgate:", with: "").replacing(" [LogLines]", with: "")
            }
        }
    }
}
