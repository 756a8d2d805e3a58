"""HTTP/2 conformance, case by case: of this server, and of nghttpd beside it."""

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
from peers import SERVICE
from runner import ROOT, Violation

VERSION = "1.52"
PAGE = ROOT / "docs/grpc.md"
BEGIN = "<!-- conformance: written by Tools/verify --only conformance -->"
END = "<!-- conformance: end -->"


def perform(case, address, timeout=60):
    """Runs a case against a server.

    Returns whether what must come came; whether what a known difference has come instead did; and what came, in words.
    """
    seen = Connection(address, timeout)
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
def tollgate(context):
    """The address of a server with the example's tenants."""
    log = context.logs / "conformance-tollgate.log"
    with open(log, "w") as errors, subprocess.Popen(
            [context.server(), "serve", "--insecure-no-auth", "--durability", "memory", "--grpc-listen", "127.0.0.1:0",
             "--http-listen", "127.0.0.1:0", "--limits", "Tools/examples/limits.yaml"],
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
def nghttpd(context):
    """The address of nghttpd, which answers the same requests with files."""
    root = debian.unpack(context, "nghttpd", ["nghttp2-server"])
    files = context.work / "nghttpd-files"
    (files / SERVICE.strip("/")).mkdir(parents=True, exist_ok=True)
    for method in ("GetUsage", "CheckAndReserveStream"):
        (files / SERVICE.strip("/") / method).write_text("x" * 100)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = context.logs / "conformance-nghttpd.log"
    with open(log, "w") as output, subprocess.Popen(
            [root / "usr/sbin/nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", files, "--trailer", "grpc-status: 0", str(port)],
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


def conformance(context):
    """Every case on both servers. Ours must do what it must, or what is written down as a difference, and what nghttpd
    does. docs/grpc.md must say what came of it: the long form writes it."""
    with tollgate(context) as ours, nghttpd(context) as theirs:
        found = [(case, perform(case, ours), None if case.ours else perform(case, theirs)) for case in CASES]
    wrong = [f"{case.name}: {what}" for case, (is_met, is_known, what), _ in found
             if not (is_known if case.instead else is_met)]
    wrong += [f"{case.name}: nghttpd does it" for case, (is_met, _, _), other in found if other and other[0] and not is_met]
    if wrong:
        raise Violation("\n  ".join(wrong))
    publish(context, table(found))
    met = [sum(1 for results in found if results[side] and results[side][0]) for side in (1, 2)]
    return [f"{len(CASES)} cases: tollgate meets {met[0]}, nghttpd {VERSION} {met[1]}"]


def table(found):
    def verdict(result, reason):
        if result is None:
            return reason
        return "yes" if result[0] else f"**no**: {result[2]}"

    met = [sum(1 for results in found if results[side] and results[side][0]) for side in (1, 2)]
    asked = sum(1 for case in CASES if not case.ours)
    known = [textwrap.fill(f"- {case.what[0].upper()}{case.what[1:]} (§{case.section}): {case.why}.", 118,
                           subsequent_indent="  ") for case in CASES if case.instead]
    rows = [f"| {case.section} | {case.what} | {case.wants or case.must.text} | {verdict(ours, '')} | {verdict(theirs, case.ours)} |"
            for case, ours, theirs in found]
    return "\n".join([
        f"{len(found)} cases, of which tollgate meets {met[0]}; {asked} can be asked of nghttpd {VERSION}, which meets "
        f"{met[1]}.", "What tollgate does not meet, and why:", "",
        *known, "",
        "| RFC 9113 | sent | must come | tollgate | nghttpd |", "|---|---|---|---|---|", *rows])


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
