"""What tests of the control plane share: the REST API seen with plain HTTP, receivers of webhooks and mail."""

import contextlib
import email
import email.policy
import http.client
import http.server
import json
import socket
import threading
import time

from aiosmtpd.controller import Controller
from conftest import tollgate


class Answer:
    """A REST answer: status, headers, body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        raw = response.read()
        self.body = json.loads(raw) if raw else None

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
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=20)) as connection:
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


def eventually(ask, seconds=15, what="it"):
    """The first true value of ask(); the service delivers in its own time."""
    end = time.monotonic() + seconds
    while True:
        value = ask()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.02)


class Hooks:
    """A receiver of webhooks: `received` holds (path, headers, body) of each POST."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, dict(self.headers), raw))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, event_type):
        """Bodies of a type of event, each event once."""
        bodies = {}
        for _, _, raw in list(self.received):
            body = json.loads(raw)
            if body["data"]["event_type"] == event_type:
                bodies[body["data"]["id"]] = body
        return list(bodies.values())

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Mailbox:
    """A mail server: `received` holds (envelope, parsed message) of each mail."""

    def __init__(self):
        self.received = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, _server, _session, envelope):
        self.received.append((envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 taken"

    def subjects(self):
        return [str(message["Subject"]) for _, message in list(self.received)]

    def close(self):
        self.controller.stop()


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
    return [json.loads(line) for line in done.stdout.splitlines()]
