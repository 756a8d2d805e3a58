"""HTTP/2 conformance, case by case, in plaintext and over TLS: of this server, and of nghttpd beside it."""

import contextlib
import os
import re
import socket
import subprocess
import textwrap
import time

import debian
from conformance_cases import CASES, starting
from judging import Connection
from peers import SERVICE, tls_context
from runner import ROOT, Violation

VERSION = "1.52"
PAGE = ROOT / "docs/grpc.md"
BEGIN = "<!-- conformance: written by Tools/verify --only conformance -->"
END = "<!-- conformance: end -->"


def perform(case, address, tls=None, timeout=60):
    """Runs a case against a server; `tls`: the context of its connection.

    Returns whether what must come came; whether what a known difference has come instead did; and what came, in words.
    """
    seen = Connection(address, timeout, tls)
    try:
        seen.send(starting(case) + case.sent)
        if case.probe:
            case.probe(seen)
        elif case.then:
            if not seen.until(lambda seen: 1 in seen.ended):
                return False, False, seen.summary()
            seen.ended.discard(1)
            seen.send(case.then)
        elif stream := case.must.stream:
            seen.until(lambda seen: stream in seen.ended or stream in seen.resets)
        seen.barrier()
        return case.must(seen), case.instead is not None and case.instead(seen), seen.summary()
    except AssertionError as error:
        return False, False, str(error).splitlines()[0]
    except TimeoutError:
        return False, False, f"{seen.summary()}, and no more in time"
    finally:
        seen.close()


@contextlib.contextmanager
def tollgate(context, certificates=None):
    """The address of a server with the example's tenants; over TLS if there are certificates."""
    log = context.logs / f"conformance-tollgate{'-tls' if certificates else ''}.log"
    secured = []
    if certificates:
        secured = ["--tls-certificate", certificates / "server.pem", "--tls-key", certificates / "server-key.pem"]
    with open(log, "w") as errors, subprocess.Popen(
            [context.server(), "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
             "--http-listen", "127.0.0.1:0", "--limits", "Tools/examples/limits.yaml", *secured],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            match = re.match(r"tollgate ready grpc=(\S+):(\d+) ", process.stdout.readline())
            if not match:
                raise Violation(f"the server is not ready: {log}")
            yield match[1], int(match[2])
            if process.poll() is not None:
                raise Violation(f"the server ended with {process.returncode}: {log}")
        finally:
            process.kill()


@contextlib.contextmanager
def nghttpd(context, certificates=None):
    """The address of nghttpd, which answers the same requests with files; over TLS if there are certificates."""
    root = debian.unpack(context.work, "nghttpd", ["nghttp2-server"])
    files = context.work / "nghttpd-files"
    (files / SERVICE.strip("/")).mkdir(parents=True, exist_ok=True)
    for method in ("GetUsage", "CheckAndReserveStream"):
        (files / SERVICE.strip("/") / method).write_text("x" * 100)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = context.logs / f"conformance-nghttpd{'-tls' if certificates else ''}.log"
    secured = [certificates / "server-key.pem", certificates / "server.pem"] if certificates else []
    with open(log, "w") as output, subprocess.Popen(
            [root / "usr/sbin/nghttpd", *([] if secured else ["--no-tls"]), "-a", "127.0.0.1", "-d", files,
             "--trailer", "grpc-status: 0", str(port), *secured],
            stdout=output, stderr=output, env={**os.environ, **debian.libraries(root)}) as process:
        try:
            await_listener(process, port, log)
            yield "127.0.0.1", port
        finally:
            process.kill()


def await_listener(process, port, log):
    limit = time.monotonic() + 60
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=60):
            return
        time.sleep(0.02)
    raise Violation(f"nghttpd does not listen: {log}")


# The servers and how they are spoken to: the table's columns.
SERVERS = ["tollgate", "tollgate, TLS", "nghttpd", "nghttpd, TLS"]


def conformance(context):
    """Every case on both servers, in plaintext and over TLS. Ours must do what it must, or what is written down as a
    difference, and what nghttpd does. docs/grpc.md must say what came of it: the long form writes it."""
    certificates = context.certificates(context.work / "conformance/certificates")
    tls = tls_context(is_http=False, authority=certificates / "ca.pem")
    with (tollgate(context) as ours, tollgate(context, certificates) as ours_secured,
          nghttpd(context) as theirs, nghttpd(context, certificates) as theirs_secured):
        found = [(case, [perform(case, ours), perform(case, ours_secured, tls)] + (
            [None, None] if case.ours else [perform(case, theirs), perform(case, theirs_secured, tls)])) for case in CASES]
    wrong = []
    for case, results in found:
        for name, (is_met, is_known, what), other in zip(SERVERS, results[:2], results[2:]):
            if not (is_known if case.instead else is_met):
                wrong.append(f"{case.name}, {name}: {what}")
            elif other and other[0] and not is_met:
                wrong.append(f"{case.name}, {name}: nghttpd does it")
    if wrong:
        raise Violation("\n  ".join(wrong))
    publish(context, table(found))
    return [counted(found)]


def counted(found):
    """How many cases each server meets, in words."""
    ours, ours_secured, theirs, theirs_secured = (
        sum(1 for _, results in found if results[column] and results[column][0]) for column in range(len(SERVERS)))
    asked = sum(1 for case, _ in found if not case.ours)
    return (f"{len(found)} cases, of which tollgate meets {ours} in plaintext and {ours_secured} over TLS; {asked} can be "
            f"asked of nghttpd {VERSION}, which meets {theirs} and {theirs_secured}.")


def table(found):
    def verdict(result, reason):
        if result is None:
            return reason
        return "yes" if result[0] else f"**no**: {result[2]}"

    known = [textwrap.fill(f"- {case.what[0].upper()}{case.what[1:]} (§{case.section}): {case.why}.", 118,
                           subsequent_indent="  ") for case in CASES if case.instead]
    rows = [" | ".join([f"| {case.section}", case.what, case.wants or case.must.text,
                        *[verdict(result, case.ours) for result in results]]) + " |" for case, results in found]
    return "\n".join([
        textwrap.fill(counted(found), 118), "What tollgate does not meet, and why:", "",
        *known, "",
        f"| RFC 9113 | sent | must come | {' | '.join(SERVERS)} |", "|---|---|---|" + "---|" * len(SERVERS), *rows])


def publish(context, text):
    page = PAGE.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise Violation(f"{PAGE.name} has no place for the table: {BEGIN} ... {END}")
    before, rest = page.split(BEGIN)
    now = f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"
    if now == page:
        return
    if context.quick:
        raise Violation(f"docs/{PAGE.name} does not say what was found: Tools/verify --only conformance (without --quick) "
                        "writes it")
    PAGE.write_text(now)
