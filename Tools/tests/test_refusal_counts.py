"""What is refused is counted: each defence, each outcome of a delivery, and what exceeds a rate is provoked over real
connections, and the metrics before and after are compared."""

import contextlib
import http.client
import socket
import ssl
import subprocess
import sys

import grpc
import pytest
from conftest import ROOT, tollgate
from control import Rest, eventually
from receivers import MailServer, Receiver
from scraping import scrape

sys.path.insert(0, str(ROOT / "Tools/lib/verify"))
import peers  # noqa: E402


class Growth:
    """What has grown since: growth(metric) is {labels: by how much}, without what has not."""

    def __init__(self, server):
        self.server = server
        self.before = scrape(server.ops)

    def __call__(self, name):
        before, after = self.before.all(name), scrape(self.server.ops).all(name)
        grown = {labels: value - before.get(labels, 0) for labels, value in after.items()}
        return {labels: value for labels, value in grown.items() if value}

    def becomes(self, name, expected):
        """What is counted when a connection has ended may be counted a little after its end."""
        with contextlib.suppress(AssertionError):
            eventually(lambda: self(name) == expected, 30)
        assert self(name) == expected


@pytest.fixture
def guarded(serve, tmp_path):
    """A service that asks for tokens, with its operator's."""
    server = serve("--data-dir", str(tmp_path / "data"), "--ops-listen", "127.0.0.1:0", auth=True)
    server.token = (tmp_path / "data/operator-token").read_text().strip()
    return server


