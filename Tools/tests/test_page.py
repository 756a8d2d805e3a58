"""The operator's page in a real browser, against the real binary."""

import contextlib
import decimal
import http.client
import re
import time
import uuid

import pytest
from browser import DESKTOP, PHONE, WALL, Browser
from conftest import Server
from control import Hooks, Mailbox, Rest, eventually
from selenium.webdriver.common.keys import Keys
from test_loadtest import LoadTest

HOSTILE = "<b onclick=alert(1)>O'Hara</b> & \"Sons\""
PAGES = {
    "usage-limits": "/settings/usage-limits", "tenant": "/tenants/acme",
    "tenant-defaults": "/settings/tenant-defaults", "alerts": "/alerts", "audit": "/audit", "live": "/live",
    "tokens": "/tokens",
}
LIVE = ("usage-limits", "tenant", "live")


class Mails(Mailbox):
    """A mail server that refuses some addresses."""

    def __init__(self):
        self.refused = set()
        super().__init__()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address in self.refused:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 taken"


class Service:
    """The service with operators and tenants."""

    def __init__(self, directory):
        self.mails = Mails()
        self.server = Server(
            "--data-dir", str(directory), "--webhook-allow-private", "127.0.0.0/8", "--webhook-timeout", "30s",
            "--brand-name", "Northwind Voice",
            "--brand-logo", "northwind®", "--brand-contact", "care@northwind.example", "--smtp-host", "127.0.0.1",
            "--smtp-port", str(self.mails.port), "--smtp-security", "none", "--smtp-from", "alerts@northwind.example",
            limits=None, auth=True)
        self.token = (directory / "operator-token").read_text().strip()
        self.rest = Rest(self.server, self.token)
        self.hooks = Hooks()

    def operator(self, name):
        """A further operator's token."""
        return self.rest.post("/v2/tokens", {"name": name, "scope": "operator"}).data["secret"]

    def tenant(self, **fields):
        """The id of a new tenant."""
        body = {"id": f"t-{uuid.uuid4().hex[:8]}", **fields}
        return self.rest.post("/v2/tenants", body).data["id"]

    def keyed_denial(self, tenant, **quantities):
        """A denial that is remembered, and so on record."""
        return self.rest.ask("POST", "/v2/check_and_reserve", {
            "tenant_id": tenant, "action": "charge", "mode": "commit", "quantities": quantities,
        }, {"Idempotency-Key": uuid.uuid4().hex})

    def fill(self):
        """What pictures show."""
        rest = self.rest
        rest.patch("/v2/tenant_defaults", {"monthly_spend_limit": "500.00", "max_extensions": 50, "max_dids": 10,
                                           "max_monthly_minutes": 5000, "alert_threshold": 80, "auto_suspend": True})
        names = ["Acme Voice", "Globex", "Initech", "Umbrella Telecom", "Stark Industries", "Wayne Enterprises",
                 "Wonka Calls", "Hooli", "Cyberdyne", "Tyrell", "Soylent", "Massive Dynamic",
                 "Vandelay Imports"]
        for index, name in enumerate(names):
            body = {"id": "acme" if index == 0 else f"tenant-{index:02}", "name": name, "preset": "new-tenant"}
            if index % 4 == 1:
                body.update(monthly_spend_limit=None, max_dids=None, auto_suspend=False)
            tenant = rest.post("/v2/tenants", body).data["id"]
            rest.record(tenant, spend=f"{20 + 37 * index % 470}.50", extensions=3 + 5 * index % 40,
                        dids=1 + index % 8, call_seconds=600 + 17_900 * index % 240_000)
        for index in range(12):
            rest.post("/v2/tenants", {"id": f"small-{index:02}", "name": f"Small Office {index + 1}"})
        rest.post("/v2/webhook_endpoints", {"url": self.hooks.url + "/tollgate", "description": "On call"})
        rest.post("/v2/email_recipients", {"address": "ops@northwind.example", "name": "Operations"})
        rest.post("/v2/messaging_profiles", {
            "id": "be3eb60a-a346-470a-886c-ab4e421711bd", "tenant_id": "acme", "name": "Alerts",
            "whitelisted_destinations": ["US"], "daily_spend_limit": "10.00", "daily_spend_limit_enabled": True})
        rest.send("acme", "be3eb60a-a346-470a-886c-ab4e421711bd", "8.40")
        rest.check("acme", "outbound_call", mode="reserve", spend="0.60", call_seconds=60)
        rest.check("tenant-03", spend="600.00")
        rest.record("tenant-03", spend="420.00")
        self.keyed_denial("tenant-02", spend="700.00")
        self.keyed_denial("tenant-06", extensions=60)

    def close(self):
        status = self.server.stop()
        self.hooks.close()
        self.mails.close()
        assert status == 0, "".join(self.server.log)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("page") / "data")
    service.fill()
    yield service
    service.close()


@pytest.fixture(scope="module")
def window(service):
    """The window that most tests use, one after another, logged in."""
    window = Browser(service.server.http)
    window.log_in(service.token)
    yield window
    window.close()


@pytest.fixture
def page(window):
    """The window, as large as a desk's; after the test nothing may stand in its console."""
    window.show(DESKTOP)
    window.complaints()
    yield window
    # Answers that refuse are shown to the person; the browser notes them too.
    assert window.complaints(allowed=("the server responded with a status of 4",)) == []


@pytest.fixture
def other(service):
    """A second operator's window."""
    window = Browser(service.server.http)
    window.log_in(service.operator("bob"))
    yield window
    window.close()


def row(tenant):
    return f'tr[data-tenant="{tenant}"]'


