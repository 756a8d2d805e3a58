"""The partner guide and the page on configurable spend limits, statement by statement, against the real service.

docs/coverage.md says which test shows which statement. Stories that need no control plane are in test_stories.py;
days and months that end are in test_midnight.py.
"""

import json
import subprocess
import urllib.parse
import uuid

import pytest
from conftest import Server
from control import Hooks, Mailbox, Rest, eventually, run_json

SIX = ["monthly_spend_limit", "max_extensions", "max_dids", "max_monthly_minutes", "alert_threshold", "auto_suspend"]
NEW_TENANT = {
    "monthly_spend_limit": "500.00", "max_extensions": 50, "max_dids": 10, "max_monthly_minutes": 5000,
    "alert_threshold": 80, "auto_suspend": True,
}
PROFILE = "be3eb60a-a346-470a-886c-ab4e421711bd"


@pytest.fixture(scope="module")
def hooks():
    hooks = Hooks()
    yield hooks
    hooks.close()


@pytest.fixture(scope="module")
def mailbox():
    mailbox = Mailbox()
    yield mailbox
    mailbox.close()


@pytest.fixture(scope="module")
def service(hooks, mailbox, tmp_path_factory):
    """One service for the whole module: each test has tenants of its own."""
    server = Server(
        "--data-dir", str(tmp_path_factory.mktemp("guide") / "data"), "--webhook-allow-private", "127.0.0.1/32",
        "--webhook-timeout", "30s",
        "--smtp-host", "127.0.0.1", "--smtp-port", str(mailbox.port), "--smtp-security", "none",
        "--smtp-from", "tollgate@example.com", limits=None,
    )
    rest = Rest(server)
    rest.post("/v2/webhook_endpoints", {"url": hooks.url + "/operator"}).data
    rest.post("/v2/email_recipients", {"address": "partner@example.com"}).data
    yield server
    assert server.stop() == 0


@pytest.fixture
def rest(service):
    return Rest(service)


@pytest.fixture
def make(rest, request):
    """make(**fields): a new tenant's id, named after the test."""

    def make(**fields):
        name = f"{request.node.originalname[5:50]}-{uuid.uuid4().hex[:8]}"
        rest.post("/v2/tenants", {"id": name, "name": name.upper()[:40], **fields}).data
        return name

    return make


@pytest.fixture
def profile(rest):
    def profile(tenant, limit, enabled=True, **fields):
        body = {"tenant_id": tenant, "name": "P", "daily_spend_limit": limit, "daily_spend_limit_enabled": enabled}
        return rest.post("/v2/messaging_profiles", {**body, **fields}).data["id"]

    return profile


def events(rest, tenant):
    """Types of a tenant's events, oldest first."""
    return [event["event_type"] for event in reversed(rest.all(f"/v2/events?filter[tenant_id]={tenant}"))]


# MARK: what can be capped


def test_monthly_spend_counts_all_charges(rest, make):
    tenant = make(monthly_spend_limit="10.00", auto_suspend=True)
    for action in ["assign_did", "provision_extension", "outbound_call", "inbound_call", "charge", "send_message"]:
        assert rest.check(tenant, action, spend="1.50").status == 200
    assert rest.limits(tenant)["tenant_monthly_spend"]["committed"] == "9.00"
    assert rest.check(tenant, spend="1.00").status == 200
    # The cumulative amount has hit the cap.
    assert rest.tenant(tenant)["status"] == "suspended"


@pytest.mark.parametrize(
    "field, resource, action, code",
    [
        ("max_extensions", "extensions", "provision_extension", "49002"),
        ("max_dids", "dids", "assign_did", "49003"),
    ],
)
def test_the_next_one_beyond_a_count_is_refused(rest, make, field, resource, action, code):
    tenant = make(**{field: 3})
    for _ in range(3):
        assert rest.check(tenant, action, **{resource: 1}).status == 200
    denied = rest.check(tenant, action, **{resource: 1})
    assert denied.status == 403 and denied.codes == [code]
    # One that is given back makes room for one.
    rest.record(tenant, **{resource: -1})
    assert rest.check(tenant, action, **{resource: 1}).status == 200


