"""The core and the C code under the sanitizers."""

import re
import shutil

import fuzzing
from runner import ROOT, Violation, tests_run

# Where threads meet; the long form runs everything.
QUICK_THREAD = [
    "ReservationsTests.ThreadTests", "ReservationsTests.SharingTests", "EngineTests.LinearizabilityTests",
    "JournalTests.WriterTests", "JournalTests.RecordRingTests",
]
# Where bytes come in.
QUICK_ADDRESS = ["JournalTests", "HTTP2Tests", "WireTests", "LimitsTests", "ReservationsTests.MemoryTests"]


def sanitized(context, sanitizer, quick, environment):
    fewer = {"TOLLGATE_SEEDS": context.choose("50", "500"), "TOLLGATE_STATES": context.choose("200", "2000")}
    suites = context.choose(quick, ["."])
    output = context.swift_tests(sanitizer, suites, context.choose(1_800, 14_400), {**environment, **fewer}, sanitizer)
    reports = re.findall(r"(?:WARNING|ERROR): \w+Sanitizer.*", output.text)
    if reports:
        raise Violation(f"{len(reports)} reports, the first: {reports[0]}\n  log: {context.logs}/{sanitizer}.log")
    return [f"{tests_run(output)} tests, no report"]


def address(context):
    # The XCTest runner, which runs no test here, leaks a few bytes of its own.
    suppressions = context.work / "leaks.txt"
    suppressions.write_text("leak:XCTest\nleak:libTesting\n")
    return sanitized(context, "address", QUICK_ADDRESS, {"LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0"})


def thread(context):
    return sanitized(context, "thread", QUICK_THREAD, {"TSAN_OPTIONS": "halt_on_error=0"})


def undefined(context):
    """Our C: generated messages over golden bytes and mutations of them, and the shims."""
    build = context.work / "undefined"
    inputs = build / "inputs"
    shutil.rmtree(build, ignore_errors=True)
    inputs.mkdir(parents=True)
    # Bytes that protoc made, from the tests, and bytes that our encoders made, from the fuzz targets.
    golden = (ROOT / "Tests/WireTests/GoldenBytes.swift").read_text()
    for name, text in re.findall(r"static let (\w+) = hex\((.*?)\)", golden, re.S):
        (inputs / name).write_bytes(bytes.fromhex("".join(re.findall(r'"([0-9a-f]*)"', text))))
    _, corpus = fuzzing.seeds(context, "Wire")
    for seed in corpus.iterdir():
        (inputs / seed.name).write_bytes(seed.read_bytes()[1:])
    sources = [ROOT / "Tools/lib/verify/undefined.c", *sorted((ROOT / "Sources/CTollgate").rglob("*.c"))]
    binary = build / "undefined"
    context.must("build-undefined", [
        "clang", "-g", "-O1", "-Wall", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-I", ROOT / "Sources/CTollgate/include", "-I", ROOT / "Sources",
        "-o", binary, *sources, "-lprotobuf-c", "-lnghttp2",
    ], 300)
    rounds = context.choose(2_000, 100_000)
    output = context.must("undefined", [binary, context.seed, rounds, *sorted(inputs.iterdir())], context.choose(120, 3_600))
    return output.figures
