"""The commands over the REST API, apply and export: the real binary against the real service."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import time
import urllib.parse
import urllib.request

import grpc
import pytest
from conftest import BINARY, ROOT, addresses, tollgate
from control import Between, Hooks, Mailbox, Rest, eventually, run, run_json


@pytest.fixture
def service(serve, tmp_path):
    """A service with a data directory and nothing configured."""
    return serve("--data-dir", str(tmp_path / "data"), limits=None)


@pytest.fixture
def rest(service):
    return Rest(service)


def one(server, *arguments, **options):
    [found] = run_json(server, *arguments, **options)
    return found


def test_an_answer_that_stops_in_the_middle():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arguments = [BINARY, "tenants", "list", "--url", url, "--timeout", "2s"]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data":')
                said = command.communicate(timeout=60)[1]
    assert command.returncode == 69 and f"{url} did not answer within 2s" in said, said


# MARK: tenants, profiles, defaults


def test_life_of_a_tenant(service, rest):
    made = one(service, "tenants", "create", "acme", "--name", "Acme", "--preset", "new-tenant", "--max-dids", "20")
    assert made["id"] == "acme" and made["monthly_spend_limit"] == "500.00" and made["max_dids"] == 20
    assert one(service, "tenants", "get", "acme") == rest.tenant("acme") == made

    changed = one(
        service, "tenants", "update", "acme", "--name", "Acme Telecom", "--monthly-spend-limit", "750.5",
        "--max-extensions", "none", "--max-monthly-minutes", "1000", "--alert-threshold", "75", "--no-auto-suspend",
        "--on-limit", "block", "--billing-cycle-day", "31", "--time-zone", "Europe/Paris", "--disclose-limits",
    )
    now = rest.tenant("acme")
    assert {name: changed[name] for name in now} == now
    expected = {
        "name": "Acme Telecom", "monthly_spend_limit": "750.50", "max_extensions": None, "max_dids": 20,
        "max_monthly_minutes": 1000, "alert_threshold": 75, "auto_suspend": False, "on_limit": "block",
        "billing_cycle_day": 31, "time_zone": "Europe/Paris", "disclose_limits": True,
    }
    assert expected.items() <= now.items()

    assert run(service, "tenants", "suspend", "acme", "--reason", "fraud") == "Suspended tenant acme.\n"
    assert rest.tenant("acme")["status"] == "suspended"
    run(service, "tenants", "reinstate", "acme")
    assert rest.tenant("acme")["status"] == "active"
    run(service, "tenants", "delete", "acme")
    assert rest.get("/v2/tenants/acme").status == 404
    assert "10005" in run(service, "tenants", "get", "acme", status=65)


def test_defaults_pre_fill_and_are_restored(service, rest):
    run(service, "defaults", "set", "--monthly-spend-limit", "100", "--max-dids", "3", "--auto-suspend")
    defaults = one(service, "defaults", "get")
    assert (defaults["monthly_spend_limit"], defaults["max_dids"], defaults["auto_suspend"]) == ("100.00", 3, True)
    run(service, "tenants", "create", "a")
    assert rest.tenant("a")["max_dids"] == 3
    run(service, "tenants", "update", "a", "--max-dids", "9", "--monthly-spend-limit", "none", "--name", "A")
    run(service, "tenants", "reset-limits", "a")
    restored = rest.tenant("a")
    assert (restored["max_dids"], restored["monthly_spend_limit"], restored["name"]) == (3, "100.00", "A")


def test_over_a_cap_that_was_just_set_is_said(service, rest):
    run(service, "tenants", "create", "a")
    rest.record("a", dids=5, call_seconds=120)
    said = run(service, "tenants", "update", "a", "--max-dids", "3", "--max-monthly-minutes", "1")
    assert "over tenant_dids by 2" in said and "over tenant_monthly_minutes by 60 s" in said
    again = one(service, "tenants", "update", "a", "--max-dids", "4")
    assert again["over_by"]["tenant_dids"] == 1
    assert rest.tenant("a")["status"] == "active"


def test_life_of_a_profile(service, rest):
    run(service, "tenants", "create", "acme")
    made = one(
        service, "profiles", "create", "--tenant", "acme", "--name", "Alerts", "--daily-spend-limit", "0.12",
        "--daily-spend-limit-enabled",
    )
    profile = made["id"]
    assert made["daily_spend_limit"] == "0.12" and made["daily_spend_limit_enabled"] is True
    run(service, "profiles", "create", "p2", "--tenant", "acme", "--name", "Second")
    assert [row["id"] for row in run_json(service, "profiles", "list", "--tenant", "acme", "--name", "Sec")] == ["p2"]
    run(service, "profiles", "update", profile, "--no-daily-spend-limit-enabled", "--daily-spend-limit", "1")
    now = rest.get(f"/v2/messaging_profiles/{profile}").data
    assert now["daily_spend_limit"] == "1.00" and now["daily_spend_limit_enabled"] is False
    run(service, "profiles", "delete", "p2")
    assert rest.get("/v2/messaging_profiles/p2").status == 404
    assert "Alerts" in run(service, "profiles", "get", profile)


def test_an_id_may_hold_anything(service, rest):
    for tenant in ["a/b", "a?b#c%25", "ä € 😀", "...", "-x"]:
        run(service, "tenants", "create", "--name", "N", "--", tenant)
        assert one(service, "tenants", "get", "--", tenant)["id"] == tenant
    assert len(run_json(service, "tenants", "list")) == 5


def test_lists_follow_the_pages(service, rest):
    for index in range(60):
        rest.post("/v2/tenants", {"id": f"t{index:03}", "name": "even" if index % 2 == 0 else "odd"})
    rows = run_json(service, "tenants", "list", "--limit", "all")
    assert sorted(row["id"] for row in rows) == [f"t{index:03}" for index in range(60)]
    assert len(run_json(service, "tenants", "list", "--limit", "7")) == 7
    assert len(run_json(service, "tenants", "list", "--name", "even")) == 30
    shown = tollgate(service, "tenants", "list", "--limit", "2")
    assert shown.stdout.startswith("ID ") and shown.stdout.count("\n") == 3
    assert "2 of 60 shown" in shown.stderr


def test_nothing_is_left_out_while_rows_go_away(service, rest):
    """Once the first page is read its first row is deleted: by number, a row would move there from the second."""
    for index in range(260):
        rest.post("/v2/tenants", {"id": f"t{index:03}", "name": f"n{index:03}"}).data
    for index in range(260):
        rest.post("/v2/messaging_profiles", {"id": f"p{index:03}", "tenant_id": "t259", "name": "P"}).data
        rest.post("/v2/tokens", {"name": f"k{index:03}", "scope": "check"}).data
    tokens = []
    for number in (1, 2):
        tokens += [row["id"] for row in rest.get(f"/v2/tokens?page[size]=250&page[number]={number}").data]
    tenants = [f"t{index:03}" for index in range(260)]
    profiles = [f"p{index:03}" for index in range(260)]

    def read(collection, ids, *arguments):
        asked = []

        def before(_method, path):
            if path.startswith(collection + "?"):
                asked.append(path)
                if len(asked) == 2:
                    rest.delete(f"{collection}/{ids.pop(0)}").data

        with contextlib.closing(Between(service, before)) as between:
            if arguments[0] == "export":
                text = run(between, *arguments)
                found = [one for one in ids if one in text]
            else:
                found = [row["id"] for row in run_json(between, *arguments)]
        assert len(asked) > 1
        assert set(ids) <= set(found) and len(found) == len(set(found)), arguments

    read("/v2/tenants", tenants, "export")
    read("/v2/messaging_profiles", profiles, "export")
    read("/v2/tenants", tenants, "tenants", "list", "--limit", "all")
    read("/v2/tenants", tenants, "tenants", "list", "--limit", "all", "--sort", "name")
    read("/v2/tenants", tenants, "tenants", "list", "--limit", "300")
    read("/v2/messaging_profiles", profiles, "profiles", "list", "--limit", "all")
    read("/v2/tokens", tokens, "tokens", "list", "--limit", "all")


def test_a_list_whose_rows_keep_going_away_is_given_up(service, rest):
    for index in range(270):
        rest.post("/v2/tenants", {"id": f"t{index:03}", "name": f"n{index:03}"}).data
    rows = [f"t{index:03}" for index in range(270)]

    def before(_method, path):
        if "=2&" in path:
            rest.delete(f"/v2/tenants/{rows.pop(0)}").data

    with contextlib.closing(Between(service, before)) as between:
        said = run(between, "tenants", "list", "--limit", "all", "--sort", "name", status=69)
        assert "kept changing" in said
        assert len(run_json(between, "tenants", "list", "--limit", "all")) == len(rows)


# MARK: what happened


def test_usage_now_of_all_and_by_day(service, rest):
    run(service, "tenants", "create", "full", "--max-dids", "10")
    run(service, "tenants", "create", "empty", "--max-dids", "10")
    rest.record("full", dids=9, spend="1.50", call_seconds=61)
    now = one(service, "usage", "--tenant", "full")
    assert {limit["limit"]: limit["committed"] for limit in now["limits"]}["tenant_dids"] == 9
    rows = run_json(service, "usage", "list")
    assert [row["tenant_id"] for row in rows] == ["full", "empty"]
    table = run(service, "usage", "list")
    assert "9 / 10" in table and "1.50" in table
    [day] = [row for row in run_json(service, "usage", "daily", "--tenant", "full") if row["usage"]]
    assert day["usage"]["dids"] == 9 and day["usage"]["spend"] == "1.50"


def test_audit_and_events_say_what_triggered(service, rest):
    run(service, "tenants", "create", "acme", "--max-dids", "10", "--auto-suspend")
    rest.record("acme", dids=10)
    assert rest.check("acme", "assign_did", dids=1).status == 403
    events = run_json(service, "events", "list", "--tenant", "acme")
    types = [event["event_type"] for event in events]
    assert sorted(types) == ["tenant.limit-reached", "tenant.limit-threshold-reached", "tenant.suspended"]
    assert one(service, "events", "get", events[0]["id"]) == events[0]
    [suspended] = run_json(service, "events", "list", "--type", "tenant.suspended")
    assert suspended["tenant_id"] == "acme"
    entries = run_json(service, "audit", "list", "--tenant", "acme")
    denied = [entry for entry in entries if entry["code"] == "49003"]
    assert len(denied) == 1
    [limit] = [limit for limit in denied[0]["limits"] if limit["limit"] == "tenant_dids"]
    assert (limit["cap"], limit["committed"], limit["asked"]) == (10, 10, 1)
    assert "49003" in run(service, "audit", "list", "--tenant", "acme")


# MARK: who is told


def test_webhooks_from_creation_to_delivery(serve, tmp_path):
    hooks = Hooks()
    service = serve("--data-dir", str(tmp_path / "data"), "--webhook-allow-private", "127.0.0.1/32",
                    "--webhook-timeout", "30s", limits=None)
    made = one(service, "webhooks", "create", f"{hooks.url}/a", "--events", "tenant.suspended")
    assert made["event_types"] == ["tenant.suspended"]
    identifier = made["id"]
    assert "accepted it (200)" in run(service, "webhooks", "test", identifier)
    run(service, "webhooks", "update", identifier, "--to", f"{hooks.url}/b", "--events", "all")
    run(service, "tenants", "create", "acme", "--max-dids", "1", "--auto-suspend")
    run(service, "tenants", "suspend", "acme")
    [body] = eventually(lambda: hooks.of("tenant.suspended"))
    delivered = eventually(lambda: run_json(service, "webhooks", "deliveries", "--event", body["data"]["id"],
                                            "--status", "delivered"))
    before = len(hooks.received)
    run(service, "webhooks", "resend", delivered[0]["id"])
    eventually(lambda: len(hooks.received) > before)
    assert {path for path, _, _ in hooks.received} == {"/a", "/b"}
    assert len(hooks.of("tenant.suspended")) == 1, "a resent event keeps its id"
    run(service, "webhooks", "update", identifier, "--disable-sending")
    assert run_json(service, "webhooks", "list")[0]["enabled"] is False
    run(service, "webhooks", "delete", identifier)
    assert run(service, "webhooks", "list") == "No webhook endpoints.\n"
    hooks.close()


def test_a_webhook_that_nobody_answers(serve, tmp_path):
    service = serve("--data-dir", str(tmp_path / "data"), "--webhook-allow-private", "127.0.0.1/32",
                    "--webhook-timeout", "30s", limits=None)
    made = one(service, "webhooks", "create", "http://127.0.0.1:1/")
    assert "did not accept it" in run(service, "webhooks", "test", made["id"], status=70)


def test_emails_and_a_test_mail(serve, tmp_path):
    mailbox = Mailbox()
    service = serve(
        "--data-dir", str(tmp_path / "data"), "--smtp-host", "127.0.0.1", "--smtp-port", str(mailbox.port),
        "--smtp-security", "none", "--smtp-from", "tollgate@example.com", limits=None,
    )
    made = one(service, "emails", "create", "ops@example.com", "--name", "On call")
    run(service, "emails", "update", made["id"], "--events", "tenant.suspended")
    assert run_json(service, "emails", "list")[0]["event_types"] == ["tenant.suspended"]
    run(service, "email", "test", "other@example.com")
    assert [envelope.rcpt_tos for envelope, _ in mailbox.received] == [["other@example.com"]]
    run(service, "emails", "delete", made["id"])
    assert run_json(service, "emails", "list") == []
    mailbox.close()


def test_tokens(serve, tmp_path):
    data = tmp_path / "data"
    service = serve("--data-dir", str(data), limits=None, auth=True)
    assert "10009" in run(service, "tenants", "list", status=77)
    operator = (data / "operator-token").read_text().strip()
    assert (data / "operator-token").stat().st_mode & 0o777 == 0o600
    run(service, "tenants", "create", "acme", "--max-dids", "5", token=operator)
    made = tollgate(service, "tokens", "create", "reader", "--scope", "tenant", "--tenant", "acme",
                    "--expires-in", "1d", environment={"TOLLGATE_TOKEN": operator})
    secret = made.stdout.strip()
    assert made.returncode == 0 and len(secret) > 30 and "not shown again" in made.stderr
    # A tenant's token reads its own usage and nothing else.
    assert one(service, "usage", "--tenant", "acme", token=secret)["tenant_id"] == "acme"
    assert "10010" in run(service, "tenants", "list", status=77, token=secret)
    rows = run_json(service, "tokens", "list", token=operator)
    assert {row["name"]: row["scope"] for row in rows}["reader"] == "tenant"
    assert secret not in json.dumps(rows)
    [identifier] = [row["id"] for row in rows if row["name"] == "reader"]
    run(service, "tokens", "revoke", identifier, token=operator)
    assert one(service, "usage", "--tenant", "acme", token=secret, status=77)


# MARK: apply and export


LIMITS = """
version: 1
defaults: {max_dids: 10, auto_suspend: true}
tenants:
  - id: acme
    name: Acme
    monthly_spend_limit: "500.00"
    max_dids: null
    messaging_profiles:
      - {id: sms, name: SMS, daily_spend_limit: "0.12", daily_spend_limit_enabled: true}
  - {id: "odd: id", alert_threshold: 75, on_limit: block, billing_cycle_day: 31, time_zone: Europe/Paris}
