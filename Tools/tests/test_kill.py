"""kill -9 of the real process under load and in the middle of starts, again and again on one data directory.

After each restart every acknowledged operation is there exactly once, whatever was in flight is there at most once,
and the totals are to the last unit what the client's own books say. Segments and checkpoints are as small as they can
be, so that kills also meet segments being sealed, prepared and removed, and checkpoints being written.
TOLLGATE_KILLS sets how often (50).
"""

import os
import random
import signal
import subprocess
import threading
import time

import grpc
from conftest import BINARY, Failure, Server, quantities, usage

KILLS = int(os.environ.get("TOLLGATE_KILLS", "50"))
SEED = int(os.environ.get("TOLLGATE_SEED", "1"))
CALLERS = 8
CAP = 40_000
TENANTS = ["blocked", "open"]
LIMITS = f"""
tenants:
  - {{id: blocked, max_extensions: {CAP}, on_limit: block}}
  - {{id: open}}
  - {{id: bulk}}
"""
DAY = 86_400_000
ARGUMENTS = [
    "--journal-segment", "1MiB", "--checkpoint-every", "1MiB", "--journal-maximum", "8MiB", "--journal-retention", "0s",
    # Many lives take longer than keys are remembered by default.
    "--idempotency-retention", "24h",
]
# Requests of one batch: of those that fill the journal, and of those that ask again.
BULK = 250
AGAIN = 500
# Keys of earlier lives that each life asks for again.
EARLIER = 50
# One life in so many goes on until a checkpoint is begun, and one until it is made.
PATIENT = 16


