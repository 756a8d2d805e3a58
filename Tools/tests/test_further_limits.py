"""The limits that came after the partner guide's, through the real binary: gRPC, REST, command line, alerts, page."""

import urllib.request

import grpc
import pytest
from conftest import USD, failure, quantities, request, tollgate
from control import Rest, eventually
from receivers import Receiver

REACHED = "tenant.limit-reached"
THRESHOLD = "tenant.limit-threshold-reached"
SUSPENDED = "tenant.suspended"


class Acme:
    """A service with a tenant "acme" of the given fields, in Kathmandu (5:45 ahead of UTC), and a receiver of its events."""

    def __init__(self, serve, directory, receiver, **fields):
        self.serve = lambda: serve(
            "--data-dir", str(directory), "--webhook-allow-private", "127.0.0.0/8", limits=None)
        self.receiver = receiver
        self.begin()
        self.rest.post("/v2/webhook_endpoints", {"url": receiver.url}).data
        self.rest.post("/v2/tenants", {"id": "acme", "time_zone": "Asia/Kathmandu", **fields}).data

    def begin(self):
        self.server = self.serve()
        self.rest = Rest(self.server)

    def kill(self):
        self.server.kill()
        self.begin()

    def check(self, mode="commit", **quantities):
        return self.rest.check("acme", "outbound_call", mode, **quantities)

    def limit(self, name):
        return self.rest.limits("acme")[name]

    def events(self, name, count):
        """(type, payload) of so many events about a limit, by type."""
        def found():
            data = [post.body["data"] for post in list(self.receiver.posts)]
            return sorted(
                ((event["event_type"], event["payload"]) for event in data if event["payload"].get("limit") == name),
                key=lambda event: event[0],
            )

        return eventually(lambda: len(found()) == count and found(), what=f"{count} events about {name}")

    def page(self):
        """The tenant's page."""
        with urllib.request.urlopen(f"http://{self.server.http}/tenants/acme") as answer:
            return answer.read().decode()

    def day(self):
        """Today's figures, as soon as there are some."""
        return eventually(lambda: self.rest.get("/v2/tenants/acme/usage/daily").data, what="the day")[0]


@pytest.fixture
def acme(serve, tmp_path):
    receiver = Receiver()
    yield lambda **fields: Acme(serve, tmp_path / "data", receiver, **fields)
    receiver.close()


def of_day(state):
    """The window is a day of the tenant's zone: it begins at 18:15 UTC."""
    return state["window_start"][11:16] == state["resets_at"][11:16] == "18:15"


def test_daily_spend(contract, acme):
    service = acme(daily_spend_limit="10.00", monthly_spend_limit="100.00", auto_suspend=True)
    with grpc.insecure_channel(service.server.endpoint) as channel:
        stub = contract.Stub(channel)
        held = stub.CheckAndReserve(request(contract, "acme", spend=8 * USD, include_limits=True), timeout=60)
        kinds = {state.limit: state for state in held.limits}
        assert set(kinds) == {contract.LIMIT_KIND_TENANT_MONTHLY_SPEND, contract.LIMIT_KIND_TENANT_DAILY_SPEND}
        daily = kinds[contract.LIMIT_KIND_TENANT_DAILY_SPEND]
        assert (daily.cap, daily.held, daily.blocking, daily.subject_id) == (10 * USD, 8 * USD, True, "acme")
        assert daily.resets_at_ms - daily.window_start_ms == 86_400_000
        stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60)
        # Four fifths of the cap are used: the refusal trips the limit, as monthly spend's would.
        denied = stub.CheckAndReserve(request(contract, "acme", spend=2 * USD + 1), timeout=60)
        [error] = denied.errors
        assert (error.code, error.title, error.limit) == (
            "49005", "Tenant daily spend limit reached", contract.LIMIT_KIND_TENANT_DAILY_SPEND,
        )
        assert denied.tenant_status == contract.TENANT_STATUS_SUSPENDED
    found = service.events("tenant_daily_spend", 3)
    assert [kind for kind, _ in found] == sorted([REACHED, THRESHOLD, SUSPENDED])
    assert found[0][1]["cap"] == "10.00" and found[0][1]["committed"] == "8.00"
    assert found[0][1]["resets_at"] == service.limit("tenant_daily_spend")["resets_at"]
    assert service.check(spend="0.01").codes == ["20012"]


