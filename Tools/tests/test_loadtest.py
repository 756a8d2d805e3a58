"""tollgate-loadtest: it keeps its schedule whatever the service does, and finds wrong decisions."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
from concurrent import futures

import grpc
import pytest
from conftest import BINARY, USD

LOADTEST = str(pathlib.Path(BINARY).absolute().parent / "tollgate-loadtest")


class LoadTest:
    """A running load test; it is ended with the test, whatever happens."""

    def __init__(self, endpoint, *arguments):
        self.process = subprocess.Popen(
            [LOADTEST, "--endpoint", endpoint, "--json", "--timeout", "60s", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def wait_for_progress(self, seconds):
        """Until the progress line of that second of the schedule, or of a later one, has come."""
        for line in self.process.stderr:
            second = re.match(r"(\d+) s: ", line)
            if second and int(second[1]) >= seconds:
                return
        raise AssertionError("the load test ended early")

    def report(self, timeout=300):
        """(exit status, report)"""
        out, errors = self.process.communicate(timeout=timeout)
        assert out, errors
        return self.process.returncode, json.loads(out)


@pytest.fixture
def load(request):
    running = []

    def start(endpoint, *arguments):
        running.append(LoadTest(endpoint, *arguments))
        return running[-1]

    yield start
    for test in running:
        if test.process.poll() is None:
            test.process.kill()
        test.process.wait(60)


def run(*arguments, environment=None):
    return subprocess.run(
        [LOADTEST, *arguments], capture_output=True, text=True, timeout=60,
        env={**os.environ, **(environment or {})},
    )


@pytest.fixture
def limits(tmp_path):
    """limits(*settings): the file that the load test writes for them."""

    def write(*settings):
        path = tmp_path / "load.yaml"
        done = run(*settings, "--write-limits", str(path))
        assert done.returncode == 0, done.stderr
        return path

    return write


# The schedule


@pytest.mark.thorough
@pytest.mark.parametrize("in_flight", [64, 16_384])
def test_a_stopped_server_does_not_stop_the_schedule(serve, load, limits, in_flight):
    settings = ["--rate", "1000", "--duration", "12s", "--tenants", "100"]
    server = serve(limits=limits(*settings))
    test = load(server.endpoint, *settings, "--max-in-flight", str(in_flight))
    test.wait_for_progress(1)
    began = time.monotonic()
    server.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(1)  # how long the fault lasts
    finally:
        server.process.send_signal(signal.SIGCONT)
    stopped = time.monotonic() - began
    status, report = test.report()
    assert status == 0, report["check"]
    assert report["actions"] == 12_000
    assert report["failed"] == 0
    # Everything that was due while the server stood still is there, with its waiting time.
    assert sum(second["calls"] for second in report["seconds"]) == report["calls"]
    assert sum(second["calls"] for second in report["seconds"][1:]) >= 11_000
    waited = sum(bucket["calls"] for bucket in report["histogram"] if bucket["latency_us"] >= 50_000)
    assert waited >= 900
    assert report["latency_ms"]["max"] >= 900 * min(stopped, 1)
    assert max(second["max_ms"] for second in report["seconds"]) == pytest.approx(
        report["latency_ms"]["max"], rel=0.01)
    # Evenly due, so the waiting times are evenly spread: about half of them are above half a second.
    long = sum(bucket["calls"] for bucket in report["histogram"] if bucket["latency_us"] >= 500_000)
    assert long >= 450
    assert report["in_flight_peak"] == 64 if in_flight == 64 else report["in_flight_peak"] >= 900
    assert report["queue_peak"] >= 800 if in_flight == 64 else report["queue_peak"] == 0


def test_the_interrupt_key_ends_it_with_a_report(serve, load, limits):
    settings = ["--rate", "200", "--duration", "10m", "--mix", "messaging,calls", "--tenants", "50"]
    server = serve(limits=limits(*settings))
    test = load(server.endpoint, *settings)
    test.wait_for_progress(1)
    test.process.send_signal(signal.SIGINT)
    status, report = test.report()
    assert status == 0, report["check"]
    assert report["interrupted"] is True
    assert 150 <= report["actions"] < 120_000


def test_a_second_interrupt_leaves_everything_unjudged(serve, load, limits):
    settings = ["--rate", "200", "--duration", "10m", "--mix", "calls", "--tenants", "50", "--pause", "10m",
                "--hold-ttl", "15m"]
    server = serve(limits=limits(*settings))
    test = load(server.endpoint, *settings)
    test.wait_for_progress(1)
    # Two that come at once may be one: until it ends.
    while test.process.poll() is None:
        test.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    status, report = test.report()
    assert status == 0, report["check"]
    assert report["interrupted"] is True
    assert report["check"]["limits_compared"] == 0
    assert report["check"]["limits_not_judged"] == 50 * 4 + 50 * 2


# The decisions


@pytest.mark.parametrize("keys", [[], ["--keys"]])
def test_all_kinds_of_answers_agree_with_its_tally(serve, load, limits, keys):
    settings = [
        "--rate", "1000", "--duration", "3s", "--mix", "messaging=6,provisioning=2,calls=2",
        "--tenants", "50", "--seed", "7", *keys,
    ]
    server = serve(limits=limits(*settings))
    status, report = load(server.endpoint, *settings).report()
    assert status == 0, report["check"]
    assert report["check"]["wrong_decisions"] == 0
    assert report["check"]["limits_compared"] == 50 * 4 + 50 * 2
    assert report["check"]["limits_not_judged"] == 0
    assert report["failed"] == 0
    assert set(report["latency_ms_by_method"]) == {"CheckAndReserve", "Extend", "Commit", "Release"}
    codes = {code for codes in report["denied_by_code"] for code in codes.split("+")}
    assert {"40333", "49001", "49002", "49003", "49004", "20012"} <= codes
    assert report["allowed"] + report["denied"] + report["settled"] == report["calls"]
    assert report["from_sending_ms"]["count"] == report["calls"]


@pytest.mark.thorough
def test_holds_whose_settling_failed_may_expire(serve, load, limits):
    settings = [
        "--rate", "400", "--duration", "10s", "--mix", "messaging=6,provisioning=2,calls=2",
        "--tenants", "50", "--timeout", "250ms", "--pause", "400ms", "--hold-ttl", "3s",
    ]
    server = serve(limits=limits(*settings))
    test = load(server.endpoint, *settings)
    test.wait_for_progress(2)
    server.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(0.8)  # how long the fault lasts
    finally:
        server.process.send_signal(signal.SIGCONT)
    status, report = test.report()
    # Extensions, commits and releases whose outcome nobody knows; what they held expires while the run goes on.
    assert report["failed_by_status"]["DEADLINE_EXCEEDED"] >= 50
    assert status == 0, report["check"]
    assert report["check"]["limits_compared"] >= 100


def test_usage_that_it_did_not_cause_is_found(contract, serve, load, limits):
    settings = ["--rate", "200", "--duration", "10m", "--tenants", "5"]
    server = serve(limits=limits(*settings))
    test = load(server.endpoint, *settings)
    test.wait_for_progress(1)
    with grpc.insecure_channel(server.endpoint) as channel:
        fee = contract.Quantity(resource=contract.RESOURCE_SPEND, amount=1)
        contract.Stub(channel).RecordUsage(
            contract.RecordUsageRequest(tenant_id="load-00000000", quantities=[fee]), timeout=60)
    test.process.send_signal(signal.SIGINT)
    status, report = test.report()
    assert status == 1
    assert report["check"]["wrong_by_kind"] == {"usage": 1}
    assert "load-00000000" in report["check"]["findings"][0]


@pytest.fixture
def liar(contract):
    """liar(cap, decide): a service that decides as it likes, and that knows every tenant."""
    servers = []

    def start(cap, decide):
        class Service:
            ids = 0

            def usage(self, request, context):
                limits = [
                    contract.LimitState(limit=kind, subject_id=request.tenant_id, cap=cap, blocking=True)
                    for kind in (2, 3, 4, 5)
                ]
                return contract.GetUsageResponse(tenant_status=1, limits=limits)

            def check(self, request, context):
                Service.ids += 1
                return decide(request, Service.ids)

        service = Service()
        handlers = {
            "GetUsage": (service.usage, contract.GetUsageRequest, contract.GetUsageResponse),
            "CheckAndReserve": (
                service.check, contract.CheckAndReserveRequest, contract.CheckAndReserveResponse),
        }
        server = grpc.server(futures.ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler(
                "tollgate.v1.LimitService",
                {
                    name: grpc.unary_unary_rpc_method_handler(
                        method, request_deserializer=asked.FromString,
                        response_serializer=answered.SerializeToString)
                    for name, (method, asked, answered) in handlers.items()
                }),
        ))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


SHORT = ["--rate", "100", "--duration", "1s", "--tenants", "2", "--direct", "1", "--profiles-per-tenant", "1"]


def test_a_service_that_allows_too_much_is_found(contract, liar, load):
    def allow(request, number):
        return contract.CheckAndReserveResponse(decision=contract.DECISION_ALLOWED)

    status, report = load(liar(USD // 100, allow), *SHORT).report()
    assert status == 1
    assert report["check"]["wrong_by_kind"]["allowed"] == 2
    assert any("admitted" in sentence for sentence in report["check"]["findings"])


def test_a_service_that_refuses_what_fits_is_found(contract, liar, load):
    def deny(request, number):
        error = contract.Error(code="49001", limit=contract.LIMIT_KIND_TENANT_MONTHLY_SPEND)
        return contract.CheckAndReserveResponse(decision=contract.DECISION_DENIED, errors=[error])

    status, report = load(liar(1_000 * USD, deny), *SHORT).report()
    assert status == 1
    assert report["check"]["wrong_by_kind"] == {"denied": 100}


def test_a_suspension_without_cause_is_found(contract, liar, load):
    def suspend(request, number):
        error = contract.Error(code="20012")
        return contract.CheckAndReserveResponse(decision=contract.DECISION_DENIED, errors=[error])

    status, report = load(liar(1_000 * USD, suspend), *SHORT).report()
    assert status == 1
    assert report["check"]["wrong_by_kind"]["denied"] == 2


# The command


def test_nobody_there():
    done = run("--endpoint", "127.0.0.1:1", "--duration", "1s")
    assert done.returncode == 69
    assert "127.0.0.1:1" in done.stderr and done.stdout == ""


def test_a_service_without_its_tenants(server):
    done = run("--endpoint", server.endpoint, "--duration", "1s")
    assert done.returncode == 64
    assert "--write-limits" in done.stderr


@pytest.mark.parametrize("arguments", [
    ["--rate", "0"], ["--rate", "nan"], ["--duration", "1"], ["--duration", "99d"], ["--mix", "letters"],
    ["--mix", "calls,calls"], ["--mix", "calls=0"], ["--mix", "calls=nan"], ["--tenants", "0"],
    ["--skew", "-1"], ["--connections", "65"], ["--max-in-flight", "0"], ["--direct", "2"],
    ["--profiles-per-tenant", "0"], ["--endpoint", "nowhere"], ["--timeout", "0s"], ["--token", "a b"],
    ["--server-pid", "0"], ["--hold-ttl", "999ms"], ["--hold-ttl", "1s", "--pause", "1s"], ["--nonsense"],
])
def test_wrong_usage_is_named(arguments):
    done = run(*arguments)
    assert done.returncode == 64, done.stdout + done.stderr
    assert arguments[0] in done.stderr or arguments[0].removeprefix("--") in done.stderr


def test_help_says_how_to_run_it():
    done = run("--help")
    assert done.returncode == 0
    for word in ("--write-limits", "--rate", "Exit status", "open loop"):
        assert word in done.stdout