def edit(page, tenant):
    page.open(f"/settings/usage-limits?q={tenant}")
    page.click(f"{row(tenant)} [data-edit]")
    page.find("#edit-limits[open]")


# MARK: every page, first of all: pictures show nothing of the other tests


@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_used_by_everybody(page, name):
    sizes = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False), "wall": (WALL, False)}
    for look, (size, dark) in sizes.items():
        page.show(size, dark)
        page.open(PAGES[name])
        if name in LIVE:
            page.wait_for_text("[data-live]", "Live")
        assert page.faults() == [], look
        assert page.weight() < 100_000
        if look != "wall":
            page.picture(f"{name}-{look}", size)
    page.show(DESKTOP)
    page.open(PAGES[name])
    if name in LIVE:
        page.wait_for_text("[data-live]", "Live")
    assert page.focus_faults() == []


@pytest.mark.parametrize("dialog", ["edit-limits", "new-tenant", "set-status"])
def test_every_dialog_can_be_used_by_everybody(page, dialog):
    opener = {"edit-limits": f"{row('acme')} [data-edit]", "new-tenant": "[data-open=new-tenant]",
              "set-status": f"{row('acme')} [data-suspend]"}[dialog]
    for look, size, dark in (("light", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False)):
        page.show(size, dark)
        page.open("/settings/usage-limits?q=acme")
        page.click(opener)
        page.find(f"#{dialog}[open]")
        if dialog == "edit-limits":
            page.wait_for_text('[data-preview="tenant_dids"]', "left")
        assert page.faults() == [], look
        page.driver.save_screenshot(str(pictures() / f"{dialog}-{look}.png"))


def pictures():
    from browser import SCREENSHOTS

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS


def test_the_pages_that_need_no_log_in(service):
    page = Browser(service.server.http)
    try:
        paths = {"login": "/login", "suspended": "/suspended/acme", "suspended-unknown": "/suspended/x"}
        for name, path in paths.items():
            for look, size, dark in (("light", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False)):
                page.show(size, dark)
                page.open(path)
                assert page.faults() == [], (name, look)
                page.picture(f"{name}-{look}", size)
        text = page.text("main")
        assert "Northwind Voice" in text and "care@northwind.example" in text
        assert page.text(".brand") == "northwind®"
        for word in ("limit", "cap", "spend ", "Tollgate", "usage"):
            assert word.lower() not in text.lower()
        assert page.complaints() == []
    finally:
        page.close()


# MARK: log-in


def test_a_log_in_opens_the_page_that_was_asked_for_and_ends_with_the_log_out(service):
    page = Browser(service.server.http)
    try:
        page.open("/audit?kind=denied")
        assert page.path.startswith("/login?next=")
        page.fill("#token", "tg_wrong")
        page.click("button[type=submit]")
        page.wait_for_text("[role=alert]", "Invalid token. Use a token of an operator or viewer.")
        page.fill("#token", service.token)
        page.click("button[type=submit]")
        page.wait(lambda: page.path == "/audit?kind=denied", "the page asked for")
        assert page.run("return document.cookie") == "", "a script can read the cookie"
        page.click(".session button")
        page.wait(lambda: page.path == "/login", "the log-in")
        page.open("/audit")
        assert page.path.startswith("/login")
    finally:
        page.close()


def test_a_token_that_is_revoked_ends_its_sessions(service, other):
    tokens = service.rest.all("/v2/tokens")
    bob = next(token for token in tokens if token["name"] == "bob")
    service.rest.delete(f"/v2/tokens/{bob['id']}").data
    other.open("/live")
    assert other.path.startswith("/login")


def test_rest_takes_the_cookie_only_with_the_token_of_the_page(page):
    page.open("/live")
    status = page.driver.execute_async_script("""
        const done = arguments[0];
        const ask = (headers) => fetch("/v2/tenants/acme/actions/suspend", { method: "POST", headers })
            .then((answer) => answer.status);
        Promise.all([ask({}), ask({ "x-csrf-token": "wrong" }), fetch("/v2/tenants/acme").then((it) => it.status)])
            .then(done);""")
    assert status == [401, 401, 200]


# MARK: usage limits


def test_the_table_is_the_guides(page):
    page.open("/settings/usage-limits")
    heads = [head.text for head in page.all(".limits thead th")]
    assert heads == ["Name", "Monthly Spend Limit ($)", "Max Extensions", "Max DIDs", "Max Monthly Minutes",
                     "Alert Threshold (%)", "Auto-Suspend", "Actions"]
    cells = page.all(f"{row('tenant-01')} td")
    assert "No limit" in cells[1].get_attribute("textContent"), "an empty cell says so to those who cannot see it"
    assert not cells[1].find_elements("css selector", ".cap, .bar")
    assert cells[2].find_element("css selector", ".cap").text == "50"
    assert cells[-2].text == "No"


def test_search_order_status_and_pages(page, service):
    page.open("/settings/usage-limits")
    names = [name.text for name in page.all(".limits .name")]
    assert names == sorted(names) and len(names) == 20
    page.click("a[rel=next]")
    page.wait(lambda: "page=2" in page.path, "the second page")
    assert len(page.all(".limits tbody tr")) == len(service.rest.all("/v2/tenants")) - 20
    page.fill("#search", "globex")
    page.find("#search").send_keys(Keys.ENTER)
    page.wait(lambda: [name.text for name in page.all(".limits .name")] == ["Globex"], "what was looked for")
    page.open("/settings/usage-limits?q=tenant-04")
    assert [name.text for name in page.all(".limits .name")] == ["Stark Industries"], "by its id"
    page.open("/settings/usage-limits")
    page.click(".limits thead th:nth-child(2) a")
    page.wait(lambda: page.all("th[aria-sort=descending]"), "the order")
    spent = [row["usage"] for row in spends(page)]
    assert spent == sorted(spent, reverse=True)
    page.open("/settings/usage-limits?status=suspended")
    assert all("Suspended" in chip.text for chip in page.all(".limits .chip"))
    page.open("/settings/usage-limits?q=no-such-tenant")
    page.wait_for_text(".empty", "No matching tenants.")


