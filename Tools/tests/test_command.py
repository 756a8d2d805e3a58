"""The command as a client: exit statuses, JSON, sentences."""

import json

import pytest
from conftest import tollgate

PROFILE = "be3eb60a-a346-470a-886c-ab4e421711bd"


def run_json(server, *arguments, status=0):
    done = tollgate(server, *arguments, "--json")
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1 and done.stderr == ""
    return json.loads(done.stdout)


def charge(*arguments):
    return "check", "--tenant", "acme", "--profile", PROFILE, "--action", "send-message", "--spend", *arguments


def test_allowed_then_denied(server):
    allowed = run_json(server, *charge("0.01"), "--include-limits", "--ttl", "30s")
    assert allowed["record_type"] == "reservation" and allowed["decision"] == "allowed"
    assert allowed["id"].isdigit() and allowed["expires_at"].endswith("Z")
    assert allowed["tenant_status"] == "active" and allowed["replayed"] is False
    limits = {limit["limit"]: limit for limit in allowed["limits"]}
    assert limits["profile_daily_spend"]["cap"] == "0.01" and limits["profile_daily_spend"]["held"] == "0.01"
    assert limits["tenant_monthly_spend"]["cap"] == "500.00"

    denied = run_json(server, *charge("0.000000001"), status=3)
    assert denied["decision"] == "denied" and denied["treatment"] == "reject" and denied["id"] is None
    assert denied["errors"] == [
        {
            "code": "40333",
            "title": "Messaging profile spend limit reached",
            "detail": "The daily spend limit configured on this messaging profile has been reached",
            "meta": {"url": "https://developers.telnyx.com/docs/overview/errors/40333"},
        }
    ]


def test_life_of_a_reservation(server):
    held = run_json(server, "check", "--tenant", "initech", "--action", "provision-extension", "--extensions", "5")
    extended = run_json(server, "extend", held["id"], "--ttl", "2m", "--extensions", "5", "--key", "e")
    assert extended["decision"] == "allowed" and extended["expires_at"] > held["expires_at"]
    denied = run_json(server, "extend", held["id"], "--extensions", "11", status=3)
    assert denied["errors"][0]["code"] == "49002"
    committed = run_json(server, "commit", held["id"], "--extensions", "8")
    assert committed["committed"] == {"extensions": 8} and committed["late"] is False
    assert run_json(server, "commit", held["id"], "--extensions", "8")["replayed"] is True
    refused = run_json(server, "release", held["id"], status=65)
    assert refused["status"] == "FAILED_PRECONDITION" and refused["errors"][0]["code"] == "49203"
    other = run_json(server, "check", "--tenant", "initech", "--action", "charge", "--dids", "1")
    assert run_json(server, "release", other["id"]) == {"replayed": False, "expired": False}


def test_record_and_usage(server):
    run_json(server, "record", "--tenant", "acme", "--seconds", "600", "--spend", "1.5")
    run_json(server, "record", "--tenant", "acme", "--extensions", "3")
    run_json(server, "record", "--tenant", "acme", "--extensions", "-1", "--key", "r", "--reference", "order-7")
    usage = run_json(server, "usage", "--tenant", "acme", "--profile", PROFILE)
    limits = {limit["limit"]: limit for limit in usage["limits"]}
    assert limits["tenant_monthly_spend"]["committed"] == "1.50"
    assert limits["tenant_extensions"]["committed"] == 2
    assert limits["tenant_monthly_minutes"]["committed"] == 600
    assert limits["tenant_monthly_minutes"]["cap"] == 300_000
    assert limits["tenant_monthly_minutes"]["cap_minutes"] == 5_000
    assert limits["tenant_dids"]["resets_at"] is None
    assert limits["profile_daily_spend"]["subject_id"] == PROFILE


def test_refused_input(server):
    unknown = run_json(server, "usage", "--tenant", "nobody", status=65)
    assert unknown["status"] == "NOT_FOUND" and unknown["errors"][0]["code"] == "10005"
    bad = run_json(server, "check", "--tenant", "acme", "--action", "charge", "--spend", "-1", status=65)
    assert bad["errors"][0]["code"] == "10015"
    assert bad["errors"][0]["source"] == {"pointer": "/quantities/0/amount"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--tenant", "a", "--spend", "1"],
        ["check", "--tenant", "a", "--action", "dance", "--spend", "1"],
        ["check", "--tenant", "a", "--action", "charge"],
        ["check", "--tenant", "a", "--action", "charge", "--spend", "1,5"],
        ["check", "--tenant", "a", "--action", "charge", "--spend", "0.0000000001"],
        ["check", "--tenant", "a", "--action", "charge", "--spend", "1", "--ttl", "60"],
        ["check", "--tenant", "a", "--action", "charge", "--spend", "1", "--timeout", "soon"],
        ["commit", "seven"],
        ["commit"],
        ["usage", "--tenant", "a", "--endpoint", "nowhere"],
        ["nonsense"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_wrong_usage(arguments):
    done = tollgate(None, *arguments)
    assert done.returncode == 64 and done.stdout == "" and done.stderr


def test_unreachable_service():
    done = tollgate(None, "usage", "--tenant", "a", "--endpoint", "127.0.0.1:1", "--timeout", "60s")
    assert done.returncode == 69 and "127.0.0.1:1" in done.stderr
    done = tollgate(None, "usage", "--tenant", "a", "--json", "--timeout", "60s",
                    environment={"TOLLGATE_ENDPOINT": "127.0.0.1:1"})
    assert done.returncode == 69 and json.loads(done.stdout)["status"] == "UNAVAILABLE"


def test_flag_beats_environment(server):
    done = tollgate(server, "usage", "--tenant", "acme", "--endpoint", server.endpoint,
                    environment={"TOLLGATE_ENDPOINT": "127.0.0.1:1"})
    assert done.returncode == 0


def test_people_can_read_it(server):
    done = tollgate(server, *charge("0.02"))
    assert done.returncode == 3
    assert done.stdout.startswith("DENIED\n  40333 Messaging profile spend limit reached")
    assert "0.01 USD" in done.stdout


def test_help_and_version():
    for command in ["serve", "check", "commit", "release", "extend", "record", "usage", "version"]:
        done = tollgate(None, command, "--help")
        assert done.returncode == 0 and "USAGE: tollgate " + command in done.stdout
    done = tollgate(None, "version", "--json")
    assert done.returncode == 0 and set(json.loads(done.stdout)) == {"version"}
