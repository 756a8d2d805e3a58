"""The real server while no file descriptors are left: nothing of it ends, nothing is lost, and it costs no processor time.

The limit is lowered below every descriptor that is open: what is open stays so, and nothing more can be opened.
"""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import time

import grpc
import pytest
from conftest import Failure, Server, quantities, usage
from control import Answer, Rest, eventually
from receivers import Receiver
from test_faults import batch
from test_tls import client_context, connect, flags, http_port, make

# Not in `Tools/test`: once a second libdispatch looks at the state of a thread whose queue has work, and may end a process
# that cannot open that file (docs/reliability.md, "not withstood"). `test_faults.py` has the notice of a shortage.
pytestmark = pytest.mark.thorough

LIMITS = "tenants:\n  - {id: acme, max_extensions: 4000000000, max_dids: 10, on_limit: block}\n"
TICKS = os.sysconf("SC_CLK_TCK")
# More than the listener accepts at a time, fewer than one address may have.
CROWD = 40
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@contextlib.contextmanager
def no_descriptors(server):
    process = server.process.pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # It was stopped.
            resource.prlimit(process, resource.RLIMIT_NOFILE, before)


def told(server, *parts):
    return [line for line in list(server.log) if all(part in line for part in parts)]


def processor_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def must_not_spin(server):
    """Whoever asks without end takes a core; who asks ten times a second, next to nothing."""
    began, used = time.monotonic(), processor_seconds(server)
    time.sleep(2)
    elapsed, used = time.monotonic() - began, processor_seconds(server) - used
    assert used < elapsed / 3, f"{used:.2f} s of processor time in {elapsed:.2f} s"
    return used / elapsed