def test_minutes_are_inbound_and_outbound_together(rest, make):
    tenant = make(max_monthly_minutes=10, auto_suspend=True)
    assert rest.check(tenant, "inbound_call", call_seconds=300).status == 200
    assert rest.check(tenant, "outbound_call", call_seconds=299).status == 200
    assert rest.limits(tenant)["tenant_monthly_minutes"]["committed"] == 599
    assert rest.check(tenant, "inbound_call", call_seconds=2).codes == ["49004"]
    assert rest.tenant(tenant)["status"] == "suspended"


def test_empty_means_no_limit(rest, make):
    tenant = make()
    assert [rest.tenant(tenant)[field] for field in SIX[:4]] == [None] * 4
    assert rest.check(tenant, spend="1000000", extensions=10_000, dids=10_000, call_seconds=10**9).status == 200
    assert rest.limits(tenant)["tenant_dids"]["cap"] is None
    # What is not limited is counted all the same.
    assert rest.limits(tenant)["tenant_dids"]["committed"] == 10_000


def test_toll_fraud_ends_at_the_spend_cap(rest, make):
    tenant = make(preset="new-tenant")
    spent = 0
    while rest.check(tenant, "outbound_call", spend="49.50", call_seconds=60).status == 200:
        spent += 1
        assert spent < 100
    assert spent == 10
    assert rest.tenant(tenant)["status"] == "suspended"
    assert rest.limits(tenant)["tenant_monthly_spend"]["committed"] == "495.00"


# MARK: alert threshold


def test_threshold_is_80_percent_and_mails_at_800_of_1000_minutes(rest, make, hooks, mailbox):
    tenant = make(max_monthly_minutes=1000, name="ACME-800")
    assert rest.tenant(tenant)["alert_threshold"] == 80
    rest.record(tenant, call_seconds=800 * 60 - 1)
    assert events(rest, tenant) == []
    rest.record(tenant, call_seconds=1)
    assert events(rest, tenant) == ["tenant.limit-threshold-reached"]
    subject = "Tenant ACME-800 has hit 80% of their monthly minute cap."
    eventually(lambda: subject in mailbox.subjects())
    [mail] = [envelope for envelope, message in mailbox.received if message["Subject"] == subject]
    assert mail.rcpt_tos == ["partner@example.com"]
    told = eventually(lambda: [body for body in hooks.of("tenant.limit-threshold-reached")
                               if tenant in json.dumps(body)])
    assert len(told) == 1
    # Once a window: more of the same says nothing more.
    rest.record(tenant, call_seconds=60)
    assert events(rest, tenant) == ["tenant.limit-threshold-reached"]


@pytest.mark.parametrize(
    "field, cap, resource, below, rest_of_it",
    [
        ("monthly_spend_limit", "10.00", "spend", "4.99", "0.01"),
        ("max_extensions", 10, "extensions", 4, 1),
        ("max_dids", 10, "dids", 4, 1),
        ("max_monthly_minutes", 10, "call_seconds", 299, 1),
    ],
)
def test_threshold_is_a_percentage_of_any_cap(rest, make, field, cap, resource, below, rest_of_it):
    tenant = make(**{field: cap, "alert_threshold": 50})
    rest.record(tenant, **{resource: below})
    assert events(rest, tenant) == []
    rest.record(tenant, **{resource: rest_of_it})
    assert events(rest, tenant) == ["tenant.limit-threshold-reached"]


def test_each_of_several_thresholds_is_told(rest, make, hooks, mailbox):
    tenant = make(max_monthly_minutes=1000, name="ACME-steps", alert_thresholds=[50, 80, 95])
    assert rest.tenant(tenant)["alert_threshold"] == 50
    rest.record(tenant, call_seconds=800 * 60)
    assert events(rest, tenant) == ["tenant.limit-threshold-reached"] * 2
    for percent in (50, 80):
        subject = f"Tenant ACME-steps has hit {percent}% of their monthly minute cap."
        eventually(lambda: subject in mailbox.subjects())
    eventually(lambda: [body["data"]["payload"]["alert_threshold"] for body in hooks.of("tenant.limit-threshold-reached")
                        if tenant in json.dumps(body)] == [50, 80])
    assert "Tenant ACME-steps has hit 95% of their monthly minute cap." not in mailbox.subjects()


# MARK: at the cap


