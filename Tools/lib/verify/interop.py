"""Other implementations of gRPC: the test client of gRPC's authors against `tollgate-interop`, and callers in several
languages against the service itself."""

import contextlib
import re
import shutil
import subprocess

import cplusplus
import debian
import proxying
from cplusplus import Missing, program
from runner import ROOT, Violation

CLIENTS = ROOT / "Tools/Interop/clients"
# Seconds for one case, for one caller, and for its build: a machine may be busy.
CASE, CALLER, BUILD = 120, 180, 1_800
# Every case of the client of ruby-grpc 1.51 that needs no account with Google.
CASES = [
    "empty_unary", "large_unary", "client_compressed_unary", "client_streaming", "client_compressed_streaming",
    "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server", "cancel_after_begin",
    "cancel_after_first_response", "unimplemented_method", "unimplemented_service", "status_code_and_message",
    "custom_metadata",
]
# What each caller must say, a word a line.
WORDS = ["unary", "denied", "failures", "gzip", "stream", "watch"]
# A line of gRPC's own log, which a slow machine gives cause to.
LOGGED = re.compile(r"[DIWE]\d{4} \d\d:\d\d:\d\d\.\d+ ")


@contextlib.contextmanager
def serving(context, name, arguments):
    """A process that says `ready grpc=ADDRESS`: the address."""
    log = context.logs / f"interop-{name}.log"
    command = [str(argument) for argument in arguments]
    with open(log, "w") as errors, subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            match = re.match(r"\S+ ready grpc=(\S+)", process.stdout.readline())
            if not match:
                raise Violation(f"{name} is not ready: {log}")
            yield match[1]
            if process.poll() is not None:
                raise Violation(f"{name} ended with {process.returncode}: {log}")
        finally:
            process.kill()


def official(context):
    """The cases of gRPC's authors."""
    root = debian.unpack(context.work, "ruby-grpc", ["ruby-grpc"])
    client = next(root.rglob("src/ruby/pb/test/client.rb"))
    ruby = next(root.glob("usr/bin/ruby[0-9]*"))
    libraries = [path for pattern in (
        "usr/lib/ruby/[0-9]*", "usr/lib/*/ruby/[0-9]*", "usr/lib/ruby/vendor_ruby", "usr/lib/ruby/vendor_ruby/[0-9]*",
        "usr/lib/*/ruby/vendor_ruby/[0-9]*", "usr/share/rubygems-integration/all/gems/*/lib",
        "usr/lib/*/rubygems-integration/*/extensions/*/*/*") for path in root.glob(pattern)]
    environment = {**debian.libraries(root), "RUBYLIB": ":".join(map(str, libraries))}
    server = context.server().with_name("tollgate-interop")
    certificates = client.parents[2] / "spec/testdata"
    secure = ["--tls-certificate", certificates / "server1.pem", "--tls-key", certificates / "server1.key"]
    for transport, extra, options in [
            ("plaintext", [], []),
            ("tls", secure, ["--use_tls", "true", "--use_test_ca", "true",
                             "--server_host_override", "foo.test.google.fr"])]:
        with serving(context, f"tollgate-interop-{transport}", [server, *extra]) as address:
            host, port = address.rsplit(":", 1)
            for case in CASES:
                name = f"interop-{transport}-{case}"
                output = context.must(name, [ruby, "--disable-gems", client, "--server_host", host, "--server_port", port,
                                             "--test_case", case, *options], CASE, environment)
                if f'"OK: {case}"' not in output.text:
                    raise Violation(f"{case} does not say that it is well: {context.logs}/{name}.log")
    return f"ruby-grpc, the client of gRPC's authors: {len(CASES)} cases, in plaintext and over TLS"


def cpp(context):
    """A caller by libgrpc++."""
    built, environment = cplusplus.build(
        context.work, fresh(context, "cpp"), CLIENTS / "cpp/caller.cc",
        lambda name, *command: context.must(f"interop-cpp-{name}", *command))
    return [built], environment


def go(context):
    """A caller by grpc-go, built without modules."""
    root = debian.unpack(context.work, "grpc-go", ["golang-go", "golang-google-grpc-dev", "golang-goprotobuf-dev"])
    work = fresh(context, "go")
    (work / "src").mkdir()
    context.must("interop-go-generate", [
        program(root, "protoc"), "-I", ROOT / "Protos", f"--go_out=plugins=grpc:{work}/src",
        f"--plugin=protoc-gen-go={program(root, 'protoc-gen-go')}", "tollgate/v1/tollgate.proto"], CASE)
    toolchain = next(root.glob("usr/lib/go-*"), None)
    environment = {
        "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(context.work / "interop-go-cache"), "CGO_ENABLED": "0",
        "GOPATH": f"{work}:{root}/usr/share/gocode:/usr/share/gocode",
        **({"GOROOT": str(toolchain)} if toolchain else {})}
    command = toolchain / "bin/go" if toolchain else program(root, "go")
    context.must("interop-go-build", [command, "build", "-o", work / "caller", CLIENTS / "go/caller.go"],
                 BUILD, environment)
    return [work / "caller"], {}


