"""Outbound voice profiles, the second kind of profile, through all of the real binary: gRPC, REST, limits file, command
line, webhooks, a restart."""

import json

import grpc
import pytest
from conftest import USD, failure, request, tollgate
from control import Rest, eventually
from receivers import Receiver

REACHED = "outbound-voice-profile.spend-limit-reached"
THRESHOLD = "outbound-voice-profile.spend-limit-threshold-reached"

LIMITS = """
version: 1
tenants:
  - id: acme
    messaging_profiles:
      - id: sms
        daily_spend_limit: "1.00"
        daily_spend_limit_enabled: true
    outbound_voice_profiles:
      - id: calls
        daily_spend_limit: "3.00"
        daily_spend_limit_enabled: true
  - id: globex
"""


@pytest.fixture
def service(serve, tmp_path):
    """service(limits): the service on the test's data directory."""

    def start(limits=LIMITS):
        return serve(
            "--data-dir", str(tmp_path / "data"), "--webhook-allow-private", "127.0.0.0/8", "--webhook-timeout", "30s",
            limits=limits,
        )

    return start


def asked(contract, spend, **fields):
    return request(contract, "acme", spend=spend, action=contract.ACTION_OUTBOUND_CALL, **fields)


def states(contract, stub, **profile):
    answer = stub.GetUsage(contract.GetUsageRequest(tenant_id="acme", **profile), timeout=60)
    return {state.limit: state for state in answer.limits}


def test_hold_commit_deny(contract, service):
    kind = contract.LIMIT_KIND_VOICE_PROFILE_DAILY_SPEND
    server = service()
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        held = stub.CheckAndReserve(asked(contract, 2 * USD, voice_profile_id="calls", include_limits=True), timeout=60)
        assert held.decision == contract.DECISION_ALLOWED
        assert [state.subject_id for state in held.limits if state.limit == kind] == ["calls"]
        denied = stub.CheckAndReserve(asked(contract, USD + 1, voice_profile_id="calls"), timeout=60)
        assert denied.decision == contract.DECISION_DENIED and denied.treatment == contract.TREATMENT_REJECT
        [error] = denied.errors
        assert (error.code, error.title, error.limit) == ("49007", "Outbound voice profile spend limit reached", kind)
        stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60)
        stub.RecordUsage(
            contract.RecordUsageRequest(
                tenant_id="acme",
                voice_profile_id="calls",
                quantities=[contract.Quantity(resource=contract.RESOURCE_SPEND, amount=USD)],
            ),
            timeout=60,
        )
        state = states(contract, stub, voice_profile_id="calls")[kind]
        assert (state.committed, state.held, state.cap, state.blocking) == (3 * USD, 0, 3 * USD, True)
        assert state.resets_at_ms - state.window_start_ms == 86_400_000
        # The messaging profile's day is another one.
        message = states(contract, stub, messaging_profile_id="sms")[contract.LIMIT_KIND_PROFILE_DAILY_SPEND]
        assert (message.committed, message.held) == (0, 0)
        status = failure(
            stub.CheckAndReserve,
            asked(contract, 1, voice_profile_id="calls"),
            metadata=[("tollgate-deny", "status")],
        )
        assert (status.code, status.catalogue) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "49007")
    server.stop()
    # What was used, and of which kind the profile is, outlives the process.
    server = service()
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        assert states(contract, stub, voice_profile_id="calls")[kind].committed == 3 * USD
        again = stub.CheckAndReserve(asked(contract, 1, voice_profile_id="calls"), timeout=60)
        assert [error.code for error in again.errors] == ["49007"]