@pytest.mark.parametrize(
    "fields, used, quantities",
    [
        ({"monthly_spend_limit": "1.00"}, {"spend": "0.80"}, {"spend": "0.21"}),
        ({"max_extensions": 1}, {}, {"extensions": 2}),
        ({"max_dids": 1}, {}, {"dids": 2}),
        ({"max_monthly_minutes": 1}, {"call_seconds": 48}, {"call_seconds": 13}),
    ],
)
def test_auto_suspend_on_any_cap(rest, make, fields, used, quantities):
    tenant = make(auto_suspend=True, alert_threshold=100, **fields)
    if used:
        rest.record(tenant, **used)
    refused = rest.check(tenant, **quantities)
    assert refused.status in (403, 429) and refused.codes != ["20012"]
    assert rest.tenant(tenant)["status"] == "suspended"
    assert events(rest, tenant) == ["tenant.limit-reached", "tenant.suspended"]


@pytest.mark.parametrize(
    "fields, quantities, code, words",
    [
        ({"monthly_spend_limit": "500.00"}, {"spend": "501.00"}, "49001", "it asked for $501.00, and $0.00 of"),
        ({"max_monthly_minutes": 1}, {"call_seconds": 61}, "49004", "monthly minute cap of"),
    ],
)
def test_one_request_too_large_suspends_nobody(rest, make, mailbox, fields, quantities, code, words):
    tenant = make(auto_suspend=True, name=f"LARGE {code}", **fields)
    for _ in range(3):
        refused = rest.check(tenant, **quantities)
        assert refused.status == 429 and refused.codes == [code]
    assert rest.tenant(tenant)["status"] == "active"
    # Told once in a window, as the refusal that it is.
    assert events(rest, tenant) == ["tenant.limit-reached"]
    [event] = rest.all(f"/v2/events?filter[tenant_id]={tenant}")
    assert event["payload"]["occasion"] == "refusal"
    eventually(lambda: any(f"LARGE {code} was refused" in subject and words in subject for subject in mailbox.subjects()))


def test_what_a_suspended_tenant_meets(rest, make, mailbox):
    tenant = make(max_dids=1, auto_suspend=True, name="STOPPED")
    assert rest.check(tenant, "assign_did", dids=2).status == 403
    for action, treatment in [
        ("inbound_call", "service_interrupted"), ("outbound_call", "block_call"),
        ("send_message", "billing_suspended"), ("provision_extension", "billing_suspended"),
    ]:
        denied = rest.check(tenant, action, call_seconds=1)
        assert denied.status == 403 and denied.codes == ["20012"]
        assert denied.headers["tollgate-treatment"] == treatment
        assert denied.headers["x-should-retry"] == "false"
    # The partner is mailed; nobody else ever is.
    eventually(lambda: any("STOPPED" in subject and "suspended" in subject for subject in mailbox.subjects()))
    assert {address for envelope, _ in mailbox.received for address in envelope.rcpt_tos} == {"partner@example.com"}
    # An operator reinstates.
    rest.post(f"/v2/tenants/{tenant}/actions/reinstate").data
    assert rest.check(tenant, "inbound_call", call_seconds=1).status == 200
    assert events(rest, tenant)[-1] == "tenant.reinstated"


def test_without_auto_suspend_the_tenant_keeps_running(rest, make, mailbox):
    tenant = make(monthly_spend_limit="1.00", max_monthly_minutes=1, auto_suspend=False, name="RUNNING")
    for _ in range(3):
        answer = rest.check(tenant, "outbound_call", spend="1.00", call_seconds=60)
        assert answer.status == 200 and answer.data["tenant_status"] == "active"
    assert answer.data["warnings"], "an answer beyond a cap says so"
    assert rest.tenant(tenant)["status"] == "active"
    told = events(rest, tenant)
    assert told.count("tenant.limit-reached") == 2 and "tenant.suspended" not in told
    eventually(lambda: len([subject for subject in mailbox.subjects() if "RUNNING" in subject]) == len(told))


# MARK: setting limits


