"""grpc.health.v1, by gRPC's own client of it and by channels that check the health of what they call."""

import contextlib
import json
import signal
import sqlite3
import threading

import grpc
import pytest
from conftest import Server, failure, request
from control import Rest, eventually
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
MAIN = "tollgate.v1.LimitService"
NAMES = ["", MAIN, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
         "grpc.reflection.v1alpha.ServerReflection"]


@contextlib.contextmanager
def health_of(server):
    with grpc.insecure_channel(server.endpoint) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def ask(name=""):
    return health_pb2.HealthCheckRequest(service=name)


class Watcher:
    """A watch that is read on a thread of its own: what it was told, and how it ended."""

    def __init__(self, stub, name=""):
        self.told = []
        self.code = None
        self.call = stub.Watch(ask(name), timeout=300)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for answer in self.call:
                self.told.append(answer.status)
        except grpc.RpcError as error:
            self.code = error.code()

    def is_told(self, *statuses):
        eventually(lambda: self.told == list(statuses), what=f"{statuses}")


def test_whoever_checks_needs_no_token(contract, serve, tmp_path):
    """Which does not show who it is: what is guarded stays so."""
    server = serve("--data-dir", str(tmp_path / "data"), auth=True)
    with health_of(server) as health:
        for name in NAMES:
            assert health.Check(ask(name), timeout=60).status == SERVING, name
        listed = health.List(health_pb2.HealthListRequest(), timeout=60).statuses
        assert {name: answer.status for name, answer in listed.items()} == dict.fromkeys(NAMES, SERVING)
        for name in ["tollgate", "tollgate.v1.LimitService/GetUsage", "grpc.health.v1", "ü"]:
            assert failure(health.Check, ask(name)).code == grpc.StatusCode.NOT_FOUND
        watcher = Watcher(health, MAIN)
        watcher.is_told(SERVING)
    with grpc.insecure_channel(server.endpoint) as channel:
        health_pb2_grpc.HealthStub(channel).Check(ask(), timeout=60)
        refused = failure(contract.Stub(channel).CheckAndReserve, request(contract, spend=1))
        assert refused.code == grpc.StatusCode.UNAUTHENTICATED


def test_it_follows_readiness(serve, tmp_path):
    """What /readyz says is said here a second later; whoever needs nothing that fails goes on serving."""
    data = tmp_path / "data"
    server = serve("--data-dir", str(data))
    with health_of(server) as health, contextlib.closing(sqlite3.connect(data / "projection.sqlite", timeout=60)) as file:
        watchers = [Watcher(health, name) for name in NAMES]
        unknown = Watcher(health, "nobody")
        for watcher in watchers:
            watcher.is_told(SERVING)
        file.execute("CREATE TRIGGER never BEFORE INSERT ON audit BEGIN SELECT length(zeroblob(2000000000)); END")
        file.commit()
        assert Rest(server).patch("/v2/tenants/acme", {"name": "other"}).status == 200
        for watcher in watchers[:2]:
            watcher.is_told(SERVING, NOT_SERVING)
        assert [health.Check(ask(name), timeout=60).status for name in NAMES] == [NOT_SERVING] * 2 + [SERVING] * 3
        file.execute("DROP TRIGGER never")
        file.commit()
        for watcher in watchers[:2]:
            watcher.is_told(SERVING, NOT_SERVING, SERVING)
        assert [watcher.told for watcher in watchers[2:]] == [[SERVING]] * 3
        assert unknown.told == [SERVICE_UNKNOWN] and unknown.call.is_active()
    log = "".join(server.log)
    assert log.count("not ready: health checks say so") == 1 and "Lists and alerts do not go on" in log


def test_watchers_are_told_of_a_stop_before_it_ends_them(serve):
    server = serve("--drain-timeout", "60s")
    with health_of(server) as health:
        watchers = [Watcher(health, name) for name in [*NAMES, "nobody"]]
        for watcher in watchers:
            eventually(lambda: watcher.told, what="a status")
        assert server.stop() == 0
        for watcher in watchers:
            watcher.thread.join(60)
            assert watcher.code == grpc.StatusCode.UNAVAILABLE
        assert [watcher.told for watcher in watchers[:-1]] == [[SERVING, NOT_SERVING]] * len(NAMES)
        assert watchers[-1].told == [SERVICE_UNKNOWN]


def checked_channel(server, name):
    """A channel that calls nobody who does not say that it serves."""
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": name}}
    return grpc.insecure_channel(server.endpoint, options=[("grpc.service_config", json.dumps(config))])


def test_channels_that_check_health(contract, server):
    with checked_channel(server, MAIN) as channel:
        answer = contract.Stub(channel).CheckAndReserve(request(contract, spend=1), timeout=60, wait_for_ready=True)
        assert answer.decision == contract.DECISION_ALLOWED
    with checked_channel(server, "nobody") as channel:
        refused = failure(contract.Stub(channel).CheckAndReserve, request(contract, spend=1))
        assert refused.code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("body", [b"\x0a\x09x", b"\x0a\x01\xff", b"\xff"])
def test_what_is_no_request_is_refused(server, body):
    with grpc.insecure_channel(server.endpoint) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert failure(check, body).code == grpc.StatusCode.INTERNAL
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        assert failure(lambda body, timeout: list(watch(body, timeout=timeout)), body).code == grpc.StatusCode.INTERNAL
        assert health_pb2_grpc.HealthStub(channel).Check(ask(), timeout=60).status == SERVING


def test_a_stranger_may_watch_little(serve, tmp_path):
    """Eight calls that go on, on a connection that showed no token."""
    server = serve("--data-dir", str(tmp_path / "data"), auth=True)
    with health_of(server) as health:
        watchers = [Watcher(health) for _ in range(8)]
        for watcher in watchers:
            watcher.is_told(SERVING)
        one_more = Watcher(health)
        one_more.thread.join(60)
        assert one_more.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert health.Check(ask(), timeout=60).status == SERVING
        watchers[0].call.cancel()

        def another():
            watcher = Watcher(health)
            eventually(lambda: watcher.told or watcher.code, what="an answer")
            return watcher.told == [SERVING]

        eventually(another, what="the place of one that is gone")


def test_a_start_is_healthy_when_it_says_that_it_is_ready(tmp_path):
    server = Server("--data-dir", str(tmp_path / "data"))
    try:
        with health_of(server) as health:
            assert health.Check(ask(MAIN), timeout=60).status == SERVING
    finally:
        assert server.stop(signal.SIGINT) == 0