def java(context):
    """A caller by grpc-java, on Netty."""
    root = debian.unpack(context.work, "grpc-java", [
        "libgrpc-java", "libprotobuf-java", "libnetty-java", "libperfmark-java", "libguava-java", "libjsr305-java",
        "libopencensus-java", "libjctools-java", "libnetty-tcnative-java", "libnetty-tcnative-jni",
        "protobuf-compiler-grpc-java-plugin"])
    work = fresh(context, "java")
    context.must("interop-java-generate", [
        program(root, "protoc"), "-I", ROOT / "Protos", f"--java_out={work}", f"--grpc-java_out={work}",
        f"--plugin=protoc-gen-grpc-java={program(root, 'grpc_java_plugin')}", "tollgate/v1/tollgate.proto"], CASE,
        debian.libraries(root))
    stub = next(work.rglob("LimitServiceGrpc.java"))
    # An annotation of a library that nobody else needs.
    stub.write_text(re.sub(r"@javax\.annotation\.Generated\(.*?\)\n", "", stub.read_text(), flags=re.S))
    names = r"(grpc|protobuf|netty|perfmark-(api|impl)|guava|jsr305|opencensus|jctools)[-a-z0-9]*\.jar$"
    jars = [path for path in sorted((root / "usr/share/java").glob("*.jar")) if re.match(names, path.name)]
    classes = ":".join(str(path) for path in [work, *jars])
    context.must("interop-java-build", [
        program(root, "javac"), "-nowarn", "-cp", classes, "-d", work, *work.rglob("*.java"), CLIENTS / "java/Caller.java"],
        BUILD)
    # Debian's Netty has ALPN from OpenSSL alone, and looks for it under another name than Debian's.
    native = next(root.rglob("libnetty-tcnative.so"))
    shutil.copyfile(native, work / "libnetty_tcnative.so")
    return [program(root, "java"), f"-Djava.library.path={work}", "-cp", classes, "Caller"], debian.libraries(root)


def fresh(context, name):
    work = context.work / "interop" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


CALLERS = {"C++, libgrpc++": cpp, "Go, grpc-go": go, "Java, grpc-java": java}


def call(context, language, name, caller, address, *arguments):
    command, environment = caller
    output = context.must(f"interop-{name}", [*command, address, *arguments], CALLER, environment)
    said = [line for line in output.text.splitlines() if not LOGGED.match(line)]
    if said != WORDS:
        raise Violation(f"{language} says {' '.join(said)}: {context.logs}/interop-{name}.log")


@contextlib.contextmanager
def service(context, name, *options):
    """The service with the example's tenants: its address, and a token."""
    data = fresh(context, f"data-{name}")
    with serving(context, f"tollgate-{name}", [
            context.server(), "serve", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir", data,
            "--limits", ROOT / "Tools/examples/limits.yaml", *options]) as address:
        yield address, (data / "operator-token").read_text().strip()


def built(context, found):
    """Every caller that can be built here, by its language."""
    callers = {}
    for language, build in CALLERS.items():
        try:
            callers[language] = build(context)
        except Missing as missing:
            found.append(f"SKIPPED: {language}: there is no {missing} here")
    return callers


def through_envoy(context, language, caller, plain, secure, certificates):
    """A caller through Envoy, in plaintext and over mTLS on either side; `plain` and `secure`: a server's address and a token.
    Envoy that shows no certificate is not served."""
    to_server, to_caller = proxying.upstream(certificates), proxying.downstream(certificates)
    shown = [certificates / f"{name}.pem" for name in ("ca", "client", "client-key")]
    for name, (address, token), tls, arguments in [
            ("envoy", plain, {}, []),
            ("envoy-to-tls", secure, {"upstream": to_server}, []),
            ("envoy-from-tls", plain, {"downstream": to_caller}, shown),
            ("envoy-tls", secure, {"upstream": to_server, "downstream": to_caller}, shown)]:
        with proxying.envoy(context, name, address, **tls) as proxy:
            call(context, f"{language}, through Envoy", f"through-{name}", caller, proxy, token, *arguments)
    proxying.must_not_be_served(context, "envoy-without-certificate", secure[0],
                                upstream=proxying.upstream(certificates, own=None))
    return (f"Envoy in front, with its health check, in plaintext and over mTLS on either side and on both: {language}: "
            f"{', '.join(WORDS)}; without a certificate it is not served")


def interop(context):
    """Each caller must say all that it has to: in plaintext, over TLS with a certificate of its own, and the first one
    also through a proxy that speaks the one or the other on either side."""
    found = [official(context)]
    callers = built(context, found)
    certificates = context.certificates(context.work / "interop/certificates")
    server, client = ([certificates / f"{name}.pem", certificates / f"{name}-key.pem"] for name in ("server", "client"))
    authority = certificates / "ca.pem"
    with service(context, "plaintext") as plain, service(
            context, "tls", "--tls-certificate", server[0], "--tls-key", server[1], "--tls-client-ca", authority,
            "--http-tls", "off") as secure:
        for language, caller in callers.items():
            name = CALLERS[language].__name__
            call(context, language, name, caller, *plain)
            call(context, f"{language}, over TLS", f"{name}-tls", caller, *secure, authority, *client)
            found.append(f"{language}, in plaintext and over mTLS: {', '.join(WORDS)}")
        for language, caller in list(callers.items())[:1]:
            found.append(through_envoy(context, language, caller, plain, secure, certificates))
    return found
