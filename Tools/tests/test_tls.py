"""TLS as foreign clients see it: grpcio, OpenSSL by Python's ssl, and raw bytes against the real binary."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import conftest
import grpc
import pytest
from conftest import BINARY, ROOT, Server, request
from control import eventually
from test_connections import Load, spent

TOOL = ROOT / "Tools/dev-certificates"


def make(directory, *arguments):
    """Certificates of a CA of their own."""
    done = subprocess.run([TOOL, *arguments, directory], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(directory)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make(
        tmp_path_factory.mktemp("certificates") / "first",
        "--client", "billing=spiffe://example.org/billing,billing.example.org",
        "--client", "stranger=spiffe://example.org/stranger",
    )


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """The same names from a CA that nobody knows."""
    return make(tmp_path_factory.mktemp("certificates") / "others", "--client", "billing=spiffe://example.org/billing")


def flags(certificates, *more, mutual=False):
    found = ["--tls-certificate", certificates / "server.pem", "--tls-key", certificates / "server-key.pem"]
    if mutual:
        found += ["--tls-client-ca", certificates / "ca.pem"]
    return [str(flag) for flag in (*found, *more)]


@pytest.fixture(scope="module")
def shared(certificates):
    """One server for the tests that do not change it: TLS, clients with or without certificates, patient."""
    server = Server(
        *flags(certificates, "--tls-client-auth", "optional", "--tls-handshake-timeout", "60s", mutual=True)
    )
    yield server
    assert server.stop() == 0, "".join(server.log)


@contextlib.contextmanager
def channel_to(server, certificates, client=None, ca=None):
    read = lambda name: (certificates / name).read_bytes()  # noqa: E731
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(ca or certificates / "ca.pem").read_bytes(),
        private_key=read(f"{client}-key.pem") if client else None,
        certificate_chain=read(f"{client}.pem") if client else None,
    )
    with grpc.secure_channel(server.endpoint, credentials) as channel:
        yield channel


def client_context(certificates, client=None, protocols=("h2",), version=None):
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if client:
        context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}-key.pem")
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def connect(server, context, port=None, session=None):
    raw = socket.create_connection(("127.0.0.1", port or server.port), timeout=60)
    return context.wrap_socket(raw, server_hostname="localhost", session=session)


def http_port(server):
    return int(server.http.rsplit(":", 1)[1])


def everything(connection):
    """All that comes until the connection ends; how it ends does not matter."""
    received = b""
    with contextlib.suppress(OSError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def logged(server, *parts, count=1):
    """Waits until as many lines of the log have all the parts."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        lines = [line for line in list(server.log) if all(part in line for part in parts)]
        if len(lines) >= count:
            return lines
        time.sleep(0.02)
    raise AssertionError(f"not in the log: {parts}\n" + "".join(server.log))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def served(contract, channel):
    stub = contract.Stub(channel)
    return stub.CheckAndReserve(request(contract, spend=1, tenant_id="globex"), timeout=60, wait_for_ready=True)


# What works.


def test_grpcio_over_tls(contract, shared, certificates):
    with channel_to(shared, certificates) as channel:
        assert served(contract, channel)
    with channel_to(shared, certificates, client="billing") as channel:
        assert served(contract, channel)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_and_alpn(shared, certificates, version):
    with connect(shared, client_context(certificates, version=version)) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.cipher()[0].startswith(("TLS_", "ECDHE-")) and "CBC" not in connection.cipher()[0]
        connection.sendall(PREFACE)
        # Our SETTINGS, of type 4 on stream 0.
        assert connection.recv(9)[3:] == bytes([4, 0, 0, 0, 0, 0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_and_ciphers_are_refused(shared, certificates):
    for spoil in (
        lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_1),
        lambda context: (
            setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2),
            context.set_ciphers("AES128-SHA:AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA"),
        ),
    ):
        context = client_context(certificates)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        spoil(context)
        with pytest.raises((ssl.SSLError, OSError)):
            connect(shared, context).close()


def test_rest_over_https(shared, certificates):
    for protocols in ((), ("http/1.1",), ("h2", "http/1.1")):
        context = client_context(certificates, protocols=protocols)
        rest = http.client.HTTPSConnection("127.0.0.1", http_port(shared), timeout=60, context=context)
        # The certificate is for this address too.
        for _ in range(3):
            rest.request("GET", "/v2/tenants/globex")
            answer = rest.getresponse()
            assert answer.status == 200 and b"globex" in answer.read()
        rest.close()


