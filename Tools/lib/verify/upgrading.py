"""Upgrades under load: no call fails, and callers wait for little more than the new program's start."""

import sys

from runner import ROOT, Violation, meaning

# Calls a second of the Swift client, upgrades, and milliseconds that a wait may be longer than the recovery: the short form
# runs on machines that do other work too.
QUICK = ["--rate", "1000", "--runs", "1", "--margin", "5000"]
LONG = ["--rate", "20000", "--runs", "5"]
LIMIT = 3_600


def upgrades(context):
    output = context.run(
        "upgrade", [sys.executable, "-B", ROOT / "Tools/measure-upgrade", *context.choose(QUICK, LONG)], LIMIT,
        {"TOLLGATE_BINARY": str(context.server("release"))})
    if output.timed_out or output.status != 0:
        raise Violation("\n  ".join([meaning(output), *output.figures, f"log: {context.logs}/upgrade.log"]))
    return output.figures
