"""Peers that take all that they can get: descriptors, places, and memory before they have said who they are."""

import contextlib
import http.client
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import conftest
import grpc
import pytest
from conftest import BINARY, ROOT, request
from control import eventually

sys.path.insert(0, str(ROOT / "Tools/lib/verify"))
import peers  # noqa: E402


@pytest.fixture
def serve_with(serve, monkeypatch, tmp_path):
    """serve_with(descriptors, ...): as `serve`, for a process that may open so many files."""

    def start(descriptors, *arguments, **options):
        wrapper = tmp_path / "few"
        wrapper.write_text(f'#!/bin/sh\nulimit -n {descriptors}\nexec "{os.path.abspath(BINARY)}" "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setattr(conftest, "BINARY", str(wrapper))
        return serve(*arguments, **options)

    return start


def resident(server):
    """MiB."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1_024
    raise AssertionError("no such process")


def healthy(server):
    host, port = server.http.rsplit(":", 1)
    for _ in range(50):
        # A connection may have to go for the next one.
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            connection.request("GET", "/healthz")
            return connection.getresponse().status
    return None


def is_closed(connection):
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_more_connections_than_descriptors(contract, serve_with, tmp_path):
    server = serve_with(200, "--data-dir", str(tmp_path / "data"), "--journal-segment", "1MiB",
                        "--journal-maximum", "64MiB")
    with contextlib.ExitStack() as all_of_them:
        idle = []
        for _ in range(400):
            with contextlib.suppress(OSError):
                idle.append(all_of_them.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)))
        with grpc.insecure_channel(server.endpoint) as channel:
            stub = contract.Stub(channel)
            for number in range(20):
                answer = stub.CheckAndReserve(request(contract, spend=1), timeout=60, wait_for_ready=True)
                assert answer.decision == contract.DECISION_ALLOWED
        assert healthy(server) == 200
        assert server.process.poll() is None
        # The longest idle went, and the youngest stayed.
        assert is_closed(idle[0])
        assert not is_closed(idle[-1])
    log = "".join(server.log)
    assert log.count("fewer connections than configured") == 1
    assert log.count("all connections are in use") + log.count("an address has reached its maximum number of connections") == 1


def test_too_few_descriptors_are_told(tmp_path):
    command = f'ulimit -n 100; exec "{os.path.abspath(BINARY)}" serve --durability memory --insecure-no-auth'
    ended = subprocess.run(["bash", "-c", f"{command} --grpc-listen 127.0.0.1:0 --http-listen 127.0.0.1:0"],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 69
    assert "ulimit -n" in ended.stderr and "128" in ended.stderr


def test_one_address_does_not_keep_itself_out(contract, serve):
    server = serve("--max-connections-per-address", "20")
    with contextlib.ExitStack() as all_of_them:
        for _ in range(60):
            connection = all_of_them.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            connection.sendall(peers.opening())
        with grpc.insecure_channel(server.endpoint) as channel:
            answer = contract.Stub(channel).CheckAndReserve(request(contract, spend=1), timeout=60, wait_for_ready=True)
        assert answer.decision == contract.DECISION_ALLOWED


@pytest.mark.parametrize("flag", ["--http-max-connections", "--http-max-connections-per-address"])
def test_rest_keeps_so_many_connections(serve, flag):
    """One more takes the place of the longest idle; who comes is answered."""
    server = serve(flag, "8")
    host, port = server.http.rsplit(":", 1)
    with contextlib.ExitStack() as all_of_them:
        idle = []
        for _ in range(30):
            connection = all_of_them.enter_context(socket.create_connection((host, int(port)), timeout=60))
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
            idle.append(connection)
        assert healthy(server) == 200
        kept = sum(not is_closed(connection) for connection in idle)
        assert 1 <= kept <= 8, f"{kept} of 30 connections were kept"
        assert is_closed(idle[0]) and not is_closed(idle[-1])


def test_a_trusted_proxys_connections_are_many_peoples(serve, tmp_path):
    """--trusted-proxy: none of its connections goes for another while there are places, and it says who is behind them. Of
    anybody else nothing of this holds."""
    proxy, other = "127.0.0.1", "127.0.0.2"
    server = serve("--data-dir", str(tmp_path / "data"), "--trusted-proxy", f"{proxy}/32",
                   "--http-max-connections-per-address", "4", auth=True)
    host, port = server.http.rsplit(":", 1)

    def log_in(source, client):
        """The status of a wrong log-in."""
        with contextlib.closing(http.client.HTTPConnection(host, int(port), 60, source_address=(source, 0))) as connection:
            connection.request("POST", "/login", "token=tg_wrong", {
                "Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": f"192.0.2.9, {client}"})
            return connection.getresponse().status

    with contextlib.ExitStack() as all_of_them:
        idle = {proxy: [], other: []}
        for source in idle:
            for _ in range(12):
                idle[source].append(all_of_them.enter_context(
                    socket.create_connection((host, int(port)), timeout=60, source_address=(source, 0))))
        assert healthy(server) == 200
        eventually(lambda: sum(map(is_closed, idle[other])) == 8, what="the end of those above four")
        assert not any(map(is_closed, idle[proxy]))
    assert [log_in(proxy, "203.0.113.1") for _ in range(11)] == [401] * 10 + [429]
    assert log_in(proxy, "203.0.113.2") == 401
    # Whatever it says, it is itself.
    assert [log_in(other, f"203.0.113.{number}") for number in range(11)] == [401] * 10 + [429]


@pytest.fixture
def guarded(serve, tmp_path):
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), "--peer-memory", "16MiB", auth=True)
    return server, (data / "operator-token").read_text().strip()


def test_a_strangers_bodies_are_not_kept(guarded):
    server, token = guarded
    good = peers.GoodClient("127.0.0.1", server.port, token)
    good.call()
    before = resident(server)
    with contextlib.ExitStack() as all_of_them:
        for _ in range(100):
            connection = all_of_them.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            connection.sendall(peers.opening())
            for number in range(8):
                # All that the windows of a stream and of the connection take.
                connection.sendall(peers.unfinished_bodies(number, None))
        for _ in range(20):
            good.call()
        assert resident(server) < before + 60
    good.close()


def test_who_has_a_token_is_bounded_over_the_process(guarded):
    """100 connections with 8 bodies of 48 KB each would be 38 MB, of which 16 MiB may wait."""
    server, token = guarded
    good = peers.GoodClient("127.0.0.1", server.port, token)
    good.call()
    refused = 0
    with contextlib.ExitStack() as all_of_them:
        greedy = []
        for _ in range(100):
            connection = all_of_them.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            connection.sendall(peers.opening())
            for number in range(8):
                connection.sendall(peers.unfinished_bodies(number, token))
            greedy.append(connection)
            good.call()
        deadline = time.monotonic() + 60
        while not refused and time.monotonic() < deadline:
            good.call()
            refused = sum(has_headers(connection) for connection in greedy)
    assert refused > 0
    good.close()


def frames_of(connection):
    """What comes on a connection until its end: the frames' kinds and payloads."""
    frames, data = [], b""
    while True:
        while len(data) >= 9 and len(data) >= 9 + (length := int.from_bytes(data[:3], "big")):
            frames.append((data[3], data[9:9 + length]))
            data = data[9 + length:]
        piece = connection.recv(65_536)
        if not piece:
            return frames
        data += piece


@pytest.mark.parametrize("attack", ["header-heavy", "refused"])
def test_a_strangers_refusals_end_the_connection(guarded, attack):
    server, token = guarded
    turn = next(each for each in peers.ATTACKS if each.name == attack).turn
    good = peers.GoodClient("127.0.0.1", server.port, token)
    good.call()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(peers.opening())
            for number in range(8):
                connection.sendall(turn(number, None))
            # All of it arrives, and no reset takes it back, although what was sent was not all read.
            *answers, (kind, payload) = frames_of(connection)
            assert kind == peers.GOAWAY
            assert struct.unpack(">I", payload[4:8])[0] == 0xB  # ENHANCE_YOUR_CALM
            # Each until then has had its answer.
            refusals = sum(kind == peers.HEADERS for kind, _ in answers)
            assert 256 <= refusals <= 320
    good.call()
    good.close()


@pytest.mark.parametrize("attack", ["stray-data", "stray-headers"])
def test_frames_on_a_stream_that_is_over_end_the_connection(guarded, attack):
    server, _ = guarded
    turn = next(each for each in peers.ATTACKS if each.name == attack).turn
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(peers.opening() + turn(0, None) + turn(1, None) + turn(2, None))
        *_, (kind, payload) = frames_of(connection)
        assert kind == peers.GOAWAY and struct.unpack(">I", payload[4:8])[0] == 0x5  # STREAM_CLOSED


def test_the_farewell_arrives_though_more_was_sent(guarded):
    """A connection that is closed with bytes unread is reset, and the reset takes back what was said last."""
    server, _ = guarded
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(peers.opening() + peers.many_fields(0, None) + peers.frame(peers.PING, 0, 0, bytes(8)) * 1_000)
            *_, (kind, payload) = frames_of(connection)
            assert kind == peers.GOAWAY and struct.unpack(">I", payload[4:8])[0] == 0xB


def test_who_is_refused_now_and_then_goes_on(guarded):
    """Wrong tokens on a connection that has good calls answered."""
    server, token = guarded
    good = peers.GoodClient("127.0.0.1", server.port, token)
    heads = good.head, peers.head(token="revoked")
    refused = 0
    for number in range(800):
        good.head = heads[number % 2]
        try:
            good.call()
        except ConnectionError as error:
            assert str(error) == "a good client was refused"
            refused += 1
    assert refused == 400
    good.close()


@pytest.mark.thorough
def test_a_good_client_of_rest_beside_many_that_do_not_read(guarded):
    """A token is judged as soon as it is there, and strangers wait for their turn: newcomers with one are served while 300
    connections ask for a large answer again and again and read none."""
    server, token = guarded
    host, port = server.http.rsplit(":", 1)
    swarm = pathlib.Path(peers.__file__).with_name("swarm.py")
    command = [sys.executable, "-B", swarm, "http-unread", host, str(server.port), port, token]
    attackers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert attackers.stdout.readline() == "full\n"
        served = failures = 0
        while served < 20:
            try:
                with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=60)) as good:
                    good.request("GET", "/v2/tenants", headers={"Authorization": f"Bearer {token}"})
                    answer = good.getresponse()
                    answer.read()
                    assert answer.status == 200
                served += 1
            except ConnectionError:
                # On a busy machine its place may be another's before its token is there.
                failures += 1
                assert failures <= 5
        assert healthy(server) == 200
    finally:
        attackers.communicate("", timeout=60)


