"""gzip both ways: by grpcio, which compresses and accepts, and frame by frame."""

import gzip
import struct
import subprocess

import grpc
import pytest
from conftest import BINARY, failure, request, usage
from test_http2 import Raw, status

METHOD = "/tollgate.v1.LimitService/CheckAndReserve"
BATCH = "/tollgate.v1.LimitService/CheckAndReserveBatch"
STREAM = "/tollgate.v1.LimitService/CheckAndReserveStream"
GZIP = {"grpc_encoding": "gzip"}
BOTH = {"grpc_encoding": "gzip", "grpc_accept_encoding": "identity,gzip"}
# Holds that no test outlives.
HOUR = 3_600_000


@pytest.fixture
def raw(server):
    connection = Raw(server)
    yield connection
    connection.socket.close()


@pytest.fixture
def body(contract):
    return request(contract, spend=1, reference="r" * 64, idempotency_key="k" * 128).SerializeToString()


def batch(contract, count=500):
    one = request(contract, spend=1, include_limits=True, ttl_ms=HOUR)
    return contract.CheckAndReserveBatchRequest(requests=[one] * count)


def framed(message, flag=0):
    return struct.pack(">BI", flag, len(message)) + message


def packed(message):
    return framed(gzip.compress(message), 1)


def messages(data):
    """The messages of a body: (flag, bytes)."""
    found = []
    while data:
        flag, length = struct.unpack(">BI", data[:5])
        found.append((flag, data[5:5 + length]))
        data = data[5 + length:]
    return found


