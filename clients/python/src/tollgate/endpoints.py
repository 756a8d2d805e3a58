"""Which endpoint is used: a state machine without I/O.

The current endpoint is used until it fails. One that timed out or was not reached is *avoided* for a time: others are
tried first. After several consecutive failures the *circuit* of an endpoint is open: it gets no calls for a time, then
one call, the probe, finds out whether the circuit can be closed.

All times are seconds of one monotonic clock. Not thread-safe: the owner synchronizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .settings import Settings


class Choice(NamedTuple):
    """The endpoint of an attempt. Call one of `succeeded`, `failed` and `abandoned` after it."""

    endpoint: int
    is_probe: bool


@dataclass(slots=True)
class Endpoint:
    failures: int = 0
    """Consecutive ones."""
    avoided_until: float = 0
    open_until: float = 0
    openings: int = 0
    """Consecutive ones; 0: the circuit is closed."""
    is_probed: bool = False


class Endpoints:
    def __init__(self, count: int, settings: Settings) -> None:
        if count < 1:
            raise ValueError("give at least one endpoint")
        self._settings = settings
        self._endpoints = [Endpoint() for _ in range(count)]
        self._present = 0
        self.circuits_opened = 0

    def __len__(self) -> int:
        return len(self._endpoints)

    def pick(self, now: float, *, is_repeatable: bool) -> Choice | None:
        """The endpoint of the next attempt; None: all circuits are open.

        A repeatable call probes an open circuit that is due; another call does so only if no circuit is closed.
        """
        count = len(self._endpoints)
        order = [(self._present + step) % count for step in range(count)]
        closed = [index for index in order if self._endpoints[index].openings == 0]
        due = [index for index in order if index not in closed and self._is_due(index, now)]
        if due and (is_repeatable or not closed):
            self._endpoints[due[0]].is_probed = True
            return Choice(due[0], True)
        if not closed:
            return None
        return Choice(min(closed, key=lambda index: max(self._endpoints[index].avoided_until - now, 0)), False)

    def has_other(self, index: int, now: float) -> bool:
        """Whether an endpoint other than this one can be used."""
        return any(
            other != index and (endpoint.openings == 0 or self._is_due(other, now))
            for other, endpoint in enumerate(self._endpoints)
        )

    def succeeded(self, choice: Choice) -> None:
        """It answered, even if with an error."""
        self._endpoints[choice.endpoint] = Endpoint()

    def failed(self, choice: Choice, now: float) -> None:
        """It timed out, was not reached, or was unavailable."""
        endpoint = self._endpoints[choice.endpoint]
        endpoint.failures += 1
        endpoint.avoided_until = now + self._settings.avoid_seconds
        if choice.endpoint == self._present:
            self._present = (choice.endpoint + 1) % len(self._endpoints)
        if choice.is_probe:
            endpoint.is_probed = False
        elif endpoint.openings > 0 or endpoint.failures < self._settings.circuit_failures:
            return
        doubled = self._settings.circuit_seconds * 2.0 ** min(endpoint.openings, 30)
        endpoint.openings += 1
        endpoint.open_until = now + min(doubled, self._settings.circuit_seconds_at_most)
        self.circuits_opened += 1

    def abandoned(self, choice: Choice) -> None:
        """The caller gave up: the attempt says nothing about the endpoint."""
        if choice.is_probe:
            self._endpoints[choice.endpoint].is_probed = False

    def _is_due(self, index: int, now: float) -> bool:
        endpoint = self._endpoints[index]
        return not endpoint.is_probed and now >= endpoint.open_until
