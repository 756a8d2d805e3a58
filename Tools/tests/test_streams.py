"""Standard streams: closed, unread or on a full disk, they end nothing that matters and hide nothing."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest
from conftest import BINARY, EXAMPLE, ROOT, addresses, usage
from control import Rest, eventually

CHARGE = ["check", "--tenant", "globex", "--action", "charge", "--spend", "0.01", "--mode", "commit", "--timeout", "60s"]


@pytest.fixture
def service(serve, tmp_path):
    return serve("--data-dir", str(tmp_path / "data"))


def environment(server):
    return {**os.environ, **(addresses(server) if server else {})}


def shell(server, redirections, *arguments):
    return subprocess.run(["bash", "-c", f'"$0" "$@" {redirections}', BINARY, *arguments], capture_output=True,
                          text=True, timeout=300, env=environment(server))


@contextlib.contextmanager
def unread():
    """The end of a pipe for writing that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_status(server, closed):
    assert shell(server, closed, *CHARGE).returncode == 0
    assert shell(server, closed, "check", "--tenant", "initech", "--action", "provision-extension", "--extensions",
                 "10000", "--timeout", "60s").returncode == 3
    assert shell(None, closed, "usage", "--tenant", "a", "--endpoint", "127.0.0.1:1").returncode == 69
    assert shell(None, closed, "nonsense").returncode == 64


FULL = [["version"], ["--help"], ["help", "check"], CHARGE, [*CHARGE, "--json"], ["export"], ["tenants", "list"],
        ["tenants", "get", "acme"], ["apply", "-f", str(EXAMPLE)], ["usage", "--tenant", "acme", "--watch"],
        ["tenants", "list", "--json"], ["export", "-o", "/dev/stdout"]]


@pytest.mark.parametrize("arguments", FULL, ids=lambda arguments: " ".join(arguments[:2]))
def test_a_full_disk_under_the_output_is_told(service, arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300,
                              env=environment(service))
    assert done.returncode == 70, done.stderr
    assert done.stderr.count("standard output cannot be written: the disk is full") == 1


def test_a_reader_that_went_away_ends_a_client_quietly(service):
    for arguments, status in [(["version"], 0), (["--help"], 0), (CHARGE, 0), (["export"], 0), (["tenants", "list"], 0),
                              (["usage", "--tenant", "nobody", "--json", "--timeout", "60s"], 65)]:
        with unread() as writer:
            done = subprocess.run([BINARY, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300,
                                  env=environment(service))
        assert (done.returncode, done.stderr) == (status, ""), arguments


def test_work_goes_on_without_a_reader(service, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("tenants: [{id: acme, max_dids: 77}]")
    with unread() as writer:
        done = subprocess.run([BINARY, "apply", "-f", str(limits), "--timeout", "60s"], stdout=writer,
                              stderr=subprocess.PIPE, timeout=300, env=environment(service))
    assert done.returncode == 0
    assert Rest(service).get("/v2/tenants/acme").data["max_dids"] == 77


@pytest.mark.parametrize("told", [True, False])
def test_a_watch_ends_with_its_reader(contract, stub, server, told):
    """`usage --watch | head -1`, also while nothing is there to be told."""
    watch = subprocess.Popen([BINARY, "usage", "--tenant", "acme", "--watch"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=environment(server))
    try:
        assert watch.stdout.readline()
        watch.stdout.close()
        if told:
            with contextlib.suppress(Exception):
                usage(contract, stub, "acme")
            subprocess.run([BINARY, *CHARGE], env=environment(server), timeout=60, check=True, capture_output=True)
        assert watch.wait(60) == 0
        assert watch.stderr.read() == ""
    finally:
        watch.kill()
        watch.wait(60)
        watch.stderr.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def started(redirections, *arguments):
    """A service whose streams are what the shell makes of them; its process and REST."""
    ports = free_port(), free_port()
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$0" "$@" {redirections}', BINARY, "serve", "--insecure-no-auth", "--durability", "memory",
         "--limits", str(EXAMPLE), "--grpc-listen", f"127.0.0.1:{ports[0]}", "--http-listen", f"127.0.0.1:{ports[1]}",
         *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    class Address:
        http = f"127.0.0.1:{ports[1]}"

    def ready():
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(ConnectionError):
            return Rest(Address).get("/readyz").status == 200

    try:
        eventually(ready)
        yield process, Rest(Address)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1",
                                          "> >(true)", "2> >(true)"])
def test_a_service_outlives_its_streams(redirections):
    with started(redirections, "--log-level", "debug") as (process, rest):
        for number in range(20):
            assert rest.get("/v2/tenants/acme").status == 200
        process.send_signal(signal.SIGHUP)
        for number in range(20):
            assert rest.get(f"/v2/tenants/nobody-{number}").status == 404
        if ">&-" in redirections:
            for descriptor in range(3):
                assert os.readlink(f"/proc/{process.pid}/fd/{descriptor}") == "/dev/null"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        if redirections == ">/dev/full":
            assert "standard output cannot be written: the disk is full" in process.stderr.read()


def test_every_write_goes_through_one_place():
    """`print` says nothing of a full disk, and `FileHandle` ends the process when nobody reads."""
    for directory in ["Sources", "Tools/LoadTest", "Tools/Benchmarks"]:
        for source in (ROOT / directory).rglob("*.swift"):
            # A tutorial's steps are programs of their own.
            if ".docc" in str(source):
                continue
            if source.parent.name == "CommandIO":
                continue
            for number, line in enumerate(source.read_text().splitlines(), 1):
                code = line.split("//")[0]
                where = f"{source.relative_to(pathlib.Path(ROOT))}:{number}"
                assert not re.search(r"FileHandle\.standard|Swift\.print|\bfputs\(|\bdebugPrint\(", code), where
                if source.name != "ControlOptions.swift" and '"""' not in code:
                    assert not re.search(r"(?<![\w.])print\((?!_)", code), where


def test_a_stopped_reader_of_the_log_stops_nothing_else(tmp_path):
    """A line for each request, and nobody who reads them: all are answered, and the service ends when it is told to."""
    service = subprocess.Popen(
        [BINARY, "serve", "--data-dir", str(tmp_path / "data"), "--insecure-no-auth", "--log-level", "debug",
         "--limits", str(EXAMPLE), "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        service.http = re.search(r"http=(\S+)", service.stdout.readline())[1]
        rest = Rest(service)
        for number in range(1_200):
            assert rest.get("/v2/tenants/acme", headers={"x-request-id": f"{number:0120}"}).status == 200
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
        assert len(service.stderr.read()) >= 60_000, "the pipe was not full"
    finally:
        service.kill()
        service.wait(60)
