"""/metrics and the ops listener, read by a foreign parser (test_prometheus.py: by Prometheus itself).

What the figures are is compared exactly: after traffic that is known each counter has what it must have, and no other.
"""

import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import threading
import time

import grpc
import pytest
from conftest import BINARY, ROOT, failure, quantities, request, tollgate
from control import Rest, eventually
from prometheus_client.openmetrics import parser as openmetrics
from scraping import LIMITS, METHOD, OPENMETRICS, Scrape, ask, documented, journal, provoke, scrape  # noqa: F401
from test_faults import Injection, segment


def test_every_metric_is_documented_and_there(contract, journal):  # noqa: F811
    """By its strict parser: names, kinds, units, labels, no sample twice, histograms that add up."""
    server = journal()
    provoke(contract, server)
    eventually(lambda: scrape(server.ops).all("tollgate_http2_resets_total"), what="the reset")
    eventually(lambda: scrape(server.ops).all("tollgate_http2_connections_ended_total"), what="the end")
    status, headers, text = ask(server.ops, headers={"Accept": OPENMETRICS})
    assert status == 200 and headers["Content-Type"] == OPENMETRICS
    open_metrics = Scrape(text, openmetrics.text_string_to_metric_families)
    plain = scrape(server.ops)
    names = documented()
    # With TLS only.
    apart = {"tollgate_tls_certificate_expiry_timestamp_seconds", "tollgate_tls_handshake_failures_total"}
    found = set()
    for family in open_metrics.families:
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        kind, labels = names[name]
        found.add(name)
        assert family.type == kind and family.documentation, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample
    assert found == set(names) - apart
    # Both formats say the same of what does not move.
    for name in ["tollgate_decisions_total", "tollgate_table_capacity", "tollgate_grpc_requests_total"]:
        assert open_metrics.all(name) == plain.all(name) != {}
    assert len(text) < 100_000


