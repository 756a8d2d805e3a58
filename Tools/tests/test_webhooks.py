"""Webhooks of the whole service to real receivers, verified with a library that shares nothing with the service."""

import base64
import concurrent.futures
import contextlib
import datetime
import http.client
import json
import os
import re
import threading
import time

import grpc
import pytest
import standardwebhooks
from conftest import ROOT, USD, Server, quantities
from control import Rest, eventually
from receivers import Receiver, Silence
from cryptography.exceptions import InvalidSignature

LOCAL = ("--webhook-allow-private", "127.0.0.0/8")
# A receiver on a slow machine is not given up before it has answered.
ALLOWED = (*LOCAL, "--webhook-timeout", "30s")
FAST = ("--webhook-backoff", "50ms")
REACHED = "messaging-profile.spend-limit-reached"
THRESHOLD = "tenant.limit-threshold-reached"


@pytest.fixture
def service(serve, tmp_path):
    """service(*arguments): the whole service on the test's data directory."""

    def start(*arguments):
        return serve("--data-dir", str(tmp_path / "data"), "--durability", "sync", *arguments, limits=None)

    return start


@pytest.fixture
def receive():
    """receive(answer): a receiver that is closed after the test."""
    receivers = []

    def start(*arguments, **options):
        receivers.append(Receiver(*arguments, **options))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.close()


def endpoint(rest, url, **fields):
    return rest.post("/v2/webhook_endpoints", {"url": url, **fields}).data


def alert(rest, tenant="acme"):
    """Raises one event: a tenant's threshold."""
    rest.post("/v2/tenants", {"id": tenant, "name": tenant.upper(), "max_dids": 10}).data
    rest.record(tenant, dids=8)


def public_key(rest):
    return rest.get("/v2/public_key").data["public"]


def deliveries(rest, **filters):
    return rest.all("/v2/webhook_deliveries?" + "&".join(f"filter[{name}]={value}" for name, value in filters.items()))


def finished(rest, count=1):
    """Deliveries, once that many are through."""

    def ask():
        rows = [row for row in deliveries(rest) if row["status"] != "pending"]
        return rows if len(rows) >= count else None

    return eventually(ask, 180, f"the end of {count} deliveries")


# MARK: what is sent


def test_the_exact_body(service, receive):
    receiver = receive()
    rest = Rest(service(*ALLOWED))
    endpoint(rest, receiver.url + "/webhook-url", event_types=[REACHED])
    rest.post("/v2/tenants", {"id": "acme"}).data
    profile = rest.post(
        "/v2/messaging_profiles",
        {"tenant_id": "acme", "name": "P", "daily_spend_limit": "0.01", "daily_spend_limit_enabled": True},
    ).data["id"]
    rest.post(
        "/v2/usage_records",
        {
            "tenant_id": "acme", "messaging_profile_id": profile, "action": "send_message",
            "quantities": {"spend": "0.02"},
        },
    ).data
    [post] = eventually(lambda: list(receiver.posts))
    data = post.body["data"]
    occurred = data["occurred_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", occurred)
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(occurred)
    assert abs(age.total_seconds()) < 60
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", data["id"])
    assert post.raw.decode() == (
        f'{{"data":{{"event_type":"{REACHED}","id":"{data["id"]}","occurred_at":"{occurred}",'
        f'"payload":{{"configured_limit":"0.01","current_cost":"0.02","profile_id":"{profile}"}},'
        f'"record_type":"event"}},"meta":{{"attempt":1,"delivered_to":"{receiver.url}/webhook-url"}}}}'
    )
    assert post.headers["Content-Type"] == "application/json"
    # Who parses and writes it again has the signed bytes.
    assert json.dumps(post.body, separators=(",", ":"), ensure_ascii=False).encode() == post.raw


def test_a_refusal_is_told_beside_the_vendors_body(service, receive):
    receiver = receive()
    rest = Rest(service(*ALLOWED))
    endpoint(rest, receiver.url, event_types=[REACHED])
    rest.post("/v2/tenants", {"id": "acme"}).data
    profile = rest.post(
        "/v2/messaging_profiles",
        {"tenant_id": "acme", "name": "P", "daily_spend_limit": "1.00", "daily_spend_limit_enabled": True},
    ).data["id"]
    assert rest.send("acme", profile, "2.00").status == 429
    rest.send("acme", profile, "1.00").data
    posts = eventually(lambda: receiver.posts[1:] and list(receiver.posts))
    by_occasion = {post.headers["tollgate-occasion"]: post for post in posts}
    refused, reached = by_occasion["refusal"], by_occasion[None]
    assert list(refused.body["data"]["payload"]) == ["configured_limit", "current_cost", "profile_id"]
    assert {event["id"]: event["occasion"] for event in rest.all("/v2/events?filter[event_type]=" + REACHED)} == {
        refused.id: "refusal", reached.id: None
    }


