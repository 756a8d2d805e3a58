"""The real server on a disk, a clock and a machine that misbehave (docs/reliability.md).

Failing, slow and interrupted system calls are strace's: it is attached to the running server and lets go of it again.
Short writes and a jumping wall clock are a small library of our own (Tools/lib/verify/faults.c), preloaded.
TOLLGATE_FAULTS=long tries more, and longer.
"""

import contextlib
import http.client
import itertools
import os
import pathlib
import re
import resource
import signal
import sqlite3
import subprocess
import threading
import time

import grpc
import pytest
from conftest import Failure, Server, failure, quantities, usage
from control import Answer, Rest
from realtime import Clock

LONG = os.environ.get("TOLLGATE_FAULTS") == "long"
SEED = int(os.environ.get("TOLLGATE_SEED", "1"))
DAY = 86_400_000
LIMITS = "tenants:\n  - {id: acme, max_extensions: 4000000000, on_limit: block}\n  - {id: open}\n"


class Books:
    """What was asked for, and what was acknowledged. Every request has a key and asks for one extension."""

    def __init__(self, contract, mode=None):
        self.contract = contract
        self.mode = mode or contract.MODE_COMMIT
        self.asked = {}
        self.told = {}
        self.failed = []
        self.lock = threading.Lock()

    def request(self, key):
        return self.contract.CheckAndReserveRequest(
            tenant_id="acme",
            action=self.contract.ACTION_PROVISION_EXTENSION,
            quantities=quantities(self.contract, extensions=1),
            idempotency_key=key,
            ttl_ms=DAY,
            mode=self.mode,
        )

    def ask(self, stub, key, timeout=60):
        """One request; its seconds."""
        request = self.request(key)
        with self.lock:
            self.asked[key] = request
        began = time.monotonic()
        try:
            answer = stub.CheckAndReserve(request, timeout=timeout)
        except grpc.RpcError as error:
            with self.lock:
                self.failed.append(error.code())
            raise
        assert answer.decision == self.contract.DECISION_ALLOWED
        with self.lock:
            self.told.setdefault(key, answer.reservation_id)
        return time.monotonic() - began

    def audit(self, stub):
        """Retries everything: what was acknowledged is replayed, and all is there exactly once."""
        for key, request in self.asked.items():
            answer = stub.CheckAndReserve(request, timeout=60)
            if key in self.told:
                assert answer.replayed, f"{key} was acknowledged and is lost"
                assert answer.reservation_id == self.told[key], f"{key} was decided twice"
        committed, held = usage(self.contract, stub, "acme")[self.contract.LIMIT_KIND_TENANT_EXTENSIONS]
        assert committed + held == len(self.asked), f"seed {SEED}"


class Load:
    """Callers, one request after the other each, until the end of the block or of the server."""

    def __init__(self, books, server, callers=8, timeout=60):
        self.timeout = timeout  # seconds that each call may take
        self.stop = threading.Event()
        self.errors = []
        self.slowest = 0
        self.threads = [
            threading.Thread(target=self._live, args=(books, server.endpoint, f"{id(self)}-{index}"))
            for index in range(callers)
        ]

    def _live(self, books, endpoint, name):
        count = 0
        with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = books.contract.Stub(channel)
            try:
                while not self.stop.is_set():
                    count += 1
                    self.slowest = max(self.slowest, books.ask(stub, f"{name}-{count}", self.timeout))
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    self.errors.append(error)
            except BaseException as error:
                self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a caller hangs"
        assert not self.errors, self.errors


