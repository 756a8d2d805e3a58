"""Counts of what a client did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Counts since the client was created. `Client.counters()` returns a copy.

    - `calls`, `attempts`, `retries`: attempts = calls that were sent + retries.
    - `allowed`, `denied`: checks that the service decided, including entries of batches and streams.
    - `failed`: calls that ended with an error; `timed_out`: those of them that ended with DEADLINE_EXCEEDED.
    - `failed_open`: checks that a policy allowed unchecked. `over_budget`: checks that did not fit its budget.
    - `circuits_opened`: circuits that opened, including again after a failed probe. `circuit_refused`: calls not sent
      because all circuits were open.
    - `settled`: checks settled with `settle`.
    """

    calls: int = 0
    attempts: int = 0
    retries: int = 0
    allowed: int = 0
    denied: int = 0
    failed: int = 0
    timed_out: int = 0
    failed_open: int = 0
    over_budget: int = 0
    circuits_opened: int = 0
    circuit_refused: int = 0
    settled: int = 0
