"""The audit log names the trace of the call behind an entry, as the caller's `traceparent` has it."""

import csv
import datetime
import io
import json
import urllib.request

import grpc
import pytest
from conftest import request, tollgate
from control import Rest, eventually
from test_added_limits import WRITTEN, former, machine  # noqa: F401
from test_journal import journal
from test_traces import TRACE, collector  # noqa: F401

PARENT = "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
ABSENT = "none"


def entries(rest, tenant="acme"):
    """The tenant's entries, newest first."""
    return rest.all(f"/v2/audit_events?filter[tenant_id]={tenant}")


def named(rest, traceparent, name):
    """What the entry of a change with this traceparent names."""
    headers = {} if traceparent is None else {"traceparent": traceparent}
    assert rest.patch("/v2/tenants/acme", {"name": name}, headers=headers).status == 200
    entry = entries(rest)[0]
    assert entry["kind"] == "tenant_changed" and {"name": "name", "before": entry["changes"][0]["before"], "after": name} in entry["changes"]
    return entry.get("trace_id", ABSENT)


@pytest.fixture
def service(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"))
    return server, Rest(server)


@pytest.mark.parametrize("traceparent,expected", [
    (SAMPLED, TRACE),
    (UNSAMPLED, TRACE),
    (f"01-{TRACE}-{PARENT}-00-of-a-later-version", TRACE),
    (None, ABSENT),
    ("", ABSENT),
    (SAMPLED.upper(), ABSENT),
    (SAMPLED + "-more", ABSENT),
    (SAMPLED[:-1], ABSENT),
    (f"{SAMPLED}, {SAMPLED}", ABSENT),
    (f"ff-{TRACE}-{PARENT}-01", ABSENT),
    (f"00-{'0' * 32}-{PARENT}-01", ABSENT),
    (f"00-{TRACE}-{'0' * 16}-01", ABSENT),
    ("x" * 4_000, ABSENT),
])
def test_what_a_traceparent_says(service, traceparent, expected):
    """Whether anything is exported or logged: nothing is here."""
    _, rest = service
    assert named(rest, traceparent, "changed") == expected


def test_every_change_of_a_call(service, serve, tmp_path):
    """Of all sorts, by REST; in each form in which the log is read; and after a restart."""
    server, rest = service
    traced = {"traceparent": SAMPLED}
    assert rest.post("/v2/tenants", {"id": "traced"}, headers=traced).status in (200, 201)
    assert rest.post("/v2/messaging_profiles", {
        "id": "sms", "tenant_id": "traced", "name": "sms", "whitelisted_destinations": ["US"]}, headers=traced).status in (200, 201)
    assert rest.patch("/v2/tenants/traced", {"max_dids": 1, "on_limit": "block"}, headers=traced).status == 200
    denied = rest.post("/v2/check_and_reserve", {
        "tenant_id": "traced", "action": "assign_did", "mode": "commit", "quantities": {"dids": 2}}, headers=traced)
    assert denied.codes == ["49003"]
    # The token's setting stands with no tenant.
    assert rest.post("/v2/tokens", {"name": "of a trace", "scope": "check"}, headers=traced).status in (200, 201)
    assert rest.delete("/v2/messaging_profiles/sms", headers=traced).status in (200, 204)
    assert rest.delete("/v2/tenants/traced", headers=traced).status in (200, 204)

    def kinds(rest):
        return {entry["kind"]: entry.get("trace_id") for entry in entries(rest, "traced")}

    kept = {"tenant_created": TRACE, "tenant_changed": TRACE, "profile_created": TRACE, "denied": TRACE,
            "profile_closed": TRACE, "tenant_closed": TRACE}
    found = rest.all("/v2/audit_events?filter[kind]=setting_changed")
    assert found[0]["trace_id"] == TRACE
    assert rest.post("/v2/tenants", {"id": "untraced"}).status in (200, 201)
    shown = {entry["tenant_id"]: entry for entry in map(json.loads, tollgate(
        server, "audit", "list", "--json", "--limit", "250").stdout.splitlines())}
    assert shown["traced"]["trace_id"] == TRACE and "trace_id" not in shown["untraced"]
    with urllib.request.urlopen(f"http://{server.http}/audit.csv", timeout=60) as answer:
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))
    assert list(rows[0])[-1] == "trace_id"
    assert {row["tenant_id"]: row["trace_id"] for row in rows if row["kind"] == "tenant_created"}["untraced"] == ""
    assert {row["kind"]: row["trace_id"] for row in rows if row["tenant_id"] == "traced"} == kept
    with urllib.request.urlopen(f"http://{server.http}/audit?kind=denied", timeout=60) as answer:
        assert f"Trace {TRACE}" in answer.read().decode()
    assert server.stop() == 0
    dumped = [json.loads(line) for line in journal(tmp_path / "data", "dump", "--json").stdout.splitlines()]
    assert {record["kind"] for record in dumped if record.get("trace_id") == TRACE} >= {
        *kept, "setting_changed"}
    # From the file, and, without it, from the journal again.
    for keeps in (True, False):
        if not keeps:
            for file in (tmp_path / "data").glob("projection.sqlite*"):
                file.unlink()
        server = serve("--data-dir", str(tmp_path / "data"))
        eventually(lambda: len(kinds(Rest(server))) == len(kept), what="the log")  # noqa: B023
        assert kinds(Rest(server)) == kept
        assert server.stop() == 0


