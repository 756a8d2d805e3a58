"""`tollgate backup` beside a running service, and `tollgate restore` (docs/operate/backup.md, docs/decisions/0015-backup.md)."""

import fcntl
import json
import os
import shutil
import signal
import subprocess

import grpc
import pytest
from conftest import BINARY, Server, request, usage
from control import Rest, eventually
from test_copies import BATCH, CENT, charge, charges, holds, start  # noqa: F401


def command(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def backup(data, to, *arguments, **options):
    return command("backup", "--data-dir", data, "--to", to, "--rate", "0", *arguments, **options)


def restore(source, to, *arguments):
    return command("restore", "--from", source, "--to", to, *arguments)


def done(finished):
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def refused(finished, status, *words):
    assert finished.returncode == status, (finished.returncode, finished.stdout, finished.stderr)
    for word in words:
        assert word in finished.stderr, finished.stderr
    return finished.stderr


def exported(server):
    return done(command("export", "--url", f"http://{server.http}"))


def rows(server, path):
    """Without what a start after a restore puts on record itself."""
    return [row for row in Rest(server).all(path) if row.get("reference") != "reservation_generations_passed_over"]


def test_backups_under_load_are_whole(contract, start, charges, tmp_path):  # noqa: F811
    """Each has what was acknowledged before it, and is verified; each but the first copies what is new."""
    server = start(tmp_path / "data")
    going_on = charges(server)
    going_on.wait(500)
    for number in range(1, 4):
        keys = list(going_on.acknowledged)
        said = json.loads(done(backup(tmp_path / "data", tmp_path / "backup", "--json")))
        assert said["number"] == number
        # A segment of a megabyte is sealed in between.
        going_on.wait(7_000)
        data = tmp_path / f"restored-{number}"
        restored = json.loads(done(restore(tmp_path / "backup", data, "--json")))
        assert (restored["taken_at"], restored["files"]) == (said["taken_at"], said["files"])
        assert command("journal", "verify", "--data-dir", data).returncode == 0
        assert holds(contract, start(data), keys) >= len(keys)
        if number > 2:
            # The segment that was sealed before the second one.
            assert said["copied_files"] < said["files"]
    assert not list((tmp_path / "backup").glob("*.tmp"))


def test_a_restored_service_is_the_same(contract, start, tmp_path):  # noqa: F811
    """Totals, limits, lists and history, of a service that has stopped: what the journal alone cannot give back too."""
    server = start(tmp_path / "data")
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        for number in range(20):
            stub.CheckAndReserve(charge(contract, f"key-{number}"), timeout=60)
        held = stub.CheckAndReserve(request(contract, "initech", spend=CENT), timeout=60).reservation_id
        stub.CheckAndReserve(request(contract, "initech", extensions=10_000), timeout=60)
    lists = ("/v2/tenants", "/v2/audit_events", "/v2/usage", "/v2/events")
    eventually(lambda: "denied" in json.dumps(rows(server, "/v2/audit_events")), what="the refusal in the audit log")
    eventually(lambda: Rest(server).get("/readyz").body["projection"]["behind_bytes"] == 0, what="the lists")
    hot, before = exported(server), [rows(server, path) for path in lists]
    done(backup(tmp_path / "data", tmp_path / "hot"))
    assert server.stop() == 0
    done(backup(tmp_path / "data", tmp_path / "cold"))
    for name in ("hot", "cold"):
        data = tmp_path / f"{name}-data"
        data.mkdir(mode=0o755)
        done(restore(tmp_path / name, data))
        # All that is secret is nobody else's.
        assert all(path.stat().st_mode & 0o077 == 0 for path in data.iterdir())
        assert (data / "webhook-key").read_bytes() == (tmp_path / "data/webhook-key").read_bytes()
        again = start(data)
        assert exported(again) == hot
        assert [rows(again, path) for path in lists] == before, name
        assert any("restored from a backup" in line for line in again.log)
        assert not (data / "restored-from-backup").exists()
        with grpc.insecure_channel(again.endpoint) as channel:
            stub = contract.Stub(channel)
            assert usage(contract, stub, "initech")[contract.LIMIT_KIND_TENANT_MONTHLY_SPEND] == (0, CENT)
            # A hold of the time before is settled as ever.
            stub.Commit(contract.CommitRequest(reservation_id=held), timeout=60)
        assert again.stop() == 0


def test_ids_of_the_lost_time_are_not_given_again(contract, start, tmp_path):  # noqa: F811
    """Otherwise than in a plain copy (test_copies.py)."""
    server = start(tmp_path / "data")
    done(backup(tmp_path / "data", tmp_path / "backup"))

    def reserve(server, tenant):
        with grpc.insecure_channel(server.endpoint) as channel:
            held = contract.Stub(channel).CheckAndReserve(request(contract, tenant, spend=CENT), timeout=60)
        return held.reservation_id

    lost = {reserve(server, "globex") for _ in range(200)}
    assert server.stop() == 0
    done(restore(tmp_path / "backup", tmp_path / "restored"))
    again = start(tmp_path / "restored")
    given = {reserve(again, "initech") for _ in range(200)}
    assert len(given) == 200 and not given & lost
    with grpc.insecure_channel(again.endpoint) as channel:
        for one in list(lost)[:5]:
            with pytest.raises(grpc.RpcError) as error:
                contract.Stub(channel).Commit(contract.CommitRequest(reservation_id=one), timeout=60)
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert again.stop() == 0
    third = start(tmp_path / "restored")
    assert not {reserve(third, "globex") for _ in range(50)} & (lost | given)


def test_ids_of_events_of_the_lost_time_are_not_given_again(start, tmp_path):  # noqa: F811
    """The same happens again, to a tenant as it was: receivers must not take what they are told for what they know."""

    def alert(server):
        Rest(server).record("alarmed", dids=8)
        return eventually(lambda: [row["id"] for row in Rest(server).all("/v2/events")], what="the event")

    server = start(tmp_path / "data")
    Rest(server).post("/v2/tenants", {"id": "alarmed", "max_dids": 10}).data
    done(backup(tmp_path / "data", tmp_path / "backup"))
    lost = alert(server)
    assert server.stop() == 0
    done(restore(tmp_path / "backup", tmp_path / "restored"))
    again = alert(start(tmp_path / "restored"))
    assert len(lost) == len(again) == 1 and lost != again


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_backup_is_completed_by_the_next(contract, start, charges, tmp_path, number):  # noqa: F811
    server = start(tmp_path / "data")
    going_on = charges(server)
    going_on.wait(15_000)
    running = subprocess.Popen(
        [BINARY, "backup", "--data-dir", tmp_path / "data", "--to", tmp_path / "backup", "--rate", "256KiB"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Half of a file.
    eventually(lambda: list((tmp_path / "backup").glob("journal-*.tmp")), what="a segment that is copied")
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]
    if number == signal.SIGTERM:
        assert running.returncode == 70 and "interrupted" in said and "run the command again" in said
        assert not list((tmp_path / "backup").glob("*.tmp"))
    refused(restore(tmp_path / "backup", tmp_path / "restored"), 65, "interrupted before it was complete")
    assert not (tmp_path / "restored").exists()
    keys = list(going_on.acknowledged)
    done(backup(tmp_path / "data", tmp_path / "backup"))
    going_on.wait(BATCH)
    done(restore(tmp_path / "backup", tmp_path / "restored"))
    assert holds(contract, start(tmp_path / "restored"), keys) >= len(keys)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_the_last_backup(contract, start, charges, small_disk, tmp_path):  # noqa: F811
    server = start(tmp_path / "data")
    keys = []
    with grpc.insecure_channel(server.endpoint) as channel:
        for number in range(20):
            contract.Stub(channel).CheckAndReserve(charge(contract, f"early-{number}"), timeout=60)
            keys.append(f"early-{number}")
    target = small_disk / "backup"
    done(backup(tmp_path / "data", target))
    going_on = charges(server)
    # 168 bytes each, and as much again in the lists.
    going_on.wait(45_000)
    refused(backup(tmp_path / "data", target), 70, "free some disk space")
    assert not list(target.glob("*.tmp"))
    done(restore(target, tmp_path / "restored"))
    assert holds(contract, start(tmp_path / "restored"), keys) >= len(keys)
    # Nor does a restore leave half of a directory.
    done(backup(tmp_path / "data", tmp_path / "large"))
    shutil.rmtree(target)
    refused(restore(tmp_path / "large", small_disk / "data"), 70, "free some disk space")
    assert not (small_disk / "data").exists()
    # The service has not noticed.
    going_on.wait(BATCH)


def test_wrong_places_are_refused(start, tmp_path):  # noqa: F811
    server = start(tmp_path / "data")
    refused(backup(tmp_path / "data", tmp_path / "data/backup"), 65, "inside the data directory")
    refused(backup(tmp_path / "data", tmp_path / "data"), 65, "inside the data directory")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/one.txt").touch()
    refused(backup(tmp_path / "data", tmp_path / "letters"), 65, "is no backup (one.txt)")
    refused(backup(tmp_path / "letters", tmp_path / "above/backup"), 65, "it contains no journal")
    refused(backup(tmp_path / "data", tmp_path / "data/above/backup"), 65, "inside the data directory")
    assert not (tmp_path / "above").exists() and not (tmp_path / "data/above").exists()
    refused(backup(tmp_path / "nowhere", tmp_path / "backup"), 70, "cannot be opened")
    refused(backup(tmp_path / "data", "/dev/null/backup"), 70, "not a directory")
    for rate in ("fast", "1KiB", "-1"):
        refused(command("backup", "--to", "x", f"--rate={rate}"), 64, "--rate must be")
    other = start(tmp_path / "other")
    done(backup(tmp_path / "data", tmp_path / "backup"))
    refused(backup(tmp_path / "other", tmp_path / "backup"), 65, "of another service")
    refused(restore(tmp_path / "letters", tmp_path / "new"), 65, "is no backup")
    refused(restore(tmp_path / "backup", tmp_path / "letters"), 65, "is not empty (one.txt)")
    refused(restore(tmp_path / "backup", tmp_path / "data"), 65, "is not empty")
    # What was made for what was refused is not left behind.
    assert not (tmp_path / "new").exists() and not (tmp_path / "data/backup").exists()
    assert server.stop() == 0 and other.stop() == 0


def test_what_changed_in_a_backup_is_found(start, tmp_path):  # noqa: F811
    server = start(tmp_path / "data")
    assert server.stop() == 0
    done(backup(tmp_path / "data", tmp_path / "backup"))
    stored = [path for path in (tmp_path / "backup").iterdir() if path.name not in ("LOCK", "manifest.json")]
    assert len(stored) >= 3
    for path in stored:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        refused(restore(tmp_path / "backup", tmp_path / "new"), 65, path.name, "checksum")
        assert not (tmp_path / "new").exists()
        path.write_bytes(content)
    # A directory that was there before stays, and is empty.
    (tmp_path / "empty").mkdir()
    stored[0].write_bytes(stored[0].read_bytes() + b"x")
    refused(restore(tmp_path / "backup", tmp_path / "empty"), 65, stored[0].name)
    assert {path.name for path in (tmp_path / "empty").iterdir()} <= {"LOCK"}
    stored[0].write_bytes(stored[0].read_bytes()[:-1])
    done(restore(tmp_path / "backup", tmp_path / "new"))


def test_two_backups_at_a_time_are_refused(start, tmp_path):  # noqa: F811
    start(tmp_path / "data")
    done(backup(tmp_path / "data", tmp_path / "backup"))
    holder = os.open(tmp_path / "backup", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    # A restore reads beside others who do; a backup waits for nobody.
    refused(backup(tmp_path / "data", tmp_path / "backup"), 69, "in use by another process")
    done(restore(tmp_path / "backup", tmp_path / "new"))
    os.close(holder)


def test_half_a_restored_directory_is_not_served(start, tmp_path):  # noqa: F811
    server = start(tmp_path / "data")
    assert server.stop() == 0
    done(backup(tmp_path / "data", tmp_path / "backup"))
    done(restore(tmp_path / "backup", tmp_path / "new"))
    # As a kill leaves it before the last files are there.
    for path in (tmp_path / "new").glob("journal-*"):
        path.unlink()
    with pytest.raises(AssertionError, match="the journal is missing"):
        Server("--data-dir", str(tmp_path / "new"))


def test_secrets_are_in_it_and_other_files_are_named(tmp_path):
    server = Server("--data-dir", str(tmp_path / "data"), auth=True)
    (tmp_path / "data/projection.sqlite.damaged-1").touch()
    (tmp_path / "data/operator-token-memory").touch()
    try:
        copied = backup(tmp_path / "data", tmp_path / "backup")
        done(copied)
        for name in ("projection.sqlite.damaged-1", "operator-token-memory"):
            assert f"{name} is not part of the backup" in copied.stderr
        assert copied.stderr.count("is not part of") == 2
    finally:
        assert server.stop() == 0
    files = {one["name"]: one for one in json.loads((tmp_path / "backup/manifest.json").read_text())["files"]}
    assert {"operator-token", "webhook-key", "projection.sqlite"} <= set(files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "backup").iterdir())
    done(restore(tmp_path / "backup", tmp_path / "restored"))
    assert (tmp_path / "restored/operator-token").read_text() == (tmp_path / "data/operator-token").read_text()


def test_progress_is_told_and_the_rate_is_kept(start, tmp_path):  # noqa: F811
    """A bit more than a megabyte is copied, and another one, the rest of the segment, is read."""
    server = start(tmp_path / "data")
    assert server.stop() == 0
    copied = command("backup", "--data-dir", tmp_path / "data", "--to", tmp_path / "backup", "--rate", "128KiB", "--json")
    said = json.loads(done(copied))
    assert said["took_ms"] >= (said["copied_bytes"] + (1 << 20)) / (128 << 10) * 1_000 * 0.9
    if said["took_ms"] > 6_000:
        assert " copied" in copied.stderr and copied.stderr.startswith("tollgate: backup: ")
