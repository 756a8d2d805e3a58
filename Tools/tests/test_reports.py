"""Reports: invoices, usage by day and hour, forecast and overview, over REST and by the command line.

That their figures are the journal's is tested by ReportTests.
"""

import contextlib
import csv
import datetime
import http.client
import io
import re

import pytest
from conftest import Server
from control import Rest, run, run_json

MONTH = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    server = Server("--data-dir", str(tmp_path_factory.mktemp("reports") / "data"), limits=None)
    rest = Rest(server)
    rest.post("/v2/tenants", {"id": "acme", "name": "Acme", "monthly_spend_limit": "1.00", "auto_suspend": False}).data
    rest.post("/v2/tenants", {"id": "globex", "name": "=Globex", "max_extensions": 1, "on_limit": "block"}).data
    rest.post("/v2/tenants", {"id": "idle", "name": "Idle"}).data
    rest.post("/v2/messaging_profiles", {"name": "p", "tenant_id": "acme"}).data
    rest.check("acme", "send_message", spend="0.25", messages=1)
    rest.check("acme", "outbound_call", spend="0.50", call_seconds=90)
    rest.check("acme", "inbound_call", call_seconds=30)
    rest.record("acme", spend="2.00")
    rest.check("globex", "provision_extension", extensions=1)
    assert rest.check("globex", "provision_extension", extensions=1).status in (403, 429)
    held = rest.check("globex", "send_message", mode="reserve", spend="0.10").data
    rest.post(f"/v2/reservations/{held['id']}/actions/commit", {"actual": {"spend": "0.13"}}).data
    yield server
    assert server.stop() == 0


@pytest.fixture
def rest(service):
    return Rest(service)