def test_figures_of_known_traffic(contract, journal):  # noqa: F811
    server = journal()
    rest = Rest(server)
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)

        def check(tenant, mode, key="", **amounts):
            return stub.CheckAndReserve(
                request(contract, tenant, mode=mode, idempotency_key=key, ttl_ms=600_000, **amounts), timeout=60
            )

        held = [check("open", contract.MODE_RESERVE, dids=1).reservation_id for _ in range(5)]
        check("open", contract.MODE_RESERVE, key="k", dids=1)
        check("open", contract.MODE_RESERVE, key="k", dids=1)
        check("acme", contract.MODE_COMMIT, extensions=2)
        for _ in range(2):
            check("acme", contract.MODE_COMMIT, extensions=2)
        check("acme", contract.MODE_CHECK_ONLY, extensions=2)
        check("acme", contract.MODE_PARTIAL, extensions=2)
        check("open", contract.MODE_CHECK_ONLY, spend=2)
        stub.Commit(contract.CommitRequest(reservation_id=held[0]), timeout=60)
        stub.Release(contract.ReleaseRequest(reservation_id=held[1]), timeout=60)
        # Once more: a stored answer, no second end.
        stub.Release(contract.ReleaseRequest(reservation_id=held[1]), timeout=60)
        stub.Extend(contract.ExtendRequest(
            reservation_id=held[2], additional=quantities(contract, dids=1)), timeout=60)
        for _ in range(3):
            failure(stub.Release, contract.ReleaseRequest(reservation_id=held[0]))
        failure(channel.unary_unary("/tollgate.v1.LimitService/Nothing"), b"")
        stub.CheckAndReserveBatch(
            contract.CheckAndReserveBatchRequest(requests=[request(contract, "open", spend=1)] * 3), timeout=60)
        # The same over REST.
        assert rest.check("open", spend="1.00").status == 200
        assert rest.check("acme", "provision_extension", extensions=2).status == 403
        assert rest.get("/v2/tenants/none").status == 404
        assert rest.get("/v2/tenants/acme").status == 200
        assert rest.get("/v2/tenants/open").status == 200
        found = eventually(lambda: settled(server), what="the figures")
    assert found.all("tollgate_decisions_total") == {
        labels("check_and_reserve", "reserve", "allowed"): 9,
        labels("check_and_reserve", "commit", "allowed"): 2,
        labels("check_and_reserve", "commit", "denied", "49002"): 3,
        labels("check_and_reserve", "check_only", "allowed"): 1,
        labels("check_and_reserve", "check_only", "denied", "49002"): 1,
        labels("check_and_reserve", "partial", "allowed"): 1,
        labels("extend", "", "allowed"): 1,
    }
    assert found("tollgate_stored_answers_total") == 1
    assert found("tollgate_holds_opened_total") == 10
    assert found.all("tollgate_holds_ended_total") == {(("how", "committed"),): 1, (("how", "released"),): 1}
    assert found("tollgate_holds_open") == 8
    assert {dict(key)["method"].removeprefix(METHOD): value for key, value in
            found.all("tollgate_grpc_requests_total").items()} == {
        "CheckAndReserve": 13, "Commit": 1, "Release": 5, "Extend": 1, "CheckAndReserveBatch": 1,
    }
    assert found.all("tollgate_grpc_failures_total") == {
        (("code", "FAILED_PRECONDITION"), ("method", METHOD + "Release")): 3,
        (("code", "UNIMPLEMENTED"), ("method", "unknown")): 1,
    }
    for name in ["request_duration", "decision_duration"]:
        assert found(f"tollgate_grpc_{name}_seconds_count") == 21
    requests = {(dict(key)["method"], dict(key)["route"], dict(key)["status"]): value
                for key, value in found.all("tollgate_http_requests_total").items()}
    assert requests == {
        ("POST", "/v2/check_and_reserve", "200"): 1, ("POST", "/v2/check_and_reserve", "403"): 1,
        ("GET", "/v2/tenants/{id}", "404"): 1, ("GET", "/v2/tenants/{id}", "200"): 2,
    }
    assert found("tollgate_http_request_duration_seconds_count") == 5
    # Group commits are each one write and one sync.
    commits = found("tollgate_journal_commits_total")
    assert commits > 0
    assert found("tollgate_journal_commit_duration_seconds_count") == commits
    assert found("tollgate_journal_sync_duration_seconds_count") == commits
    assert found("tollgate_journal_commit_duration_seconds_sum") >= found("tollgate_journal_sync_duration_seconds_sum")
    assert found("tollgate_journal_open") == 1 and found("tollgate_journal_failed") == 0
    assert found("tollgate_table_used", what="tenants") == 2
    assert found("tollgate_connections", port="grpc") == 1
    assert found("tollgate_disk_size_bytes") >= found("tollgate_disk_free_bytes") > 0
    assert found("tollgate_build_info", version=version()) == 1
    assert abs(found("process_start_time_seconds") - time.time()) < 300
    assert found("process_open_fds") < found("process_max_fds")


def version():
    return subprocess.run([BINARY, "version"], capture_output=True, text=True, check=True).stdout.split()[1]


def labels(operation, mode, answer, code=""):
    named = {"operation": operation, "mode": mode, "answer": answer, "code": code}
    return tuple(sorted((name, value) for name, value in named.items() if value))


def settled(server):
    """A scrape when nothing is under way any more, and all is on disk; else nothing."""
    found = scrape(server.ops)
    quiet = found("tollgate_journal_waiting_bytes") == 0 and found("tollgate_grpc_answers_waiting") == 0
    counted = found("tollgate_grpc_request_duration_seconds_count") >= 21
    return found if quiet and counted else None


def test_holds_expire_are_forgotten_and_outlive_a_restart(contract, journal, serve):  # noqa: F811
    server = journal("--idempotency-retention", "1s")
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        for ttl in [1_000, 1_000, 600_000, 600_000, 600_000]:
            stub.CheckAndReserve(request(contract, "open", dids=1, ttl_ms=ttl), timeout=60)
        stub.CheckAndReserve(
            request(contract, "open", dids=1, ttl_ms=1_000, on_expiry=contract.EXPIRY_POLICY_COMMIT), timeout=60)
    found = eventually(lambda: done(server, 3), what="the expiries")
    assert found.all("tollgate_holds_ended_total") == {(("how", "expired"),): 2, (("how", "expired_charged"),): 1}
    eventually(lambda: scrape(server.ops)("tollgate_reservations_forgotten_total") >= 2, what="the forgetting")
    assert server.stop() == 0
    again = scrape(journal("--idempotency-retention", "1s").ops)
    assert again("tollgate_holds_open") == 3
    assert again("tollgate_holds_opened_total") == 0