class Injection:
    """strace on a running server: makes calls on one file fail or wait until the end of the block."""

    def __init__(self, server, path, calls, fault):
        data, name = os.path.split(path)
        self.log = f"{data}-{name}-{time.monotonic_ns()}.strace"
        self.process = subprocess.Popen(
            ["strace", "-f", "-p", str(server.process.pid), "-o", self.log, "-P", os.path.realpath(path),
             "-e", "trace=fdatasync,pwritev,pwrite64,pwritev2", "-e", f"inject={calls}:{fault}"],
            stderr=subprocess.PIPE, text=True,
        )
        said = ""
        for line in self.process.stderr:
            said += line
            if "attached" in line:
                return
        self.process.wait(60)
        if "Operation not permitted" in said:
            pytest.skip("strace may not be attached to a process here (ptrace_scope): run as root")
        raise AssertionError(said)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)

    def lines(self, pattern):
        with open(self.log) as log:
            return [line for line in log if re.search(pattern, line)]


def segment(data):
    """The segment that a first process writes; the next one may have been made ready."""
    names = sorted(name for name in os.listdir(data) if re.fullmatch(r"journal-\d+\.log", name))
    assert names, f"no journal in {data}"
    return str(data / names[0])


@pytest.fixture
def journal(tmp_path):
    """journal(*arguments): a server on the test's data directory; one after the other."""
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    servers = []

    def start(*arguments, data=tmp_path / "data", environment=None):
        server = Server(
            "--data-dir", str(data), "--durability", "sync", *arguments, limits=limits, environment=environment
        )
        server.data = data
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.kill()


def stub_of(contract, server):
    return contract.Stub(
        grpc.insecure_channel(server.endpoint, options=[("grpc.use_local_subchannel_pool", 1)])
    )


def must_fail_stop(server):
    """It ends by itself, not well, and says which file it was."""
    status = server.process.wait(120)
    server._reader.join(60)
    log = "".join(server.log)
    assert status != 0, log
    assert "journal-" in log, f"the file is not named:\n{log}"
    return status


WRITES = "pwritev,pwrite64,pwritev2"
FATAL = [
    ("fdatasync", "EIO", 1), ("fdatasync", "EIO", 2), ("fdatasync", "EIO", 7), ("fdatasync", "EINTR", 1),
    ("fdatasync", "ENOSPC", 1), (WRITES, "EIO", 1), (WRITES, "EIO", 5),
] + [("fdatasync", "EIO", 10 * nth) for nth in range(2, 42)] * LONG


@pytest.mark.parametrize("calls, error, nth", FATAL)
def test_a_failed_call_is_final(contract, journal, calls, error, nth):
    """A lone caller: each acknowledgement needs a sync that succeeded after its request; the failed one acknowledges
    nothing, and the process ends."""
    books = Books(contract)
    server = journal()
    stub = stub_of(contract, server)
    for index in range(5):
        books.ask(stub, f"before-{index}")
    with Injection(server, segment(server.data), calls, f"error={error}:when={nth}") as fault:
        acknowledged = 0
        with pytest.raises(grpc.RpcError) as caught:
            for index in range(10 * nth + 100):
                books.ask(stub, f"after-{index}")
                acknowledged += 1
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        status = must_fail_stop(server)
    assert fault.lines("INJECTED"), "nothing was injected"
    synced = len(fault.lines(r"fdatasync.*= 0$"))
    assert acknowledged <= synced, "an answer left before its record was on disk"
    server = journal()
    books.audit(stub_of(contract, server))
    assert server.stop() == 0
    print(f"figures: {error} at call {nth} of {calls}: {acknowledged} acknowledged after {synced} syncs, exit {status}")


def test_a_failed_sync_under_load(contract, journal):
    books = Books(contract)
    server = journal()
    with Load(books, server):
        time.sleep(0.3)
        with Injection(server, segment(server.data), "fdatasync", "error=EIO:when=20"):
            must_fail_stop(server)
    server = journal()
    books.audit(stub_of(contract, server))
    assert server.stop() == 0
    print(f"figures: EIO under load: {len(books.told)} of {len(books.asked)} acknowledged, all found again")


