"""What gRPC over HTTP/2 asks of a server, where no other test shows it; docs/grpc.md has the whole list."""

import base64
import struct

import grpc
import h2.events
import pytest
from conftest import failure, request, usage
from google.rpc import status_pb2
from test_http2 import METHOD, Raw, status


@pytest.fixture
def raw(server):
    connection = Raw(server)
    yield connection
    connection.socket.close()


def framed(message):
    return struct.pack(">BI", 0, len(message)) + message


@pytest.fixture
def good(contract):
    return framed(request(contract, spend=1).SerializeToString())


def frames(raw, stream):
    """What comes on a stream until it ends: kinds of events and their fields."""
    seen = []
    while True:
        data = raw.socket.recv(65_536)
        assert data, "connection closed"
        for event in raw.http2.receive_data(data):
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                fields = {name.decode(): value.decode() for name, value in event.headers}
                seen.append((type(event).__name__, fields, event.stream_ended is not None))
            elif isinstance(event, h2.events.DataReceived):
                seen.append(("DataReceived", event.data, event.stream_ended is not None))
            elif isinstance(event, h2.events.StreamEnded):
                raw.flush()
                return seen
        raw.flush()


def test_a_status_stands_in_trailers(raw, good):
    head, data, trailers = frames(raw, raw.send(good))
    assert head[0] == "ResponseReceived" and head[1] == {":status": "200", "content-type": "application/grpc"}
    assert data[0] == "DataReceived" and not data[2]
    assert trailers[0] == "TrailersReceived" and trailers[1] == {"grpc-status": "0"} and trailers[2]


def test_a_failure_is_one_head(raw, contract):
    """Trailers-Only: HTTP's status, the content type and gRPC's status in one HEADERS that ends the stream."""
    body = framed(request(contract, "nobody", spend=1).SerializeToString())
    (kind, fields, ends), = frames(raw, raw.send(body))
    assert kind == "ResponseReceived" and ends
    assert {":status": "200", "content-type": "application/grpc", "grpc-status": "5"}.items() <= fields.items()
    # -bin fields are sent without padding.
    details = fields["grpc-status-details-bin"]
    assert "=" not in details
    assert status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4))).code == 5


def test_an_empty_stream_has_its_status_in_trailers(raw):
    stream = raw.send(b"", path="/tollgate.v1.LimitService/CheckAndReserveStream")
    head, trailers = frames(raw, stream)
    assert head[1] == {":status": "200", "content-type": "application/grpc"} and not head[2]
    assert trailers[1] == {"grpc-status": "0"}


@pytest.mark.parametrize("value", ["AQID", "AQIDBA==", "AQIDBA", "", "AQ,Ag==", "not base64!", "=" * 10])
def test_binary_metadata_is_padded_or_not(raw, good, value):
    """What a call bears for others is theirs to read; it does no harm, and need not be what it says."""
    assert status(raw, raw.send(good, trace_bin=value, grpc_trace_bin=value, grpc_tags_bin=value)) == "0"


def test_binary_metadata_of_a_library(contract, stub):
    metadata = [("trace-bin", bytes(range(256))), ("empty-bin", b""), ("plain", "text"), ("user-agent-2", "x")]
    assert stub.CheckAndReserve(request(contract, spend=1), timeout=60, metadata=metadata).decision == contract.DECISION_ALLOWED


def test_te_is_not_insisted_upon(raw, good):
    """A proxy may have dropped it: the status comes in trailers all the same."""
    stream = raw.http2.get_next_available_stream_id()
    fields = [(":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "x"),
              ("content-type", "application/grpc")]
    raw.http2.send_headers(stream, fields)
    raw.http2.send_data(stream, good, end_stream=True)
    raw.flush()
    assert status(raw, stream) == "0"


@pytest.mark.parametrize("path", ["/", "/tollgate.v1.LimitService", "/tollgate.v1.LimitService/", "/LimitService/Commit",
                                  "/tollgate.v1.LimitService/commit", METHOD + "/", METHOD + "?x=1", "/" + METHOD])
def test_unknown_paths(raw, good, path):
    fields, _, _ = raw.answer(raw.send(good, path=path))
    assert (fields[":status"], fields["grpc-status"]) == ("200", "12")
    assert status(raw, raw.send(good)) == "0"


def test_a_stream_that_is_refused_was_not_touched(contract, serve):
    """REFUSED_STREAM says that a call may be made again: nothing of it was done."""
    server = serve("--max-concurrent-streams", "2")
    raw = Raw(server)
    # SETTINGS have not come yet, as far as this client knows.
    body = framed(request(contract, spend=7).SerializeToString())
    waiting = [raw.send(body[:3], end=False) for _ in range(2)]
    refused = raw.send(body)
    assert raw.answer(refused)[2] == "reset"
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        assert usage(contract, stub, "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (0, 0)
    for stream in waiting:
        raw.http2.send_data(stream, body[3:], end_stream=True)
        raw.flush()
        assert status(raw, stream) == "0"
    raw.socket.close()


def test_messages_are_percent_encoded(contract, stub):
    """A status message in grpcio's hands is what was said, whatever it takes on the wire."""
    refused = failure(stub.CheckAndReserve, request(contract, "nobody", spend=1))
    assert refused.message and refused.message.isprintable() and "%" not in refused.message
