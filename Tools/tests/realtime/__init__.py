"""Clocks that the test moves: the real binary under a preload that shifts CLOCK_REALTIME and CLOCK_BOOTTIME.

The library is Tools/lib/verify/faults.c; time-outs and timers, which use other clocks, stay right.
"""

import os
import pathlib
import struct
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "lib/verify/faults.c"


def build(directory):
    """Compiles the library; its path."""
    library = pathlib.Path(directory) / "faults.so"
    subprocess.run(
        ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    return str(library)


class Clock:
    """The server's clocks, off by what the test says."""

    def __init__(self, path):
        self.path = path
        self.boot = 0
        self.move(0)

    def move(self, seconds):
        """Sets the wall clock: off by so much."""
        # In place: the server has it mapped.
        with open(self.path, "r+b" if os.path.exists(self.path) else "w+b") as file:
            file.write(struct.pack("<qq", int(seconds * 1e9), int(self.boot * 1e9)))

    def elapse(self, seconds):
        """As if time had passed: both clocks are off by so much."""
        self.boot = seconds
        self.move(seconds)

    def environment(self, preload):
        return {"LD_PRELOAD": preload, "TOLLGATE_TEST_CLOCK": str(self.path)}
