"""What a supervisor passes to the service, and what the service tells it: systemd's protocols, without systemd."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import conftest
import grpc
import pytest
from conftest import BINARY, request, tollgate
from control import eventually
from test_upgrade import program, service, upgrade  # noqa: F401 (fixtures)

USUAL = ["--insecure-no-auth", "--http-listen", "127.0.0.1:0"]


def listening(host="127.0.0.1", kind=socket.SOCK_STREAM, backlog=16):
    passed = socket.socket(socket.AF_INET, kind)
    passed.bind((host, 0))
    if backlog:
        passed.listen(backlog)
    return passed


@contextlib.contextmanager
def started(passed, *arguments, names="grpc", process="$$", environment=None, flags=USUAL):
    """`tollgate serve` with descriptors from 3 on, as a supervisor starts it."""
    variables = f"LISTEN_PID={process} LISTEN_FDS={len(passed)}"
    if names is not None:
        variables += f" LISTEN_FDNAMES={shlex.quote(names)}"
    command = shlex.join([BINARY, "serve", *flags, *arguments])

    def place():
        copies = [os.dup(one) for one in passed]
        for number, copy in enumerate(copies, 3):
            os.dup2(copy, number, inheritable=True)

    running = subprocess.Popen(
        ["sh", "-c", f"{variables} exec {command}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        close_fds=False, preexec_fn=place, env={**os.environ, **(environment or {})})
    try:
        yield running
    finally:
        running.kill()
        running.wait(60)


def ready(process):
    line = process.stdout.readline()
    match = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)\n", line)
    assert match, line or process.stderr.read()
    return match


def test_sockets_that_are_passed(contract):
    """Who calls before the service is there waits, and is served; what is not passed is opened."""
    with listening() as grpc_socket, listening() as http_socket:
        endpoint = "%s:%d" % grpc_socket.getsockname()
        with grpc.insecure_channel(endpoint) as channel:
            asked = contract.Stub(channel).CheckAndReserve.future(
                request(contract, "globex", spend=1), timeout=60, wait_for_ready=True)
            with started([grpc_socket.fileno(), http_socket.fileno()], "--durability", "memory", "--limits",
                         str(conftest.EXAMPLE), names="grpc:http", flags=["--insecure-no-auth"]) as process:
                match = ready(process)
                assert match[1] == endpoint and match[2] == "%s:%d" % http_socket.getsockname()
                assert asked.result(60).decision == contract.DECISION_ALLOWED
                process.terminate()
                assert process.wait(60) == 0


def test_a_socket_makes_an_ops_listener():
    """Whatever the settings say of one; both listeners tell the same of the service."""
    with listening() as passed:
        with started([passed.fileno()], "--durability", "memory", "--grpc-listen", "127.0.0.1:0", names="ops") as process:
            line = process.stdout.readline()
            match = re.fullmatch(r"tollgate ready grpc=\S+ http=(\S+) ops=(\S+)\n", line)
            assert match and match[2] == "%s:%d" % passed.getsockname(), line
            for path in ("healthz", "readyz"):
                answers = []
                for address in match.groups():
                    with urllib.request.urlopen(f"http://{address}/{path}", timeout=60) as answer:
                        answers.append((answer.status, sorted(json.load(answer))))
                assert answers[0] == answers[1] and answers[0][0] == 200
            process.terminate()
            assert process.wait(60) == 0


def test_an_address_that_was_set_does_not_count():
    with listening() as passed:
        with started([passed.fileno()], "--durability", "memory", "--grpc-listen", "127.0.0.1:9") as process:
            assert ready(process)[1] == "%s:%d" % passed.getsockname()
            process.terminate()
            _, log = process.communicate(timeout=60)
        assert "grpc-listen is 127.0.0.1:9, but the socket that was passed listens on" in log


def test_what_is_meant_for_another_process_is_left():
    with listening() as passed:
        with started([passed.fileno()], "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
                     process="1") as process:
            assert ready(process)[1] != "%s:%d" % passed.getsockname()


@pytest.mark.parametrize("make,names,told", [
    (lambda: listening(backlog=0), "grpc", "the socket named grpc: it is not listening"),
    (lambda: listening(kind=socket.SOCK_DGRAM, backlog=0), "grpc", "it is not a stream socket"),
    (lambda: open("/dev/null"), "grpc", "it is not a socket"),
    (listening, "smtp", "unknown socket name smtp; use grpc, http or ops"),
    (listening, None, "LISTEN_FDNAMES must name each of the 1 sockets"),
    (listening, "grpc:http", "LISTEN_FDNAMES must name each of the 1 sockets"),
    (lambda: listening("0.0.0.0"), "grpc", "--insecure-no-auth is allowed on loopback only"),
])
def test_what_cannot_be_used(make, names, told):
    with make() as passed, started([passed.fileno()], "--durability", "memory", names=names) as process:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 64 and out == "" and told in errors, errors


def test_one_address_a_port():
    with listening() as one, listening() as other:
        with started([one.fileno(), other.fileno()], names="grpc:grpc") as process:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 64 and "two sockets are named grpc" in errors


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="there is no systemd here")
def test_systemds_own_activation(contract):
    with listening(backlog=0) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        ["systemd-socket-activate", "--listen", f"127.0.0.1:{port}", "--fdname=grpc", BINARY, "serve", *USUAL,
         "--durability", "memory", "--limits", str(conftest.EXAMPLE)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                answer = contract.Stub(channel).CheckAndReserve(
                    request(contract, "globex", spend=1), timeout=60, wait_for_ready=True)
            assert answer.decision == contract.DECISION_ALLOWED
            # Until then SIGTERM ends it as any start.
            assert process.stdout.readline().startswith("tollgate ready")
        finally:
            process.terminate()
            assert process.wait(60) == 0


# What the supervisor is told


class Supervisor:
    """A socket that notices are sent to."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(60)
        self.environment = {"NOTIFY_SOCKET": name}
        self.heard = []

    def hears(self, state):
        """The notice that has this state; all before it are kept."""
        while True:
            lines = dict(line.split("=", 1) for line in self.socket.recv(4_096).decode().splitlines())
            self.heard.append(lines)
            if state.items() <= lines.items():
                return lines