def test_one_profile_of_the_right_kind(contract, service):
    server = service()
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        for call, message in [
            (stub.CheckAndReserve, contract.CheckAndReserveRequest),
            (stub.RecordUsage, contract.RecordUsageRequest),
        ]:
            quantity = contract.Quantity(resource=contract.RESOURCE_SPEND, amount=1)
            common = {"tenant_id": "acme", "action": contract.ACTION_CHARGE, "quantities": [quantity]}
            both = failure(call, message(messaging_profile_id="sms", voice_profile_id="calls", **common))
            assert (both.code, both.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "10015")
            assert both.pointers == ["/voice_profile_id"]
            for wrong in [{"messaging_profile_id": "calls"}, {"voice_profile_id": "sms"}]:
                other = failure(call, message(**wrong, **common))
                assert (other.code, other.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")
        usage = failure(stub.GetUsage, contract.GetUsageRequest(tenant_id="acme", voice_profile_id="sms"))
        assert (usage.code, usage.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")
        # Both at once, in GetUsage too.
        both = failure(
            stub.GetUsage,
            contract.GetUsageRequest(tenant_id="acme", messaging_profile_id="sms", voice_profile_id="calls"),
        )
        assert (both.code, both.catalogue) == (grpc.StatusCode.INVALID_ARGUMENT, "10015")


def test_alerts_go_to_its_own_webhook(service):
    receiver = Receiver()
    try:
        rest = Rest(service())
        path = "/v2/outbound_voice_profiles/calls"
        rest.patch(path, {"webhook_url": receiver.url + "/calls"}).data
        body = {"tenant_id": "acme", "action": "outbound_call", "mode": "commit", "voice_profile_id": "calls"}
        assert rest.post("/v2/check_and_reserve", {**body, "quantities": {"spend": "2.50"}}).status == 200
        assert rest.post("/v2/check_and_reserve", {**body, "quantities": {"spend": "0.50"}}).status == 200
        refused = rest.post("/v2/check_and_reserve", {**body, "quantities": {"spend": "0.01"}})
        assert (refused.status, refused.codes) == (429, ["49007"])

        def told():
            found = {post.body["data"]["event_type"]: post.body["data"] for post in list(receiver.posts)}
            return found if {THRESHOLD, REACHED} <= set(found) else None

        found = eventually(told, 180, "both alerts")
        assert found[REACHED]["payload"] == {
            "configured_limit": "3.00",
            "current_cost": "3.00",
            "profile_id": "calls",
        }
        assert found[THRESHOLD]["payload"]["alert_threshold"] == 80
        rows = {row["event_type"]: row for row in rest.all("/v2/events")}
        assert rows[REACHED]["voice_profile_id"] == "calls" and rows[REACHED]["messaging_profile_id"] is None
        assert rows[REACHED]["voice_profile_name"] == "calls"

        def counted():
            [day] = rest.all(path + "/usage/daily")
            return day if day["refusals"] else None

        day = eventually(counted, 60, "the refusal in the daily figures")
        assert day["refusals"] == {"49007": 1} and day["usage"]["spend"] == "3.00"
        assert day["voice_profile_id"] == "calls"
        log = rest.all("/v2/audit_events?filter[voice_profile_id]=calls")
        assert "49007" in {row["code"] for row in log} and {row["voice_profile_id"] for row in log} == {"calls"}
        assert rest.all("/v2/audit_events?filter[messaging_profile_id]=calls") == []
    finally:
        receiver.close()


def test_the_command_line_and_the_limits_file(service, tmp_path):
    server = service()
    made = tollgate(
        server, "profiles", "create", "office", "--kind", "voice", "--tenant", "globex", "--name", "Office",
        "--daily-spend-limit", "5", "--daily-spend-limit-enabled",
    )
    assert (made.returncode, made.stdout) == (0, "Created outbound voice profile office.\n"), made.stderr
    listed = tollgate(server, "profiles", "list", "--kind", "voice", "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(row["id"], row["record_type"]) for row in rows if row["record_type"] != "page"] == [
        ("calls", "outbound_voice_profile"),
        ("office", "outbound_voice_profile"),
    ]
    assert "office" not in tollgate(server, "profiles", "list").stdout
    assert tollgate(server, "profiles", "get", "office").returncode != 0
    changed = tollgate(server, "profiles", "update", "office", "--kind", "voice", "--daily-spend-limit", "0.50")
    assert changed.stdout == "Changed outbound voice profile office.\n", changed.stderr
    check = ("check", "--tenant", "globex", "--action", "outbound-call", "--spend", "0.60")
    denied = tollgate(server, *check, "--voice-profile", "office")
    assert denied.returncode == 3 and "49007" in denied.stdout
    both = tollgate(server, *check, "--voice-profile", "office", "--profile", "sms")
    assert both.returncode == 64 and "--voice-profile" in both.stderr

    exported = tmp_path / "exported.yaml"
    written = tollgate(server, "export", "-o", str(exported))
    assert "1 messaging profiles, 2 outbound voice profiles" in written.stdout, written.stderr
    text = exported.read_text()
    assert "    outbound_voice_profiles:\n      - id: office\n" in text
    same = tollgate(server, "apply", "-f", str(exported), "--dry-run")
    assert "Nothing to do" in same.stdout, same.stdout + same.stderr
    exported.write_text(text.replace('"0.50"', '"0.75"'))
    applied = tollgate(server, "apply", "-f", str(exported))
    assert "outbound voice profile office of tenant globex" in applied.stdout, applied.stdout + applied.stderr
    assert Rest(server).get("/v2/outbound_voice_profiles/office").data["daily_spend_limit"] == "0.75"
    deleted = tollgate(server, "profiles", "delete", "office", "--kind", "voice")
    assert deleted.stdout == "Deleted outbound voice profile office.\n", deleted.stderr
    assert Rest(server).get("/v2/outbound_voice_profiles/office").status == 404


def test_an_id_is_of_one_kind(service):
    """A limits file that has an id under the other kind keeps nobody from starting: the entry is skipped, and told."""
    service().stop()
    swapped = LIMITS.replace("id: sms", "id: other").replace("id: calls", "id: sms")
    server = service(swapped)
    rest = Rest(server)
    assert rest.get("/v2/messaging_profiles/sms").data["daily_spend_limit"] == "1.00"
    assert rest.get("/v2/messaging_profiles/other").status == 200
    assert rest.get("/v2/outbound_voice_profiles/sms").status == 404
    log = "".join(server.log)
    assert "an entry of the limits file was skipped" in log and "outbound voice profile sms of tenant acme" in log
