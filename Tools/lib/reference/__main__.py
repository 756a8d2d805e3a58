"""See Tools/reference."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

import command_line
import contract
import error_pages
import rest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"


def help_of(binary):
    dumped = subprocess.run([binary, "--experimental-dump-help"], capture_output=True, text=True, check=True)
    return json.loads(dumped.stdout)["command"]


def openapi(binary):
    """What a service serves that has just started, and keeps nothing."""
    with tempfile.TemporaryDirectory() as directory:
        command = [binary, "serve", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                   "--data-dir", directory, "--durability", "memory", "--insecure-no-auth", "--log-level", "error"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            try:
                ready = re.search(r"http=(\S+)", service.stdout.readline())
                if not ready:
                    sys.exit(f"Tools/reference: {binary} did not start: see its message above")
                with urllib.request.urlopen(f"http://{ready[1]}/openapi.json", timeout=30) as answer:
                    return json.load(answer)
            finally:
                service.terminate()


def pages(binary):
    """{path: text} of all that is generated."""
    found = {
        DOCS / "reference/command-line.md": command_line.page(help_of(binary)),
        DOCS / "reference/rest.md": rest.page(openapi(binary)),
        DOCS / "reference/grpc.md": contract.page((ROOT / "Protos/tollgate/v1/tollgate.proto").read_text()),
    }
    for name, text in error_pages.pages(ROOT).items():
        found[ROOT / name] = text
    return found


def main():
    parser = argparse.ArgumentParser(prog="Tools/reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and say what is not up to date")
    check = parser.parse_args().check
    binary = pathlib.Path(os.environ.get("TOLLGATE_BINARY", ROOT / ".build/debug/tollgate")).absolute()
    if not binary.exists():
        sys.exit(f"Tools/reference: {binary} is not there: swift build, or say by TOLLGATE_BINARY where it is")
    made = pages(binary)
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    gone = [path for path in DOCS.glob("errors/*.md") if path not in made]
    if check:
        for path in stale + gone:
            name = path.relative_to(ROOT)
            print(f"Tools/reference: {name} is not up to date; run Tools/reference and commit the result.",
                  file=sys.stderr)
        return 1 if stale or gone else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path])
    for path in gone:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
