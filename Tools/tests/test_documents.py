"""What pages and comments refer to is there: sections, decisions, files, links, commands, types. Nothing here needs a
service; test_readme.py runs the commands that pages print."""

import functools
import json
import os
import pathlib
import re
import runpy
import shlex
import subprocess

import pytest
from conftest import BINARY, ROOT

PLACES = ["Sources", "Tests", "Tools", "Protos", "docs", "examples", "clients", "deploy", ".ci", ".github"]
SUFFIXES = {"", ".swift", ".py", ".pyi", ".md", ".proto", ".sh", ".c", ".cc", ".h", ".go", ".java", ".mjs", ".js",
            ".toml", ".yaml", ".yml", ".service", ".mustache", ".css", ".dot", ".txt"}
HERE = pathlib.Path(__file__).name
DRAW = runpy.run_path(str(ROOT / "Tools/draw"))


def texts():
    """{path within the repository: text} of everything that is written by people, and this file left out."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for place in PLACES:
        files += (ROOT / place).rglob("*")
    found = {}
    for path in files:
        parts = path.relative_to(ROOT).parts
        if not path.is_file() or path.suffix not in SUFFIXES or path.name == HERE:
            continue
        if "__pycache__" in parts or any(part.startswith(".") and part not in (".ci", ".github") for part in parts[:-1]):
            continue
        # Links to Sources and Tests, of the second manifest: everything once.
        if any((ROOT.joinpath(*parts[:count])).is_symlink() for count in range(1, len(parts) + 1)):
            continue
        try:
            found["/".join(parts)] = path.read_text()
        except UnicodeDecodeError:
            continue
    return found


TEXTS = texts()
PAGES = {name: text for name, text in TEXTS.items() if name.endswith(".md")}


def flat(text):
    """On one line: a comment or paragraph may break anywhere."""
    return re.sub(r"\s*\n\s*(?:///?|#|\*)?\s*", " ", text)


def without_code(text):
    """Without fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def anchors(page):
    """As GitHub makes them of headings."""
    found, seen = set(), {}
    for heading in re.findall(r"(?m)^#+ (.*)$", without_code(PAGES[page])):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "").strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


def test_everything_is_looked_at():
    assert len(PAGES) > 30 and "README.md" in PAGES and "clients/python/README.md" in PAGES
    assert len(TEXTS) > 600 and "Sources/Limits/Decide.swift" in TEXTS and "Tools/test" in TEXTS


# MARK: Citations

SEMANTICS = re.compile(r'semantics(?:\.md)?`?,? §(\d+)((?:(?:–|, and |, | and |/)§\d+)*)(?:, (?:from )?"([^"]+)")?')


def test_citations_of_the_semantics():
    page = PAGES["docs/semantics.md"]
    sections = {int(number): text for number, text in re.findall(r"(?ms)^## (\d+)\. (.*?)(?=^## |\Z)", page)}
    assert sorted(sections) == list(range(1, 9))
    found, wrong = 0, []
    for name, text in TEXTS.items():
        for first, others, quoted in SEMANTICS.findall(flat(text)):
            found += 1
            numbers = [int(first), *map(int, re.findall(r"\d+", others))]
            wrong += [f"{name}: semantics §{number}" for number in numbers if number not in sections]
            if quoted and first in map(str, sections) and quoted.lower() not in flat(sections[int(first)]).lower():
                wrong.append(f'{name}: semantics §{first} does not say "{quoted}"')
    assert not wrong, "\n".join(wrong)
    assert found > 35


def test_every_section_sign_belongs_to_a_document():
    """Where no RFC is spoken of, a "§" is of the semantics, which the file names."""
    wrong = []
    for name, text in TEXTS.items():
        numbers = re.findall(r"§(\d*)", text)
        if not numbers or re.search(r"RFC|9113|HTTP/2", text):
            continue
        if "semantics" not in text.lower():
            wrong.append(f"{name}: of what is the §?")
        wrong += [f"{name}: §{number}" for number in numbers if number and not 1 <= int(number) <= 8]
    assert not wrong, "\n".join(wrong)


