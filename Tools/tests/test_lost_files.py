"""Files of the data directory that are gone, damaged or taken away, and a process that dies: nothing is begun anew without
a word, nothing is acknowledged into the void (docs/reliability.md)."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest
from conftest import BINARY, Server
from control import Rest, eventually


@pytest.fixture
def start(tmp_path):
    """start(*arguments): a server on the test's data directory; one after the other."""
    servers = []

    def make(*arguments, data=tmp_path / "data"):
        server = Server("--data-dir", str(data), "--journal-segment", "1MiB", *arguments, limits=None)
        server.data = pathlib.Path(data)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.kill()


def refused(start, *arguments):
    """Why a start is refused: what it says."""
    with pytest.raises(AssertionError) as refusal:
        start(*arguments)
    return str(refusal.value)


def told(server, text):
    server._reader.join(0)
    return [line for line in server.log if text in line]


@contextlib.contextmanager
def at_once():
    """What the body waits for comes within a second, or five on a machine that is busy."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < 5, f"it took {took:.1f} s"


def segments(data):
    return sorted(data.glob("journal-*.log"))


# MARK: The projection


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE position SET offset = 'nonsense'",
        "UPDATE position SET offset = -8",
        "UPDATE position SET offset = 4611686018427387904",
        "UPDATE position SET segment = x'00ff'",
        "UPDATE position SET segment = -1",
        "UPDATE position SET sequence = 'nonsense'",
        "INSERT OR REPLACE INTO told VALUES (1, 'a', 'b', 'c', 'd', 0)",
    ],
)
def test_nonsense_in_how_far_the_projection_goes(start, statement):
    server = start()
    Rest(server).post("/v2/tenants", {"id": "acme"})
    assert [tenant["id"] for tenant in Rest(server).all("/v2/tenants")] == ["acme"]
    assert server.stop() == 0
    file = server.data / "projection.sqlite"
    with sqlite3.connect(file) as database:
        database.execute(statement)
    database.close()
    server = start()
    assert [tenant["id"] for tenant in Rest(server).all("/v2/tenants")] == ["acme"]
    assert told(server, str(file)) or told(server, "made anew"), "".join(server.log)
    assert server.stop() == 0


# MARK: The journal


def test_a_journal_that_is_gone(start):
    server = start()
    Rest(server).post("/v2/tenants", {"id": "acme"})
    assert server.stop() == 0
    for name in segments(server.data):
        name.unlink()
    said = refused(start)
    assert "projection.sqlite" in said and "--accept-empty-journal" in said, said
    server = start("--accept-empty-journal")
    assert Rest(server).all("/v2/tenants") == []
    assert server.stop() == 0
    # That was for one start: from now on there is a journal.
    assert start().stop() == 0


@pytest.mark.parametrize("kind", ["segment", "another segment", "LOCK", "directory", "moved directory"])
def test_what_is_taken_away_ends_the_service(start, tmp_path, kind):
    server = start()
    current = segments(server.data)[0]
    if kind == "segment":
        current.unlink()
    elif kind == "another segment":
        shutil.copy(current, tmp_path / "copy")
        os.replace(tmp_path / "copy", current)
    elif kind == "LOCK":
        (server.data / "LOCK").unlink()
    elif kind == "directory":
        shutil.rmtree(server.data)
    else:
        server.data.rename(tmp_path / "elsewhere")
    with at_once():
        assert server.process.wait(60) > 0
    server._reader.join(60)
    assert told(server, "was removed"), "".join(server.log)


def test_without_its_lock_file_a_directory_is_locked(start):
    server = start()
    os.kill(server.process.pid, signal.SIGSTOP)  # So that it does not see what is done to it.
    (server.data / "LOCK").unlink()
    assert "the directory is in use by another process" in refused(start)
    os.kill(server.process.pid, signal.SIGCONT)


def test_a_segment_that_holds_nothing_may_be_damaged(start):
    server = start()
    eventually(lambda: len(segments(server.data)) == 2, what="the next segment")
    Rest(server).post("/v2/tenants", {"id": "acme"})
    assert server.stop() == 0
    prepared = segments(server.data)[1]
    whole = prepared.read_bytes()
    for damage in [b"x" * 4_096 + whole[4_096:], bytes(len(whole)), whole[:100_000], b""]:
        prepared.write_bytes(damage)
        server = start()
        assert Rest(server).tenant("acme")["id"] == "acme"
        assert server.stop() == 0
    # Of one that holds something nobody knows what it was.
    prepared = segments(server.data)[1]
    prepared.write_bytes(b"x" * 4_096 + bytes(1_000) + b"y" + whole[5_097:])
    said = refused(start)
    assert prepared.name in said and "header is damaged" in said, said


# MARK: The key


def test_a_new_webhook_key_is_told(start):
    server = start()
    assert told(server, "created a new key for signing webhooks")
    Rest(server).post("/v2/webhook_endpoints", {"url": "https://example.com/hook"})
    assert server.stop() == 0
    server = start()
    assert not told(server, "signing webhooks")
    assert server.stop() == 0
    (server.data / "webhook-key").unlink()
    server = start()
    lines = told(server, "the webhook signing key is missing")
    assert len(lines) == 1 and " error " in lines[0] and Rest(server).get("/v2/public_key").data["public"] in lines[0]
    assert server.stop() == 0


# MARK: The process


@pytest.mark.parametrize("gigabytes", [1, 3, 5, 6, 7])
def test_too_little_address_space_is_a_sentence(tmp_path, gigabytes):
    command = f"ulimit -v {gigabytes * 1_000_000}; exec '{BINARY}' serve --insecure-no-auth --data-dir '{tmp_path}/data' " \
        "--grpc-listen 127.0.0.1:0 --http-listen 127.0.0.1:0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 69, done.stderr
    assert re.search(r"address space limit .* is \d+ bytes.* need \d+", done.stderr), done.stderr


@pytest.mark.parametrize("number", [signal.SIGILL, signal.SIGTRAP, signal.SIGSEGV, signal.SIGABRT])
def test_a_trap_ends_the_process_and_frees_its_ports(start, number):
    server = start()
    with at_once():
        os.kill(server.process.pid, number)
        assert server.process.wait(60) == -number, "it dies of the signal, and nobody comes between"
        for address in [server.endpoint, server.http]:
            host, port = address.rsplit(":", 1)
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, int(port)))
                listener.listen()
    server._reader.join(60)
    assert not told(server, "rash"), "no backtracer writes"
    assert start("--grpc-listen", server.endpoint, "--http-listen", server.http).stop() == 0
