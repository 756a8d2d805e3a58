"""WatchUsage of the real binary: what stands, then what changes."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time

import grpc
import pytest
from conftest import BINARY, USD, addresses, failure, quantities, request


def watch(contract, stub, tenant_id=""):
    return stub.WatchUsage(contract.WatchUsageRequest(tenant_id=tenant_id), timeout=300)


def snapshot(updates):
    """The messages in front of snapshot_complete."""
    messages = []
    for update in updates:
        if update.snapshot_complete:
            assert not update.tenant_id and not update.limits
            return messages
        messages.append(update)
    raise AssertionError("no end of the snapshot")


def subject(contract, update):
    """The profile that a message is about, or else the tenant."""
    state = update.limits[0]
    return state.subject_id if state.limit == contract.LIMIT_KIND_PROFILE_DAILY_SPEND else update.tenant_id


def state(update, kind):
    return next((state.committed, state.held) for state in update.limits if state.limit == kind)


def test_snapshot_then_changes(contract, stub, check):
    updates = watch(contract, stub, "globex")
    first = snapshot(updates)
    assert [subject(contract, update) for update in first] == ["globex", "globex-bulk", "globex-promo"]
    assert {update.tenant_id for update in first} == {"globex"}
    assert all(update.tenant_status == contract.TENANT_STATUS_ACTIVE for update in first)
    assert [len(update.limits) for update in first] == [7, 1, 1]

    held = check("globex", spend=3 * USD, messaging_profile_id="globex-bulk")
    seen = {subject(contract, update): update for update in (next(updates), next(updates))}
    assert state(seen["globex"], contract.LIMIT_KIND_TENANT_MONTHLY_SPEND) == (0, 3 * USD)
    assert state(seen["globex-bulk"], contract.LIMIT_KIND_PROFILE_DAILY_SPEND) == (0, 3 * USD)
    # Nothing but this is said: the next messages are about the next change.
    stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60)
    seen = {subject(contract, update): update for update in (next(updates), next(updates))}
    assert state(seen["globex"], contract.LIMIT_KIND_TENANT_MONTHLY_SPEND) == (3 * USD, 0)
    updates.cancel()


def test_changes_are_conflated(contract, stub, check):
    updates = watch(contract, stub, "globex")
    snapshot(updates)
    count = 2_000
    begin = time.monotonic()
    for _ in range(count):
        check("globex", dids=1, mode=contract.MODE_COMMIT)
    took = time.monotonic() - begin
    said = 0
    for update in updates:
        said += 1
        if state(update, contract.LIMIT_KIND_TENANT_DIDS) == (count, 0):
            break
    # At most one in 100 ms, the last one after the last change.
    assert 1 <= said <= took / 0.1 + 2
    updates.cancel()


def test_every_tenant_and_new_ones(contract, serve, tmp_path):
    limits = tmp_path / "limits.yaml"
    text = "version: 1\ntenants:\n  - id: one\n"
    limits.write_text(text)
    server = serve(limits=limits)
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        updates = watch(contract, stub)
        assert [subject(contract, update) for update in snapshot(updates)] == ["one"]
        limits.write_text(text + "  - id: two\n    messaging_profiles:\n      - id: two-sms\n")
        server.process.send_signal(signal.SIGHUP)
        names = set()
        while names < {"two", "two-sms"}:
            names.add(subject(contract, next(updates)))
        assert names <= {"one", "two", "two-sms"}
        updates.cancel()


def test_stopping_ends_with_unavailable(contract, serve):
    server = serve()
    with grpc.insecure_channel(server.endpoint) as channel:
        updates = watch(contract, contract.Stub(channel), "acme")
        snapshot(updates)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        with pytest.raises(grpc.RpcError) as caught:
            for _ in updates:
                pass
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        stopper.join()


def test_unknown_tenant(contract, stub):
    answer = failure(lambda message, **options: list(stub.WatchUsage(message, **options)),
                     contract.WatchUsageRequest(tenant_id="nobody"))
    assert (answer.code, answer.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")


def test_what_is_said_survives_kill(contract, serve, tmp_path):
    """Usage that a watcher has seen is there after kill -9."""
    server = serve("--data-dir", str(tmp_path / "data"))
    seen = 0
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        updates = watch(contract, stub, "globex")
        snapshot(updates)
        # Fired and never waited for: the watcher may only learn of what is on disk. They are kept, since a call that
        # nobody refers to any more is cancelled.
        calls = [
            stub.CheckAndReserve.future(request(contract, "globex", dids=1, mode=contract.MODE_COMMIT), timeout=60)
            for _ in range(500)
        ]
        with contextlib.suppress(grpc.RpcError):
            for update in updates:
                seen = state(update, contract.LIMIT_KIND_TENANT_DIDS)[0]
                if seen > 0:
                    break
        server.kill()
        # Whether any call was answered is not asked: what the watcher saw must be there all the same.
        del calls
    assert seen > 0
    again = serve("--data-dir", str(tmp_path / "data"))
    with grpc.insecure_channel(again.endpoint) as channel:
        usage = contract.Stub(channel).GetUsage(contract.GetUsageRequest(tenant_id="globex"), timeout=60)
        assert state(usage, contract.LIMIT_KIND_TENANT_DIDS)[0] >= seen


@contextlib.contextmanager
def following(server, *arguments):
    process = subprocess.Popen(
        [BINARY, "usage", "--watch", "--timeout", "60s", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **addresses(server)})
    guard = threading.Timer(300, process.kill)
    guard.start()
    try:
        yield process
    finally:
        guard.cancel()
        process.kill()
        process.wait(60)


def test_command(contract, serve):
    server = serve()
    with following(server, "--tenant", "globex", "--profile", "globex-bulk", "--json") as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert [line.get("tenant_id") for line in lines] == ["globex", "globex", None]
        assert lines[1]["limits"][0]["subject_id"] == "globex-bulk"
        assert lines[2]["snapshot_complete"] is True
        with grpc.insecure_channel(server.endpoint) as channel:
            stub = contract.Stub(channel)
            stub.RecordUsage(
                contract.RecordUsageRequest(tenant_id="globex", quantities=quantities(contract, extensions=4)),
                timeout=60)
        line = json.loads(process.stdout.readline())
        found = {limit["limit"]: limit for limit in line["limits"]}
        assert found["tenant_extensions"]["committed"] == 4
        server.stop()
        # The service ends: so does the command, and says so.
        assert process.wait(60) == 69
    with_text = serve()
    with following(with_text) as process:
        assert process.stdout.readline().startswith("acme is active")
