"""Another release in the same process: callers wait, and none is refused; what cannot start does not take over."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import conftest
import grpc
import pytest
from conftest import BINARY, USD, request, usage
from control import Rest, eventually, wait_until_read
from test_loadtest import LOADTEST, LoadTest

NO_LIMITS = "tenants: [{id: globex}]"


class Program:
    """Where a service is started from, and what lies there: a symbolic link that a new release changes."""

    def __init__(self, directory):
        self.path = directory / "bin" / "tollgate"
        self.path.parent.mkdir()
        self.lies(pathlib.Path(BINARY).absolute())

    def lies(self, target):
        """At once, as a package manager does it."""
        link = self.path.with_suffix(".new")
        link.symlink_to(target)
        link.rename(self.path)

    def script(self, text, mode=0o755):
        """What lies there is a script of `sh`."""
        path = self.path.parent / f"release-{time.monotonic_ns()}"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        self.lies(path)


@pytest.fixture
def program(tmp_path, monkeypatch):
    program = Program(tmp_path)
    monkeypatch.setattr(conftest, "BINARY", str(program.path))
    return program


@pytest.fixture
def service(program, serve, tmp_path):
    """service(*arguments): a service with a data directory, started from the program's place."""

    def start(*arguments, **options):
        options.setdefault("limits", NO_LIMITS)
        return serve("--data-dir", str(tmp_path / "data"), "--ops-listen", "127.0.0.1:0", *arguments, **options)

    return start


def tollgate(*arguments):
    """The command of this release, whatever lies where the service was started from."""
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=600)


def upgrade(tmp_path, *arguments):
    return tollgate("upgrade", "--data-dir", str(tmp_path / "data"), *arguments)


def logged(server, text):
    return eventually(lambda: [line for line in server.log if text in line], what=f"{text} in the log")


def becomes_ready_again(server):
    """The second ready line: with the same addresses, from the same process."""
    assert server.process.stdout.readline() == server.ready
    assert server.process.poll() is None