def test_citations_of_decisions():
    decisions = sorted(path.stem for path in (ROOT / "docs/decisions").glob("*.md"))
    found, wrong = 0, []
    for name, text in TEXTS.items():
        for number, slug in re.findall(r"(?i)\b(?:decisions?[/ ])(0\d{3})((?:-[a-z0-9-]+)?)", flat(text)):
            found += 1
            if not any(stem == number + slug if slug else stem.startswith(number + "-") for stem in decisions):
                wrong.append(f"{name}: decision {number}{slug}")
    assert not wrong, "\n".join(wrong)
    assert found > 20


def test_citations_of_pages():
    """`docs/x.md` in code and comments."""
    found, wrong = 0, []
    for name, text in TEXTS.items():
        for path in re.findall(r"(?<![\w/.-])docs/[\w./-]*\w", text):
            found += 1
            if not (ROOT / path).exists() and not list(ROOT.glob(path + "-*.md")):
                wrong.append(f"{name}: {path}")
    assert not wrong, "\n".join(wrong)
    assert found > 100


# MARK: Links and paths

@pytest.mark.parametrize("page", sorted(PAGES))
def test_links(page):
    base = pathlib.PurePosixPath(page).parent
    for link in re.findall(r"\]\(([^)\s]+)\)", flat(without_code(PAGES[page]))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / base / target).resolve() if target else ROOT / page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(str(path.relative_to(ROOT))), link


PATH = re.compile(r"`((?:Sources|Tests|Tools|Protos|docs|examples|clients|deploy|\.ci|\.github)/[^`\s:,]*)")


def test_paths_in_backquotes():
    """Files, directories and commands of the repository; `*` stands for any name."""
    found, wrong = 0, []
    for name, text in TEXTS.items():
        for path in PATH.findall(text):
            if re.search(r"[…{<$]|NAME|FILE", path):
                continue
            found += 1
            if not (ROOT / path).exists() and not list(ROOT.glob(path)):
                wrong.append(f"{name}: {path}")
    assert not wrong, "\n".join(wrong)
    assert found > 100


def test_paths_by_themselves():
    """`Tools/x` and the like in comments and messages."""
    found, wrong = 0, []
    for name, text in TEXTS.items():
        for path in re.findall(r"(?<![\w/.-])(?:Tools|Sources|Tests|Protos)/[\w./+-]*\w", text):
            found += 1
            if not (ROOT / path).exists() and not list(ROOT.glob(path + "*")):
                wrong.append(f"{name}: {path}")
    assert not wrong, "\n".join(wrong)
    assert found > 200


def test_files_named_by_themselves():
    """`test_x.py` and `X.swift` in backquotes on a page."""
    known = {pathlib.PurePosixPath(name).name for name in TEXTS}
    wrong = []
    for page, text in PAGES.items():
        inline = re.findall(r"`([\w+]+\.(?:py|swift|proto|mjs|cc|go|java))[`:]", text)
        for name in inline + re.findall(r"\btest_\w+\.py", text):
            if name not in known and name != HERE:
                wrong.append(f"{page}: {name}")
    assert not wrong, "\n".join(wrong)


# MARK: Commands

PROGRAMS = ("tollgate", "tollgate-loadtest", "tollgate-benchmarks")


@functools.cache
def commands():
    """{the words of a command: its flags}, of all programs."""
    found = {}

    def walk(command, before):
        words = (*before, command["commandName"])
        found[words] = {
            ("--" if name["kind"] == "long" else "-") + name["name"]
            for argument in command.get("arguments", []) for name in argument.get("names") or []
        }
        for part in command.get("subcommands", []):
            walk(part, words)

    for program in PROGRAMS:
        dumped = subprocess.run([BINARY + program.removeprefix("tollgate"), "--experimental-dump-help"],
                                capture_output=True, text=True, check=True)
        walk(json.loads(dumped.stdout)["command"], ())
    return found


def unknown(words):
    """The first word of a command line that is no command or flag of the program; None: all are."""
    count = 1
    while words[: count + 1] in commands() and count < len(words):
        count += 1
    command, rest = words[:count], words[count:]
    has_parts = any(other[:-1] == command for other in commands())
    if has_parts and rest and re.fullmatch(r"[a-z][a-z-]+", rest[0]):
        return rest[0]
    flags = (re.split("[=,]", word)[0] for word in rest if word.startswith("-") and word != "-")
    return next((flag for flag in flags if flag not in commands()[command]), None)


