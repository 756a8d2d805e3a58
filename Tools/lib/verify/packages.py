"""What Tools/package makes is installed, run, upgraded and removed on a bare Debian 12."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request

import booting
from runner import ROOT, Violation

# Bytes at most.
PROGRAM, PACKAGE = 100 * 10**6, 30 * 10**6
# systemd's measure of what a unit may do, in tenths; 100 is everything.
EXPOSURE = 15
# Seconds for one command.
COMMAND = 120
# Copies: what a command in a root does to a device's mode is nobody else's matter.
OWN_DEVICES = ["mount -t tmpfs -o mode=755 tmpfs dev",
               "cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev/",
               "mkdir dev/shm", "mount -t tmpfs tmpfs dev/shm", "ln -s /proc/self/fd dev/fd"]
SETTINGS = "etc/tollgate/tollgate.yaml"
UNIT = "lib/systemd/system/tollgate.service"
DATA = "var/lib/tollgate"
# Fits once into a cap of three.
TWO = ["check", "--tenant", "acme", "--action", "provision-extension", "--extensions", "2", "--mode", "commit"]
# As a shell does it on a machine that systemd has booted.
TRIAL = r"""
property() { systemctl show --property "$1" --value tollgate; }
ready() { until [ "$(property ActiveState)" = active ] && tollgate defaults get --timeout 60s; do sleep 0.2; done; }
two() { tollgate check --tenant acme --action provision-extension --extensions 2 --mode commit --timeout 60s; }

dpkg --install /root/tollgate.deb
until [ -s /var/lib/tollgate/operator-token ]; do sleep 0.2; done
export TOLLGATE_TOKEN=$(cat /var/lib/tollgate/operator-token)
ready
tollgate tenants create acme --max-extensions 3 --timeout 60s
two

first=$(property MainPID)
for line in 'Seccomp:.2' 'NoNewPrivs:.1' 'CapBnd:.0*' 'CapPrm:.0*'; do grep -x "$line" "/proc/$first/status"; done
systemctl reload tollgate
[ "$(property MainPID)" = "$first" ]

kill -KILL "$first"
until [ "$(property NRestarts)" = 1 ]; do sleep 0.2; done
ready
status=0
two || status=$?
[ "$status" = 3 ]

# systemd's sockets stay through an upgrade of the package.
systemctl stop tollgate
systemctl start tollgate-grpc.socket tollgate-http.socket tollgate-ops.socket
systemctl start tollgate
ready

second=$(property MainPID)
running=$(stat --dereference --format %i "/proc/$second/exe")
dpkg --install /root/newer.deb
ready
# The same process, and another program.
[ "$(property MainPID)" = "$second" ]
[ "$(stat --dereference --format %i "/proc/$second/exe")" != "$running" ]
[ "$(property NRestarts)" = 0 ]
systemctl is-active tollgate-grpc.socket tollgate-http.socket tollgate-ops.socket
systemctl restart tollgate
ready
systemctl stop tollgate tollgate-grpc.socket tollgate-http.socket tollgate-ops.socket
systemctl start tollgate
ready

