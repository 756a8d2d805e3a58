"""The gRPC contract, from the comments of its .proto file."""

import re
from dataclasses import dataclass, field

from texts import HEAD, joined, prose, table, wrapped

INTRODUCTION = """What `tollgate.v1.LimitService` does, method by method and field by field: the comments of [the
contract](../../Protos/tollgate/v1/tollgate.proto). [gRPC and HTTP/2](../grpc.md) says what holds for all calls,
[semantics](../semantics.md) what decides, [the caller's contract](../clients/failure.md) what to do about each
outcome."""


@dataclass
class Element:
    kind: str
    name: str
    comment: str
    rows: list = field(default_factory=list)


def page(text):
    general, elements = parsed(text)
    parts = [HEAD + "# The gRPC contract", wrapped(" ".join(INTRODUCTION.split())), "## What holds for all", *general]
    parts.append("## Methods")
    for element in elements:
        if element.kind == "service":
            for name, asks, answers, comment in element.rows:
                parts += [f"### {name}", f"{linked(asks)} → {linked(answers)}", wrapped(prose(comment))]
    parts.append("## Messages")
    for element in elements:
        if element.kind == "message":
            parts += [f"### {element.name}", wrapped(prose(element.comment)),
                      table(["number", "field", "type", "meaning"],
                            [[number, f"`{name}`", linked(kind), prose(comment)]
                             for kind, name, number, comment in element.rows])]
    parts.append("## Enumerations")
    for element in elements:
        if element.kind == "enum":
            parts += [f"### {element.name}", wrapped(prose(element.comment)),
                      table(["number", "value", "meaning"],
                            [[number, f"`{name}`", prose(comment)] for name, number, comment in element.rows])]
    return joined(parts)


def linked(kind):
    """A type, with a link to its section if it has one."""
    *before, name = kind.split()
    return " ".join([*before, f"[{name}](#{name.lower()})" if name[0].isupper() else name])


def parsed(text):
    head, body = text.split("\nsyntax = ", 1)
    elements, comment = [], []
    for line in body.splitlines():
        code, _, note = (part.strip() for part in line.partition("//"))
        if not code:
            # An empty line parts a comment from what follows.
            comment = [*comment, note] if note else []
            continue
        said = " ".join(filter(None, [*comment, note]))
        if found := re.match(r"(service|message|enum) (\w+) \{", code):
            elements.append(Element(found[1], found[2], said))
        elif found := re.match(r"rpc (\w+)\(((?:stream )?\w+)\) returns \(((?:stream )?\w+)\);", code):
            elements[-1].rows.append((*found.groups(), said))
        elif found := re.match(r"((?:repeated )?\w+) (\w+) = (\d+);", code):
            elements[-1].rows.append((*found.groups(), said))
        elif found := re.match(r"(\w+) = (\d+);", code):
            elements[-1].rows.append((*found.groups(), said))
        comment = []
    return list(paragraphs(head)), elements


def paragraphs(head):
    """Of the comment that the file begins with; indented lines are a list."""
    text = "\n".join(line.removeprefix("//").removeprefix(" ") for line in head.splitlines())
    for paragraph in text.split("\n\n"):
        plain, *listed = re.split(r"\n(?=  [A-Z_]+ )", paragraph)
        yield wrapped(prose(" ".join(plain.split())))
        if listed:
            *rows, last = listed
            # What follows the list stands at the margin again.
            last, _, rest = re.sub(r"\n(?! )", "\0", last).partition("\0")
            pairs = [entry.split(None, 1) for entry in [*rows, last]]
            yield table(["status", "codes"], [[f"`{status}`", prose(codes)] for status, codes in pairs])
            yield wrapped(prose(" ".join(rest.replace("\0", " ").split())))
