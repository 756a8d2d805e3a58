"""Traces as a collector gets them (OTLP over HTTP as JSON, read with OpenTelemetry's own messages), and collectors that
fail: nobody who calls notices."""

import base64
import contextlib
import http.client
import http.server
import json
import re
import socket
import threading
import time

import grpc
import pytest
from conftest import request
from control import Rest, eventually
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from scraping import scrape

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"


def parsed(body):
    """A request's body as a message. In OTLP's JSON ids are hexadecimal digits, where protobuf's has base64."""
    text = re.sub(r'"(traceId|spanId|parentSpanId)":"([0-9a-f]+)"',
                  lambda match: f'"{match[1]}":"{base64.b64encode(bytes.fromhex(match[2])).decode()}"', body.decode())
    return json_format.Parse(text, ExportTraceServiceRequest())


class Collector:
    """`answer(number)` gives (status, headers, body) of the number-th request, from 1; it may block. `spans` are those
    that were taken, `bodies` all that came."""

    def __init__(self, answer=lambda number: (200, {}, b"{}")):
        self.bodies, self.spans, self.resources, self.times = [], [], [], []
        collector = self
        lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                assert self.path == "/base/v1/traces" and self.headers["Content-Type"] == "application/json"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    collector.bodies.append(body)
                    collector.times.append(time.monotonic())
                    number = len(collector.bodies)
                status, headers, content = answer(number)
                if status == 200:
                    message = parsed(body)
                    for resource in message.resource_spans:
                        collector.resources.append({item.key: item.value.string_value
                                                    for item in resource.resource.attributes})
                        for scope in resource.scope_spans:
                            assert scope.scope.name == "tollgate"
                            collector.spans += scope.spans
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(content))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/base/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, name, count=1):
        """The spans of a name, once there are so many."""
        return eventually(lambda: len(found := [span for span in list(self.spans) if span.name == name]) >= count and found,
                          what=f"{count} spans {name}")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    """collector(answer): one that is closed after the test."""
    made = []

    def start(*arguments):
        made.append(Collector(*arguments))
        return made[-1]

    yield start
    for one in made:
        one.close()


def attributes(span):
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def children(spans, parent):
    return {span.name: span for span in spans if span.parent_span_id == parent.span_id}


CHECK = "tollgate.v1.LimitService/CheckAndReserve"


def test_a_call_of_grpc(contract, serve, tmp_path, collector):
    there = collector()
    server = serve("--data-dir", str(tmp_path / "data"), "--otlp-endpoint", there.url, "--trace-share", "0")
    before = time.time_ns()
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        metadata = [("traceparent", SAMPLED), ("tracestate", "vendor=1"), ("tracestate", "other=2")]
        stub.CheckAndReserve(request(contract, "acme", dids=1), timeout=60, metadata=metadata)
        [span] = there.named(CHECK)
        after = time.time_ns()
        assert span.trace_id.hex() == TRACE and span.parent_span_id.hex() == PARENT
        assert span.trace_state == "vendor=1,other=2" and span.kind == Span.SPAN_KIND_SERVER
        assert before <= span.start_time_unix_nano <= span.end_time_unix_nano <= after
        assert span.status.code == Status.STATUS_CODE_UNSET
        found = attributes(span)
        assert found.pop("client.port") > 1_024
        assert found == {"rpc.system": "grpc", "rpc.service": "tollgate.v1.LimitService", "rpc.method": "CheckAndReserve",
                         "rpc.grpc.status_code": 0, "client.address": "127.0.0.1", "tollgate.tenant": "acme", "tollgate.answer": "allowed"}
        steps = children(there.spans, span)
        assert sorted(steps) == ["decide", "wait for disk"]
        decide, wait = steps["decide"], steps["wait for disk"]
        assert span.start_time_unix_nano <= decide.start_time_unix_nano <= decide.end_time_unix_nano
        assert decide.end_time_unix_nano <= wait.start_time_unix_nano < wait.end_time_unix_nano
        assert wait.end_time_unix_nano <= span.end_time_unix_nano
        assert all(step.trace_id == span.trace_id and step.kind == Span.SPAN_KIND_INTERNAL for step in steps.values())

        # Nothing is put on record: nothing waits. And a failure of the caller's is no error of the service's.
        stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"), timeout=60, metadata=[("traceparent", SAMPLED)])
        [usage] = there.named("tollgate.v1.LimitService/GetUsage")
        assert sorted(children(there.spans, usage)) == ["decide"]
        with pytest.raises(grpc.RpcError):
            stub.Release(contract.ReleaseRequest(reservation_id=7), timeout=60, metadata=[("traceparent", SAMPLED)])
        [release] = there.named("tollgate.v1.LimitService/Release")
        assert release.status.code == Status.STATUS_CODE_UNSET and attributes(release)["rpc.grpc.status_code"] != 0
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/no.Such/Method")(b"", timeout=60, metadata=[("traceparent", SAMPLED)])
        [unknown] = there.named("unknown")
        assert unknown.status.code == Status.STATUS_CODE_ERROR and unknown.status.message == "UNIMPLEMENTED"
    resource = there.resources[0]
    assert resource["service.name"] == "tollgate" and resource["service.version"] and resource["service.instance.id"]


