"""The journal of the real process: what survives, `tollgate journal`, and what is refused."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time

import grpc
import pytest
from conftest import BINARY, USD, Server, request, usage
from control import Rest, compact, eventually

LIMITS = """
tenants:
  - id: acme
    monthly_spend_limit: "10.00"
    auto_suspend: true
    messaging_profiles:
      - {id: sms, daily_spend_limit: "5.00", daily_spend_limit_enabled: true}
"""


@pytest.fixture
def limits(tmp_path):
    path = tmp_path / "limits.yaml"
    path.write_text(LIMITS)
    return path


def journal(directory, *arguments):
    return subprocess.run(
        [BINARY, "journal", *arguments, "--data-dir", str(directory)],
        capture_output=True, text=True, timeout=240,
    )


def live(contract, limits, data, work, *arguments, end=signal.SIGTERM):
    """One life of the service on a data directory."""
    server = Server("--data-dir", str(data), *arguments, limits=limits)
    try:
        with grpc.insecure_channel(server.endpoint) as channel:
            result = work(contract.Stub(channel))
        if end == signal.SIGKILL:
            server.kill()
        else:
            assert server.stop(end) == 0, "".join(server.log)
        return result, "".join(server.log)
    finally:
        server.kill()


def some(contract):
    def work(stub):
        held = stub.CheckAndReserve(
            request(contract, "acme", spend=USD, messaging_profile_id="sms", idempotency_key="one"), timeout=60
        )
        stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60)
        stub.CheckAndReserve(request(contract, "acme", spend=2 * USD, ttl_ms=3_600_000, reference="call-7"), timeout=60)
        return held.reservation_id

    return work


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_everything_is_there_again(contract, limits, tmp_path, end):
    data = tmp_path / "data"
    identifier, _ = live(contract, limits, data, some(contract), end=end)

    def again(stub):
        replayed = stub.CheckAndReserve(
            request(contract, "acme", spend=USD, messaging_profile_id="sms", idempotency_key="one"), timeout=60
        )
        committed = stub.Commit(contract.CommitRequest(reservation_id=identifier), timeout=60)
        return replayed, committed, usage(contract, stub, "acme", "sms")

    (replayed, committed, counted), log = live(contract, limits, data, again)
    assert replayed.replayed and replayed.reservation_id == identifier
    assert committed.replayed
    assert counted[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (USD, 2 * USD)
    assert counted[contract.LIMIT_KIND_PROFILE_DAILY_SPEND] == (USD, 0)
    assert "the limits file has not changed" in log


def test_holds_that_fell_due_meanwhile_have_expired(contract, limits, tmp_path):
    data = tmp_path / "data"

    def hold(stub):
        return stub.CheckAndReserve(
            request(contract, "acme", spend=USD, ttl_ms=3_000, include_limits=True), timeout=60)

    held, _ = live(contract, limits, data, hold, end=signal.SIGKILL)
    # Seen in the answer itself, which no delay comes between.
    [spend] = [state for state in held.limits if state.limit == contract.LIMIT_KIND_TENANT_MONTHLY_SPEND]
    assert (spend.committed, spend.held) == (0, USD)
    # Whenever it starts after the hold's time: it serves without the hold from its first answer on.
    time.sleep(max(0, held.expires_at_ms / 1_000 - time.time()) + 0.1)
    after, _ = live(
        contract, limits, data, lambda stub: usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND]
    )
    assert after == (0, 0)


def test_the_directory_is_locked(contract, limits, tmp_path):
    data = tmp_path / "data"
    server = Server("--data-dir", str(data), limits=limits)
    try:
        second = subprocess.run(
            [BINARY, "serve", "--insecure-no-auth", "--grpc-listen", "127.0.0.1:0", "--data-dir", str(data)],
            capture_output=True, text=True, timeout=240,
        )
        assert second.returncode == 69 and "another process" in second.stderr
        assert journal(data, "verify").returncode == 69
    finally:
        server.kill()


def test_the_command_reads_it(contract, limits, tmp_path):
    data = tmp_path / "data"
    live(contract, limits, data, some(contract))
    verified = journal(data, "verify", "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["torn_bytes"] == 0
    stat = json.loads(journal(data, "stat", "--json").stdout)
    assert stat["records_by_kind"]["reserved"] == 2 and stat["records_by_kind"]["committed"] == 1
    lines = journal(data, "dump").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert lines == [compact(record) for record in records]
    kinds = [record["kind"] for record in records]
    assert kinds.count("reserved") == 2 and "tenant_created" in kinds and "process_started" in kinds
    assert any(record.get("reference") == "call-7" and record["held_by"] == {"spend": "2.00"} for record in records)
    missing = journal(tmp_path / "nothing", "stat")
    assert missing.returncode == 70 and "nothing" in missing.stderr


def test_damage_is_refused_and_can_be_cut(contract, limits, tmp_path):
    data = tmp_path / "data"
    live(contract, limits, data, some(contract))
    live(contract, limits, data, some(contract))
    segment = sorted(data.glob("journal-*.log"))[0]
    content = bytearray(segment.read_bytes())
    content[4_096 + 600] ^= 1
    segment.write_bytes(content)
    refused = journal(data, "verify")
    assert refused.returncode == 65 and segment.name in refused.stderr and "offset" in refused.stderr
    started = subprocess.run(
        [BINARY, "serve", "--insecure-no-auth", "--grpc-listen", "127.0.0.1:0", "--data-dir", str(data)],
        capture_output=True, text=True, timeout=240,
    )
    assert started.returncode == 69 and "journal repair --truncate-at" in started.stderr
    place = refused.stderr.split("--truncate-at ")[1].split("`")[0]
    repaired = journal(data, "repair", "--truncate-at", place)
    assert repaired.returncode == 0, repaired.stderr
    assert (data / (segment.name + ".damaged")).read_bytes() == bytes(content)
    assert journal(data, "verify").returncode == 0
    live(contract, limits, data, lambda stub: None)


def frames(segment):
    """[(offset, end, kind)] of a segment's frames (docs/journal-format.md), and its bytes."""
    content = segment.read_bytes()
    found, offset = [], 4_096
    while content[offset + 4 : offset + 8] == b"TGFR":
        words = int.from_bytes(content[offset + 32 : offset + 36], "little")
        kind = int.from_bytes(content[offset + 44 : offset + 48], "little")
        found.append((offset, offset + 48 + 8 * words, kind))
        offset = found[-1][1]
    return found, content