def spends(page):
    texts = page.run("""return [...document.querySelectorAll(".limits tbody tr td:nth-child(2) .use")]
        .map((it) => it.textContent)""")
    return [{"usage": float(text.split()[0].strip("$").replace(",", ""))} for text in texts]


def test_limits_are_edited_with_a_preview_and_enforced_at_once(page, service):
    tenant = service.tenant(name="Preview Ltd", monthly_spend_limit=None, auto_suspend=True)
    service.rest.record(tenant, spend="512.40", extensions=12)
    edit(page, tenant)
    page.wait_for_text('[data-preview="tenant_monthly_spend"]', "used so far")
    page.fill("#edit-monthly_spend_limit", "500")
    page.wait_for_text(
        '[data-preview="tenant_monthly_spend"]',
        "Already over by $12.40: triggers at the next charge and suspends the tenant.")
    page.click("#edit-auto_suspend")
    page.wait_for_text('[data-preview="tenant_monthly_spend"]', "alerts only")
    page.click("#edit-auto_suspend")
    page.fill("#edit-max_extensions", "12")
    page.wait_for_text('[data-preview="tenant_extensions"]', "Already reached")
    page.fill("#edit-monthly_spend_limit", "600")
    page.fill("#edit-max_dids", "")
    page.fill("#edit-max_monthly_minutes", "6,000")
    page.find("#edit-max_monthly_minutes").send_keys(Keys.ENTER)
    page.wait_for_text(".toast", "Limits saved.")
    now = service.rest.tenant(tenant)
    assert (now["monthly_spend_limit"], now["max_extensions"], now["max_dids"], now["max_monthly_minutes"]) == (
        "600.00", 12, None, 6000)
    assert service.rest.check(tenant, extensions=1).codes == ["49002"]
    cells = page.all(f"{row(tenant)} td")
    assert "$600.00" in cells[1].text and "$512.40 used · 85%" in cells[1].text
    assert page.run("return document.activeElement.dataset.edit") == tenant, "the focus goes back to where it was"


def test_errors_of_the_api_stand_beside_their_fields(page, service):
    tenant = service.tenant(name="Errors")
    edit(page, tenant)
    page.fill("#edit-monthly_spend_limit", "1.0000000001")
    page.fill("#edit-max_dids", "many")
    page.fill("#edit-alert_thresholds", "101")
    page.click("#edit-limits button[type=submit]")
    for name in ("monthly_spend_limit", "max_dids", "alert_thresholds"):
        field = page.find(f"#edit-{name}[aria-invalid=true]")
        note = page.find("#" + field.get_attribute("aria-describedby").split()[0])
        assert note.text and note.find_element("xpath", "..").get_attribute("class") == "field"
    assert page.faults() == []
    page.picture("edit-limits-errors")
    page.show(DESKTOP)
    page.find("#edit-limits").send_keys(Keys.ESCAPE)
    page.wait(lambda: not page.all("#edit-limits[open]"), "the end of the dialog")
    assert service.rest.tenant(tenant)["max_dids"] == 10, "nothing was changed"


def test_a_decimal_comma_is_no_thousand(page, service):
    tenant = service.tenant(name="Comma", monthly_spend_limit="9.00")
    edit(page, tenant)
    for wrong in ["12,40", "1,2345", "1,234,56", ",500", "1.000,50"]:
        page.fill("#edit-monthly_spend_limit", wrong)
        page.click("#edit-limits button[type=submit]")
        page.wait(lambda: page.all("#edit-monthly_spend_limit[aria-invalid=true]"), wrong)
        # What is typed takes the fault away.
        page.fill("#edit-monthly_spend_limit", "")
        page.fill("#edit-max_dids", "2,5")
        page.click("#edit-limits button[type=submit]")
        page.wait(lambda: page.all("#edit-max_dids[aria-invalid=true]"), "2,5")
        page.fill("#edit-max_dids", "10")
        assert service.rest.tenant(tenant)["monthly_spend_limit"] == "9.00"
    page.fill("#edit-monthly_spend_limit", "1,234,567.50")
    page.fill("#edit-max_dids", "1,000")
    page.click("#edit-limits button[type=submit]")
    page.wait_for_text(".toast", "Limits saved.")
    now = service.rest.tenant(tenant)
    assert (now["monthly_spend_limit"], now["max_dids"]) == ("1234567.50", 1000)


def test_reset_to_defaults(page, service):
    tenant = service.tenant(name="Reset", monthly_spend_limit="9.00", max_dids=1, auto_suspend=False)
    edit(page, tenant)
    page.click("[data-reset]")
    page.wait(lambda: page.find("#edit-monthly_spend_limit").get_attribute("value") == "500.00", "the defaults")
    page.click("#edit-limits button[type=submit]")
    page.wait_for_text(".toast", "Limits saved.")
    now = service.rest.tenant(tenant)
    assert (now["monthly_spend_limit"], now["max_dids"], now["auto_suspend"]) == ("500.00", 10, True)