def test_daily_spend_refuses_over_rest_until_the_tenants_midnight(acme):
    service = acme(daily_spend_limit="10.00", auto_suspend=True, on_limit="block")
    service.rest.record("acme", spend="7.00")
    denied = service.check(spend="4.00")
    assert (denied.status, denied.codes, denied.headers["x-should-retry"]) == (429, ["49005"], "false")
    assert 0 < int(denied.headers["Retry-After"]) <= 86_400
    state = service.limit("tenant_daily_spend")
    assert of_day(state) and (state["committed"], state["cap"], state["blocking"]) == ("7.00", "10.00", True)
    # Another cap resets nothing; without auto-suspend it only warns.
    service.rest.patch("/v2/tenants/acme", {"daily_spend_limit": "8.00", "auto_suspend": False, "on_limit": "auto"})
    assert [warning["code"] for warning in service.check(spend="4.00").data["warnings"]] == ["49005"]
    shown = tollgate(service.server, "usage", "--tenant", "acme").stdout
    assert "tenant_daily_spend of acme: 11.00 USD of 8.00 USD" in shown
    for listed in ("usage", "tenants"):
        columns = tollgate(service.server, listed, "list").stdout.splitlines()[0]
        # Of the further limits, those that somebody has.
        assert "DAILY SPEND" in columns and "CONCURRENT CALLS" not in columns, columns
    assert "Daily spend" in service.page()
    assert service.day()["usage"]["spend"] == "11.00"


def test_concurrent_calls(contract, acme):
    service = acme(max_concurrent_calls=2, monthly_spend_limit="10.00", auto_suspend=True)
    kind = contract.LIMIT_KIND_TENANT_CONCURRENT_CALLS
    with grpc.insecure_channel(service.server.endpoint) as channel:
        stub = contract.Stub(channel)

        def ask(**fields):
            return stub.CheckAndReserve(
                request(contract, "acme", concurrent_calls=1, action=contract.ACTION_OUTBOUND_CALL, **fields), timeout=60)

        first = ask(spend=USD, include_limits=True)
        [seen] = [state for state in first.limits if state.limit == kind]
        # The first call sees 1.
        assert (seen.held, seen.committed, seen.cap, seen.window_start_ms, seen.resets_at_ms) == (1, 0, 2, 0, 0)
        assert ask(spend=USD, on_expiry=contract.EXPIRY_POLICY_COMMIT).decision == contract.DECISION_ALLOWED
        for _ in range(2):
            denied = ask()
            [error] = denied.errors
            assert (error.code, error.title, error.limit) == ("49006", "Tenant concurrent call limit reached", kind)
            assert denied.tenant_status == contract.TENANT_STATUS_ACTIVE
            assert denied.treatment == contract.TREATMENT_REJECT
        answer = stub.Commit(contract.CommitRequest(reservation_id=first.reservation_id), timeout=60)
        charged = {quantity.resource: quantity.amount for quantity in answer.committed if quantity.amount}
        assert charged == {contract.RESOURCE_SPEND: USD}
        # The call that ended made room.
        assert ask().decision == contract.DECISION_ALLOWED
        one = quantities(contract, concurrent_calls=1)
        for call, message, pointer in (
            (stub.CheckAndReserve, request(contract, "acme", concurrent_calls=1, mode=contract.MODE_COMMIT), "/quantities/0"),
            (stub.RecordUsage, contract.RecordUsageRequest(tenant_id="acme", quantities=one), "/quantities/0"),
            (stub.Commit, contract.CommitRequest(reservation_id=first.reservation_id, actual=one), "/actual/0"),
        ):
            failed = failure(call, message)
            assert (failed.code, failed.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "10015")
            [violation] = failed.details["BadRequest"].field_violations
            assert violation.field == pointer + "/resource" and "only held" in violation.description
    # Raised once, and nobody is suspended.
    found = service.events("tenant_concurrent_calls", 2)
    assert [event for event, _ in found] == [REACHED, THRESHOLD]
    assert (found[0][1]["held"], found[0][1]["committed"], found[0][1]["cap"], found[0][1]["asked"]) == (2, 0, 2, 1)
    assert "resets_at" not in found[0][1]


