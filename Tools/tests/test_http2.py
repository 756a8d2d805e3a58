"""What no gRPC library would send: raw HTTP/2 through the h2 package."""

import socket
import struct

import grpc
import h2.connection
import h2.events
import pytest
from conftest import request, usage

METHOD = "/tollgate.v1.LimitService/CheckAndReserve"


class Raw:
    """A raw HTTP/2 connection."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.http2 = h2.connection.H2Connection()
        self.http2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.http2.data_to_send())

    def send(self, body, path=METHOD, method="POST", end=True, cuts=(), **fields):
        """Sends a request; its stream id. `cuts`: where the body is cut into DATA frames."""
        stream = self.http2.get_next_available_stream_id()
        headers = [
            (":method", method), (":scheme", "http"), (":path", path), (":authority", "test"),
            ("content-type", fields.pop("content_type", "application/grpc")), ("te", "trailers"),
        ]
        headers += [(name.replace("_", "-"), value) for name, value in fields.items()]
        self.http2.send_headers(stream, headers, end_stream=end and not body)
        places = [0, *cuts, len(body)] if body else []
        for start, stop in zip(places, places[1:]):
            self.http2.send_data(stream, body[start:stop], end_stream=end and stop == len(body))
            self.flush()
        self.flush()
        return stream

    def answer(self, stream):
        """Headers and trailers, and the body, of a stream that ends or is reset."""
        fields, body = {}, b""
        while True:
            data = self.socket.recv(65_536)
            if not data:
                return fields, body, "connection closed"
            for event in self.http2.receive_data(data):
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    fields.update({_text(name): _text(value) for name, value in event.headers})
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self.http2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamEnded):
                    self.flush()
                    return fields, body, "ended"
                elif isinstance(event, h2.events.StreamReset):
                    return fields, body, "reset"
            self.flush()


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


@pytest.fixture
def raw(server):
    connection = Raw(server)
    yield connection
    connection.socket.close()


@pytest.fixture
def good(contract):
    body = request(contract, spend=1).SerializeToString()
    return struct.pack(">BI", 0, len(body)) + body


def status(raw, stream):
    return raw.answer(stream)[0].get("grpc-status")


def test_a_good_call(raw, good):
    fields, body, end = raw.answer(raw.send(good))
    assert (fields[":status"], fields["grpc-status"], end) == ("200", "0", "ended")
    assert fields["content-type"].startswith("application/grpc")
    assert body[0] == 0 and len(body) == 5 + struct.unpack(">I", body[1:5])[0]


def test_data_boundaries_are_not_message_boundaries(raw, good):
    cuts = range(1, len(good))
    assert status(raw, raw.send(good, cuts=cuts)) == "0"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/grp", "application/grpc+json", ""])
def test_wrong_content_type(raw, good, content_type):
    fields, _, _ = raw.answer(raw.send(good, content_type=content_type))
    assert fields[":status"] == "415"
    assert status(raw, raw.send(good)) == "0"


@pytest.mark.parametrize(
    "content_type", ["application/grpc+proto", "application/grpc;v=1", "Application/GRPC", "APPLICATION/grpc+Proto"]
)
def test_right_content_types(raw, good, content_type):
    assert status(raw, raw.send(good, content_type=content_type)) == "0"


def test_only_post(raw, good):
    fields, _, _ = raw.answer(raw.send(b"", method="GET"))
    assert fields[":status"] != "200" or fields["grpc-status"] != "0"
    assert status(raw, raw.send(good)) == "0"


@pytest.mark.parametrize("count", [0, 2])
def test_unary_takes_one_message(raw, good, count):
    assert status(raw, raw.send(good * count)) in ("12", "13")
    assert status(raw, raw.send(good)) == "0"


def test_truncated_message(raw, good):
    assert status(raw, raw.send(good[:-1])) not in (None, "0")
    assert status(raw, raw.send(good[:3])) not in (None, "0")
    assert status(raw, raw.send(good)) == "0"


def test_compressed_flag_without_encoding(raw, good):
    assert status(raw, raw.send(b"\x01" + good[1:])) == "13"


def test_unknown_encoding(raw, good):
    fields, _, _ = raw.answer(raw.send(b"\x01" + good[1:], grpc_encoding="brotli"))
    assert fields["grpc-status"] == "12"
    assert "identity" in fields["grpc-accept-encoding"]


@pytest.mark.parametrize("timeout", ["1", "S", "123456789S", "-1S", "1s", "1.5S", ""])
def test_malformed_timeout(raw, good, timeout):
    fields, _, _ = raw.answer(raw.send(good, grpc_timeout=timeout))
    assert fields.get("grpc-status") != "0"
    assert status(raw, raw.send(good)) == "0"


@pytest.mark.parametrize("timeout", ["1H", "1M", "1S", "5000m", "5000000u", "99999999n"])
def test_timeouts(raw, good, timeout):
    for _ in range(100):
        answered = status(raw, raw.send(good, grpc_timeout=timeout))
        # A machine that stands still may be late for a short one, but not for a hundred.
        if answered != "4":
            break
    assert answered == "0"


def test_a_deadline_that_has_passed_holds_nothing(raw, contract, server):
    body = request(contract, spend=1_000).SerializeToString()
    framed = struct.pack(">BI", 0, len(body)) + body
    for _ in range(20):
        assert status(raw, raw.send(framed, grpc_timeout="1n")) == "4"
    with grpc.insecure_channel(server.endpoint) as channel:
        counted = usage(contract, contract.Stub(channel), "globex")
    assert counted[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (0, 0)


def test_the_deadline_runs_while_the_body_is_outstanding(raw, good):
    stream = raw.send(b"", end=False, grpc_timeout="200m")
    fields, _, end = raw.answer(stream)
    assert (fields["grpc-status"], end) == ("4", "ended")
    assert status(raw, raw.send(good)) == "0"


@pytest.mark.parametrize("count, size", [(70, 10), (5, 4_000)])
def test_too_much_metadata_is_a_status(raw, good, count, size):
    fields, _, end = raw.answer(raw.send(good, **{f"x{number}": "v" * size for number in range(count)}))
    assert (fields["grpc-status"], end) == ("8", "ended")
    assert status(raw, raw.send(good)) == "0"


def test_hundreds_of_fields_end_the_connection(raw, good):
    stream = raw.send(good, **{f"x{number}": "v" for number in range(300)})
    assert raw.answer(stream)[2] == "connection closed"


def test_a_huge_length_is_refused_at_once(raw, good):
    fields, _, end = raw.answer(raw.send(b"\x00\xff\xff\xff\xff" + b"x" * 1_000))
    assert fields.get("grpc-status") == "8" or end == "reset"
    assert status(raw, raw.send(good)) == "0"


def test_an_abandoned_request_harms_nobody(raw, good):
    stream = raw.send(good, end=False)
    raw.http2.reset_stream(stream)
    assert status(raw, raw.send(good)) == "0"


def test_garbage_instead_of_a_preface(server, good):
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 64, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as bare:
            bare.sendall(garbage)
            while bare.recv(65_536):
                pass
    connection = Raw(server)
    assert status(connection, connection.send(good)) == "0"
