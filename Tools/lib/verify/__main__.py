"""See Tools/verify."""

import argparse
import sys
import time

from runner import Context, perform, say
from steps import STEPS


def arguments():
    parser = argparse.ArgumentParser(
        prog="Tools/verify", description="Proves that nothing acknowledged is lost and nothing counted twice. "
        "docs/reliability.md says what each step shows."
    )
    parser.add_argument("--quick", action="store_true", help="short forms: about an hour")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--planted", action="store_true", help="only the planted bugs: each must be caught")
    parser.add_argument("--only", action="append", metavar="NAME", default=[],
                        help="one step, or all whose names begin so (fuzz, planted); may be repeated")
    unseeded = ", ".join(step.name for step in STEPS if not step.is_seeded)
    parser.add_argument("--seed", type=int, default=1, metavar="N",
                        help=f"seed of the random choices (default 1). It does not change {unseeded}: their seeds are "
                        "fixed, or they have none; nor in any step how real threads meet")
    parser.add_argument("--list", action="store_true", help="name the steps and end")
    return parser, parser.parse_args()


def chosen(parser, options):
    steps = STEPS
    if options.planted:
        steps = [step for step in steps if step.name.startswith("planted-")]
    elif options.quick and not options.only:
        steps = [step for step in steps if step.is_quick]
    for name in options.only:
        if not any(matches(step.name, name) for step in STEPS):
            parser.error(f"there is no step {name}: --list names them")
        if not any(matches(step.name, name) for step in steps):
            parser.error(f"--only {name} with --planted selects nothing: --planted --list names what there is")
    if options.only:
        steps = [step for step in steps if any(matches(step.name, name) for name in options.only)]
    return steps


def matches(step, name):
    return step == name or step.startswith(f"{name}-")


def main():
    parser, options = arguments()
    steps = chosen(parser, options)
    if options.list:
        for step in steps:
            say(f"{step.name:30} {step.title}{'' if step.is_quick else ' (long form only)'}"
                f"{'' if step.is_seeded else ' (no --seed)'}")
        return 0
    began = time.monotonic()
    context = Context(options.quick, options.seed)
    results = [perform(context, step) for step in steps]
    say(f"\n== Summary ({'quick' if options.quick else 'long'} form, seed {options.seed})")
    for result in results:
        first = result.figures[0] if result.figures else result.reason.splitlines()[0] if result.reason else ""
        say(f"{'pass' if result.passed else 'FAIL'}  {result.name:30} {result.seconds:8.1f} s  {first[:110]}")
        for line in result.figures:
            if line.startswith("SKIPPED"):
                say(f"      {line}")
    failed = [result.name for result in results if not result.passed]
    say(f"{len(results) - len(failed)} of {len(results)} passed, {time.monotonic() - began:.0f} s, "
        f"of which builds {context.build_seconds:.0f} s; logs in {context.logs}")
    if failed:
        say(f"VIOLATIONS: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