DATA, MARK = 1, 2


@pytest.mark.parametrize("tail", ["garbage", "half a frame", "half a frame over the mark"])
def test_a_torn_tail_is_cut(contract, limits, tmp_path, tail):
    data = tmp_path / "data"
    identifier, _ = live(contract, limits, data, some(contract))
    [segment] = data.glob("journal-*.log")
    found, content = frames(segment)
    mark, end, kind = found[-1]
    assert kind == MARK, "an orderly stop ends with a mark"
    assert not any(content[end:])
    data_frame = next(content[start:stop] for start, stop, kind in found if kind == DATA)
    torn = b"\xa5" * 104 if tail == "garbage" else data_frame[: len(data_frame) // 16 * 8]
    place = mark if "over" in tail else end
    with open(segment, "r+b") as file:
        file.seek(place)
        file.write(torn)
    verified = journal(data, "verify", "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["torn_bytes"] == len(torn)
    told = journal(data, "verify").stdout
    assert f"torn tail of {len(torn)} bytes at {segment.name}, offset {place}" in told

    def again(stub):
        committed = stub.Commit(contract.CommitRequest(reservation_id=identifier), timeout=60)
        return committed.replayed, usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND]

    (replayed, counted), log = live(contract, limits, data, again)
    assert replayed and counted == (USD, 2 * USD)
    [warning] = [line for line in log.splitlines() if "removed unacknowledged data" in line]
    assert f"{segment.name}, offset {place}" in warning and f"bytes={len(torn)}" in warning
    assert json.loads(journal(data, "verify", "--json").stdout)["torn_bytes"] == 0
    assert "torn" not in journal(data, "verify").stdout


def test_dump_tells_what_each_record_is(contract, limits, tmp_path):
    data = tmp_path / "data"
    identifier, _ = live(contract, limits, data, some(contract))
    dumped = journal(data, "dump", "--json")
    assert dumped.returncode == 0, dumped.stderr
    records = [json.loads(line) for line in dumped.stdout.splitlines()]
    assert records[0] == {"kind": "process_started", "epoch": 1}
    operations = [record for record in records if record["kind"] != "process_started"]
    stat = json.loads(journal(data, "stat", "--json").stdout)
    assert len(operations) == stat["records"]
    for record in operations:
        assert record["segment"] == 1 and record["epoch"] == 1 and record["frame"] > 1, record
        assert {"kind", "tenant", "version", "time"} <= record.keys(), record
    [tenant] = [record for record in operations if record["kind"] == "tenant_created"]
    ours = [record for record in operations if record["tenant"] == tenant["tenant"]]
    # One behind the other, whatever kind they are: that is what "version" says.
    assert [record["version"] for record in ours] == list(range(1, len(ours) + 1))
    keyed, committed, open_hold = [record for record in ours if "reservation_id" in record]
    assert keyed["kind"] == "reserved" and keyed["action"] == "charge"
    assert keyed["reservation_id"] == committed["reservation_id"] == str(identifier)
    assert keyed["held_by"] == {"spend": "1.00"} and "committed_by" not in keyed
    assert keyed["profile_held_by"] == "1.00" and "profile" in keyed
    assert keyed["key_until"] > keyed["time"] and re.fullmatch("[0-9a-f]+-[0-9a-f]+", keyed["key_hash"])
    assert committed["kind"] == "committed"
    assert committed["committed_by"] == {"spend": "1.00"} and committed["held_by"] == {"spend": "-1.00"}
    assert open_hold["reference"] == "call-7" and open_hold["expires_at"] > open_hold["time"]
    assert "key_hash" not in open_hold


def test_dump_of_a_checkpoint(contract, limits, tmp_path):
    data = tmp_path / "data"
    arguments = ["--journal-segment", "1MiB", "--checkpoint-every", "1MiB"]

    def work(stub):
        some(contract)(stub)
        batch = [request(contract, "acme", extensions=1, mode=contract.MODE_COMMIT, reference="x" * 64)] * 500
        rounds = 0
        end = time.monotonic() + 120
        while not list(data.glob("checkpoint-*.tgc")):
            assert time.monotonic() < end, "there is no checkpoint yet"
            answers = stub.CheckAndReserveBatch(contract.CheckAndReserveBatchRequest(requests=batch), timeout=60)
            rounds += sum(result.status_code == 0 for result in answers.results)
        return rounds

    charged, _ = live(contract, limits, data, work, *arguments)
    [checkpoint] = json.loads(journal(data, "stat", "--json").stdout)["checkpoints"]
    plain = [json.loads(line) for line in journal(data, "dump").stdout.splitlines()]
    assert not [record for record in plain if record["kind"].endswith("_entry")]
    dumped = journal(data, "dump", "--checkpoint", "--json")
    assert dumped.returncode == 0, dumped.stderr
    records = [json.loads(line) for line in dumped.stdout.splitlines()]
    entries = [record for record in records if record["kind"].endswith("_entry")]
    behind = records[len(entries) :]
    assert records[: len(entries)] == entries, "entries come first"
    [tenant] = [record for record in entries if record["kind"] == "tenant_entry"]
    [profile] = [record for record in entries if record["kind"] == "profile_entry"]
    assert tenant["settings"]["id"] == "acme" and profile["settings"]["id"] == "sms"
    # The settled one is remembered, the other one is held: the charges of the batches left nothing but a sum.
    kinds = [record["kind"] for record in entries]
    assert kinds.count("reservation_entry") == 2 and kinds.count("key_entry") == 1
    # Of the segments only those that the checkpoint does not cover, and all that they hold.
    assert min(record["segment"] for record in behind if "segment" in record) == checkpoint
    tail = [record for record in plain if record.get("segment", 0) >= checkpoint]
    assert [record for record in behind if "segment" in record] == tail
    charges = [record for record in behind if record["kind"] == "charged"]
    assert 0 < len(charges) < charged
    assert charges[0]["version"] == tenant["version"] + 1, "no record is missing behind the checkpoint"


def test_a_place_to_cut_at_must_be_one(contract, limits, tmp_path):
    data = tmp_path / "data"
    live(contract, limits, data, some(contract))
    [segment] = data.glob("journal-*.log")
    size = segment.stat().st_size

    def content():
        return {path.name: path.read_bytes() for path in data.glob("*.*") if "projection" not in path.name}

    before = content()
    for place, status, reason in [
        ("1", 64, "SEGMENT:OFFSET"),
        ("1:here", 64, "SEGMENT:OFFSET"),
        ("2:4096", 65, "no such segment"),
        ("1:4095", 65, f"give an offset from 4096 to {size}"),
        (f"1:{size + 1}", 65, f"give an offset from 4096 to {size}"),
    ]:
        refused = journal(data, "repair", "--truncate-at", place)
        assert refused.returncode == status and reason in refused.stderr, (place, refused)
        assert content() == before, place
    # A frame is whole or it is not there: a place within one, as errors name it, means the frame's start.
    found, _ = frames(segment)
    start, end, _ = next(frame for frame in found[1:] if frame[2] == DATA)
    repaired = journal(data, "repair", "--truncate-at", f"1:{end - 8}")
    assert repaired.returncode == 0 and f"at offset {start}\n" in repaired.stdout, repaired
    assert (data / (segment.name + ".damaged")).read_bytes() == before[segment.name]
    assert segment.read_bytes() == before[segment.name][:start].ljust(size, b"\0")
    assert journal(data, "verify").returncode == 0


def test_interval_and_memory(contract, limits, tmp_path):
    data = tmp_path / "data"
    _, log = live(contract, limits, data, some(contract), "--durability", "interval", "--journal-interval", "1ms")
    assert 'may_lose="what was acknowledged within 1ms and the syncs before and after them" mode=interval' in log
    after, log = live(
        contract, limits, data, lambda stub: usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND]
    )
    assert after == (USD, 2 * USD), "an orderly stop loses nothing"
    assert 'may_lose="nothing acknowledged" mode=sync' in log
    unused = tmp_path / "unused"
    _, log = live(contract, limits, unused, some(contract), "--durability", "memory")
    assert not os.path.exists(unused)
    assert "may_lose=everything mode=memory" in log


