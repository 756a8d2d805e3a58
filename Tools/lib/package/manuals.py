"""The manual pages of the command, from what it says of itself.

    python manuals.py BINARY DIRECTORY

writes tollgate.1 and a page for each of its commands. SOURCE_DATE_EPOCH is the day that they bear."""

import datetime
import json
import os
import pathlib
import subprocess
import sys


def main(binary, directory):
    dumped = subprocess.run([binary, "--experimental-dump-help"], capture_output=True, text=True, check=True)
    version = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout.strip()
    top = json.loads(dumped.stdout)["command"]
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    names = [f"tollgate-{part['commandName']}" for part in shown(top)]
    for command, name in ((top, "tollgate"), *zip(shown(top), names)):
        others = names if command is top else ["tollgate"]
        (directory / f"{name}.1").write_text(page(command, name, version, others))


def shown(command):
    """The commands below it that are for people; `help` says only what these pages say."""
    return [part for part in command.get("subcommands", []) if part["shouldDisplay"] and part["commandName"] != "help"]


def page(command, name, version, others):
    day = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.UTC).date()
    words = name.replace("-", " ", 1)
    lines = [f'.TH {text(name.upper())} 1 "{day}" "{text(version)}"', ".SH NAME",
             f"{text(name)} \\- {text(sentence(command['abstract']))}", ".SH SYNOPSIS"]
    lines += synopsis(command, words)
    if command.get("discussion"):
        lines += [".SH DESCRIPTION", *paragraphs(command["discussion"])]
    lines += arguments(command, ".SH")
    if name == "tollgate":
        lines += [".SH COMMANDS"]
        for part in shown(command):
            lines += [".TP", f".BR {text(name)}\\-{text(part['commandName'])} (1)", text(part["abstract"])]
    else:
        for part, path in below(command, words):
            lines += [f".SH {text(path.upper())}", text(part["abstract"]), ".PP"]
            lines += synopsis(part, path)
            lines += [".PP", *paragraphs(part["discussion"])] if part.get("discussion") else []
            lines += arguments(part, ".SS")
    lines += [".SH SEE ALSO", *[f".BR {text(other)} (1)," for other in others[:-1]], f".BR {text(others[-1])} (1)"]
    return "\n".join(lines) + "\n"


def below(command, words):
    """Every command below this one that does something, with all of its words."""
    for part in shown(command):
        path = f"{words} {part['commandName']}"
        if shown(part):
            yield from below(part, path)
        else:
            yield part, path


def synopsis(command, words):
    parts = [f"\\fB{text(words)}\\fR"]
    if shown(command):
        return [f"{parts[0]} \\fICOMMAND\\fR [\\fIOPTION\\fR...]"]
    if any(argument["kind"] != "positional" for argument in visible(command)):
        parts.append("[\\fIOPTION\\fR...]")
    for argument in visible(command):
        if argument["kind"] == "positional":
            name = f"\\fI{text(argument['valueName'].upper())}\\fR"
            parts.append(f"[{name}]" if argument["isOptional"] else name)
    return [" ".join(parts)]


def visible(command):
    return [argument for argument in command.get("arguments", []) if argument["shouldDisplay"]]


def arguments(command, heading):
    """Under a heading for each group, in the program's order."""
    lines, section = [], None
    for argument in visible(command):
        title = argument.get("sectionTitle") or "Options"
        if title != section:
            section = title
            lines += [f"{heading} {text(title.upper() if heading == '.SH' else title)}"]
        lines += [".TP", label(argument), text(meaning(argument))]
    return lines


def label(argument):
    if argument["kind"] == "positional":
        return f"\\fI{text(argument['valueName'].upper())}\\fR"
    names = [("--" if name["kind"] == "long" else "-") + name["name"] for name in argument["names"]]
    shown = ", ".join(f"\\fB{text(name)}\\fR" for name in names)
    return f"{shown} \\fI{text(argument['valueName'])}\\fR" if argument["kind"] == "option" else shown


def meaning(argument):
    told = argument.get("abstract", "")
    if default := argument.get("defaultValue"):
        told += f" (default: {default})"
    return told


def paragraphs(discussion):
    """Lines that stand together are one paragraph unless they are indented."""
    lines = []
    for block in discussion.split("\n\n"):
        lines += [".PP"]
        if block.startswith(" "):
            lines += [".nf", *[text(line) for line in block.splitlines()], ".fi"]
        else:
            lines += [text(line) for line in block.splitlines()]
    return lines[1:]


def sentence(abstract):
    """As the name section has it: without a full stop, beginning small."""
    return abstract[0].lower() + abstract[1:].rstrip(".")


def text(words):
    """As roff prints it literally."""
    escapes = {"\\": "\\e", "-": "\\-", "'": "\\(aq", '"': "\\(dq", "`": "\\(ga"}
    escaped = "".join(escapes.get(character, character) for character in words)
    return "\\&" + escaped if escaped.startswith(".") else escaped


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: manuals.py BINARY DIRECTORY")
    main(*sys.argv[1:])
