"""libFuzzer over Tools/Fuzz."""

import re
import shutil

from runner import Violation

TARGETS = {
    "Journal": "segments and checkpoints whose frames are anything",
    "Record": "records and checkpoint entries with a right checksum and any words",
    "Session": "an HTTP/2 server session",
    "Wire": "request messages",
    "Money": "decimal texts",
    "JSON": "bodies of REST requests",
}
LONG_RUNS = 10_000_000
# Seconds after which the quick form ends a target that has not had its inputs.
QUICK_SECONDS = 20
QUICK_RUNS = 200_000
LENGTHS = {"Money": 64}

# SwiftPM's own --sanitize=fuzzer renames `main`; the other flags add the address sanitizer and the coverage.
BUILD = [
    "-c", "release", "--package-path", "Tools/Fuzz", "--sanitize=fuzzer", "-Xswiftc", "-sanitize=fuzzer,address",
    "-Xcc", "-fsanitize=fuzzer-no-link,address",
]


def seeds(context, target):
    """Well-formed inputs, made by the target's own encoders."""
    corpus = context.work / "corpus" / target
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    binary = context.build("fuzz", BUILD) / f"Fuzz{target}"
    context.must(f"seeds-{target}", [binary], 60, {"TOLLGATE_FUZZ_SEEDS": str(corpus)})
    return binary, corpus


def fuzz(target):
    def run(context):
        binary, corpus = seeds(context, target)
        crashes = context.work / "crashes"
        crashes.mkdir(parents=True, exist_ok=True)
        given = len(list(corpus.iterdir()))
        runs = context.choose(QUICK_RUNS, LONG_RUNS)
        command = [
            binary, f"-runs={runs}", f"-seed={context.seed}", f"-max_len={LENGTHS.get(target, 4_096)}", "-timeout=60",
            "-print_final_stats=1", f"-artifact_prefix={crashes}/{target}-",
        ] + ([f"-max_total_time={QUICK_SECONDS}"] if context.quick else []) + [corpus]
        output = context.run(f"fuzz-{target}", command, context.choose(600, 14_400),
                             {"ASAN_OPTIONS": "quarantine_size_mb=16"})
        saved = re.search(r"Test unit written to (\S+)", output.text)
        if output.status != 0 or output.timed_out:
            reason = re.search(r"^SUMMARY: .*$|.*Fatal error.*|.*(?:Precondition|precondition) failed.*", output.text, re.M)
            raise Violation(
                f"{reason[0].strip() if reason else f'status {output.status}'}"
                + (f"\n  input: {saved[1]}; again: {binary} {saved[1]}" if saved else "")
                + f"\n  log: {context.logs}/fuzz-{target}.log"
            )
        executed = int(re.search(r"number_of_executed_units: (\d+)", output.text)[1])
        covered = re.findall(r"cov: (\d+)", output.text)
        if len(covered) == 0 or executed < 1_000:
            raise Violation(f"{executed} inputs, coverage {covered[-1:]}: the target is not instrumented")
        return [f"{executed} inputs from {given} seeds, {covered[-1]} edges covered, no crash"]

    return run
