"""Every thread of the service has a name that `top -H` shows, and docs/architecture.md names it."""

import collections
import pathlib
import re

from control import Rest, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the service starts by itself, whatever is asked of it.
OURS = ["journal", "journal-segment", "checkpoint", "checkpoint-now", "projection", "grpc-0", "grpc-1", "rest", "log",
        "ready-line", "signals"]
# NIO names its own; Dispatch gives those of the task pool, of queues and of SQLite's readers the end of their queue's label.
LIBRARIES = re.compile(r"NIO-.*|TP-#.*|.*qos.*|.*[A-Za-z]\.[A-Za-z0-9].*")
# There for as long as what they do takes.
PASSING = {"memory-return", "look-up", "mail"}


def threads(server):
    """{name: how many}."""
    names = collections.Counter()
    for file in pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/comm"):
        try:
            names[file.read_text().rstrip("\n")] += 1
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended
    return names


def test_each_thread_has_a_name(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), "--threads", "2")
    assert Rest(server).get("/v2/tenants").status == 200

    def found():
        names = threads(server)
        return names if all(names[name] for name in OURS) else None

    names = eventually(found, what="all threads")
    assert {name: names[name] for name in OURS} == dict.fromkeys(OURS, 1)
    # A thread that nobody named is called like whoever started it: like the process, in the end.
    process = pathlib.Path(f"/proc/{server.process.pid}/comm").read_text().rstrip("\n")
    assert names.pop(process) == 1, "the main thread alone"
    others = [name for name in names if name not in OURS and name not in PASSING]
    assert [name for name in others if not LIBRARIES.fullmatch(name)] == []


def test_the_architecture_names_them():
    page = (ROOT / "docs/architecture.md").read_text()
    table = page[page.index("## Threads"):page.index("## Where it ends")]
    column = "".join(line.split("|")[2] for line in table.splitlines() if line.startswith("| "))
    told = set(re.findall(r"`([a-z-]+?)(?:-N)?`", column.replace("`top -H`", "")))
    source = (ROOT / "Sources/Threads/ThreadName.swift").read_text()
    known = set(re.findall(r'ThreadName\("([a-z-]+)"\)', source)) | {"grpc"}
    # Of commands and benchmarks, not of the service.
    assert told == known - {"work", "stdout-watch"}
