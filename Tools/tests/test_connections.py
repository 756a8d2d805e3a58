"""Connections that come to their end under load, by age, for want of calls, and by a stop: no call is lost, none doubled."""

import contextlib
import signal
import socket
import sys
import threading

import grpc
import h2.events
from conftest import ROOT, failure, quantities, request, usage
from control import eventually
from test_http2 import Raw, status

sys.path.insert(0, str(ROOT / "Tools/lib/verify"))
import peers  # noqa: E402


class Forwarder:
    """Hands bytes between clients and a server, and counts the connections: opened, and ended by the server."""

    def __init__(self, server):
        self.address = ("127.0.0.1", server.port)
        self.opened = self.ended = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.opened += 1
                server = socket.create_connection(self.address, timeout=300)
                threading.Thread(target=self._hand, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._hand, args=(server, client, True), daemon=True).start()

    def _hand(self, source, target, is_server):
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                target.sendall(piece)
        self.ended += is_server
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


@contextlib.contextmanager
def forwarded(server):
    forwarder = Forwarder(server)
    try:
        # A channel of its own, not a connection that another channel has.
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(forwarder.endpoint, options=options) as channel:
            yield forwarder, channel
    finally:
        forwarder.close()


class Load:
    """Threads that charge one nano-USD a call, without a key, until they are told to stop or the service is gone."""

    def __init__(self, contract, channel, threads=4):
        self.contract = contract
        self.stub = contract.Stub(channel)
        self.charged = 0
        self.failures = []
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._charge, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _charge(self):
        charge = self.contract.RecordUsageRequest(
            tenant_id="globex", action=self.contract.ACTION_CHARGE, quantities=quantities(self.contract, spend=1))
        while not self.stop.is_set():
            try:
                self.stub.RecordUsage(charge, timeout=120)
            except grpc.RpcError as error:
                with self.lock:
                    self.failures.append((error.code(), error.details()))
                return
            with self.lock:
                self.charged += 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self.threads)


def spent(contract, server):
    with grpc.insecure_channel(server.endpoint) as channel:
        return usage(contract, contract.Stub(channel), "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND][0]


def test_no_call_is_lost_as_connections_age(contract, serve):
    server = serve("--connection-age", "1s")
    with forwarded(server) as (forwarder, channel):
        load = Load(contract, channel)
        eventually(
            lambda: forwarder.ended >= 3 and load.charged > 100 or load.failures, what="the end of old connections")
        load.end()
        assert load.failures == []
        # Where calls rest for a while, the last one too may have come to its end.
        assert forwarder.opened >= forwarder.ended >= 3
    assert spent(contract, server) == load.charged


def test_no_call_is_lost_as_the_server_drains(contract, serve, tmp_path):
    """A call that fails since the service stops was not done: the books of the next start say so."""
    arguments = ("--data-dir", str(tmp_path / "data"), "--drain-timeout", "60s")
    server = serve(*arguments)
    with grpc.insecure_channel(server.endpoint) as channel:
        load = Load(contract, channel, threads=8)
        eventually(lambda: load.charged > 100 or load.failures, what="a charge")
        assert server.stop(signal.SIGTERM) == 0
        load.end()
    assert {code for code, _ in load.failures} == {grpc.StatusCode.UNAVAILABLE}, load.failures
    assert len(load.failures) == 8
    assert spent(contract, serve(*arguments)) == load.charged


def test_an_idle_connection_ends_and_the_next_call_has_another(contract, serve):
    server = serve("--connection-idle", "1s")
    with forwarded(server) as (forwarder, channel):
        stub = contract.Stub(channel)
        assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED
        # There may have been more than one: of which one ended before the call was on it.
        eventually(lambda: forwarder.ended == forwarder.opened, what="the end of an idle connection")
        ended = forwarder.ended
        watch = stub.WatchUsage(contract.WatchUsageRequest(tenant_id="globex"), timeout=300)
        assert next(watch)
        opened = forwarder.opened
        assert opened > ended > 0
        # A call is no idleness, however little happens: a connection without one comes and goes meanwhile.
        with forwarded(server) as (other, channel):
            call = contract.Stub(channel).CheckAndReserve
            assert call(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED
            eventually(lambda: other.ended == other.opened, what="the end of an idle connection")
        assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED
        assert forwarder.opened == opened and watch.is_active()
        watch.cancel()


def test_a_stream_of_an_old_connection_ends_with_a_reason(contract, serve):
    server = serve("--connection-age", "1s")
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        watch = stub.WatchUsage(contract.WatchUsageRequest(tenant_id="globex"), timeout=300)
        ended = failure(lambda timeout: list(watch))
        assert ended.code == grpc.StatusCode.UNAVAILABLE and "closing" in ended.message
        assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED


def events(raw, kind):
    """The next events of a kind; empty: the connection is closed."""
    while data := raw.socket.recv(65_536):
        found = [event for event in raw.http2.receive_data(data) if isinstance(event, kind)]
        raw.flush()
        if found:
            return found
    return []


def test_a_silent_peer_is_asked_for_a_sign_of_life(contract, serve):
    """Whoever gives one stays; on a connection without any call too."""
    server = serve("--keepalive", "1s")
    raw = Raw(server)
    for _ in range(2):
        assert events(raw, h2.events.PingReceived)
    body = request(contract, spend=1).SerializeToString()
    assert status(raw, raw.send(b"\0" + len(body).to_bytes(4, "big") + body)) == "0"
    raw.socket.close()


def test_a_client_may_ask_for_signs_of_life(contract, server):
    """As often as gRPC's libraries let it, with calls and without."""
    options = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 60_000),
               ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0)]
    forwarder = Forwarder(server)
    with grpc.insecure_channel(forwarder.endpoint, options=options) as channel:
        stub = contract.Stub(channel)
        watch = stub.WatchUsage(contract.WatchUsageRequest(tenant_id="globex"), timeout=300)
        assert next(watch)
        for _ in range(200):
            assert stub.CheckAndReserve(request(contract, spend=1), timeout=60).decision == contract.DECISION_ALLOWED
        assert watch.is_active() and forwarder.opened == 1
        watch.cancel()
    forwarder.close()


