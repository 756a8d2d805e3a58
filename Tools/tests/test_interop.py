"""The interop test cases of gRPC by grpcio, sync and aio, against `tollgate-interop`: the product's transport with the
service that they need. Tools/verify --only interop runs the gRPC authors' own client, and other languages."""

import asyncio
import importlib
import pathlib
import queue
import subprocess
import sys

import grpc
import pytest
from conftest import BINARY, ROOT
from grpc_tools import protoc

LARGE_REQUEST, LARGE_ANSWER = 271_828, 314_159
SIZES = [(27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979)]
# Longest for a call; a machine may stand still.
PATIENCE = 60


@pytest.fixture(scope="module")
def testing(tmp_path_factory):
    """The generated module of grpc.testing, with its stubs."""
    out = tmp_path_factory.mktemp("interop")
    protos = ROOT / "Tools/Interop/Protos"
    assert protoc.main(["protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}",
                        str(protos / "grpc/testing/test.proto")]) == 0
    # `grpc` is a package of its own: the generated files are taken from where they are.
    sys.path.insert(0, str(out / "grpc/testing"))
    source = out / "grpc/testing/test_pb2_grpc.py"
    source.write_text(source.read_text().replace("from grpc.testing import test_pb2", "import test_pb2"))
    messages = importlib.import_module("test_pb2")
    stubs = importlib.import_module("test_pb2_grpc")
    messages.Stub, messages.NoStub = stubs.TestServiceStub, stubs.UnimplementedServiceStub
    return messages


@pytest.fixture(scope="module")
def address():
    process = subprocess.Popen([pathlib.Path(BINARY).with_name("tollgate-interop")], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("tollgate-interop ready grpc="), line
    yield line.strip().split("=")[1]
    assert process.poll() is None, "it ended by itself"
    process.kill()
    process.communicate()


@pytest.fixture
def channel(address):
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def stub(testing, channel):
    return testing.Stub(channel)


def payload(testing, size):
    return testing.Payload(body=bytes(size))


def output_request(testing, size, answer, **fields):
    return testing.StreamingOutputCallRequest(payload=payload(testing, size),
                                              response_parameters=[testing.ResponseParameters(size=answer)], **fields)


def failure(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_empty_unary(testing, stub):
    assert stub.EmptyCall(testing.Empty(), timeout=PATIENCE) == testing.Empty()


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip], ids=["plain", "gzip"])
def test_large_unary(testing, stub, compression):
    request = testing.SimpleRequest(response_size=LARGE_ANSWER, payload=payload(testing, LARGE_REQUEST))
    request.expect_compressed.value = compression is not None
    answer = stub.UnaryCall(request, timeout=PATIENCE, compression=compression)
    assert answer.payload.body == bytes(LARGE_ANSWER)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_message_that_came_otherwise_than_expected(testing, stub, is_compressed):
    request = testing.SimpleRequest(payload=payload(testing, 10_000))
    request.expect_compressed.value = not is_compressed
    compression = grpc.Compression.Gzip if is_compressed else grpc.Compression.NoCompression
    assert failure(lambda: stub.UnaryCall(request, timeout=PATIENCE, compression=compression))[0] \
        == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip], ids=["plain", "gzip"])
def test_client_streaming(testing, stub, compression):
    requests = []
    for size in (27_182, 8, 1_828, 45_904):
        requests.append(testing.StreamingInputCallRequest(payload=payload(testing, size)))
    answer = stub.StreamingInputCall(iter(requests), timeout=PATIENCE, compression=compression)
    assert answer.aggregated_payload_size == 74_922


@pytest.mark.parametrize("interval", [0, 2_000])
def test_server_streaming(testing, stub, interval):
    request = testing.StreamingOutputCallRequest(response_parameters=[
        testing.ResponseParameters(size=size, interval_us=interval) for _, size in SIZES])
    assert [len(answer.payload.body) for answer in stub.StreamingOutputCall(request, timeout=PATIENCE)] \
        == [size for _, size in SIZES]


def test_a_stream_of_more_than_the_windows_hold(testing, stub):
    request = testing.StreamingOutputCallRequest(
        response_parameters=[testing.ResponseParameters(size=100_000)] * 50)
    assert sum(len(answer.payload.body) for answer in stub.StreamingOutputCall(request, timeout=PATIENCE)) == 5_000_000


class Turns:
    """Requests of which each follows the answer to the one before."""

    def __init__(self, requests):
        self.requests, self.gate = list(requests), queue.Queue()
        self.gate.put(None)

    def __iter__(self):
        for request in self.requests:
            self.gate.get(timeout=PATIENCE)
            yield request

    def answered(self):
        self.gate.put(None)


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip], ids=["plain", "gzip"])
def test_ping_pong(testing, stub, compression):
    turns = Turns(output_request(testing, *sizes) for sizes in SIZES)
    answers = []
    for answer in stub.FullDuplexCall(iter(turns), timeout=PATIENCE, compression=compression):
        answers.append(len(answer.payload.body))
        turns.answered()
    assert answers == [size for _, size in SIZES]