def test_a_large_answer_and_the_end_of_the_connection(shared, certificates):
    with connect(shared, client_context(certificates, protocols=()), http_port(shared)) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = everything(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(next(line.split()[1] for line in head.lower().splitlines() if line.startswith(b"content-length")))
        assert len(body) == length > 65_536


def test_a_half_closed_request_is_answered(shared, certificates):
    with connect(shared, client_context(certificates, protocols=()), http_port(shared)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # The end of the bytes without TLS's own end.
        socket.socket.shutdown(connection, socket.SHUT_WR)
        assert everything(connection).startswith(b"HTTP/1.1 200")


# Clients' certificates.


def test_clients_must_show_a_certificate(contract, serve, certificates, others):
    server = serve(*flags(certificates, mutual=True))
    with channel_to(server, certificates, client="billing") as channel:
        assert served(contract, channel)
    for client, directory in ((None, certificates), ("billing", others)):
        with channel_to(server, directory, client=client, ca=certificates / "ca.pem") as channel:
            failure = conftest.failure(
                contract.Stub(channel).CheckAndReserve, request(contract, spend=1, tenant_id="globex")
            )
            assert failure.code == grpc.StatusCode.UNAVAILABLE
    logged(server, "a TLS handshake failed", "it presented no certificate")
    logged(server, "a TLS handshake failed", "is not from a trusted CA")
    # REST asks for the same, and serves who has it.
    context = client_context(certificates, "billing", protocols=())
    rest = http.client.HTTPSConnection("127.0.0.1", http_port(server), timeout=60, context=context)
    rest.request("GET", "/healthz")
    assert rest.getresponse().status == 200
    with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
        rest = http.client.HTTPSConnection(
            "127.0.0.1", http_port(server), timeout=60, context=client_context(certificates, protocols=())
        )
        rest.request("GET", "/healthz")
        rest.getresponse()


def test_rest_may_ask_for_no_certificate(serve, certificates):
    server = serve(*flags(certificates, "--http-tls-client-auth", "off", mutual=True))
    context = client_context(certificates, protocols=())
    rest = http.client.HTTPSConnection("127.0.0.1", http_port(server), timeout=60, context=context)
    rest.request("GET", "/healthz")
    assert rest.getresponse().status == 200


def test_rest_may_have_a_certificate_of_its_own_or_none(serve, certificates, others):
    server = serve(
        *flags(
            certificates, "--http-tls-certificate", others / "server.pem", "--http-tls-key", others / "server-key.pem"
        )
    )
    context = client_context(others, protocols=())
    rest = http.client.HTTPSConnection("127.0.0.1", http_port(server), timeout=60, context=context)
    rest.request("GET", "/healthz")
    assert rest.getresponse().status == 200
    server = serve(*flags(certificates, "--http-tls", "off"))
    rest = http.client.HTTPConnection("127.0.0.1", http_port(server), timeout=60)
    rest.request("GET", "/healthz")
    assert rest.getresponse().status == 200


def test_a_certificate_with_a_rule_needs_no_token(contract, serve, certificates, tmp_path):
    identities = tmp_path / "identities.yaml"
    identities.write_text("certificates:\n  - name: spiffe://example.org/billing\n    scopes: [check]\n")
    server = serve(*flags(certificates, "--identities", identities, mutual=True), auth=True)
    with channel_to(server, certificates, client="billing") as channel:
        assert served(contract, channel)
    with channel_to(server, certificates, client="stranger") as channel:
        failure = conftest.failure(
            contract.Stub(channel).CheckAndReserve, request(contract, spend=1, tenant_id="globex")
        )
        assert failure.code == grpc.StatusCode.UNAUTHENTICATED
    for client, status in (("billing", 200), ("stranger", 401)):
        context = client_context(certificates, client, protocols=())
        rest = http.client.HTTPSConnection("127.0.0.1", http_port(server), timeout=60, context=context)
        for _ in range(2):
            rest.request("GET", "/v2/tenants/globex/usage")
            answer = rest.getresponse()
            assert (answer.status, len(answer.read()) > 0) == (status, True)
        # What another site has a browser ask for is asked without it; older browsers say `Origin` alone.
        rest.request("GET", "/v2/tenants/globex/usage", headers={"Origin": "https://evil.example"})
        answer = rest.getresponse()
        assert (answer.status, len(answer.read()) > 0) == (401, True)
        rest.request("GET", "/v2/tenants/globex/usage", headers={"Origin": f"https://{rest.host}:{rest.port}"})
        answer = rest.getresponse()
        assert (answer.status, len(answer.read()) > 0) == (status, True)


def test_a_certificates_answers_outlive_a_restart_and_not_the_key(serve, certificates, tmp_path):
    """Who is known by a certificate sends no secret of its own: the answer is sealed with the service's."""
    identities = tmp_path / "identities.yaml"
    identities.write_text("certificates:\n  - name: spiffe://example.org/billing\n    scopes: [admin, operator]\n")
    arguments = flags(
        certificates, "--identities", identities, "--data-dir", tmp_path / "data", "--durability", "sync", mutual=True)

    def post(server, path, body):
        context = client_context(certificates, "billing", protocols=())
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", http_port(server), timeout=60, context=context)
        ) as rest:
            rest.request(
                "POST", path, json.dumps(body), {"Content-Type": "application/json", "Idempotency-Key": "once"})
            answer = rest.getresponse()
            return answer.status, answer.getheader("idempotency-replayed"), json.loads(answer.read())

    def tokens(server):
        context = client_context(certificates, "billing", protocols=())
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", http_port(server), timeout=60, context=context)
        ) as rest:
            rest.request("GET", "/v2/tokens?page[size]=250")
            return [token["name"] for token in json.loads(rest.getresponse().read())["data"]]

    wanted = {"name": "made once", "scope": "viewer"}
    server = serve(*arguments, auth=True)
    status, replayed, first = post(server, "/v2/tokens", wanted)
    assert (status, replayed) == (200, None) and first["data"]["secret"]
    assert server.stop() == 0

    server = serve(*arguments, auth=True)
    assert post(server, "/v2/tokens", wanted) == (200, "true", first)
    assert tokens(server).count("made once") == 1
    assert server.stop() == 0

    (tmp_path / "data/webhook-key").unlink()
    server = serve(*arguments, auth=True)
    for _ in range(2):
        status, replayed, answer = post(server, "/v2/tokens", wanted)
        assert (status, replayed) == (409, None), answer
        assert answer["errors"][0]["code"] == "10012" and first["data"]["secret"] not in json.dumps(answer)
    assert tokens(server).count("made once") == 1
    assert server.stop() == 0


