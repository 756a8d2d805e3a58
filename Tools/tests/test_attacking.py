"""How Tools/verify judges what came of an attack: the figures are made up. The attacks themselves run in
`Tools/verify --only attacks`."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "Tools/lib/verify"))
from attacking import KEPT_MIB, PEER_MEMORY_MIB, RISE_MS, SPARE_MIB, TLS_MIB, Outcome  # noqa: E402
from peers import TLS_ATTACKS, Attack  # noqa: E402

ENDING = Attack("ending", "what ends", lambda token: b"", must_end=True)
HANDSHAKES = next(attack for attack in TLS_ATTACKS if attack.is_bare)
MOST = PEER_MEMORY_MIB + SPARE_MIB


def outcome(quiet=0.3, attacked=0.4, peak=100, after=70, attack=ENDING, is_tls=False, **done):
    counted = {"opened": 9, "secured": 8, "closed": 7, "ended": 6, **done}
    return Outcome(attack, is_tls, (0.1, quiet), (0.2, attacked), (60, peak, after), counted)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"quiet": 0.3, "attacked": 0.3 + RISE_MS + 0.1}, "p99 of 0.30 ms became 10.40, more than 10.30"),
        ({"quiet": 20, "attacked": 40.1}, "p99 of 20.00 ms became 40.10, more than 40.00"),
        ({"peak": 60 + MOST + 1}, f"60 MiB became {61 + MOST}"),
        ({"peak": 60 + MOST + TLS_MIB + 1, "is_tls": True}, f"60 MiB became {61 + MOST + TLS_MIB}"),
        ({"after": 60 + KEPT_MIB + 1}, f"{61 + KEPT_MIB} MiB are kept after 60"),
        ({"ended": 0}, "none of its connections was ended"),
        ({"secured": 0, "is_tls": True}, "none of its handshakes was done"),
    ],
)
def test_what_is_not_as_it_must_be_is_told(given, sentence):
    (found,) = outcome(**given).wrong(is_timed=True)
    assert sentence in found


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"quiet": 0.3, "attacked": 0.3 + RISE_MS},
        {"quiet": 20, "attacked": 40},
        {"peak": 60 + MOST, "after": 60 + KEPT_MIB},
        {"peak": 60 + MOST + TLS_MIB, "is_tls": True},
        {"secured": 0},
        {"secured": 0, "is_tls": True, "attack": HANDSHAKES},
    ],
)
def test_what_is_within_its_bounds_passes(given):
    assert outcome(**given).wrong(is_timed=True) == []


def test_a_short_run_does_not_judge_times():
    assert outcome(attacked=1_000).wrong(is_timed=False) == []


def test_the_row_has_the_ratio_and_the_bounds():
    assert outcome(quiet=0.2, attacked=0.5).row() == (
        f"| `ending`: what ends | 0.10 / 0.20 | 0.20 / 0.50 | 2.5 | 60 | 100 of {60 + MOST} | 70 of {60 + KEPT_MIB} | 9 / 7 |"
    )
    assert outcome(is_tls=True).row().endswith("| 9 / 8 / 7 |")