class Caller(threading.Thread):
    """Charges a tenant one extension after the other, each with a key, until the service is gone."""

    def __init__(self, contract, endpoint, tenant, name):
        super().__init__()
        self.contract, self.endpoint, self.tenant, self.prefix = contract, endpoint, tenant, name
        self.asked = []
        self.acknowledged = 0
        self.error = None

    def run(self):
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self.endpoint, options=options) as channel:
            stub = self.contract.Stub(channel)
            try:
                while True:
                    self.asked.append(
                        request(
                            self.contract, self.tenant, extensions=1, mode=self.contract.MODE_COMMIT,
                            idempotency_key=f"{self.prefix}-{len(self.asked)}",
                        )
                    )
                    answer = stub.CheckAndReserve(self.asked[-1], timeout=60)
                    assert answer.decision == self.contract.DECISION_ALLOWED
                    self.acknowledged += 1
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    self.error = error
            except BaseException as error:
                self.error = error

    def found(self, stub):
        """Asks for everything again, in order: which of it the service knew."""
        answers = []
        for first in range(0, len(self.asked), 500):
            batch = self.contract.CheckAndReserveBatchRequest(requests=self.asked[first : first + 500])
            answers += stub.CheckAndReserveBatch(batch, timeout=60).results
        assert all(answer.status_code == 0 for answer in answers)
        return [answer.response.replayed for answer in answers]