def test_text_of_all_kinds_is_sent_as_utf8_and_signed(service, receive):
    receiver = receive()
    rest = Rest(service(*ALLOWED))
    endpoint(rest, receiver.url)
    name = 'Bäckerei "Söhne" / \\ 東京 🥐'
    rest.post("/v2/tenants", {"id": "b", "name": name, "max_dids": 10}).data
    rest.record("b", dids=8)
    [post] = eventually(lambda: list(receiver.posts))
    assert post.body["data"]["payload"]["tenant_name"] == name
    assert name.split()[0].encode() in post.raw and b"\\/" not in post.raw
    post.verify(public_key(rest))


def test_both_signatures_are_of_the_published_key(service, receive):
    receiver = receive()
    rest = Rest(service(*ALLOWED))
    endpoint(rest, receiver.url)
    alert(rest)
    [post] = eventually(lambda: list(receiver.posts))
    key = public_key(rest)
    post.verify(key)
    # The check can fail: a byte that was changed on the way is found.
    post.raw = post.raw.replace(b'"attempt":1', b'"attempt":2')
    with pytest.raises(InvalidSignature):
        post.verify(key)


def test_only_what_was_asked_for_is_sent(service, receive):
    wanted, unwanted = receive(), receive()
    rest = Rest(service(*ALLOWED))
    endpoint(rest, unwanted.url + "/others", event_types=["tenant.suspended"])
    endpoint(rest, unwanted.url + "/off", enabled=False)
    gone = endpoint(rest, unwanted.url + "/gone")["id"]
    assert rest.delete(f"/v2/webhook_endpoints/{gone}").status in (200, 204)
    endpoint(rest, wanted.url)
    alert(rest)
    eventually(lambda: wanted.posts)
    assert len(deliveries(rest)) == 1 and not unwanted.posts


def test_an_endpoints_secret_is_known_to_the_reference_library(service, receive, tmp_path):
    first = receive()
    server = service(*ALLOWED)
    rest = Rest(server)
    made = endpoint(rest, first.url + "/hook?key=in-the-query")
    secret, path = made["secret"], f"/v2/webhook_endpoints/{made['id']}"
    assert secret.startswith("whsec_") and len(base64.b64decode(secret[6:], validate=True)) == 32
    # Shown once.
    for shown in (rest.get(path).data, rest.patch(path, {"description": "x"}).data, rest.all("/v2/webhook_endpoints")[0]):
        assert "secret" not in shown and secret not in json.dumps(shown)
    alert(rest, "one")
    [post] = eventually(lambda: list(first.posts))
    # As docs/alerts.md has it.
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/alerts.md").read_text(), re.DOTALL)
    names = {"secret": secret, "body": post.raw, "headers": dict(post.headers)}
    exec(compile(example, "alerts.md", "exec"), names)
    verified = names["event"]
    assert verified["data"]["id"] == post.id
    post.verify(public_key(rest))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(post.raw + b" ", dict(post.headers))
    # Another one: both are good for a while.
    rotated = rest.post(path + "/actions/rotate_secret", {}).data["secret"]
    assert rotated.startswith("whsec_") and rotated != secret
    rest.post(path + "/actions/test", {}).data
    eventually(lambda: len(first.posts) > 1)
    for key in (secret, rotated):
        standardwebhooks.Webhook(key).verify(first.posts[1].raw, dict(first.posts[1].headers))
    stranger = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(stranger).verify(first.posts[1].raw, dict(first.posts[1].headers))
    # Neither list nor log has it, nor the file of the projection.
    told = json.dumps(rest.all("/v2/audit_events"))
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("projection.sqlite*"))
    for key in (secret, rotated):
        assert key not in told and key.encode() not in kept


def test_events_of_one_transition_arrive_in_order(service, receive):
    # The first is never answered, the second is refused: neither delays what comes behind.
    never = threading.Event()

    def answer(post, number):
        if number == 1:
            never.wait(120)
        return 500 if number == 2 else 200

    receiver = receive(answer)
    rest = Rest(service(*ALLOWED, "--webhook-backoff", "30s"))
    endpoint(rest, receiver.url)
    rest.post("/v2/tenants", {"id": "acme", "monthly_spend_limit": "1.00", "auto_suspend": True}).data
    rest.post("/v2/usage_records", {"tenant_id": "acme", "action": "charge", "quantities": {"spend": "2.00"}}).data
    try:
        eventually(lambda: len(receiver.posts) >= 3)
        posts = sorted(receiver.posts, key=lambda post: post.connection)
        assert [post.type for post in posts] == [THRESHOLD, "tenant.limit-reached", "tenant.suspended"]
    finally:
        never.set()


