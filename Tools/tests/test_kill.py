"""kill -9 of the real process under load, again and again on one data directory.

After each restart every acknowledged operation is there exactly once, whatever was in flight is there at most once,
and the totals are to the last nano-dollar what the client's own books say. TOLLGATE_KILLS sets how often (50).
"""

import os
import random
import signal
import threading
import time

import grpc
from conftest import BINARY, Server, quantities, usage
import subprocess

KILLS = int(os.environ.get("TOLLGATE_KILLS", "50"))
SEED = int(os.environ.get("TOLLGATE_SEED", "1"))
CALLERS = 8
CAP = 40_000
TENANTS = ["blocked", "open"]
LIMITS = f"""
tenants:
  - {{id: blocked, max_extensions: {CAP}, on_limit: block}}
  - {{id: open}}
"""
DAY = 86_400_000


class Books:
    """What the client knows: what it asked for, and what it was told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = {}  # key → request
        self.told = {}  # key → (decision, reservation id)
        self.settling = {}  # reservation id → ("commit" | "release", answered)
        self.owner = {}  # reservation id → key
        self.fresh = []  # keys of the present life

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


def live(contract, books, endpoint, name, chance, stop):
    """One caller, until the server is gone."""
    with grpc.insecure_channel(endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = contract.Stub(channel)
        mine = []
        count = 0
        try:
            while not stop.is_set():
                count += 1
                if mine and chance.random() < 0.4:
                    identifier = mine.pop(chance.randrange(len(mine)))
                    settle(contract, books, stub, identifier, "commit" if chance.random() < 0.6 else "release")
                    continue
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
                answer = stub.CheckAndReserve(request, timeout=60)
                books.tell(key, answer)
                if answer.reservation_id:
                    mine.append(answer.reservation_id)
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error


def settle(contract, books, stub, identifier, how):
    books.settle(identifier, how, False)
    if how == "commit":
        answer = stub.Commit(contract.CommitRequest(reservation_id=identifier), timeout=60)
    else:
        answer = stub.Release(contract.ReleaseRequest(reservation_id=identifier), timeout=60)
    books.settle(identifier, how, True)
    return answer


def collect(contract, books, stub, chance):
    """Retries what the last life asked for, and some of what earlier ones did: acknowledged means replayed."""
    fresh = set(books.fresh)
    earlier = [key for key in books.told if key not in fresh]
    for key in books.fresh + chance.sample(earlier, min(50, len(earlier))):
        known = key in books.told
        answer = stub.CheckAndReserve(books.asked[key], timeout=60)
        assert answer.replayed or not known, f"{key} was acknowledged and is lost"
        books.tell(key, answer)
    for identifier, (how, answered) in list(books.settling.items()):
        if answered and books.owner[identifier] not in fresh:
            continue
        answer = settle(contract, books, stub, identifier, how)
        assert answer.replayed or not answered, f"the {how} of {identifier} was acknowledged and is lost"
    books.fresh = []


def test_nothing_acknowledged_is_lost(contract, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    data = tmp_path / "data"
    books = Books()
    chance = random.Random(SEED)
    acknowledged = 0
    for life in range(KILLS + 1):
        # Many lives take longer than keys are remembered by default.
        server = Server("--data-dir", str(data), "--idempotency-retention", "24h", limits=limits)
        try:
            with grpc.insecure_channel(server.endpoint) as channel:
                stub = contract.Stub(channel)
                collect(contract, books, stub, chance)
                for tenant in TENANTS:
                    counted = usage(contract, stub, tenant)[contract.LIMIT_KIND_TENANT_EXTENSIONS]
                    assert counted == books.totals(contract, tenant), f"life {life}, seed {SEED}"
                assert sum(books.totals(contract, "blocked")) <= CAP
            if life == KILLS:
                break
            stop = threading.Event()
            callers = [
                threading.Thread(
                    target=live,
                    args=(contract, books, server.endpoint, f"{life}-{index}", random.Random(SEED * 1_000 + life * CALLERS + index), stop),
                )
                for index in range(CALLERS)
            ]
            for caller in callers:
                caller.start()
            # A while that is measured by what happens in it.
            goal, end = len(books.told) + chance.randint(1, 200), time.monotonic() + 60
            while len(books.told) < goal and time.monotonic() < end:
                time.sleep(0.001)
            server.process.send_signal(signal.SIGKILL)
            stop.set()
            for caller in callers:
                caller.join(120)
                assert not caller.is_alive()
        finally:
            server.kill()
        acknowledged = len(books.told)
    assert acknowledged > 20 * KILLS, "too little happened to show anything"
    print(f"{KILLS} kills, {len(books.asked)} asked, {acknowledged} acknowledged, seed {SEED}")
    verified = subprocess.run(
        [BINARY, "journal", "verify", "--data-dir", str(data)], capture_output=True, text=True, timeout=60
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