def test_a_kill_in_interval_mode_loses_only_the_last(contract, limits, tmp_path):
    """What a kill leaves is how things once stood, and no older than the last write that somebody waited for."""
    limits.write_text("tenants:\n  - {id: acme}\n  - {id: other}\n")
    data = tmp_path / "data"
    mode = ["--durability", "interval", "--journal-interval", "300ms", "--threads", "2"]
    server = Server("--data-dir", str(data), *mode, limits=limits)
    tenants = ["acme", "other"]
    callers = [
        Caller(contract, server.endpoint, tenant, f"{tenant}-{index}") for tenant in tenants for index in range(3)
    ]

    def wait_for(count):
        goal = sum(caller.acknowledged for caller in callers) + count
        end = time.monotonic() + 120
        while sum(caller.acknowledged for caller in callers) < goal:
            assert time.monotonic() < end and all(caller.is_alive() for caller in callers), "no caller gets on"
            time.sleep(0.001)

    try:
        for caller in callers:
            caller.start()
        wait_for(300)
        kept = [caller.acknowledged for caller in callers]
        # REST waits for the disk in this mode too, and so for all that was published before.
        assert Rest(server).post("/v2/tenants", {"id": "kept"}).status == 200
        wait_for(300)
    finally:
        server.kill()
    for caller in callers:
        caller.join(120)
        assert not caller.is_alive() and caller.error is None, caller.error

    def again(stub):
        kind = contract.LIMIT_KIND_TENANT_EXTENSIONS
        counted = [usage(contract, stub, tenant)[kind] for tenant in tenants]
        return counted, [caller.found(stub) for caller in callers]

    (counted, found), _ = live(contract, limits, data, again)
    assert journal(data, "verify").returncode == 0
    lost = 0
    for caller, known, least in zip(callers, found, kept):
        assert known == sorted(known, reverse=True), f"a gap in what is left of {caller.prefix}"
        assert sum(known) >= least, f"{caller.prefix} lost what was on disk"
        lost += max(0, caller.acknowledged - sum(known))
    for tenant, total in zip(tenants, counted):
        assert total == (sum(sum(known) for caller, known in zip(callers, found) if caller.tenant == tenant), 0)
    acknowledged = sum(caller.acknowledged for caller in callers)
    print(f"figures: killed at an interval of 300 ms: {lost} of {acknowledged} acknowledged are lost")


