"""The proofs, in the order in which they run. docs/reliability.md says which fault each is about."""

import os
import re
import time
from dataclasses import dataclass
from typing import Callable

import attacking
import conformance
import examples
import fuzzing
import interop
import packages
import sanitizers
import soaking
import upgrading
from runner import ROOT, Violation, tests_run


@dataclass
class Step:
    name: str
    title: str
    run: Callable
    # Runs with --quick; all others run in the long form only.
    is_quick: bool = True
    # --seed has a say in it. Without it a step draws from fixed seeds, or threads meet in another way each time.
    is_seeded: bool = True


def number(context, name, quick, long):
    """How often; the environment may say it too."""
    return {name: os.environ.get(name, str(context.choose(quick, long)))}


def simulation(context):
    counts = number(context, "TOLLGATE_SEEDS", 1_000, 20_000)
    output = context.swift_tests("simulation", ["SimulatorTests"], context.choose(240, 7_200), counts)
    return output.figures


def kills(context):
    counts = number(context, "TOLLGATE_KILLS", 50, 2_000)
    return context.python_tests("kill", ["test_kill.py"], context.choose(240, 14_400), counts)


def power_loss(context):
    counts = number(context, "TOLLGATE_STATES", 2_000, 100_000) | {"TOLLGATE_EVERY_CUT": "1"}
    suites = ["PowerLossTests", "EngineTests.CheckpointerTests"]
    output = context.swift_tests("power-loss", suites, context.choose(300, 7_200), counts)
    return output.figures


def damage(context):
    every = {} if context.quick else {"TOLLGATE_ALL_BITS": "1"}
    output = context.swift_tests("damage", ["DamageTests", "WriterTests"], context.choose(120, 7_200), every)
    return [f"{tests_run(output)} tests, {context.choose('a sample of', 'all')} bytes and bits"] + output.figures


def faults(context):
    length = {"TOLLGATE_FAULTS": context.choose("quick", "long")}
    found = context.python_tests("faults", ["test_faults.py", "test_descriptors.py"], context.choose(240, 3_600), length)
    skipped = [line for line in found if line.startswith("SKIPPED")]
    count = sum(int(re.search(r"\((\d+) of \S+\)$", line)[1]) for line in skipped)
    return [f"{len(found) - len(skipped)} experiments on the real server, {count} skipped"] + found


def thorough(context):
    return context.python_tests("thorough", [""], 1_800, configuration="release", options=["-m", "thorough"])


def linearizability(context):
    suites = ["EngineTests.LinearizabilityTests", "TestKitTests.LinearizabilityTests"]
    # Threads meet in another way each time.
    times = context.choose(1, 20)
    for _ in range(times):
        context.swift_tests("linearizability", suites, 300)
    return [f"{60 * times} histories of 4 threads"]


def stopped_threads(context):
    suites = ["StoppedRecordTests", "StoppedThreadTests", "SeveralLivesTests", "SettledAnswerTests"]
    output = context.swift_tests("stopped-threads", suites, 600)
    return [f"{tests_run(output)} tests, a thread stopped at every step"] + output.figures


def allocation(context):
    output = context.swift_tests("allocation", ["AllocationFailureTests", "ReservationsTests.MemoryTests"], 300)
    known = len(re.findall(r"recorded a known issue", output.text))
    return [f"{tests_run(output)} tests, {known} known issues of the libraries"]


def site(context):
    output = context.must("site", [ROOT / "Tools/site", "--output", context.work / "site"], 300)
    return output.figures


# Each bug of Sources/Journal/InjectedBug.swift with the tests of which one must fail.
PLANTED = {
    "lost-predecessor": "StoppedRecordTests",
    "lost-dependent": "StoppedThreadTests",
    "overwritten-life": "SeveralLivesTests",
    "double-grant": "StoppedThreadTests",
    "roll-back-race": "EngineTests.LinearizabilityTests",
    "early-acknowledgement": "SimulatorTests",
    "unsettled-answer": "SimulatorTests",
    "skipped-sync": "SimulatorTests",
}
# With the bug and without it.
PLANTED_TIMEOUT = 480
CRASH = r"unexpected signal code \d+|Fatal error.*"


