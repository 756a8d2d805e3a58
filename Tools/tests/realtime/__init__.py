"""A wall clock that the test moves: the real binary under a preload that shifts CLOCK_REALTIME and nothing else.

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
    """The server's wall clock, off by what the test says."""

    def __init__(self, path):
        self.path = path
        self.move(0)

    def move(self, seconds):
        # In place: the server has it mapped.
        with open(self.path, "r+b" if os.path.exists(self.path) else "w+b") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))

    def environment(self, preload):
        return {"LD_PRELOAD": preload, "TOLLGATE_TEST_CLOCK": str(self.path)}