"""


@pytest.fixture
def limits(tmp_path):
    path = tmp_path / "apply.yaml"
    path.write_text(LIMITS)
    return str(path)


def test_apply_shows_does_and_then_has_nothing_to_do(service, rest, limits):
    planned = run(service, "apply", "-f", limits, "--dry-run")
    assert "+ tenant acme" in planned and "4 to create" not in planned and "3 to create, 1 to change" in planned
    assert "nothing was changed (--dry-run)" in planned
    assert rest.get("/v2/tenants/acme").status == 404

    done = run(service, "apply", "-f", limits)
    assert done.endswith("Applied 4 of 4 changes.\n")
    assert rest.tenant("acme")["monthly_spend_limit"] == "500.00"
    assert rest.tenant("odd%3A%20id")["time_zone"] == "Europe/Paris"
    assert rest.get("/v2/tenant_defaults").data["max_dids"] == 10
    assert rest.get("/v2/messaging_profiles/sms").data["daily_spend_limit"] == "0.12"
    assert run(service, "apply", "-f", limits) == "Nothing to do: the service matches the file.\n"
    [summary] = run_json(service, "apply", "-f", limits)
    assert (summary["applied"], summary["to_update"]) == (0, 0)


def test_apply_changes_only_what_differs(service, rest, limits):
    run(service, "apply", "-f", limits)
    rest.patch("/v2/tenants/acme", {"max_dids": 7, "alert_threshold": 50})
    rest.patch("/v2/messaging_profiles/sms", {"webhook_url": "https://example.com/hook"})
    before = rest.get("/v2/tenants/odd%3A%20id").headers["ETag"]
    done = run(service, "apply", "-f", limits)
    assert "~ tenant acme" in done and "max_dids         7 → no limit" in done
    assert "alert_threshold  50 → 80" in done and "Applied 1 of 1 changes." in done
    assert rest.tenant("acme")["max_dids"] is None
    assert rest.get("/v2/tenants/odd%3A%20id").headers["ETag"] == before
    # What the file cannot say stays.
    assert rest.get("/v2/messaging_profiles/sms").data["webhook_url"] == "https://example.com/hook"


def test_apply_leaves_alone_what_the_file_does_not_name(service, rest, limits):
    rest.post("/v2/tenants", {"id": "other"})
    rest.post("/v2/messaging_profiles", {"id": "other-p", "tenant_id": "other", "name": "x"})
    shown = tollgate(service, "apply", "-f", limits)
    assert shown.returncode == 0 and "1 tenants and 1 profiles" in shown.stderr
    assert rest.tenant("other")["status"] == "active"

    # Pruning needs a second word.
    refused = tollgate(service, "apply", "-f", limits, "--prune")
    assert refused.returncode == 64 and "--confirm-deletion" in refused.stderr
    assert "- tenant other" in refused.stdout
    assert rest.tenant("other")["status"] == "active"
    run(service, "apply", "-f", limits, "--prune", "--confirm-deletion")
    assert rest.get("/v2/tenants/other").status == 404
    assert rest.get("/v2/messaging_profiles/other-p").status == 404
    assert rest.tenant("acme")["status"] == "active"


def test_prune_leaves_alone_what_somebody_changes_meanwhile(service, rest, limits):
    rest.post("/v2/tenants", {"id": "other"})
    rest.post("/v2/tenants", {"id": "unwanted"})
    rest.post("/v2/messaging_profiles", {"id": "other-p", "tenant_id": "other", "name": "x"})
    run(service, "apply", "-f", limits)
    changed = set()

    def before(method, path):
        if method == "DELETE" and path in ("/v2/tenants/other", "/v2/messaging_profiles/other-p"):
            changed.add(path)
            rest.patch(path, {"name": "changed"}).data

    with contextlib.closing(Between(service, before)) as between:
        done = tollgate(between, "apply", "-f", limits, "--prune", "--confirm-deletion")
    assert len(changed) == 2
    assert done.returncode == 65 and "Applied 1 of 3 changes, 2 failed." in done.stdout, done
    assert done.stderr.count("it was changed meanwhile and left as it is") == 2
    assert rest.tenant("other")["name"] == "changed"
    assert rest.get("/v2/messaging_profiles/other-p").data["name"] == "changed"
    assert rest.get("/v2/tenants/unwanted").status == 404


def test_apply_goes_on_after_a_failure_and_says_so(service, rest, tmp_path):
    rest.post("/v2/tenants", {"id": "gone"})
    rest.delete("/v2/tenants/gone")
    file = tmp_path / "some.yaml"
    file.write_text("tenants: [{id: a}, {id: gone}, {id: z, messaging_profiles: [{id: p}]}]")
    done = tollgate(service, "apply", "-f", str(file))
    assert done.returncode == 65
    assert "Applied 3 of 4 changes, 1 failed." in done.stdout and "tenant gone" in done.stderr
    assert rest.tenant("z")["status"] == "active"
    lines = [json.loads(line) for line in tollgate(service, "apply", "-f", str(file), "--json").stdout.splitlines()]
    assert [(line["id"], line["result"]) for line in lines[:-1]] == [("gone", "failed")]
    assert lines[0]["errors"][0]["code"] == "10012" and lines[-1]["failed"] == 1


def test_a_profile_of_another_tenant_is_refused_before_anything_changes(service, rest, tmp_path):
    for tenant in ["a", "b"]:
        rest.post("/v2/tenants", {"id": tenant})
    rest.post("/v2/messaging_profiles", {"id": "p", "tenant_id": "a", "name": "p"})
    file = tmp_path / "moved.yaml"
    file.write_text("tenants: [{id: a, max_dids: 1}, {id: b, messaging_profiles: [{id: p}]}]")
    said = run(service, "apply", "-f", str(file), status=65)
    assert "belongs to tenant a" in said
    assert rest.tenant("a")["max_dids"] is None


def test_export_then_apply_changes_nothing(serve, service, rest, limits, tmp_path):
    run(service, "apply", "-f", limits)
    rest.patch("/v2/tenants/acme", {"name": "Ümläut: \"quoted\" # no comment", "max_dids": 7})
    exported = tmp_path / "export.yaml"
    assert "2 tenants, 1 messaging profiles" in run(service, "export", "-o", str(exported))
    text = exported.read_text()
    assert run(service, "export") == text
    assert run(service, "apply", "-f", str(exported)).startswith("Nothing to do")
    # And a new service becomes the same.
    assert run(serve("--data-dir", str(tmp_path / "other"), limits=exported), "export") == text


NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_two_spellings_are_two_tenants(serve, service, rest, tmp_path):
    """Ids are bytes: to no command are they one because they look alike."""
    for tenant, cap in [(NFC, 1), (NFD, 2)]:
        rest.post("/v2/tenants", {"id": tenant, "max_dids": cap, "name": tenant}).data
        rest.post("/v2/messaging_profiles", {"id": f"of {tenant}", "tenant_id": tenant, "name": tenant}).data
    file = tmp_path / "limits.yaml"
    run(service, "export", "-o", str(file))
    other = serve("--data-dir", str(tmp_path / "other"), limits=None)
    run(other, "apply", "-f", str(file))
    for tenant, cap in [(NFC, 1), (NFD, 2)]:
        found = Rest(other).get(f"/v2/tenants/{urllib.parse.quote(tenant)}").data
        assert (found["id"], found["name"], found["max_dids"]) == (tenant, tenant, cap)
        profile = Rest(other).get(f"/v2/messaging_profiles/{urllib.parse.quote(f'of {tenant}')}").data
        assert profile["tenant_id"] == tenant
    assert "Nothing to do" in run(service, "apply", "-f", str(file))
    # A file that names one of them has the other deleted.
    file.write_text(f"tenants: [{{id: {NFD}, name: {NFD}, max_dids: 2}}]")
    pruned = run(service, "apply", "-f", str(file), "--prune", "--confirm-deletion")
    assert "1 to change" in pruned or "to delete" in pruned
    assert rest.get(f"/v2/tenants/{urllib.parse.quote(NFC)}").status == 404
    assert rest.get(f"/v2/tenants/{urllib.parse.quote(NFD)}").data["id"] == NFD
    # Another spelling of a name is a change.
    file.write_text(f"tenants: [{{id: {NFD}, name: {NFC}, max_dids: 2}}]")
    run(service, "apply", "-f", str(file))
    assert rest.get(f"/v2/tenants/{urllib.parse.quote(NFD)}").data["name"] == NFC


def test_a_token_of_one_spelling_is_not_the_others(serve, tmp_path):
    data = tmp_path / "data"
    service = serve("--data-dir", str(data), limits=None, auth=True)
    operator = Rest(service, (data / "operator-token").read_text().strip())
    for tenant in [NFC, NFD]:
        operator.post("/v2/tenants", {"id": tenant}).data
        operator.post("/v2/messaging_profiles", {"id": f"of {tenant}", "tenant_id": tenant, "name": "x"}).data
    made = operator.post("/v2/tokens", {"name": "t", "scope": "tenant", "tenant_ids": [NFC]}).data
    reader = Rest(service, made["secret"])
    assert [row["tenant_id"] for row in reader.get("/v2/messaging_profiles").data] == [NFC]
    asked = urllib.parse.quote(NFD)
    assert reader.get(f"/v2/messaging_profiles?filter[tenant_id]={asked}").data == []
    both = operator.post("/v2/tokens", {"name": "b", "scope": "check", "tenant_ids": [NFC, NFD]}).data
    assert both["tenant_ids"] == [NFC, NFD]


def test_two_spellings_are_two_to_every_caller(contract, serve, tmp_path):
    """Over gRPC, in lists page by page, in filters, on the operator's page, and as names in a body."""
    limits = f"tenants: [{{id: {NFC}, max_dids: 1}}, {{id: {NFD}, max_dids: 2}}]"
    service = serve("--data-dir", str(tmp_path / "data"), limits=limits)
    rest = Rest(service)
    with grpc.insecure_channel(service.endpoint) as channel:
        stub = contract.Stub(channel)
        for tenant in [NFC, NFD]:
            request = contract.CheckAndReserveRequest(
                tenant_id=tenant, action=contract.ACTION_ASSIGN_DID, idempotency_key="k",
                quantities=[contract.Quantity(resource=contract.RESOURCE_DIDS, amount=2)],
            )
            answer = stub.CheckAndReserve(request, timeout=60)
            assert (answer.decision == contract.DECISION_ALLOWED) == (tenant == NFD)
            assert not answer.replayed
    pages = [rest.get(f"/v2/tenants?sort=id&page[size]=1&page[number]={page}").data for page in [1, 2]]
    assert [row["id"] for page in pages for row in page] == sorted([NFC, NFD], key=str.encode)
    for tenant, cap in [(NFC, 1), (NFD, 2)]:
        [row] = rest.get(f"/v2/tenants?filter[id]={urllib.parse.quote(tenant)}").data
        assert (row["id"], row["max_dids"]) == (tenant, cap)
        assert rest.get(f"/v2/tenants/{urllib.parse.quote(tenant)}/usage").data["tenant_id"] == tenant
        with urllib.request.urlopen(f"http://{service.http}/tenants/{urllib.parse.quote(tenant)}") as page:
            assert tenant in page.read().decode()
    # Two names that look alike are two names: neither is a field, and neither stands twice.
    errors = rest.post("/v2/tenants", {"id": "x", NFC: 1, NFD: 2}).body["errors"]
    assert [error["source"]["pointer"] for error in errors] == [f"/{NFC}", f"/{NFD}"]
    errors = rest.get(f"/v2/tenants?{urllib.parse.quote(NFC)}=1&{urllib.parse.quote(NFD)}=2").body["errors"]
    assert [error["source"]["parameter"] for error in errors] == [NFC, NFD]