def test_all_six_fields_are_set_and_left_blank(rest, make):
    tenant = make()
    tag = rest.get(f"/v2/tenants/{tenant}").headers["ETag"]
    changed = rest.patch(f"/v2/tenants/{tenant}", NEW_TENANT, headers={"If-Match": tag}).data
    assert {field: changed[field] for field in SIX} == NEW_TENANT
    blank = {field: None for field in SIX[:4]}
    changed = rest.patch(f"/v2/tenants/{tenant}", blank).data
    assert {field: changed[field] for field in SIX} == {**NEW_TENANT, **blank}
    [row] = [row for row in rest.all("/v2/tenants") if row["id"] == tenant]
    assert {field: row[field] for field in SIX} == {**NEW_TENANT, **blank}


def test_changes_are_immediate(rest, make):
    tenant = make(max_dids=1, on_limit="block")
    for cap in range(2, 30):
        assert rest.check(tenant, "assign_did", mode="check_only", dids=cap).status == 403
        rest.patch(f"/v2/tenants/{tenant}", {"max_dids": cap}).data
        assert rest.check(tenant, "assign_did", mode="check_only", dids=cap).status == 200


@pytest.mark.parametrize("next_one", [{"spend": "0.01"}, {"extensions": 1}], ids=["charge", "extension"])
def test_a_cap_below_usage_suspends_at_the_next_charge_or_creation(rest, make, next_one):
    tenant = make(auto_suspend=True)
    rest.record(tenant, spend="5.00", extensions=5)
    [resource] = next_one
    field, cap, limit, over = {
        "spend": ("monthly_spend_limit", "4.00", "tenant_monthly_spend", "1.00"),
        "extensions": ("max_extensions", 4, "tenant_extensions", 1),
    }[resource]
    answer = rest.patch(f"/v2/tenants/{tenant}", {field: cap})
    # Not retroactively.
    assert answer.data["status"] == "active" and answer.body["meta"]["over_by"] == {limit: over}
    assert rest.tenant(tenant)["status"] == "active" and events(rest, tenant) == []
    assert rest.check(tenant, **next_one).status in (403, 429)
    assert rest.tenant(tenant)["status"] == "suspended"


def test_the_preset_for_tenants_that_are_not_trusted_yet(rest, make):
    tenant = make(preset="new-tenant")
    assert {field: rest.tenant(tenant)[field] for field in SIX} == NEW_TENANT


def test_caps_are_raised_and_removed(rest, make):
    tenant = make(monthly_spend_limit="1.00", on_limit="block")
    assert rest.check(tenant, spend="1.00").status == 200
    assert rest.check(tenant, spend="0.50").codes == ["49001"]
    rest.patch(f"/v2/tenants/{tenant}", {"monthly_spend_limit": "1.50"}).data
    assert rest.check(tenant, spend="0.50").status == 200
    assert rest.check(tenant, spend="0.50").codes == ["49001"]
    rest.patch(f"/v2/tenants/{tenant}", {"monthly_spend_limit": None}).data
    assert rest.check(tenant, spend="1000").status == 200


# MARK: defaults


def test_defaults_pre_fill_new_tenants_and_reset_restores_them(rest, make):
    before = rest.get("/v2/tenant_defaults").data
    try:
        old = make(max_dids=77)
        rest.patch("/v2/tenant_defaults", {**NEW_TENANT, "max_dids": 11}).data
        new = make()
        assert {field: rest.tenant(new)[field] for field in SIX} == {**NEW_TENANT, "max_dids": 11}
        assert rest.tenant(old)["max_dids"] == 77
        rest.post(f"/v2/tenants/{old}/actions/reset_limits").data
        assert {field: rest.tenant(old)[field] for field in SIX} == {**NEW_TENANT, "max_dids": 11}
    finally:
        rest.patch("/v2/tenant_defaults", {field: before[field] for field in SIX}).data


# MARK: usage in real time


def test_usage_now_live_of_all_and_by_day(service, rest, make):
    tenant = make(max_dids=10, monthly_spend_limit="100.00")
    rest.check(tenant, dids=9, spend="1.25").data
    assert rest.limits(tenant)["tenant_dids"]["committed"] == 9
    rows = rest.all("/v2/usage")
    [row] = [row for row in rows if row["tenant_id"] == tenant]
    assert row["nearest_limit"] == "tenant_dids" and row["nearest_limit_percent"] == 90
    percents = [row["nearest_limit_percent"] or 0 for row in rows]
    assert percents == sorted(percents, reverse=True), "nearest to its limit first"
    [day] = [day for day in rest.all(f"/v2/tenants/{tenant}/usage/daily") if day["usage"]]
    assert day["usage"]["spend"] == "1.25" and day["usage"]["dids"] == 9
    [live] = run_json(service, "usage", "--tenant", tenant)
    assert live["tenant_status"] == "active"