def test_reset_to_defaults_takes_the_faults_away(page, service):
    tenant = service.tenant(name="Reset faults")
    edit(page, tenant)
    page.fill("#edit-max_dids", "many")
    page.fill("#edit-alert_thresholds", "101")
    page.click("#edit-limits button[type=submit]")
    page.wait(lambda: len(page.all("#edit-limits [aria-invalid=true]")) == 2, "the faults")
    page.click("[data-reset]")
    page.wait(lambda: page.find("#edit-max_dids").get_attribute("value") == "10", "the defaults")
    assert page.all("#edit-limits [aria-invalid], #edit-limits .field .error") == []
    # An empty box is not shown, so that there is nothing to wait for.
    assert page.run("return document.querySelector('#edit-limits .form-error').textContent") == ""


def test_two_operators_edit_the_same_tenant(page, other, service):
    tenant = service.tenant(name="Contested", max_dids=5)
    edit(page, tenant)
    edit(other, tenant)
    other.fill("#edit-max_dids", "7")
    other.click("#edit-limits button[type=submit]")
    other.wait_for_text(".toast", "Limits saved.")

    page.fill("#edit-max_dids", "6")
    page.fill("#edit-max_extensions", "33")
    page.click("#edit-limits button[type=submit]")
    page.wait_for_text("[data-conflict]", "Changed by someone else")
    rows = {tuple(cell.text for cell in line.find_elements("css selector", "th, td"))
            for line in page.all("[data-conflict] tbody tr")}
    assert rows == {("Max DIDs", "7", "6"), ("Max Extensions", "50", "33")}
    assert service.rest.tenant(tenant)["max_dids"] == 7, "theirs stands until somebody decides"
    assert page.faults() == []
    page.picture("conflict")
    page.show(DESKTOP)
    page.click("[data-theirs]")
    assert page.find("#edit-max_dids").get_attribute("value") == "7"
    page.fill("#edit-max_extensions", "33")
    page.click("#edit-limits button[type=submit]")
    page.wait_for_text(".toast", "Limits saved.")
    now = service.rest.tenant(tenant)
    assert (now["max_dids"], now["max_extensions"]) == (7, 33)


def test_suspend_and_reinstate_with_a_reason(page, service):
    tenant = service.tenant(name="Rogue Dialer")
    page.open(f"/settings/usage-limits?q={tenant}")
    page.click(f"{row(tenant)} [data-suspend]")
    page.click("#set-status button[type=submit]")
    page.wait_for_text("#set-status .error", "Enter a reason.")
    page.fill("#status-reason", "toll fraud, ticket 4711")
    page.click("#set-status button[type=submit]")
    # The message is the new page's: what is live changes the old one before it goes.
    page.wait_for_text(".toast", "Tenant suspended.")
    page.wait_for_text(f"{row(tenant)} .chip", "Suspended")
    assert service.rest.check(tenant, spend="0.01").codes == ["20012"]
    page.open(f"/tenants/{tenant}")
    page.wait_for_text(".changes", "Reason: toll fraud, ticket 4711")
    page.click("[data-reinstate]")
    page.fill("#status-reason", "settled")
    page.click("#set-status button[type=submit]")
    page.wait_for_text(".toast", "Tenant reinstated.")
    page.wait_for_text(".heading .chip", "Active")
    assert service.rest.check(tenant, spend="0.01").data["decision"] == "allowed"


# MARK: the table as it changes


def shown(page, tenant, column, part):
    """A part of a cell of the table, whether or not it can be seen now; None: it has none."""
    found = page.all(f"{row(tenant)} td:nth-child({column}) {part}")
    return found[0] if found else None


def test_the_table_moves_while_charges_are_made(page, service):
    tenant = service.tenant(name="Moving", monthly_spend_limit="100.00", max_dids=None, auto_suspend=False)
    page.open(f"/settings/usage-limits?q={tenant}")
    page.wait_for_text("[data-live]", "Live")
    width = lambda: float(shown(page, tenant, 2, ".used").get_attribute("width").rstrip("%"))  # noqa: E731
    assert width() == 0
    service.rest.check(tenant, spend="40.00").data
    page.wait(lambda: width() == 40, "a bar that moves")
    assert "$40.00 used · 40%" in page.text(row(tenant))
    held = service.rest.check(tenant, mode="reserve", spend="10.00").data["id"]
    page.wait(lambda: shown(page, tenant, 2, ".held").get_attribute("width") == "50%", "what is held")
    service.rest.post(f"/v2/reservations/{held}/actions/commit").data
    service.rest.record(tenant, spend="35.00", dids=3)
    page.wait(lambda: shown(page, tenant, 2, ".bar.near"), "the colour of the alert")
    page.wait_for_text(row(tenant), "3 used")
    # What another operator changes shows too.
    service.rest.patch(f"/v2/tenants/{tenant}", {
        "name": "Moved", "monthly_spend_limit": None, "max_dids": 4, "alert_threshold": 70, "auto_suspend": True}).data
    page.wait(lambda: shown(page, tenant, 4, ".cap") and shown(page, tenant, 4, ".cap").text == "4", "a cap")
    page.wait(lambda: shown(page, tenant, 2, ".cap") is None, "no cap")
    assert "No limit" in shown(page, tenant, 2, ".limit-cell").get_attribute("textContent")
    assert shown(page, tenant, 4, ".bar.near") and shown(page, tenant, 2, ".bar") is None
    texts = [cell.text for cell in page.all(f"{row(tenant)} td")]
    assert texts[0].startswith("Moved\n") and texts[-3:-1] == ["70", "Yes"]
    assert page.faults() == []
    service.rest.delete(f"/v2/tenants/{tenant}").data
    page.wait_for_text(f"{row(tenant)} .chip", "Deleted")