def test_page_of_settings():
    """docs/configuration.md is what the program says of its settings."""
    done = subprocess.run([BINARY, "settings-reference"], capture_output=True, text=True, check=True)
    assert PAGES["docs/configuration.md"] == done.stdout, "run: tollgate settings-reference >docs/configuration.md"


def test_commands_and_flags():
    """`tollgate tenants create --preset new-tenant`: the command is there and has the flag. A flag by itself is known to
    one of the programs or tools."""
    tools = "\n".join(text for name, text in TEXTS.items() if name.startswith("Tools/"))
    flags = set().union(*commands().values(), re.findall(r"(?<![\w-])--[a-z][a-z-]*", tools))
    assert len(commands()) > 60
    found, wrong = 0, []
    for page, text in PAGES.items():
        for inline in re.findall(r"`([^`]+)`", flat(without_code(text))):
            words = tuple(inline.split())
            if words[0] in PROGRAMS:
                found += 1
                wrong += [f"{page}: {inline}: {word}" for word in [unknown(words)] if word]
            elif words[0].startswith("--") and len(words[0]) > 2:
                found += 1
                wrong += [] if re.match(r"--[\w-]*", words[0])[0] in flags else [f"{page}: {inline}"]
    assert not wrong, "\n".join(wrong)
    assert found > 200


def test_commands_that_are_not_run():
    """Of blocks that test_readme.py does not run: programs, tools and flags are there."""
    found, wrong = 0, []
    for page, text in PAGES.items():
        for block in re.findall(r"(?ms)^<!-- commands: not run: [^\n]*-->\n```(?:sh|console)\n(.*?)^```$", text):
            for line in block.replace("\\\n", " ").splitlines():
                words = tuple(shlex.split(line.removeprefix("$ "), comments=True))
                while words and re.match(r"\w+=", words[0]):
                    words = words[1:]
                if not words or line.startswith("#"):
                    continue
                if words[0] in PROGRAMS:
                    found += 1
                    wrong += [f"{page}: {line}: {word}" for word in [unknown(words)] if word]
                elif words[0].startswith("Tools/"):
                    found += 1
                    tool = ROOT / words[0]
                    parts = [path for path in (tool, *ROOT.glob(f"Tools/lib/{tool.name}/*.py")) if path.is_file()]
                    flags = set(re.findall(r"--[a-z-]+", "".join(part.read_text() for part in parts)))
                    wrong += [f"{page}: {line}: {word}" for word in words[1:]
                              if word.startswith("--") and word.split("=")[0] not in flags]
                    wrong += [] if parts else [f"{page}: {line}"]
    assert not wrong, "\n".join(wrong)
    assert found > 15


def test_page_of_a_command():
    """docs/reference and docs/errors are what the program, the contract and the catalogues say."""
    done = subprocess.run([ROOT / "Tools/reference", "--check"], capture_output=True, text=True,
                          env={**os.environ, "TOLLGATE_BINARY": BINARY})
    assert done.returncode == 0, done.stdout + done.stderr


# MARK: The site

def test_every_page_has_a_place_in_the_site():
    """In the menu of mkdocs.yml, once; `Tools/verify --quick --only site` builds it. Errors are found by their index."""
    settings = (ROOT / "mkdocs.yml").read_text()
    places = re.findall(r"(?m)^ +- (?:.*: )?(\S+\.md)$", settings[settings.index("\nnav:"):])
    beside = set(re.findall(r'(?m)^    "[^"]+": "([^"]+)",$', TEXTS["Tools/lib/site/hooks.py"]))
    pages = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} | beside
    assert len(places) == len(set(places)) and len(places) > 50
    assert sorted(places) == sorted(page for page in pages if not re.match(r"errors/\d", page))


# MARK: What pages say of the code

def test_log_lines_that_operators_look_for():
    """What stands in quotes in the tables of docs/operate is a text of the service; `…` stands for what differs."""
    sources = "\n".join(text for name, text in TEXTS.items() if name.startswith("Sources/"))
    sources = re.sub(r"\\\n\s*", "", sources)
    found = 0
    for page in ("docs/operate/runbook.md", "docs/operate/backup.md"):
        for quoted in re.findall(r'"([^"]+)"', flat(without_code(PAGES[page]))):
            found += 1
            for part in quoted.split("…"):
                assert part.strip() in sources, f"{page}: {quoted}"
    assert found > 20


