"""What a copy of the data directory is worth, made while charges go on (docs/operate/backup.md)."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading

import grpc
import pytest
from conftest import BINARY, Server, request, usage
from control import eventually

CENT = 10_000_000
BATCH = 100


@pytest.fixture
def start(tmp_path):
    """start(data): a server on that directory, with globex; it is killed after the test."""
    servers = []

    def make(data):
        server = Server("--data-dir", str(data), "--journal-segment", "1MiB")
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.process.send_signal(signal.SIGCONT)
        server.kill()


class Charges:
    """Batches of keyed charges of a cent, one after the other; `acknowledged` are the keys that were answered."""

    def __init__(self, contract, server):
        self.acknowledged = []
        self.contract = contract
        self.channel = grpc.insecure_channel(server.endpoint)
        self.stub = contract.Stub(self.channel)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            self.charge()

    def charge(self):
        first = len(self.acknowledged)
        batch = [charge(self.contract, f"charge-{first + n}") for n in range(BATCH)]
        answer = self.stub.CheckAndReserveBatch(self.contract.CheckAndReserveBatchRequest(requests=batch), timeout=60)
        assert all(result.response.decision == self.contract.DECISION_ALLOWED for result in answer.results)
        self.acknowledged += [one.idempotency_key for one in batch]

    def wait(self, more):
        """Until so many more were acknowledged."""
        count = len(self.acknowledged) + more
        while len(self.acknowledged) < count and self.thread.is_alive():
            self.thread.join(0.005)

    def close(self):
        self.stopping.set()
        self.thread.join()
        self.channel.close()


def charge(contract, key):
    return request(contract, "globex", spend=CENT, mode=contract.MODE_COMMIT, idempotency_key=key, reference=64 * "r")


@pytest.fixture
def charges(contract):
    with contextlib.ExitStack() as stack:
        def begin(server):
            found = Charges(contract, server)
            stack.callback(found.close)
            return found

        yield begin


def verified(data):
    return subprocess.run([BINARY, "journal", "verify", "--data-dir", str(data)], capture_output=True, text=True)


def holds(contract, server, keys):
    """A copy that is served has these charges, once each: their keys are replayed. How many it has in all."""
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        count = usage(contract, stub, "globex")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND][0] // CENT
        for key in keys[:: max(1, len(keys) // 20)] + keys[-1:]:
            assert stub.CheckAndReserve(charge(contract, key), timeout=60).replayed, key
    return count


def test_a_copy_of_a_paused_service_is_whole(contract, start, charges, tmp_path):
    server = start(tmp_path / "data")
    going_on = charges(server)
    for number in range(2):
        going_on.wait(500)
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED | os.WNOWAIT)
        keys = list(going_on.acknowledged)
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(tmp_path / "data", copy)
        assert list(going_on.acknowledged) == keys
        server.process.send_signal(signal.SIGCONT)
        done = verified(copy)
        assert done.returncode == 0, done.stderr
        # What was under way may be there without having been acknowledged.
        assert len(keys) <= holds(contract, start(copy), keys) <= len(keys) + BATCH


@pytest.mark.thorough
def test_a_copy_of_a_running_service_is_whole_or_refused(contract, start, charges, tmp_path):
    """Refused where a segment ended while the files were copied one after the other."""
    server = start(tmp_path / "data")
    going_on = charges(server)
    going_on.wait(500)
    eventually(lambda: len(list((tmp_path / "data").glob("journal-*.log"))) > 1, what="the next segment")

    def copied(name, more):
        """A copy, made while so many more charges are acknowledged behind each segment."""
        copy = tmp_path / name
        copy.mkdir()
        for path in sorted((tmp_path / "data").iterdir()):
            # SQLite may have removed one of its own.
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(path, copy)
            if path.name.startswith("journal"):
                going_on.wait(more)
        return copy

    keys = list(going_on.acknowledged)
    quick = copied("quick", 0)
    if verified(quick).returncode == 0:
        assert holds(contract, start(quick), keys) >= len(keys)
    # 168 bytes each: more than a segment, and less than two.
    slow = copied("slow", 7_000)
    done = verified(slow)
    assert done.returncode == 65 and "journal-" in done.stderr, done.stdout + done.stderr
    with pytest.raises(AssertionError, match="The service cannot start"):
        start(slow)


def test_what_came_after_a_copy_is_given_out_again(contract, start, tmp_path):
    """After a restore a reservation's id may be another's: settling names the tenant."""
    server = start(tmp_path / "data")
    assert server.stop() == 0
    shutil.copytree(tmp_path / "data", tmp_path / "copy")

    def reserve(data, tenant):
        again = start(data)
        with grpc.insecure_channel(again.endpoint) as channel:
            stub = contract.Stub(channel)
            held = stub.CheckAndReserve(request(contract, tenant, spend=CENT), timeout=60)
        return again, held.reservation_id

    first, lost = reserve(tmp_path / "data", "globex")
    assert first.stop() == 0
    second, given = reserve(tmp_path / "copy", "initech")
    assert given == lost
    with grpc.insecure_channel(second.endpoint) as channel, pytest.raises(grpc.RpcError) as refused:
        contract.Stub(channel).Commit(contract.CommitRequest(reservation_id=lost, tenant_id="globex"), timeout=60)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