def test_rows_of_the_table_do_not_jump(page, service):
    group = uuid.uuid4().hex[:6]
    first, second = (service.tenant(id=f"jump-{group}-{name}", name=f"{group} {name}") for name in "ab")
    service.rest.record(first, spend="20.00")
    service.rest.record(second, spend="10.00")
    page.open(f"/settings/usage-limits?q={group}&sort=-monthly_spend")
    page.wait_for_text("[data-live]", "Live")
    order = lambda: [line.get_attribute("data-tenant") for line in page.all(".limits tbody tr")]  # noqa: E731
    assert order() == [first, second]
    service.rest.record(second, spend="50.00")
    page.wait_for_text(row(second), "$60.00 used")
    assert order() == [first, second]
    page.open(f"/settings/usage-limits?q={group}&sort=-monthly_spend")
    assert order() == [second, first]


def test_a_status_that_changes_takes_its_button_along(page, service):
    tenant = service.tenant(name="Toggled")
    page.open(f"/settings/usage-limits?q={tenant}")
    page.wait_for_text("[data-live]", "Live")
    page.run("document.querySelector(arguments[0]).focus()", f"{row(tenant)} [data-suspend]")
    service.rest.post(f"/v2/tenants/{tenant}/actions/suspend", {"reason": "test"}).data
    page.wait_for_text(f"{row(tenant)} .chip", "Suspended")
    assert not page.all(f"{row(tenant)} [data-suspend]")[0].is_displayed()
    assert page.run("return document.activeElement.dataset.reinstate") == tenant, "the focus has gone"
    page.press(Keys.ENTER)
    page.wait_for_text("#set-status h2", "Reinstate Toggled?")
    page.press(Keys.ESCAPE)
    service.rest.post(f"/v2/tenants/{tenant}/actions/reinstate", {"reason": "test"}).data
    page.wait_for_text(f"{row(tenant)} .chip", "Active")


def test_a_new_tenant_starts_with_the_defaults_or_a_preset(page, service):
    page.open("/settings/usage-limits")
    page.click("[data-open=new-tenant]")
    assert page.find("#new-monthly_spend_limit").get_attribute("value") == "500.00"
    page.choose("#new-preset", "unlimited")
    page.wait(lambda: page.find("#new-monthly_spend_limit").get_attribute("value") == "", "the preset")
    name = f"born-{uuid.uuid4().hex[:6]}"
    page.fill("#new-id", name)
    page.fill("#new-name", HOSTILE)
    page.fill("#new-zone", "Mars/Olympus")
    page.click("#new-tenant button[type=submit]")
    page.wait_for_text("#new-tenant .error", "time zone")
    page.fill("#new-zone", "Europe/Berlin")
    page.fill("#new-max_dids", "3")
    page.click("#new-tenant button[type=submit]")
    page.wait_for_text(".toast", "was created.")
    now = service.rest.tenant(name)
    assert (now["name"], now["max_dids"], now["monthly_spend_limit"], now["time_zone"]) == (
        HOSTILE, 3, None, "Europe/Berlin")
    page.open(f"/tenants/{name}")
    assert page.text("h1") == HOSTILE and not page.all("h1 b")


# MARK: one tenant


def test_a_tenants_bar_moves_while_it_is_used(page, service):
    tenant = service.tenant(name="Busy", monthly_spend_limit="100.00", auto_suspend=False)
    page.open(f"/tenants/{tenant}")
    page.wait_for_text("[data-live]", "Live")
    spend = '.card[data-limit="tenant_monthly_spend"]'
    width = lambda: float(page.all(f"{spend} .used")[0].get_attribute("width").rstrip("%"))  # noqa: E731
    assert page.text(f"{spend} [data-used]") == "$0.00" and width() == 0
    service.rest.record(tenant, spend="40.00")
    page.wait_for_text(f"{spend} [data-used]", "$40.00")
    assert width() == 40
    service.rest.record(tenant, spend="45.00")
    page.wait(lambda: page.all(f"{spend} .bar.near"), "the colour of the alert")
    service.rest.post(f"/v2/tenants/{tenant}/actions/suspend", {"reason": "test"})
    page.wait_for_text(".heading .chip", "Suspended")
    assert page.find("[data-reinstate]").is_displayed()


def test_profiles_have_a_switch_and_a_limit(page, service):
    tenant = service.tenant(name="Messages")
    profile = service.rest.post("/v2/messaging_profiles", {
        "tenant_id": tenant, "name": "News", "whitelisted_destinations": ["US"]}).data["id"]
    service.rest.send(tenant, profile, "0.50")
    page.open(f"/tenants/{tenant}")
    line = f'tr[data-profile="{profile}"]'
    page.wait_for_text(f"{line} [data-used]", "$0.50")
    page.click(f"{line} [data-toggle]")
    page.wait(lambda: page.all(f"{line} [aria-invalid=true]"), "an enabled limit needs an amount")
    page.wait(lambda: not page.find(f"{line} [data-toggle]").is_selected(), "the switch goes back")
    page.fill(f"{line} [name=daily_spend_limit]", "0.50")
    page.click(f"{line} [data-toggle]")
    page.wait_for_text(".toast", "Daily limit saved.")
    now = service.rest.get(f"/v2/messaging_profiles/{profile}").data
    assert (now["daily_spend_limit"], now["daily_spend_limit_enabled"]) == ("0.50", True)
    assert service.rest.send(tenant, profile, "0.01").codes == ["40333"]
    page.run("document.querySelectorAll('.toast').forEach((it) => it.remove())")
    page.click(f"{line} [data-toggle]")
    page.wait(lambda: not service.rest.get(f"/v2/messaging_profiles/{profile}").data["daily_spend_limit_enabled"],
              "the override")
    page.wait_for_text(".toast", "Daily limit saved.")
    assert service.rest.send(tenant, profile, "0.01").data["decision"] == "allowed"


