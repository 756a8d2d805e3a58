"""The journal of the real process: what survives, `tollgate journal`, and what is refused."""

import json
import os
import signal
import subprocess
import time

import grpc
import pytest
from conftest import BINARY, USD, Server, request, usage

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
        capture_output=True, text=True, timeout=60,
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
            capture_output=True, text=True, timeout=60,
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
    records = [json.loads(line) for line in journal(data, "dump").stdout.splitlines()]
    kinds = [record["kind"] for record in records]
    assert kinds.count("reserved") == 2 and "tenant_created" in kinds and "process_started" in kinds
    assert any(record.get("reference") == "call-7" and record["held_by"] == {"spend": "2.00"} for record in records)
    missing = journal(tmp_path / "nothing", "stat")
    assert missing.returncode == 65 and "nothing" in missing.stderr


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
        capture_output=True, text=True, timeout=60,
    )
    assert started.returncode == 69 and "journal repair --truncate-at" in started.stderr
    place = refused.stderr.split("--truncate-at ")[1].split("`")[0]
    repaired = journal(data, "repair", "--truncate-at", place)
    assert repaired.returncode == 0, repaired.stderr
    assert (data / (segment.name + ".damaged")).read_bytes() == bytes(content)
    assert journal(data, "verify").returncode == 0
    live(contract, limits, data, lambda stub: None)


def test_interval_and_memory(contract, limits, tmp_path):
    data = tmp_path / "data"
    live(contract, limits, data, some(contract), "--durability", "interval", "--journal-interval", "1ms")
    after, _ = live(
        contract, limits, data, lambda stub: usage(contract, stub, "acme")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND]
    )
    assert after == (USD, 2 * USD), "an orderly stop loses nothing"
    unused = tmp_path / "unused"
    live(contract, limits, unused, some(contract), "--durability", "memory")
    assert not os.path.exists(unused)


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
