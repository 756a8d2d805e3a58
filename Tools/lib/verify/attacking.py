"""What peers can do without a token, or with one: each attack against the real server, with a good client beside it.

The server must live, the good client must be answered, and memory must stay within its bounds and come back."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from peers import ATTACKS, TLS_ATTACKS, Attack, GoodClient, tls_context
from runner import ROOT, Violation, say

SWARM = pathlib.Path(__file__).with_name("swarm.py")
# A quick run shows a representative of each kind.
QUICK = ["idle", "bodies", "bodies-token", "authorization", "many-fields", "rapid-reset", "stray-data", "unread",
         "http-idle", "http-unread"]
# Over TLS connections, what waits, and handshakes are what is new.
QUICK_TLS = ["idle", "bodies-token", "handshakes", "renewed-handshakes"]
# Files that the server may open: fewer than there are connections in some attacks.
DESCRIPTORS = 1_024
PEER_MEMORY_MIB = 64
# What a server may take in an attack beyond what waits for peers: connections, queues that have grown, the allocator's
# rounding. A debug build takes more for each connection.
SPARE_MIB = 160
# What TLS takes beyond that: for each connection 20 KiB, and 32 KiB once large records have come
# (docs/decisions/0010-tls.md); there are no more connections than descriptors.
TLS_MIB = DESCRIPTORS * (20 + 32) // 1_024
# What it may keep when all are gone.
KEPT_MIB = 64
# The good client's p99 may double under attack, or rise by this many milliseconds where that is more: attackers and good
# client share the processor with the server, and wait for each other's turns.
RISE_MS = 10


class Server:
    """`tollgate serve` with tokens, few descriptors and a small bound on what waits; `certificates`: it speaks TLS with
    those of this directory."""

    def __init__(self, binary, work, certificates=None):
        secured = []
        if certificates:
            secured = ["--tls-certificate", certificates / "server.pem", "--tls-key", certificates / "server-key.pem"]
        self.is_tls = bool(secured)
        self.log = open(work / "server.log", "a")
        self.process = subprocess.Popen(
            ["bash", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "bash", binary, "serve",
             "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir", work / "data",
             "--limits", ROOT / "Tools/examples/limits.yaml", "--durability", "sync", *secured],
            stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT,
            env={**os.environ, "TOLLGATE_PEER_MEMORY": f"{PEER_MEMORY_MIB}MiB"},
        )
        match = re.match(r"tollgate ready grpc=(\S+):(\d+) http=\S+:(\d+)", self.process.stdout.readline())
        if not match:
            self.kill()
            raise Violation(f"the server is not ready: {work}/server.log")
        self.host, self.grpc, self.http = match[1], int(match[2]), int(match[3])
        # The good clients' contexts, of gRPC and of REST.
        self.tls = [tls_context(is_http, certificates / "ca.pem") if secured else None for is_http in (False, True)]
        self.token = (work / "data/operator-token").read_text().strip()

    def memory(self):
        """Resident MiB."""
        if self.process.poll() is not None:
            raise Violation(f"the server ended with {self.process.returncode}: {self.log.name}")
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1_024

    def stop(self):
        self.process.terminate()
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise Violation("the server does not stop") from None
        if status != 0:
            raise Violation(f"the server ended with {status}: {self.log.name}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def once(attempt):
    """A newcomer may be hung up on while it is as much a stranger as the attackers: it tries again, as clients do."""
    for tries in range(10):
        try:
            return attempt()
        except (OSError, http.client.HTTPException) as error:
            last = error
            time.sleep(0.02)
    raise ConnectionError(f"a newcomer was not served in 10 tries: {last}")


def http_connection(host, port, timeout, tls):
    if tls:
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=tls)
    return http.client.HTTPConnection(host, port, timeout=timeout)


class RESTClient:
    """As `GoodClient`, on the HTTP port."""

    def __init__(self, host, port, token, timeout=30, tls=None):
        self.connection = http_connection(host, port, timeout, tls)
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self):
        began = time.perf_counter()
        self.connection.request("GET", "/v2/tenants", headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise ConnectionError(f"a good client had {answer.status}")
        return (time.perf_counter() - began) * 1_000

    def close(self):
        self.connection.close()


class Observer:
    """A good client's calls, on the port that is attacked, newcomers on both ports, and the server's memory, for as long
    as a `with` lasts."""

    def __init__(self, server, is_http):
        self.server, self.times, self.peak, self.newcomers, self.error = server, [], 0, 0, None
        self.is_http = is_http
        self.is_over = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.observe)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def observe(self):
        try:
            client = self.client(self.is_http)
            sampled = 0
            while not self.is_over.wait(0.002):
                self.times.append(client.call())
                if time.monotonic() - sampled > 0.1:
                    self.peak = max(self.peak, self.server.memory())
                    once(self.newcomer)
                    once(self.health)
                    once(lambda: self.newcomer(is_http=True))
                    self.newcomers += 1
                    sampled = time.monotonic()
            client.close()
        except (OSError, http.client.HTTPException, Violation) as error:
            self.error = error

    def client(self, is_http, timeout=30):
        port = self.server.http if is_http else self.server.grpc
        kind = RESTClient if is_http else GoodClient
        return kind(self.server.host, port, self.server.token, timeout, self.server.tls[is_http])

    def newcomer(self, is_http=False):
        with contextlib.closing(self.client(is_http, timeout=10)) as client:
            client.call()

    def health(self):
        connection = http_connection(self.server.host, self.server.http, 10, self.server.tls[True])
        with contextlib.closing(connection):
            connection.request("GET", "/healthz")
            if connection.getresponse().status != 200:
                raise Violation("/healthz is not 200")

    def wait(self, seconds, answers):
        """Some seconds, and longer where the machine is so busy that the good client had too few answers."""
        began = time.monotonic()
        while not self.error and (passed := time.monotonic() - began) < PATIENCE:
            if passed >= seconds and len(self.times) >= answers:
                break
            time.sleep(0.01)

    def figures(self, least=2):
        """Median and 99th percentile in milliseconds."""
        if self.error:
            raise Violation(f"the good client: {self.error}")
        if len(self.times) < least:
            raise Violation(f"the good client had {len(self.times)} answers")
        if least < 2:
            return None
        cuts = statistics.quantiles(self.times, n=100)
        return cuts[49], cuts[98]


def settled(server, limit, seconds):
    """The server's memory once it is at most `limit` MiB, or after some seconds."""
    end = time.monotonic() + seconds
    while (memory := server.memory()) > limit and time.monotonic() < end:
        time.sleep(0.1)
    return memory