def fingerprint(path):
    return subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"],
        capture_output=True, text=True, check=True,
    ).stdout


def test_a_revoked_certificate_ends_what_is_open_and_begins_nothing(contract, serve, certificates, tmp_path):
    revoked = tmp_path / "revoked.txt"
    revoked.write_text("# nobody yet\n")
    server = serve(*flags(certificates, "--tls-revoked", revoked, mutual=True))
    context = client_context(certificates, "billing")
    with connect(server, context) as first:
        first.sendall(PREFACE)
        assert first.recv(9)
        # A session that goes on is known by the certificate that began it.
        session = first.session
    with (
        connect(server, context, session=session) as theirs,
        channel_to(server, certificates, client="stranger") as channel,
    ):
        assert theirs.session_reused
        theirs.sendall(PREFACE)
        assert theirs.recv(9)
        assert served(contract, channel)
        revoked.write_text(fingerprint(certificates / "billing.pem"))
        # A GOAWAY, then the end.
        assert bytes([7, 0, 0, 0, 0, 0]) in everything(theirs)
        logged(server, "their client certificates are revoked", "connections=1")
        assert served(contract, channel), "whoever is not revoked goes on"
    with channel_to(server, certificates, client="billing") as channel:
        failure = conftest.failure(
            contract.Stub(channel).CheckAndReserve, request(contract, spend=1, tenant_id="globex")
        )
        assert failure.code == grpc.StatusCode.UNAVAILABLE
    with connect(server, context, session=session) as theirs:
        assert everything(theirs) == b""
    logged(server, "a client certificate is revoked", "CN=billing")
    names = subprocess.run(
        ["openssl", "x509", "-in", certificates / "stranger.pem", "-noout", "-issuer", "-serial",
         "-nameopt", "RFC2253"],
        capture_output=True, text=True, check=True,
    ).stdout
    issuer, serial = (line.split("=", 1)[1] for line in names.splitlines())
    revoked.write_text(f"serial {serial} issuer {issuer}\n")
    server.process.send_signal(signal.SIGHUP)
    logged(server, "the list of revoked certificates is loaded", "port=grpc", "revoked=1", count=2)
    with connect(server, client_context(certificates, "stranger")) as theirs:
        assert everything(theirs) == b""


