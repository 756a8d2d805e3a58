"""What the compiler does not check of the sources: the house's rules, and pages that must say what the code says."""

import collections
import pathlib
import re

import pytest
from conftest import ROOT

PLACES = ["Sources", "Tools/LoadTest", "Tools/Benchmarks", "Tools/Interop"]
SOURCES = {path.relative_to(ROOT): path.read_text() for place in PLACES for path in sorted((ROOT / place).rglob("*.swift"))}
# A function's first line; its last is a brace as deep as that begins.
FUNCTION = re.compile(r"^( *)(?:@[\w()\s]+? )*(?:[a-z]+(?:\(\w+\))? )*(?:func \S+|init[(<?]|deinit\b)")
TYPE = re.compile(r"^(?:@\w+(?:\([^)]*\))? )*(?:(?:public|package|private|fileprivate|final|indirect) )*"
                  r"(?:class|struct|enum|protocol|actor|typealias) (\w+)")
LONGEST_FUNCTION = 70


def module(path):
    """The directory that a module's sources are in."""
    return path.parts[1]


def test_everything_is_looked_at():
    assert len(SOURCES) > 500
    assert {"Limits", "Journal", "LoadTest"} <= {module(path) for path in SOURCES}


# MARK: Rules

def functions(text):
    """[(line, lines)] of a file."""
    found, lines = [], text.split("\n")
    for start, line in enumerate(lines):
        match = FUNCTION.match(line)
        if not match:
            continue
        indent = match[1]
        for end in range(start, len(lines)):
            depth = len(lines[end]) - len(lines[end].lstrip())
            if end > start and lines[end] and (depth < len(indent) or depth == len(indent) and FUNCTION.match(lines[end])):
                # A protocol's requirement, which has no body.
                break
            if lines[end].endswith("}") and (end == start or lines[end] == indent + "}"):
                found.append((start + 1, end - start + 1))
                break
    return found


def test_functions_are_found():
    text = "struct A {\n    func one(\n        _ a: Int\n    ) -> Int {\n        a\n    }\n    func two() { }\n    var b = 1\n}\n"
    requirements = "protocol B {\n    func one()\n    func two()\n}\n\nstruct C {\n    init() {\n    }\n}\n"
    assert functions(text) == [(2, 5), (7, 1)]
    assert functions(requirements) == [(7, 2)]
    assert functions("    @inline(always)\n    package static func a() {\n        b\n    }") == [(2, 3)]


def test_functions_fit_a_screen():
    long = [f"{path}:{line}: {lines} lines" for path, text in SOURCES.items()
            for line, lines in functions(text) if lines > LONGEST_FUNCTION]
    assert not long, "\n".join(long)


def test_two_modules_share_no_type_name():
    """Of types that are in no other type. Each executable has its own `Main`."""
    owners = collections.defaultdict(set)
    for path, text in SOURCES.items():
        for line in text.split("\n"):
            # That another module's type is known by the same name here is what an alias is for.
            match = TYPE.match(line)
            if match and match[1] != "Main" and not re.search(rf"typealias {match[1]} = \w+\.{match[1]}$", line):
                owners[match[1]].add(module(path))
    shared = {name: sorted(modules) for name, modules in owners.items() if len(modules) > 1}
    assert not shared


@pytest.mark.parametrize("name", ["Journal", "Projection", "Reservations"])
def test_every_atomic_access_says_why_its_ordering_is_enough(name):
    count, bare = 0, []
    for path, text in SOURCES.items():
        if module(path) != name:
            continue
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if not re.search(r"ordering: *\.", line):
                continue
            count += 1
            if not any("ORDERING:" in above for above in lines[max(0, number - 8):number + 1]):
                bare.append(f"{path}:{number + 1}: {line.strip()}")
    assert count >= 10
    assert not bare, "\n".join(bare)


# MARK: docs/journal-format.md

PAGE = (ROOT / "docs/journal-format.md").read_text()


def table(heading):
    """The rows of the table whose head begins with `heading`: lists of cells."""
    lines = PAGE.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[start + 2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def swift(name):
    return SOURCES[pathlib.Path(name)]


def test_the_page_names_the_format():
    files = re.search(r"static let version: UInt64 = (\d+)", swift("Sources/Journal/FileHeader.swift"))[1]
    records = re.search(r"static var format: UInt64 \{ (\d+) \}", swift("Sources/Journal/RecordEncoding.swift"))[1]
    traced = re.search(r"static var formatWithTrace: UInt64 \{ (\d+) \}", swift("Sources/Journal/RecordEncoding.swift"))[1]
    assert files == records
    assert f"Format version {files}," in PAGE
    assert [row for row in table("| word | bits |") if row[2] == f"format: {records}; {traced} with a trace"]


def test_the_page_has_every_section_of_a_record():
    """Its bit and, where it always has as many, its words."""
    body = re.search(r"(?s)\nenum Section \{(.*?)\n\}", swift("Sources/Journal/RecordEncoding.swift"))[1]
    expected, comment = {}, ""
    for line in body.split("\n"):
        if line.strip().startswith("///"):
            comment = line
        constant = re.match(r"    static let \w+: UInt64 = ([\d_]+|1 << \d+)$", line)
        if constant:
            value = constant[1].replace("_", "")
            bits = [int(value[5:])] if "<<" in value else [int(value).bit_length() - 1]
            words = re.search(r"(\d+) words?", comment)
            expected[bits[0]] = words[1]
    assert len(expected) >= 18
    actual = {}
    for bits, words, _ in table("| bit | words |"):
        for bit in bits.split(", "):
            actual[int(bit)] = re.match(r"\d+", words)[0]
    assert actual == expected


def test_the_page_has_every_kind_of_a_record():
    body = re.search(r"(?s)enum Kind: UInt8.*?\n    \}", swift("Sources/Limits/Record.swift"))[0]
    expected = {(int(number), name) for name, number in re.findall(r"case (\w+) = (\d+)", body)}
    rows = table("| | | | |")
    actual = {(int(cell.split()[0]), cell.split()[1]) for row in rows for cell in row if cell}
    assert actual == expected and len(expected) > 25


def test_the_page_has_every_kind_of_an_entry():
    body = re.search(r"(?s)enum Kind: UInt8.*?\n    \}", swift("Sources/Journal/CheckpointEntry.swift"))[0]
    expected = [f"{number} {name}" for name, number in re.findall(r"case (\w+) = (\d+)", body)]
    assert [row[0] for row in table("| kind | word 1 |")] == expected and len(expected) >= 7
