"""What README.md and all other pages show works as it stands there: every command that they print is run.

A block of commands is fenced as `sh` (each command must succeed) or as `console` (`$ ` in front of each command, and what
it prints behind it is compared). A comment in front of it says where it runs:

    <!-- commands: guarded -->            a service with the example's limits that asks for tokens
    <!-- commands: empty -->              the same without limits
    <!-- commands: stopped -->            beside the data directory of a service that has ended
    <!-- commands: continued -->          behind the block before it, which has started a service
    <!-- commands: not run: REASON -->    nowhere

and without one it is a service with the example's limits that asks nobody. A `tollgate serve` in a block is the service
of the commands behind it.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import grpc
import pytest
from conftest import BINARY, EXAMPLE, ROOT, Server, addresses, usage

PAGES = [
    str(page.relative_to(ROOT))
    for page in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "examples/README.md",
                 ROOT / "clients/python/README.md")
]
PROFILE = "be3eb60a-a346-470a-886c-ab4e421711bd"
FENCE = re.compile(r"(?ms)^(?:<!-- commands: (?P<where>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$")
SERVE = re.compile(r"tollgate serve\b")

PRELUDE = """
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
ready() {
    until grep -q '^tollgate ready ' "$WORK/ready" 2>/dev/null; do kill -0 $!; sleep 0.1; done
    echo $! >"$WORK/pid"
    export TOLLGATE_ENDPOINT=$(sed -n 's/.*grpc=\\([^ ]*\\).*/\\1/p' "$WORK/ready")
    export TOLLGATE_URL=http://$(sed -n 's/.*http=\\([^ ]*\\).*/\\1/p' "$WORK/ready")
}
"""
# Commands that wait for an answer are given a minute; a service gets free ports; `pidof` knows this test's service alone.
WRAPPERS = {
    "tollgate": """
case ${1:-} in
    serve) exec BINARY "$@" --grpc-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 >"$WORK/ready" ;;
    journal | version | backup | restore | config) exec BINARY "$@" ;;
    *) exec BINARY "$@" --timeout 60s ;;
esac
""",
    "tollgate-loadtest": 'exec BINARY-loadtest "$@"\n',
    "curl": 'exec CURL --fail-with-body --max-time 60 "$@"\n',
    "pidof": 'cat "$WORK/pid"\n',
}


def blocks():
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in FENCE.finditer(text):
            line = text.count("\n", 0, block.start("text"))
            yield page, line, block["where"] or "", block["language"], block["text"]


def joined(shown):
    """A block that is continued, and what continues it, as one."""
    found = []
    for page, line, where, language, text in shown:
        if where == "continued":
            before = found.pop()
            assert (before[0], before[3], language) == (page, "sh", "sh"), f"{page}:{line} continues nothing"
            page, line, where, text = *before[:3], before[4] + text
        found.append((page, line, where, language, text))
    return found


BLOCKS = list(blocks())
SHOWN = joined(block for block in BLOCKS if block[3] in ("sh", "console"))


def commands(text):
    """The commands of a block of `sh`, comments and all, each on one line."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


class Place:
    """A directory in which commands run as they are printed."""

    def __init__(self, directory):
        self.directory = directory
        self.server = None
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
        self.environment.update(WORK=str(directory), PATH=f"{directory}/bin:{os.environ['PATH']}")
        self.replacements = {
            "YOUR-PROFILE-ID-HERE": PROFILE, "PROFILE": PROFILE, "FILE": "limits.yaml", "NAME": "somebody",
            "DIR": "served", "/tmp/data": str(directory / "data"), "--duration 30s": "--duration 1s",
            "--rate 5000": "--rate 50", "https://127.0.0.1:8080": "https://${TOLLGATE_URL#http://}",
            "Tools/examples/limits.yaml": str(EXAMPLE),
            "Tools/dev-certificates": str(ROOT / "Tools/dev-certificates"),
        }
        (directory / "bin").mkdir()
        for name, script in WRAPPERS.items():
            path = directory / "bin" / name
            script = script.replace("BINARY", str(pathlib.Path(BINARY).absolute()))
            path.write_text("#!/bin/bash\n" + script.replace("CURL", str(shutil.which("curl"))))
            path.chmod(0o755)
        shutil.copy(EXAMPLE, directory / "limits.yaml")

    def serve(self, where):
        """The service of a block that starts none itself."""
        data = self.directory / "served"
        guarded = where in ("guarded", "empty")
        self.server = Server("--data-dir", str(data), limits=None if where == "empty" else EXAMPLE, auth=guarded)
        if guarded:
            token = (data / "operator-token").read_text().strip()
            self.environment["TOLLGATE_TOKEN"] = token
            self.replacements["YOUR-TOKEN-HERE"] = token
        if where == "stopped":
            assert self.server.stop() == 0
            self.replacements["SEGMENT:OFFSET"] = "1:4096"
        else:
            self.use()

    def serve_as(self, command):
        """The service that a session starts; what it prints."""
        arguments = shlex.split(self.filled(command))[2:]
        arguments.remove("--insecure-no-auth")
        self.server = Server("--data-dir", str(self.directory / "data"), *arguments, limits=None)
        self.use()
        return self.server.ready

    def use(self):
        self.environment.update(addresses(self.server))
        self.replacements["http://127.0.0.1:8080"] = f"http://{self.server.http}"

    def filled(self, command):
        """With values in the places of the names that a reader would replace."""
        for name, value in self.replacements.items():
            command = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lambda _: value, command)
        return command

    def run(self, script):
        return subprocess.run(["bash", "-c", PRELUDE + self.filled(script)], capture_output=True, text=True,
                              timeout=300, cwd=self.directory, env=self.environment)

    def close(self):
        if self.server:
            assert self.server.stop() == 0


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()