def test_a_request_of_rest(serve, tmp_path, collector):
    there = collector()
    server = serve("--data-dir", str(tmp_path / "data"), "--otlp-endpoint", there.url, "--trace-share", "0")
    body = {"tenant_id": "acme", "action": "charge", "quantities": {"dids": 1}}
    answer = Rest(server).post("/v2/check_and_reserve", body, headers={"traceparent": SAMPLED, "tracestate": "v=1"})
    assert answer.status == 200, answer
    [span] = there.named("POST /v2/check_and_reserve")
    assert span.trace_id.hex() == TRACE and span.parent_span_id.hex() == PARENT and span.trace_state == "v=1"
    assert attributes(span) == {"http.request.method": "POST", "http.route": "/v2/check_and_reserve",
                                "http.response.status_code": 200, "client.address": "127.0.0.1",
                                "tollgate.tenant": "acme"}
    assert sorted(children(there.spans, span)) == ["decide", "wait for disk"]

    # Nothing is put on record: nothing waits.
    assert Rest(server).get("/v2/reservations", headers={"traceparent": SAMPLED}).status == 200
    [read] = there.named("GET /v2/reservations")
    assert sorted(children(there.spans, read)) == ["decide"]
    # The page has no route, and a method that is not known no name.
    with contextlib.closing(http.client.HTTPConnection(server.http, timeout=60)) as connection:
        for method, path in (("GET", "/"), ("PROPFIND", "/v2/tenants")):
            connection.request(method, path, headers={"traceparent": SAMPLED})
            connection.getresponse().read()
    [page], [other] = there.named("GET"), there.named("HTTP /v2/tenants")
    assert "http.route" not in attributes(page) and attributes(other)["http.request.method"] == "_OTHER"


def test_callers_say_what_is_traced(contract, serve, collector):
    """And where they say nothing, or nothing that can be understood, the share does."""
    there = collector()
    none, all_ = (serve("--otlp-endpoint", there.url, "--trace-share", share, "--access-log", "all", "--log-format", "json")
                  for share in ("0", "1"))
    bad = [f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01",
           SAMPLED.upper(), "", "x" * 200]
    for server in (none, all_):
        with grpc.insecure_channel(server.endpoint) as channel:
            stub = contract.Stub(channel)

            def ask(*fields):
                stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"), timeout=60, metadata=fields)

            ask(("traceparent", f"00-{TRACE}-{PARENT}-00"))
            ask()
            for text in bad:
                ask(("traceparent", text))
            ask(("traceparent", SAMPLED))
    name = "tollgate.v1.LimitService/GetUsage"
    there.named(name, len(bad) + 3)
    assert server.stop() == 0 and none.stop() == 0
    spans = [span for span in there.spans if span.name == name]
    assert len(spans) == len(bad) + 3
    given = [span for span in spans if span.trace_id.hex() == TRACE]
    assert len(given) == 2 and all(span.parent_span_id.hex() == PARENT for span in given)
    own = [span for span in spans if span.trace_id.hex() != TRACE]
    assert all(span.parent_span_id == b"" and any(span.trace_id) for span in own)
    assert len({span.trace_id for span in own}) == len(own)
    # The log has the same numbers, also of calls that were not recorded.
    logged = [entry.get("trace_id") for line in all_.log if (entry := json.loads(line))["message"] == "call"]
    assert sorted(logged) == sorted([span.trace_id.hex() for span in own] + [TRACE] * 2)
    unrecorded = [entry.get("trace_id") for line in none.log if (entry := json.loads(line))["message"] == "call"]
    assert unrecorded.count(TRACE) == 2 and unrecorded.count(None) == len(bad) + 1


# MARK: Collectors that fail