def test_apply_reads_from_pipes(service, rest):
    text = "\ufefftenants: [{id: piped, max_dids: %d}]"
    done = subprocess.run([BINARY, "apply", "-f", "-", "--timeout", "60s"], input=text % 1, text=True,
                          capture_output=True, timeout=300, env={**os.environ, **addresses(service)})
    assert done.returncode == 0, done.stderr
    assert rest.get("/v2/tenants/piped").data["max_dids"] == 1
    done = subprocess.run(["bash", "-c", '"$0" apply -f <(printf %s "$1") --timeout 60s', BINARY, text % 2], text=True,
                          capture_output=True, timeout=300, env={**os.environ, **addresses(service)})
    assert done.returncode == 0, done.stderr
    assert rest.get("/v2/tenants/piped").data["max_dids"] == 2
    done = subprocess.run([BINARY, "apply", "-f", "-"], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=300)
    assert done.returncode == 64 and "-:1:1: The file is empty" in done.stderr


def test_export_writes_what_a_name_leads_to(service, rest, tmp_path):
    rest.post("/v2/tenants", {"id": "acme"}).data
    target = tmp_path / "there" / "limits.yaml"
    target.parent.mkdir()
    link = tmp_path / "limits.yaml"
    link.symlink_to("there/limits.yaml")
    for _ in range(2):
        run(service, "export", "-o", str(link))
        assert link.is_symlink() and "id: acme" in target.read_text()
        target.chmod(0o640)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    run(service, "export", "-o", str(null))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    environment = {**os.environ, **addresses(service)}
    for output in ["-", "/dev/stdout", ">(cat)"]:
        done = subprocess.run(["bash", "-c", f'"$0" export -o {output} --timeout 60s | cat', BINARY],
                              capture_output=True, text=True, timeout=300, env=environment)
        assert "id: acme" in done.stdout and done.stderr == "", output
    full = subprocess.run([BINARY, "export", "-o", "/dev/full", "--timeout", "60s"], capture_output=True, text=True,
                          timeout=300, env=environment)
    assert full.returncode == 70 and "/dev/full cannot be written: the disk is full" in full.stderr
    lost = subprocess.run([BINARY, "export", "-o", str(tmp_path / "no/where"), "--timeout", "60s"], capture_output=True,
                          text=True, timeout=300, env=environment)
    assert lost.returncode == 70 and "no such file or directory" in lost.stderr


