"""Mails of the whole service to real mail servers: in the clear, with STARTTLS, with TLS, with a log-in."""

import datetime
import email.utils

import pytest
from control import Rest, eventually
from receivers import Authority, MailServer, free_port

SENDER = "alerts@example.com"


@pytest.fixture
def service(serve, tmp_path):
    """service(mail server or port, *arguments, security): the whole service on the test's data directory."""

    def start(mail, *arguments, security="none"):
        port = mail.port if isinstance(mail, MailServer) else mail
        return serve(
            "--data-dir", str(tmp_path / "data"), "--durability", "sync", "--smtp-host", "127.0.0.1",
            "--smtp-port", str(port), "--smtp-security", security, "--smtp-from", SENDER, *arguments, limits=None,
        )

    return start


@pytest.fixture
def mail_server():
    """mail_server(**options): a mail server that is closed after the test."""
    servers = []

    def start(**options):
        servers.append(MailServer(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def log_in(tmp_path):
    """Arguments for a log-in with a password."""

    def arguments(password, user="tollgate"):
        file = tmp_path / "password"
        file.write_text(password + "\n")
        file.chmod(0o600)
        return ("--smtp-user", user, "--smtp-password-file", str(file))

    return arguments


def alert(rest, tenant="acme", address="ops@example.org", name="ACME"):
    """Has somebody mailed: a tenant at 80% of its minutes."""
    if address:
        rest.post("/v2/email_recipients", {"address": address}).data
    rest.post("/v2/tenants", {"id": tenant, "name": name, "max_monthly_minutes": 1000}).data
    rest.record(tenant, call_seconds=800 * 60)


def deliveries(rest):
    return rest.all("/v2/webhook_deliveries?filter[channel]=email")


def delivery(rest, address="ops@example.org", status=None):
    """The delivery to an address, once it has an attempt and that status."""

    def ask():
        return [row for row in deliveries(rest)
                if row["url"] == address and row["attempts"] and status in (None, row["status"])]

    return eventually(ask, what=f"an attempt to {address}")[0]


def codes(row):
    """Status codes of a delivery's attempts, newest first."""
    return [attempt["status_code"] for attempt in row["attempts"]]


# MARK: what is sent


def test_an_alert_is_mailed_as_the_guide_says(service, mail_server):
    mail = mail_server()
    rest = Rest(service(mail, "--brand-name", "Bäcker Telecom"))
    alert(rest)
    [(_, envelope, message)] = eventually(lambda: mail.mails)
    assert envelope.mail_from == SENDER and envelope.rcpt_tos == ["ops@example.org"]
    assert message["Subject"] == "Tenant ACME has hit 80% of their monthly minute cap."
    assert not message.defects and not any(part.defects for part in message.walk())
    [sender] = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Bäcker Telecom", SENDER)
    assert [to.addr_spec for to in message["To"].addresses] == ["ops@example.org"]
    assert message["Auto-Submitted"] == "auto-generated"
    [event] = rest.all("/v2/events?filter[tenant_id]=acme")
    assert message["Message-ID"] == f"<{event['id']}@example.com>"
    age = datetime.datetime.now(datetime.timezone.utc) - email.utils.parsedate_to_datetime(message["Date"])
    assert abs(age.total_seconds()) < 60

    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for part in [text.get_content(), html.get_content()]:
        for fact in ["monthly minute cap", "1,000 minutes", "800 minutes (80%)", "Resets at", "Bäcker Telecom"]:
            assert fact in part, fact
    assert "http" not in html.get_content(), "nothing is loaded from elsewhere"
    # Lines that no server refuses.
    assert all(len(line) <= 76 for line in envelope.content.split(b"\r\n"))

    row = delivery(rest, status="delivered")
    assert row["channel"] == "email" and row["event_id"] == event["id"]
    [attempt] = row["attempts"]
    assert (attempt["status_code"], attempt["error"], attempt["target"]) == (250, None, "ops@example.org")


def test_names_of_all_kinds_arrive_whole(service, mail_server):
    mail = mail_server()
    rest = Rest(service(mail))
    name = '.Bäckerei <b>"Söhne" & Töchter</b>, 東京 🥐 =?utf-8?Q?x?='
    alert(rest, name=name)
    [(_, _, message)] = eventually(lambda: mail.mails)
    assert message["Subject"] == f"Tenant {name} has hit 80% of their monthly minute cap."
    text, html = message.iter_parts()
    assert name in text.get_content()
    assert "<b>" not in html.get_content() and "&lt;b&gt;&quot;Söhne&quot; &amp; Töchter" in html.get_content()


def test_every_recipient_and_nobody_else_is_mailed(service, mail_server):
    mail = mail_server()
    rest = Rest(service(mail))
    for address in ["a@example.org", "b@example.org"]:
        rest.post("/v2/email_recipients", {"address": address}).data
    rest.post("/v2/email_recipients", {"address": "off@example.org", "enabled": False}).data
    rest.post("/v2/email_recipients", {"address": "other@example.org", "event_types": ["tenant.suspended"]}).data
    alert(rest, address=None)
    eventually(lambda: len(mail.mails) == 2)
    # One mail each: nobody learns who else is told.
    assert sorted(envelope.rcpt_tos for _, envelope, _ in mail.mails) == [["a@example.org"], ["b@example.org"]]
    assert len({message["Message-ID"] for _, _, message in mail.mails}) == 1
    assert sorted(row["url"] for row in deliveries(rest)) == ["a@example.org", "b@example.org"]


def test_suspension_and_reinstatement_are_mailed(service, mail_server):
    mail = mail_server()
    rest = Rest(service(mail))
    rest.post("/v2/email_recipients", {"address": "ops@example.org"}).data
    rest.post("/v2/tenants", {"id": "acme", "max_dids": 1, "auto_suspend": True, "alert_threshold": 100}).data
    assert rest.check("acme", "assign_did", dids=2).status == 403
    rest.post("/v2/tenants/acme/actions/reinstate").data
    eventually(lambda: len(mail.mails) == 3)
    assert sorted(mail.subjects) == [
        "Tenant acme has been reinstated.",
        "Tenant acme has been suspended: they have hit their DID cap.",
        "Tenant acme has hit their DID cap.",
    ]


def test_a_test_mail_is_sent_on_demand(service, mail_server):
    mail = mail_server()
    rest = Rest(service(mail))
    recipient = rest.post("/v2/email_recipients", {"address": "ops@example.org"}).data["id"]
    rest.post(f"/v2/email_recipients/{recipient}/actions/test").data
    rest.post("/v2/email_recipients/actions/test", {"address": "else@example.org"}).data
    eventually(lambda: len(mail.mails) == 2)
    assert {address for _, envelope, _ in mail.mails for address in envelope.rcpt_tos} == {
        "ops@example.org", "else@example.org",
    }


# MARK: security


def test_starttls_and_a_log_in(service, mail_server, authority, log_in):
    mail = mail_server(starttls=authority.context(), users={"tollgate": "s3cret: ä"})
    server = service(mail, "--smtp-ca-file", str(authority.file), *log_in("s3cret: ä"), security="starttls")
    rest = Rest(server)
    alert(rest)
    [(session, _, message)] = eventually(lambda: mail.mails)
    assert session.ssl is not None and session.authenticated
    assert mail.logins == [("tollgate", "s3cret: ä")]
    assert "monthly minute cap" in message["Subject"]
    assert not any("s3cret" in line for line in server.log)


def test_tls_from_the_first_byte(service, mail_server, authority):
    mail = mail_server(tls=authority.context())
    alert(Rest(service(mail, "--smtp-ca-file", str(authority.file), security="tls")))
    [(_, envelope, _)] = eventually(lambda: mail.mails)
    assert envelope.rcpt_tos == ["ops@example.org"]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("trouble", ["unknown authority", "another's name", "no STARTTLS"])
def test_a_server_that_cannot_be_trusted_gets_nothing(service, mail_server, authority, log_in, tmp_path, trouble):
    users = {"tollgate": "secret"}
    file = authority.file
    if trouble == "unknown authority":
        mail = mail_server(starttls=authority.context(), users=users)
        file = Authority(tmp_path, "Another Authority").file
    elif trouble == "another's name":
        mail = mail_server(starttls=authority.context("127.0.0.99"), users=users)
    else:
        mail = mail_server(users=users)
    rest = Rest(service(mail, "--smtp-ca-file", str(file), *log_in("secret"), security="starttls"))
    alert(rest)
    row = delivery(rest)
    assert row["status"] == "pending", "it may be mended"
    error = row["attempts"][0]["error"]
    assert ("STARTTLS" if trouble == "no STARTTLS" else "TLS connection") in error, error
    assert not mail.mails and not mail.logins


def test_a_wrong_password_is_told(service, mail_server, authority, log_in):
    mail = mail_server(starttls=authority.context(), users={"tollgate": "right"})
    rest = Rest(service(mail, "--smtp-ca-file", str(authority.file), *log_in("wrong"), security="starttls"))
    alert(rest)
    attempt = delivery(rest)["attempts"][0]
    assert attempt["status_code"] == 535 and "log-in" in attempt["error"]
    assert "wrong" not in attempt["error"].lower().replace("wrong password", "")
    assert not mail.mails and mail.logins


# MARK: refusals and failures


def test_a_refused_recipient_delays_no_other(service, mail_server):
    mail = mail_server(refuse={"gone@example.org": "550 5.1.1 nobody of that name"})
    rest = Rest(service(mail))
    rest.post("/v2/email_recipients", {"address": "gone@example.org"}).data
    alert(rest)
    eventually(lambda: mail.mails)
    assert codes(delivery(rest, status="delivered")) == [250]
    row = delivery(rest, "gone@example.org")
    attempt = row["attempts"][0]
    assert attempt["status_code"] == 550 and "5.1.1 nobody of that name" in attempt["error"]
    # A refusal for good is not tried again.
    assert row["status"] == "failed" and row["next_attempt_at"] is None
    assert [envelope.rcpt_tos for _, envelope, _ in mail.mails] == [["ops@example.org"]]


@pytest.mark.thorough
def test_a_temporary_refusal_is_tried_again(service, mail_server):
    mail = mail_server(refuse={"ops@example.org": "451 4.7.1 greylisted, come back"})
    rest = Rest(service(mail))
    alert(rest)
    row = delivery(rest)
    attempt = row["attempts"][0]
    assert row["status"] == "pending" and attempt["status_code"] == 451
    assert "4.7.1 greylisted, come back" in attempt["error"]
    mail.refuse.clear()
    eventually(lambda: mail.mails)
    [last, *before] = codes(delivery(rest, status="delivered"))
    assert last == 250 and set(before) == {451}


@pytest.mark.thorough
def test_a_dead_server_is_tried_again_until_it_lives(service, mail_server):
    port = free_port()
    rest = Rest(service(port))
    alert(rest)
    row = delivery(rest)
    assert row["status"] == "pending" and row["next_attempt_at"] is not None
    assert row["attempts"][0]["status_code"] is None and row["attempts"][0]["error"]
    mail = mail_server(port=port)
    [(_, _, message)] = eventually(lambda: mail.mails)
    assert message["Message-ID"] == f"<{row['event_id']}@example.com>"
    assert codes(delivery(rest, status="delivered"))[0] == 250


def test_what_waits_for_a_dead_server_outlives_a_restart(service, mail_server):
    port = free_port()
    first = service(port)
    alert(Rest(first))
    row = delivery(Rest(first))
    assert first.stop() == 0
    mail = mail_server(port=port)
    rest = Rest(service(port))
    [(_, envelope, message)] = eventually(lambda: mail.mails)
    assert message["Message-ID"] == f"<{row['event_id']}@example.com>"
    assert envelope.rcpt_tos == ["ops@example.org"]
    [last, *before] = codes(delivery(rest, status="delivered"))
    assert last == 250 and set(before) == {None}