def test_concurrent_calls_over_rest(acme):
    service = acme(max_concurrent_calls=1, auto_suspend=True)
    held = service.check("reserve", concurrent_calls=1).data["id"]
    denied = service.check("reserve", concurrent_calls=1)
    assert (denied.status, denied.codes, denied.headers["x-should-retry"]) == (429, ["49006"], "false")
    assert denied.headers["Retry-After"] is None
    state = service.limit("tenant_concurrent_calls")
    assert (state["held"], state["committed"], state["cap"], state["resets_at"]) == (1, 0, 1, None)
    assert service.check("commit", concurrent_calls=1).codes == ["10015"]
    assert service.rest.post("/v2/tenants/acme/actions/set_counts", {"concurrent_calls": 1}).codes == ["10015"]
    assert service.rest.post(
        "/v2/usage_records", {"tenant_id": "acme", "quantities": {"concurrent_calls": 1}}).codes == ["10015"]
    five = {"spend": "1", "extensions": 1, "dids": 1, "call_seconds": 1, "concurrent_calls": 0}
    assert service.check("reserve", **five).codes == ["10015"]
    shown = tollgate(service.server, "usage", "--tenant", "acme").stdout
    assert "tenant_concurrent_calls of acme: 1 concurrent call of 1 concurrent call" in shown
    listed = tollgate(service.server, "usage", "list").stdout
    assert "CONCURRENT CALLS" in listed and "1 / 1" in listed
    page = service.page()
    assert "Concurrent calls" in page and "Cap reached" in page
    assert "--concurrent-calls" in tollgate(None, "check", "--help").stdout
    assert "--concurrent-calls" not in tollgate(None, "record", "--help").stdout
    service.rest.patch("/v2/tenants/acme", {"on_limit": "alert"})
    over = service.check("reserve", concurrent_calls=1)
    assert over.status == 200 and [warning["code"] for warning in over.data["warnings"]] == ["49006"]
    for each in (held, over.data["id"]):
        assert service.rest.post(f"/v2/reservations/{each}/actions/commit").status == 200
    assert service.limit("tenant_concurrent_calls")["held"] == 0


def test_daily_messages(contract, acme):
    service = acme(max_daily_messages=10, auto_suspend=True)
    kind = contract.LIMIT_KIND_TENANT_DAILY_MESSAGES
    with grpc.insecure_channel(service.server.endpoint) as channel:
        stub = contract.Stub(channel)
        sent = stub.CheckAndReserve(
            request(contract, "acme", messages=3, mode=contract.MODE_COMMIT, include_limits=True), timeout=60)
        [state] = [state for state in sent.limits if state.limit == kind]
        assert (state.committed, state.cap, state.blocking) == (3, 10, True)
        assert state.resets_at_ms - state.window_start_ms == 86_400_000
        # One request that is too large suspends nobody.
        denied = stub.CheckAndReserve(request(contract, "acme", messages=8), timeout=60)
        [error] = denied.errors
        assert (error.code, error.title, error.limit) == ("49008", "Tenant daily message limit reached", kind)
        assert denied.tenant_status == contract.TENANT_STATUS_ACTIVE
        negative = contract.RecordUsageRequest(tenant_id="acme", quantities=quantities(contract, messages=-1))
        failed = failure(stub.RecordUsage, negative)
        assert (failed.code, failed.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "10015")
        usage = contract.RecordUsageRequest(tenant_id="acme", quantities=quantities(contract, messages=7))
        assert stub.RecordUsage(usage, timeout=60).tenant_status == contract.TENANT_STATUS_SUSPENDED
    found = service.events("tenant_daily_messages", 4)
    assert [event for event, _ in found] == [REACHED, REACHED, THRESHOLD, SUSPENDED]
    assert {payload.get("occasion") for _, payload in found} == {"refusal", None}


def test_daily_messages_over_rest(acme):
    service = acme(max_daily_messages=10, auto_suspend=True)
    service.rest.record("acme", messages=7)
    denied = service.check(messages=4)
    assert (denied.status, denied.codes) == (429, ["49008"])
    assert 0 < int(denied.headers["Retry-After"]) <= 86_400
    state = service.limit("tenant_daily_messages")
    assert of_day(state) and (state["committed"], state["cap"]) == (7, 10)
    assert service.rest.post("/v2/tenants/acme/actions/set_counts", {"messages": 1}).codes == ["10015"]
    assert "tenant_daily_messages of acme: 7 messages of 10 messages" in tollgate(
        service.server, "usage", "--tenant", "acme").stdout
    assert "DAILY MESSAGES" in tollgate(service.server, "usage", "list").stdout
    assert "Daily messages" in service.page()
    assert service.day()["usage"]["messages"] == 7


# MARK: several thresholds


def test_each_threshold_is_told_once_over_restarts(acme):
    service = acme(monthly_spend_limit="10.00", alert_thresholds=[50, 80, 95])

    def told():
        """The thresholds of the events that are on record."""
        found = reversed(service.rest.all("/v2/events?filter[tenant_id]=acme"))
        return [event["payload"]["alert_threshold"] for event in found if event["event_type"] == THRESHOLD]

    service.rest.record("acme", spend="6.00")
    assert told() == [50]
    service.kill()
    assert service.rest.tenant("acme")["alert_thresholds"] == [50, 80, 95]
    service.rest.record("acme", spend="1.00")
    assert told() == [50], "what was told is remembered"
    service.rest.record("acme", spend="2.00")
    assert told() == [50, 80]
    service.server.stop()
    service.begin()
    service.rest.record("acme", spend="0.10")
    assert told() == [50, 80]
    service.rest.record("acme", spend="0.45")
    assert told() == [50, 80, 95]
