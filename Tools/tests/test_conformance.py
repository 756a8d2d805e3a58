"""RFC 9113 frame by frame, on one server in plaintext and on one over TLS: the table is
Tools/lib/verify/conformance_cases.py."""

import subprocess
import sys

import pytest
from conftest import ROOT, Server

sys.path.insert(0, str(ROOT / "Tools/lib/verify"))
from conformance import perform  # noqa: E402
from conformance_cases import CASES  # noqa: E402
from peers import tls_context  # noqa: E402


@pytest.fixture(scope="module", params=["plaintext", "tls"])
def target(request, tmp_path_factory):
    """A server's address, and the context of connections to it."""
    options, tls = [], None
    if request.param == "tls":
        certificates = tmp_path_factory.mktemp("conformance") / "certificates"
        subprocess.run([ROOT / "Tools/dev-certificates", certificates], check=True, timeout=120)
        options = ["--tls-certificate", str(certificates / "server.pem"), "--tls-key", str(certificates / "server-key.pem")]
        tls = tls_context(is_http=False, authority=certificates / "ca.pem")
    server = Server(*options)
    yield ("127.0.0.1", server.port), tls
    assert server.stop() == 0, "".join(server.log)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance(target, case):
    is_met, is_known, what = perform(case, *target)
    if case.instead:
        assert is_known and not is_met, f"a known difference is none any more, or another one: {what}"
    else:
        assert is_met, f"{case.what}: {what}, and must come {case.must.text} (RFC 9113 §{case.section})"


def test_every_case_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) > 140