def test_empty_stream(testing, stub):
    assert list(stub.FullDuplexCall(iter([]), timeout=PATIENCE)) == []


def test_cancel_after_begin(testing, stub):
    turns = Turns([testing.StreamingInputCallRequest()])
    turns.gate.get()
    call = stub.StreamingInputCall.future(iter(turns), timeout=PATIENCE)
    call.cancel()
    turns.answered()
    assert call.cancelled() and call.code() == grpc.StatusCode.CANCELLED
    test_empty_unary(testing, stub)


def test_cancel_after_first_response(testing, stub):
    turns = Turns(output_request(testing, *sizes) for sizes in SIZES)
    call = stub.FullDuplexCall(iter(turns), timeout=PATIENCE)
    assert len(next(call).payload.body) == SIZES[0][1]
    call.cancel()
    turns.answered()
    assert failure(lambda: next(call))[0] == grpc.StatusCode.CANCELLED
    test_empty_unary(testing, stub)


def test_timeout_on_sleeping_server(testing, stub):
    turns = Turns([output_request(testing, 27_182, 31_415)] * 2)
    call = stub.FullDuplexCall(iter(turns), timeout=0.2)
    assert failure(lambda: list(call))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    turns.answered()


@pytest.mark.parametrize("message", [
    "test status method", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n", "100%", ""])
def test_status_code_and_message(testing, stub, message):
    status = testing.EchoStatus(code=2, message=message)
    expected = (grpc.StatusCode.UNKNOWN, message)
    assert failure(lambda: stub.UnaryCall(testing.SimpleRequest(response_status=status), timeout=PATIENCE)) == expected
    request = output_request(testing, 1, 1, response_status=status)
    assert failure(lambda: list(stub.FullDuplexCall(iter([request]), timeout=PATIENCE))) == expected
    request = testing.StreamingOutputCallRequest(response_status=status)
    assert failure(lambda: list(stub.StreamingOutputCall(request, timeout=PATIENCE))) == expected


MARKS = [("x-grpc-test-echo-initial", "test_initial_metadata_value"),
         ("x-grpc-test-echo-trailing-bin", b"\x0a\x0b\x0a\x0b\x0a\x0b")]


def test_custom_metadata(testing, stub):
    """It comes back, the first with the head, the second with the trailers; and nothing of it with the next call."""
    def parts(call):
        return [pair for pair in call.initial_metadata() if pair[0].startswith("x-")], \
            [pair for pair in call.trailing_metadata() if pair[0].startswith("x-")]

    request = testing.SimpleRequest(response_size=LARGE_ANSWER, payload=payload(testing, LARGE_REQUEST))
    for marks in (MARKS, [], MARKS[:1], MARKS[1:]):
        _, call = stub.UnaryCall.with_call(request, timeout=PATIENCE, metadata=[*marks, ("x-other", "1")])
        expected = tuple([mark for mark in marks if mark == one] for one in MARKS)
        assert parts(call) == expected
        call = stub.FullDuplexCall(iter([output_request(testing, *SIZES[0])]), timeout=PATIENCE, metadata=marks)
        assert len(list(call)) == 1
        assert parts(call) == expected


def test_unimplemented(testing, stub, channel):
    for call in (stub.UnimplementedCall, testing.NoStub(channel).UnimplementedCall):
        assert failure(lambda: call(testing.Empty(), timeout=PATIENCE))[0] == grpc.StatusCode.UNIMPLEMENTED
    test_empty_unary(testing, stub)


def test_a_request_that_is_no_message(testing, channel):
    for method in ("UnaryCall", "StreamingOutputCall"):
        call = channel.unary_stream(f"/grpc.testing.TestService/{method}")
        assert failure(lambda: list(call(b"\x0a\xff\xff", timeout=PATIENCE)))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_the_same_by_aio(testing, address):
    """A hundred calls at once, a stream each way, and cancellation, on one connection."""
    async def run():
        async with grpc.aio.insecure_channel(address) as channel:
            stub = testing.Stub(channel)
            requests = [testing.SimpleRequest(response_size=size) for size in range(100)]
            answers = await asyncio.gather(*[stub.UnaryCall(request, timeout=PATIENCE) for request in requests])
            assert [len(answer.payload.body) for answer in answers] == list(range(100))
            call = stub.FullDuplexCall(timeout=PATIENCE)
            for size, answer in SIZES:
                await call.write(output_request(testing, size, answer))
                assert len((await call.read()).payload.body) == answer
            await call.done_writing()
            assert await call.code() == grpc.StatusCode.OK
            call = stub.FullDuplexCall(timeout=PATIENCE)
            await call.write(output_request(testing, *SIZES[0]))
            await call.read()
            call.cancel()
            assert await call.code() == grpc.StatusCode.CANCELLED
            upload = stub.StreamingInputCall(timeout=PATIENCE)
            for size, _ in SIZES:
                await upload.write(testing.StreamingInputCallRequest(payload=payload(testing, size)))
            await upload.done_writing()
            assert (await upload).aggregated_payload_size == 74_922

    asyncio.run(run())