def file(rest, path, **headers):
    """What a download has in it."""
    with contextlib.closing(http.client.HTTPConnection(rest.address, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        return text


def by_tenant(rows):
    return {row["tenant_id"]: row for row in rows}


def test_invoices_of_the_month(rest):
    answer = rest.get(f"/v2/reports/invoices?cycle={MONTH}")
    rows = by_tenant(answer.data)
    assert list(rows) == ["acme", "globex", "idle"]
    acme = rows["acme"]
    assert acme["spend"] == "2.75" and acme["messages"] == 1
    assert acme["spend_by_action"]["send_message"] == "0.25"
    assert acme["spend_by_action"]["outbound_call"] == "0.50"
    assert acme["spend_by_action"]["charge"] == "2.00" and acme["spend_by_action"]["unknown"] == "0.00"
    assert (acme["inbound_call_seconds"], acme["outbound_call_seconds"], acme["call_seconds"]) == (30, 90, 120)
    assert acme["caps"]["monthly_spend_limit"] == "1.00" and acme["over_by"] == {"tenant_monthly_spend": "1.75"}
    assert (acme["from"], acme["final"]) == (MONTH + "-01", False)
    globex = rows["globex"]
    assert globex["extensions"] == 1 and globex["extensions_change"] == 1 and globex["denied"] == 1
    assert (globex["spend"], globex["overage"]) == ("0.13", "0.03")
    meta = answer.body["meta"]
    assert meta["totals"]["spend"] == "2.88" and meta["totals"]["extensions"] == 1
    assert (meta["total_results"], meta["cycle"], meta["by_action_since"]) == (3, MONTH, None)


def test_totals_are_of_all_pages(rest):
    first = rest.get("/v2/reports/invoices?sort=-spend&page[size]=1")
    assert [row["tenant_id"] for row in first.data] == ["acme"]
    second = rest.get("/v2/reports/invoices?sort=-spend&page[size]=1&page[number]=2")
    assert [row["tenant_id"] for row in second.data] == ["globex"]
    assert first.body["meta"]["totals"] == second.body["meta"]["totals"]
    assert first.body["meta"]["total_pages"] == 3
    one = rest.get("/v2/reports/invoices?filter[tenant_id]=globex&cycle=current")
    assert [row["tenant_id"] for row in one.data] == ["globex"] and one.body["meta"]["totals"]["spend"] == "0.13"
    assert rest.get("/v2/reports/invoices?filter[tenant_id]=nobody").data == []
    before = rest.get("/v2/reports/invoices?cycle=previous")
    assert all(row["spend"] == "0.00" and row["final"] for row in before.data)


def test_an_invoice_by_day(rest):
    invoice = rest.get(f"/v2/reports/invoices/globex?cycle={MONTH}").data
    used = [day for day in invoice["days"] if day["allowed"]]
    assert len(used) == 1 and used[0]["spend"] == invoice["spend"] == "0.13"
    assert used[0]["refusals"] == {"49002": 1}
    days = [day["date"] for day in invoice["days"]]
    assert days[0] == invoice["from"] and days[-1] == invoice["to"]
    assert rest.get("/v2/reports/invoices/nobody").status == 404


def test_csv_by_format_and_by_accept(rest):
    by_format = file(rest, "/v2/reports/invoices?format=csv")
    by_accept = file(rest, "/v2/reports/invoices", Accept="text/csv, application/json;q=0.5")
    assert by_format == by_accept
    rows = list(csv.DictReader(io.StringIO(by_format)))
    assert [row["tenant_id"] for row in rows] == ["acme", "globex", "idle"]
    assert rows[0]["spend_usd"] == "2.75" and rows[0]["spend_send_message_usd"] == "0.25"
    assert rows[0]["monthly_spend_limit_usd"] == "1.00" and rows[2]["monthly_spend_limit_usd"] == ""
    # No spreadsheet takes a name for a formula.
    assert rows[1]["tenant_name"] == "'=Globex"
    series = file(rest, "/v2/reports/usage?format=csv")
    assert len(list(csv.DictReader(io.StringIO(series)))) == 30
    days = file(rest, "/v2/reports/invoices/acme?format=csv")
    assert len(list(csv.DictReader(io.StringIO(days)))) >= 28


def test_usage_by_day_and_hour(rest):
    answer = rest.get("/v2/reports/usage?compare=previous")
    assert len(answer.data) == 30 and answer.body["meta"]["interval"] == "day"
    meta = answer.body["meta"]
    assert meta["totals"]["spend"] == "2.88" and meta["previous"]["totals"]["spend"] == "0.00"
    assert len(meta["previous"]["data"]) == 30
    assert answer.data[-1]["refusals"] in ({"49002": 1}, {})
    hours = rest.get("/v2/reports/usage?interval=hour&filter[tenant_id]=acme")
    assert len(hours.data) in (24, 25) and hours.body["meta"]["totals"]["spend"] == "2.75"
    assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:00:00.000Z$", hours.data[0]["time"])
    calls = rest.get("/v2/reports/usage?filter[action]=outbound_call")
    assert calls.body["meta"]["totals"]["spend"] == "0.50" and "refusals" not in calls.data[0]
    code = rest.get("/v2/reports/usage?filter[code]=49002")
    assert code.body["meta"]["totals"]["denied"] == 1
    assert rest.get("/v2/reports/usage?filter[code]=40333").body["meta"]["totals"]["denied"] == 0
    assert rest.get("/v2/reports/usage?filter[tenant_id]=nobody").status == 404


def test_overview_and_forecast(rest):
    answer = rest.get("/v2/reports/overview")
    overview = answer.data
    assert overview["tenants"] == {"active": 3, "suspended": 0, "total": 3}
    assert overview["running_cycles"] == {"spend": "2.88", "call_seconds": 120}
    assert overview["this_month"]["spend"] == "2.88"
    assert overview["alerts"] == {
        "webhook_endpoints": 0, "email_recipients": 0, "mail_server": False, "problems": ["no_recipient"],
    }
    assert overview["health"]["status"] == "ready" and overview["health"]["clock"]["status"] == "ok"
    assert overview["health"]["deliveries"] == {"pending": 0, "oldest_pending_at": None}
    assert sum(day["refusals"].get("49002", 0) for day in overview["denials"]) == 1
    recipient = rest.post("/v2/email_recipients", {"address": "ops@example.com"}).data
    assert rest.get("/v2/reports/overview").data["alerts"]["problems"] == ["no_mail_server"]
    rest.delete(f"/v2/email_recipients/{recipient['id']}")
    forecast = rest.get("/v2/reports/forecast")
    # Their cap is reached already, or they have none.
    assert forecast.data == [] and "weekday" in forecast.body["meta"]["method"]
    assert set(forecast.body["meta"]["weekday_factors"]) == {"spend", "call_seconds"}


@pytest.mark.parametrize(
    "path, parameter",
    [
        ("invoices?cycle=2026-13", "cycle"), ("invoices?cycle=last", "cycle"), ("invoices?cycle=2026-1", "cycle"),
        ("invoices?cycle=", "cycle"),
        ("invoices?sort=colour", "sort"), ("invoices?format=xml", "format"), ("invoices?page[size]=251", "page[size]"),
        ("invoices?page[number]=0", "page[number]"), ("invoices?month=2026-11", "month"),
        ("invoices/acme?page[size]=2", "page[size]"), ("invoices/acme?cycle=x", "cycle"),
        ("usage?interval=week", "interval"), ("usage?from=2026-02-30", "from"),
        ("usage?from=2026-03-02&to=2026-03-01", "from"), ("usage?from=2024-01-01&to=2026-01-01", "from"),
        ("usage?interval=hour&from=2026-01-01", "from"),
        ("usage?interval=hour&from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
        ("usage?filter[action]=dance", "filter[action]"), ("usage?filter[code]=1", "filter[code]"),
        ("usage?filter[action]=charge&filter[code]=49002", "filter[code]"), ("usage?compare=next", "compare"),
        ("usage?filter[tenant_id]=", "filter[tenant_id]"),
        ("forecast?sort=id", "sort"), ("overview?page[size]=1", "page[size]"),
    ],
)
def test_bad_parameters_are_named(rest, path, parameter):
    answer = rest.get("/v2/reports/" + path)
    assert answer.status == 422, answer
    assert [error["source"]["parameter"] for error in answer.body["errors"]] == [parameter]


def test_who_may_read_reports(serve, tmp_path):
    data = tmp_path / "data"
    server = serve("--data-dir", str(data), auth=True)
    owner = Rest(server, token=(data / "operator-token").read_text().strip())
    for scope, status in [("reports", 200), ("viewer", 200), ("operator", 200), ("check", 403), ("metrics", 403)]:
        token = owner.post("/v2/tokens", {"name": scope, "scope": scope}).data["secret"]
        for path in ["invoices", "invoices/acme", "usage", "forecast", "overview"]:
            found = Rest(server, token=token).get("/v2/reports/" + path).status
            assert found == status or (status == 200 and path == "invoices/acme" and found == 404)


def test_too_many_rows_for_a_file(serve, tmp_path):
    rest = Rest(serve("--data-dir", str(tmp_path / "data"), "--report-max-rows", "1", limits=None))
    for tenant in ["a", "b"]:
        rest.post("/v2/tenants", {"id": tenant}).data
    answer = rest.get("/v2/reports/invoices?format=csv")
    assert answer.status == 422 and "--report-max-rows" in answer.body["errors"][0]["detail"]
    assert len(rest.get("/v2/reports/invoices").data) == 2


def test_commands(service):
    text = run(service, "report", "invoices", "--sort=-spend")
    assert re.search(r"^acme +Acme +active .* 2\.75 ", text, re.MULTILINE)
    assert run(service, "report", "invoices", "--csv").startswith("tenant_id,tenant_name,")
    rows = run_json(service, "report", "invoices", "--tenant", "globex", "--by-day")
    assert sum(row["denied"] for row in rows) == 1
    rows = run_json(service, "report", "usage", "--action", "send_message")
    assert len(rows) == 30 and rows[-1]["spend"] in ("0.25", "0.38", "0.00")
    assert run(service, "report", "usage", "--interval", "hour", "--csv").startswith("time,")
    assert "No tenant is expected" in run(service, "report", "forecast")
    assert run_json(service, "report", "overview")[0]["tenants"]["total"] == 3
    run(service, "report", "invoices", "--by-day", status=64)
    run(service, "report", "invoices", "--csv", "--json", status=64)
    run(service, "report", "invoices", "--cycle", "x", status=65)