# Newcomers that must be served while all of an attack's connections are there, and the seconds that they may take: an
# attacker is never to decide when they are.
NEWCOMERS = 3
PATIENCE = 60
# Answers that a good client's figures are made of at least.
ANSWERS = 10


def attack(server, attack, seconds, quiet):
    before = server.memory()
    command = [sys.executable, "-B", SWARM, attack.name, server.host, str(server.grpc), str(server.http), server.token]
    command += ["tls"] if server.is_tls else []
    attackers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        with Observer(server, attack.is_http) as observer:
            if attackers.stdout.readline() != "full\n":
                raise Violation("the attackers failed")
            began, served = time.monotonic(), observer.newcomers
            while not observer.error and time.monotonic() - began < PATIENCE:
                is_served = observer.newcomers >= served + NEWCOMERS and len(observer.times) >= ANSWERS
                if time.monotonic() - began >= seconds and is_served:
                    break
                time.sleep(0.01)
            else:
                raise Violation(f"who came was not served: {observer.error or 'nothing in a minute'}")
        said = attackers.communicate("", timeout=60)[0]
    finally:
        attackers.kill()
        attackers.wait()
    done = json.loads(said)
    after = settled(server, before + KEPT_MIB, 15)
    return Outcome(attack, server.is_tls, quiet, observer.figures(), (before, observer.peak, after), done)