def comparable(text):
    """Without what differs each time: instants and ports."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "(instant)", text)
    return re.sub(r"127\.0\.0\.1:\d+", "(address)", text).strip("\n")


def play(session, place):
    """Each command of a session prints what is shown."""
    for step in session:
        lines = step.split("\n")
        # A command goes on in the next line behind a backslash.
        count = next(index for index, line in enumerate(lines) if not line.endswith("\\")) + 1
        command, shown = "\n".join(lines[:count]), "\n".join(lines[count:])
        if SERVE.match(command):
            said = place.serve_as(command)
        else:
            done = place.run(command)
            said = done.stdout or done.stderr
        assert comparable(said) == comparable(shown), command


@pytest.mark.parametrize("page,line,where,language,text", SHOWN, ids=[f"{page}:{line}" for page, line, *_ in SHOWN])
def test_commands(page, line, where, language, text, place):
    if where.startswith("not run"):
        assert re.fullmatch(r"not run: .{10,}", where), "it must say why"
        return
    assert where in ("", "guarded", "empty", "stopped")
    before, *session = re.split(r"(?m)^\$ ", text) if language == "console" else [""]
    assert before == "", "a session begins with a command"
    script = commands(text)
    if not any(SERVE.match(command) for command in session + script):
        place.serve(where)
    if language == "console":
        play(session, place)
        return
    for index, command in enumerate(script):
        if SERVE.match(command):
            script[index] = 'rm -f "$WORK/ready"; ' + command.split("  #")[0].rstrip().removesuffix("&") + " & ready"
    done = place.run("\n".join(script))
    assert done.returncode == 0, "\n".join(script) + "\n" + done.stdout + done.stderr


def test_no_command_is_shown_elsewhere():
    """A block that is neither `sh` nor `console` shows no commands: nobody would run them."""
    assert len(SHOWN) > 15
    for page, line, where, language, text in BLOCKS:
        if language not in ("sh", "console"):
            assert not where, f"{page}:{line} is no block of commands"
            assert not re.search(r"(?m)^(\$ |tollgate [a-z-]+ |curl |Tools/)", text), f"{page}:{line}"


def test_commands_within_a_sentence(place):
    """`tollgate apply -f FILE`: its flags and arguments are right. There is no service where they are sent to."""
    found = 0
    for page in PAGES:
        for inline in re.findall(r"`(tollgate [^`]*)`", (ROOT / page).read_text().replace("\n", " ")):
            if not re.search(r" (-|[A-Z]{2})", inline) or "…" in inline:
                continue
            found += 1
            if SERVE.match(inline) and "--help" not in inline:
                inline += " --insecure-no-auth --durability memory & ready"
            done = place.run("export TOLLGATE_ENDPOINT=127.0.0.1:1 TOLLGATE_URL=http://127.0.0.1:1\n" + inline)
            assert done.returncode in (0, 69), f"{page}: {inline}: {done.stderr}"
    assert found >= 4


def inlines(pattern):
    """Every text in backquotes outside of blocks that begins like this, and its page."""
    for page in PAGES:
        text = FENCE.sub("", (ROOT / page).read_text())
        for inline in re.findall(r"`([^`]+)`", text):
            if re.match(pattern, inline):
                yield page, " ".join(inline.split())


def test_tools_within_a_sentence():
    """They take minutes to hours, and are not run: they are there, and know their flags."""
    found = 0
    for page, inline in inlines(r"Tools/[\w-]+"):
        name, *arguments = inline.split()
        tool = ROOT / name
        assert tool.exists(), f"{page}: {inline}"
        flags = [argument for argument in arguments if argument.startswith("--")]
        if not flags:
            continue
        found += 1
        texts = [tool, *ROOT.glob(f"Tools/lib/{tool.name}/*.py")]
        known = "".join(text.read_text() for text in texts)
        for flag in flags:
            assert flag in known, f"{page}: {inline}"
        if "--only" in arguments:
            only = arguments[arguments.index("--only") + 1]
            assert only == "NAME" or f'"{only}"' in known, f"{page}: {inline}"
    assert found >= 5


def test_programs_within_a_sentence():
    """Benchmarks and loads are not run: their sub-commands and flags are there."""
    found = 0
    for page, inline in inlines(r"tollgate-(benchmarks|loadtest)\b"):
        name, *arguments = inline.split()
        part = arguments[:1] if arguments and not arguments[0].startswith("-") else []
        done = subprocess.run([BINARY + name.removeprefix("tollgate"), *part, "--help"], capture_output=True, text=True)
        assert done.returncode == 0, f"{page}: {inline}: {done.stderr}"
        for flag in arguments:
            if flag.startswith("--"):
                found += 1
                assert flag in done.stdout, f"{page}: {inline}"
    assert found >= 5


def test_test_runs_within_a_sentence():
    """`swift test` builds for minutes, and is what runs this: packages and suites that it names are there."""
    sources = "".join(path.read_text() for path in ROOT.glob("Tests/**/*.swift"))
    found = 0
    for page, inline in inlines(r"(\w+=\S+ )?swift test\b"):
        arguments = inline.split()
        if "--package-path" in arguments:
            assert (ROOT / arguments[arguments.index("--package-path") + 1] / "Package.swift").exists(), inline
        if "--filter" in arguments:
            found += 1
            suite = arguments[arguments.index("--filter") + 1]
            assert (ROOT / "Tests" / suite).exists() or f"struct {suite} " in sources, f"{page}: {inline}"
    assert found >= 3


def test_generating_a_client(tmp_path):
    """The README's way to a client in Python, from the directory of the contract."""
    [(_, command)] = inlines(r"python -m grpc_tools\.protoc")
    command = command.replace("python", sys.executable, 1).replace("_out=.", f"_out={tmp_path}")
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "tollgate/v1").iterdir()) == [
        "tollgate_pb2.py", "tollgate_pb2_grpc.py"
    ]