@pytest.mark.parametrize("abstract", [False, True])
def test_what_it_tells(service, tmp_path, abstract):  # noqa: F811
    supervisor = Supervisor(f"@tollgate-test-{os.getpid()}-{time.monotonic_ns()}" if abstract
                            else str(tmp_path / "notify"))
    server = service(environment=supervisor.environment)
    told = supervisor.hears({"READY": "1"})
    assert server.endpoint in told["STATUS"] and server.http in told["STATUS"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    server.process.send_signal(signal.SIGHUP)
    assert int(supervisor.hears({"RELOADING": "1"})["MONOTONIC_USEC"]) >= before
    supervisor.hears({"READY": "1"})
    assert upgrade(tmp_path).returncode == 0
    supervisor.hears({"RELOADING": "1", "STATUS": "Upgrading"})
    assert "EXTEND_TIMEOUT_USEC" in supervisor.hears({"STATUS": "Upgrading"})
    supervisor.hears({"READY": "1"})
    server.process.send_signal(signal.SIGTERM)
    supervisor.hears({"STOPPING": "1"})
    assert not any("MAINPID" in lines for lines in supervisor.heard)


def test_it_says_that_it_lives(service, tmp_path):  # noqa: F811
    supervisor = Supervisor(str(tmp_path / "notify"))
    server = service(environment={**supervisor.environment, "WATCHDOG_USEC": "1000000"})
    for _ in range(4):
        supervisor.hears({"WATCHDOG": "1"})
    assert server.process.poll() is None


def test_a_thread_that_hangs_is_not_alive(service, tmp_path, preload):  # noqa: F811
    """The supervisor hears nothing as long as one of the threads does not turn."""
    supervisor, hang = Supervisor(str(tmp_path / "notify")), tmp_path / "hang"
    service("--threads", "2", environment={
        **supervisor.environment, "WATCHDOG_USEC": "1000000", "LD_PRELOAD": preload, "TOLLGATE_TEST_HANG": str(hang)})
    supervisor.hears({"WATCHDOG": "1"})
    hang.touch()
    supervisor.socket.settimeout(3)
    with pytest.raises(TimeoutError):
        # Three seconds are given to any thread.
        for _ in range(30):
            supervisor.hears({"WATCHDOG": "1"})
    hang.unlink()
    supervisor.socket.settimeout(60)
    supervisor.hears({"WATCHDOG": "1"})


@pytest.mark.thorough
def test_a_thread_that_hangs_is_told_of(service, tmp_path, preload):  # noqa: F811
    hang = tmp_path / "hang"
    server = service("--threads", "2", "--hang-timeout", "15s", environment={
        "LD_PRELOAD": preload, "TOLLGATE_TEST_HANG": str(hang)})
    hang.touch()
    code, text = eventually(lambda: (told := status(server, "/healthz"))[0] == 503 and told)
    assert "grpc-0 has not responded for" in text
    eventually(lambda: any("a thread hangs: /healthz fails" in line for line in server.log))
    hang.unlink()
    eventually(lambda: status(server, "/healthz")[0] == 200)
    eventually(lambda: any("all threads respond again" in line for line in server.log))


def test_a_watchdog_that_is_meant_for_another_process(service, tmp_path):  # noqa: F811
    supervisor = Supervisor(str(tmp_path / "notify"))
    service(environment={**supervisor.environment, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    supervisor.hears({"READY": "1"})
    supervisor.socket.settimeout(2)
    with pytest.raises(TimeoutError):
        supervisor.hears({"WATCHDOG": "1"})


@pytest.mark.parametrize("name", ["notify", "/" + "a" * 108, "vsock:2:1"])
def test_a_name_that_is_none(name):
    done = subprocess.run([BINARY, "serve", *USUAL], env={**os.environ, "NOTIFY_SOCKET": name}, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 64 and "NOTIFY_SOCKET must be" in done.stderr


def test_a_supervisor_that_does_not_listen(serve):
    assert serve(environment={"NOTIFY_SOCKET": "@nobody-listens-here"}).stop() == 0


# The end of readiness


def status(server, path):
    try:
        with urllib.request.urlopen(f"http://{server.http}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_readiness_goes_before_service(contract, serve):
    """A load balancer has the delay to see it; who still calls is served."""
    server = serve("--drain-delay", "3s")
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code, text = eventually(lambda: (told := status(server, "/readyz"))[0] == 503 and told)
    assert "The service is stopping" in text
    assert status(server, "/healthz")[0] == 200
    assert tollgate(server, "check", "--tenant", "globex", "--action", "charge", "--spend", "0.01").returncode == 0
    assert server.stop() == 0
    assert time.monotonic() - began >= 3