def done(server, open_holds):
    found = scrape(server.ops)
    return found if found("tollgate_holds_open") == open_holds else None


def test_a_token_of_scope_metrics(serve, tmp_path):
    server = serve("--data-dir", str(tmp_path / "data"), auth=True, limits=LIMITS)
    operator = (tmp_path / "data/operator-token").read_text().strip()
    made = tollgate(server, "tokens", "create", "prometheus", "--scope", "metrics",
                    environment={"TOLLGATE_TOKEN": operator})
    assert made.returncode == 0, made.stderr
    token = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert ask(server.http)[0] == 401
    assert ask(server.http, headers={"Authorization": "Bearer tg_wrong"})[0] == 401
    found = scrape(server.http, headers=token)
    failures = {dict(key)["reason"]: value for key, value in found.all("tollgate_authentication_failures_total").items()}
    assert failures == {"no_token": 1, "unknown_token": 1}
    # It opens nothing else that is of a tenant.
    for path in ["/v2/tenants", "/v2/usage", "/v2/audit_events"]:
        assert ask(server.http, path, headers=token)[0] == 403, path
    assert server.ops is None


def test_the_ops_listener_asks_nobody_and_shows_nothing_else(journal):  # noqa: F811
    server = journal(auth=True)
    assert server.ready.endswith(f" ops={server.ops}\n")
    assert json.loads(ask(server.ops, "/healthz")[2]) == {"status": "ok"}
    assert json.loads(ask(server.ops, "/readyz")[2])["status"] == "ready"
    text = ask(server.ops)[2]
    # No tenant, no profile, no caller.
    assert "acme" not in text and "operator" not in text.replace("operator's", "")
    for path in ["/", "/v2/tenants", "/v2/access_statistics", "/openapi.json", "/login", "/live"]:
        assert ask(server.ops, path)[0] == 404, path
    assert ask(server.ops, "/metrics", method="POST")[0] == 405


def test_beside_ports_that_demand_certificates(serve, tmp_path):
    """Probes and scrapers without any are answered; the metrics say when the server's own expires."""
    made = tmp_path / "certificates"
    subprocess.run([ROOT / "Tools/dev-certificates", made], check=True, capture_output=True, timeout=120)
    server = serve(
        "--tls-certificate", str(made / "server.pem"), "--tls-key", str(made / "server-key.pem"),
        "--tls-client-ca", str(made / "ca.pem"), "--ops-listen", "127.0.0.1:0")
    end = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", made / "server.pem"],
        check=True, capture_output=True, text=True).stdout.strip().removeprefix("notAfter=")
    found = scrape(server.ops)
    for port in ["grpc", "http"]:
        assert found("tollgate_tls_certificate_expiry_timestamp_seconds", port=port) == ssl.cert_time_to_seconds(end)
    assert ask(server.ops, "/readyz")[0] == 200


def test_no_journal_no_figures_of_it(serve):
    server = serve("--ops-listen", "127.0.0.1:0")
    text = ask(server.ops)[2]
    assert "tollgate_journal" not in text and "tollgate_projection" not in text and "tollgate_disk" not in text
    assert "tollgate_holds_open 0" in text


def test_an_address_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [BINARY, "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
             "--http-listen", "127.0.0.1:0", "--ops-listen", address],
            capture_output=True, text=True, timeout=120)
    assert done.returncode == 69
    assert f"it cannot listen on {address} (--ops-listen)" in done.stderr


def test_a_stalled_disk_delays_no_scrape(contract, journal):  # noqa: F811
    """The figures are there when they are needed: REST's port and the ops listener answer while nothing is recorded."""
    server = journal("--journal-stall", "1s")
    with grpc.insecure_channel(server.endpoint) as channel:
        stub = contract.Stub(channel)
        with Injection(server, segment(server.data), "fdatasync", "delay_enter=8000000"):
            waiting = stub.CheckAndReserve.future(request(contract, "open", spend=1), timeout=60)

            def stalled():
                began = time.monotonic()
                found = scrape(server.ops)
                assert scrape(server.http)("tollgate_journal_failed") == 0
                assert time.monotonic() - began < 5
                return found if found("tollgate_journal_commit_age_seconds") > 1 else None

            found = eventually(stalled, what="the stall")
            assert found("tollgate_journal_waiting_bytes") > 0
            assert found("tollgate_grpc_answers_waiting") == 1
            waiting.result()
        eventually(lambda: scrape(server.ops)("tollgate_journal_commit_age_seconds") == 0, what="the disk")