# MARK: white label


def test_tenants_do_not_see_limits_and_the_audit_log_does(serve, tmp_path):
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), limits=None, auth=True)
    operator = Rest(server, (data / "operator-token").read_text().strip())
    operator.post("/v2/tenants", {"id": "acme", "max_dids": 10, "auto_suspend": True}).data
    secret = operator.post("/v2/tokens", {"name": "acme's", "scope": "tenant", "tenant_ids": ["acme"]}).data["secret"]
    own = Rest(server, secret)
    operator.record("acme", dids=10)
    assert operator.check("acme", "assign_did", dids=1).codes == ["49003"]

    seen = own.get("/v2/tenants/acme/usage")
    text = json.dumps(seen.body)
    assert seen.data["tenant_status"] == "suspended"
    for leak in ["49003", "cap_minutes\": 1", "resets_at\": \"", "\"cap\": 10"]:
        assert leak not in text, f"a tenant's token sees {leak}"
    assert all(limit["cap"] is None for limit in seen.data["limits"])
    for path in ["/v2/tenants/acme", "/v2/audit_events", "/v2/events", "/v2/tenant_defaults", "/v2/tenants"]:
        assert own.get(path).status == 403
    assert own.get("/v2/tenants/other/usage").status == 404

    # The audit log says exactly what triggered.
    entries = operator.all("/v2/audit_events?filter[tenant_id]=acme")
    [denied] = [entry for entry in entries if entry["code"] == "49003"]
    [limit] = [limit for limit in denied["limits"] if limit["limit"] == "tenant_dids"]
    assert (limit["cap"], limit["committed"], limit["held"], limit["asked"]) == (10, 10, 0, 1)
    assert denied["caller"]["name"] == "first operator" and denied["occurred_at"].endswith("Z")

    # Some partners show them.
    operator.patch("/v2/tenants/acme", {"disclose_limits": True}).data
    shown = {limit["limit"]: limit for limit in own.get("/v2/tenants/acme/usage").data["limits"]}
    assert shown["tenant_dids"]["cap"] == 10


# MARK: configurable spend limits


@pytest.mark.parametrize("limit, shown", [("0.12", "0.12"), ("1", "1.00"), ("1.23", "1.23")])
def test_the_limit_is_set_when_creating_and_when_updating(rest, make, profile, limit, shown):
    tenant = make()
    created = profile(tenant, limit)
    answer = rest.get(f"/v2/messaging_profiles/{created}").data
    assert answer["daily_spend_limit"] == shown and answer["daily_spend_limit_enabled"] is True
    updated = profile(tenant, None, enabled=False)
    body = {"daily_spend_limit_enabled": True, "daily_spend_limit": limit}
    assert rest.patch(f"/v2/messaging_profiles/{updated}", body).data["daily_spend_limit"] == shown
    for one in [created, updated]:
        assert rest.send(tenant, one, limit).status == 200
        assert rest.send(tenant, one, "0.000000001").codes == ["40333"]


def test_the_curl_command_works_as_printed(service, rest, make, profile):
    tenant = make()
    made = profile(tenant, None, enabled=False)
    command = f"""curl -X PATCH http://{service.http}/v2/messaging_profile/{urllib.parse.quote(made)} \\
-H 'Authorization: Bearer YOUR-TOKEN-HERE' \\
-H 'Content-Type: application/json' \\
-d '{{
"daily_spend_limit_enabled": true,
"daily_spend_limit": "10.00"
}}'"""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout)["data"]
    assert answer["daily_spend_limit"] == "10.00" and answer["daily_spend_limit_enabled"] is True
    assert rest.send(tenant, made, "10.00").status == 200
    assert rest.send(tenant, made, "0.01").status == 429


