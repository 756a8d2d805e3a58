"""Access tokens over gRPC, with the real binary: who may call, and what each may see."""

import datetime
import http.client
import json
import urllib.parse

import grpc
import pytest
import realtime
from conftest import failure, request, tollgate
from control import Rest, eventually


@pytest.fixture
def guarded(serve, tmp_path):
    """A server that asks for tokens, and its first operator's token."""
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), auth=True)
    path = data / "operator-token"
    assert path.stat().st_mode & 0o777 == 0o600
    return server, path.read_text().strip()


@pytest.fixture
def channel(guarded):
    with grpc.insecure_channel(guarded[0].endpoint) as channel:
        yield channel


def bearer(token):
    return [("authorization", f"Bearer {token}")]


def in_an_hour():
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()


def make(guarded, *arguments):
    """A token made with the command: its id, and its secret."""
    server, operator = guarded
    made = tollgate(server, "tokens", "create", "test", *arguments, environment={"TOLLGATE_TOKEN": operator})
    assert made.returncode == 0, made.stderr
    return made.stderr.split("id ")[-1].strip(), made.stdout.strip()


def test_nobody_and_the_operator(contract, guarded, stub):
    ask = contract.GetUsageRequest(tenant_id="acme")
    for metadata in [[], bearer("tg_wrong"), [("authorization", guarded[1])], [("authorization", "Basic eDp5")]]:
        answer = failure(stub.GetUsage, ask, metadata=metadata)
        assert (answer.code, answer.catalogue) == (grpc.StatusCode.UNAUTHENTICATED, "10009")
    answer = failure(lambda message, **options: list(stub.WatchUsage(message, **options)),
                     contract.WatchUsageRequest(tenant_id="acme"))
    assert answer.code == grpc.StatusCode.UNAUTHENTICATED
    assert stub.GetUsage(ask, timeout=60, metadata=bearer(guarded[1])).limits
    # The command takes the token from its environment, and says when there is none.
    assert tollgate(guarded[0], "usage", "--tenant", "acme").returncode == 77
    known = tollgate(guarded[0], "usage", "--tenant", "acme", environment={"TOLLGATE_TOKEN": guarded[1]})
    assert known.returncode == 0, known.stderr


@pytest.mark.thorough
def test_an_expired_operator_is_not_locked_out(serve, tmp_path, preload):
    data, clock = tmp_path / "data", realtime.Clock(tmp_path / "clock")
    server = serve("--data-dir", str(data), auth=True, environment=clock.environment(preload))
    first = Rest(server, (data / "operator-token").read_text().strip())
    body = {"name": "second", "scope": "operator", "expires_at": in_an_hour()}
    second = Rest(server, first.post("/v2/tokens", body).data["secret"])
    (own,) = [row for row in first.get("/v2/tokens").data if row["name"] == "first operator"]
    second.delete(f"/v2/tokens/{own['id']}").data
    (data / "operator-token").unlink()
    assert second.get("/v2/tokens").status == 200
    clock.move(3_700)
    eventually(lambda: second.get("/v2/tokens").status == 401, what="the token's end")
    server.stop()
    again = serve("--data-dir", str(data), auth=True, environment=clock.environment(preload))
    assert Rest(again, (data / "operator-token").read_text().strip()).get("/v2/tokens").status == 200


def test_a_service_in_memory_leaves_the_others_token_alone(serve, tmp_path):
    """Somebody tries something out where a service keeps its journal: the default directory is one and the same."""
    data = tmp_path / "data"
    durable = serve("--data-dir", str(data), auth=True)
    operator = (data / "operator-token").read_text()
    in_memory = serve("--data-dir", str(data), "--durability", "memory", auth=True)
    assert (data / "operator-token").read_text() == operator
    own = data / "operator-token-memory"
    assert own.stat().st_mode & 0o777 == 0o600
    assert Rest(in_memory, own.read_text().strip()).get("/v2/tokens").status == 200
    assert Rest(in_memory, operator.strip()).get("/v2/tokens").status == 401
    assert Rest(durable, operator.strip()).get("/v2/tokens").status == 200