echo 'no-such-setting: 1' >>/etc/tollgate/tollgate.yaml
systemctl restart tollgate || true
until [ "$(property ActiveState)" = failed ]; do sleep 0.2; done
[ "$(property ExecMainStatus)" = 64 ]
sed -i /no-such-setting/d /etc/tollgate/tollgate.yaml
systemctl restart tollgate
ready
systemctl stop tollgate
[ "$(property Result)" = success ]
systemctl start tollgate
journalctl --unit tollgate | grep 'tollgate ready'
systemctl stop tollgate
systemctl start tollgate-grpc.socket
dpkg --remove tollgate
! systemctl is-active tollgate-grpc.socket
[ -s /var/lib/tollgate/operator-token ]
dpkg --purge tollgate
[ ! -e /var/lib/tollgate ]
"""


def packages(context):
    if os.geteuid() != 0:
        return ["SKIPPED: a Debian of its own needs root (1 of packages)"]
    work = context.work / "packages"
    work.mkdir(parents=True, exist_ok=True)
    program = context.server("release")
    made = make(context, work / "made", program)
    found = [sizes(made)]
    if not context.quick:
        again = make(context, work / "again", program)
        found.append(same(made, again))
    package, archive = one(made, "*.deb"), one(made, "*.oci.tar")
    context.must("packages-lintian", ["lintian", "--fail-on", "error,warning", package], COMMAND)
    found.append("lintian finds neither errors nor warnings")
    machine = Machine(context, work, package)
    try:
        found += machine.live(package)
    finally:
        machine.close()
    machine = Machine(context, work, package, "systemd")
    try:
        found += machine.boot(package)
    finally:
        machine.close()
    found += image(context, work, archive)
    return found


def make(context, output, program):
    shutil.rmtree(output, ignore_errors=True)
    context.must("packages-make", [ROOT / "Tools/package", "--image", "--output", output], 3_600,
                 {"TOLLGATE_BINARY": str(program)})
    return output


def one(directory, pattern):
    found = list(directory.glob(pattern))
    if len(found) != 1:
        raise Violation(f"{len(found)} files {pattern} in {directory}")
    return found[0]


def sizes(made):
    program, package, archive = made / "tollgate", one(made, "*.deb"), one(made, "*.oci.tar")
    told = {path.name: path.stat().st_size for path in (program, package, archive)}
    if told[program.name] > PROGRAM or told[package.name] > PACKAGE:
        raise Violation(f"too large: {told}")
    return ", ".join(f"{name}: {size / 10**6:.1f} MB" for name, size in told.items())


def same(made, again):
    for pattern in ("*.deb", "*.oci.tar"):
        if one(made, pattern).read_bytes() != one(again, pattern).read_bytes():
            raise Violation(f"{one(made, pattern).name} is another one when it is made again")
    return "made twice: the same bytes"


class Root:
    """A file system in which commands run as on a machine of its own."""

    def __init__(self, path):
        self.path = path

    def wrapped(self, command, user=None, confined=False):
        """A command line that runs another in it, with /proc and /dev of its own.

        - user: who runs it, as chroot has it; without it, root.
        - confined: as the unit has it: it writes its data and /tmp alone, sees no process but its own, gains nothing."""
        here = f"cd {shlex.quote(str(self.path))}"
        # The second time into what is mounted there.
        script = ["set -e", here, "mount --make-rprivate /", "mount --bind . .", here, *OWN_DEVICES]
        inner = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command]
        if confined:
            script += ["mount -t proc -o hidepid=invisible,subset=pid proc proc", f"mount --bind {DATA} {DATA}",
                       "mount -t tmpfs tmpfs tmp", "mount -o remount,bind,ro ."]
            powerless = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
                         "--bounding-set=-all", "--inh-caps=-all"]
            command = ["sh", "-c", f"cd /{DATA} && umask 077 && exec {shlex.join([*powerless, *inner])}"]
            script.append(f"exec chroot . {shlex.join(command)}")
        else:
            who = [f"--userspec={user}"] if user else []
            script += ["mount -t proc proc proc", f"exec chroot {shlex.join([*who, '.', *inner])}"]
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(script)]

    def run(self, *command, environment=(), status=0):
        """What a command prints."""
        done = subprocess.run(self.wrapped([*environment, *command]), capture_output=True, text=True, timeout=COMMAND)
        if done.returncode != status:
            said = (done.stderr or done.stdout).strip()[-800:]
            raise Violation(f"{' '.join(command)} ends with {done.returncode}: {said}")
        return done.stdout


class Service:
    """A service in a root, ready; its addresses."""

    def __init__(self, command, log):
        self.log = log
        self.errors = open(log, "w")
        # A wrapper's children end with it.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        start_new_session=True)
        began = time.monotonic()
        line = self.process.stdout.readline()
        match = re.match(r"tollgate ready grpc=(\S+) http=(\S+)", line)
        if not match:
            self.kill()
            raise Violation(f"the service is not ready: {log.read_text().strip()[-400:]}")
        self.grpc, self.http = match.groups()
        self.seconds = time.monotonic() - began

    def health(self):
        for path in ("healthz", "readyz"):
            with urllib.request.urlopen(f"http://{self.http}/{path}", timeout=COMMAND) as answer:
                if answer.status != 200:
                    raise Violation(f"/{path} says {answer.status}")

    def stop(self):
        """As systemd does it; it must end well."""
        for child in self.below(self.process.pid):
            os.kill(child, signal.SIGTERM)
        try:
            status = self.process.wait(COMMAND)
        finally:
            self.kill()
        if status != 0:
            raise Violation(f"after SIGTERM the service ends with {status}: {self.log.read_text().strip()[-400:]}")

    def below(self, process):
        """The innermost processes that a process has started."""
        children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [last for child in children for last in self.below(int(child))] or [process]

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.errors.close()


class Machine(Root):
    """A bare Debian 12 with what the package says that it needs, and nothing else but what is named."""

    def __init__(self, context, work, package, *others):
        super().__init__(work / "machine")
        self.context = context
        self.close()
        name = "-".join(["debian", *others])
        archive = work / f"{name}.tar"
        needed = ",".join([re.sub(r"\([^)]*\)|\s", "", field(package, "Depends")), *others])
        stamp = work / f"{name}.packages"
        if not archive.exists() or not stamp.exists() or stamp.read_text() != needed:
            mirror = [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
            command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={needed}", "bookworm"]
            context.must(f"packages-{name}", [*command, archive, *mirror], 1_800)
            stamp.write_text(needed)
        self.path.mkdir(parents=True)
        unpack = ["tar", "--extract", "--numeric-owner", "--file", archive, "--directory", self.path]
        context.must("packages-unpack", unpack, COMMAND)

    def close(self):
        if self.path.exists():
            subprocess.run(["rm", "-rf", "--one-file-system", self.path], check=True)

    def live(self, package):
        """The package's life; what was seen of it."""
        self.install(package)
        self.checked_unit()
        libraries = self.run("ldd", "/usr/bin/tollgate")
        if "not found" in libraries:
            raise Violation(f"libraries are missing: {libraries}")
        self.run("bash", "-c", ". /usr/share/bash-completion/completions/tollgate && complete -p tollgate")
        # An administrator's settings; any free port, for the tests of several may run on one machine.
        settings = self.path / SETTINGS
        settings.write_text(settings.read_text().replace(":50051", ":0").replace(":8080", ":0") + "# mine\n")
        own = settings.read_text()
        with self.started() as service:
            first = service.seconds
            self.call(service, "tenants", "create", "acme", "--max-extensions", "3", url=True)
            self.call(service, *TWO)
        newer = self.newer(package)
        self.install(newer)
        if settings.read_text() != own:
            raise Violation("an upgrade changes the administrator's settings")
        with self.started() as service:
            self.call(service, *TWO, status=3)
        calls = self.traced()
        self.run("dpkg", "--remove", "tollgate")
        self.must_be([SETTINGS, f"{DATA}/operator-token"], ["usr/bin/tollgate", UNIT])
        self.run("dpkg", "--purge", "tollgate")
        self.must_be([], [DATA, "etc/tollgate"])
        return [
            f"installed on a bare Debian, ready after {first:.1f} s, called, upgraded to {field(newer, 'Version')} "
            "with its data and settings, removed, purged",
            f"{calls} kinds of system call, each one that the unit allows; no memory both written and run",
        ]

    def boot(self, package):
        """The package under a systemd that is the first process, with all that the unit says."""
        shutil.copy(package, self.path / "root/tollgate.deb")
        shutil.copy(self.newer(package), self.path / "root/newer.deb")
        if not booting.boot(self.context, "packages-systemd", self.path, TRIAL):
            return ["SKIPPED: no systemd can be booted here, since control groups cannot be mounted (1 of packages)"]
        return ["under systemd: confined, reloaded, started again after a kill, upgraded in the same process, served "
                "through systemd's sockets, not started again after a wrong setting"]

    def install(self, package):
        shutil.copy(package, self.path / "tmp/tollgate.deb")
        self.run("dpkg", "--install", "/tmp/tollgate.deb", environment=["DEBIAN_FRONTEND=noninteractive"])
        owner = self.run("stat", "--format", "%U:%G %a", f"/{DATA}").strip()
        if owner != "tollgate:tollgate 700":
            raise Violation(f"/{DATA} is {owner}")

    def newer(self, package):
        """The same package with a higher version."""
        tree = self.path.parent / "newer"
        shutil.rmtree(tree, ignore_errors=True)
        self.context.must("packages-newer", ["dpkg-deb", "--raw-extract", package, tree], COMMAND)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: .*", r"\g<0>+1", control.read_text()))
        made = self.path.parent / "newer.deb"
        build = ["dpkg-deb", "--build", "-Znone", "--root-owner-group", tree, made]
        self.context.must("packages-newer", build, COMMAND)
        shutil.rmtree(tree)
        return made

    def checked_unit(self):
        """systemd's own tools over the unit that is installed."""
        verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={self.path}", f"/{UNIT}"]
        self.context.must("packages-unit", verify, COMMAND)
        security = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}"]
        self.context.must("packages-exposure", [*security, f"{self.path}/{UNIT}"], COMMAND)

    def command(self):
        unit = (self.path / UNIT).read_text()
        return shlex.split(re.search(r"(?m)^ExecStart=(.*)$", unit)[1])

    @contextlib.contextmanager
    def started(self, before=()):
        """The service as the unit starts it."""
        log = self.context.logs / "packages-service.log"
        service = Service([*before, *self.wrapped(self.command(), "tollgate", confined=True)], log)
        try:
            service.health()
            yield service
            service.stop()
        finally:
            service.kill()

    def call(self, service, *words, url=False, status=0):
        token = (self.path / DATA / "operator-token").read_text().strip()
        address = ["--url", f"http://{service.http}"] if url else ["--endpoint", service.grpc]
        return self.run("tollgate", *words, *address, "--timeout", "60s", environment=[f"TOLLGATE_TOKEN={token}"],
                        status=status)

    def traced(self):
        """How many kinds of system call the service makes in a life; a Violation for one that the unit refuses.

        The filter itself needs a systemd that starts the unit."""
        trace = self.context.logs / "packages-calls.log"
        with self.started(["strace", "--follow-forks", "--quiet=all", "--seccomp-bpf", "-o", str(trace)]) as service:
            self.call(service, "record", "--tenant", "acme", "--dids", "1")
            self.call(service, "tenants", "list", url=True)
        text = trace.read_text(errors="replace")
        # From its own first call on: those before are of what starts it.
        begin = text.rindex("\n", 0, text.index('execve("/usr/bin/tollgate"'))
        lines = [line.split(maxsplit=1)[1] for line in text[begin:].splitlines() if " " in line]
        names = {match[1] for line in lines if (match := re.match(r"(\w+)\(", line))}
        refused = names - allowed((self.path / UNIT).read_text())
        if refused:
            raise Violation(f"the unit refuses system calls of the service: {', '.join(sorted(refused))}")
        if found := [line for line in lines if re.match(r"(mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC", line)]:
            raise Violation(f"memory is written and run: {found[0]}")
        return len(names)

    def must_be(self, there, gone):
        missing = [path for path in there if not (self.path / path).exists()]
        left = [path for path in gone if (self.path / path).exists()]
        if missing or left:
            raise Violation(f"after a removal these are missing: {missing}, and these are left: {left}")