def planted(bug):
    suite = PLANTED[bug]

    def run(context):
        fewer = {"TOLLGATE_SEEDS": "200"}
        control = f"planted-control-{suite}"
        # Without the bug the same tests pass within the same time: or a failure would prove nothing.
        if control not in context.built:
            began = time.monotonic()
            context.swift_tests(control, [suite], PLANTED_TIMEOUT, fewer)
            context.built[control] = time.monotonic() - began
        output = context.run(
            f"planted-{bug}", ["swift", "test", *context.core_tests(), "--filter", suite], PLANTED_TIMEOUT,
            {"TOLLGATE_PLANT": bug, "TOLLGATE_SEED": str(context.seed), **fewer},
        )
        return [f"caught by {suite}: {caught(output, suite, bug, context.built[control])}"]

    return Step(f"planted-{bug}", f"TOLLGATE_PLANT={bug} must be caught", run, is_quick=False,
                is_seeded=suite == "SimulatorTests")


def caught(output, suite, bug, control_seconds):
    """How tests noticed a planted bug; a Violation if they did not."""
    if "Test run started" not in output.text:
        raise Violation("the tests did not even begin")
    if output.status == 0:
        raise Violation(f"ESCAPED: {suite} passes with TOLLGATE_PLANT={bug}")
    if issues := re.findall(r"Test (\S+) .*recorded an issue", output.text):
        return f"{issues[0]} and {len(issues) - 1} more issues"
    if crash := re.search(CRASH, output.text):
        return f"crashes, {crash[0]}"
    if output.timed_out:
        return f"not done after {PLANTED_TIMEOUT} s, without the bug after {control_seconds:.0f} s"
    raise Violation(f"{suite} ends with {output.status}, and neither an issue nor a crash says why")


STEPS = [
    Step("simulation", "engine and journal on a simulated clock and disk", simulation),
    Step("kill", "kill -9 of the real process under load", kills),
    Step("power-loss", "any subset of the sectors that were not synced is lost", power_loss),
    Step("damage", "every byte cut, every bit flipped", damage, is_seeded=False),
    Step("faults", "failing, slow and interrupted calls; jumping clock; stopped process", faults,
         is_seeded=False),
    Step("thorough", "what takes too long for Tools/test, with the release build", thorough, is_seeded=False),
    Step("linearizability", "recorded histories of real threads have an order", linearizability,
         is_seeded=False),
    # Tools/test runs these with all other tests.
    Step("stopped-threads", "a thread stopped at any step delays nobody and loses nothing", stopped_threads, is_quick=False,
         is_seeded=False),
    Step("allocation", "the nth allocation fails, for every n", allocation, is_seeded=False),
    *[planted(bug) for bug in PLANTED],
    # The fuzz targets have the address sanitizer too: the short form leaves it at that.
    Step("address", "address sanitizer over the core", sanitizers.address, is_quick=False),
    Step("thread", "thread sanitizer over the core: silent", sanitizers.thread),
    Step("undefined", "undefined-behaviour sanitizer over the C code", sanitizers.undefined),
    *[
        Step(f"fuzz-{target.lower()}", f"libFuzzer: {what}", fuzzing.fuzz(target))
        for target, what in fuzzing.TARGETS.items()
    ],
    Step("attacks", "peers that take what they can, and a good client beside them", attacking.attacks, is_seeded=False),
    Step("attacks-tls", "the same over TLS, and its handshakes", attacking.attacks_tls, is_seeded=False),
    Step("conformance", "RFC 9113 frame by frame, beside nghttpd", conformance.conformance, is_seeded=False),
    # Continuous integration runs Python's with all other tests; the others fetch compilers.
    Step("examples", "the programs under examples/, in five languages", examples.examples, is_seeded=False),
    Step("site", "the documentation builds as a site; links lead somewhere, nothing is loaded from elsewhere", site,
         is_seeded=False),
    Step("interop", "other implementations of gRPC call", interop.interop, is_seeded=False),
    Step("packages", "the .deb on a bare Debian: installed, run, upgraded, removed; the image", packages.packages,
         is_seeded=False),
    Step("upgrade", "upgrades under the load of three clients: no call fails", upgrading.upgrades, is_seeded=False),
    Step("soak", "half load for a while: memory and descriptors flat, the books agree", soaking.soak),
]