class Silent:
    """Takes connections and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def close(self):
        self.socket.close()


def work(contract, server, calls=300):
    """Calls that are all traced; the longest time that one took."""
    longest = 0
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        for _ in range(calls):
            began = time.monotonic()
            stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"), timeout=60, metadata=[("traceparent", SAMPLED)])
            longest = max(longest, time.monotonic() - began)
    return longest


def lines(server, words):
    return [line for line in list(server.log) if words in line]


BEGIN, END = "traces cannot be exported", "traces are exported again"


@pytest.mark.parametrize("kind", ["hangs", "refuses", "answers garbage", "drips", "always fails"])
def test_a_collector_that_fails_harms_nobody(contract, serve, kind, collector):
    stop = threading.Event()

    def drip(number):
        stop.wait(60)
        return 200, {}, b""

    there = {
        "hangs": Silent, "refuses": Silent, "answers garbage": Silent, "drips": lambda: collector(drip),
        "always fails": lambda: collector(lambda number: (400, {}, b"\x00" * 100_000)),
    }[kind]()
    url = there.url
    if kind == "refuses":
        there.close()
    if kind == "answers garbage":

        def babble():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = there.socket.accept()
                    connection.sendall(b"\x00\xff this is no HTTP\r\n\r\n" * 100)
                    connection.close()

        threading.Thread(target=babble, daemon=True).start()
    try:
        server = serve("--otlp-endpoint", url, "--otlp-timeout", "300ms", "--trace-queue", "100")
        assert work(contract, server) < 5
        eventually(lambda: lines(server, BEGIN), what="a line in the log")
        eventually(lambda: lines(server, "spans are dropped"), what="the loss")
        assert work(contract, server) < 5 and Rest(server).get("/readyz").status == 200
        assert len(lines(server, BEGIN)) == 1, server.log
        began = time.monotonic()
        assert server.stop() == 0
        # A second for what waits, and the rest of a stop.
        assert time.monotonic() - began < 20
    finally:
        stop.set()
        if kind != "refuses" and isinstance(there, Silent):
            there.close()


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_that_is_overloaded_is_asked_again_when_it_says(contract, serve, status, collector):
    there = collector(lambda number: (status, {"Retry-After": "2"}, b"") if number == 1 else (200, {}, b"{}"))
    server = serve("--otlp-endpoint", there.url)
    work(contract, server, calls=3)
    eventually(lambda: len(there.bodies) >= 2, what="the second attempt")
    assert there.bodies[0] == there.bodies[1]
    assert 1.9 <= there.times[1] - there.times[0] < 30
    eventually(lambda: lines(server, END), what="the end")
    assert len(lines(server, BEGIN)) == 1 and f"answered {status}" in lines(server, BEGIN)[0]
    there.named("tollgate.v1.LimitService/GetUsage", 3)


def test_what_a_collector_refuses_is_not_sent_again(contract, serve, collector):
    there = collector(lambda number: (400, {"Retry-After": "0"}, b"") if number == 1 else (200, {}, b"{}"))
    server = serve("--otlp-endpoint", there.url, "--ops-listen", "127.0.0.1:0")
    work(contract, server, calls=1)
    eventually(lambda: there.bodies, what="the first")
    eventually(lambda: lines(server, BEGIN), what="a line")
    work(contract, server, calls=1)
    eventually(lambda: lines(server, END), what="the end")
    assert len(there.bodies) == 2 and there.bodies[0] != there.bodies[1]
    refused = len(parsed(there.bodies[0]).resource_spans[0].scope_spans[0].spans)

    def counts():
        found = scrape(server.ops)
        return [found(f"tollgate_spans_{what}") for what in ("dropped_total", "exported_total", "waiting")]

    eventually(lambda: counts() == [refused, len(there.spans), 0], what="their numbers among the metrics")


def test_a_stop_sends_what_waits(contract, serve, collector):
    there = collector()
    server = serve("--otlp-endpoint", there.url)
    work(contract, server, calls=50)
    assert server.stop() == 0
    assert len([span for span in there.spans if span.name.endswith("GetUsage")]) == 50


def test_a_stop_sends_what_is_under_way(contract, serve, collector):
    """The collector has a batch and has not answered: it gets that again."""
    stop = threading.Event()

    def answer(number):
        if number == 1:
            stop.wait(60)
            return 500, {}, b""
        return 200, {}, b"{}"

    there = collector(answer)
    server = serve("--otlp-endpoint", there.url)
    work(contract, server, calls=50)
    eventually(lambda: there.bodies, what="the first batch")
    assert server.stop() == 0
    stop.set()
    calls = {span.span_id for span in there.spans if span.name.endswith("GetUsage")}
    assert len(calls) == 50


def test_a_refusing_collector_is_one_condition(contract, serve, collector):
    """Spans that it refuses are no sign of an overload."""
    there = collector(lambda number: (400, {}, b""))
    server = serve("--otlp-endpoint", there.url)
    for number in range(1, 4):
        work(contract, server, calls=3)
        eventually(lambda: len(there.bodies) >= number, what="a batch")
    assert server.stop() == 0
    assert len(lines(server, BEGIN)) == 1 and not lines(server, "spans are dropped")


def test_spans_that_are_rejected_are_told(contract, serve, collector):
    there = collector(lambda number: (200, {}, json.dumps({"partialSuccess": {"rejectedSpans": "1"}}).encode()))
    server = serve("--otlp-endpoint", there.url)
    work(contract, server, calls=3)
    eventually(lambda: lines(server, "the collector rejected spans"), what="a line")
    assert BEGIN in lines(server, "the collector rejected spans")[0]
