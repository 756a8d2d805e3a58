"""A data directory that was written before limits and resources were added to the catalogues opens after it, as it was.

fixtures/before-added-limits.tar.xz is what `make` below left of a directory, with the binary of the commit before
`tenant_daily_spend`: a checkpoint, the journal behind it, and the projection's file. To make it anew:

    TOLLGATE_MAKE_FIXTURE=1 TOLLGATE_BINARY=… python -m pytest Tools/tests/test_added_limits.py -k make
"""

import datetime
import os
import pathlib
import tarfile

import pytest
import realtime
from control import Rest, eventually

FIXTURE = pathlib.Path(__file__).parent / "fixtures/before-added-limits.tar.xz"
UTC = datetime.timezone.utc
# Later than any clock this runs under: the engine never goes back behind what it has seen.
WRITTEN = datetime.datetime(2040, 3, 4, 12, 0, tzinfo=UTC)
FORMER = ["tenant_monthly_spend", "tenant_extensions", "tenant_dids", "tenant_monthly_minutes"]


class Machine:
    """A server on a directory, whose clocks say what the test wants."""

    def __init__(self, serve, preload, tmp_path):
        self.serve = serve
        self.preload = preload
        self.data = tmp_path / "data"
        self.clock = realtime.Clock(tmp_path / "clock")

    def start(self, instant):
        self.clock.elapse((instant - datetime.datetime.now(UTC)).total_seconds())
        server = self.serve(
            "--data-dir", str(self.data), "--journal-segment", "1MiB", "--journal-maximum", "8MiB", "--checkpoint-every", "1MiB",
            "--journal-retention", "0s", "--threads", "1",
            limits=None, environment=self.clock.environment(self.preload),
        )
        return server, Rest(server)


@pytest.fixture
def machine(serve, preload, tmp_path):
    return Machine(serve, preload, tmp_path)


@pytest.mark.skipif("TOLLGATE_MAKE_FIXTURE" not in os.environ, reason="makes the fixture")
def test_make(machine):
    server, rest = machine.start(WRITTEN)
    rest.post("/v2/tenants", {
        "id": "acme", "name": "ACME", "auto_suspend": True, "alert_threshold": 70, "monthly_spend_limit": "50.00",
        "max_extensions": 5, "max_dids": 4, "max_monthly_minutes": 100, "time_zone": "Asia/Kathmandu",
        "billing_cycle_day": 3,
    })
    rest.post("/v2/tenants", {"id": "globex", "auto_suspend": True, "max_dids": 1})
    for collection, identifier in (("messaging_profiles", "sms"), ("outbound_voice_profiles", "calls")):
        rest.post(f"/v2/{collection}", {
            "id": identifier, "tenant_id": "acme", "name": identifier, "daily_spend_limit": "9.00",
            "daily_spend_limit_enabled": True,
        })
    rest.record("acme", spend="20.00", extensions=3, dids=2, call_seconds=1234)
    assert rest.send("acme", "sms", "1.25").status == 200
    # More than a segment, so that a checkpoint is made: it says how this stood.
    for turn in range(20_000):
        rest.post("/v2/usage_records", {"tenant_id": "globex", "quantities": {"spend": "0.01"}, "reference": "r" * 64})
        if turn % 50 == 0 and list(machine.data.rglob("*.tgc")):
            break
    eventually(lambda: list(machine.data.rglob("*.tgc")), what="a checkpoint")
    # Behind it: records alone say it.
    assert rest.check("acme", "outbound_call", mode="reserve", spend="2.00", call_seconds=60).status == 200
    assert rest.check("globex", "assign_did", dids=2).codes == ["49003"]
    held = rest.post("/v2/check_and_reserve", {
        "tenant_id": "acme", "messaging_profile_id": "sms", "action": "send_message", "mode": "reserve",
        "quantities": {"spend": "0.75"}, "ttl_ms": 86_400_000, "on_expiry": "commit",
    }, headers={"Idempotency-Key": "hold"})
    assert held.status == 200
    (machine.data / "reservation").write_text(held.data["id"])
    eventually(lambda: len(rest.all("/v2/events")) == 2, what="the projection")
    assert server.stop() == 0
    with tarfile.open(FIXTURE, "w:xz") as archive:
        archive.add(machine.data, ".")


@pytest.fixture
def former(machine):
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(machine.data)
    return machine


def totals(rest, tenant, profile=None):
    return {name: (state["committed"], state["held"]) for name, state in rest.limits(tenant, profile).items()}


def check_totals(rest):
    found = totals(rest, "acme", "sms")
    assert [found[name] for name in FORMER] == [("21.25", "0.75"), (3, 0), (2, 0), (1234, 0)]
    assert found["profile_daily_spend"] == ("1.25", "0.75")
    assert rest.limits("acme")["tenant_monthly_spend"]["cap"] == "50.00"
    assert rest.limits("acme")["tenant_monthly_minutes"]["cap_minutes"] == 100
    # What was added since has no cap, and nothing of before.
    for name in set(found) - {*FORMER, "profile_daily_spend"}:
        limit = rest.limits("acme")[name]
        assert limit["cap"] is None and limit["committed"] in (0, "0.00") and limit["held"] in (0, "0.00")


@pytest.mark.parametrize("keeps", [True, False], ids=["with its projection", "without its projection"])
def test_a_directory_of_before_opens_with_its_totals(former, keeps):
    reservation = (former.data / "reservation").read_text()
    assert list(former.data.rglob("*.tgc"))
    if not keeps:
        for file in former.data.glob("projection.sqlite*"):
            file.unlink()
    server, rest = former.start(WRITTEN + datetime.timedelta(hours=1))
    check_totals(rest)
    assert rest.tenant("globex")["status"] == "suspended"
    assert (rest.tenant("acme")["time_zone"], rest.tenant("acme")["alert_threshold"]) == ("Asia/Kathmandu", 70)
    events = eventually(lambda: len(rest.all("/v2/events")) == 2 and rest.all("/v2/events"), what="the events")
    assert {event["event_type"] for event in events} == {"tenant.limit-reached", "tenant.suspended"}
    if keeps:
        [today] = rest.get("/v2/tenants/acme/usage/daily").data
        assert (today["usage"]["spend"], today["usage"]["call_seconds"]) == ("21.25", 1234)
    replay = rest.post("/v2/check_and_reserve", {
        "tenant_id": "acme", "messaging_profile_id": "sms", "action": "send_message", "mode": "reserve",
        "quantities": {"spend": "0.75"}, "ttl_ms": 86_400_000, "on_expiry": "commit",
    }, headers={"Idempotency-Key": "hold"})
    # A key is kept for a quarter of an hour: this one is decided anew, and given back.
    assert replay.status == 200 and not replay.data["replayed"]
    assert rest.post(f"/v2/reservations/{replay.data['id']}/actions/release").status == 200
    check_totals(rest)
    # The hold of before is charged where it was held.
    committed = rest.post(f"/v2/reservations/{reservation}/actions/commit")
    assert committed.status == 200 and committed.data["committed"] == {"spend": "0.75"}
    assert totals(rest, "acme", "sms")["tenant_monthly_spend"] == ("22.00", "0.00")
    assert server.stop() == 0
    # And what this binary wrote opens again.
    _, rest = former.start(WRITTEN + datetime.timedelta(hours=2))
    assert totals(rest, "acme", "sms")["tenant_monthly_spend"] == ("22.00", "0.00")
    assert rest.tenant("globex")["status"] == "suspended"