def test_a_reservation_is_released_by_hand(page, service):
    tenant = service.tenant(name="Holder")
    held = service.rest.post("/v2/check_and_reserve", {
        "tenant_id": tenant, "action": "outbound_call", "mode": "reserve", "ttl_ms": 3_600_000,
        "quantities": {"spend": "1.00", "call_seconds": 120}}).data["id"]
    page.open(f"/tenants/{tenant}")
    assert "$1.00, 2 min" in page.text("section[aria-labelledby=reservations]")
    # Its age, which goes on.
    age = page.text("[data-age]")
    assert re.fullmatch(r"([0-9]+ min )?[0-9]{1,2} s", age)
    page.wait(lambda: page.text("[data-age]") != age, "another age")
    page.click(f'[data-release="{held}"]')
    page.wait_for_text("#confirm", "Release this reservation?")
    page.click("#confirm [value=no]")
    assert service.rest.get(f"/v2/reservations/{held}").status == 200
    page.click(f'[data-release="{held}"]')
    page.click("#confirm [data-yes]")
    page.wait_for_text(".empty", "No open reservations.")
    assert service.rest.get(f"/v2/reservations/{held}").status == 404


def test_usage_by_day_is_drawn_listed_and_downloadable(page, service):
    page.open("/tenants/acme?chart=decisions")
    assert len(page.all(".chart .hit")) == 30
    assert "highest on" in page.all("#chart-text")[0].get_attribute("textContent")
    page.click("details summary")
    assert len(page.all("details tbody tr")) == 30
    csv = page.driver.execute_async_script(
        'fetch("/tenants/acme/daily.csv").then((answer) => answer.text()).then(arguments[0])')
    lines = csv.strip().split("\r\n")
    assert lines[0] == (
        "day,spend_usd,extensions,dids,call_seconds,messages,allowed,denied,denied_40333,denied_49001,denied_49002,"
        "denied_49003,denied_49004,denied_49005,denied_49006,denied_49007,denied_49008,denied_20012,final"
    )
    # Of the days together: midnight may have come since it was spent.
    assert sum(decimal.Decimal(line.split(",")[1] or 0) for line in lines[1:]) == decimal.Decimal("28.90")


# MARK: defaults, alerts, audit, live


def test_tenant_defaults_pre_fill_new_tenants(page, service):
    page.open("/settings/tenant-defaults")
    page.fill("#default-max_dids", "11")
    page.fill("#default-alert_thresholds", "0")
    page.click("#tenant-defaults button[type=submit]")
    page.wait(lambda: page.all("#default-alert_thresholds[aria-invalid=true]"), "the error")
    page.click("[data-cautious]")
    page.fill("#default-max_extensions", "51")
    page.click("#tenant-defaults button[type=submit]")
    page.wait_for_text(".toast", "Defaults saved.")
    assert service.rest.tenant(service.tenant(name="Default"))["max_extensions"] == 51
    service.rest.patch("/v2/tenant_defaults", {"max_extensions": 50}).data


def test_alerts_show_events_deliveries_and_recipients(page, service):
    service.rest.check(service.tenant(name="Alarmed", max_extensions=1, auto_suspend=False), extensions=2)
    page.open("/alerts")
    page.wait_for_text("section[aria-labelledby=events]", "Limit reached")
    page.click("[data-new=endpoint]")
    page.click("#endpoint button[type=submit]")
    page.wait(lambda: page.all("#endpoint-url[aria-invalid=true]"), "the missing URL")
    url = f"{service.hooks.url}/{uuid.uuid4().hex[:6]}"
    page.fill("#endpoint-url", url)
    page.click("#endpoint [value='tenant.suspended']")
    page.click("#endpoint button[type=submit]")
    page.wait_for_text("section[aria-labelledby=endpoints]", url)
    assert [it["event_types"] for it in service.rest.all("/v2/webhook_endpoints") if it["url"] == url] == [
        ["tenant.suspended"]]
    page.click(f'[aria-label="Send a test to {url}"]')
    page.wait_for_text(".toast", "The test was delivered.")
    path = url.removeprefix(service.hooks.url)
    assert [got for got, _, _ in service.hooks.received].count(path) == 1
    page.open("/alerts")
    page.click(f'[aria-label="Resend to {url}"]')
    page.wait_for_text(".toast", "being resent")
    eventually(lambda: [got for got, _, _ in service.hooks.received].count(path) == 2)
    page.click(f'[aria-label="Delete {url}"]')
    page.click("#confirm [data-yes]")
    page.wait(lambda: url not in page.text("section[aria-labelledby=endpoints]"), "the deletion")
    page.click("[data-new=recipient]")
    page.fill("#recipient-address", "night@northwind.example")
    page.click("#recipient button[type=submit]")
    page.wait_for_text("section[aria-labelledby=recipients]", "night@northwind.example")


def test_a_change_behind_a_failure_is_made_once(page, service):
    """It was made, but its answer was a 503: whoever tries again sends the same key."""
    page.open("/alerts")
    page.run("""
        const send = window.fetch;
        window.fetch = async (path, options) => {
            const answer = await send(path, options);
            if (options?.method !== "POST") return answer;
            window.fetch = send;
            return new Response('{"errors":[{"detail":"Not confirmed in time"}]}', { status: 503 });
        };""")
    url = f"{service.hooks.url}/{uuid.uuid4().hex[:6]}"
    page.click("[data-new=endpoint]")
    page.fill("#endpoint-url", url)
    page.click("#endpoint button[type=submit]")
    page.wait_for_text("#endpoint .form-error", "Not confirmed in time")
    page.click("#endpoint button[type=submit]")
    page.wait_for_text("section[aria-labelledby=endpoints]", url)
    made = [it["id"] for it in service.rest.all("/v2/webhook_endpoints") if it["url"] == url]
    for endpoint in made:
        service.rest.delete(f"/v2/webhook_endpoints/{endpoint}")
    assert len(made) == 1