def test_scrapes_that_never_end_harm_nobody(contract, journal):  # noqa: F811
    """Peers that send half a request, that never read, and that are many: decisions and REST go on, and scrapes too."""
    server = journal("--http-head-timeout", "1s", "--http-answer-timeout", "1s", "--ops-max-connections", "8")
    host, port = server.ops.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        peers = []
        for number in range(60):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            peer.connect((host, int(port)))
            peer.settimeout(60)
            peers.append(peer)
            with contextlib.suppress(OSError):
                peer.sendall(
                    [b"GET /metrics HTTP/1.1\r\n", b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
                     b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx"][number % 4])
        with grpc.insecure_channel(server.endpoint) as channel:
            stub = contract.Stub(channel)
            for _ in range(20):
                stub.CheckAndReserve(request(contract, "open", spend=1), timeout=60)
        assert Rest(server).get("/v2/tenants/open").status == 200
        # REST's own scrapes have nothing to do with it.
        assert scrape(server.http)("tollgate_holds_open") == 20

        def answered():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return ask(server.ops, timeout=10)[0] == 200

        eventually(answered, what="a scrape among those")
    threads = scrape(server.http)("process_threads")
    assert threads < 100


def test_many_scrapers(journal):  # noqa: F811
    server = journal()
    failures = []

    def work():
        served = 0
        try:
            for _ in range(20):
                status, _, text = ask(server.ops)
                if status == 200:
                    served += 1
                    Scrape(text)
                else:
                    assert status == 503
            assert served > 0, "every scrape was refused"
        except Exception as error:
            failures.append(error)

    scrapers = [threading.Thread(target=work) for _ in range(16)]
    for scraper in scrapers:
        scraper.start()
    for scraper in scrapers:
        scraper.join(120)
        assert not scraper.is_alive()
    assert not failures
    assert scrape(server.ops)("tollgate_journal_open") == 1


def test_it_answers_while_the_service_drains(contract, journal):  # noqa: F811
    server = journal("--drain-timeout", "20s")
    with grpc.insecure_channel(server.endpoint) as channel:
        with Injection(server, segment(server.data), "fdatasync", "delay_enter=8000000"):
            waiting = contract.Stub(channel).CheckAndReserve.future(request(contract, "open", spend=1), timeout=60)
            eventually(lambda: scrape(server.ops)("tollgate_grpc_answers_waiting") == 1, what="the call")
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: ask(server.ops, "/readyz")[0] == 503, what="the drain")
            assert scrape(server.ops)("tollgate_holds_open") == 1
            waiting.result()
    assert server.stop() == 0


@pytest.mark.thorough
def test_a_scrape_of_many_tenants(contract, journal):  # noqa: F811
    """100 000 tenants: a scrape takes 50 ms at most."""
    lines = "".join(f"  - {{id: t{number}, max_extensions: 100}}\n" for number in range(100_000))
    server = journal("--max-tenants", "131072", limits="tenants:\n" + lines)
    eventually(lambda: scrape(server.ops)("tollgate_table_used", what="tenants") == 100_000, what="the tenants")
    eventually(lambda: scrape(server.ops)("tollgate_projection_behind_bytes") == 0, 300, "the projection")
    times = []
    with contextlib.closing(http.client.HTTPConnection(server.ops, timeout=60)) as connection:
        for _ in range(50):
            began = time.monotonic()
            connection.request("GET", "/metrics")
            connection.getresponse().read()
            times.append(time.monotonic() - began)
    middle = sorted(times)[25]
    print(f"figures: a scrape at 100 000 tenants: {middle * 1_000:.1f} ms in the middle, {max(times) * 1_000:.1f} ms at most")
    assert middle < 0.05
