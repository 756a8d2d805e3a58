"""The REST API of the real binary: what only a real socket, a journal and gRPC beside it can show.

What needs neither is in Tests/ControlPlaneTests.
"""

import http.client
import json
import re
import socket
import subprocess
import threading

import grpc
import pytest
from conftest import USD, failure, request
from control import Rest, eventually, wait_until_read


@pytest.fixture
def durable(serve, tmp_path):
    return serve("--data-dir", str(tmp_path / "data"))


@pytest.fixture
def rest(durable):
    return Rest(durable)


@pytest.fixture
def channel(durable):
    with grpc.insecure_channel(durable.endpoint) as channel:
        yield channel


@pytest.fixture
def guarded(serve, tmp_path):
    """REST of a server that asks for tokens, as its operator."""
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), auth=True)
    return Rest(server, token=(data / "operator-token").read_text().strip())


def with_token(rest, scope, *tenants):
    made = rest.post("/v2/tokens", {"name": "t", "scope": scope, "tenant_ids": list(tenants)}).data
    other = Rest.__new__(Rest)
    other.address, other.token = rest.address, made["secret"]
    return other


# MARK: the seed


def test_the_seeds_curl_as_printed(guarded):
    profile = "be3eb60a-a346-470a-886c-ab4e421711bd"
    command = """curl -X PATCH https://api.telnyx.com/v2/messaging_profile/YOUR-PROFILE-ID-HERE \\
-H 'Authorization: Bearer YOUR-TOKEN-HERE' \\
-H 'Content-Type: application/json' \\
-d '{
"daily_spend_limit_enabled": true,
"daily_spend_limit": "10.00"
}'"""
    command = command.replace("https://api.telnyx.com", f"http://{guarded.address}")
    command = command.replace("YOUR-PROFILE-ID-HERE", profile).replace("YOUR-TOKEN-HERE", guarded.token)
    done = subprocess.run(
        ["sh", "-c", command + " --silent --fail-with-body"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["record_type"] == "messaging_profile"
    assert (data["id"], data["daily_spend_limit"], data["daily_spend_limit_enabled"]) == (profile, "10.00", True)
    # The text is compact: no spaces between members, slashes as they are.
    assert re.match(r'^{"data":{"record_type":"messaging_profile","id":"', done.stdout)


# MARK: lists follow changes


def test_lists_show_what_was_just_changed(rest):
    for number in range(55):
        rest.post("/v2/tenants", {"id": f"t{number:02}", "name": f"Number {number}"}).data
    answer = rest.get("/v2/tenants?filter[name][contains]=Number&page[size]=25&page[number]=3")
    assert [row["id"] for row in answer.data] == ["t50", "t51", "t52", "t53", "t54"]
    assert answer.body["meta"] == {"total_pages": 3, "total_results": 55, "page_number": 3, "page_size": 25}
    rest.delete("/v2/tenants/t54")
    assert rest.get("/v2/tenants?filter[id]=t54").data == []
    assert [row["id"] for row in rest.get("/v2/tenants?filter[name]=Number+7").data] == ["t07"]
    rest.post("/v2/tenants/t07/actions/suspend", {"reason": "fraud"}).data
    assert [row["id"] for row in rest.get("/v2/tenants?filter[status]=suspended").data] == ["t07"]
    assert [row["id"] for row in rest.get("/v2/tenants?filter[id][after]=t51&filter[name][contains]=Number").data] == [
        "t52", "t53"]
    names = [row["name"] for row in rest.get("/v2/tenants?sort=-name&filter[id][contains]=t0").data]
    assert names == sorted(names, reverse=True) and len(names) == 10


def test_profiles_of_a_tenant(rest):
    listed = rest.get("/v2/messaging_profiles?filter[tenant_id]=globex").data
    assert [row["id"] for row in listed] == ["globex-bulk", "globex-promo"]
    made = rest.post("/v2/messaging_profiles", {"name": "Another", "tenant_id": "globex"}).data
    found = rest.get("/v2/messaging_profiles?filter[name][contains]=noth").data
    assert [row["id"] for row in found] == [made["id"]]
    assert found[0] == rest.get(f"/v2/messaging_profiles/{made['id']}").data


def test_usage_nearest_to_a_limit_first(rest):
    rest.record("initech", extensions=19)
    rest.record("acme", dids=5)
    rows = rest.get("/v2/usage").data
    assert [row["tenant_id"] for row in rows[:2]] == ["initech", "acme"]
    assert (rows[0]["nearest_limit"], rows[0]["nearest_limit_percent"]) == ("tenant_extensions", 95)
    assert [limit["limit"] for limit in rows[0]["limits"]][:4] == [
        "tenant_monthly_spend", "tenant_extensions", "tenant_dids", "tenant_monthly_minutes",
    ]


def test_daily_usage(rest):
    rest.send("globex", "globex-bulk", "1.25").data
    rest.record("globex", spend="2", dids=3)
    today = rest.get("/v2/tenants/globex/usage").data["as_of"][:10]
    (day,) = rest.get(f"/v2/tenants/globex/usage/daily?from={today}&to={today}").data
    assert day["date"] == today and day["messaging_profile_id"] is None
    assert (day["usage"]["spend"], day["usage"]["dids"]) == ("3.25", 3)
    assert (day["allowed"], day["denied"]) == (1, 0)
    for path in [
        f"/v2/tenants/globex/usage/daily?from={today}&filter[messaging_profile_id]=globex-bulk",
        "/v2/messaging_profiles/globex-bulk/usage/daily",
    ]:
        (day,) = rest.get(path).data
        assert day["usage"]["spend"] == "1.25"
    wrong = rest.get("/v2/tenants/globex/usage/daily?from=2026-02-30&to=2026-01-01&x=1")
    assert wrong.status == 422
    assert {error["source"]["parameter"] for error in wrong.body["errors"]} >= {"from", "x"}
    assert rest.get("/v2/tenants/globex/usage/daily?from=2020-01-01&to=2026-01-01").codes == ["10033"]


def test_the_audit_log_and_events_say_what_triggered(rest):
    rest.check("acme", action="assign_did", dids=11, mode="reserve")
    (denied,) = rest.get("/v2/audit_events?filter[tenant_id]=acme&filter[kind]=denied").data
    assert denied["code"] == "49003"
    (limit,) = [one for one in denied["limits"] if one["limit"] == "tenant_dids"]
    assert (limit["cap"], limit["committed"], limit["held"], limit["asked"]) == (10, 0, 0, 11)
    rest.patch("/v2/tenants/acme", {"max_dids": 20}).data
    changed = rest.get("/v2/audit_events?filter[tenant_id]=acme&filter[kind]=tenant_changed").data[0]
    assert {"name": "max_dids", "before": "10", "after": "20"} in changed["changes"]
    events = rest.get("/v2/events?filter[tenant_id]=acme").data
    assert {event["event_type"] for event in events} == {"tenant.limit-reached", "tenant.suspended"}
    assert rest.get(f"/v2/events/{events[0]['id']}").data == events[0]
    assert rest.get("/v2/events/nothing").status == 404
    assert rest.get("/v2/audit_events?to=2001-01-01T00:00:00Z").data == []


# MARK: in force at once


def test_a_change_is_obeyed_by_the_next_decision_under_load(contract, rest, stub):
    """Seven callers spend all the while; whoever starts after the answer to the PATCH is refused."""
    stop = threading.Event()
    lock = threading.Lock()
    closed = False
    late, wrong, saw_closed = [], [], [False] * 7
    path = "/v2/messaging_profiles/globex-bulk"

    def spend(number):
        while not stop.is_set():
            with lock:
                was_closed = saw_closed[number] = closed
            try:
                answer = stub.CheckAndReserve(
                    request(contract, spend=1_000, messaging_profile_id="globex-bulk", mode=contract.MODE_COMMIT),
                    timeout=60,
                )
            finally:
                saw_closed[number] = False
            if was_closed:
                late.append(1)
                if answer.decision != contract.DECISION_DENIED:
                    wrong.append(answer)

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(7)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            rest.patch(path, {"daily_spend_limit": "0"}).data
            before = len(late)
            closed = True
            while len(late) < before + 20:
                assert any(thread.is_alive() for thread in threads)
                stop.wait(0.001)
            with lock:
                closed = False
            # Whoever saw it closed is answered before it opens again.
            while any(saw_closed):
                stop.wait(0.001)
            rest.patch(path, {"daily_spend_limit": "1000000"}).data
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)
    assert not wrong
    assert len(late) >= 400


def test_concurrent_changes_lose_nothing(rest):
    """Each of many writers changes another field; all changes stand in the end."""
    fields = {
        "name": "n", "monthly_spend_limit": "7.00", "max_extensions": 7, "max_dids": 8,
        "max_monthly_minutes": 9, "alert_threshold": 55, "auto_suspend": True, "on_limit": "block",
    }
    answers = []

    def change(name, value):
        answers.append(rest.patch("/v2/tenants/globex", {name: value}).status)

    threads = [threading.Thread(target=change, args=pair) for pair in fields.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert answers == [200] * len(fields)
    tenant = rest.tenant("globex")
    assert {name: tenant[name] for name in fields} == fields


def test_one_of_many_with_the_same_etag_wins(rest):
    tag = rest.get("/v2/tenants/globex").headers["ETag"]
    answers = []

    def change(number):
        answer = rest.patch("/v2/tenants/globex", {"max_dids": number}, headers={"If-Match": tag})
        answers.append((answer.status, number))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    (winner,) = [number for status, number in answers if status == 200]
    assert sorted(status for status, _ in answers) == [200] + [412] * 7
    assert rest.tenant("globex")["max_dids"] == winner


# MARK: beside gRPC


def test_a_key_is_the_same_over_grpc_and_rest(contract, rest, stub):
    body = {
        "tenant_id": "globex", "messaging_profile_id": "globex-bulk", "action": "send_message",
        "quantities": {"spend": "0.004", "dids": 1}, "ttl_ms": 600_000, "mode": "partial",
        "minimums": {"spend": "0.001"}, "on_expiry": "commit", "overage": "cap", "reference": "m-1",
    }
    message = contract.CheckAndReserveRequest(
        tenant_id="globex", messaging_profile_id="globex-bulk", action=contract.ACTION_SEND_MESSAGE,
        quantities=[
            contract.Quantity(resource=contract.RESOURCE_DIDS, amount=1),
            contract.Quantity(resource=contract.RESOURCE_SPEND, amount=4_000_000, min_amount=1_000_000),
        ],
        ttl_ms=600_000, mode=contract.MODE_PARTIAL, on_expiry=contract.EXPIRY_POLICY_COMMIT,
        overage=contract.OVERAGE_POLICY_CAP, reference="m-1", idempotency_key="one",
    )
    first = rest.post("/v2/check_and_reserve", body, headers={"Idempotency-Key": '"one"'}).data
    second = stub.CheckAndReserve(message, timeout=60)
    assert second.replayed and str(second.reservation_id) == first["id"]
    message.idempotency_key = "two"
    third = stub.CheckAndReserve(message, timeout=60)
    fourth = rest.post("/v2/check_and_reserve", body, headers={"Idempotency-Key": "two"}).data
    assert fourth["replayed"] and fourth["id"] == str(third.reservation_id)
    assert fourth["granted"] == {"spend": "0.004", "dids": 1}
    message.quantities[0].amount = 2
    assert failure(stub.CheckAndReserve, message).catalogue == "49201"
    body["reference"] = "m-2"
    reused = rest.post("/v2/check_and_reserve", body, headers={"Idempotency-Key": "two"})
    assert (reused.status, reused.codes) == (422, ["49201"])

    record = {"tenant_id": "globex", "action": "charge", "quantities": {"spend": "4.99"}}
    assert not rest.post("/v2/usage_records", record, headers={"Idempotency-Key": "fee"}).data["replayed"]
    again = contract.RecordUsageRequest(
        tenant_id="globex", action=contract.ACTION_CHARGE, idempotency_key="fee",
        quantities=[contract.Quantity(resource=contract.RESOURCE_SPEND, amount=4_990_000_000)],
    )
    assert stub.RecordUsage(again, timeout=60).replayed

    path = f"/v2/reservations/{first['id']}/actions/extend"
    longer = {"ttl_ms": 1_200_000, "additional": {"spend": "1"}}
    assert not rest.post(path, longer, headers={"Idempotency-Key": "x"}).data["replayed"]
    extend = contract.ExtendRequest(
        reservation_id=int(first["id"]), ttl_ms=1_200_000, idempotency_key="x",
        additional=[contract.Quantity(resource=contract.RESOURCE_SPEND, amount=USD)],
    )
    assert stub.Extend(extend, timeout=60).replayed
    commit = rest.post(f"/v2/reservations/{first['id']}/actions/commit", {"actual": {"spend": "1.002"}}).data
    assert commit["committed"]["spend"] == "1.002"
    settled = contract.CommitRequest(
        reservation_id=int(first["id"]), actual=[contract.Quantity(resource=1, amount=1_002_000_000)]
    )
    assert stub.Commit(settled, timeout=60).replayed


def test_an_expired_reservation_cannot_be_extended(rest):
    body = {"tenant_id": "globex", "action": "charge", "quantities": {"spend": "1"}, "ttl_ms": 1_000}
    held = rest.post("/v2/check_and_reserve", body).data
    path = f"/v2/reservations/{held['id']}"
    eventually(lambda: rest.get(path).status == 404, what="the expiry")
    answer = rest.post(path + "/actions/extend", {"ttl_ms": 5_000})
    assert (answer.status, answer.codes) == (410, ["49202"])
    late = rest.post(path + "/actions/commit").data
    assert late["late"] and late["committed"] == {"spend": "1.00"}


# MARK: who sees what


def test_a_tenants_token_learns_no_limit(guarded):
    own = with_token(guarded, "tenant", "acme")
    guarded.record("acme", spend="450", dids=9)
    shown = own.get("/v2/tenants/acme/usage").data
    assert all(limit["cap"] is None and limit["cap_hidden"] for limit in shown["limits"])
    for secret in ["500", "5000", "resets_at", "blocking", "490"]:
        assert secret not in json.dumps(shown)
    assert own.get("/v2/tenants/globex/usage").status == 404
    assert [row["id"] for row in own.get("/v2/messaging_profiles").data] == ["be3eb60a-a346-470a-886c-ab4e421711bd"]
    assert own.get("/v2/messaging_profiles?filter[tenant_id]=globex").data == []
    assert own.get("/v2/messaging_profiles/globex-bulk").status == 404
    for path in ["/v2/tenants", "/v2/tenants/acme", "/v2/usage", "/v2/audit_events", "/v2/events", "/v2/tokens",
                 "/v2/tenant_defaults", "/v2/webhook_endpoints", "/v2/reservations"]:
        assert own.get(path).codes == ["10010"], path
    assert own.patch("/v2/messaging_profiles/be3eb60a-a346-470a-886c-ab4e421711bd", {}).status == 403
    guarded.patch("/v2/tenants/acme", {"disclose_limits": True}).data
    assert own.get("/v2/tenants/acme/usage").data["limits"][0]["cap"] == "500.00"


def test_a_revoked_token_is_refused_at_once(guarded):
    other = with_token(guarded, "operator")
    (mine,) = [row for row in guarded.get("/v2/tokens").data if row["name"] == "t"]
    assert other.get("/v2/tenants/acme").status == 200
    guarded.delete(f"/v2/tokens/{mine['id']}").data
    refused = other.get("/v2/tenants/acme")
    assert (refused.status, refused.codes) == (401, ["10009"])
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_audit_log_names_the_caller(guarded):
    other = with_token(guarded, "operator")
    other.patch("/v2/tenants/acme", {"max_dids": 11}).data
    entry = guarded.get("/v2/audit_events?filter[tenant_id]=acme&filter[kind]=tenant_changed").data[0]
    (token,) = [row for row in guarded.get("/v2/tokens").data if row["name"] == "t"]
    assert entry["caller"] == {"number": token["id"].replace("-", "")[:16], "name": "t"}


# MARK: without tokens


def test_without_tokens_no_other_name_is_answered(rest):
    """A name that somebody leads to 127.0.0.1 makes a browser's page one with the service: neither reads nor changes."""
    evil = {"Host": "evil.example:8080"}
    for path in ["/v2/tenants", "/v2/tenants/acme", "/settings/usage-limits", "/live"]:
        refused = rest.get(path, headers=evil)
        assert (refused.status, refused.codes) == (403, ["10010"]), path
    same = {**evil, "Sec-Fetch-Site": "same-origin"}
    assert rest.post("/v2/tenants", {"id": "bad"}, headers=same).codes == ["10010"]
    assert rest.get("/v2/tenants/bad").status == 404
    assert rest.get("/healthz", headers=evil).status == 200
    for host in ["localhost", "localhost:8080", "127.0.0.1", "[::1]:80"]:
        assert rest.get("/v2/tenants/acme", headers={"Host": host}).status == 200


def test_with_tokens_every_name_is_answered(guarded):
    assert guarded.get("/v2/tenants/acme", headers={"Host": "tollgate.example"}).status == 200


# MARK: the connection


def test_bodies_on_a_real_socket(rest):
    assert rest.post("/v2/tenants", "x" * 1_048_577).status == 413
    assert rest.post("/v2/tenants", '{"name":"a","name":"b"}').codes == ["10023"]
    assert rest.post("/v2/tenants", "{}", headers={"Content-Type": "text/plain"}).codes == ["10014"]
    wrong = rest.ask("PUT", "/v2/tenants", {})
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, POST, HEAD")
    # The connection lives on after a failure.
    connection = http.client.HTTPConnection(rest.address, timeout=60)
    for path, status in [("/v2/nothing", 404), ("/v2/tenants/acme", 200), ("/v2/tenants?x=1", 422)]:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_headers_are_bounded(rest):
    host, port = rest.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4_096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 431 "), answer
    assert rest.get("/healthz").status == 200


def test_requests_under_way_are_answered_when_it_stops(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), "--drain-timeout", "60s")
    rest = Rest(server)
    host, port = server.http.rsplit(":", 1)
    body = json.dumps({"id": "late"}).encode()
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(
            b"POST /v2/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body[:5]
        )
        wait_until_read(connection)
        # Another request's answer: what was read has been looked at too.
        assert rest.get("/healthz").status == 200
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        eventually(lambda: any("draining" in line for line in server.log), what="the drain")
        connection.sendall(body[5:])
        answer = b""
        while chunk := connection.recv(4_096):
            answer += chunk
        stopping.join(120)
    assert answer.startswith(b"HTTP/1.1 200"), answer


def test_a_key_holds_over_a_kill(serve, tmp_path):
    """What was made under a key is found again, and its answer told again, by the next process too."""
    data = str(tmp_path / "data")
    server = serve("--data-dir", data, auth=True)
    token = (tmp_path / "data" / "operator-token").read_text().strip()
    rest = Rest(server, token)
    calls = [
        ("/v2/tenants", {"name": "One"}), ("/v2/tokens", {"name": "t", "scope": "operator"}),
        ("/v2/messaging_profiles", {"name": "P", "tenant_id": "acme"}),
        ("/v2/webhook_endpoints", {"url": "https://example.com/h"}),
        ("/v2/tenants/acme/actions/set_counts", {"dids": 3}),
    ]
    first = [rest.post(path, body, headers={"Idempotency-Key": f"k{number}"}).body
             for number, (path, body) in enumerate(calls)]
    audit = len(rest.all("/v2/audit_events"))
    server.kill()
    server = serve("--data-dir", data, auth=True)
    rest = Rest(server, token)
    again = [rest.post(path, body, headers={"Idempotency-Key": f"k{number}"})
             for number, (path, body) in enumerate(calls)]
    assert [answer.body for answer in again] == first
    assert {answer.headers["Idempotency-Replayed"] for answer in again} == {"true"}
    assert len(rest.all("/v2/audit_events")) == audit, "nothing was done, and keys are nobody's business"
    assert Rest(server, first[1]["data"]["secret"]).get("/v2/tokens").status == 200
    assert len([row for row in rest.all("/v2/tenants") if row["name"] == "One"]) == 1
    reused = rest.post("/v2/tenants", {"name": "Two"}, headers={"Idempotency-Key": "k0"})
    assert (reused.status, reused.codes) == (422, ["49201"])


def test_everything_stands_after_a_kill(serve, tmp_path):
    data = str(tmp_path / "data")
    server = serve("--data-dir", data)
    rest = Rest(server)
    rest.post("/v2/tenants", {"id": "kept", "name": "Kept", "time_zone": "Asia/Tokyo", "max_dids": 5}).data
    rest.patch("/v2/tenants/kept", {"max_dids": 6}).data
    rest.patch("/v2/tenant_defaults", {"max_dids": 3}).data
    rest.post("/v2/messaging_profiles", {"id": "p", "name": "P", "tenant_id": "kept", "mobile_only": True}).data
    hook = rest.post("/v2/webhook_endpoints", {"url": "https://example.com/h"}).data
    paths = ["/v2/tenants/kept", "/v2/tenant_defaults", "/v2/messaging_profiles/p",
             f"/v2/webhook_endpoints/{hook['id']}"]
    before = [(rest.get(path).data, rest.get(path).headers["ETag"]) for path in paths]
    server.kill()
    rest = Rest(serve("--data-dir", data))
    assert [(rest.get(path).data, rest.get(path).headers["ETag"]) for path in paths] == before