class Caller:
    """Charges of a tenth of a cent, one after the other at a rate, until the end of its block; none is repeated."""

    def __init__(self, contract, endpoint, rate):
        self.waits, self.failures = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(contract, endpoint, rate))
        self._thread.start()

    def _run(self, contract, endpoint, rate):
        asked = request(contract, spend=USD // 1_000, mode=contract.MODE_COMMIT)
        with grpc.insecure_channel(endpoint) as channel, concurrent.futures.ThreadPoolExecutor(64) as pool:
            stub = contract.Stub(channel)
            due = time.monotonic()
            while not self._stop.is_set():
                pool.submit(self._call, stub, asked)
                due += 1 / rate
                time.sleep(max(0, due - time.monotonic()))

    def _call(self, stub, asked):
        began = time.monotonic()
        try:
            stub.CheckAndReserve(asked, timeout=60)
            self.waits.append(time.monotonic() - began)
        except grpc.RpcError as error:
            self.failures.append(f"{error.code()}: {error.details()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(120)


def test_callers_wait_and_none_is_refused(contract, service, tmp_path):
    """grpcio and the Swift client, whose calls cannot be repeated: each is answered, and charged once."""
    limits = tmp_path / "load.yaml"
    load = ["--tenants", "20", "--rate", "200", "--duration", "6s", "--direct", "1"]
    subprocess.run([LOADTEST, *load, "--write-limits", str(limits)], check=True, timeout=60)
    text = limits.read_text().replace("tenants:\n", "tenants:\n  - {id: globex}\n", 1)
    server = service(limits=text)
    swift = LoadTest(server.endpoint, *load)
    swift.wait_for_progress(1)
    with Caller(contract, server.endpoint, 100) as caller:
        eventually(lambda: len(caller.waits) > 20)
        for _ in range(2):
            done = upgrade(tmp_path, "--json")
            assert done.returncode == 0, done.stderr + "".join(server.log)
            told = json.loads(done.stdout)
            assert told["pid"] == server.process.pid and re.fullmatch(r"\d+\.\d+\.\d+", told["version"])
            becomes_ready_again(server)
        before = len(caller.waits)
        eventually(lambda: len(caller.waits) > before + 20)
    assert caller.failures == []
    status, report = swift.report()
    assert status == 0 and report["failed"] == 0, report["failed_by_status"]
    with grpc.insecure_channel(server.endpoint) as channel:
        spent, held = usage(contract, contract.Stub(channel), "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND]
    assert (spent, held) == (len(caller.waits) * USD // 1_000, 0)
    assert tollgate("upgrade", "--pid", str(server.process.pid)).returncode == 0
    becomes_ready_again(server)


def test_what_a_check_says(service, tmp_path, program):
    """It may be asked beside a service that runs, and changes nothing."""
    data = tmp_path / "data"
    settings = ["serve", "--check", "--insecure-no-auth", "--data-dir", str(data)]
    done = tollgate(*settings)
    assert done.returncode == 0 and "will be created" in done.stdout and not data.exists()
    server = service()

    def files():
        return sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in data.glob("*"))

    # The service itself writes nothing meanwhile.
    server.process.send_signal(signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
        before = files()
        done = tollgate(*settings)
        assert done.returncode == 0 and "readable journal files" in done.stdout, done.stderr
        assert files() == before
    finally:
        server.process.send_signal(signal.SIGCONT)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("tenants: [{id: a, no_such_setting: 1}]")
    done = tollgate(*settings, "--limits", str(wrong))
    assert done.returncode == 64 and "no_such_setting" in done.stderr
    done = tollgate(*settings, "--tls-certificate", "/nowhere", "--tls-key", "/nowhere")
    assert done.returncode == 64 and "/nowhere" in done.stderr


@pytest.mark.parametrize("script,mode,told", [
    ("exit 0", 0o644, "cannot be run: Permission denied"),
    ("echo 'tollgate: the journal is written in format 9' >&2; exit 69", 0o755, "the journal is written in format 9"),
    ("exit 3", 0o755, "exited with status 3"),
    ("kill -SEGV $$", 0o755, "was killed by signal 11"),
    ("sleep 1000", 0o755, "did not finish within 1 s"),
    ("sleep 1000 & exec 1>&- 2>&-; exec sleep 1000", 0o755, "did not finish within 1 s"),
    ("yes no", 0o755, "did not finish within 1 s"),
])
def test_what_cannot_start_does_not_take_over(service, tmp_path, program, script, mode, told):
    server = service("--upgrade-check-timeout", "1s")
    program.script(script, mode)
    done = upgrade(tmp_path)
    assert done.returncode == 65 and told in done.stderr and "keeps serving" in done.stderr, done.stderr
    assert told in logged(server, "upgrade refused")[0]
    assert Rest(server).get("/readyz").status == 200
    program.lies(pathlib.Path(BINARY).absolute())
    assert upgrade(tmp_path).returncode == 0
    becomes_ready_again(server)


def test_a_program_that_is_gone_does_not_take_over(service, tmp_path, program):
    server = service()
    program.path.unlink()
    done = upgrade(tmp_path)
    assert done.returncode == 65 and "cannot be run: No such file or directory" in done.stderr
    assert Rest(server).get("/readyz").status == 200


@pytest.mark.parametrize("settings,told", [
    # Never seen: what the new program gets are the sockets that are there.
    ("grpc-listen: 0.0.0.0:0", None),
    ("data-dir: elsewhere", "data-dir is elsewhere, but the service uses"),
    ("durability: memory", "durability is memory"),
    ("max-tenants: 1", "max-tenants is 1, but 2 are in use"),
    ("max-tenants: 2", None),
])
def test_settings_are_judged_for_the_service_that_runs(program, tmp_path, settings, told):
    file, limits = tmp_path / "settings.yaml", tmp_path / "limits.yaml"
    limits.write_text("tenants: [{id: a}, {id: b}]")
    usual = {"data-dir": tmp_path / "data", "limits": limits, "grpc-listen": "127.0.0.1:0",
             "http-listen": "127.0.0.1:0", "insecure-no-auth": "true"}

    def write(**changed):
        file.write_text("".join(f"{name}: {value}\n" for name, value in {**usual, **changed}.items()))

    write()
    with subprocess.Popen([program.path, "serve", "--config", file], stdout=subprocess.PIPE, text=True,
                          cwd=tmp_path) as process:
        try:
            ready = process.stdout.readline()
            assert ready.startswith("tollgate ready")
            name, value = settings.split(": ")
            write(**{name: value})
            done = tollgate("upgrade", "--pid", str(process.pid))
            if told:
                assert done.returncode == 65 and told in done.stderr, done.stderr
            else:
                assert done.returncode == 0, done.stderr
                assert process.stdout.readline() == ready
        finally:
            process.terminate()
        assert process.wait(60) == 0


def test_settings_that_are_wrong_by_now_do_not_take_over(service, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("max-tenants: 100")
    server = service("--config", str(settings))
    settings.write_text("no-such-setting: 100")
    done = upgrade(tmp_path)
    assert done.returncode == 65 and "no-such-setting" in done.stderr
    assert Rest(server).get("/readyz").status == 200


def test_a_program_that_goes_after_its_check_ends_the_service(program, tmp_path):
    """So that its supervisor starts it again."""
    server = conftest.Server("--data-dir", str(tmp_path / "data"), limits=None)
    program.script('rm "$0"; exit 0')
    done = upgrade(tmp_path)
    assert done.returncode == 69 and "has ended" in done.stderr
    assert server.process.wait(60) == 70
    logged(server, "cannot be run: no such file or directory")


def test_two_at_once(service, tmp_path, program):
    server = service()
    flag = tmp_path / "flag"
    program.script(f"while [ ! -e {flag} ]; do sleep 0.05; done; exit 3")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(upgrade, tmp_path)
        logged(server, "checking the program")
        second = upgrade(tmp_path)
        assert second.returncode == 75 and "is already being upgraded" in second.stderr
        os.kill(server.process.pid, signal.SIGUSR2)
        logged(server, "already in progress")
        flag.touch()
        assert first.result(60).returncode == 65


def test_a_stop_during_the_check(program, tmp_path):
    server = conftest.Server("--data-dir", str(tmp_path / "data"), limits=None)
    mark = tmp_path / "running"
    program.script(f"echo $$ >{mark}; exec sleep 1000")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(upgrade, tmp_path)
        eventually(lambda: mark.exists() and mark.read_text().strip())
        assert server.stop() == 0
        done = asked.result(60)
        assert done.returncode == 69 and ("stopp" in done.stderr or "has ended" in done.stderr), done.stderr
    child = int(mark.read_text())
    eventually(lambda: not pathlib.Path(f"/proc/{child}").exists(), what="the end of the check")


def test_a_stop_while_calls_finish_for_an_upgrade(tmp_path, program):
    server = conftest.Server("--data-dir", str(tmp_path / "data"), "--drain-timeout", "60s", limits=None)
    host, port = server.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"POST /v2/usage_records HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        wait_until_read(connection)
        assert Rest(server).get("/healthz").status == 200
        os.kill(server.process.pid, signal.SIGUSR2)
        logged(server, "draining")
        server.process.send_signal(signal.SIGTERM)
    assert server.stop() == 0
    # It does not run again.
    assert server.process.stdout.read() == ""


def test_one_that_is_asked_for_during_the_start_comes_after_it(tmp_path, program):
    pipe = tmp_path / "identities.yaml"
    os.mkfifo(pipe)
    with open(tmp_path / "log", "w+") as log:
        process = subprocess.Popen(
            [str(program.path), "serve", "--data-dir", str(tmp_path / "data"), "--identities", str(pipe),
             "--upgrade-check-timeout", "1s", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            writer = os.open(pipe, os.O_WRONLY)
            done = tollgate("upgrade", "--pid", str(process.pid))
            assert done.returncode == 75 and "is still starting" in done.stderr
            process.send_signal(signal.SIGUSR2)
            os.write(writer, b"issuers: []\n")
            os.close(writer)
            assert process.stdout.readline().startswith("tollgate ready")
            # A pipe has been read to its end.
            eventually(lambda: "which can be read only once" in (tmp_path / "log").read_text())
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_a_disk_that_stalls_keeps_the_old_one(service, tmp_path, program, preload):
    stall = tmp_path / "stall"
    server = service(environment={"LD_PRELOAD": preload, "TOLLGATE_TEST_STALL": str(stall)})
    stall.touch()
    try:
        done = upgrade(tmp_path)
        assert done.returncode == 65 and "has not confirmed a write" in done.stderr, done.stderr
    finally:
        stall.unlink()
    assert upgrade(tmp_path).returncode == 0
    becomes_ready_again(server)


def test_what_is_kept_in_memory_is_not_lost(serve, program):
    server = serve()
    done = tollgate("upgrade", "--pid", str(server.process.pid))
    assert done.returncode == 65 and "kept in memory" in done.stderr


def test_who_is_no_service(tmp_path):
    done = tollgate("upgrade", "--data-dir", str(tmp_path))
    assert done.returncode == 69 and "LOCK" in done.stderr
    done = tollgate("upgrade", "--pid", str(os.getpid()))
    assert done.returncode == 69 and "not a tollgate service" in done.stderr
    assert tollgate("upgrade", "--pid", "0").returncode == 64
    assert tollgate("upgrade", "--timeout", "soon").returncode == 64
    (tmp_path / "LOCK").write_text(f"{os.getpid()}\n")
    done = tollgate("upgrade", "--data-dir", str(tmp_path))
    assert done.returncode == 69 and "no service is using" in done.stderr


def test_the_process_stays_what_it_was(service, tmp_path):
    """Its rank, what others may read of what it writes, its limits: not those of the thread that runs the new program."""
    server = service()

    def found():
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        limits = pathlib.Path(f"/proc/{server.process.pid}/limits").read_text()
        return os.getpriority(os.PRIO_PROCESS, server.process.pid), re.findall("Umask:.*|Sig(?:Ign|Cgt):.*", status), limits

    assert upgrade(tmp_path).returncode == 0
    becomes_ready_again(server)
    rank, signals, limits = found()
    assert rank == os.getpriority(os.PRIO_PROCESS, 0)
    assert upgrade(tmp_path).returncode == 0
    becomes_ready_again(server)
    assert found() == (rank, signals, limits)


def test_descriptors_do_not_add_up(service, tmp_path):
    server = service()

    def kinds():
        """What is open, without the numbers of pipes and sockets: more than one of a kind counts each time."""
        places = pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()
        return sorted(re.sub(r"\d+", "N", os.readlink(place)) for place in places)

    assert upgrade(tmp_path).returncode == 0
    becomes_ready_again(server)
    first = kinds()
    for _ in range(3):
        assert upgrade(tmp_path).returncode == 0
        becomes_ready_again(server)
    eventually(lambda: kinds() == first, what="the same descriptors as before")


def test_no_stop_is_lost_at_the_switch(program, tmp_path):
    """A SIGTERM at whatever moment of an upgrade ends the old program or the new one, and well: it waits for the one that runs
    next, if nobody has taken it."""
    moments = []
    # None: as soon as the old program has said its last word; else seconds after the check.
    for delay in (None, *(step / 100 for step in range(0, 32, 2))):
        server = conftest.Server("--data-dir", str(tmp_path / f"data-{delay}"), limits=None)
        os.kill(server.process.pid, signal.SIGUSR2)
        if delay is None:
            logged(server, "running the new program")
        else:
            logged(server, "upgrade: the check has passed")
            time.sleep(delay)
        server.process.send_signal(signal.SIGTERM)
        status = server.process.wait(60)
        moments.append((delay, status, len(server.process.stdout.read().splitlines())))
    assert all(status == 0 for _, status, _ in moments), moments