def test_many_small_segments_and_checkpoints(contract, limits, tmp_path):
    data = tmp_path / "data"
    arguments = ["--journal-segment", "1MiB", "--journal-maximum", "8MiB", "--checkpoint-every", "1MiB", "--journal-retention", "0s"]

    def work(stub):
        for round in range(150):
            batch = [
                request(contract, "acme", extensions=1, mode=contract.MODE_COMMIT, idempotency_key=f"{round}-{index}", reference="x" * 60)
                for index in range(50)
            ]
            answers = stub.CheckAndReserveBatch(contract.CheckAndReserveBatchRequest(requests=batch), timeout=60)
            assert len(answers.results) == 50
        return usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS]

    before, _ = live(contract, limits, data, work, *arguments)
    assert before == (150 * 50, 0)
    after, log = live(
        contract, limits, data, lambda stub: usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS], *arguments
    )
    assert after == before
    assert journal(data, "verify").returncode == 0
    assert "recovered" in log


@contextlib.contextmanager
def no_checkpoints(data):
    """Nothing can get a checkpoint's name as long as a directory has it."""
    names = [data / f"checkpoint-{number:020}.tgc" for number in range(2, 100)]
    for name in names:
        name.mkdir()
    try:
        yield
    finally:
        for name in names:
            name.rmdir()