def test_too_many_pings_are_told(server):
    raw = Raw(server)
    with contextlib.suppress(OSError):
        for _ in range(3_000):
            raw.http2.ping(bytes(8))
        raw.flush()
    end = events(raw, h2.events.ConnectionTerminated)[0]
    assert end.error_code == 0xB and end.additional_data == b"too_many_pings"
    raw.socket.close()


def next_frame(connection):
    """Kind, flags, stream and payload of the next frame; nothing: the connection is closed."""
    def read(count):
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                return b""
            data += piece
        return data

    head = read(9)
    if not head:
        return None
    return head[3], head[4], int.from_bytes(head[5:9], "big"), read(int.from_bytes(head[:3], "big"))


def test_a_drain_is_announced_before_it_refuses(server):
    """GOAWAY with the highest id, and PING; whatever comes until that is answered is served; behind it the last GOAWAY."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        def send(stream, flags, data):
            connection.sendall(peers.frame(peers.DATA, flags, stream, data))

        def begin(stream):
            connection.sendall(peers.frame(peers.HEADERS, peers.END_HEADERS, stream, peers.head()))

        def until(kind, more=lambda flags, payload: True):
            while frame := next_frame(connection):
                if frame[0] == kind and more(frame[1], frame[3]):
                    return frame
                seen.append(frame)
            raise AssertionError("the connection is closed")

        seen = []
        connection.sendall(peers.opening())
        begin(1)
        send(1, 0, peers.BODY[:3])
        # Answered, so the server has seen what came before.
        begin(3)
        send(3, peers.END_STREAM, peers.BODY)
        until(peers.HEADERS, lambda flags, payload: flags & peers.END_STREAM)
        server.process.send_signal(signal.SIGTERM)
        assert until(peers.GOAWAY)[3] == b"\x7f\xff\xff\xff" + bytes(4)
        ping = until(peers.PING, lambda flags, payload: not flags & peers.ACK)[3]
        # It has not been told that this is too late.
        begin(5)
        send(5, peers.END_STREAM, peers.BODY)
        send(1, peers.END_STREAM, peers.BODY[3:])
        seen.clear()
        connection.sendall(peers.frame(peers.PING, peers.ACK, 0, ping))
        assert until(peers.GOAWAY)[3] == (5).to_bytes(4, "big") + bytes(4)
        while frame := next_frame(connection):
            seen.append(frame)
        ended = {stream for kind, flags, stream, _ in seen if kind == peers.HEADERS and flags & peers.END_STREAM}
        answered = {stream for kind, _, stream, payload in seen if kind == peers.DATA and payload}
        assert ended == answered == {1, 5}
