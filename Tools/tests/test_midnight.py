"""Windows that end while the real binary runs: a preload (realtime/) has time pass faster than it does."""

import datetime

import pytest
import realtime
from control import Rest, eventually

UTC = datetime.timezone.utc
DAY = 86_400


class Machine:
    """A server whose wall clock says what the test wants."""

    def __init__(self, serve, preload, tmp_path):
        self.serve = serve
        self.preload = preload
        self.data = str(tmp_path / "data")
        self.clock = realtime.Clock(tmp_path / "clock")

    def set(self, instant):
        self.clock.elapse((instant - datetime.datetime.now(UTC)).total_seconds())

    def start(self, instant):
        """A server at that time, on the data of those before it."""
        self.set(instant)
        self.server = self.serve(
            "--data-dir", self.data, limits=None, environment=self.clock.environment(self.preload)
        )
        return Rest(self.server)


@pytest.fixture
def machine(serve, preload, tmp_path):
    return Machine(serve, preload, tmp_path)


def at(*parts):
    return datetime.datetime(*parts, tzinfo=UTC)


# Later than any clock this runs under: the engine never goes back behind what it has seen.
YEAR = datetime.datetime.now(UTC).year + 1


def test_midnight_utc_resets_a_profiles_day_and_nothing_else_does(machine):
    rest = machine.start(at(YEAR, 3, 4, 23, 0))
    rest.post("/v2/tenants", {"id": "acme", "auto_suspend": False})
    profile = "/v2/messaging_profiles/p"
    rest.post("/v2/messaging_profiles", {
        "id": "p", "tenant_id": "acme", "name": "p", "daily_spend_limit": "0.02", "daily_spend_limit_enabled": True,
    })
    assert rest.send("acme", "p", "0.02").status == 200
    denied = rest.send("acme", "p", "0.01")
    assert denied.status == 429 and denied.codes == ["40333"]
    # An hour is left, and that is what the answer says.
    assert 3_000 <= int(denied.headers["Retry-After"]) <= 3_600

    # Neither switching nor changing the limit resets the total.
    rest.patch(profile, {"daily_spend_limit_enabled": False})
    rest.patch(profile, {"daily_spend_limit_enabled": True})
    rest.patch(profile, {"daily_spend_limit": "0.01"})
    rest.patch(profile, {"daily_spend_limit": "0.02"})
    assert rest.send("acme", "p", "0.01").codes == ["40333"]

    machine.set(at(YEAR, 3, 4, 23, 59, 58))
    eventually(lambda: rest.send("acme", "p", "0.01").status == 200, what="midnight")
    state = rest.limits("acme", "p")["profile_daily_spend"]
    assert state["committed"] == "0.01"
    assert state["window_start"] == f"{YEAR}-03-05T00:00:00.000Z"
    assert state["resets_at"] == f"{YEAR}-03-06T00:00:00.000Z"
    # The tenant's cycle goes on: it has both days.
    assert rest.limits("acme")["tenant_monthly_spend"]["committed"] == "0.03"
    # And the new day is enforced like the old one.
    assert rest.send("acme", "p", "0.02").codes == ["40333"]


def test_the_end_of_a_month_opens_a_new_cycle_and_reinstates_nobody(machine):
    rest = machine.start(at(YEAR, 1, 31, 23, 30))
    for tenant, suspends in [("kept", False), ("stopped", True)]:
        rest.post("/v2/tenants", {
            "id": tenant, "monthly_spend_limit": "10.00", "max_monthly_minutes": 10, "max_dids": 2,
            "auto_suspend": suspends, "on_limit": "block",
        })
        assert rest.check(tenant, spend="10.00", call_seconds=60, dids=2).status == 200
    assert rest.check("kept", spend="0.01").codes == ["49001"]
    assert rest.tenant("stopped")["status"] == "suspended"

    machine.set(at(YEAR, 1, 31, 23, 59, 59))
    eventually(lambda: rest.check("kept", spend="0.01").status == 200, what="the new cycle")
    limits = rest.limits("kept")
    assert limits["tenant_monthly_spend"]["committed"] == "0.01"
    assert limits["tenant_monthly_spend"]["window_start"] == f"{YEAR}-02-01T00:00:00.000Z"
    assert limits["tenant_monthly_spend"]["resets_at"] == f"{YEAR}-03-01T00:00:00.000Z"
    assert limits["tenant_monthly_minutes"]["committed"] == 0
    # What exists goes on existing.
    assert limits["tenant_dids"]["committed"] == 2 and limits["tenant_dids"]["resets_at"] is None
    # A rollover reinstates nobody: an operator does, and then the new cycle counts.
    assert rest.check("stopped", spend="0.01").codes == ["20012"]
    rest.post("/v2/tenants/stopped/actions/reinstate")
    assert rest.check("stopped", spend="0.01").status == 200


@pytest.mark.parametrize(
    "day, zone, before, start",
    [
        # 00:00 of the 15th in New York is 05:00 UTC in winter.
        (15, "America/New_York", at(YEAR, 1, 15, 4, 59, 57), f"{YEAR}-01-15T05:00:00.000Z"),
        # The 31st of a month that has none: its last day; Paris is an hour ahead.
        (31, "Europe/Paris", at(YEAR, 4, 29, 21, 59, 57), f"{YEAR}-04-29T22:00:00.000Z"),
    ],
)
def test_a_cycle_begins_where_the_tenant_is(machine, day, zone, before, start):
    rest = machine.start(before - datetime.timedelta(hours=1))
    rest.post("/v2/tenants", {
        "id": "a", "monthly_spend_limit": "1.00", "on_limit": "block", "billing_cycle_day": day, "time_zone": zone,
    })
    assert rest.check("a", spend="1.00").status == 200
    assert rest.limits("a")["tenant_monthly_spend"]["resets_at"] == start
    assert rest.check("a", spend="0.01").codes == ["49001"]
    machine.set(before)
    eventually(lambda: rest.check("a", spend="0.01").status == 200, what="the new cycle")
    assert rest.limits("a")["tenant_monthly_spend"]["window_start"] == start


def test_a_day_that_ended_while_nobody_ran(machine):
    rest = machine.start(at(YEAR, 6, 1, 12, 0))
    rest.post("/v2/tenants", {"id": "acme"})
    rest.post("/v2/messaging_profiles", {
        "id": "p", "tenant_id": "acme", "name": "p", "daily_spend_limit": "0.01", "daily_spend_limit_enabled": True,
    })
    assert rest.send("acme", "p", "0.01").status == 200
    assert rest.send("acme", "p", "0.01").codes == ["40333"]
    assert machine.server.stop() == 0
    rest = machine.start(at(YEAR, 6, 2, 0, 0, 1))
    assert rest.limits("acme", "p")["profile_daily_spend"]["committed"] == "0.00"
    assert rest.send("acme", "p", "0.01").status == 200
    days = {row["date"]: row["usage"]["spend"] for row in rest.all("/v2/tenants/acme/usage/daily") if row["usage"]}
    assert days == {f"{YEAR}-06-01": "0.01", f"{YEAR}-06-02": "0.01"}
