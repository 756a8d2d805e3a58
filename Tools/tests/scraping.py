"""What tests of the metrics share: scrapes, and a service with a journal and an ops listener to scrape."""

import contextlib
import http.client
import re
import socket

import grpc
import pytest
from conftest import ROOT, failure, request
from control import Rest
from prometheus_client import parser as classic

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
METHOD = "tollgate.v1.LimitService/"
LIMITS = """
tenants:
  - {id: acme, max_extensions: 3, max_dids: 1, on_limit: block}
  - {id: open}
"""


class Scrape:
    """What a scrape found: scrape("name", label=value, ...) is a sample's value."""

    def __init__(self, text, parse=classic.text_string_to_metric_families):
        self.text = text
        self.families = list(parse(text))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                key = (sample.name, frozenset((name, value) for name, value in sample.labels.items() if value))
                assert key not in self.samples, f"{key} is there twice"
                self.samples[key] = sample.value

    def __call__(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def all(self, name):
        """{labels: value} of the samples of a name that are not 0."""
        return {
            tuple(sorted(labels)): value for (found, labels), value in self.samples.items() if found == name and value
        }


def ask(address, path="/metrics", headers=None, method="GET", timeout=60):
    """Status, headers, text."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=timeout)) as connection:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def scrape(address, **options):
    status, headers, text = ask(address, **options)
    assert status == 200, text
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(text)


@pytest.fixture
def journal(serve, tmp_path):
    def start(*arguments, limits=LIMITS, **options):
        server = serve(
            "--data-dir", str(tmp_path / "data"), "--ops-listen", "127.0.0.1:0", *arguments, limits=limits, **options
        )
        server.data = tmp_path / "data"
        return server

    return start


def documented():
    """{name: (kind, labels)} of the reference page."""
    page = (ROOT / "docs/reference/metrics.md").read_text()
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| (.*?) \| ", page)
    assert len(rows) > 60
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def provoke(contract, server):
    """Has those series appear that begin with their first event."""
    assert Rest(server).get("/v2/tenants/open").status == 200
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        stub.CheckAndReserve(request(contract, "open", spend=1), timeout=60)
        failure(stub.CheckAndReserve, request(contract, "nobody", spend=1))
        watch = stub.WatchUsage(contract.WatchUsageRequest(tenant_id="open"), timeout=60)
        next(watch)
        watch.cancel()
    with socket.create_connection(server.endpoint.rsplit(":", 1), timeout=60) as connection:
        # SETTINGS of a stream: an error of the connection.
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 1]))
        while connection.recv(4096):
            pass
