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

    def is_told(self, status):
        """It comes to that, and nothing is told twice. The service may have been unready for a second before: its disk
        is given five seconds, in which a machine may stand still."""
        eventually(lambda: self.told and self.told[-1] == status, what=f"{status}")
        told = list(self.told)
        assert all(one != other for one, other in zip(told, told[1:])), told


def test_whoever_checks_needs_no_token(contract, serve, tmp_path):
    """Which does not show who it is: what is guarded stays so."""
    server = serve("--data-dir", str(tmp_path / "data"), auth=True)
    with health_of(server) as health:
        for name in NAMES:
            eventually(lambda: health.Check(ask(name), timeout=60).status == SERVING, what=name)

        def listed():
            statuses = health.List(health_pb2.HealthListRequest(), timeout=60).statuses
            return {name: answer.status for name, answer in statuses.items()}

        eventually(lambda: listed() == dict.fromkeys(NAMES, SERVING), what="a list of what serves")
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

        def checked():
            return [health.Check(ask(name), timeout=60).status for name in NAMES]

        def is_at_a_standstill():
            answer = Rest(server).get("/readyz")
            return answer.status == 503 and "Lists and alerts are not updating" in str(answer.body)

        eventually(is_at_a_standstill, what="the standstill")
        eventually(lambda: checked() == [NOT_SERVING] * 2 + [SERVING] * 3, what="what health checks say of it")
        for watcher in watchers[:2]:
            watcher.is_told(NOT_SERVING)
        file.execute("DROP TRIGGER never")
        file.commit()
        for watcher in watchers[:2]:
            watcher.is_told(SERVING)
            assert NOT_SERVING in watcher.told
        assert [watcher.told for watcher in watchers[2:]] == [[SERVING]] * 3
        assert unknown.told == [SERVICE_UNKNOWN] and unknown.call.is_active()
    # Once, not with each look; and not at all of a second reason, where the disk was one before.
    said = [line for line in server.log if "not ready: health checks report it" in line]
    slow = [line for line in said if "The disk has not confirmed a write" in line]
    assert said and len(said) - len(slow) <= 1
    assert slow or "Lists and alerts are not updating" in said[0]


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
            if watcher is not watchers[-1]:
                watcher.is_told(NOT_SERVING)
        # Which never were unready before.
        assert [watcher.told for watcher in watchers[2:-1]] == [[SERVING, NOT_SERVING]] * 3
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
        # One that does not go on.
        health.Check(ask(), timeout=60)
        watchers[0].call.cancel()

        def another():
            watcher = Watcher(health)
            eventually(lambda: watcher.told or watcher.code, what="an answer")
            return watcher.told

        eventually(another, what="the place of one that is gone")


def test_a_start_is_healthy_when_it_says_that_it_is_ready(tmp_path):
    server = Server("--data-dir", str(tmp_path / "data"))
    try:
        with health_of(server) as health:
            assert health.Check(ask(MAIN), timeout=60).status == SERVING
    finally:
        assert server.stop(signal.SIGINT) == 0
