"""The process: its ready line, its settings, its end."""

import contextlib
import errno
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import types

import grpc
import pytest
from conftest import BINARY, EXAMPLE, Server, failure, request, tollgate
from control import Rest, eventually, wait_until_read


def refused(*arguments, environment=None):
    """`tollgate serve` that must not start: its exit status and its sentence."""
    done = subprocess.run(
        [BINARY, "serve", "--grpc-listen", "127.0.0.1:0", *arguments],
        capture_output=True, text=True, timeout=60, env=environment,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_ready_line_names_a_free_port(server):
    assert server.port > 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=60):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_well(serve, number):
    assert serve().stop(number) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root sees it in every other test")
def test_without_the_powers_of_root_it_serves_both_protocols():
    """Root may set more options of a socket than others."""
    command = [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--limits", "-"]
    # The same user, who can read the binary wherever it is.
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    with open(EXAMPLE) as limits, subprocess.Popen(
        [*powerless, *command, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"],
        stdin=limits, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:
        try:
            grpc_address, http_address = re.findall(r"=(\S+)", process.stdout.readline())
            asked = types.SimpleNamespace(endpoint=grpc_address, http=http_address)
            for words in (["usage", "--tenant", "acme"], ["tenants", "get", "acme"]):
                done = tollgate(asked, *words)
                assert done.returncode == 0, done.stderr
        finally:
            process.terminate()
    assert process.returncode == 0


def write_to(pipe, text):
    """Writes to a named pipe as soon as somebody has opened it to read; a text that is a function is made then."""

    def end():
        try:
            return os.fdopen(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "w")
        except OSError as error:
            assert error.errno == errno.ENXIO, error
            return None

    with eventually(end, what="a reader of the pipe") as file:
        # The next reader opens another pipe: none is met by two.
        pipe.unlink()
        os.mkfifo(pipe)
        file.write(text() if callable(text) else text)


@contextlib.contextmanager
def stalled(tmp_path, *before, stdout=subprocess.PIPE, stderr=None):
    """A start that waits for its limits file, which is a pipe: the process, and the pipe's name."""
    pipe = tmp_path / "limits.yaml"
    os.mkfifo(pipe)
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [*before, BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--limits", str(pipe),
             "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"],
            stdout=stdout, stderr=stderr or log, text=True,
        )
    guard = threading.Timer(300, process.kill)
    guard.start()
    try:
        yield process, pipe
    finally:
        guard.cancel()
        process.kill()
        process.wait(60)


def test_a_reload_asked_for_during_the_start_comes_after_it(tmp_path):
    with stalled(tmp_path) as (process, pipe):

        def first():
            process.send_signal(signal.SIGHUP)
            return "tenants: [{id: a, max_dids: 1}]"

        write_to(pipe, first)
        ready = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)\n", process.stdout.readline())
        assert ready, (tmp_path / "log").read_text()
        rest = Rest(types.SimpleNamespace(http=ready[2]))
        write_to(pipe, "tenants: [{id: a, max_dids: 2}]")
        eventually(lambda: rest.get("/v2/tenants/a").data["max_dids"] == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_start_at_once(tmp_path, number):
    with stalled(tmp_path) as (process, pipe):

        def stop():
            process.send_signal(number)
            assert process.wait(60) == -number
            assert process.stdout.read() == ""
            return ""

        write_to(pipe, stop)


def test_a_signal_ends_a_start_that_is_process_1(tmp_path):
    """As in a container: what a signal does by default it does not do to process 1."""
    of_its_own = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    try:
        tried = subprocess.run([*of_its_own, "true"], capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if tried.returncode != 0:
        pytest.skip("no process may be process 1 here")
    with stalled(tmp_path, *of_its_own, "--kill-child") as (process, pipe):

        def stop():
            with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
                os.kill(int(children.read()), signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
            return ""

        write_to(pipe, stop)


def test_a_ready_line_that_nobody_reads_holds_nothing_up(tmp_path):
    """One pipe for standard output and standard error, full, and nobody at its other end: a stop is obeyed."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        for piece in (b"x" * 4_096, b"x"):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, piece)
        # For whoever inherits it.
        os.set_blocking(writer, True)
        with stalled(tmp_path, stdout=writer, stderr=writer) as (process, pipe):

            def first():
                process.send_signal(signal.SIGHUP)
                return "tenants: [{id: a}]"

            write_to(pipe, first)
            # Read again: the service is ready, and takes signals.
            write_to(pipe, "tenants: [{id: a, max_dids: 1}]")
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0
    finally:
        os.close(reader)
        os.close(writer)


def test_drain_ends_idle_streams_and_answers_what_was_read(contract, serve):
    server = serve("--drain-timeout", "120s")
    with grpc.insecure_channel(server.endpoint) as channel:
        stop = threading.Event()

        def requests():
            for _ in range(100):
                yield request(contract, spend=1)
            stop.wait(300)

        call = contract.Stub(channel).CheckAndReserveStream(requests(), timeout=300)
        answers = [next(call) for _ in range(100)]
        assert all(answer.decision == contract.DECISION_ALLOWED for answer in answers)
        # A stream that nobody uses must not hold the drain up: it ends at once, and says why.
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        ended = failure(lambda timeout: next(call))
        assert ended.code == grpc.StatusCode.UNAVAILABLE
        assert server.stop(timeout=100) == 0
        assert time.monotonic() - began < 60
        stop.set()


@pytest.mark.parametrize("ends", [True, False])
def test_a_body_that_comes_late_does_not_keep_it_from_ending(serve, ends):
    """The data plane has nothing left to do long before REST has: it lends REST its event loops until the end."""
    server = serve("--drain-timeout", "60s" if ends else "3s")
    body = json.dumps({"tenant_id": "globex", "action": "charge", "quantities": {"spend": "0.01"}}).encode()
    host, port = server.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            b"POST /v2/usage_records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body[:5]
        )
        wait_until_read(connection)
        # Another request's answer: what was read has been looked at too.
        assert Rest(server).get("/healthz").status == 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        # The data plane is gone: at once, since nobody uses it.
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=60).close()
            except ConnectionResetError:
                pass  # the listener closes at this moment
            except ConnectionRefusedError:
                break
            assert time.monotonic() - began < 30
        if ends:
            # What the body waits for is time itself.
            time.sleep(1)
            connection.sendall(body[5:])
            answer = b""
            while chunk := connection.recv(4_096):
                answer += chunk
            assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.stop(timeout=50) == 0
        assert time.monotonic() - began < 50


def test_a_second_signal_cuts_nothing_off(serve):
    """`timeout` signals its child and its group: the same signal twice."""
    server = serve("--drain-timeout", "60s")
    body = json.dumps({"tenant_id": "globex", "action": "charge", "quantities": {"spend": "0.01"}}).encode()
    host, port = server.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            b"POST /v2/usage_records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body[:5]
        )
        wait_until_read(connection)
        assert Rest(server).get("/healthz").status == 200
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: any("draining" in line for line in server.log))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            server.process.send_signal(number)
        connection.sendall(body[5:])
        answer = b""
        while chunk := connection.recv(4_096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert server.stop() == 0
    assert [line for line in server.log if "draining" in line or "stopped" in line][1:] == server.log[-1:]


def test_nobody_is_served_by_accident():
    for listen in ("--http-listen", "--grpc-listen"):
        status, sentence = refused("--insecure-no-auth", listen, "0.0.0.0:0")
        assert status == 64 and "loopback" in sentence


def test_bad_settings_are_named(tmp_path):
    status, sentence = refused("--insecure-no-auth", "--threads", "many")
    assert status == 64 and "--threads" in sentence
    config = tmp_path / "tollgate.yaml"
    config.write_text("insecure-no-auth: true\nmax-tenantz: 1\n")
    status, sentence = refused("--config", str(config))
    assert status == 64 and f"{config}:2:1" in sentence
    status, sentence = refused("--nonsense")
    assert status == 64


@pytest.mark.parametrize("flag", ["--limits", "--config"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, flag):
    status, sentence = refused("--insecure-no-auth", flag, "/nowhere/at-all.yaml")
    assert status == 64 and "cannot be read: no such file or directory" in sentence
    status, sentence = refused("--insecure-no-auth", flag, str(tmp_path))
    assert status == 64 and "cannot be read: it is a directory" in sentence
    assert "NSError" not in sentence and "Domain" not in sentence


ALIASES = "&a0 [x]\n" + "".join(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize("flag", ["--limits", "--config"])
@pytest.mark.parametrize("text", ["- " + ALIASES, "- " + ALIASES + "- ? *a9\n  : x\n", "- " + ALIASES + "- {*a9 : x}\n",
                                  "[" * 500 + "]" * 500], ids=["values", "key", "flow key", "deep"])
def test_what_unfolds_without_end_is_refused(tmp_path, flag, text):
    """A few lines of aliases stand for more than there is memory: they are counted before anything is made of them."""
    file = tmp_path / "bomb.yaml"
    file.write_text(text)
    status, sentence = refused("--insecure-no-auth", flag, str(file))
    assert status == 64 and f"{file}:" in sentence
    assert "expand to more than 1000000 values" in sentence or "Nested more than 64 levels deep" in sentence


def test_bad_limits_file_is_named(tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("tenants:\n  - id: a\n    max_dids: -1\n  - id: a\n")
    status, sentence = refused("--insecure-no-auth", "--limits", str(limits))
    assert status == 64
    assert f"{limits}:3:15" in sentence and f"{limits}:4:9" in sentence


def test_thousands_of_mistakes_are_told(tmp_path):
    """More text than may wait for a reader of standard error: what is told is bounded, and the rest is counted."""
    limits = tmp_path / "limits.yaml"
    count = 16_000
    limits.write_text("tenants:\n" + "".join(f"  - {{id: t{number}, max_dids: -1}}\n" for number in range(count)))
    status, sentence = refused("--insecure-no-auth", "--limits", str(limits))
    assert status == 64
    lines = [line for line in sentence.splitlines() if f"{limits}:" in line]
    assert f"{limits}:2:" in lines[0] and f"{limits}:1001:" in lines[999]
    assert lines[1_000:] == [f"{limits}: and {count - 1_000} more"]


@pytest.mark.parametrize("flag", ["--grpc-listen", "--http-listen"])
def test_a_taken_port_is_named(server, flag):
    address = server.endpoint if flag == "--grpc-listen" else server.http
    other = "--http-listen" if flag == "--grpc-listen" else "--grpc-listen"
    done = subprocess.run(
        [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", flag, address, other, "127.0.0.1:0"],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 69
    sentence = f"it cannot listen on {address} ({flag}): the port is in use by another process"
    assert sentence in done.stderr and "errno" not in done.stderr


def test_an_address_of_another_machine_is_named(tmp_path):
    status, sentence = refused("--insecure-no-auth", "--durability", "memory", "--http-listen", "127.0.0.1:0",
                               "--grpc-listen", "localhost.invalid:0")
    assert status == 64 and "loopback" in sentence
    done = subprocess.run(
        [os.path.abspath(BINARY), "serve", "--durability", "memory", "--insecure-allow-plaintext",
         "--grpc-listen", "203.0.113.1:0", "--http-listen", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )
    assert done.returncode == 69 and "203.0.113.1:0 (--grpc-listen): the address is not available on this machine" in done.stderr


def test_empty_variables_are_not_set_and_unknown_ones_are_told(serve):
    server = serve(environment={
        "TOLLGATE_MAX_REMEMBERED": "", "TOLLGATE_CONFIG": "", "TOLLGATE_SMTP_HOST": "", "TOLLGATE_DRAIN_TIMOUT": "1s",
        # What Kubernetes sets in every container beside a service called tollgate.
        "TOLLGATE_PORT": "tcp://10.0.0.1:50051", "TOLLGATE_SERVICE_HOST": "10.0.0.1",
    })
    assert server.stop() == 0
    told = [line for line in server.log if "environment variable" in line]
    assert len(told) == 1 and "unknown environment variable TOLLGATE_DRAIN_TIMOUT" in told[0]
    done = tollgate(None, "usage", "--tenant", "a", "--timeout", "60s",
                    environment={"TOLLGATE_ENDPOINT": "127.0.0.1:1", "TOLLGATE_TOKEN": "", "TOLLGATE_ENPOINT": "x"})
    assert done.returncode == 69 and "unknown environment variable TOLLGATE_ENPOINT" in done.stderr


def test_a_settings_file_may_come_through_a_pipe(serve, tmp_path):
    config = tmp_path / "tollgate.yaml"
    # With the mark that editors of another system put in front, and a setting that is left out.
    config.write_bytes(b"\xef\xbb\xbfdrain-timeout: 5s\nsmtp-host:\n")
    assert serve("--config", str(config)).stop() == 0
    done = subprocess.run(
        ["bash", "-c", '"$0" serve --insecure-no-auth --config <(echo "threads: many")', BINARY],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 64 and "threads in /dev/fd/" in done.stderr


def modes(directory):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.rglob("*")]}


def test_what_it_writes_is_nobody_elses(serve, tmp_path):
    data = tmp_path / "data"
    present = os.umask(0)
    try:
        server = serve("--data-dir", str(data), auth=True)
    finally:
        os.umask(present)
    found = modes(data)
    assert {"projection.sqlite", "operator-token", "webhook-key"} <= set(found)
    assert not {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert server.stop() == 0
    assert "other users of this machine" not in "".join(server.log)


def test_a_directory_that_others_can_read_is_told(serve, tmp_path):
    data = tmp_path / "data"
    assert serve("--data-dir", str(data)).stop() == 0
    data.chmod(0o755)
    (data / "webhook-key").chmod(0o644)
    server = serve("--data-dir", str(data))
    assert server.stop() == 0
    told = [line for line in server.log if "other users of this machine" in line]
    assert len(told) == 2 and f"chmod 700 {data}" in told[0] and f"chmod 600 {data}/webhook-key" in told[1]


def test_settings_from_environment_and_file(contract, serve, tmp_path):
    config = tmp_path / "tollgate.yaml"
    config.write_text("max-tenants: 1000\nmax-profiles: 1000\nmax-reservations: 100000\nmax-remembered: 200\n")
    server = serve("--config", str(config), environment={"TOLLGATE_MAX_REMEMBERED": "3"})
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        kept = 0
        for index in range(10_000):
            try:
                stub.CheckAndReserve(request(contract, spend=1, idempotency_key=f"k{index}"), timeout=60)
                kept += 1
            except grpc.RpcError as error:
                # A key is never forgotten early: the budget is spent.
                assert error.code() == grpc.StatusCode.UNAVAILABLE
                break
        assert 3 <= kept < 10_000
        answer = failure(stub.CheckAndReserve, request(contract, spend=1, idempotency_key="one-more"))
        assert answer.code == grpc.StatusCode.UNAVAILABLE and answer.catalogue == "10037"
        assert "RetryInfo" in answer.details
        # Requests without a key go on.
        assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


def test_reservations_run_out_clearly(contract, serve):
    server = serve("--max-reservations", "100")
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        held = 0
        while held < 10_000:
            try:
                stub.CheckAndReserve(request(contract, "initech", dids=1), timeout=60)
                held += 1
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE
                break
        assert 1 <= held < 10_000
        usage = stub.GetUsage(contract.GetUsageRequest(tenant_id="initech"), timeout=60)
        dids = [state.held for state in usage.limits if state.limit == contract.LIMIT_KIND_TENANT_DIDS]
        # Nothing half done: what was refused holds nothing.
        assert dids == [held]


def test_reload_applies_the_limits_file_again(contract, serve, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("tenants: [{id: a, max_dids: 1}]")
    server = serve(limits=limits)
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        message = request(contract, "a", dids=2, mode=contract.MODE_CHECK_ONLY)
        assert stub.CheckAndReserve(message, timeout=60).decision == contract.DECISION_DENIED
        limits.write_text("tenants: [{id: a, max_dids: 2}]")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: stub.CheckAndReserve(message, timeout=60).decision == contract.DECISION_ALLOWED)


def test_what_a_limits_file_overrides_is_logged_field_by_field(serve, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("defaults: {max_dids: 3}\ntenants: [{id: a, name: A, max_dids: 1, messaging_profiles: [{id: p}]}]")
    server = serve("--data-dir", str(tmp_path / "data"), limits=limits)
    rest = Rest(server)
    rest.patch("/v2/tenants/a", {"max_dids": 9, "monthly_spend_limit": "5.00"}).data
    rest.patch("/v2/messaging_profiles/p", {"daily_spend_limit": "1.00"}).data
    rest.patch("/v2/tenant_defaults", {"auto_suspend": True}).data
    limits.write_text(limits.read_text() + " # changed\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: rest.get("/v2/tenants/a").data["max_dids"] == 1)
    eventually(lambda: sum("limits applied" in line for line in server.log) == 2)
    told = "".join(line for line in server.log if "overrides a setting" in line)
    for words in ['entry="tenant a" field=max_dids is=1 was=9', 'field=monthly_spend_limit is="no limit" was=5.00',
                  'entry="messaging profile p of tenant a" field=daily_spend_limit is="no limit" was=1.00',
                  'entry="tenant defaults" field=auto_suspend is=off was=on']:
        assert words in told, told
    assert told.count("\n") == 4


DELETED = """version: 1
tenants:
  - id: kept
    max_dids: 4
    messaging_profiles:
      - id: gone-profile
      - id: kept-profile
  - id: gone
    messaging_profiles:
      - id: of-the-gone
"""


def test_deleted_ids_in_a_limits_file_do_not_keep_it_from_starting(serve, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text(DELETED.replace("4", "3"))
    data = str(tmp_path / "data")
    server = serve("--data-dir", data, limits=limits)
    rest = Rest(server)
    rest.ask("DELETE", "/v2/messaging_profiles/gone-profile").data
    rest.ask("DELETE", "/v2/tenants/gone").data
    assert server.stop() == 0
    limits.write_text(DELETED)
    server = serve("--data-dir", data, limits=limits)
    rest = Rest(server)
    assert rest.get("/v2/tenants/kept").data["max_dids"] == 4
    assert rest.get("/v2/messaging_profiles/kept-profile").status == 200
    assert rest.get("/v2/tenants/gone").status == 404
    told = [line for line in server.log if "was skipped" in line]
    for line, entry in [(6, "messaging profile gone-profile"), (8, "tenant gone"), (10, "messaging profile of-the-gone")]:
        [one] = [text for text in told if f"place={limits}:{line} " in text]
        assert entry in one and " error " in one
    assert len(told) == 3
    done = tollgate(server, "apply", "-f", str(limits))
    assert done.returncode == 65
    assert f"{limits}:8: tenant gone: " in done.stderr and "was deleted" in done.stderr


def test_a_stop_gives_up_a_reload(serve, tmp_path):
    """What is read behind a signal can take for ever: here it is a pipe that nobody writes to."""
    pipe = tmp_path / "limits.yaml"
    pipe.write_text("tenants: [{id: a}]")
    server = serve(limits=pipe)
    pipe.unlink()
    os.mkfifo(pipe)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: any("reading the limits file again" in line for line in server.log))
    assert server.stop(timeout=60) == 0
    assert not any("was not applied" in line for line in server.log)


def test_an_unchanged_limits_file_is_not_parsed(serve, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("tenants: [{id: a, max_dids: 1}]")
    data = str(tmp_path / "data")

    def told(words):
        server = serve("--data-dir", data, limits=limits)
        assert server.stop() == 0
        return [line for line in server.log if words in line]

    assert told("parsing the limits file")
    log = told("limits file")
    assert len(log) == 1 and "has not changed" in log[0]
    limits.write_text("tenants: [{id: a, max_dids: 2}]")
    assert told("parsing the limits file")


def test_a_limits_file_larger_than_the_journals_rings(contract, serve, tmp_path):
    limits = tmp_path / "limits.yaml"

    def write(dids):
        rows = "".join(f"  - {{id: t{number}, name: Tenant {number}, max_dids: {dids}}}\n" for number in range(6_000))
        limits.write_text("tenants:\n" + rows)

    write(1)
    server = serve("--data-dir", str(tmp_path / "data"), "--journal-segment", "1MiB", limits=limits)
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        message = request(contract, "t5999", dids=2, mode=contract.MODE_CHECK_ONLY)
        assert stub.CheckAndReserve(message, timeout=60).decision == contract.DECISION_DENIED
        write(2)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: stub.CheckAndReserve(message, timeout=60).decision == contract.DECISION_ALLOWED, 180)


def test_a_file_that_was_applied_halfway_does_not_stay(serve, tmp_path):
    """Of the new file what there was room for came into force; the operator puts the old one back."""
    limits = tmp_path / "limits.yaml"
    old = "tenants: [{id: a, max_dids: 1}]\n"
    limits.write_text(old)
    arguments = ("--data-dir", str(tmp_path / "data"), "--max-tenants", "2")
    server = serve(*arguments, limits=limits)
    rest = ", ".join(f"{{id: t{number}}}" for number in range(300))
    limits.write_text(f"tenants: [{{id: a, max_dids: 2}}, {rest}]\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: any("was not applied" in line for line in server.log), what="the refusal")
    assert Rest(server).get("/v2/tenants/a").data["max_dids"] == 2
    assert server.stop() == 0
    limits.write_text(old)
    server = serve(*arguments, limits=limits)
    assert Rest(server).get("/v2/tenants/a").data["max_dids"] == 1
    assert server.stop() == 0
    # Now it is in force, and what operators change stays.
    server = serve(*arguments, limits=limits)
    eventually(lambda: any("the limits file has not changed" in line for line in server.log))


def test_a_kill_amid_a_limits_file_leaves_nothing_of_it(tmp_path):
    limits = tmp_path / "limits.yaml"

    def write(dids):
        rows = "".join(f"  - {{id: t{number}, name: Tenant {number}, max_dids: {dids}}}\n" for number in range(6_000))
        limits.write_text("tenants:\n" + rows)

    def dids(server, number):
        return Rest(server).get(f"/v2/tenants/t{number}").data["max_dids"]

    write(1)
    # Its rings are small: a file takes its time.
    arguments = ("--data-dir", str(tmp_path / "data"), "--journal-segment", "1MiB")
    server = Server(*arguments, limits=limits)
    try:
        write(2)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: dids(server, 0) == 2, what="the first entry")
        server.kill()
        # Also where it was quicker than the kill.
        write(1)
        server = Server(*arguments, limits=limits)
        assert [dids(server, number) for number in (0, 1, 3_000, 5_999)] == [1, 1, 1, 1]
        assert server.stop() == 0
    finally:
        server.kill()


def test_example_limits_are_served_to_ipv6():
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    server = Server("--grpc-listen", "[::1]:0", limits=EXAMPLE)
    assert server.endpoint.startswith("[::1]:")
    assert server.stop() == 0