def denied(contract, server, metadata):
    with grpc.insecure_channel(server.endpoint) as channel:
        answer = contract.Stub(channel).CheckAndReserve(
            request(contract, "initech", action=contract.ACTION_PROVISION_EXTENSION, extensions=10_000),
            timeout=60, metadata=metadata)
    assert answer.decision == contract.DECISION_DENIED
    return eventually(lambda: entries(Rest(server), "initech") and entries(Rest(server), "initech")[0], what="the entry")


def test_calls_of_grpc_that_are_traced_or_logged(contract, serve, tmp_path, collector):  # noqa: F811
    for number, (arguments, traceparent, expected) in enumerate([
            (["--otlp-endpoint", collector().url], SAMPLED, TRACE),
            (["--access-log", "all"], UNSAMPLED, TRACE),
            # Nobody is told of the call: fields of traces are not looked for.
            ([], SAMPLED, ABSENT),
            (["--otlp-endpoint", collector().url], UNSAMPLED, ABSENT)]):
        server = serve("--data-dir", str(tmp_path / f"data-{number}"), "--threads", "1", *arguments)
        entry = denied(contract, server, [("traceparent", traceparent)])
        assert entry["kind"] == "denied" and entry.get("trace_id", ABSENT) == expected
        # The next call on the same event loop is another one's.
        Rest(server).post("/v2/tenants", {"id": "later", "max_dids": 1})
        Rest(server).check("later", "assign_did", dids=2)
        assert [entry.get("trace_id", ABSENT) for entry in entries(Rest(server), "later")] == [ABSENT, ABSENT]
        assert server.stop() == 0


@pytest.mark.parametrize("keeps", [True, False], ids=["with its projection", "without its projection"])
def test_a_directory_of_before_takes_traces_up(former, keeps):  # noqa: F811
    """Its journal has no traces, and its file no place for them."""
    if not keeps:
        for file in former.data.glob("projection.sqlite*"):
            file.unlink()
    server, rest = former.start(WRITTEN + datetime.timedelta(hours=1))
    before = eventually(lambda: entries(rest), what="the log of before")
    if keeps:
        assert len(rest.all("/v2/audit_events")) == 5
    assert all("trace_id" not in entry for entry in before)
    assert named(rest, SAMPLED, "ACME again") == TRACE
    assert entries(rest)[1:] == before
    assert server.stop() == 0
    server, rest = former.start(WRITTEN + datetime.timedelta(hours=2))
    assert entries(rest)[0]["trace_id"] == TRACE and entries(rest)[1:] == before