def test_every_python_block_is_run():
    """README's below, the one about webhooks in test_webhooks.py, the client's in its test_package.py: another one needs
    a test of its own."""
    shown = [page for page, _, _, language, _ in BLOCKS if language == "python"]
    assert shown == ["README.md", "README.md", "docs/alerts.md", *["clients/python/README.md"] * 3]


@pytest.mark.parametrize("secured", [False, True], ids=["plaintext", "token and TLS"])
def test_python_example(contract, serve, tmp_path, secured):
    """As printed: on a machine that is busy it may need another run, since its calls have a second."""
    example, line = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    flags = ("--data-dir", str(tmp_path / "data"))
    if secured:
        made = subprocess.run([ROOT / "Tools/dev-certificates", "certificates"], cwd=tmp_path, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        flags += ("--tls-certificate", f"{tmp_path}/certificates/server.pem",
                  "--tls-key", f"{tmp_path}/certificates/server-key.pem")
        example, replaced = re.subn(r"(?m)^tollgate = Client\(.*\)\n", lambda _: line, example)
        assert replaced == 1
    server = serve(*flags, auth=secured)
    if secured:
        token = (tmp_path / "data/operator-token").read_text().strip()
        example = example.replace("YOUR-TOKEN-HERE", token)
    assert "127.0.0.1:50051" in example
    program = tmp_path / "example.py"
    program.write_text(example.replace("127.0.0.1:50051", server.endpoint))
    # In a process of its own: in this one `tollgate.v1` is what protoc made of Protos/, not the package's.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients/python/src")}
    for _ in range(5):
        done = subprocess.run([sys.executable, "-B", program], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                              env=environment)
        if "DEADLINE_EXCEEDED" not in done.stderr:
            break
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr
    if secured:
        ca = (tmp_path / "certificates/ca.pem").read_bytes()
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(ca), grpc.access_token_call_credentials(token))
        channel = grpc.secure_channel(server.endpoint, credentials)
    else:
        channel = grpc.insecure_channel(server.endpoint)
    with channel:
        counted = usage(contract, contract.Stub(channel), "globex", "globex-bulk")
    assert counted[contract.LIMIT_KIND_PROFILE_DAILY_SPEND] == (4_000_000, 0)
