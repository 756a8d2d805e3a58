"""What tests of the control plane share: the REST API seen with plain HTTP, receivers of webhooks and mail."""

import contextlib
import http.client
import http.server
import json
import threading
import time

from conftest import tollgate
from receivers import MailServer, Receiver


def compact(value):
    """JSON as the service writes it: no spaces, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Answer:
    """A REST answer: status, headers, body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        raw = response.read()
        self.body = json.loads(raw) if raw else None
        assert not raw or raw.decode() == compact(self.body)

    @property
    def data(self):
        assert self.status == 200, f"{self.status}: {self.body}"
        return self.body["data"]

    @property
    def codes(self):
        return [error["code"] for error in self.body["errors"]]

    def __repr__(self):
        return f"{self.status} {self.body}"


class Rest:
    """rest.get(path), rest.post(path, body) and so on, each on a connection of its own."""

    def __init__(self, server, token=None):
        self.address = server.http
        self.token = token

    def ask(self, method, path, body=None, headers=None):
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=60)) as connection:
            fields = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            if body is not None:
                fields["Content-Type"] = "application/json"
            text = body if isinstance(body, str) or body is None else json.dumps(body)
            connection.request(method, path, text, {**fields, **(headers or {})})
            return Answer(connection.getresponse())

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.ask("POST", path, body, **options)

    def patch(self, path, body, **options):
        return self.ask("PATCH", path, body, **options)

    def delete(self, path, **options):
        return self.ask("DELETE", path, **options)

    def all(self, path):
        """The rows of a list that is shorter than a page."""
        return self.get(path + ("&" if "?" in path else "?") + "page[size]=250").data

    # MARK: the data plane, in the shortest form

    def check(self, tenant, action="charge", mode="commit", profile=None, **quantities):
        body = {"tenant_id": tenant, "action": action, "mode": mode, "quantities": quantities}
        if profile:
            body["messaging_profile_id"] = profile
        return self.post("/v2/check_and_reserve", body)

    def send(self, tenant, profile, spend):
        return self.check(tenant, "send_message", profile=profile, spend=spend)

    def record(self, tenant, **quantities):
        return self.post("/v2/usage_records", {"tenant_id": tenant, "action": "charge", "quantities": quantities}).data

    def tenant(self, tenant):
        return self.get(f"/v2/tenants/{tenant}").data

    def limits(self, tenant, profile=None):
        """{limit: its state}"""
        path = f"/v2/tenants/{tenant}/usage" + (f"?messaging_profile_id={profile}" if profile else "")
        return {limit["limit"]: limit for limit in self.get(path).data["limits"]}


def eventually(ask, seconds=90, what="it"):
    """The first true value of ask(); the service delivers in its own time."""
    end = time.monotonic() + seconds
    while True:
        value = ask()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.02)


def wait_until_read(connection):
    """Until a server on this machine has read all that was sent on an IPv4 connection."""
    here, there = connection.getsockname()[1], connection.getpeername()[1]

    def is_read():
        with open("/proc/net/tcp") as table:
            for line in list(table)[1:]:
                fields = line.split()
                local, remote = (int(address.split(":")[1], 16) for address in fields[1:3])
                if (local, remote) == (there, here):
                    return int(fields[4].split(":")[1], 16) == 0
        return False

    eventually(is_read, what="the server's reading")


class Hooks(Receiver):
    """A receiver of webhooks that takes them all: `received` holds (path, headers, body) of each POST."""

    @property
    def received(self):
        return [(post.path, post.headers, post.raw) for post in list(self.posts)]

    def of(self, event_type):
        """Bodies of a type of event, each event once."""
        return list({post.id: post.body for post in super().of(event_type)}.values())


class Between:
    """Hands REST requests on to a service; `before(method, path)` is called first. To be used in the service's place."""

    def __init__(self, service, before):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def hand_on(self):
                before(self.command, self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
                with contextlib.closing(http.client.HTTPConnection(service.http, timeout=60)) as connection:
                    connection.request(self.command, self.path, body, dict(self.headers))
                    answer = connection.getresponse()
                    raw = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("date", "server", "connection"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PATCH = do_DELETE = hand_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.http = f"127.0.0.1:{self.server.server_port}"
        self.endpoint = service.endpoint
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Mailbox(MailServer):
    """A mail server that takes everything: `received` holds (envelope, parsed message) of each mail."""

    @property
    def received(self):
        return [(envelope, message) for _, envelope, message in list(self.mails)]

    def subjects(self):
        return [str(message["Subject"]) for _, message in self.received]


def run(server, *arguments, status=0, token=None):
    """The command for people: what it prints."""
    environment = {"TOLLGATE_TOKEN": token} if token else None
    done = tollgate(server, *arguments, environment=environment)
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if status == 0 else done.stdout + done.stderr


def run_json(server, *arguments, status=0, token=None):
    """The command for scripts: its JSON objects, one a line."""
    environment = {"TOLLGATE_TOKEN": token} if token else None
    named = list(arguments)
    named.insert(named.index("--") if "--" in named else len(named), "--json")
    done = tollgate(server, *named, environment=environment)
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    lines = done.stdout.splitlines()
    values = [json.loads(line) for line in lines]
    assert lines == [compact(value) for value in values]
    return values