# MARK: grpcio


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.NoCompression])
def test_grpcio_compresses_everything(contract, server, compression):
    with grpc.insecure_channel(server.endpoint, compression=compression) as channel:
        stub = contract.Stub(channel)
        one = request(contract, spend=1, reference="r" * 64, idempotency_key="k" * 128, ttl_ms=HOUR)
        first = stub.CheckAndReserve(one, timeout=60)
        again = stub.CheckAndReserve(one, timeout=60)
        assert first.decision == contract.DECISION_ALLOWED and again.replayed
        results = stub.CheckAndReserveBatch(batch(contract), timeout=60).results
        assert [result.response.decision for result in results] == [contract.DECISION_ALLOWED] * 500
        one = request(contract, spend=1, include_limits=True, ttl_ms=HOUR)
        answers = list(stub.CheckAndReserveStream(iter([one] * 300), timeout=60))
        assert [answer.decision for answer in answers] == [contract.DECISION_ALLOWED] * 300
        refused = failure(stub.CheckAndReserve, request(contract, "nobody", spend=1, reference="r" * 64))
        assert refused.code == grpc.StatusCode.NOT_FOUND
        watch = stub.WatchUsage(contract.WatchUsageRequest(), timeout=60)
        assert any(answer.snapshot_complete for answer in watch)
        watch.cancel()
        assert usage(contract, stub, "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (0, 801)


def test_deflate_is_refused_by_name(contract, server):
    with grpc.insecure_channel(server.endpoint, compression=grpc.Compression.Deflate) as channel:
        call = contract.Stub(channel).CheckAndReserve
        # Long enough for the client to compress it.
        assert failure(call, request(contract, spend=1, reference="r" * 64, idempotency_key="k" * 128)).code == (
            grpc.StatusCode.UNIMPLEMENTED)


# MARK: frames


def test_requests(raw, body):
    for fields in (GZIP, BOTH):
        assert status(raw, raw.send(packed(body), **fields)) == "0"
        # A call that may compress need not.
        assert status(raw, raw.send(framed(body), **fields)) == "0"
    cuts = range(1, len(packed(body)))
    assert status(raw, raw.send(packed(body), cuts=cuts, **GZIP)) == "0"


def test_streams(raw, contract, body):
    fields, data, _ = raw.answer(raw.send(packed(body) + framed(body) + packed(body), path=STREAM, **BOTH))
    assert fields["grpc-status"] == "0" and fields["grpc-encoding"] == "gzip"
    # Too small to pay.
    assert [flag for flag, _ in messages(data)] == [0, 0, 0]


def test_the_flag_and_the_encoding_must_agree(raw, body):
    for fields in ({}, {"grpc_encoding": "identity"}, {"grpc_accept_encoding": "gzip"}):
        assert status(raw, raw.send(packed(body), **fields)) == "13"
        assert status(raw, raw.send(packed(body), path=STREAM, **fields)) == "13"
    for flag in (2, 0x80, 0xFF):
        assert status(raw, raw.send(framed(body, flag), **GZIP)) == "13"


@pytest.mark.parametrize("encoding", ["deflate", "snappy", "GZIP", "gzip,identity", ""])
def test_unknown_encodings(raw, body, encoding):
    fields, _, _ = raw.answer(raw.send(packed(body), grpc_encoding=encoding))
    assert fields["grpc-status"] == "12"
    assert fields["grpc-accept-encoding"].split(",") == ["identity", "gzip"]


def test_an_encoding_is_said_once(raw, body):
    stream = raw.http2.get_next_available_stream_id()
    raw.http2.send_headers(stream, [
        (":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "test"),
        ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", "gzip"), ("grpc-encoding", "gzip")])
    raw.http2.send_data(stream, packed(body), end_stream=True)
    raw.flush()
    assert status(raw, stream) == "13"


@pytest.mark.parametrize("damage", ["cut", "cut short", "empty", "checksum", "more", "two", "none"])
def test_damaged_gzip(raw, body, damage):
    good = gzip.compress(body)
    wrong = {
        "cut": good[:-1], "cut short": good[:12], "empty": b"", "checksum": good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
        "more": good + b"\0", "two": good + good, "none": body,
    }[damage]
    assert status(raw, raw.send(framed(wrong, 1), **GZIP)) == "13"
    assert status(raw, raw.send(framed(wrong, 1), path=STREAM, **GZIP)) == "13"
    assert status(raw, raw.send(packed(body), **GZIP)) == "0"


def test_bombs(raw, server, body):
    """The bound is of what a message unfolds to; the work ends there, and so does the memory."""
    bomb = packed(bytes(10_000_000))
    assert len(bomb) < 16_384
    assert status(raw, raw.send(bomb, **GZIP)) == "8"
    assert status(raw, raw.send(bomb, path=STREAM, **GZIP)) == "8"
    for _ in range(5):
        # The first ones warm up what is kept.
        assert status(raw, raw.send(bomb, path=BATCH, **GZIP)) == "8"
    before = resident(server)
    for _ in range(20):
        assert status(raw, raw.send(bomb, path=BATCH, **GZIP)) == "8"
    assert resident(server) < before + 32
    # Filled up with an unknown field.
    rest = 65_536 - len(body) - 5
    largest = body + b"\xfa\x01" + varint(rest) + bytes(rest)
    assert len(largest) == 65_536
    assert status(raw, raw.send(packed(largest), **GZIP)) == "0"
    assert status(raw, raw.send(packed(body + largest), **GZIP)) == "8"


def varint(number):
    return bytes([number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14])


def resident(server):
    """MiB."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return next(int(line.split()[1]) // 1_024 for line in file if line.startswith("VmRSS:"))


def test_a_strangers_bombs_are_not_unpacked(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), auth=True)
    raw = Raw(server)
    for body in (packed(bytes(1_000_000)), framed(b"no gzip", 1)):
        assert status(raw, raw.send(body, path=BATCH, **GZIP)) == "16"
    raw.socket.close()


def answer(server, contract, count=500, **fields):
    """Whether the answer to a batch comes compressed; what it says."""
    raw = Raw(server)
    stream = raw.send(framed(batch(contract, count).SerializeToString()), path=BATCH, **fields)
    headers, data, _ = raw.answer(stream)
    raw.socket.close()
    (flag, message), = messages(data)
    assert headers["grpc-status"] == "0" and (headers.get("grpc-encoding") == "gzip") == bool(flag)
    if flag:
        message = gzip.decompress(message)
    assert len(contract.CheckAndReserveBatchResponse.FromString(message).results) == count
    return bool(flag)


@pytest.mark.parametrize("mode", ["asked", "accepted", "off"])
def test_answers(contract, serve, mode):
    server = serve("--compression", mode)
    accepts = {"grpc_accept_encoding": "identity, deflate, gzip"}
    assert answer(server, contract, **BOTH) == (mode != "off")
    assert answer(server, contract, **accepts) == (mode == "accepted")
    assert not answer(server, contract, **GZIP)
    assert not answer(server, contract)
    # Too small to pay.
    assert not answer(server, contract, count=1, **BOTH)


def test_a_wrong_mode_is_named():
    ended = subprocess.run([BINARY, "serve", "--compression", "always"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 64 and "--compression must be one of off, asked, accepted" in ended.stderr