def test_terms_name_types_that_exist():
    text = PAGES["docs/glossary.md"]
    sources = "\n".join(text for name, text in TEXTS.items() if name.startswith("Sources/"))
    declared = set(re.findall(r"\b(?:struct|class|enum|protocol|actor|typealias) (\w+)", sources))
    named = re.findall(r"\(`([A-Z]\w+)`\)", text)
    assert len(named) > 35
    missing = sorted(set(named) - declared)
    assert not missing, missing


def test_the_catalogue_is_the_specifications():
    """Limits, and what an error is on either protocol: semantics §1 and §8 are what the code says."""
    page = PAGES["docs/semantics.md"]
    limits = re.findall(r'name: "([a-z_]+)",\s*subject:', TEXTS["Sources/Limits/LimitKind+Catalogue.swift"])
    assert len(limits) >= 5
    for name in limits:
        assert f"| {name.replace('_', ' ')} |" in page.lower(), name
    rows = re.findall(
        r'code: \.\w+, text: "(\d+)".*?title: "([^"]*)".*?httpStatus: (\d+),\s*status: \.`?(\w+)`?',
        TEXTS["Sources/Limits/ErrorCode+Catalogue.swift"], re.DOTALL)
    assert len(rows) >= 19
    told = {code: (http, grpc, title) for http, grpc, code, title in re.findall(
        r"(?m)^\|[^|]*\| (\d+) \| ([^|]*) \| (\d+) [TO] \| ([^|]*) \|$", page)}
    assert sorted(told) == sorted(code for code, *_ in rows)
    for code, title, http, status in rows:
        grpc = re.sub(r"(?<!^)([A-Z])", r"_\1", status).upper()
        denial = "OK, DENIED"
        assert told[code] in [(http, grpc, title), (http, denial, title)], code
        assert (told[code][1] == denial) == (code.startswith(("490", "403")) or code == "20012"), code


def test_the_plan_of_targets_is_the_manifests():
    """Decision 0001's table: each target, and what it imports of ours. Programs import whatever they need."""
    page = PAGES["docs/decisions/0001-house.md"]
    told = {
        name: set(re.findall(r"`(\w+)`", imports))
        for names, imports in re.findall(r"(?m)^\| (`[^|]*) \| [^|]* \|([^|]*)\|$", page)
        for name in re.findall(r"`([\w-]+)`", names)
    }
    manifest = {name: (kind, own) for name, (kind, own, _) in DRAW["targets"](DRAW["manifest"]()).items()}
    assert len(manifest) > 25 and sorted(told) == sorted(manifest)
    for name, (kind, own) in manifest.items():
        assert kind == "executable" or told[name] == own, name


# Modules of the toolchain and the system, and one of Yams that no product is named after.
SYSTEM = {"CYaml", "Dispatch", "Foundation", "Glibc", "Synchronization", "Testing"}
IMPORT = re.compile(r"(?m)^(?:@\w+ )*(?:public |package |internal )?import (\w+)$")


def test_what_targets_import_is_what_they_declare():
    """SwiftPM lets a target import whatever its dependencies have, and declare what it does not import."""
    looked = 0
    for target in DRAW["manifest"]()["targets"]:
        name = target["name"]
        place = "Tests" if target["type"] == "test" else "Sources"
        folder = ROOT / (target.get("path") or f"{place}/{name}")
        # A tutorial's steps are programs of their own.
        files = [file for file in folder.rglob("*.swift") if ".docc" not in str(file)]
        if not files:
            continue
        looked += 1
        declared = {
            (dependency["product"] if "product" in dependency else next(iter(dependency.values())))[0].replace("-", "_")
            for dependency in target["dependencies"]
        }
        imported = {module for file in files for module in IMPORT.findall(file.read_text())}
        assert imported - SYSTEM == declared, name
    assert looked > 50


def test_pictures_are_up_to_date():
    done = subprocess.run([ROOT / "Tools/draw", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_of_the_swift_client():
    """Every link of it leads somewhere, every parameter is described, and each step of its tutorial compiles."""
    done = subprocess.run([ROOT / "Tools/document", pathlib.Path(BINARY).parent], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
