"""The metrics, the rules of deploy/prometheus and the dashboard of deploy/grafana in the hands of promtool and of a real
Prometheus (Debian's package)."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

import grpc
import pytest
import yaml
from conftest import ROOT, request
from control import Rest, eventually
from scraping import ask, documented, journal, provoke  # noqa: F401


@pytest.fixture(scope="session")
def programs():
    """The directory of prometheus and promtool: the system's, else what the set-up of the tests has unpacked."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return pathlib.Path(shutil.which("promtool")).parent
    unpacked = pathlib.Path(os.environ.get("TOLLGATE_SCRATCH", ROOT / ".build")) / "debian/prometheus/usr/bin"
    assert (unpacked / "promtool").exists(), "there is no Prometheus: setup_python of Tools/lib/setup.sh unpacks it"
    return unpacked


def promtool(programs, *arguments, given=None):
    done = subprocess.run(
        [programs / "promtool", *arguments], input=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_takes_the_metrics(programs, contract, journal):  # noqa: F811
    server = journal()
    provoke(contract, server)
    told = promtool(programs, "check", "metrics", given=ask(server.ops)[2])
    assert told == "", told


def test_promtool_takes_the_rules(programs):
    assert "21 rules found" in promtool(programs, "check", "rules", str(ROOT / "deploy/prometheus/alerts.yaml"))
    promtool(programs, "test", "rules", str(ROOT / "Tools/tests/fixtures/alerts.yaml"))
    promtool(programs, "check", "config", "--syntax-only", str(ROOT / "deploy/prometheus/scrape.yaml"))


def alerts():
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]


def test_every_alert_is_tested_and_says_what_to_do():
    tests = yaml.safe_load((ROOT / "Tools/tests/fixtures/alerts.yaml").read_text())["tests"]
    page = (ROOT / "docs/operate/metrics.md").read_text()
    well = {test["alertname"] for test in tests[0]["alert_rule_test"] if test["exp_alerts"] == []}
    fires = {test["alertname"] for part in tests[1:] for test in part["alert_rule_test"] if test["exp_alerts"]}
    names = {rule["alert"] for rule in alerts()}
    assert names == well == fires
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/operate/metrics.md#{rule['alert'].lower()}"
        assert re.search(rf"(?m)^### {rule['alert']}$", page), rule["alert"]


def expressions():
    """(where, expression) of dashboard and alerts."""
    board = json.loads((ROOT / "deploy/grafana/tollgate.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"].replace("$job", "tollgate").replace("$__rate_interval", "1m")
    for rule in alerts():
        yield rule["alert"], rule["expr"]


def test_dashboard_and_alerts_name_metrics_that_exist():
    names = documented()
    known = set(names) | {"up"} | {f"tollgate:grpc_errors:ratio_rate{time}" for time in ["5m", "30m", "1h", "6h"]}
    known |= {f"{name}{suffix}" for name, (kind, _) in names.items() if kind == "histogram"
              for suffix in ["_bucket", "_sum", "_count"]}
    for where, expression in expressions():
        for name in re.findall(r"\b(?:tollgate|process|up)[a-z0-9_:]*", re.sub(r'"[^"]*"', "", expression)):
            assert name in known, f"{where}: {name}"
    shown = " ".join(expression for _, expression in expressions())
    assert {name for name in names if name not in shown} == set(), "a metric that nobody looks at"


class Prometheus:
    """A Prometheus that scrapes services every second and evaluates the alerts."""

    def __init__(self, programs, directory, servers, rules):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        (directory / "prometheus.yml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "tollgate", "static_configs": [{"targets": [server.ops for server in servers]}]}],
        }))
        self.log = open(directory / "prometheus.log", "w")
        self.process = subprocess.Popen(
            [programs / "prometheus", f"--config.file={directory}/prometheus.yml",
             f"--storage.tsdb.path={directory}/tsdb", f"--web.listen-address={self.address}", "--log.level=warn"],
            stdout=subprocess.DEVNULL, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=30) as answer:
                return json.load(answer)["data"]
        except OSError:
            assert self.process.poll() is None, "Prometheus has ended"
            return None

    def query(self, expression):
        found = self.get("query?" + urllib.parse.urlencode({"query": expression}))
        return found["result"] if found else []

    def firing(self):
        found = self.get("alerts")
        return {alert["labels"]["alertname"] for alert in (found or {"alerts": []})["alerts"]
                if alert["state"] == "firing"}


