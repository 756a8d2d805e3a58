"""The programs under examples/, each built and run as its page says, against a service that asks for a token."""

import contextlib
import pathlib
import re
import shutil
import subprocess
import sys

import cplusplus
import debian
from runner import ROOT, Violation

EXAMPLES = ROOT / "examples"
PROTO = "tollgate/v1/tollgate.proto"
# Seconds for one program, and for its build: a machine may be busy.
PROGRAM, BUILD = 120, 1_800
TRIES = 5
# What each of them says.
LINES = [
    "held: 0.004 USD", "repeated: the same hold", "committed", "denied: 49002 Tenant extension limit reached",
]
JDK = "usr/lib/jvm/java-17-openjdk-amd64"
JARS = [
    *(f"grpc-{part}" for part in ("api", "context", "core", "netty", "protobuf", "protobuf-lite", "stub")),
    *(f"netty-{part}" for part in (
        "buffer", "codec", "codec-http", "codec-http2", "common", "handler", "resolver", "transport",
        "transport-native-unix-common")),
    "error_prone_annotations", "geronimo-annotation-1.3-spec", "gson", "guava", "jctools-core", "perfmark-api", "protobuf",
]


@contextlib.contextmanager
def serving(context):
    """A service with the example's limits: the environment in which the programs find it and their token."""
    data = fresh(context, "data")
    log = context.logs / "examples-service.log"
    arguments = [context.server(), "serve", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                 "--data-dir", data, "--limits", ROOT / "Tools/examples/limits.yaml"]
    with open(log, "w") as errors, subprocess.Popen(
            [str(argument) for argument in arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            match = re.match(r"tollgate ready grpc=(\S+) http=(\S+)", process.stdout.readline())
            if not match:
                raise Violation(f"the service is not ready: {log}")
            yield {
                "TOLLGATE_ENDPOINT": match[1], "TOLLGATE_URL": f"http://{match[2]}",
                "TOLLGATE_TOKEN": (data / "operator-token").read_text().strip(),
            }
        finally:
            process.kill()


def fresh(context, name):
    work = context.work / "examples" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def there(root, path):
    """A file of an unpacked package, or of the system, where it is installed."""
    found = [base / path for base in (root, pathlib.Path("/")) if (base / path).exists()]
    if not found:
        raise Violation(f"none of the packages has {path}")
    return found[0]


def python(context):
    return [sys.executable, "-B", EXAMPLES / "python/reserve.py"], {"PYTHONPATH": str(ROOT / "clients/python/src")}


def node(context):
    """Node's own fetch. Debian's Node runs only where it is installed."""
    if not shutil.which("node"):
        context.must("examples-node-install", ["bash", "-c", ". Tools/lib/setup.sh && install_packages nodejs"], BUILD)
    return ["node", EXAMPLES / "node/reserve.mjs"], {}


def cpp(context):
    built, environment = cplusplus.build(
        context.work, fresh(context, "cpp"), EXAMPLES / "cpp/reserve.cc",
        lambda name, *command: context.must(f"examples-cpp-{name}", *command))
    return [built], environment


def go(context):
    root = debian.unpack(context.work, "go", ["golang-go", "golang-google-grpc-dev", "golang-goprotobuf-dev"])
    work = fresh(context, "go")
    (work / "src").mkdir()
    context.must("examples-go-generate", [
        "protoc", "-I", ROOT / "Protos", f"--go_out=plugins=grpc:{work}/src",
        f"--plugin=protoc-gen-go={there(root, 'usr/bin/protoc-gen-go')}", PROTO], PROGRAM)
    environment = {
        "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(work / "cache"), "CGO_ENABLED": "0",
        "GOROOT": str(there(root, "usr/lib/go")), "GOPATH": f"{work}:{root}/usr/share/gocode:/usr/share/gocode",
    }
    tool = there(root, "usr/lib/go/bin/go")
    context.must("examples-go-vet", [tool, "vet", EXAMPLES / "go/reserve.go"], BUILD, environment)
    context.must("examples-go-build", [tool, "build", "-o", work / "reserve", EXAMPLES / "go/reserve.go"], BUILD, environment)
    return [work / "reserve"], {}


def java(context):
    root = debian.unpack(context.work, "java", [
        "openjdk-17-jdk-headless", "libgrpc-java", "libprotobuf-java", "libnetty-java", "libjctools-java", "libperfmark-java",
        "libguava-java", "libgoogle-gson-java", "libgeronimo-annotation-1.3-spec-java", "protobuf-compiler-grpc-java-plugin"])
    work = fresh(context, "java")
    context.must("examples-java-generate", [
        "protoc", "-I", ROOT / "Protos", f"--java_out={work}", f"--grpc-java_out={work}",
        f"--plugin=protoc-gen-grpc-java={there(root, 'usr/bin/grpc_java_plugin')}", PROTO], PROGRAM, debian.libraries(root))
    # Where the JDK is installed, only the part of it that was named is unpacked.
    home = root / JDK if (root / JDK / "lib/modules").exists() else pathlib.Path("/") / JDK
    path = ":".join(str(there(root, f"usr/share/java/{jar}.jar")) for jar in JARS)
    environment = debian.libraries(root) if home.is_relative_to(root) else {}
    context.must("examples-java-build", [
        home / "bin/javac", "-d", work / "classes", "-cp", path, *work.rglob("*.java"), EXAMPLES / "java/Reserve.java"],
        BUILD, environment)
    return [home / "bin/java", "-cp", f"{work}/classes:{path}", "Reserve"], environment


PROGRAMS = {
    "Python, the client": python, "Node, REST by its own fetch": node, "C++, libgrpc++": cpp, "Go, grpc-go": go,
    "Java, grpc-java": java,
}


def examples(context):
    found = []
    with serving(context) as service:
        for language, build in PROGRAMS.items():
            command, environment = build(context)
            name = f"examples-{build.__name__}"
            # They give an answer five seconds, which a busy machine may need more than once.
            for _ in range(TRIES):
                output = context.run(name, command, PROGRAM, {**environment, **service})
                if "no answer" not in output.text:
                    break
            if output.status != 0 or output.text.splitlines() != LINES:
                raise Violation(f"{language} says something else: {context.logs}/{name}.log")
            found.append(f"{language}: holds, repeats, commits, is denied")
    return found