def test_a_reached_limit_is_429_with_the_documented_body(rest, make, profile):
    tenant = make()
    made = profile(tenant, "0.01")
    assert rest.send(tenant, made, "0.01").status == 200
    denied = rest.send(tenant, made, "0.01")
    assert denied.status == 429
    assert denied.body == {
        "errors": [
            {
                "code": "40333",
                "title": "Messaging profile spend limit reached",
                "detail": "The daily spend limit configured on this messaging profile has been reached",
                "meta": {"url": "https://developers.telnyx.com/docs/overview/errors/40333"},
            }
        ]
    }
    assert denied.headers["x-should-retry"] == "false" and int(denied.headers["Retry-After"]) > 0
    # The tenant is not suspended, and other profiles send on.
    assert rest.send(tenant, profile(tenant, "1"), "0.01").status == 200


def test_a_reached_limit_is_told_by_webhook_and_mail(rest, make, profile, hooks, mailbox):
    tenant = make()
    made = profile(tenant, "0.01", name="LOUD", webhook_url=hooks.url + "/profile")
    rest.send(tenant, made, "0.004").data
    # Usage that had already happened may go over: that is how current_cost exceeds configured_limit.
    rest.post("/v2/usage_records", {
        "tenant_id": tenant, "messaging_profile_id": made, "action": "send_message", "quantities": {"spend": "0.016"},
    }).data

    def told():
        return [body for body in hooks.of("messaging-profile.spend-limit-reached")
                if body["data"]["payload"]["profile_id"] == made]

    [body] = eventually(told)
    assert body["data"]["payload"] == {"configured_limit": "0.01", "current_cost": "0.02", "profile_id": made}
    assert set(body) == {"data", "meta"} and set(body["meta"]) == {"attempt", "delivered_to"}
    assert set(body["data"]) == {"event_type", "id", "occurred_at", "payload", "record_type"}
    assert body["data"]["record_type"] == "event" and body["data"]["occurred_at"].endswith("+00:00")
    assert body["meta"]["attempt"] == 1 and body["meta"]["delivered_to"].startswith(hooks.url)
    paths = eventually(lambda: [path for path, _, raw in hooks.received if body["data"]["id"].encode() in raw])
    eventually(lambda: {path for path, _, raw in hooks.received if body["data"]["id"].encode() in raw}
               == {"/profile", "/operator"}, what=f"the second of {paths}")
    eventually(lambda: any("LOUD" in subject for subject in mailbox.subjects()))


def test_override_by_switching_off_and_on(rest, make, profile):
    tenant = make()
    made = profile(tenant, "0.02")
    path = f"/v2/messaging_profiles/{made}"
    assert rest.send(tenant, made, "0.02").status == 200
    assert rest.send(tenant, made, "0.01").codes == ["40333"]
    rest.patch(path, {"daily_spend_limit_enabled": False}).data
    for _ in range(3):
        assert rest.send(tenant, made, "0.01").status == 200
    rest.patch(path, {"daily_spend_limit_enabled": True}).data
    assert rest.send(tenant, made, "0.01").codes == ["40333"]
    # Nothing of this reset the running total.
    assert rest.limits(tenant, made)["profile_daily_spend"]["committed"] == "0.05"


def test_override_by_raising_the_limit(rest, make, profile):
    tenant = make()
    made = profile(tenant, "0.02")
    path = f"/v2/messaging_profiles/{made}"
    assert rest.send(tenant, made, "0.02").status == 200
    assert rest.send(tenant, made, "0.01").codes == ["40333"]
    rest.patch(path, {"daily_spend_limit": "0.04"}).data
    assert rest.limits(tenant, made)["profile_daily_spend"]["committed"] == "0.02"
    assert rest.send(tenant, made, "0.02").status == 200
    # The new maximum is reached: rejected again.
    assert rest.send(tenant, made, "0.01").codes == ["40333"]


def test_a_limit_that_is_not_enabled_counts_and_rejects_nothing(rest, make, profile):
    tenant = make()
    made = profile(tenant, "0.01", enabled=False)
    for _ in range(3):
        assert rest.send(tenant, made, "0.01").status == 200
    assert rest.limits(tenant, made)["profile_daily_spend"]["committed"] == "0.03"
    rest.patch(f"/v2/messaging_profiles/{made}", {"daily_spend_limit_enabled": True}).data
    assert rest.send(tenant, made, "0.01").codes == ["40333"]