def sooner(directory):
    """The alerts, as they stand but for how long a state must last."""
    text = (ROOT / "deploy/prometheus/alerts.yaml").read_text()
    rules = directory / "alerts.yaml"
    rules.write_text(re.sub(r"for: \w+", "for: 2s", text))
    return rules


@contextlib.contextmanager
def traffic(contract, server):
    """Decisions of each kind, and calls that fail, until the block ends."""
    stop = threading.Event()

    def work():
        with grpc.insecure_channel(server.endpoint) as channel:
            stub = contract.Stub(channel)
            while not stop.is_set():
                with contextlib.suppress(grpc.RpcError):
                    stub.CheckAndReserve(request(contract, "open", spend=1, ttl_ms=1_000), timeout=60)
                    stub.CheckAndReserve(request(contract, "acme", extensions=9), timeout=60)
                    stub.Release(contract.ReleaseRequest(reservation_id=1 << 40), timeout=60)
                with contextlib.suppress(OSError):
                    Rest(server).get("/v2/tenants/open")
                stop.wait(0.01)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join(120)


@pytest.mark.thorough
def test_every_panel_has_a_series(programs, contract, journal, serve, tmp_path):  # noqa: F811
    """Of a service in the clear with traffic, and of one with TLS beside it; and no alert fires."""
    server = journal()
    made = tmp_path / "certificates"
    subprocess.run([ROOT / "Tools/dev-certificates", made], check=True, capture_output=True, timeout=120)
    secured = serve(
        "--tls-certificate", str(made / "server.pem"), "--tls-key", str(made / "server-key.pem"), "--ops-listen",
        "127.0.0.1:0")
    provoke(contract, server)
    with Prometheus(programs, tmp_path, [server, secured], sooner(tmp_path)) as prometheus, traffic(contract, server):
        eventually(lambda: len(prometheus.query('up{job="tollgate"} == 1')) == 2, what="the scrapes")
        targets = prometheus.get("targets")["activeTargets"]
        assert [target["lastError"] for target in targets] == ["", ""]
        panels = [(where, expression) for where, expression in expressions() if where.startswith("panel ")]
        assert len(panels) > 70

        def missing():
            return [panel for panel in panels if not prometheus.query(panel[1])]

        with contextlib.suppress(AssertionError):
            eventually(lambda: not missing(), 60)
        assert missing() == []
        # What an alert asks for is not there while all is well; the metrics that it compares are.
        names = {name for rule in alerts() for name in re.findall(r"\b(?:tollgate|process)[a-z0-9_:]+", rule["expr"])}
        assert len(names) > 20
        assert [name for name in sorted(names) if not prometheus.query(name)] == []
        # How full this machine's disk is is not the service's to say.
        assert prometheus.firing() <= {"TollgateDiskFilling"}


@pytest.mark.thorough
def test_the_alert_fires_when_the_disk_stops(programs, contract, journal, preload, tmp_path):  # noqa: F811
    """A real service whose disk confirms nothing any more, scraped by a real Prometheus: the journal's alert fires, and it
    ends when the disk goes on."""
    stall = tmp_path / "stall"
    server = journal(environment={"LD_PRELOAD": preload, "TOLLGATE_TEST_STALL": str(stall)})
    with Prometheus(programs, tmp_path, [server], sooner(tmp_path)) as prometheus, traffic(contract, server):
        eventually(lambda: prometheus.query("tollgate_journal_commits_total > 10"), what="traffic")
        assert "TollgateJournalStalled" not in prometheus.firing()
        stall.touch()
        try:
            eventually(lambda: "TollgateJournalStalled" in prometheus.firing(), what="the alert")
            [alert] = [alert for alert in prometheus.get("alerts")["alerts"]
                       if alert["labels"]["alertname"] == "TollgateJournalStalled"]
            assert alert["labels"]["severity"] == "page" and alert["labels"]["instance"] == server.ops
            assert "cannot record changes" in alert["annotations"]["summary"]
            assert "TollgateDown" not in prometheus.firing()
            # What the alert is about is what callers see.
            assert ask(server.ops, "/readyz")[0] == 503
        finally:
            stall.unlink()
        eventually(lambda: "TollgateJournalStalled" not in prometheus.firing(), what="the alert's end")
        assert ask(server.ops, "/readyz")[0] == 200