def attack(server, turn, token):
    """Sends an attack's turns until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(peers.opening())
            for number in range(1_000):
                connection.sendall(turn(number, token))
        with contextlib.suppress(OSError):
            while connection.recv(65_536):
                pass


@pytest.mark.parametrize("turn, known, defence, code", [
    (peers.control_frames, True, "control_frames", "ENHANCE_YOUR_CALM"),
    (peers.rapid_reset, False, "resets", "ENHANCE_YOUR_CALM"),
    (peers.header_heavy, False, "refusals", "ENHANCE_YOUR_CALM"),
    (peers.stray_data, False, "stray_frames", "STREAM_CLOSED"),
    (peers.unfolding, False, "header_bytes", "ENHANCE_YOUR_CALM"),
])
def test_each_defence_of_http2_counts_once(guarded, turn, known, defence, code):
    growth = Growth(guarded)
    attack(guarded, turn, guarded.token if known else None)
    growth.becomes("tollgate_http2_defences_total", {(("defence", defence),): 1})
    growth.becomes("tollgate_http2_connections_ended_total", {(("code", code),): 1})
    assert growth("tollgate_connections_opened_total")[(("port", "grpc"),)] == 1


def test_handshakes_that_fail_count(serve, tmp_path):
    made = tmp_path / "certificates"
    subprocess.run([ROOT / "Tools/dev-certificates", made], check=True, capture_output=True, timeout=120)
    server = serve(
        "--tls-certificate", str(made / "server.pem"), "--tls-key", str(made / "server-key.pem"), "--tls-client-ca",
        str(made / "ca.pem"), "--ops-listen", "127.0.0.1:0")
    growth = Growth(server)
    ports = {"grpc": server.port, "http": int(server.http.rsplit(":", 1)[1])}
    for port, number in ports.items():
        # Not TLS at all.
        with socket.create_connection(("127.0.0.1", number), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(OSError):
                while connection.recv(4_096):
                    pass
        growth.becomes("tollgate_tls_handshake_failures_total", {
            (("port", name),): 1 for name in list(ports)[:list(ports).index(port) + 1]})
    # No certificate, where one is asked for; and somebody who leaves.
    context = ssl.create_default_context(cafile=made / "ca.pem")
    context.set_alpn_protocols(["h2"])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with context.wrap_socket(connection, server_hostname="localhost") as secured:
            secured.recv(4_096)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(peers.client_hello()[:20])
    growth.becomes("tollgate_tls_handshake_failures_total", {(("port", "grpc"),): 3, (("port", "http"),): 1})


@pytest.mark.parametrize("port, flags", [
    ("grpc", ["--max-connections", "8"]),
    ("http", ["--http-max-connections", "8", "--http-max-connections-per-address", "8"]),
    ("ops", ["--ops-max-connections", "8"])])
def test_connections_that_give_way_count(serve, port, flags):
    """Of those that only lie there, one goes for each that comes."""
    server = serve("--ops-listen", "127.0.0.1:0", *flags)
    address = {"grpc": server.endpoint, "http": server.http, "ops": server.ops}[port]
    assert scrape(server.ops)("tollgate_connections_limit", port=port) == 8
    growth = Growth(server)
    name, number = address.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            connection = stack.enter_context(socket.create_connection((name, int(number)), timeout=60))
            connection.sendall(b"P" if port == "grpc" else b"GET /healthz HTTP/1.1\r\n")

        def evicted():
            return growth("tollgate_connections_evicted_total").get((("port", port),), 0)

        eventually(lambda: evicted() >= 4, 30, "the evictions")
        # Scrapes come over the ops listener themselves, and some go for them as well.
        assert evicted() == 4 or port == "ops"
        assert set(growth("tollgate_connections_evicted_total")) == {(("port", port),)}
        assert scrape(server.ops)("tollgate_connections", port=port) <= 8
        assert growth("tollgate_connections_refused_total") == {}
    opened = growth("tollgate_connections_opened_total")[(("port", port),)]
    assert opened == 12 or (port == "ops" and opened > 12)


def test_requests_that_connections_refuse_count(serve):
    """Before anybody has looked for their path."""
    server = serve("--ops-listen", "127.0.0.1:0", "--http-head-timeout", "1s")
    host, port = server.http.rsplit(":", 1)
    growth = Growth(server)
    for text, status in [
        (b"GET /healthz HTTP/1.1\r\n", 408), (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
    ]:
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(text)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == status
    growth.becomes("tollgate_http_requests_total", {
        (("method", "other"), ("route", "none"), ("status", str(status))): 1 for status in [400, 408, 414, 431]})


def test_what_exceeds_a_rate_counts(guarded, contract):
    made = tollgate(guarded, "tokens", "create", "hasty", "--scope", "check", "--rate", "1",
                    environment={"TOLLGATE_TOKEN": guarded.token})
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    growth = Growth(guarded)
    refused = sum(Rest(guarded, token).check("globex", spend="0.01").status == 429 for _ in range(10))
    assert 1 <= refused <= 9
    growth.becomes("tollgate_rate_limited_total", {(): refused})
    with grpc.insecure_channel(guarded.endpoint) as channel:
        stub = contract.Stub(channel)
        for _ in range(10):
            with contextlib.suppress(grpc.RpcError):
                stub.GetUsage(contract.GetUsageRequest(tenant_id="globex"), timeout=60,
                              metadata=[("authorization", f"Bearer {token}")])
                continue
            refused += 1
    growth.becomes("tollgate_rate_limited_total", {(): refused})


def test_deliveries_count_by_outcome(serve, tmp_path):
    """Each outcome of each channel: what arrives, what is tried again, and what is given up."""
    receiver = Receiver(lambda post, number: {"/good": 200, "/bad": 500}[post.path])
    mail = MailServer(refuse={"later@example.org": "451 4.7.1 come back", "gone@example.org": "550 5.1.1 nobody"})
    try:
        server = serve(
            "--data-dir", str(tmp_path / "data"), "--ops-listen", "127.0.0.1:0", "--webhook-allow-private", "127.0.0.0/8",
            "--webhook-timeout", "30s", "--webhook-backoff", "50ms", "--smtp-host", "127.0.0.1", "--smtp-port",
            str(mail.port), "--smtp-security", "none", "--smtp-from", "alerts@example.com", limits=None)
        rest = Rest(server)
        for path in ["/good", "/bad"]:
            rest.post("/v2/webhook_endpoints", {"url": receiver.url + path}).data
        for name in ["ops", "later", "gone"]:
            rest.post("/v2/email_recipients", {"address": f"{name}@example.org"}).data
        growth = Growth(server)
        rest.post("/v2/tenants", {"id": "acme", "max_dids": 10}).data
        rest.record("acme", dids=8)

        def attempts():
            """By channel and outcome: the last attempt of a delivery that is through has its outcome, all others are
            tried again."""
            counts = {}
            for row in rest.all("/v2/webhook_deliveries"):
                whole = rest.get(f"/v2/webhook_deliveries/{row['id']}").data
                outcomes = ["retried"] * len(whole["attempts"])
                if whole["status"] != "pending":
                    outcomes[-1] = whole["status"]
                for outcome in outcomes:
                    key = (("channel", whole["channel"]), ("outcome", outcome))
                    counts[key] = counts.get(key, 0) + 1
            return counts

        every = {(("channel", channel), ("outcome", outcome))
                 for channel in ["webhook", "email"] for outcome in ["delivered", "retried", "failed"]}
        eventually(lambda: set(attempts()) == every, what="each outcome of each channel")
        eventually(lambda: growth("tollgate_delivery_attempts_total") == attempts(), what="the same counts")
        # Three attempts, and what a failed webhook's receiver has seen of them.
        counts = growth("tollgate_delivery_attempts_total")
        assert counts[("channel", "webhook"), ("outcome", "retried")] == 2 == len(
            [post for post in receiver.posts if post.path == "/bad"]) - 1
        for outcome in ["delivered", "failed"]:
            assert counts[("channel", "webhook"), ("outcome", outcome)] == 1
            assert counts[("channel", "email"), ("outcome", outcome)] == 1
        # The mail that is tried again waits.
        assert scrape(server.ops)("tollgate_deliveries_pending") == 1
    finally:
        receiver.close()
        mail.close()
