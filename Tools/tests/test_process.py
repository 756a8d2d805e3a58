"""The process: its ready line, its settings, its end."""

import json
import signal
import socket
import subprocess
import threading
import time

import grpc
import pytest
from conftest import BINARY, EXAMPLE, Server, failure, request
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


def test_bad_limits_file_is_named(tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("tenants:\n  - id: a\n    max_dids: -1\n  - id: a\n")
    status, sentence = refused("--insecure-no-auth", "--limits", str(limits))
    assert status == 64
    assert f"{limits}:3:15" in sentence and f"{limits}:4:9" in sentence


def test_a_taken_port_is_named(server):
    done = subprocess.run(
        [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", server.endpoint],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 69 and done.stderr


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


def test_example_limits_are_served_to_ipv6():
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    server = Server("--grpc-listen", "[::1]:0", limits=EXAMPLE)
    assert server.endpoint.startswith("[::1]:")
    assert server.stop() == 0