@dataclass
class Outcome:
    """What came of an attack: the good client's median and 99th percentile in milliseconds, the server's memory in MiB
    before, at most and afterwards, and what the attackers counted."""

    attack: Attack
    is_tls: bool
    quiet: tuple
    attacked: tuple
    memory: tuple
    done: dict

    @property
    def most(self):
        """MiB that the server may take meanwhile."""
        return self.memory[0] + PEER_MEMORY_MIB + SPARE_MIB + (TLS_MIB if self.is_tls else 0)

    @property
    def kept(self):
        """MiB that it may take afterwards."""
        return self.memory[0] + KEPT_MIB

    @property
    def longest(self):
        """Milliseconds that the p99 may be."""
        return max(2 * self.quiet[1], self.quiet[1] + RISE_MS)

    def wrong(self, is_timed):
        """Sentences about what is not as it must be; `is_timed`: the good client's p99 is judged too."""
        before, peak, after = self.memory
        found = []
        if self.is_tls and not self.attack.is_bare and self.done["secured"] == 0:
            found.append("none of its handshakes was done: it attacked nothing")
        if self.attack.must_end and self.done["ended"] == 0:
            found.append("none of its connections was ended")
        if peak > self.most:
            found.append(f"{before:.0f} MiB became {peak:.0f}, more than {self.most:.0f}")
        if after > self.kept:
            found.append(f"{after:.0f} MiB are kept after {before:.0f}, more than {self.kept:.0f}")
        if is_timed and self.attacked[1] > self.longest:
            found.append(f"the good client's p99 of {self.quiet[1]:.2f} ms became {self.attacked[1]:.2f}, more than "
                         f"{self.longest:.2f}")
        return found

    def row(self):
        before, peak, after = self.memory
        handshakes = f" / {self.done['secured']}" if self.is_tls else ""
        return (f"| `{self.attack.name}`: {self.attack.title} | {self.quiet[0]:.2f} / {self.quiet[1]:.2f} | "
                f"{self.attacked[0]:.2f} / {self.attacked[1]:.2f} | {self.attacked[1] / self.quiet[1]:.1f} | {before:.0f} | "
                f"{peak:.0f} of {self.most:.0f} | {after:.0f} of {self.kept:.0f} | "
                f"{self.done['opened']}{handshakes} / {self.done['closed']} |")


class Target:
    """A server to attack: the same one for all attacks of a quick run, a fresh one for each of a long one."""

    def __init__(self, binary, work, is_shared, certificates=None):
        self.binary, self.work, self.is_shared, self.certificates = binary, work, is_shared, certificates
        self.server, self.started = None, 0

    def fresh(self):
        if self.server and not (self.is_shared and self.server.process.poll() is None):
            self.close()
        if not self.server:
            place = self.work / str(self.started)
            place.mkdir(parents=True)
            self.started += 1
            self.server = Server(self.binary, place, self.certificates)
        return self.server

    def close(self):
        """The server must stop well, if it lives."""
        server, self.server = self.server, None
        if server:
            try:
                if server.process.poll() is None:
                    server.stop()
            finally:
                server.kill()


def measure(target, kind, seconds):
    """What came of an attack, measured behind a while without one."""
    server = target.fresh()
    with Observer(server, kind.is_http) as observer:
        observer.wait(seconds / 2, ANSWERS)
    outcome = attack(server, kind, seconds, observer.figures())
    # Nothing that the attack has left behind is in a good client's way.
    with Observer(server, kind.is_http) as observer:
        observer.wait(0.1, 1)
    observer.figures(least=1)
    return outcome


def attacks(context):
    return perform(context, "attacks", [kind for kind in ATTACKS if kind.name in QUICK or not context.quick])


def attacks_tls(context):
    """The same over TLS, on both ports, the good client and the newcomers too."""
    kinds = [kind for kind in TLS_ATTACKS if kind.name in QUICK_TLS or not context.quick]
    return perform(context, "attacks-tls", kinds, is_tls=True)


def perform(context, name, kinds, is_tls=False):
    work = context.work / name
    shutil.rmtree(work, ignore_errors=True)
    certificates = context.certificates(work / "certificates") if is_tls else None
    seconds = context.choose(1, 20)
    binary = context.server("debug" if context.quick else "release")
    target = Target(binary, work, is_shared=context.quick, certificates=certificates)
    became = "opened / handshake completed / closed by the server" if is_tls else "opened / closed by the server"
    table = ["| attack | good client's p50 / p99 in ms, quiet | under attack | p99's ratio | MiB before | "
             f"maximum, of bound | afterwards, of bound | attackers' connections: {became} |", "|---" * 8 + "|"]
    violations = []
    try:
        for kind in kinds:
            try:
                outcome = measure(target, kind, seconds)
                table.append(outcome.row())
                say(f"   {table[-1]}")
                # A second on a busy machine says nothing about times.
                wrong = outcome.wrong(is_timed=not context.quick)
            except Violation as violation:
                wrong = [str(violation)]
            for sentence in wrong:
                violations.append(f"{kind.name}: {sentence}")
                say(f"   {violations[-1]}")
        target.close()
    finally:
        if target.server:
            target.server.kill()
    if violations:
        raise Violation("\n  ".join(violations))
    timed = "" if context.quick else f", the good client's p99 at most twice as long, or {RISE_MS} ms longer"
    return [f"{len(table) - 2} attacks of {seconds} s{timed}", *table]