def test_apply_works_without_lists(serve, limits):
    """A service that keeps nothing has no lists; what it decides by can be compared all the same."""
    service = serve("--durability", "memory", limits=None)
    run(service, "apply", "-f", limits)
    assert run(service, "apply", "-f", limits).startswith("Nothing to do")
    assert "10037" in run(service, "export", status=69)


def test_many_tenants(service, rest, tmp_path):
    file = tmp_path / "many.yaml"
    file.write_text("tenants:\n" + "".join(f"  - {{id: t{index}, max_dids: 5}}\n" for index in range(600)))
    assert run(service, "apply", "-f", str(file)).endswith("Applied 600 of 600 changes.\n")
    assert run(service, "apply", "-f", str(file)).startswith("Nothing to do")
    assert run(service, "export").count("- id: ") == 600


# MARK: wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["tenants", "update", "a"],
        ["tenants", "update", "a", "--max-dids", "many"],
        ["tenants", "update", "a", "--monthly-spend-limit", "1,5"],
        ["tenants", "list", "--limit", "0"],
        ["tenants", "list", "--url", "nowhere"],
        ["tenants", "get"],
        ["profiles", "create", "--name", "x"],
        ["apply"],
        ["apply", "-f", "/nowhere.yaml"],
        ["apply", "-f", "/dev/null", "--confirm-deletion"],
        ["tokens", "create", "t", "--scope", "tenant"],
        ["usage", "daily"],
        ["webhooks", "nonsense"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_wrong_usage(arguments):
    done = tollgate(None, *arguments)
    assert done.returncode == 64 and done.stdout == "" and done.stderr


def test_unreachable_service():
    began = time.monotonic()
    done = tollgate(None, "tenants", "list", "--url", "http://127.0.0.1:1", "--timeout", "10m")
    assert done.returncode == 69 and "http://127.0.0.1:1 cannot be reached" in done.stderr
    assert time.monotonic() - began < 60, "what is not there is told at once"
    done = tollgate(None, "defaults", "get", "--json", environment={"TOLLGATE_URL": "http://127.0.0.1:1"})
    assert done.returncode == 69 and json.loads(done.stdout)["errors"]


def test_every_wrong_field_is_told_beside_its_pointer(service):
    run(service, "tenants", "create", "a")
    said = run(
        service, "tenants", "update", "a", "--name", "tab\there", "--time-zone", "Mars/Olympus", status=65
    )
    assert "/name: " in said and "/time_zone: " in said
    [answer] = run_json(
        service, "tenants", "update", "a", "--name", "tab\there", "--time-zone", "Mars/Olympus", status=65
    )
    pointers = [error["source"]["pointer"] for error in answer["errors"]]
    assert answer["status"] == 422 and sorted(pointers) == ["/name", "/time_zone"]


def test_a_change_that_was_overtaken_is_refused(service, rest):
    run(service, "tenants", "create", "a")
    seen = rest.get("/v2/tenants/a").headers["ETag"]
    rest.patch("/v2/tenants/a", {"max_dids": 1})
    assert "49302" in run(service, "tenants", "update", "a", "--max-dids", "2", "--if-match", seen, status=65)
    assert rest.tenant("a")["max_dids"] == 1


def test_help():
    for command in ["tenants", "profiles", "defaults", "usage", "audit", "events", "webhooks", "emails", "email",
                    "tokens", "apply", "export"]:
        done = tollgate(None, command, "--help")
        assert done.returncode == 0 and "USAGE: tollgate " + command in done.stdout
    assert subprocess.run([BINARY, "--help"], capture_output=True, timeout=60).returncode == 0
    assert (ROOT / "docs/cli.md").is_file()
