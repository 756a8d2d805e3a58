"""TLS as our own clients speak it: the commands over gRPC and REST, and the load test."""

import os
import subprocess

import pytest
from conftest import BINARY, ROOT, Server
from test_loadtest import LOADTEST

TOOL = ROOT / "Tools/dev-certificates"
CHECK = ("check", "--tenant", "acme", "--action", "send-message", "--spend", "0.004", "--mode", "check-only")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A CA's certificates, and those of another that nobody knows."""
    base = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "others"):
        subprocess.run([TOOL, base / name], check=True, capture_output=True, timeout=120)
    return base


@pytest.fixture(scope="module")
def server(files):
    """Both ports speak TLS, and ask for a client's certificate."""
    ours = files / "ours"
    server = Server(
        "--tls-certificate", str(ours / "server.pem"), "--tls-key", str(ours / "server-key.pem"),
        "--tls-client-ca", str(ours / "ca.pem"), "--data-dir", str(files / "data"),
    )
    yield server
    assert server.stop() == 0, "".join(server.log)


def shows(files, who="ours"):
    return (
        "--ca", str(files / "ours/ca.pem"), "--certificate", str(files / who / "client.pem"),
        "--certificate-key", str(files / who / "client-key.pem"),
    )


def run(*arguments, **environment):
    done = subprocess.run(
        [BINARY, *arguments, "--timeout", "30s"], capture_output=True, text=True, timeout=90,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout + done.stderr


def grpc(server, *arguments, endpoint=None, **environment):
    return run(*CHECK, "--endpoint", endpoint or server.endpoint, *arguments, **environment)


def rest(server, *arguments, url=None, **environment):
    return run("tenants", "list", "--url", url or f"https://{server.http}", *arguments, **environment)


@pytest.mark.parametrize("ask", [grpc, rest])
def test_it_is_trusted_and_trusts(server, files, ask):
    status, text = ask(server, *shows(files))
    assert status == 0, text
    status, text = ask(
        server, TOLLGATE_TLS="true", TOLLGATE_CA=str(files / "ours/ca.pem"),
        TOLLGATE_CERTIFICATE=str(files / "ours/client.pem"),
        TOLLGATE_CERTIFICATE_KEY=str(files / "ours/client-key.pem"), TOLLGATE_SERVER_NAME="localhost",
    )
    assert status == 0, text


@pytest.mark.parametrize("ask", [grpc, rest])
def test_what_is_wrong_is_said_in_one_line(server, files, ask):
    ca = ("--ca", str(files / "ours/ca.pem"))
    cases = [
        (ca, "requires a client certificate"),
        (shows(files, "others"), "rejected the client certificate: unknown issuer"),
        (("--ca", str(files / "others/ca.pem")), "is not trusted: it was not issued by a trusted CA"),
    ]
    for arguments, sentence in cases:
        # The service refuses a certificate when the client believes that the handshake is over: what it says of that is
        # lost where the client goes on sending for long enough.
        for _ in range(20):
            status, text = ask(server, *arguments)
            assert status == 69 and text.count("\n") == 1, text
            if sentence in text:
                break
        assert sentence in text, text


def test_a_name_that_the_certificate_has_not(server, files):
    status, text = grpc(server, *shows(files), "--server-name", "tollgate.example")
    assert status == 69 and "is not trusted: it is for another host" in text, text


def test_an_address_is_no_name(serve, tmp_path):
    """Whoever leads a name astray may have a certificate for the address."""
    subprocess.run([TOOL, "--server", "127.0.0.1", tmp_path / "by"], check=True, capture_output=True, timeout=120)
    server = serve(
        "--tls-certificate", str(tmp_path / "by/server.pem"), "--tls-key", str(tmp_path / "by/server-key.pem"),
        "--data-dir", str(tmp_path / "data"),
    )
    ca = ("--ca", str(tmp_path / "by/ca.pem"))
    port = server.http.rsplit(":", 1)[1]
    for ask, address in ((grpc, {"endpoint": server.endpoint}), (rest, {"url": f"https://127.0.0.1:{port}"})):
        status, text = ask(server, *ca, **address)
        assert status == 0, text
        status, text = ask(server, *ca, "--server-name", "tollgate.example", **address)
        assert status == 69 and "is not trusted: it is for another host" in text, text
    status, text = rest(server, *ca, url=f"https://localhost:{port}")
    assert status == 69 and "is not trusted: it is for another host" in text, text


def test_the_other_port_and_plaintext(server, files):
    status, text = grpc(server, *shows(files), endpoint=server.http)
    assert status == 69 and 'speaks TLS, but not HTTP/2 (ALPN "h2")' in text, text
    status, text = grpc(server)
    assert status == 69 and "requires TLS" in text, text
    status, text = rest(server, url=f"http://{server.http}")
    assert status == 65 and "This port requires TLS" in text, text


def test_tls_where_there_is_none(serve, files):
    plain = serve()
    status, text = grpc(plain, *shows(files))
    assert status == 69 and "does not speak TLS" in text, text
    status, text = rest(plain, *shows(files))
    assert status == 69 and "TLS" in text, text


def test_several_endpoints_are_one_service(server, files):
    status, text = grpc(server, *shows(files), endpoint=f"127.0.0.1:1,{server.endpoint}")
    assert status == 0, text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ca", "/nowhere.pem"), "The CA file /nowhere.pem cannot be read: no such file."),
        (("--certificate", "/nowhere.pem"), "A client certificate and its key must be given together."),
        (("--tls", "--server-name", "10.0.0.1"), 'The server name must be a DNS name, not "10.0.0.1".'),
        (("--endpoint", "one:1,two"), "several separated by commas"),
    ],
)
def test_flags_that_are_wrong(arguments, sentence):
    status, text = run(*CHECK, *arguments)
    assert status == 64 and sentence in text, text


def test_flags_of_tls_need_https(server, files):
    status, text = rest(server, *shows(files), url=f"http://{server.http}")
    assert status == 64 and "need https" in text, text
    status, text = grpc(server, TOLLGATE_TLS="perhaps")
    assert status == 64 and "TOLLGATE_TLS must be true or false" in text, text


def test_the_load_test(serve, files, tmp_path):
    settings = ["--rate", "200", "--duration", "500ms", "--tenants", "5", "--pause", "10ms"]
    limits = tmp_path / "limits.yaml"
    subprocess.run([LOADTEST, *settings, "--write-limits", limits], check=True, timeout=60)
    ours = files / "ours"
    server = serve(
        "--tls-certificate", str(ours / "server.pem"), "--tls-key", str(ours / "server-key.pem"),
        "--tls-client-ca", str(ours / "ca.pem"), "--data-dir", str(tmp_path / "data"), limits=limits,
    )
    done = subprocess.run(
        [LOADTEST, *settings, "--endpoint", server.endpoint, "--timeout", "60s", *shows(files)],
        capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
