"""How generated pages are written."""

import re
import textwrap

WIDTH = 120
HEAD = "<!-- Generated: Tools/reference -->\n"


def prose(text):
    """A text of the program as Markdown: what looks like a tag or emphasis is plain."""
    return re.sub(r"([<*])", r"\\\1", text)


def wrapped(text):
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def listed(text):
    """An item of a list."""
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False,
                         break_on_hyphens=False)


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(part) for part in line)} |" for line in lines)


def joined(parts):
    """A page of paragraphs, tables and blocks."""
    return "\n\n".join(part for part in parts if part) + "\n"