def test_interrupted_calls_are_taken_up_again(contract, journal):
    books = Books(contract)
    server = journal()
    stub = stub_of(contract, server)
    with Injection(server, segment(server.data), WRITES, "error=EINTR:when=1+3") as fault:
        for index in range(50):
            books.ask(stub, f"k{index}")
    interrupted = len(fault.lines("INJECTED"))
    assert interrupted >= 10
    books.audit(stub)
    assert server.stop() == 0
    server = journal()
    books.audit(stub_of(contract, server))
    assert server.stop() == 0
    print(f"figures: {interrupted} writes interrupted, 50 of 50 acknowledged")


def test_short_writes_go_on(contract, journal, preload):
    """Every write to a file takes half of what it was given."""
    books = Books(contract)
    server = journal("--journal-segment", "1MiB", environment={"LD_PRELOAD": preload, "TOLLGATE_TEST_SHORT_WRITES": "1"})
    with Load(books, server):
        time.sleep(2)
    assert server.stop() == 0
    server = journal("--journal-segment", "1MiB")
    books.audit(stub_of(contract, server))
    assert server.stop() == 0
    print(f"figures: every write short: {len(books.told)} acknowledged, all found again")


@pytest.mark.parametrize("milliseconds", [10, 300] + [1_000, 5_000] * LONG)
def test_a_slow_disk_only_delays(contract, journal, milliseconds):
    books = Books(contract)
    server = journal()
    stub = stub_of(contract, server)
    with Injection(server, segment(server.data), "fdatasync", f"delay_enter={milliseconds * 1_000}"):
        # A lone answer waits for a whole sync that began after it was given.
        fastest = min(books.ask(stub, f"alone-{index}") for index in range(3))
        assert fastest >= milliseconds / 1_000, "an answer left before its record was on disk"
        rest = Rest(server)
        for path, body in [
            ("/v2/tenants", {"id": "slow"}),
            ("/v2/usage_records", {"tenant_id": "open", "action": "charge", "quantities": {"spend": "0.01"}}),
        ]:
            began = time.monotonic()
            rest.post(path, body).data
            took = time.monotonic() - began
            assert took >= milliseconds / 1_000, f"{path} was answered before it was on disk"
        with Load(books, server) as load:
            time.sleep(max(1, 3 * milliseconds / 1_000))
    assert server.process.poll() is None
    books.audit(stub)
    assert server.stop() == 0
    print(
        f"figures: sync + {milliseconds} ms: lone answer {fastest * 1_000:.0f} ms at least, under load "
        f"{load.slowest * 1_000:.0f} ms at most, {len(books.told)} acknowledged"
    )


def test_rest_works_on_so_many_requests_at_a_time(journal):
    """--http-max-requests: one more is 503, with when to come again; health is asked all the same."""
    server = journal("--http-max-requests", "2")
    rest = Rest(server)
    with Injection(server, segment(server.data), "fdatasync", "delay_enter=3000000"):
        answers = []

        def make(number):
            answers.append(Rest(server).post("/v2/tenants", {"id": f"slow-{number}"}).status)

        makers = [threading.Thread(target=make, args=(number,)) for number in range(2)]
        for maker in makers:
            maker.start()
        time.sleep(1)
        refused = rest.get("/v2/tenants/open")
        assert refused.status == 503 and "Too many requests" in str(refused.body), refused
        assert int(refused.headers["Retry-After"]) >= 1
        assert rest.get("/healthz").status == 200
        for maker in makers:
            maker.join(60)
    assert answers == [200, 200], answers
    assert rest.get("/v2/tenants/open").status == 200


def test_what_waits_longer_than_its_deadline_is_taken_back(contract, journal):
    books = Books(contract, contract.MODE_RESERVE)
    server = journal()
    stub = stub_of(contract, server)
    kind = contract.LIMIT_KIND_TENANT_EXTENSIONS
    # The connection is made before anything is waited for.
    assert usage(contract, stub, "acme")[kind] == (0, 0)
    with Injection(server, segment(server.data), "fdatasync", "delay_enter=2000000"):
        for index in range(3):
            request = books.request("")
            request.idempotency_key = ""
            refused = failure(stub.CheckAndReserve, request, timeout=0.3)
            assert refused.code == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: usage(contract, stub, "acme")[kind] == (0, 0), "a hold stayed whose caller was told nothing")
    assert server.stop() == 0
    print("figures: 3 holds of callers that had gone were taken back")


