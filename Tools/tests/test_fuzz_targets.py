"""The fuzz targets are built by Tools/verify only, with the sanitizer: here they are type-checked against the build."""

import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import BINARY, ROOT

TARGETS = ROOT / "Tools/Fuzz/Targets"
NAMES = sorted(path.name for path in TARGETS.iterdir() if path.name != "Kit")


def swiftc(*arguments):
    compiler = pathlib.Path(shutil.which("swift")).resolve().parent / "swiftc"
    done = subprocess.run([compiler, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """How a target is compiled that belongs to the package and imports the kit."""
    binaries = pathlib.Path(BINARY).resolve().parent
    plan = binaries.parent.parent / f"{binaries.name}.yaml"
    if not plan.exists():
        pytest.skip("the program is not where SwiftPM built it")
    package = re.search(r'"-module-name","HTTP2",.*?"-package-name","([^"]+)"', plan.read_text())[1]
    maps = [*(ROOT / "Sources").rglob("module.modulemap"), *binaries.glob("*/module.modulemap"),
            *(binaries.parent.parent / "checkouts").rglob("module.modulemap")]
    kit = tmp_path_factory.mktemp("kit")
    places = [binaries / "Modules", kit, *dict.fromkeys(path.parent for path in maps)]
    options = ["-swift-version", "6", "-package-name", package, *(part for place in places for part in ("-I", place))]
    swiftc("-emit-module", "-module-name", "Kit", "-emit-module-path", kit / "Kit.swiftmodule", "-parse-as-library",
           *options, *sorted((TARGETS / "Kit").glob("*.swift")))
    return options


@pytest.mark.parametrize("name", NAMES)
def test_a_fuzz_target_compiles(options, name):
    swiftc("-typecheck", "-warnings-as-errors", "-parse-as-library", *options, *sorted((TARGETS / name).glob("*.swift")))


def test_each_target_is_run():
    steps = (ROOT / "Tools/lib/verify/fuzzing.py").read_text()
    manifest = (ROOT / "Package.swift").read_text()
    assert NAMES == sorted(re.findall(r'^    "(\w+)": "', steps, re.M)) == sorted(re.findall(r'fuzzTarget\("(\w+)"', manifest))