def test_checkpoints_that_fail_are_told(contract, limits, tmp_path):
    data = tmp_path / "data"
    arguments = ["--data-dir", str(data), "--journal-segment", "1MiB", "--checkpoint-every", "1MiB"]
    server = Server(*arguments, limits=limits)

    def told(words):
        return [line for line in server.log if words in line]

    try:
        with grpc.insecure_channel(server.endpoint) as channel, no_checkpoints(data):
            stub = contract.Stub(channel)
            batch = contract.CheckAndReserveBatchRequest(
                requests=[request(contract, "acme", extensions=1, mode=contract.MODE_COMMIT, reference="x" * 64)] * 500)
            end = time.monotonic() + 120
            while not told("no checkpoint can be written"):
                assert time.monotonic() < end, "the log does not say it"
                if len(list(data.glob("journal-*.log"))) < 10:
                    stub.CheckAndReserveBatch(batch, timeout=60)
                time.sleep(0.02)
            [line] = told("no checkpoint can be written")
            assert " error " in line and "checkpoint-" in line
        eventually(lambda: told("checkpoints are written again"), what="the end of it")
        assert len(told("no checkpoint can be written")) == len(told("checkpoints are written again")) == 1
        assert server.stop() == 0
    finally:
        server.kill()


@pytest.mark.thorough
def test_the_operators_token_waits_for_room(contract, limits, tmp_path):
    """A start from a full journal has no room at once, and makes it."""
    data = tmp_path / "data"
    arguments = [
        "--data-dir", str(data), "--journal-segment", "1MiB", "--journal-maximum", "8MiB",
        "--checkpoint-every", "1MiB", "--journal-retention", "0s",
    ]
    server = Server(*arguments, limits=limits)
    try:
        with grpc.insecure_channel(server.endpoint) as channel, no_checkpoints(data):
            stub = contract.Stub(channel)
            batch = contract.CheckAndReserveBatchRequest(
                requests=[request(contract, "acme", extensions=1, mode=contract.MODE_COMMIT, reference="x" * 64)] * 100)
            end = time.monotonic() + 120
            refused = 0
            # Refused for a while is a writer that is behind; again and again, a journal that is full.
            while refused < 20:
                assert time.monotonic() < end, "the journal never fills"
                try:
                    answer = stub.CheckAndReserveBatch(batch, timeout=60)
                    codes = {result.status_code for result in answer.results}
                except grpc.RpcError as error:
                    codes = {error.code().value[0]}
                if codes == {grpc.StatusCode.UNAVAILABLE.value[0]}:
                    refused += 1
                    time.sleep(0.1)
                else:
                    refused = 0
            server.kill()
        server = Server(*arguments, limits=limits, auth=True)
        token = (data / "operator-token").read_text().strip()
        assert Rest(server, token).get("/v2/tokens").status == 200
        assert server.stop() == 0
    finally:
        server.kill()


def test_what_a_healthy_disk_can_take_is_taken(contract, limits, tmp_path):
    """Batches that bring many times what the rings hold, and REST beside them, wait for room instead of being refused."""
    batches, entries = 16, 1_000
    server = Server("--data-dir", str(tmp_path / "data"), "--journal-segment", "1MiB", "--threads", "2", limits=limits)
    try:
        with contextlib.ExitStack() as stack:
            # A connection each: they come to both event loops.
            stubs = [
                contract.Stub(
                    stack.enter_context(
                        grpc.insecure_channel(server.endpoint, options=[("grpc.use_local_subchannel_pool", 1)])
                    )
                )
                for _ in range(4)
            ]
            calls = []
            for number in range(batches):
                requests = [
                    request(contract, "acme", extensions=1, mode=contract.MODE_COMMIT, reference="x" * 60)
                    for _ in range(entries)
                ]
                batch = contract.CheckAndReserveBatchRequest(requests=requests)
                calls.append(stubs[number % 4].CheckAndReserveBatch.future(batch, timeout=120))
            rest = 0
            while not all(call.done() for call in calls) or rest == 0:
                usage_record = {"tenant_id": "acme", "action": "provision_extension", "quantities": {"extensions": 1}}
                reply = Rest(server).post("/v2/usage_records", usage_record)
                assert reply.status == 200, reply.body
                rest += 1
            codes = [result.status_code for call in calls for result in call.result().results]
            assert codes == [0] * (batches * entries), {code: codes.count(code) for code in codes}
            total = usage(contract, stubs[0], "acme")[contract.LIMIT_KIND_TENANT_EXTENSIONS]
            assert total == (batches * entries + rest, 0)
        assert server.stop() == 0
    finally:
        server.kill()