def states(server):
    """The letters of the states that the kernel has a server's threads in."""
    for thread in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        yield (thread / "stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("seconds", [1, 3] + [5, 20, 60] * LONG)
def test_a_stopped_process_goes_on(contract, journal, seconds):
    books = Books(contract)
    server = journal()
    timeout, callers = seconds + 60, 4
    with Load(books, server, callers=callers, timeout=timeout) as load:
        time.sleep(0.3)
        before = len(books.told)
        server.process.send_signal(signal.SIGSTOP)
        eventually(lambda: set(states(server)) == {"T"}, "it does not stop")
        stopped = len(books.told)
        time.sleep(seconds)
        # Each caller may learn of one answer that had left already; then there is silence.
        silent = len(books.told)
        assert silent <= stopped + callers, "a stopped process answered"
        server.process.send_signal(signal.SIGCONT)
        eventually(lambda: len(books.told) >= silent + 50, "it does not go on", timeout)
    books.audit(stub_of(contract, server))
    assert server.stop() == 0
    after = len(books.told) - silent
    print(
        f"figures: stopped for {seconds} s: {before} acknowledged before, {after} after, slowest {load.slowest:.1f} s"
    )


def hold(contract, stub, seconds):
    """A hold on one extension: its expiry, Unix seconds."""
    answer = stub.CheckAndReserve(
        contract.CheckAndReserveRequest(
            tenant_id="acme", action=contract.ACTION_PROVISION_EXTENSION,
            quantities=quantities(contract, extensions=1), ttl_ms=seconds * 1_000,
        ),
        timeout=60,
    )
    assert answer.decision == contract.DECISION_ALLOWED
    return answer.expires_at_ms / 1_000


def held(contract, stub):
    return usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS][1]


