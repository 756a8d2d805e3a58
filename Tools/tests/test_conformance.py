"""RFC 9113 frame by frame, on one server: the table is Tools/lib/verify/conformance_cases.py."""

import sys

import pytest
from conftest import ROOT, Server

sys.path.insert(0, str(ROOT / "Tools/lib/verify"))
from conformance import perform  # noqa: E402
from conformance_cases import CASES  # noqa: E402


@pytest.fixture(scope="module")
def address():
    server = Server()
    yield "127.0.0.1", server.port
    assert server.stop() == 0, "".join(server.log)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance(address, case):
    is_met, is_known, what = perform(case, address)
    if case.instead:
        assert is_known and not is_met, f"a known difference is none any more, or another one: {what}"
    else:
        assert is_met, f"{case.what}: {what}, and must come {case.must.text} (RFC 9113 §{case.section})"


def test_every_case_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) > 140