def test_a_test_mail_is_sent_to_a_recipient(page, service):
    address = f"{uuid.uuid4().hex[:6]}@northwind.example"
    service.rest.post("/v2/email_recipients", {"address": address, "name": "Standby"}).data
    page.open("/alerts")
    page.click(f'[aria-label="Send a test to {address}"]')
    page.wait_for_text(".toast", "The test was delivered.")
    mails = [message for envelope, message in list(service.mails.received) if envelope.rcpt_tos == [address]]
    assert len(mails) == 1 and "test" in mails[0]["Subject"].lower()
    # What went wrong is said, and stands in the list.
    service.mails.refused.add(address)
    page.open("/alerts")
    page.click(f'[aria-label="Send a test to {address}"]')
    page.wait_for_text(".toast", "The test failed:")
    page.open("/alerts")
    lines = [line.text for line in page.all("[data-delivery]") if address in line.text]
    assert len(lines) == 2 and "Delivered" in lines[1] and "Delivered" not in lines[0]


def test_the_audit_log_says_what_triggered_and_who_did_it(page, service):
    tenant = service.tenant(name="Audited", monthly_spend_limit="5.00")
    service.keyed_denial(tenant, spend="7.00")
    page.open(f"/audit?tenant={tenant}")
    text = page.text("main")
    assert "Monthly spend: $0.00 of $5.00 used, $7.00 asked" in text and "49001" in text
    assert "first operator" in text
    page.choose("#kind", "tenant_created")
    page.click(".toolbar button[type=submit]")
    page.wait(lambda: "kind=tenant_created" in page.path, "the filter")
    assert len(page.all("section tbody tr")) == 1
    csv = page.driver.execute_async_script(
        f'fetch("/audit.csv?tenant={tenant}").then((answer) => answer.text()).then(arguments[0])')
    assert "tenant_monthly_spend,5.00,0.00,0.00,7.00" in csv


@pytest.fixture
def load(service):
    """A load test that runs: the tenants it works on, some of them with caps that warn and never refuse."""
    for number in range(10):
        # The first one's limit is far: its bar moves for minutes. The others' are soon reached.
        limit = "60.00" if number == 0 else "2.00"
        tenant = service.tenant(id=f"load-{number:08}", name=f"Load {number}", monthly_spend_limit=limit,
                                max_extensions=None, max_dids=None, max_monthly_minutes=None, on_limit="alert")
        service.rest.post("/v2/messaging_profiles", {
            "id": f"{tenant}-profile-000", "tenant_id": tenant, "name": "Load",
            "whitelisted_destinations": ["US"]}).data
    test = LoadTest(service.server.endpoint, "--token", service.operator("load"), "--rate", "200", "--duration", "300s",
                    "--tenants", "10", "--profiles-per-tenant", "1", "--keys")
    yield test
    test.process.kill()
    test.process.communicate(timeout=60)


@pytest.mark.thorough
def test_everything_live_moves_while_load_runs(page, service, load):
    load.wait_for_progress(1)
    page.open("/tenants/load-00000000")
    card = '.card[data-limit="tenant_monthly_spend"]'
    widths = set()
    page.wait(lambda: widths.add(page.all(f"{card} .used")[0].get_attribute("width")) or len(widths) > 2,
              "a bar that moves")
    page.open("/live")
    page.wait_for_text("[data-live]", "Live")
    rate = lambda: page.text("[data-rate]").replace(",", "")  # noqa: E731
    page.wait(lambda: rate().isdigit() and int(rate()) > 50, "a rate")
    line = page.all("[data-chart] polyline")[0]
    points = line.get_attribute("points")
    page.wait(lambda: line.get_attribute("points") != points, "a line that moves")
    assert page.text("[data-p50]").endswith("s") and page.text("[data-p99]").endswith("s")
    page.wait_for_text("[data-nearest]", "Load 1")
    load.wait_for_progress(15)
    greedy = service.tenant(name="Greedy", max_dids=1, auto_suspend=False)
    for _ in range(100):
        service.rest.check(greedy, dids=2)
    load.wait_for_progress(20)
    page.picture("live-under-load")
    page.show(DESKTOP, dark=True)
    page.picture("live-under-load-dark")
    page.show(PHONE)
    page.picture("live-under-load-phone", PHONE)


def test_every_denial_is_counted(page, service):
    """Also one without an idempotency key, which leaves no record; a retry of one is decided anew, and counts."""
    tenant = service.tenant(max_monthly_minutes=1, auto_suspend=False, on_limit="block")
    page.open("/live")

    def counted():
        code = "//tbody[@data-codes]/tr[td[text()='49004']]/td[3]"
        return [int(cell.text) for cell in page.driver.find_elements("xpath", code)]

    def come(count, began):
        """Whether so many are shown, before the first of them is older than the minute that the page counts."""
        page.wait(lambda: counted() == [count] or time.monotonic() - began > 55, f"{count} denials")
        return counted() == [count]

    for attempt in range(5):
        page.wait(lambda: counted() == [], "the end of earlier ones", 120)
        began = time.monotonic()
        for _ in range(3):
            assert service.rest.check(tenant, "outbound_call", call_seconds=61).codes == ["49004"]
        if not come(3, began):
            continue
        body = {"tenant_id": tenant, "action": "outbound_call", "mode": "commit", "quantities": {"call_seconds": 61}}
        for _ in range(2):
            answer = service.rest.ask("POST", "/v2/check_and_reserve", body, {"Idempotency-Key": f"{tenant}-{attempt}"})
            assert answer.codes == ["49004"]
        if come(5, began):
            return
    raise AssertionError("three denials and two more were never shown within a minute")


