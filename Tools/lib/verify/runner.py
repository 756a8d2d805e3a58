"""What all steps share: running commands with a log and a time limit, building once, saying what came of it."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRATCH = pathlib.Path(os.environ.get("TOLLGATE_SCRATCH", ROOT / ".build"))
CORE = ["--package-path", "Tools/Core"]
# The same without the targets of one thread (Package.swift).
THREADS = ["--package-path", "Tools/lib/verify/threads"]
# As RELEASE of Tools/lib/setup.sh has it: the Swift runtime is inside.
RELEASE = ["-c", "release", "--static-swift-stdlib", "--disable-local-rpath", "-Xlinker", "--no-export-dynamic"]


class Violation(Exception):
    """Something is not as it must be; the text says what."""


@dataclass
class Output:
    status: int  # below 0: the signal that ended it
    text: str
    timed_out: bool = False

    @property
    def figures(self):
        """What tests print about themselves."""
        pattern = r"^(?:figures: (.*)|(\d+ (?:seeds|states|checkpoints|kills)\b.*))$"
        return [named or counted for named, counted in re.findall(pattern, self.text, re.M)]


@dataclass
class Result:
    name: str
    passed: bool
    seconds: float
    figures: list = field(default_factory=list)
    reason: str = ""


class Context:
    """One run of Tools/verify."""

    def __init__(self, quick, seed):
        self.quick = quick
        self.seed = seed
        self.work = SCRATCH / "verify"
        self.logs = self.work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.built = {}
        self.build_seconds = 0
        self.processes = []

    def choose(self, quick, long):
        return quick if self.quick else long

    def run(self, log, arguments, timeout, environment=None):
        """Runs a command in the repository; all that it says goes to a log. After the time limit it is killed, with
        everything that it started."""
        path = self.logs / f"{log}.log"
        with open(path, "w") as file:
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **(environment or {})},
            )
            timed_out = False
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return Output(process.returncode, path.read_text(errors="replace"), timed_out)

    def must(self, log, arguments, timeout, environment=None):
        """As `run`, and it must end well in time."""
        output = self.run(log, arguments, timeout, environment)
        if output.timed_out:
            raise Violation(f"not done within {timeout} s: {self.logs / log}.log")
        if output.status != 0:
            raise Violation(f"{meaning(output)}\n  log: {self.logs / log}.log")
        return output

    def build(self, name, arguments):
        """Builds once; the directory of the products."""
        if name not in self.built:
            began = time.monotonic()
            say(f"   building {name}")
            scratch = SCRATCH if name in ("debug", "release") else self.work / name
            command = ["swift", "build", "--scratch-path", scratch, *arguments]
            self.must(f"build-{name}", command, 3_600)
            self.built[name] = pathlib.Path(
                self.must(f"build-{name}-path", command + ["--show-bin-path"], 120).text.strip().splitlines()[-1]
            )
            self.build_seconds += time.monotonic() - began
        return self.built[name]

    def core_tests(self, sanitizer=None):
        """Builds the core's tests; what `swift test` needs to run them. Where the caller has just built everything, and
        says so by TOLLGATE_BINARY, its build is taken."""
        if not sanitizer and "TOLLGATE_BINARY" in os.environ and (SCRATCH / "debug/tollgatePackageTests.xctest").exists():
            return ["--scratch-path", SCRATCH, "--skip-build"]
        name = sanitizer or "core"
        options = (THREADS if sanitizer == "thread" else CORE) + ([f"--sanitize={sanitizer}"] if sanitizer else [])
        self.build(name, options + ["--build-tests"])
        return ["--scratch-path", self.work / name, *options, "--skip-build"]

    def server(self, configuration="debug"):
        """The tollgate binary; TOLLGATE_BINARY names one that is there."""
        if configuration == "debug" and "TOLLGATE_BINARY" in os.environ:
            return pathlib.Path(os.environ["TOLLGATE_BINARY"]).resolve()
        products = self.build(configuration, RELEASE if configuration == "release" else ["-c", configuration])
        return products / "tollgate"

    def certificates(self, directory):
        """The directory, with a CA, a server's certificate and a client's, made anew."""
        shutil.rmtree(directory, ignore_errors=True)
        self.must(f"{directory.parent.name}-certificates", [ROOT / "Tools/dev-certificates", directory], 120)
        return directory

    def swift_tests(self, log, names, timeout, environment=None, sanitizer=None):
        """Runs test suites of the core; they must exist and pass."""
        arguments = self.core_tests(sanitizer)
        filters = [part for name in names for part in ("--filter", name)]
        seeded = {"TOLLGATE_SEED": str(self.seed), **(environment or {})}
        output = self.must(log, ["swift", "test", *arguments, *filters], timeout, seeded)
        if tests_run(output) == 0:
            raise Violation(f"not built yet: no test is called {' or '.join(names)}")
        return output

    def python_tests(self, log, files, timeout, environment=None, configuration="debug", options=()):
        """Runs tests of the real binary from Tools/tests, the long ones too; their figures, and why tests were skipped."""
        output = self.must(
            log,
            [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rPs", "--thorough", *options,
             *[f"Tools/tests/{name}" for name in files]],
            timeout,
            {"TOLLGATE_BINARY": str(self.server(configuration)), "TOLLGATE_SEED": str(self.seed), **(environment or {})},
        )
        skipped = re.findall(r"^SKIPPED \[(\d+)\] (\S+?):(?:\d+:)? (.*)$", output.text, re.M)
        return output.figures + [
            f"SKIPPED: {reason} ({count} of {pathlib.Path(file).name})" for count, file, reason in skipped
        ]


def tests_run(output):
    counts = re.findall(r"Test run with (\d+) tests? in \d+ suites?", output.text)
    return sum(int(count) for count in counts)


def meaning(output):
    """Why a command failed, in a few lines."""
    pattern = r"recorded an issue|error:|ERROR: |WARNING: ThreadSanitizer|Fatal error|Assertion|^E  |SUMMARY: |not ready"
    lines = [line.strip() for line in output.text.splitlines() if re.search(pattern, line)]
    ended = f"signal {-output.status}" if output.status < 0 else f"exit status {output.status}"
    return "\n  ".join([ended] + [line[:240] for line in lines[:8]])


def say(text):
    print(text, flush=True)


def perform(context, step):
    """Runs one step. Whatever goes wrong in it fails this step, and the next ones run all the same."""
    say(f"\n== {step.name}: {step.title}")
    began = time.monotonic()
    builds = context.build_seconds
    try:
        figures = step.run(context) or []
        result = Result(step.name, True, 0, figures)
    except Violation as violation:
        result = Result(step.name, False, 0, [], str(violation))
    except Exception as error:
        result = Result(step.name, False, 0, [], unexpected(context, step, error))
    result.seconds = time.monotonic() - began - (context.build_seconds - builds)
    for line in result.figures:
        say(f"   {line}")
    if result.reason:
        say(f"   {result.reason}")
    seed = f"seed {context.seed}" if step.is_seeded else "no seed"
    say(f"   {seed}, {result.seconds:.1f} s: {'pass' if result.passed else 'FAIL'}")
    return result


def unexpected(context, step, error):
    """A sentence about an error that no step expects; where it came from is kept in a log."""
    log = context.logs / f"{step.name}.traceback"
    log.write_text("".join(traceback.format_exception(error)))
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} ({pathlib.Path(place.filename).name}:{place.lineno})\n  log: {log}"