@pytest.mark.parametrize("path", ["/live/events", pytest.param(None, marks=pytest.mark.thorough)])
def test_a_revoked_certificate_ends_requests_over_rest_in_time(serve, certificates, tmp_path, path):
    revoked = tmp_path / "revoked.txt"
    revoked.write_text("")
    server = serve(*flags(certificates, "--tls-revoked", revoked, mutual=True))
    context = client_context(certificates, "billing", protocols=())
    with connect(server, context, http_port(server)) as theirs:
        if path:
            # A stream has no end of its own.
            theirs.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        else:
            # A body that does not come has longer than this otherwise.
            theirs.sendall(b"POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n")
            theirs.sendall(b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n")
        assert theirs.recv(9) == b"HTTP/1.1 "
        revoked.write_text(fingerprint(certificates / "billing.pem"))
        logged(server, "their client certificates are revoked", "port=http", "connections=1")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while theirs.recv(65_536):
                assert time.monotonic() - began < 15, "it goes on"
        assert time.monotonic() - began < 15


# Other certificates while it runs.


@pytest.mark.parametrize("how", ["file", "signal"])
def test_new_certificates_without_an_end_of_connections(contract, serve, certificates, others, tmp_path, how):
    used = tmp_path / "used"
    used.mkdir()
    for name in ("server.pem", "server-key.pem", "ca.pem"):
        (used / name).write_bytes((certificates / name).read_bytes())
        (used / name).chmod(0o644)

    def replace(directory):
        for name in ("server-key.pem", "server.pem"):
            (used / "next").write_bytes((directory / name).read_bytes())
            os.replace(used / "next", used / name)

    server = serve(*flags(used))
    # Which anybody could, as this test made it.
    logged(server, "other users of this machine can access a private key", "server-key.pem")
    with channel_to(server, certificates) as channel:
        assert served(contract, channel)
        (used / "server-key.pem").write_text("no key\n")
        if how == "signal":
            server.process.send_signal(signal.SIGHUP)
        logged(server, "the new certificates cannot be used", "port=grpc", "contains no PEM private key")
        with channel_to(server, certificates) as another:
            assert served(contract, another), "what was there stays in force"
        replace(others)
        if how == "signal":
            server.process.send_signal(signal.SIGHUP)
        logged(server, "certificates are loaded and used for new connections", "port=grpc")
        assert served(contract, channel), "a connection that is open goes on"
        with channel_to(server, others) as another:
            assert served(contract, another)
        assert served(contract, channel)
    # Between one file and the next, that they do not fit may be said too.
    errors = [line for line in server.log if "contains no PEM private key" in line and "port=grpc" in line]
    assert len(errors) == 1 or how == "signal", errors


# What goes wrong.


def test_plaintext_on_a_port_of_tls(shared):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as connection:
        connection.sendall(PREFACE)
        assert b"This port requires TLS" in everything(connection)
    for port in (shared.port, http_port(shared)):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = everything(connection)
            assert answer.startswith(b"HTTP/1.1 400 ") and b"This port requires TLS" in answer
    for port in ("grpc", "http"):
        logged(shared, "a peer does not speak TLS on a TLS port", f"port={port}")


def test_grpcio_without_tls_learns_why(contract, shared):
    with grpc.insecure_channel(shared.endpoint) as channel:
        failure = conftest.failure(
            contract.Stub(channel).CheckAndReserve, request(contract, spend=1, tenant_id="globex")
        )
        assert failure.code == grpc.StatusCode.UNAVAILABLE and "HTTP status 400" in failure.message


def test_tls_on_a_port_of_plaintext(contract, server, certificates):
    for port, log in ((server.port, 1), (http_port(server), 2)):
        with pytest.raises((ssl.SSLError, OSError)):
            connect(server, client_context(certificates), port).close()
        logged(server, "a peer speaks TLS on a plaintext port", count=log)
    with socket.create_connection(("127.0.0.1", http_port(server)), timeout=60) as connection:
        connection.sendall(bytes([22, 3, 1, 0, 5, 1, 0, 0, 1, 0]))
        assert everything(connection) == bytes([21, 3, 1, 0, 2, 2, 40])


def test_a_peer_that_does_not_ask_for_http2(shared, certificates):
    for protocols in ((), ("http/1.1",)):
        with connect(shared, client_context(certificates, protocols=protocols)) as connection:
            assert connection.selected_alpn_protocol() is None
            assert everything(connection) == b""
    logged(shared, "did not offer HTTP/2 (ALPN h2)")


def test_a_handshake_takes_no_longer_than_it_may(serve, certificates):
    server = serve(*flags(certificates, "--tls-handshake-timeout", "1s"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as silent:
        assert everything(silent) == b""
    with socket.create_connection(("127.0.0.1", http_port(server)), timeout=60) as slow:
        # The beginning of a record that never ends.
        slow.sendall(bytes([22, 3, 1, 2, 0, 1]))
        assert everything(slow) == b""
    logged(server, "a TLS handshake took too long", "port=grpc")
    logged(server, "a TLS handshake took too long", "port=http")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 64,
        bytes([22, 3, 1, 0, 4]) + b"\xff" * 4,
        bytes([22, 3, 3, 0x40, 1]) + b"\x01" * 0x4001,
        bytes([0x80, 0x2E, 1, 3, 1]) + b"\x00" * 64,
        bytes([23, 3, 3, 0, 8]) + b"\x00" * 8,
        bytes(range(256)) * 16,
    ],
)
def test_garbage_in_place_of_a_handshake(shared, garbage):
    for port in (shared.port, http_port(shared)):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(garbage)
            answer = everything(connection)
            assert answer == b"" or answer[0] == 21, "an alert, or nothing"
    assert shared.process.poll() is None


def test_more_handshakes_than_may_be_do_not_keep_others_out(contract, serve, certificates):
    server = serve(*flags(certificates, "--tls-max-handshakes", "8", "--tls-handshake-timeout", "10m"))
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)) for _ in range(40)
        ]
        with channel_to(server, certificates) as channel:
            assert served(contract, channel)
        logged(server, "an address has reached its maximum number of TLS handshakes")
        # The first of them had to go.
        assert everything(silent[0]) == b""