def field(package, name):
    told = subprocess.run(["dpkg-deb", "--field", package, name], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def allowed(unit):
    """The system calls that a unit's filters leave."""
    found = set()
    for value in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit):
        if value.startswith("~"):
            for name in value[1:].split():
                # What an earlier line has allowed and this one names is refused.
                found -= calls(name)
        else:
            for name in value.split():
                found |= calls(name)
    return found


def calls(name):
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(["systemd-analyze", "syscall-filter", name, "--no-pager"], capture_output=True, text=True,
                          check=True)
    lines = [line.strip() for line in told.stdout.splitlines()[1:]]
    return set().union(*(calls(line) for line in lines if line and not line.startswith("#")))


def image(context, work, archive):
    """The image runs as its own configuration says."""
    layout, bundle = work / "layout", work / "bundle"
    for directory in (layout, bundle):
        if directory.exists():
            subprocess.run(["rm", "-rf", "--one-file-system", directory], check=True)
    layout.mkdir()
    context.must("packages-image", ["tar", "--extract", "--file", archive, "--directory", layout], COMMAND)
    version = one(layout, "index.json").read_text()
    version = json.loads(version)["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    context.must("packages-image", ["umoci", "unpack", "--image", f"{layout}:{version}", bundle], COMMAND)
    process = json.loads((bundle / "config.json").read_text())["process"]
    user = f"{process['user']['uid']}:{process['user']['gid']}"
    if user.startswith("0:"):
        raise Violation("the image runs as root")
    root, command = Root(bundle / "rootfs"), [*process["env"], *process["args"]]
    # By itself it listens where everybody can reach it, and does not do that in the clear.
    refused = subprocess.run(root.wrapped(command, user), capture_output=True, text=True, timeout=COMMAND)
    if refused.returncode != 64 or "without TLS" not in refused.stderr:
        raise Violation(f"without TLS the image ends with {refused.returncode}: {refused.stderr.strip()[-400:]}")
    told_to = ["TOLLGATE_INSECURE_ALLOW_PLAINTEXT=true", *(f"TOLLGATE_{it}_LISTEN=0.0.0.0:0" for it in ("GRPC", "HTTP"))]
    service = Service(root.wrapped([*told_to, *command], user), context.logs / "packages-image-service.log")
    try:
        service.health()
        service.stop()
    finally:
        service.kill()
    if not (bundle / "rootfs" / DATA / "operator-token").exists():
        raise Violation("the image keeps its data elsewhere than in its volume")
    subprocess.run(["rm", "-rf", "--one-file-system", layout, bundle], check=True)
    return [f"the image runs as {user}, in the clear only when told to, ready after {service.seconds:.1f} s"]
