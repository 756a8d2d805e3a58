"""The log as whoever reads it sees it: JSON, the access log, what never stands in it, and readers that stop or leave."""

import contextlib
import datetime
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import grpc
import pytest
from conftest import BINARY, failure, request
from control import Rest, eventually
from receivers import MailServer, Receiver
from test_tls import make

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def objects(server):
    """The log's lines as objects: each is one, and its time and level are what they should be."""
    found = []
    for line in list(server.log):
        entry = json.loads(line, object_pairs_hook=unique)
        assert isinstance(entry, dict), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"]), line
        said = datetime.datetime.fromisoformat(entry["time"])
        assert abs(said.timestamp() - time.time()) < 600, line
        assert entry["level"] in ("trace", "debug", "info", "notice", "warning", "error", "critical"), line
        assert entry["message"] and len(line.encode()) <= 16_384, line
        found.append(entry)
    return found


def unique(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def calls(server):
    return [entry for entry in objects(server) if entry["message"] == "call"]


def call(server, count=1, **members):
    """The line of the access log that has these members, once it is there."""

    def found():
        return [line for line in calls(server) if members.items() <= line.items()]

    lines = eventually(lambda: len(found()) >= count and found(), what=f"a line with {members}")
    assert len(lines) == count, lines
    return lines[0]


# MARK: JSON

def test_each_line_is_an_object(serve, tmp_path):
    limits = tmp_path / 'a "strange"\n\tname\u2028.yaml'
    limits.write_text("tenants: [{id: acme, name: ACME}]\n")
    server = serve("--log-format", "json", "--log-level", "debug", "--data-dir", str(tmp_path / "data"), limits=limits)
    Rest(server).get("/v2/tenants?filter[id]=%0A%22")
    limits.write_text("tenants: [{id: acme, name: 1, nonsense: 2}]\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: any("was not applied" in line for line in server.log), what="the refusal")
    assert server.stop() == 0
    entries = objects(server)
    assert [entry for entry in entries if entry["message"] == "reading the limits file again"][0]["file"] == str(limits)
    assert entries[-1]["message"] == "stopped" and entries[-1]["level"] == "info"
    assert "request" in {entry["message"] for entry in entries}


@pytest.mark.parametrize("way", ["flag", "environment", "file", "file with a mistake"])
def test_what_keeps_it_from_starting_is_json_too(tmp_path, way):
    config = tmp_path / "tollgate.yaml"
    config.write_text("log-format: json\nthreads: many\n")
    arguments = {"flag": ["--log-format", "json", "--threads", "many"], "environment": ["--threads", "many"],
                 "file": ["--config", str(config)], "file with a mistake": ["--config", str(config), "--log-format=json"]}
    if way == "file with a mistake":
        config.write_text("nonsense: 1\n")
    environment = {**os.environ, "TOLLGATE_NONSENSE": "1"}
    if way == "environment":
        environment["TOLLGATE_LOG_FORMAT"] = "json"
    done = subprocess.run([BINARY, "serve", "--insecure-no-auth", *arguments[way]], capture_output=True, text=True,
                          timeout=60, env=environment)
    assert done.returncode == 64 and done.stdout == ""
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    assert [entry["level"] for entry in entries] == ["warning", "error"], entries
    assert "TOLLGATE_NONSENSE" in entries[0]["message"]
    assert "threads" in entries[1]["message"] or "nonsense" in entries[1]["message"]


def test_a_failed_start_is_json_too(server, tmp_path):
    done = subprocess.run([BINARY, "serve", "--insecure-no-auth", "--log-format", "json", "--durability", "memory",
                           "--grpc-listen", server.endpoint, "--http-listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 69
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    assert entries[-1]["level"] == "error" and "in use" in entries[-1]["message"]


@pytest.mark.parametrize("flag,value", [
    ("--log-format", "xml"), ("--access-log", "some"), ("--access-log-share", "2"), ("--access-log-share", "-0.1"),
    ("--access-log-share", "nan"), ("--access-log-share", "1e-3"), ("--access-log-rate", "0"),
    ("--access-log-queue", "1"), ("--log-level", "loud"), ("--trace-share", "all"), ("--trace-queue", "0"),
    ("--otlp-timeout", "0"), ("--otlp-endpoint", "127.0.0.1:4318"), ("--otlp-endpoint", "ftp://collector"),
    ("--otlp-endpoint", "http://"), ("--otlp-endpoint", "http://collector/#x"),
])
def test_wrong_settings_are_named(flag, value):
    done = subprocess.run([BINARY, "serve", "--insecure-no-auth", f"{flag}={value}"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 64 and flag in done.stderr and "must be" in done.stderr, done.stderr


@pytest.mark.parametrize("setting", ["otlp-endpoint", "public-url"])
@pytest.mark.parametrize("value", ["http://user:s3cret@collector", "http://collector/?key=s3cret", "http://collector/#s3cret",
                                   "s3cret"])
def test_a_url_that_is_refused_is_not_shown(tmp_path, setting, value):
    """It is refused for what it has in it: wherever it was set, and whoever checks it."""
    config = tmp_path / "tollgate.yaml"
    config.write_text(f"{setting}: {value}\n")
    variable = "TOLLGATE_" + setting.upper().replace("-", "_")
    ways = [([f"--{setting}={value}"], {}, f"--{setting}"), ([], {variable: value}, variable),
            (["--config", str(config)], {}, f"{setting} in {config}")]
    for command in (["serve", "--insecure-no-auth"], ["serve", "--check", "--insecure-no-auth"], ["config", "check"]):
        for arguments, environment, place in ways:
            done = subprocess.run([BINARY, *command, *arguments], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, **environment})
            assert done.returncode == 64 and f"{place} must be" in done.stderr, done.stderr
            assert "s3cret" not in done.stderr + done.stdout, done.stderr


def test_a_reload_does_not_show_a_url(serve, tmp_path):
    config = tmp_path / "tollgate.yaml"
    config.write_text("otlp-endpoint: http://127.0.0.1:1/base\n")
    server = serve("--config", str(config))
    config.write_text("otlp-endpoint: http://user:s3cret@127.0.0.1:1\n")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: any("otlp-endpoint in" in line for line in server.log), what="the refusal")
    assert server.stop() == 0
    assert "s3cret" not in "".join(server.log)


def test_text_is_one_line_whatever_it_says(serve, tmp_path):
    limits = tmp_path / "two\nlines\x1b[31m.yaml"
    limits.write_text("tenants: [{id: acme, name: ACME}]\n")
    server = serve(limits=limits)
    assert server.stop() == 0
    assert [line for line in server.log if "parsing the limits file" in line and "two\\nlines\\u001b[31m" in line]
    for line in server.log:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z]+ tollgate:.* \[\w+\] \S", line), line


# MARK: The access log

@pytest.fixture
def guarded(serve, tmp_path):
    """A server with an access log that asks for tokens, and its first operator's token."""
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), "--access-log", "all", "--log-format", "json", "--log-level", "error",
                   auth=True)
    return server, (data / "operator-token").read_text().strip()


def test_calls_have_lines(contract, guarded):
    server, token = guarded
    rest = Rest(server, token)
    (own,) = [row for row in rest.get("/v2/tokens").data if row["name"] == "first operator"]
    number = own["id"].replace("-", "")[:16]
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        bearer = [("authorization", f"Bearer {token}")]
        traced = [*bearer, ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-00")]
        stub.CheckAndReserve(request(contract, "acme", dids=1), timeout=60, metadata=traced)
        line = call(server, method="tollgate.v1.LimitService/CheckAndReserve", status="OK")
        assert line["protocol"] == "grpc" and line["answer"] == "allowed" and line["tenant"] == "acme"
        assert line["caller"] == number and line["trace_id"] == TRACE and 0 < line["duration_ms"] < 60_000
        assert line["peer"].startswith("127.0.0.1:") and line["level"] == "info"

        held = stub.CheckAndReserve(request(contract, "acme", dids=1), timeout=60, metadata=bearer)
        stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60, metadata=bearer)
        assert call(server, method="tollgate.v1.LimitService/Commit", status="OK")["tenant"] == "acme"

        stub.CheckAndReserve(request(contract, "acme", dids=10**9), timeout=60, metadata=bearer)
        assert call(server, answer="denied")["status"] == "OK"

        failure(stub.GetUsage, contract.GetUsageRequest(tenant_id="acme"), metadata=[("authorization", "Bearer x")])
        stranger = call(server, method="tollgate.v1.LimitService/GetUsage", status="UNAUTHENTICATED")
        assert "caller" not in stranger and "tenant" not in stranger

        failure(stub.GetUsage, contract.GetUsageRequest(tenant_id=""), metadata=bearer)
        assert call(server, status="INVALID_ARGUMENT")["caller"] == number

        watch = stub.WatchUsage(contract.WatchUsageRequest(tenant_id="acme"), metadata=bearer, timeout=60)
        next(iter(watch))
        watch.cancel()
        assert call(server, method="tollgate.v1.LimitService/WatchUsage", status="CANCELLED")["tenant"] == "acme"

        def messages():
            yield request(contract, "acme", dids=1)
            yield request(contract, "globex", dids=1)

        assert len(list(stub.CheckAndReserveStream(messages(), timeout=60, metadata=bearer))) == 2
        stream = call(server, method="tollgate.v1.LimitService/CheckAndReserveStream", status="OK")
        assert stream["caller"] == number and "tenant" not in stream

        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/no.Such/Method")(b"", timeout=60)
        assert call(server, method="unknown")["status"] == "UNIMPLEMENTED"


def test_requests_have_lines(guarded):
    server, token = guarded
    rest = Rest(server, token)
    rest.get("/v2/tenants/acme?secret=s3cret", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    line = call(server, route="/v2/tenants/{id}")
    assert line["method"] == "GET" and line["protocol"] == "http" and line["tenant"] == "acme"
    assert line["status"] == "422" and line["trace_id"] == TRACE and line["peer"] == "127.0.0.1"
    assert len(line["caller"]) == 16
    assert rest.check("acme", mode="reserve", dids=1).status == 200
    assert call(server, route="/v2/check_and_reserve")["tenant"] == "acme"
    assert Rest(server, "tg_wrong").get("/v2/tenants").status == 401
    assert "caller" not in call(server, status="401")
    assert rest.get("/v2/nothing").status == 404
    assert "route" not in call(server, status="404")
    assert rest.ask("DELETE", "/v2/tenants").status == 405
    assert call(server, status="405")["route"] == "/v2/tenants"
    with contextlib.closing(http.client.HTTPConnection(server.http, timeout=60)) as connection:
        connection.request("GET", "/login?next=/s3cret")
        assert connection.getresponse().status == 200
    assert call(server, route="page")["status"] == "200"
    # Of probes only those that fail.
    for path in ("/healthz", "/readyz"):
        assert Rest(server).get(path).status == 200
        assert Rest(server).get(path + "?x=1").status == 422
        assert call(server, route=path)["status"] == "422"
    with grpc.insecure_channel(server.endpoint) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        check(b"", timeout=60)
        failure(check, b"\x0a\x01x")
    assert call(server, method="grpc.health.v1.Health/Check")["status"] == "NOT_FOUND"
    with socket.create_connection(("127.0.0.1", port_of(server.http)), timeout=60) as connection:
        connection.sendall(b"n0nsense s3cret\r\n\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 400")
    assert call(server, method="_OTHER")["status"] == "400"
    assert "s3cret" not in "".join(server.log)


def test_a_stream_of_the_page_has_its_line_at_its_end(serve):
    server = serve("--access-log", "all", "--log-format", "json")
    with contextlib.closing(http.client.HTTPConnection(server.http, timeout=60)) as connection:
        connection.request("GET", "/live/events")
        stream = connection.getresponse()
        assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
        assert stream.readline()
        # Another request has a line meanwhile.
        assert Rest(server).get("/v2/tenant_defaults").status == 200
        call(server, route="/v2/tenant_defaults")
        assert not [line for line in calls(server) if line["route"] == "page"]
        assert server.stop() == 0
    assert call(server, route="page")["status"] == "200"


def test_nothing_is_logged_unless_it_is_wanted(contract, serve):
    server = serve("--log-format", "json")
    with grpc.insecure_channel(server.endpoint) as channel:
        contract.Stub(channel).CheckAndReserve(request(contract, "acme", dids=1), timeout=60)
    Rest(server).get("/v2/tenants")
    assert server.stop() == 0
    assert objects(server) and not calls(server)


def test_a_sample_has_a_bound(contract, serve):
    """Every call is one of the share, and three lines a second may be written."""
    server = serve("--log-format", "json", "--access-log", "sampled", "--access-log-share", "1", "--access-log-rate", "3")
    began = time.time()
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        for _ in range(200):
            stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"), timeout=60)
    assert server.stop() == 0
    seconds = int(time.time() - began) + 2
    told = len(calls(server))
    dropped = sum(int(entry["count"]) for entry in objects(server) if "lines of the access log" in entry["message"])
    assert told + dropped == 200 and 3 <= told <= 3 * seconds


def test_a_share_is_a_share(contract, serve):
    server = serve("--log-format", "json", "--access-log", "sampled", "--access-log-share", "0.2",
                   "--access-log-rate", "100000")
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        for _ in range(1_000):
            stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"), timeout=60)
    assert server.stop() == 0
    assert 120 <= len(calls(server)) <= 280


# MARK: Secrets

def port_of(address):
    return int(address.rsplit(":", 1)[1])


@pytest.mark.parametrize("level", ["debug", "trace"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_ever_logged(contract, serve, tmp_path, level, form):
    """The whole service with secrets of every kind, most of which fail on the way."""
    password = tmp_path / "password"
    password.write_text("p4ssw0rd-of-mails\n")
    password.chmod(0o600)
    mail = MailServer(users={"tollgate": "another"})
    broken = Receiver(lambda post, number: 500)
    issuer = {"issuer": "https://issuer.example", "audience": "tollgate", "scopes": ["check"],
              "keys": f"http://127.0.0.1:{broken.port}/keys-p4th?key=keys-qu3ry"}
    identities = tmp_path / "identities.yaml"
    identities.write_text(json.dumps({"issuers": [issuer]}))
    server = serve(
        "--log-level", level, "--log-format", form, "--access-log", "all", "--data-dir", str(tmp_path / "data"),
        "--identities", str(identities), "--smtp-host", "127.0.0.1", "--smtp-port", str(mail.port),
        "--smtp-security", "none", "--smtp-user", "tollgate", "--smtp-password-file", str(password),
        "--smtp-from", "alerts@example.com", "--webhook-allow-private", "127.0.0.1/32", "--webhook-backoff", "10ms",
        "--otlp-endpoint", f"http://127.0.0.1:{broken.port}/otlp-p4th", "--trace-share", "1", auth=True,
    )
    operator = (tmp_path / "data/operator-token").read_text().strip()
    rest = Rest(server, operator)
    made = rest.post("/v2/tokens", {"name": "made", "scope": "check"}).data
    secrets = {operator, made["secret"], "p4ssw0rd-of-mails", "keys-p4th", "keys-qu3ry", "otlp-p4th"}

    # Webhooks whose addresses are secrets, which are refused, cannot be reached, or answer with errors.
    for number, place in enumerate([f"127.0.0.1:{broken.port}", "127.0.0.1:1", "nowhere.invalid"]):
        url = f"http://{place}/hook-p4th-{number}?token=hook-qu3ry-{number}"
        endpoint = rest.post("/v2/webhook_endpoints", {"url": url})
        if endpoint.status == 200 and "secret" in json.dumps(endpoint.body):
            secrets |= set(re.findall(r'"(whsec_[^"]+)"', json.dumps(endpoint.body)))
        rest.post("/v2/webhook_endpoints", {"url": f"http://user:us3rinfo@{place}/hook-p4th-x"})
    secrets |= {"hook-p4th", "hook-qu3ry", "us3rinfo"}
    rest.post("/v2/email_recipients", {"address": "ops@example.org"})
    rest.post("/v2/tenants", {"id": "umbrella", "name": "Umbrella", "max_monthly_minutes": 10})
    rest.record("umbrella", call_seconds=590)

    # Callers who fail, with what they believe to be secrets.
    web_token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIn0.s1gnature-of-a-token"
    secrets |= {"tg_wr0ng-token", "s1gnature", "log-in-s3cret", "qu3ry-of-rest", "b0dy-of-rest", "c00kie"}
    for token in ("tg_wr0ng-token", web_token):
        Rest(server, token).get("/v2/tenants?q=qu3ry-of-rest")
        with grpc.insecure_channel(server.endpoint) as channel:
            failure(contract.Stub(channel).GetUsage, contract.GetUsageRequest(tenant_id="acme"),
                    metadata=[("authorization", f"Bearer {token}")])
    rest.post("/v2/tenants", {"id": "b0dy-of-rest", "b0dy-of-rest": "b0dy-of-rest"})
    rest.post("/v2/tenants", '{"b0dy-of-rest')
    with contextlib.closing(http.client.HTTPConnection(server.http, timeout=60)) as connection:
        form_body = urllib.parse.urlencode({"token": "log-in-s3cret", "next": "/?qu3ry-of-rest"})
        connection.request("POST", "/login?qu3ry-of-rest", form_body,
                           {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "tollgate=c00kie"})
        connection.getresponse().read()
    for junk in (b"GET /v2/tenants?qu3ry-of-rest HTTP/9\r\nAuthorization: Bearer tg_wr0ng-token\r\n\r\n",
                 b"\x16\x03\x01tg_wr0ng-token"):
        for port in (server.port, port_of(server.http)):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(junk)
                connection.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    connection.recv(4_096)

    eventually(lambda: mail.logins, what="a mail")
    eventually(lambda: any("failed for good" in line for line in server.log), what="the end of a delivery")
    eventually(lambda: any("keys cannot be read" in line for line in server.log), what="the issuer's failure")
    eventually(lambda: any("cannot be exported" in line for line in server.log), what="the collector's failure")
    assert server.stop() == 0
    everything = "".join(server.log) + server.ready
    assert len(server.log) > 30
    for secret in secrets:
        assert secret not in everything, [line for line in server.log if secret in line]
    mail.close()
    broken.close()


def test_no_key_of_tls_is_ever_logged(tmp_path, serve):
    """A key that is broken, and one of another certificate: the log says so, and shows nothing of either."""
    first, other = make(tmp_path / "first"), make(tmp_path / "other")
    certificate, key = tmp_path / "server.pem", tmp_path / "server-key.pem"
    certificate.write_bytes((first / "server.pem").read_bytes())
    key.write_bytes((first / "server-key.pem").read_bytes())
    server = serve("--tls-certificate", str(certificate), "--tls-key", str(key), "--log-level", "trace",
                   "--log-format", "json")
    lines = [line for name in (first, other) for line in (name / "server-key.pem").read_text().splitlines()[1:-1]]
    told = "the new certificates cannot be used; the loaded ones stay in use"

    def said(message):
        return [entry for entry in objects(server) if entry["message"] == message and entry.get("port") == "grpc"]

    for number, content in enumerate([(other / "server-key.pem").read_text(),
                                      (first / "server-key.pem").read_text()[:90] + "\n", "nonsense"], 1):
        key.write_text(content)
        eventually(lambda: len(said(told)) == number, what="the refusal")
    key.write_bytes((first / "server-key.pem").read_bytes())
    # The files are what they were: that it is over is told all the same.
    eventually(lambda: said("the certificate files can be used again"), what="the end")
    assert server.stop() == 0
    assert lines and not [line for line in lines if line in "".join(server.log)]


# MARK: Readers

def full_pipe():
    """A pipe that takes no byte more: its ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for piece in (b"x" * 4_096, b"x"):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, piece)
    os.set_blocking(writer, True)
    return reader, writer


@pytest.mark.parametrize("reader_is", ["asleep", "gone"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_that_nobody_reads_does_no_harm(contract, reader_is, form):
    """Each call has lines; nobody reads them, or the pipe is closed: calls are answered, pages shown, a stop obeyed."""
    reader, writer = full_pipe()
    process = subprocess.Popen(
        [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
         "--http-listen", "127.0.0.1:0", "--access-log", "all", "--log-format", form, "--log-level", "debug"],
        stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    try:
        ready = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)\n", process.stdout.readline())
        if reader_is == "gone":
            os.close(reader)
        with grpc.insecure_channel(ready[1]) as channel:
            stub = contract.Stub(channel)
            for _ in range(500):
                failure(stub.GetUsage, contract.GetUsageRequest(tenant_id="nobody"))
        for _ in range(20):
            with contextlib.closing(http.client.HTTPConnection(ready[2], timeout=60)) as connection:
                connection.request("GET", "/")
                connection.getresponse().read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)
        if reader_is == "asleep":
            os.close(reader)


@pytest.mark.parametrize("kind", ["calls", "entries"])
def test_lines_that_were_dropped_are_counted(contract, kind):
    """As JSON too. Nobody reads: calls wait in their queue, and what finds no room there has no line; other entries find
    the buffer full."""
    reader, writer = full_pipe()
    settings = ["--access-log", "all", "--access-log-queue", "100"] if kind == "calls" else ["--log-level", "debug"]
    process = subprocess.Popen(
        [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
         "--http-listen", "127.0.0.1:0", "--log-format", "json", *settings],
        stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    ready = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)\n", process.stdout.readline())
    # A megabyte of them may wait.
    if kind == "calls":
        with grpc.insecure_channel(ready[1]) as channel:
            stub = contract.Stub(channel)
            for _ in range(60):
                waiting = [stub.GetUsage.future(contract.GetUsageRequest(tenant_id="nobody"), timeout=60)
                           for _ in range(200)]
                for answer in waiting:
                    answer.exception()
    else:
        with contextlib.closing(http.client.HTTPConnection(ready[2], timeout=60)) as connection:
            for _ in range(3_000):
                connection.request("GET", "/v2/" + "x" * 500)
                connection.getresponse().read()
    process.send_signal(signal.SIGTERM)
    with open(reader, "rb") as pipe:
        lines = pipe.read().lstrip(b"x").splitlines()
    assert process.wait(60) == 0
    entries = [json.loads(line) for line in lines]
    words = "lines of the access log were dropped" if kind == "calls" else "were dropped here"
    dropped = [entry for entry in entries if words in entry["message"]]
    assert dropped and dropped[0]["level"] == "warning"
    if kind == "calls":
        told = [entry for entry in entries if entry["message"] == "call"]
        assert len(told) + sum(entry["count"] for entry in dropped) == 12_000 and len(dropped) <= 3
        assert not [entry for entry in entries if "were dropped here" in entry["message"]]


def test_a_burst_of_calls_has_all_of_its_lines(contract):
    """More than the log's buffer holds, for a reader that sleeps meanwhile."""
    reader, writer = full_pipe()
    process = subprocess.Popen(
        [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
         "--http-listen", "127.0.0.1:0", "--log-format", "json", "--access-log", "all"],
        stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    ready = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)\n", process.stdout.readline())
    with grpc.insecure_channel(ready[1]) as channel:
        stub = contract.Stub(channel)
        for _ in range(40):
            waiting = [stub.GetUsage.future(contract.GetUsageRequest(tenant_id="nobody"), timeout=60)
                       for _ in range(200)]
            for answer in waiting:
                answer.exception()
    told, others = 0, []
    with open(reader, "rb") as pipe:
        for line in pipe:
            message = json.loads(line.lstrip(b"x"))["message"]
            if message != "call":
                others.append(message)
                # If any were dropped, the count never comes.
                if "dropped" in message:
                    process.kill()
                continue
            told += 1
            if told == 8_000:
                process.send_signal(signal.SIGTERM)
    assert not [message for message in others if "dropped" in message]
    assert process.wait(60) == 0 and told == 8_000
