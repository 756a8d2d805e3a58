"""The real binary over a real socket, seen by a foreign client: Python grpcio, generated from Protos/ at test time.

TOLLGATE_BINARY names the binary; without it the debug build under .build is taken.
"""

import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import grpc
import pytest
import realtime
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TOLLGATE_BINARY", str(ROOT / ".build/debug/tollgate"))
EXAMPLE = ROOT / "Tools/examples/limits.yaml"
USD = 1_000_000_000


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="also what takes more than ten seconds a test")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: takes more than ten seconds: only with --thorough (Tools/verify)")


def pytest_collection_modifyitems(config, items):
    if config.getoption("thorough"):
        return
    left = [item for item in items if item.get_closest_marker("thorough")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def contract(tmp_path_factory):
    """The generated module of tollgate.v1, with the service's stub as `Stub`."""
    out = tmp_path_factory.mktemp("contract")
    protos = ROOT / "Protos"
    status = protoc.main(
        [
            "protoc",
            f"-I{protos}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            str(protos / "tollgate/v1/tollgate.proto"),
        ]
    )
    assert status == 0, "the contract does not compile"
    sys.path.insert(0, str(out))
    messages = importlib.import_module("tollgate.v1.tollgate_pb2")
    messages.Stub = importlib.import_module("tollgate.v1.tollgate_pb2_grpc").LimitServiceStub
    return messages


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """The library with which a test moves a server's wall clock, or has its writes cut short."""
    return realtime.build(tmp_path_factory.mktemp("preload"))


class Server:
    """A running `tollgate serve` on a free port, its logs kept for failures."""

    def __init__(self, *arguments, limits=EXAMPLE, environment=None, auth=False):
        self.is_killed = False
        if "--data-dir" not in arguments and "--durability" not in arguments:
            arguments = ("--durability", "memory", *arguments)
        self.process = subprocess.Popen(
            [
                BINARY, "serve", *([] if auth else ["--insecure-no-auth"]),
                "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                *(["--limits", str(limits)] if limits else []), *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.log = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        guard = threading.Timer(120, self.process.kill)
        guard.start()
        self.ready = self.process.stdout.readline()
        guard.cancel()
        match = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)(?: ops=(\S+))?\n", self.ready)
        if not match:
            self.process.wait(60)
            self._reader.join(60)
            raise AssertionError(f"not ready: {self.ready!r}\n{''.join(self.log)}")
        self.endpoint = match[1]
        self.port = int(self.endpoint.rsplit(":", 1)[1])
        self.http = match[2]
        self.ops = match[3]

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)

    def stop(self, number=signal.SIGTERM, timeout=90):
        """Signals it; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
            raise AssertionError("did not stop in time:\n" + "".join(self.log))
        self._reader.join(60)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.is_killed = True
            self.process.kill()
        self.process.wait(60)


@pytest.fixture
def serve(tmp_path):
    """serve(*arguments, limits=YAML, path or None): a server that is stopped, and must stop well, after the test; unless the
    test has killed it."""
    servers = []

    def start(*arguments, limits=EXAMPLE, environment=None, auth=False):
        if isinstance(limits, str):
            path = tmp_path / f"limits-{len(servers)}.yaml"
            path.write_text(limits)
            limits = path
        server = Server(*arguments, limits=limits, environment=environment, auth=auth)
        servers.append(server)
        return server

    yield start
    for server in servers:
        status = server.stop()
        assert status == (-signal.SIGKILL if server.is_killed else 0), f"exit status {status}:\n{''.join(server.log)}"


@pytest.fixture
def server(serve):
    """A server with the example's tenants."""
    return serve()


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.endpoint) as channel:
        yield channel


@pytest.fixture
def stub(contract, channel):
    return contract.Stub(channel)


@pytest.fixture
def check(contract, stub):
    """check(tenant, resource amounts..., **fields): CheckAndReserve in the shortest form."""

    def ask(tenant_id="globex", stub=stub, **fields):
        return stub.CheckAndReserve(request(contract, tenant_id, **fields), timeout=60)

    return ask


def quantities(contract, spend=None, **others):
    """By the names of the resources."""
    return [
        contract.Quantity(resource=getattr(contract, "RESOURCE_" + name.upper()), amount=amount)
        for name, amount in {"spend": spend, **others}.items() if amount is not None
    ]


def request(contract, tenant_id="globex", **fields):
    """CheckAndReserve with amounts by the names of their resources, and other fields."""
    named = {name: fields.pop(name) for name in list(fields) if hasattr(contract, "RESOURCE_" + name.upper())}
    fields.setdefault("action", contract.ACTION_CHARGE)
    fields.setdefault("quantities", quantities(contract, **named))
    return contract.CheckAndReserveRequest(tenant_id=tenant_id, **fields)


def usage(contract, stub, tenant_id, profile=""):
    """{limit kind: (committed, held)}"""
    answer = stub.GetUsage(
        contract.GetUsageRequest(tenant_id=tenant_id, messaging_profile_id=profile), timeout=60
    )
    return {state.limit: (state.committed, state.held) for state in answer.limits}


class Failure:
    """A failed call: its status and what grpc-status-details-bin says."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details()
        raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
        self.details = {}
        if raw is not None:
            status = status_pb2.Status.FromString(raw)
            assert status.code == self.code.value[0]
            for any_detail in status.details:
                name = any_detail.type_url.removeprefix("type.googleapis.com/google.rpc.")
                detail = getattr(error_details_pb2, name)()
                assert any_detail.Unpack(detail)
                self.details[name] = detail

    @property
    def catalogue(self):
        return self.details["ErrorInfo"].metadata["code"]

    @property
    def pointers(self):
        return [violation.field for violation in self.details["BadRequest"].field_violations]


def failure(call, *arguments, **options):
    """The failure of a call that must fail."""
    options.setdefault("timeout", 60)
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return Failure(caught.value)


def addresses(server):
    return {"TOLLGATE_ENDPOINT": server.endpoint, "TOLLGATE_URL": f"http://{server.http}"}


def tollgate(server, *arguments, environment=None):
    """Runs the command against a server. It waits a minute for each answer, unless the test says how long."""
    if server and "--timeout" not in arguments:
        at = arguments.index("--") if "--" in arguments else len(arguments)
        arguments = (*arguments[:at], "--timeout", "60s", *arguments[at:])
    return subprocess.run(
        [BINARY, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **(addresses(server) if server else {}), **(environment or {})},
    )