def test_the_focus_stays_while_the_page_changes_by_itself(page, service):
    group = uuid.uuid4().hex[:6]
    tenant, rival = (
        service.tenant(name=f"{name} {group}", monthly_spend_limit="1.00", on_limit="alert", auto_suspend=False,
                       max_extensions=None, max_dids=None, max_monthly_minutes=None) for name in ("Full", "Fuller"))
    service.rest.record(tenant, spend="500.00")
    page.open("/live")
    line = f"tr[data-key='/tenants/{tenant}']"
    page.wait_for_text(f"{line} .limit-cell .use", "$500.00 used")
    page.run("window.held = document.querySelector(arguments[0]); held.focus()", f"{line} a")

    def is_held():
        return page.run("return document.activeElement === held && held.isConnected")

    def first(number):
        keys = page.run("return [...document.querySelectorAll('[data-nearest] tr')].map((it) => it.dataset.key)")
        return [key.removeprefix("/tenants/") for key in keys[:number]]

    assert is_held() and first(1) == [tenant]
    for spent in ("501", "502"):
        service.rest.record(tenant, spend="1.00")
        page.wait_for_text(f"{line} .limit-cell .use", f"${spent}.00 used")
        assert is_held()
    # Another one comes before it; and it stays where somebody stands on it even when it is none of the fullest.
    service.rest.record(rival, spend="700.00")
    page.wait(lambda: first(2) == [rival, tenant], "the order")
    assert is_held()
    service.rest.patch(f"/v2/tenants/{tenant}", {"monthly_spend_limit": None}).data
    service.rest.record(rival, spend="1.00")
    page.wait_for_text(f"tr[data-key='/tenants/{rival}'] .limit-cell .use", "$701.00 used")
    assert is_held()
    page.press(Keys.TAB)
    page.wait(lambda: not page.all(line), "the end of a line that nobody stands on")


# MARK: without authentication, without a journal


def test_live_works_without_a_journal(serve):
    rest = Rest(serve())
    page = Browser(rest.address)
    try:
        page.open("/live")
        page.wait_for_text("[data-live]", "Live")
        assert "--durability memory" in page.text("section[aria-labelledby=nearest]")
        assert rest.check("acme", dids=1_000).codes == ["49003"]
        page.wait_for_text("[data-codes]", "49003")
        assert page.faults() == [] and page.complaints() == []
        page.picture("live-in-memory")
    finally:
        page.close()


def test_without_authentication_another_site_changes_nothing(serve):
    rest = Rest(serve())
    answers = {
        site: rest.ask("POST", "/v2/tenants/acme/actions/suspend", headers={"Sec-Fetch-Site": site}).status
        for site in ("cross-site", "same-site", "same-origin")}
    assert answers == {"cross-site": 403, "same-site": 403, "same-origin": 200}


def test_what_is_not_known_is_not_said(serve, tmp_path):
    """The service goes while somebody works with its page."""
    server = serve("--data-dir", str(tmp_path / "data"))
    page = Browser(server.http)
    try:
        page.open("/settings/usage-limits?q=acme")
        page.click(f"{row('acme')} [data-edit]")
        page.find("#edit-limits[open]")
        page.fill("#edit-max_dids", "7")
        assert server.stop() == 0
        page.click("#edit-limits button[type=submit]")
        page.wait_for_text("#edit-limits .form-error", "may or may not have been made")
        assert "Nothing was changed" not in page.text("#edit-limits .form-error")
        page.click("[data-reset]")
        page.wait_for_text("#edit-limits .form-error", "cannot be reached")
        page.find("#edit-limits").send_keys(Keys.ESCAPE)
        page.wait(lambda: not page.all("#edit-limits[open]"), "the end of the dialog")
        page.click(f"{row('acme')} [data-edit]")
        page.wait_for_text(".toast", "cannot be reached")
        assert page.all(row("acme")), "the page stays"
    finally:
        page.close()


def test_a_stream_that_was_refused_is_asked_for_again(serve):
    """64 streams are all that there may be; the page comes to its own when others go."""
    rest = Rest(serve())
    streams = []
    for _ in range(64):
        connection = http.client.HTTPConnection(rest.address, timeout=60)
        connection.request("GET", "/live/events")
        streams.append((connection, connection.getresponse()))
        assert streams[-1][1].status == 200
    page = Browser(rest.address)
    try:
        page.open("/live")
        page.wait_for_text("[data-live]", "Reconnecting")
        for connection, stream in streams:
            stream.close()
            connection.close()
        page.wait_for_text("[data-live]", "Live")
    finally:
        page.close()


def test_streams_end_well_when_the_service_drains(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), "--drain-timeout", "120s")
    with contextlib.closing(http.client.HTTPConnection(server.http, timeout=60)) as connection:
        connection.request("GET", "/live/events")
        stream = connection.getresponse()
        assert stream.headers["Content-Type"] == "text/event-stream"
        while not stream.readline().startswith(b"data: {"):
            pass
        began = time.monotonic()
        assert server.stop(timeout=100) == 0
        assert time.monotonic() - began < 60, "it waited for a stream that has no end of its own"
        # Raises if the last chunk does not come.
        stream.read()