def test_the_log_says_where_but_not_the_secret_path(service, receive):
    receiver = receive(lambda post, number: 500)
    server = service(*ALLOWED, "--webhook-backoff", "10ms")
    rest = Rest(server)
    endpoint(rest, receiver.url + "/services/T0/secret-path?token=secret-query")
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "failed"
    server.stop()
    log = "".join(server.log)
    assert "a delivery failed for good" in log and str(receiver.port) in log
    assert "secret-path" not in log and "secret-query" not in log


# MARK: attempts


def test_each_attempt_is_numbered_and_signed_anew_with_the_same_id(service, receive):
    receiver = receive(lambda post, number: 200 if number == 3 else 500)
    rest = Rest(service(*ALLOWED, *FAST))
    endpoint(rest, receiver.url)
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "delivered"
    posts = receiver.posts
    assert [post.attempt for post in posts] == [1, 2, 3]
    assert len({post.id for post in posts}) == 1
    assert len({post.headers["webhook-signature"] for post in posts}) == 3
    assert len({post.headers["telnyx-signature-ed25519"] for post in posts}) == 3
    key = public_key(rest)
    for post in posts:
        post.verify(key)
    # Back-off: 50 ms, then five times that, a fifth more or less. A pause begins after the receiver has noted a time.
    assert posts[1].at - posts[0].at >= 0.035 and posts[2].at - posts[1].at >= 0.19
    # Newest first.
    assert [(entry["number"], entry["status_code"]) for entry in row["attempts"]] == [(3, 200), (2, 500), (1, 500)]
    assert [entry["status"] for entry in row["attempts"]] == ["delivered", "failed", "failed"]


@pytest.mark.parametrize("status", [201, 204, 299])
def test_any_2xx_is_success(service, receive, status):
    receiver = receive(lambda post, number: status)
    rest = Rest(service(*ALLOWED, *FAST))
    endpoint(rest, receiver.url)
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "delivered" and len(receiver.posts) == 1


def test_three_attempts_then_three_on_the_failover_address(service, receive):
    first, second = receive(lambda post, number: 503), receive(lambda post, number: 404)
    rest = Rest(service(*ALLOWED, *FAST))
    endpoint(rest, first.url + "/a", failover_url=second.url + "/b")
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "failed"
    assert [post.attempt for post in first.posts] == [1, 2, 3]
    assert [post.attempt for post in second.posts] == [4, 5, 6]
    assert {post.body["meta"]["delivered_to"] for post in first.posts} == {first.url + "/a"}
    assert {post.body["meta"]["delivered_to"] for post in second.posts} == {second.url + "/b"}
    assert len({post.id for post in first.posts + second.posts}) == 1
    assert first.posts[-1].at <= second.posts[0].at
    attempts = row["attempts"]
    assert [entry["number"] for entry in attempts] == [6, 5, 4, 3, 2, 1]
    assert [entry["status_code"] for entry in attempts] == [404] * 3 + [503] * 3
    assert row["next_attempt_at"] is None
    for post in first.posts + second.posts:
        post.verify(public_key(rest))


def test_the_failover_address_of_a_profile(service, receive):
    dead, alive = receive(lambda post, number: 500), receive()
    rest = Rest(service(*ALLOWED, *FAST))
    rest.post("/v2/tenants", {"id": "acme"}).data
    profile = rest.post("/v2/messaging_profiles", {"tenant_id": "acme", "name": "P"}).data["id"]
    rest.patch(
        f"/v2/messaging_profiles/{profile}",
        {
            "webhook_url": dead.url, "webhook_failover_url": alive.url, "daily_spend_limit": "1",
            "daily_spend_limit_enabled": True,
        },
    ).data
    assert rest.send("acme", profile, "0.80").status == 200
    [row] = finished(rest)
    assert row["status"] == "delivered"
    assert [post.attempt for post in dead.posts] == [1, 2, 3]
    [post] = alive.posts
    assert post.attempt == 4 and post.type == "messaging-profile.spend-limit-threshold-reached"
    assert post.body["data"]["payload"]["profile_id"] == profile


def test_redirects_are_not_followed(service, receive):
    elsewhere = receive()
    receiver = receive(lambda post, number: (302 + number * 3 % 6, {"Location": elsewhere.url}))
    rest = Rest(service(*ALLOWED, *FAST))
    endpoint(rest, receiver.url)
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "failed" and len(receiver.posts) == 3
    assert all(300 <= entry["status_code"] < 400 for entry in row["attempts"])
    assert not elsewhere.posts