def eventually(condition, sentence, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, sentence
        time.sleep(0.05)


@pytest.mark.thorough
def test_the_wall_clock_jumps(contract, journal, preload, tmp_path):
    """Engine time follows a wall clock that is a second ahead, doubts a longer leap for a minute, waits at half speed for
    one that was set back, and never goes back, not even over a restart; no hold lives longer or shorter (semantics §2)."""
    clock = Clock(tmp_path / "clock")
    server = journal(environment=clock.environment(preload))
    stub = stub_of(contract, server)
    asked = time.time()
    first = hold(contract, stub, 3_600)
    assert asked - 30 < first - 3_600 < time.time() + 30, "the clock is not the wall clock"

    def told(text):
        return sum(text in line for line in server.log)

    def standing():
        return Rest(server).get("/readyz").body["clock"]

    assert standing()["status"] == "ok"
    for back in (-1, -3_600, -86_400, -365 * 86_400):
        clock.move(back)
        time.sleep(1.2)  # the clock is looked at every second
        later = hold(contract, stub, 3_600)
        assert later >= first, f"engine time went back at {back} s"
        first = later
    assert held(contract, stub) == 5, "a hold expired early"
    assert standing()["status"] == "apart" and standing()["ahead_ms"] > 364 * DAY
    assert told("was set back") == 1, "one line at the edge"

    # Right again, it is seconds ahead of what half speed came to meanwhile: that is doubted for a minute.
    clock.move(0)
    eventually(lambda: told("trusted if it stays so") == 1, "a leap is not reported")
    clock.boot += 61
    clock.move(61)
    eventually(lambda: told("following the wall clock") == 1, "one line at the other edge")

    def is_a_second_ahead():
        asked = time.time() + 61
        expiry = hold(contract, stub, 3_600)
        # Ahead of the answer as well: else it may have been decided late.
        return expiry >= asked + 3_600 + 0.6 and expiry > time.time() + 61 + 3_600

    # A little less than a second: both clocks are read in whole milliseconds.
    clock.move(61.95)
    eventually(is_a_second_ahead, "one second ahead is followed")
    count = held(contract, stub)

    clock.move(62 + 20 * 3_600)
    eventually(lambda: told("trusted if it stays so") == 2, "a leap is not reported")
    assert hold(contract, stub, 3_600) < time.time() + 7_200, "a leap of 20 hours was believed at once"
    assert standing()["status"] == "apart" and standing()["ahead_ms"] < -19 * 3_600_000
    # A minute passes: then it is the time, and nobody's hold has lived longer than that.
    clock.boot += 61
    clock.move(62 + 20 * 3_600 + 61)
    eventually(lambda: hold(contract, stub, 3_600) > time.time() + 20 * 3_600, "a leap is never believed")
    assert told("trusted if it stays so") == 2, "one line at the edge"
    assert held(contract, stub) > count, "a hold lived shorter than it was given"
    ahead = hold(contract, stub, 3_600)

    clock.move(86_400 * 40)
    eventually(lambda: told("--accept-clock") == 1, "a leap that is never believed is not reported")

    clock.move(0)
    assert server.stop() == 0
    server = journal(environment=clock.environment(preload))
    stub = stub_of(contract, server)
    assert held(contract, stub) > count, "a hold expired, or was lost, over a restart"
    assert hold(contract, stub, 3_600) >= ahead, "engine time went back over a restart"
    eventually(lambda: told("was set back") == 1, "a start says it too")
    assert standing()["ahead_ms"] > 19 * 3_600_000

    clock.boot += 3_700
    clock.move(3_700)
    eventually(lambda: held(contract, stub) == 0, "holds outlive what was given")
    assert server.stop() == 0
    print("figures: 9 jumps (-1 s, -1 h, -1 d, -1 y, +1 s, +20 h, +40 d, back, back over a restart)")


def test_a_clock_far_off_is_accepted_on_an_operators_word(contract, journal, preload, tmp_path):
    clock = Clock(tmp_path / "clock")
    clock.move(200 * 86_400)
    server = journal(environment=clock.environment(preload))
    hold(contract, stub_of(contract, server), 3_600)
    assert server.stop() == 0
    clock.move(0)
    with pytest.raises(AssertionError, match="--accept-clock") as refusal:
        journal(environment=clock.environment(preload))
    instant = re.search(r"--accept-clock (\S+Z)", str(refusal.value))[1]
    with pytest.raises(AssertionError, match="more than a day"):
        journal("--accept-clock", "2020-01-01T00:00:00Z", environment=clock.environment(preload))
    server = journal("--accept-clock", instant, environment=clock.environment(preload))
    stub = stub_of(contract, server)
    assert hold(contract, stub, 3_600) < time.time() + 7_200
    assert held(contract, stub) == 2, "what is held counts in the windows that contain the time"
    lines = Rest(server).all("/v2/audit_events?filter[kind]=setting_changed")
    assert any(line["reference"] == "accepted-clock" for line in lines), lines
    assert server.stop() == 0
    server = journal(environment=clock.environment(preload))
    assert held(contract, stub_of(contract, server)) == 2
    assert server.stop() == 0


def batch(contract, stub, name, count=500, timeout=60):
    """Fresh keys, one extension each, charged: (allowed, refused)."""
    requests = [
        contract.CheckAndReserveRequest(
            tenant_id="acme", action=contract.ACTION_PROVISION_EXTENSION,
            quantities=quantities(contract, extensions=1), mode=contract.MODE_COMMIT,
            idempotency_key=f"{name}-{index}", reference="r" * 64,
        )
        for index in range(count)
    ]
    try:
        results = stub.CheckAndReserveBatch(
            contract.CheckAndReserveBatchRequest(requests=requests), timeout=timeout
        ).results
    except grpc.RpcError as error:
        refused = Failure(error)
        assert refused.code == grpc.StatusCode.UNAVAILABLE and "RetryInfo" in refused.details, refused.message
        return 0, count
    codes = [result.status_code for result in results]
    assert set(codes) <= {0, grpc.StatusCode.UNAVAILABLE.value[0]}, set(codes)
    return codes.count(0), len(codes) - codes.count(0)


def test_a_full_disk_refuses_and_recovers(contract, journal, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    # Asks for no password: where there is none to be had, there is no such test.
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mounted = subprocess.run(
        [*as_root, "mount", "-t", "tmpfs", "-o", "size=24m,mode=1777", "tollgate-test", str(disk)],
        capture_output=True, text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system of its own for this test (root is needed): {mounted.stderr.strip()}")
    try:
        fill_and_recover(contract, journal, disk)
    finally:
        subprocess.run([*as_root, "umount", "-l", str(disk)], check=True)


def fill_and_recover(contract, journal, disk):
    filler = disk / "filler"
    filler.write_bytes(bytes(16 << 20))
    arguments = ("--journal-segment", "1MiB", "--journal-retention", "1h")
    server = journal(*arguments, data=disk / "data")
    stub = stub_of(contract, server)
    kind = contract.LIMIT_KIND_TENANT_EXTENSIONS
    # A crowd may be refused while the writer is behind; the disk is full when a lone caller is, again and again.
    committed = rounds = 0
    refusals = []
    while len(refusals) < 5:
        rounds += 1
        assert rounds < 2_000, "the disk never fills"
        allowed, late = batch(contract, stub, f"fill-{rounds}", 200)
        committed += allowed
        if late == 0:
            refusals = []
            continue
        try:
            stub.CheckAndReserve(Books(contract).request(f"lone-{rounds}"), timeout=60)
            committed += 1
            refusals = []
        except grpc.RpcError as error:
            refusals.append(Failure(error))
            time.sleep(0.3)
    # Full means refused with the catalogue's code and a time to come back; reads go on, and nothing is half done.
    for answer in refusals:
        assert answer.code == grpc.StatusCode.UNAVAILABLE, answer.message
        assert answer.catalogue == "10037" and "RetryInfo" in answer.details
    assert usage(contract, stub, "acme")[kind] == (committed, 0)
    assert server.process.poll() is None

    def told(text):
        return [line for line in server.log if text in line]

    # Whoever looks after the service sees it: where requests are sent, and once in the log.
    answer = Rest(server).get("/readyz")
    assert answer.status == 503 and "No space left on device" in answer.body["errors"][0]["detail"], answer
    eventually(lambda: told("changes cannot be recorded"), "the log does not say it")
    time.sleep(2.5)  # two more looks
    assert len(told("changes cannot be recorded")) == 1 and " error " in told("changes cannot be recorded")[0]
    assert "No space left" in told("changes cannot be recorded")[0]
    filler.unlink()
    eventually(lambda: told("changes are recorded again"), "the log does not say that it is over")
    assert Rest(server).get("/readyz").status == 200
    assert len(told("changes cannot be recorded")) == len(told("changes are recorded again")) == 1

    def accepts():
        return batch(contract, stub, f"again-{time.monotonic_ns()}", 1)[0] == 1

    eventually(accepts, "it does not recover by itself")
    total = usage(contract, stub, "acme")[kind]
    assert total == (committed + 1, 0)
    assert server.stop() == 0
    server = journal(*arguments, data=disk / "data")
    assert usage(contract, stub_of(contract, server), "acme")[kind] == total
    assert server.stop() == 0
    print(f"figures: 8 MiB full after {committed} requests, recovered by itself, {total[0]} found again")


def test_a_projection_that_does_not_go_on_is_not_ready(journal):
    server = journal()
    rest = Rest(server)
    assert rest.get("/readyz").status == 200
    with contextlib.closing(sqlite3.connect(server.data / "projection.sqlite", timeout=60)) as file:
        file.execute("CREATE TRIGGER never BEFORE INSERT ON audit BEGIN SELECT length(zeroblob(2000000000)); END")
        file.commit()
        assert rest.patch("/v2/tenants/acme", {"name": "other"}).status == 200
        eventually(lambda: rest.get("/readyz").status == 503, "it is ready though lists do not go on")
        answer = rest.get("/readyz")
        assert "Lists and alerts are not updating: string or blob too big" in answer.body["errors"][0]["detail"]
        assert rest.get("/healthz").status == 200
        file.execute("DROP TRIGGER never")
        file.commit()
    eventually(lambda: rest.get("/readyz").status == 200, "it does not recover")
    eventually(lambda: [line for line in server.log if "lists and logs are updating again" in line], "the log does not say it")
    assert len([line for line in server.log if "lists and logs are not updating" in line]) == 1


def test_spent_descriptors_are_told(contract, journal):
    """None is left: who asks over a connection that is there learns why, the log has a line at each edge, and decisions
    go on."""
    server = journal()
    process = server.process.pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    stub = stub_of(contract, server)
    hold(contract, stub, 3_600)
    connection = http.client.HTTPConnection(server.http, timeout=60)

    def ready():
        connection.request("GET", "/readyz")
        connection.auto_open = 0  # A new connection would not be accepted.
        return Answer(connection.getresponse())

    def told(text):
        return [line for line in server.log if text in line]

    def opened():
        return {int(name) for name in os.listdir(f"/proc/{process}/fd")}

    assert ready().status == 200
    # What is open for a moment only leaves a hole below the limit.
    eventually(lambda: len(list(server.data.glob("journal-*.log"))) == 2, "the next segment is not made ready")
    lasting = opened()
    for _ in range(20):
        time.sleep(0.05)
        lasting &= opened()
    least = next(number for number in itertools.count() if number not in lasting)
    try:
        resource.prlimit(process, resource.RLIMIT_NOFILE, (least, before[1]))
        eventually(lambda: ready().status == 503, "it is ready without a descriptor")
        assert "reached its limit of open files" in ready().body["errors"][0]["detail"]
        eventually(lambda: told("no file descriptors are left"), "the log does not say it")
        time.sleep(2.5)  # two more looks
        assert ready().status == 503
        hold(contract, stub, 3_600)
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
    eventually(lambda: ready().status == 200, "it does not recover")
    eventually(lambda: told("file descriptors are available again"), "the log does not say that it is over")
    assert held(contract, stub) == 2
    begins, ends = told("no file descriptors are left"), told("file descriptors are available again")
    assert len(begins) == 1 and " error " in begins[0] and "limit of open files" in begins[0], begins
    assert len(ends) == 1 and " notice " in ends[0], ends
    connection.close()
    assert server.stop() == 0


def size_of_segments(data):
    """Bytes of the segments in a directory that the server works in."""
    size = 0
    for segment in data.glob("journal-*"):
        with contextlib.suppress(FileNotFoundError):  # It was removed meanwhile.
            size += segment.stat().st_size
    return size


def test_a_full_journal_refuses_or_makes_room(contract, journal):
    """--journal-maximum: checkpoints make room, and what does not fit meanwhile is refused."""
    arguments = ("--journal-segment", "1MiB", "--journal-maximum", "8MiB", "--checkpoint-every", "1MiB", "--journal-retention", "0s")
    server = journal(*arguments)
    stub = stub_of(contract, server)
    committed = refused = 0
    for index in range(200 if LONG else 80):
        name = f"b{index}"
        allowed, late = batch(contract, stub, name)
        committed += allowed
        refused += late
        size = size_of_segments(server.data)
        assert size <= 8 << 20, f"{size} bytes of segments"
        if late:
            time.sleep(0.1)
    eventually(lambda: batch(contract, stub, f"l{time.monotonic_ns()}", 1)[0] == 1, "it does not recover by itself")
    total = usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS]
    assert total == (committed + 1, 0)
    assert server.stop() == 0
    server = journal(*arguments)
    assert usage(contract, stub_of(contract, server), "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS] == total
    assert server.stop() == 0
    print(f"figures: {committed} acknowledged within 8 MiB of segments, {refused} refused meanwhile")