class Books:
    """What the client knows: what it asked for, and what it was told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = {}  # key → request
        self.told = {}  # key → (decision, reservation id)
        self.settling = {}  # reservation id → ("commit" | "release", answered)
        self.owner = {}  # reservation id → key
        self.fresh = []  # keys of the present life
        # Extensions of tenant bulk, whose requests have no keys: charged for certain, and at most.
        self.sure = self.possible = 0
        self.refused = set()  # keys of requests for which there was no room
        # Requests with keys that a kill met, and those of them that had taken effect.
        self.in_flight = self.in_effect = 0
        self.errors = []

    def ask(self, key, request):
        with self.lock:
            self.asked[key] = request
            self.fresh.append(key)

    def tell(self, key, answer):
        with self.lock:
            told = (answer.decision, answer.reservation_id)
            assert self.told.setdefault(key, told) == told, f"{key} was decided twice"
            if answer.reservation_id:
                assert self.owner.setdefault(answer.reservation_id, key) == key, "one id, two reservations"

    def settle(self, identifier, how, answered):
        with self.lock:
            self.settling[identifier] = (how, answered)

    def totals(self, contract, tenant):
        """(committed, held) extensions, once nothing is in flight."""
        committed = held = 0
        for key, (decision, identifier) in self.told.items():
            request = self.asked[key]
            if request.tenant_id != tenant or decision != contract.DECISION_ALLOWED:
                continue
            amount = request.quantities[0].amount
            how = self.settling.get(identifier, (None, False))[0]
            if request.mode == contract.MODE_COMMIT or how == "commit":
                committed += amount
            elif how is None:
                held += amount
        return committed, held


class Directory:
    """What the files of the data directory tell about the lives that ended: segments and checkpoints come and go."""

    def __init__(self, path):
        self.path = path
        self.checkpoints = set()
        # Kills under load that left something half made.
        self.in_checkpoint = self.in_segment = 0

    def look(self, under_load):
        """To be called after a kill."""
        names = os.listdir(self.path) if self.path.exists() else []
        self.checkpoints |= {name for name in names if name.endswith(".tgc")}
        # A start that was killed may not have come to removing what the life before it left.
        if under_load:
            self.in_checkpoint += any(name.endswith(".tgc.tmp") for name in names)
            self.in_segment += "next-segment.tmp" in names

    def has_new(self, suffix):
        """There is a checkpoint, begun or made, that was not there at the last look."""
        return any(name.endswith(suffix) and name not in self.checkpoints for name in os.listdir(self.path))

    @property
    def removed(self):
        """Segments that have been removed: the first that is there tells."""
        return min(int(path.stem.removeprefix("journal-")) for path in self.path.glob("journal-*.log")) - 1


def found_no_room(error):
    """A server that lives refused: the journal is full, or a segment is not ready. Nothing was changed."""
    return error.code() == grpc.StatusCode.UNAVAILABLE and "ErrorInfo" in Failure(error).details


def live(contract, books, endpoint, work, stop):
    """One caller, until the server is gone."""
    with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = contract.Stub(channel)
        try:
            while not stop.is_set():
                try:
                    work(stub)
                except grpc.RpcError as error:
                    if not found_no_room(error):
                        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
                        return
                    time.sleep(0.01)
        except BaseException as error:
            books.errors.append(error)


def customer(contract, books, name, chance):
    """Reserves, charges, commits and releases, one call after the other."""
    mine = []
    count = 0

    def work(stub):
        nonlocal count
        count += 1
        if mine and chance.random() < 0.4:
            identifier = mine.pop(chance.randrange(len(mine)))
            settle(contract, books, stub, identifier, "commit" if chance.random() < 0.6 else "release")
            return
        key = f"{name}-{count}"
        request = contract.CheckAndReserveRequest(
            tenant_id=chance.choice(TENANTS),
            action=contract.ACTION_PROVISION_EXTENSION,
            quantities=quantities(contract, extensions=chance.randint(1, 9)),
            idempotency_key=key,
            ttl_ms=DAY,
            mode=contract.MODE_COMMIT if chance.random() < 0.3 else contract.MODE_RESERVE,
        )
        books.ask(key, request)
        try:
            answer = stub.CheckAndReserve(request, timeout=60)
        except grpc.RpcError as error:
            if found_no_room(error):
                books.refused.add(key)
            raise
        books.tell(key, answer)
        if answer.reservation_id:
            mine.append(answer.reservation_id)

    return work


def filler(contract, books):
    """Charges without keys, in batches: they fill segments and leave nothing in a checkpoint."""
    request = contract.CheckAndReserveRequest(
        tenant_id="bulk", action=contract.ACTION_PROVISION_EXTENSION, quantities=quantities(contract, extensions=1),
        mode=contract.MODE_COMMIT, reference="x" * 64,
    )
    batch = contract.CheckAndReserveBatchRequest(requests=[request] * BULK)

    def work(stub):
        books.possible += BULK
        try:
            results = stub.CheckAndReserveBatch(batch, timeout=60).results
        except grpc.RpcError as error:
            if found_no_room(error):
                books.possible -= BULK
            raise
        done = sum(result.status_code == 0 for result in results)
        books.sure += done
        books.possible -= BULK - done

    return work


def settle(contract, books, stub, identifier, how):
    books.settle(identifier, how, False)
    if how == "commit":
        answer = stub.Commit(contract.CommitRequest(reservation_id=identifier), timeout=60)
    else:
        answer = stub.Release(contract.ReleaseRequest(reservation_id=identifier), timeout=60)
    books.settle(identifier, how, True)
    return answer


def insist(call):
    """An answer of a server that lives, and may have no room for a while."""
    end = time.monotonic() + 60
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if not found_no_room(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def ask_again(contract, books, stub, keys):
    """Retries requests: acknowledged means replayed, with the same outcome."""
    end = time.monotonic() + 600
    while keys:
        assert time.monotonic() < end, f"{len(keys)} requests find no room"
        asked, keys = keys[:AGAIN], keys[AGAIN:]
        batch = contract.CheckAndReserveBatchRequest(requests=[books.asked[key] for key in asked])
        results = insist(lambda: stub.CheckAndReserveBatch(batch, timeout=60)).results
        assert len(results) == len(asked)
        for key, result in zip(asked, results):
            if result.status_code == grpc.StatusCode.UNAVAILABLE.value[0]:
                keys.append(key)
                continue
            assert result.status_code == 0, result
            if key in books.told:
                assert result.response.replayed, f"{key} was acknowledged and is lost"
            elif key in books.refused:
                assert not result.response.replayed, f"{key} was refused and has taken effect"
            else:
                books.in_flight += 1
                books.in_effect += result.response.replayed
            books.tell(key, result.response)


def collect(contract, books, stub, chance, everything):
    """Retries all that the last life asked for, and some of what earlier ones did, or `everything`."""
    fresh = set(books.fresh)
    earlier = [key for key in books.told if key not in fresh]
    if not everything:
        earlier = chance.sample(earlier, min(EARLIER, len(earlier)))
    ask_again(contract, books, stub, books.fresh + earlier)
    for identifier, (how, answered) in list(books.settling.items()):
        if answered and books.owner[identifier] not in fresh:
            continue
        answer = insist(lambda: settle(contract, books, stub, identifier, how))
        assert answer.replayed or not answered, f"the {how} of {identifier} was acknowledged and is lost"
    books.fresh = []


def compare(contract, books, stub, life):
    """The service's totals are the client's."""
    for tenant in TENANTS:
        counted = usage(contract, stub, tenant)[contract.LIMIT_KIND_TENANT_EXTENSIONS]
        assert counted == books.totals(contract, tenant), f"life {life}, seed {SEED}"
    assert sum(books.totals(contract, "blocked")) <= CAP
    committed, held = usage(contract, stub, "bulk")[contract.LIMIT_KIND_TENANT_EXTENSIONS]
    assert held == 0 and books.sure <= committed <= books.possible, f"life {life}, seed {SEED}"
    books.sure = books.possible = committed


def kill_a_start(data, limits, seconds):
    """Starts the server and kills it after so many seconds, ready or not. What it had come to by then."""
    process = subprocess.Popen(
        [BINARY, "serve", "--insecure-no-auth", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
         "--limits", str(limits), "--data-dir", str(data), *ARGUMENTS],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    said, log = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"a start was refused ({process.returncode}), seed {SEED}:\n{log}"
    return "ready" if "tollgate ready" in said else "recovered" if "recovered" in log else "recovering"


def run_and_kill(contract, books, server, directory, life, chance):
    """Callers of all kinds, until the server is killed under them: most often soon, now and then just when a checkpoint
    is begun, or is made and segments are removed."""
    stop = threading.Event()
    works = [
        customer(contract, books, f"{life}-{index}", random.Random(SEED * 1_000_000 + life * CALLERS + index))
        for index in range(CALLERS)
    ]
    callers = [
        threading.Thread(target=live, args=(contract, books, server.endpoint, work, stop))
        for work in [*works, filler(contract, books)]
    ]
    for caller in callers:
        caller.start()
    end = time.monotonic() + 60
    goal = chance.randint(1, 200)
    if life % (PATIENT // 2) == PATIENT // 2 - 1:
        suffix, goal = (".tgc", chance.randint(0, 20)) if life % PATIENT == PATIENT - 1 else (".tgc.tmp", 0)
        while not directory.has_new(suffix) and time.monotonic() < end:
            time.sleep(0.001)
    # A while that is measured by what happens in it.
    goal += len(books.told)
    while len(books.told) < goal and time.monotonic() < end:
        time.sleep(0.001)
    server.process.send_signal(signal.SIGKILL)
    stop.set()
    for caller in callers:
        caller.join(120)
        assert not caller.is_alive()
    assert not books.errors, books.errors


def test_nothing_acknowledged_is_lost(contract, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    data = tmp_path / "data"
    books = Books()
    directory = Directory(data)
    chance = random.Random(SEED)
    starts = {"recovering": 0, "recovered": 0, "ready": 0}
    start_seconds = 1.0
    for life in range(KILLS + 1):
        # Whatever a start has done when it is killed, the next one finds it: sometimes several in a row.
        while chance.random() < 0.3:
            starts[kill_a_start(data, limits, chance.random() * start_seconds)] += 1
            directory.look(under_load=False)
        began = time.monotonic()
        server = Server("--data-dir", str(data), *ARGUMENTS, limits=limits)
        start_seconds = time.monotonic() - began
        try:
            with grpc.insecure_channel(server.endpoint) as channel:
                stub = contract.Stub(channel)
                collect(contract, books, stub, chance, everything=life == KILLS)
                compare(contract, books, stub, life)
            if life < KILLS:
                run_and_kill(contract, books, server, directory, life, chance)
        finally:
            server.kill()
        directory.look(under_load=life < KILLS)
    for line in [
        f"{KILLS} kills under load: {directory.in_checkpoint} while a checkpoint was written, {directory.in_segment} "
        f"while a segment was prepared; seed {SEED}",
        f"{sum(starts.values())} kills of starts: {starts['recovering']} before all was recovered, "
        f"{starts['recovered']} behind that and before ready",
        f"{len(directory.checkpoints)} checkpoints made, {directory.removed} segments removed",
        f"{len(books.asked)} requests with keys: {books.in_flight} in flight at a kill, of which {books.in_effect} had "
        f"taken effect, {len(books.refused)} refused for want of room; {books.sure} without keys",
    ]:
        print(f"figures: {line}")
    assert len(books.told) > 20 * KILLS, "too little happened to show anything"
    verified = subprocess.run(
        [BINARY, "journal", "verify", "--data-dir", str(data)], capture_output=True, text=True, timeout=600
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    if KILLS >= 3 * PATIENT:
        assert len(directory.checkpoints) >= KILLS // PATIENT, "hardly a checkpoint was made"
        assert directory.in_checkpoint > 0, "no kill met a checkpoint"
        assert directory.removed >= KILLS // PATIENT, "hardly a segment was removed"
        assert starts["recovering"] > 0, "no recovery was met"