def test_an_answer_after_two_seconds_is_none(service, receive):
    second_came = threading.Event()

    def answer(post, number):
        if number == 1:
            second_came.wait(120)  # Whoever waits as long for an answer gets a good one, and no second attempt is made.
        else:
            second_came.set()
        return 200

    receiver = receive(answer)
    rest = Rest(service(*LOCAL, *FAST))
    # Should the machine be late for later attempts too, there are three more.
    endpoint(rest, receiver.url, failover_url=receiver.url)
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "delivered"
    first, second = receiver.posts[:2]
    assert first.id == second.id
    assert row["attempts"][0]["status_code"] == 200
    attempt = row["attempts"][-1]
    assert attempt["number"] == 1 and attempt["status_code"] is None and attempt["error"]
    began, ended = (datetime.datetime.fromisoformat(attempt[name]) for name in ("started_at", "finished_at"))
    assert 1.9 <= (ended - began).total_seconds() < 30


def test_nobody_listens_then_somebody_does(service, receive):
    receiver = receive()
    url = receiver.url
    receiver.close()
    rest = Rest(service(*ALLOWED, *FAST))
    endpoint(rest, url, failover_url=receive().url + "/failover")
    alert(rest)
    [row] = finished(rest)
    assert row["status"] == "delivered"
    assert [entry["status_code"] for entry in row["attempts"]] == [200, None, None, None]


def test_a_delivery_is_sent_again_on_demand(service, receive):
    receiver = receive()
    rest = Rest(service(*ALLOWED))
    endpoint(rest, receiver.url)
    alert(rest)
    [row] = finished(rest)
    rest.post(f"/v2/webhook_deliveries/{row['id']}/actions/resend").data
    eventually(lambda: len(receiver.posts) == 2)
    assert receiver.posts[0].id == receiver.posts[1].id
    receiver.posts[1].verify(public_key(rest))


# MARK: where to


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_private_addresses_are_refused_unless_allowed(service, receive, host):
    receiver = receive()
    rest = Rest(service(*FAST))
    made = rest.post("/v2/webhook_endpoints", {"url": f"http://{host}:{receiver.port}/"})
    if made.status == 422:
        assert made.body["errors"][0]["source"]["pointer"] == "/url"
        assert host != "localhost", "where a name leads is not known before it is used"
    else:
        assert made.status == 200
        alert(rest)
        [row] = finished(rest)
        assert row["status"] == "failed"
        assert all("private" in entry["error"] and entry["status_code"] is None for entry in row["attempts"])
    assert not receiver.posts


# MARK: restarts


def test_killed_in_mid_delivery_it_is_delivered_after_the_restart(receive, tmp_path):
    killed = threading.Event()

    def answer(post, number):
        if number == 1:
            assert killed.wait(180)
        return 200

    receiver = receive(answer)
    arguments = ("--data-dir", str(tmp_path / "data"), "--durability", "sync", *ALLOWED, *FAST)
    server = Server(*arguments, limits=None)
    try:
        rest = Rest(server)
        key = public_key(rest)
        endpoint(rest, receiver.url)
        alert(rest)
        eventually(lambda: receiver.posts)
        server.kill()
        killed.set()
        server = Server(*arguments, limits=None)
        rest = Rest(server)
        assert public_key(rest) == key, "receivers would have to be told of another key"
        eventually(lambda: len(receiver.posts) >= 2)
        first, second = receiver.posts[:2]
        assert first.id == second.id
        second.verify(key)
        [row] = finished(rest)
        assert row["status"] == "delivered" and row["event_id"] == first.id
        assert server.stop() == 0
    finally:
        killed.set()
        server.kill()


def test_killed_before_any_attempt_nothing_is_lost(tmp_path, receive):
    """Many events, and an end at any point between the charge and its delivery."""
    receiver = receive()
    arguments = ("--data-dir", str(tmp_path / "data"), "--durability", "sync", *ALLOWED, *FAST)
    told = set()
    server = Server(*arguments, limits=None)
    try:
        endpoint(Rest(server), receiver.url)
        for life in range(4):
            rest = Rest(server)
            for number in range(5):
                alert(rest, f"t-{life}-{number}")
                told.add(f"t-{life}-{number}")
            server.kill()
            server = Server(*arguments, limits=None)
        eventually(lambda: {post.body["data"]["payload"]["tenant_id"] for post in list(receiver.posts)} == told)
        # However often an event is sent, it has one id.
        ids = {(post.body["data"]["payload"]["tenant_id"], post.id) for post in receiver.posts}
        assert len(ids) == len(told)
        assert server.stop() == 0
    finally:
        server.kill()


