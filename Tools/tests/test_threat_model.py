"""Each row of docs/threat-model.md names tests that exist, and each flag is the service's."""

import re

from conftest import ROOT, tollgate


def test_what_shows_it_is_there():
    text = (ROOT / "docs/threat-model.md").read_text()
    suites = "".join(path.read_text() for path in ROOT.glob("Tests/**/*.swift"))
    files = re.findall(r"(?<![\w/])test_\w+\.py", text)
    assert len(files) > 20
    for name in files:
        assert (ROOT / "Tools/tests" / name).exists(), name
    named = re.findall(r"`(?:\w+\.)?(\w+(?:Tests|Stories))`", text)
    assert len(named) > 20
    for name in named:
        assert re.search(rf"\bstruct {name}\b", suites) or (ROOT / "Tests" / name).exists(), name
    for path in re.findall(r"`((?:clients|Tools)/[\w/.-]+)", text):
        assert (ROOT / path).exists(), path


def test_flags_of_the_checklist_are_the_services():
    known = tollgate(None, "serve", "--help").stdout
    for page in ("docs/hardening.md", "docs/threat-model.md", "docs/clients/failure.md"):
        for flag in set(re.findall(r"`(--[a-z-]+)", (ROOT / page).read_text())):
            assert re.search(rf"{flag}\b", known), f"{page}: {flag}"
