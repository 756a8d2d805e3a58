"""Half of what the service can do, for a while: nothing grows, the client's books are the service's, and the journal's
are the same."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import usage
from runner import RELEASE, ROOT, Violation, say

LONG_SECONDS = 7_200
QUICK_SECONDS = 20
QUICK_RATE = 200
# Actions a second, tried one after the other to learn what the service can do.
RATES = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000]
# Holds that are open when the service stops: the load settles its own.
OPEN_HOLDS = 100


class Server:
    """`tollgate serve` on a data directory of its own, with the limits of one load."""

    def __init__(self, binary, work, limits, arguments=()):
        self.log = open(work / "server.log", "a")
        self.process = subprocess.Popen(
            [binary, "serve", "--insecure-no-auth", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
             "--limits", limits, "--data-dir", work / "data", "--durability", "sync", *arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT,
        )
        ready = self.process.stdout.readline()
        match = re.match(r"tollgate ready grpc=(\S+) ", ready)
        if not match:
            self.kill()
            raise Violation(f"the server is not ready: {work}/server.log")
        self.endpoint = match[1]

    def sample(self):
        """(resident KiB, descriptors)"""
        if self.process.poll() is not None:
            raise Violation(f"the server ended with {self.process.returncode} under the load: {self.log.name}")
        directory = pathlib.Path("/proc") / str(self.process.pid)
        resident = int(re.search(r"VmRSS:\s+(\d+)", (directory / "status").read_text())[1])
        return resident, len(os.listdir(directory / "fd"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Violation("the server does not stop")
        finally:
            self.log.close()
        if status != 0:
            raise Violation(f"the server ended with {status}: {self.log.name}")

    def kill(self):
        """Whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Load:
    """One run of tollgate-loadtest."""

    def __init__(self, context, binary, work, rate, seconds):
        self.arguments = [
            binary, "--rate", str(rate), "--duration", f"{seconds}s", "--keys", "--seed", str(context.seed),
            "--mix", "messaging=6,provisioning=2,calls=2", "--timeout", "60s",
        ]
        self.limits = work / f"limits-{rate}.yaml"
        context.must("soak-limits", [*self.arguments, "--write-limits", self.limits], 60)

    def start(self, server, log):
        self.log = log
        with open(log, "w") as out:
            return subprocess.Popen(
                [*self.arguments, "--endpoint", server.endpoint, "--server-pid", str(server.process.pid), "--json"],
                stdout=out, stderr=subprocess.DEVNULL, text=True,
            )


def end(run, server):
    """Neither the load nor the server outlives an error."""
    if run and run.poll() is None:
        run.kill()
        run.wait()
    server.kill()


def half_capacity(context, binaries, work):
    """Half of the highest rate that is kept up with answers in time."""
    best = RATES[0]
    for rate in RATES:
        place = work / f"rate-{rate}"
        place.mkdir()
        load = Load(context, binaries / "tollgate-loadtest", place, rate, 10)
        server = Server(binaries / "tollgate", place, load.limits)
        run = None
        try:
            run = load.start(server, place / "report.json")
            status = run.wait(120)
            server.stop()
        finally:
            end(run, server)
        report = read_report(place / "report.json")
        if status != 0 or report["latency_ms"]["p99"] > 50:
            break
        best = rate
    say(f"   kept up: {best} actions/s")
    return best // 2


def soak(context):
    work = context.work / "soak"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if context.quick:
        binaries = context.server().parent
        if not (binaries / "tollgate-loadtest").exists():
            binaries = context.build("debug", ["-c", "debug"])
        rate, seconds = QUICK_RATE, QUICK_SECONDS
    else:
        binaries = context.build("release", RELEASE)
        seconds = int(os.environ.get("TOLLGATE_SOAK_SECONDS", LONG_SECONDS))
        rate = int(os.environ.get("TOLLGATE_SOAK_RATE", 0)) or half_capacity(context, binaries, work)
    load = Load(context, binaries / "tollgate-loadtest", work, rate, seconds)
    # What is remembered must level off well before the middle of the run.
    arguments = ["--idempotency-retention", "2s" if seconds < 600 else "60s", "--journal-retention", "0s"]
    client = usage.Client(context.work, load.limits)
    samples, held, before = under_load(binaries, work, load, client, arguments, seconds)
    journal = [binaries / "tollgate", "journal", "verify", "--data-dir", work / "data"]
    context.must("soak-verify", journal, 600)
    after = read_again(binaries, work, load, client, arguments)
    context.must("soak-verify-again", journal, 600)
    return [
        f"{seconds} s at {rate} actions/s: no wrong decision, the client's tally is GetUsage's",
        f"{usage.compare(before, after)}; {held} of the holds are ours",
        flat("resident KiB", [resident for resident, _ in samples], 1.05, 16_384),
        flat("descriptors", [descriptors for _, descriptors in samples], 1, 4),
    ]


def under_load(binaries, work, load, client, arguments, seconds):
    """The load, and then some holds that stay open. What was sampled meanwhile, how many holds, what is in use then."""
    samples = []
    server = Server(binaries / "tollgate", work, load.limits, arguments)
    run = None
    try:
        run = load.start(server, work / "report.json")
        while run.poll() is None:
            samples.append(server.sample())
            time.sleep(max(0.25, seconds / 1_000))
        report = read_report(work / "report.json")
        if run.returncode != 0:
            raise Violation(f"the load test ended with {run.returncode}: {report.get('check')}")
        held = client.hold_some(server.endpoint, OPEN_HOLDS)
        before = client.read(server.endpoint)
        server.stop()
    finally:
        end(run, server)
    return samples, held, before


def read_again(binaries, work, load, client, arguments):
    """What another process finds in use on the same directory."""
    server = Server(binaries / "tollgate", work, load.limits, arguments)
    try:
        after = client.read(server.endpoint)
        server.stop()
    finally:
        server.kill()
    return after


def read_report(path):
    """What the load test said, which may have ended too early to say all of it."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise Violation(f"the load test's report is not whole: {path}") from None


def flat(what, values, factor, slack):
    """The last quarter's highest value is about the second quarter's."""
    quarter = len(values) // 4
    if quarter < 2:
        raise Violation("too few samples")
    early, late = max(values[quarter:2 * quarter]), max(values[-quarter:])
    if late > early * factor + slack:
        raise Violation(f"{what} grow: {early} in the second quarter, {late} in the last")
    return f"{what}: {early} in the second quarter, {late} in the last"
