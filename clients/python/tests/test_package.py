"""What the package says of itself is true: README's examples run, the generated modules are the contract."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
from conftest import ROOT, Place, Server

import tollgate
from tollgate import Client, Status, TollgateError

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def run(block: str, server: Server, place: Place) -> dict[str, Any]:
    for name, value in {
        "127.0.0.1:50051": server.endpoint, '"globex-bulk"': f'"{place.bulk}"', '"globex"': f'"{place.globex}"',
    }.items():
        block = block.replace(name, value)
    names: dict[str, Any] = {}
    exec(compile(block, str(README), "exec"), names)
    return names


def test_the_first_example(server: Server, place: Place, client: Client) -> None:
    """As printed: on a machine that is busy it may need another run, since its calls have a second."""
    for tries in range(5, 0, -1):
        try:
            run(BLOCKS[0], server, place)
            break
        except TollgateError as error:
            assert error.status is Status.DEADLINE_EXCEEDED and tries > 1
    assert place.spent(client) == ("0.004", "0")


def test_the_example_of_ways(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="ca.pem"):
        exec(compile(BLOCKS[1], str(README), "exec"), {})


def test_the_example_of_failing_open(server: Server, place: Place, client: Client) -> None:
    names = run(BLOCKS[2], server, place)
    assert names["may_send"](client, "message-1") and names["unsettled"] == []
    with Client("127.0.0.1:1") as away:
        assert [names["may_send"](away, f"message-{number}") for number in (2, 3)] == [True, True]
    assert len(names["unsettled"]) == 2
    names["settle"](client)
    assert names["unsettled"] == [] and place.spent(client) == ("0.012", "0")


def test_everything_that_is_exported_is_there() -> None:
    assert len(BLOCKS) == 3
    assert sorted(tollgate.__all__) == sorted(set(tollgate.__all__))
    assert all(hasattr(tollgate, name) for name in tollgate.__all__)


def test_plain_grpc_finds_its_modules(server: Server, place: Place) -> None:
    """`tollgate.v1` is what protoc makes of Protos/, under the names that it has without this package."""
    import grpc

    from tollgate.v1 import tollgate_pb2 as pb
    from tollgate.v1 import tollgate_pb2_grpc

    assert pb.DESCRIPTOR.name == "tollgate/v1/tollgate.proto" and (ROOT / "Protos" / pb.DESCRIPTOR.name).exists()
    with grpc.insecure_channel(server.endpoint) as channel:
        stub: Any = tollgate_pb2_grpc
        answer = stub.LimitServiceStub(channel).GetUsage(pb.GetUsageRequest(tenant_id=place.globex), timeout=60)
    assert answer.tenant_status == pb.TENANT_STATUS_ACTIVE