@pytest.mark.thorough
def test_a_session_ends_when_its_token_does(serve, tmp_path, preload):
    data, clock = tmp_path / "data", realtime.Clock(tmp_path / "clock")
    server = serve("--data-dir", str(data), auth=True, environment=clock.environment(preload))
    operator = (data / "operator-token").read_text().strip()
    body = {"name": "brief", "scope": "operator", "expires_at": in_an_hour()}
    token = Rest(server, operator).post("/v2/tokens", body).data["secret"]

    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection(server.http, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    form = urllib.parse.urlencode({"token": token, "next": "/audit"})
    logged_in = ask("POST", "/login", form, **{"Content-Type": "application/x-www-form-urlencoded"})
    cookie = logged_in.headers["Set-Cookie"].split(";")[0]
    assert ask("GET", "/audit", Cookie=cookie).status == 200
    clock.move(3_700)
    eventually(lambda: ask("GET", "/audit", Cookie=cookie).status == 303, what="the session's end")


def log_in(server, token, **headers):
    connection = http.client.HTTPConnection(server.http, timeout=60)
    form = urllib.parse.urlencode({"token": token, "next": "/audit"})
    connection.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded", **headers})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_two_services_of_a_machine_do_not_log_each_other_out(serve, tmp_path):
    """A browser sends a host's cookies to all of its ports."""
    names = []
    for name in ("one", "two"):
        server = serve("--data-dir", str(tmp_path / name), auth=True)
        answer = log_in(server, (tmp_path / name / "operator-token").read_text().strip())
        names.append(answer.headers["Set-Cookie"].split("=")[0])
        assert server.http.rsplit(":", 1)[1] in names[-1]
    assert names[0] != names[1]


def test_wrong_log_ins_keep_nobody_out(guarded):
    server, token = guarded
    assert [log_in(server, "tg_wrong").status for _ in range(12)] == [401] * 10 + [429] * 2
    assert log_in(server, token).status == 303


def test_wrong_log_ins_of_a_network_are_one_address(serve, tmp_path):
    """Of IPv6 a customer has 64 bits at least: log-ins that fail are counted, told and logged for all of them as one."""
    server = serve("--data-dir", str(tmp_path / "data"), "--trusted-proxy", "127.0.0.1/32", auth=True)
    statuses = [log_in(server, "tg_wrong", **{"X-Forwarded-For": f"2001:db8::{n:x}"}).status for n in range(1, 13)]
    assert statuses == [401] * 10 + [429] * 2
    server.stop()
    lines = [line for line in server.log if "log-in" in line]
    assert "from=20010db800000000::/64" in lines[0] and len(lines) <= 4, lines
    assert not [line for line in server.log if "2001:db8::" in line]


def test_scopes(contract, guarded, stub):
    check = bearer(make(guarded, "--scope", "check", "--tenant", "globex")[1])
    tenant = bearer(make(guarded, "--scope", "tenant", "--tenant", "globex")[1])

    held = stub.CheckAndReserve(request(contract, "globex", dids=1), timeout=60, metadata=check)
    assert held.decision == contract.DECISION_ALLOWED
    for tenant_id, metadata in [("acme", check), ("globex", tenant)]:
        answer = failure(stub.CheckAndReserve, request(contract, tenant_id, dids=1), metadata=metadata)
        assert (answer.code, answer.catalogue) == (grpc.StatusCode.PERMISSION_DENIED, "10010")
    # Another tenant's reservation is not there.
    acme = bearer(make(guarded, "--scope", "check", "--tenant", "acme")[1])
    answer = failure(stub.Commit, contract.CommitRequest(reservation_id=held.reservation_id), metadata=acme)
    assert (answer.code, answer.catalogue) == (grpc.StatusCode.NOT_FOUND, "10005")
    stub.Commit(contract.CommitRequest(reservation_id=held.reservation_id), timeout=60, metadata=check)

    everything = failure(lambda message, **options: list(stub.WatchUsage(message, **options)),
                         contract.WatchUsageRequest(), metadata=check)
    assert everything.code == grpc.StatusCode.PERMISSION_DENIED


def test_a_tenant_sees_no_caps_of_its_own(contract, guarded, stub):
    tenant = bearer(make(guarded, "--scope", "tenant", "--tenant", "acme")[1])
    profile = "be3eb60a-a346-470a-886c-ab4e421711bd"
    ask = contract.GetUsageRequest(tenant_id="acme", messaging_profile_id=profile)
    for state in stub.GetUsage(ask, timeout=60, metadata=tenant).limits:
        if state.limit == contract.LIMIT_KIND_PROFILE_DAILY_SPEND:
            assert state.cap == 10_000_000 and state.blocking and state.resets_at_ms > 0
        else:
            assert state.cap_hidden and not state.HasField("cap") and state.resets_at_ms == 0
    shown = stub.GetUsage(ask, timeout=60, metadata=bearer(guarded[1])).limits
    assert not any(state.cap_hidden for state in shown)
    # A cap that is not set is none, hidden or not.
    assert {state.limit for state in shown if state.HasField("cap")} == {1, 2, 3, 4, 5}
    updates = stub.WatchUsage(contract.WatchUsageRequest(tenant_id="acme"), timeout=60, metadata=tenant)
    assert all(state.cap_hidden for state in next(updates).limits)
    updates.cancel()


def test_a_revoked_token_is_nobody(contract, guarded, stub):
    identifier, secret = make(guarded, "--scope", "check")
    stub.CheckAndReserve(request(contract, "globex", dids=1), timeout=60, metadata=bearer(secret))
    updates = stub.WatchUsage(
        contract.WatchUsageRequest(tenant_id="globex"), timeout=60, metadata=bearer(secret))
    next(updates)
    done = tollgate(guarded[0], "tokens", "revoke", identifier, environment={"TOLLGATE_TOKEN": guarded[1]})
    assert done.returncode == 0, done.stderr
    answer = failure(stub.CheckAndReserve, request(contract, "globex", dids=1), metadata=bearer(secret))
    assert answer.code == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        for _ in updates:
            pass
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_roles_and_rates(contract, guarded, stub):
    server, boss = guarded
    for role, scopes in [
        ("owner", ["admin", "operator"]), ("operator", ["operator"]), ("viewer", ["viewer"]),
        ("billing", ["viewer", "reports"]),
    ]:
        identifier, secret = make(guarded, "--role", role)
        rest = Rest(server, boss)
        assert rest.get(f"/v2/tokens/{identifier}").data["scopes"] == scopes
        own = Rest(server, secret)
        assert own.get("/v2/tenants/acme").status == 200
        assert own.patch("/v2/tenants/acme", {}).status == (200 if "operator" in scopes else 403)
        assert own.get("/v2/tokens").status == (200 if "admin" in scopes else 403)
    # One name by itself is what it was before there were sets.
    identifier, secret = make(guarded, "--scope", "operator")
    assert Rest(server, secret).get("/v2/tokens").status == 200
    slow = bearer(make(guarded, "--scope", "check", "--scope", "metrics", "--rate", "1")[1])
    refused = None
    for _ in range(100):
        try:
            stub.GetUsage(contract.GetUsageRequest(tenant_id="acme"), timeout=60, metadata=slow)
        except grpc.RpcError as error:
            refused = error
            break
    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    for wrong in [[], ["--scope", "check", "--role", "owner"], ["--scope", "viewer", "--tenant", "acme"]]:
        done = tollgate(server, "tokens", "create", "x", *wrong, environment={"TOLLGATE_TOKEN": boss})
        assert done.returncode == 64, done.stderr


def test_last_use_is_kept(serve, tmp_path):
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), auth=True)
    boss = (data / "operator-token").read_text().strip()
    rest = Rest(server, boss)
    made = rest.post("/v2/tokens", {"name": "x", "scopes": ["check"], "tenant_ids": ["globex"]}).data
    assert made["last_used_at"] is None
    assert Rest(server, made["secret"]).get("/v2/tenants/globex/usage").status == 200
    used = rest.get(f"/v2/tokens/{made['id']}").data["last_used_at"]
    assert used.endswith(":00.000Z")
    server.stop()
    again = serve("--data-dir", str(data), auth=True)
    rest = Rest(again, boss)
    assert rest.get(f"/v2/tokens/{made['id']}").data["last_used_at"] == used
    # What is kept of it is nobody's deed.
    assert not [row for row in rest.all("/v2/audit_events") if "token-use" in (row["reference"] or "")]


def test_failed_attempts_are_told_together(serve, tmp_path):
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), auth=True)
    boss = (data / "operator-token").read_text().strip()
    for _ in range(20):
        assert Rest(server, "tg_wrong").get("/v2/tenants").status == 401
    assert Rest(server, boss).get("/v2/access_statistics").data["failures"] == {"unknown token": 20}
    # The minute's end, or that of the service.
    server.stop()
    lines = [line for line in server.log if "authentication fail" in line]
    assert 'reason="unknown token"' in lines[0] and "127.0.0.1: " in lines[-1] and len(lines) <= 4
    rest = Rest(serve("--data-dir", str(data), auth=True), boss)
    rows = eventually(
        lambda: [row for row in rest.all("/v2/audit_events") if row["reference"] == "failed-attempts"],
        what="the line in the audit log",
    )
    # Twenty are one line, or two where the minute ended in between.
    assert len(rows) <= 2 and any("(unknown token)" in json.dumps(row["changes"]) for row in rows)
