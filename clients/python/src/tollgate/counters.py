"""What a client has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Since the client was made. `Client.counters()` gives a copy.

    - `calls`, `attempts`, `retries`: attempts = calls that were sent + retries.
    - `allowed`, `denied`: checks that the service decided, entries of batches and streams too.
    - `failed`: calls that ended with an error; of them `timed_out` by their deadline.
    - `failed_open`: checks that a policy allowed unchecked. `over_budget`: those whose budget was spent.
    - `circuits_opened`: endpoints that were given up for a time. `circuit_refused`: calls that were not sent since all were.
    - `settled`: checks that `settle` has settled.
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