# MARK: many


def seconds_for_posts(receiver, count):
    """How long this machine needs to make that many POSTs to a receiver, without any service."""

    def post(_):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=60)) as connection:
            connection.request("POST", "/", b"{}")
            assert connection.getresponse().status == 200

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(post, range(count)))
    return time.monotonic() - began


def test_a_thousand_alerts_within_30_seconds_past_a_dead_endpoint(serve, receive, tmp_path):
    """Where the test itself, which does nothing else, makes as many POSTs within 3 s; else within ten times as long."""
    count = 1_000
    alone = [seconds_for_posts(receive(), count)]
    tenants = "tenants:\n" + "".join(f"  - {{id: t{number}, max_dids: 10}}\n" for number in range(count))
    receiver = receive()
    silence = Silence()
    server = serve(
        "--data-dir", str(tmp_path / "data"), "--durability", "sync", *LOCAL, limits=tenants
    )
    rest = Rest(server)
    endpoint(rest, silence.url)
    endpoint(rest, receiver.url)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: rest.record(f"t{number}", dids=8), range(count)))
    began = time.monotonic()
    # One that was answered late is sent again, and counts once.
    eventually(
        lambda: len(receiver.posts) >= count and len({post.id for post in list(receiver.posts)}) >= count, 600,
        f"the last of {count} alerts",
    )
    took = time.monotonic() - began
    posts = list(receiver.posts)
    alone.append(seconds_for_posts(receive(), count))
    print(f"{count} alerts were delivered {took:.1f} s after the last was raised; alone: {alone} s")
    assert took < max(30, 10 * max(alone))
    assert {post.body["data"]["payload"]["tenant_id"] for post in posts} == {f"t{number}" for number in range(count)}
    assert len({post.id for post in posts}) == count
    assert {post.type for post in posts} == {THRESHOLD}
    key = public_key(rest)
    for post in posts[::100]:
        post.verify(key)
    silence.close()


def test_everybody_is_suspended_at_once_past_a_dead_endpoint(contract, receive, tmp_path):
    """Three events for each tenant, to an endpoint that never answers and to one that does: meanwhile lists answer, and
    a stop waits for none of them. TOLLGATE_SUSPENDED: how many tenants."""
    count = int(os.environ.get("TOLLGATE_SUSPENDED", "300"))
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text(
        "tenants:\n"
        + "".join(f"  - {{id: t{number}, monthly_spend_limit: 1.00, auto_suspend: true}}\n" for number in range(count))
    )
    receiver = receive()
    silence = Silence()
    server = Server("--data-dir", str(tmp_path / "data"), "--durability", "sync", *LOCAL, limits=tenants)
    try:
        rest = Rest(server)
        endpoint(rest, silence.url)
        endpoint(rest, receiver.url)
        with grpc.insecure_channel(server.endpoint) as channel:
            stub = contract.Stub(channel)
            calls = [
                stub.RecordUsage.future(
                    contract.RecordUsageRequest(
                        tenant_id=f"t{number}", action=contract.ACTION_CHARGE,
                        quantities=quantities(contract, spend=2 * USD),
                    ),
                    timeout=120,
                )
                for number in range(count)
            ]
            began = time.monotonic()
            for call in calls:
                call.result()
        raised = time.monotonic() - began
        slowest = 0
        paths = ["events", "webhook_deliveries", "tenants", "audit_events"]

        def all_came():
            nonlocal slowest
            for path in paths:
                asked = time.monotonic()
                rest.get(f"/v2/{path}?page[size]=50").data
                slowest = max(slowest, time.monotonic() - asked)
            return len(receiver.posts) >= 3 * count and len({post.id for post in list(receiver.posts)}) == 3 * count

        eventually(all_came, 580, f"{3 * count} events")
        took = time.monotonic() - began
        # Lists wait 5 s at most for what was durable before.
        assert slowest < 8, f"a list took {slowest:.1f} s"
        pending = rest.get("/v2/webhook_deliveries?filter[status]=pending&page[size]=1").body["meta"]["total_results"]
        asked = time.monotonic()
        assert server.stop(timeout=30) == 0
        stopped = time.monotonic() - asked
        print(
            f"{count} tenants: suspended in {raised:.1f} s, {3 * count} events came in {took:.1f} s, {pending} pending; "
            f"slowest list {slowest:.2f} s; stopped in {stopped:.2f} s"
        )
        assert pending > 0, "nothing was on its way to the dead endpoint any more"
    finally:
        server.kill()
        silence.close()
