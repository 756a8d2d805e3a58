"""The command line, from what the program says of itself (swift-argument-parser's --experimental-dump-help)."""

import re

from texts import HEAD, joined, prose, table, wrapped

INTRODUCTION = """All commands with their flags. [The command line](../cli.md) says how they are used together, where
a command finds the service, and what its exit status means; the settings of `tollgate serve` have [a
page](../configuration.md) of their own. The same texts are shown by `--help`."""


def page(command):
    parts = [HEAD + "# All commands", wrapped(INTRODUCTION)]
    shared = of_service(command)
    parts.append("## Where the service is")
    for title, arguments in shared:
        parts += [title, flags(arguments)]
    for part in command["subcommands"]:
        if part["shouldDisplay"] and part["commandName"] != "help":
            parts += section(part, (command["commandName"],), [names(a) for _, group in shared for a in group])
    return joined(parts)


def of_service(command):
    """The flags of all commands that ask a service: over gRPC, and over REST."""
    known = {part["commandName"]: part for part in command["subcommands"]}
    over_grpc = [a for a in known["check"]["arguments"] if a.get("sectionTitle") == "Service"]
    over_rest = [a for a in known["apply"]["arguments"] if a.get("sectionTitle") == "Service"]
    return [("Of all commands that ask over gRPC:", over_grpc), ("Of all commands that ask over REST:", over_rest)]


def names(argument):
    return tuple(name["name"] for name in argument.get("names") or [])


def section(command, before, shared):
    words = (*before, command["commandName"])
    parts = [f"{'#' * len(words)} {' '.join(words)}", prose(command.get("abstract", ""))]
    parts += discussion(command.get("discussion") or "")
    known = ("help", "version")
    own = [a for a in command.get("arguments", []) if a["shouldDisplay"] and not set(names(a)) & set(known)]
    if words[1:2] == ("config",):
        # Those of `serve`.
        own = [a for a in own if a.get("sectionTitle") != "Settings"]
    if words[1:] == ("serve",):
        parts.append("Its flags: [all settings](../configuration.md).")
    elif not command.get("subcommands"):
        asks = any(a.get("sectionTitle") == "Service" for a in own)
        own = [a for a in own if a.get("sectionTitle") != "Service" or names(a) not in shared]
        parts.append(f"```text\nusage: {' '.join([*words, *usage(own)])}\n```")
        parts.append(flags(own) if own else "")
        parts.append("And [where the service is](#where-the-service-is)." if asks else "")
        parts.append("And [all settings](../configuration.md)." if words[1] == "config" else "")
    for part in command.get("subcommands", []):
        if part["shouldDisplay"]:
            parts += section(part, words, shared)
    return parts


def discussion(text):
    """Its paragraphs; examples as they are typed."""
    for paragraph in filter(None, text.split("\n\n")):
        if re.match(r"Examples?:", paragraph) or "\n  " in paragraph:
            yield f"```text\n{paragraph}\n```"
        else:
            yield wrapped(prose(" ".join(paragraph.split())))


def placeholder(argument):
    return argument.get("valueName", "").upper()


def usage(arguments):
    """What must be given, and that there is more."""
    if any(a["isOptional"] and a["kind"] != "positional" for a in arguments):
        yield "[FLAGS]"
    for argument in arguments:
        if argument["kind"] == "positional":
            text = placeholder(argument) + (" …" if argument["isRepeating"] else "")
        elif not argument["isOptional"]:
            text = f"--{argument['preferredName']['name']} {placeholder(argument)}"
        else:
            continue
        yield f"[{text}]" if argument["isOptional"] else text


def flags(arguments):
    rows = []
    for argument in arguments:
        spelled = [("--" if name["kind"] == "long" else "-") + name["name"] for name in argument.get("names") or []]
        value = "" if argument["kind"] == "flag" else placeholder(argument)
        shown = ", ".join(f"`{name}`" for name in spelled) + (f" {value}" if value else "") if spelled else value
        notes = [prose(argument.get("abstract", ""))]
        if values := argument.get("allValues"):
            notes.append(f"One of {', '.join(values)}.")
        if (default := argument.get("defaultValue")) and argument["kind"] != "flag":
            notes.append(f"Default: {prose(default)}.")
        if not argument["isOptional"]:
            notes.append("Required.")
        rows.append([shown, " ".join(filter(None, notes))])
    return table(["flag or argument", "meaning"], rows)