def test_a_drain_under_tls_loses_no_call(contract, serve, certificates, tmp_path):
    """A call that fails since the service stops was not done: the books of the next start say so."""
    arguments = ("--data-dir", str(tmp_path / "data"), "--drain-timeout", "60s")
    server = serve(*arguments, *flags(certificates))
    with channel_to(server, certificates) as channel, channel_to(server, certificates) as idle:
        served(contract, idle)
        load = Load(contract, channel)
        eventually(lambda: load.charged > 50 or load.failures, what="a charge")
        with socket.create_connection(("127.0.0.1", server.port), timeout=60):
            # A handshake keeps nobody waiting.
            assert server.stop() == 0
        load.end()
    assert {code for code, _ in load.failures} == {grpc.StatusCode.UNAVAILABLE}, load.failures
    assert len(load.failures) == len(load.threads)
    assert spent(contract, serve(*arguments)) == load.charged


# Files and settings that do not do.


def refused(*arguments):
    done = subprocess.run(
        [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
         "--http-listen", "127.0.0.1:0", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )
    return done.returncode, done.stderr


def test_files_that_do_not_do_keep_it_from_starting(certificates, others, tmp_path):
    own, key = certificates / "server.pem", certificates / "server-key.pem"
    encrypted = tmp_path / "encrypted.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-out", encrypted, "-passout", "pass:secret"], check=True
    )
    for certificate, its_key, sentence in (
        (own, encrypted, f"{encrypted} contains an encrypted private key"),
        (own, others / "server-key.pem", "is not the key of the certificate"),
    ):
        status, error = refused("--tls-certificate", certificate, "--tls-key", its_key)
        assert status == 64 and sentence in error, error
        assert error.strip().count("\n") == 0, error


def test_plaintext_beyond_loopback_must_be_said(certificates, serve):
    done = subprocess.run(
        [BINARY, "serve", "--durability", "memory", "--grpc-listen", "0.0.0.0:0", "--http-listen", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 64 and "--insecure-allow-plaintext" in done.stderr
    serve("--grpc-listen", "0.0.0.0:0", "--http-listen", "0.0.0.0:0", *flags(certificates), auth=True)


# The tool.


def test_the_tool_overwrites_nothing_and_keeps_keys_private(tmp_path):
    directory = make(tmp_path / "made", "--days", "2", "--server", "example.org,10.1.2.3,::1")
    for name in ("ca", "server", "client"):
        assert (directory / f"{name}-key.pem").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    done = subprocess.run([TOOL, directory], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "is there already" in done.stderr
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    text = subprocess.run(
        ["openssl", "x509", "-in", directory / "server.pem", "-noout", "-text"],
        capture_output=True, text=True, check=True,
    ).stdout
    assert "DNS:example.org, IP Address:10.1.2.3, IP Address:0:0:0:0:0:0:0:1" in text and "prime256v1" in text
    for arguments in (["--days", "0"], ["--days", "x"], ["--client", "x"], ["--client", "ca=a"], ["--nonsense"], []):
        done = subprocess.run(
            [TOOL, *arguments, *([tmp_path / "none"] if arguments else [])], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 2 and "--help" in done.stderr, arguments
        assert not (tmp_path / "none").exists()
