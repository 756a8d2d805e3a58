"""The Python programs under examples/, run as they stand. `Tools/verify --quick --only examples` runs all languages."""

import os
import subprocess
import sys

from conftest import ROOT, usage

SAYS = """held: 0.004 USD
repeated: the same hold
committed
denied: 49002 Tenant extension limit reached
"""


def run(program, endpoint):
    # In a process of its own: in this one `tollgate.v1` is what protoc made of Protos/, not the package's.
    return subprocess.run(
        [sys.executable, "-B", str(ROOT / "examples/python" / program)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "clients/python/src"), "TOLLGATE_ENDPOINT": endpoint},
    )


def run_well(program, server):
    """They give an answer five seconds: a busy machine may need another run. What it says."""
    for _ in range(5):
        done = run(program, server.endpoint)
        if "no answer" not in done.stderr and "DEADLINE_EXCEEDED" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout


def spent(contract, stub):
    committed, _ = usage(contract, stub, "globex", "globex-bulk")[contract.LIMIT_KIND_PROFILE_DAILY_SPEND]
    return committed


def test_the_client(contract, stub, server):
    assert run_well("reserve.py", server) == SAYS
    assert spent(contract, stub) >= 4_000_000


def test_plain_grpc(contract, stub, server):
    assert run_well("plain_grpc.py", server) == "committed\n"
    assert spent(contract, stub) >= 4_000_000


def test_no_service():
    done = run("reserve.py", "127.0.0.1:1")
    # A machine that stands still learns nothing within the five seconds.
    assert done.returncode == 1 and done.stderr.startswith(("no answer: UNAVAILABLE", "no answer: DEADLINE_EXCEEDED"))