class Kept:
    """REST over one connection, which is there before descriptors are spent."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection(server.http, timeout=180)
        self.connection.connect()
        self.connection.auto_open = 0
        # It is not there before it was accepted.
        assert self.ask("GET", "/healthz").status == 200

    def ask(self, method, path, body=None):
        fields = {} if body is None else {"Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), fields)
        return Answer(self.connection.getresponse())


def crowd(server, port, first):
    """Connections that nobody accepts: the system completes them, and what is sent waits."""
    connections = []
    for _ in range(CROWD):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(first)
        connections.append(connection)
    return connections


@pytest.mark.parametrize("durability", ["memory", "sync"])
def test_who_comes_waits_until_there_is_a_descriptor(serve, tmp_path, durability):
    """Neither listener ends, or asks without end; whoever has come is served afterwards."""
    where = [] if durability == "memory" else ["--data-dir", str(tmp_path / "data")]
    server = serve("--durability", durability, *where)
    kept = Kept(server)
    with no_descriptors(server):
        waiting = [
            *crowd(server, server.port, PREFACE),
            *crowd(server, http_port(server), b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"),
        ]
        eventually(lambda: told(server, "no file descriptors are left"), what="a line in the log")
        share = must_not_spin(server)
        assert kept.ask("GET", "/healthz").status == 200
        answer = kept.ask("GET", "/readyz")
        assert answer.status == 503 and "limit of open files" in answer.body["errors"][0]["detail"]
    for connection in waiting:
        assert connection.recv(64), "who waited is not served"
        connection.close()
    assert Rest(server).get("/readyz").status == 200
    eventually(lambda: told(server, "file descriptors are available again"), what="a line in the log")
    assert len(told(server, "no file descriptors are left")) == len(told(server, "file descriptors are available again")) == 1
    assert not told(server, " error ", "accept")
    print(f"figures: {len(waiting)} connections waited, {share:.0%} of a core meanwhile")


def is_written(data, number):
    """A segment has frames behind its header."""
    segments = sorted(data.glob("journal-*.log"))
    with open(segments[number - 1], "rb") as file:
        return any(file.read(64 << 10)[4_096:])


def charge(contract, stub, name, count):
    """So many extensions, each under a key of its own: how many were told that they are charged."""
    return batch(contract, stub, name, count, timeout=180)[0]


def charge_until_refused(contract, stub):
    """Until a lone caller is refused three times in a row: what was charged, and the refusals."""
    charged = rounds = 0
    refusals = []
    while len(refusals) < 3:
        rounds += 1
        assert rounds < 500, "it never refuses"
        charged += charge(contract, stub, f"fill-{rounds}", 500)
        try:
            stub.CheckAndReserve(
                contract.CheckAndReserveRequest(
                    tenant_id="acme", action=contract.ACTION_PROVISION_EXTENSION,
                    quantities=quantities(contract, extensions=1), mode=contract.MODE_COMMIT,
                    idempotency_key=f"lone-{rounds}",
                ),
                timeout=180,
            )
            charged += 1
            refusals = []
        except grpc.RpcError as error:
            refusals.append(Failure(error))
    return charged, refusals


def test_a_new_segment_and_a_webhook_while_all_descriptors_are_spent(contract, tmp_path):
    """The journal goes on in the segment that is ready, and refuses where the one after it cannot be made, as on a full
    disk; an event, a reload and what the lists show come when there are descriptors again, none of them lost."""
    data, limits = tmp_path / "data", tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    arguments = (
        "--data-dir", str(data), "--durability", "sync", "--journal-segment", "1MiB", "--journal-stall", "500ms",
        "--webhook-allow-private", "127.0.0.0/8", "--webhook-timeout", "30s", "--webhook-backoff", "10ms",
        "--http-idle-timeout", "10m", "--threads", "1",
    )
    server = Server(*arguments, limits=limits)
    receiver = Receiver()
    try:
        rest = Rest(server)
        rest.post("/v2/webhook_endpoints", {"url": receiver.url + "/events"}).data
        rest.post("/v2/tenants", {"id": "branch", "name": "before"}).data
        channel = grpc.insecure_channel(server.endpoint, options=[("grpc.use_local_subchannel_pool", 1)])
        stub = contract.Stub(channel)
        assert charge(contract, stub, "first", 1) == 1
        kept = Kept(server)
        eventually(lambda: len(list(data.glob("journal-*.log"))) == 2, what="the next segment")
        with no_descriptors(server):
            # A zone that nobody had, and an event.
            zone = {"time_zone": "Pacific/Chatham", "name": "while none was left"}
            changed = kept.ask("PATCH", "/v2/tenants/branch", zone)
            assert changed.status == 200, changed
            record = {"tenant_id": "acme", "action": "charge", "quantities": {"dids": 9}}
            assert kept.ask("POST", "/v2/usage_records", record).status == 200
            limits.write_text(LIMITS + "  - {id: later, max_dids: 3}\n")
            server.process.send_signal(signal.SIGHUP)
            assert not is_written(data, 2)
            charged, refusals = charge_until_refused(contract, stub)
            assert is_written(data, 2), "it has not gone on in the segment that was ready"
            assert len(list(data.glob("journal-*.log"))) == 2
            for refusal in refusals:
                assert refusal.code == grpc.StatusCode.UNAVAILABLE, refusal.message
                assert refusal.catalogue == "10037" and "RetryInfo" in refusal.details
            extensions = contract.LIMIT_KIND_TENANT_EXTENSIONS
            assert usage(contract, stub, "acme")[extensions] == (charged + 1, 0)
            eventually(lambda: told(server, "changes cannot be recorded"), what="a line in the log")
            assert "open" in told(server, "changes cannot be recorded")[0]
            assert kept.ask("GET", "/readyz").status == 503
            share = must_not_spin(server)
            assert server.process.poll() is None and not receiver.posts
            assert not told(server, "reading the limits file again")
        eventually(lambda: Rest(server).get("/readyz").status == 200, what="readiness")
        eventually(lambda: charge(contract, stub, f"again-{time.monotonic_ns()}", 1) == 1, what="room")
        total = usage(contract, stub, "acme")[extensions]
        assert total == (charged + 2, 0)
        eventually(lambda: receiver.posts, 180, "the webhook")
        eventually(lambda: told(server, "limits applied") and Rest(server).get("/v2/tenants/later").status == 200)
        eventually(
            lambda: [row for row in Rest(server).all("/v2/tenants") if row["name"] == zone["name"]], what="the change")
        eventually(lambda: told(server, "changes are recorded again"), what="a line in the log")
        assert len(told(server, "changes cannot be recorded")) == len(told(server, "changes are recorded again")) == 1
        assert len(told(server, "no file descriptors are left")) == 1
        assert len(told(server, "the outbox cannot be read")) <= 1
        ids = [post.id for post in receiver.posts]
        assert len(set(ids)) == len(ids) and all(post.attempt == 1 for post in receiver.posts), receiver.posts
        rows = eventually(lambda: Rest(server).all("/v2/webhook_deliveries?filter[status]=delivered"))
        assert all(len(row["attempts"]) == 1 for row in rows), rows
        channel.close()
        assert server.stop() == 0, "".join(server.log)
        server = Server(*arguments, limits=limits)
        with grpc.insecure_channel(server.endpoint) as channel:
            assert usage(contract, contract.Stub(channel), "acme")[extensions] == total
        assert Rest(server).tenant("branch")["time_zone"] == zone["time_zone"]
        assert server.stop() == 0, "".join(server.log)
        print(f"figures: {charged} charged before the first refusal, {share:.0%} of a core meanwhile")
    finally:
        receiver.close()
        server.kill()


def test_a_stop_needs_no_descriptor(contract, serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), "--durability", "sync", limits=LIMITS)
    with grpc.insecure_channel(server.endpoint) as channel:
        assert charge(contract, contract.Stub(channel), "one", 100) == 100
    with no_descriptors(server):
        eventually(lambda: told(server, "no file descriptors are left"), what="a line in the log")
        assert server.stop() == 0, "".join(server.log)
    again = serve("--data-dir", str(tmp_path / "data"), "--durability", "sync", limits=LIMITS)
    with grpc.insecure_channel(again.endpoint) as channel:
        found = usage(contract, contract.Stub(channel), "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS]
    assert found == (100, 0)


def test_certificates_that_came_meanwhile_are_taken(serve, tmp_path):
    """Nobody touches the files again: they are read when there is a descriptor."""
    used, new = make(tmp_path / "used"), make(tmp_path / "new")
    server = serve(*flags(used))
    with no_descriptors(server):
        for name in ("server.pem", "server-key.pem"):
            shutil.copy(new / name, used / name)
        eventually(lambda: told(server, "certificates cannot be used"), what="a line in the log")
    eventually(lambda: told(server, "used for new connections", "port=grpc"), what="the new certificates")
    assert len(told(server, "certificates cannot be used", "port=grpc")) == 1
    with connect(server, client_context(new)) as connection:
        assert connection.getpeercert()