@pytest.mark.skipif(int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text()) < 4_096, reason="the system's own bound")
@pytest.mark.parametrize("port", ["grpc", "http"])
def test_many_may_wait_for_being_accepted(guarded, port):
    """Whom the system drops, since too many wait, tries again after seconds."""
    server, _ = guarded
    host, http_port = server.http.rsplit(":", 1)
    address = host, server.port if port == "grpc" else int(http_port)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as all_of_them:
            waiting = []
            for _ in range(900):
                connection = all_of_them.enter_context(socket.socket())
                connection.setblocking(False)
                connection.connect_ex(address)
                waiting.append(connection)
            # None of them can be accepted now.
            poll = select.poll()
            for connection in waiting:
                poll.register(connection, select.POLLOUT)
            deadline = time.monotonic() + 60
            while len(ready := poll.poll(1_000)) < len(waiting) and time.monotonic() < deadline:
                pass
            assert len(ready) == len(waiting)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert healthy(server) == 200


def has_headers(connection):
    """Whether any request was answered: bodies that never end are, only if they are refused."""
    connection.setblocking(False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := connection.recv(65_536):
            data += piece
    while len(data) >= 9:
        length, (kind,) = int.from_bytes(data[:3], "big"), struct.unpack(">B", data[3:4])
        if kind == peers.HEADERS:
            return True
        data = data[9 + length:]
    return False
