"""The real service over real sockets. TOLLGATE_BINARY names it; without it the debug build of the repository is taken."""

from __future__ import annotations

import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Callable, Iterator

import pytest

from tollgate import Action, Amounts, Check, Client, LimitKind, Settings

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("TOLLGATE_BINARY", str(ROOT / ".build/debug/tollgate"))
PLACES = 80
LIMITS = "version: 1\ntenants:\n" + "".join(
    f"""  - id: globex-{number}
    messaging_profiles: [{{id: bulk-{number}, daily_spend_limit: "1000.00", daily_spend_limit_enabled: true}}]
    outbound_voice_profiles: [{{id: calls-{number}, daily_spend_limit: "2.00", daily_spend_limit_enabled: true}}]
  - {{id: initech-{number}, max_extensions: 20, auto_suspend: false}}
"""
    for number in range(PLACES)
)
PATIENT = 60.0
"""Seconds for an answer that will come, however slow the machine is."""
LONG = 3_600.0
"""Seconds that a hold lasts which no test waits for."""


class Server:
    """`tollgate serve`; on its old ports and data when it is started again."""

    def __init__(self, directory: pathlib.Path, *arguments: str, auth: bool = False) -> None:
        self.directory = directory
        self.arguments = arguments
        self.auth = auth
        self.endpoint = "127.0.0.1:0"
        (directory / "limits.yaml").write_text(LIMITS)
        self.start()

    def start(self) -> None:
        """Meanwhile somebody may have been given its old port for a connection: then it waits for that."""
        end = time.monotonic() + PATIENT
        while not (ready := self._started()):
            said = (self.directory / "said").read_text()
            assert "is in use" in said and time.monotonic() < end, f"not ready: {said}"
            time.sleep(0.1)
        found = re.fullmatch(r"tollgate ready grpc=(\S+) http=(\S+)\n", ready)
        assert found, f"not ready: {ready!r}"
        self.endpoint = found[1]

    def _started(self) -> str:
        """What it says when it is ready; "": it has ended."""
        with (self.directory / "said").open("w") as said:
            self.process = subprocess.Popen(
                [
                    BINARY, "serve", *([] if self.auth else ["--insecure-no-auth"]),
                    "--grpc-listen", self.endpoint, "--http-listen", "127.0.0.1:0",
                    "--limits", str(self.directory / "limits.yaml"), "--data-dir", str(self.directory / "data"),
                    *self.arguments,
                ],
                stdout=subprocess.PIPE, stderr=said, text=True,
            )
        assert self.process.stdout is not None
        guard = threading.Timer(120, self.process.kill)
        guard.start()
        ready = self.process.stdout.readline()
        guard.cancel()
        if not ready:
            self.kill()
        return ready

    def pause(self) -> None:
        """Returns when none of its threads runs any more."""
        self.process.send_signal(signal.SIGSTOP)
        threads = pathlib.Path(f"/proc/{self.process.pid}/task")
        while any(thread.joinpath("stat").read_text().rsplit(")")[-1].split()[0] != "T" for thread in threads.iterdir()):
            time.sleep(0.001)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def token(self) -> str:
        return (self.directory / "data" / "operator-token").read_text().strip()


@pytest.fixture
def serve(tmp_path: pathlib.Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: str, auth: bool = False) -> Server:
        directory = tmp_path / str(len(servers))
        directory.mkdir()
        servers.append(Server(directory, *arguments, auth=auth))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it alone; each has tenants of its own."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


class Place:
    """Tenants of one test: globex has no caps, its profile `bulk` 1000 USD a day, its voice profile
    `calls` 2 USD; initech may have 20 extensions."""

    def __init__(self, number: int) -> None:
        self.globex = f"globex-{number}"
        self.bulk = f"bulk-{number}"
        self.calls = f"calls-{number}"
        self.initech = f"initech-{number}"

    def spend(self, amount: str, key: str = "", **more: Any) -> Check:
        return Check(more.pop("tenant_id", self.globex), Action.CHARGE, Amounts(spend=amount),
                     idempotency_key=key, ttl_seconds=more.pop("ttl_seconds", LONG), **more)

    def extensions(self, count: int, key: str = "", **more: Any) -> Check:
        return Check(self.initech, Action.PROVISION_EXTENSION, Amounts(extensions=count),
                     idempotency_key=key, ttl_seconds=more.pop("ttl_seconds", LONG), **more)

    def spent(self, client: Client) -> tuple[str, str]:
        """(committed, held) of globex."""
        return used(client, self.globex, LimitKind.TENANT_MONTHLY_SPEND)

    def provisioned(self, client: Client) -> tuple[str, str]:
        """(committed, held) of initech."""
        return used(client, self.initech, LimitKind.TENANT_EXTENSIONS)


def used(client: Client, tenant_id: str, kind: LimitKind) -> tuple[str, str]:
    [state] = [state for state in client.usage(tenant_id).limits if state.kind is kind]
    return str(state.committed), str(state.held)


NUMBERS = itertools.count()


@pytest.fixture
def place() -> Place:
    number = next(NUMBERS)
    assert number < PLACES
    return Place(number)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.endpoint, settings=Settings(timeout_seconds=PATIENT)) as client:
        yield client


class CuttingProxy:
    """Between client and server: after `cut(after)` so many answers pass, and the next one ends its connection instead."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._passing: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after: int = 0) -> None:
        self._passing = after

    @property
    def has_cut(self) -> bool:
        return self._passing is None

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._listener.accept()
            except OSError:
                return
            host, port = self._target.rsplit(":", 1)
            back = socket.create_connection((host, int(port)))
            threading.Thread(target=self._pump, args=(front, back, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(back, front, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(65536):
                # HEADERS (type 1) begin an answer; SETTINGS, PING and WINDOW_UPDATE pass.
                if is_answer and self._passing is not None and 1 in frame_types(data):
                    if self._passing == 0:
                        self._passing = None
                        break
                    self._passing -= 1
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def frame_types(data: bytes) -> set[int]:
    """Of frames that begin and end in one read, as the server writes them."""
    found: set[int] = set()
    while len(data) >= 9:
        found.add(data[3])
        data = data[9 + int.from_bytes(data[:3], "big"):]
    return found


@pytest.fixture
def proxy(server: Server) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(server.endpoint)
    yield proxy
    proxy.close()
