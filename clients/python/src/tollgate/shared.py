"""State shared by the calls of one client."""

from __future__ import annotations

import dataclasses
import threading
import time
from datetime import datetime, timezone
from typing import Callable, Sequence

from .amounts import Amounts
from .counters import Counters
from .endpoints import Choice, Endpoints
from .errors import DeniedError, Status, TollgateError
from .messages import Check, CheckAnswer, Mode, OveragePolicy, Usage
from .policy import Budget, FailOpen, Policy
from .settings import Settings


SHORTEST_JUDGED_SECONDS = 0.05
"""An attempt with a shorter time-out says nothing about its endpoint when it times out."""


class Shared:
    """Endpoints, budget and counters behind one lock, held for microseconds.

    Thread safety: all methods from any thread.
    """

    def __init__(
        self, endpoints: int, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._lock = threading.Lock()
        self._endpoints = Endpoints(endpoints, settings)
        self._counters = Counters()
        self._budget = Budget(settings.budget_tenants)

    def snapshot(self) -> Counters:
        with self._lock:
            return dataclasses.replace(self._counters)

    def began(self) -> None:
        with self._lock:
            self._counters.calls += 1

    def failed(self, error: TollgateError) -> None:
        with self._lock:
            if isinstance(error, DeniedError):
                self._counters.denied += 1
                return
            self._counters.failed += 1
            self._counters.timed_out += 1 if error.status is Status.DEADLINE_EXCEEDED else 0

    def decided(self, answer: CheckAnswer) -> CheckAnswer:
        with self._lock:
            if answer.allowed:
                self._counters.allowed += 1
            else:
                self._counters.denied += 1
        return answer

    def settled(self) -> None:
        with self._lock:
            self._counters.settled += 1

    # Endpoints

    def choose(self, now: float, *, is_repeatable: bool, is_retry: bool = False) -> tuple[Choice, bool]:
        """The endpoint of an attempt, and whether there is another one; call `ended` or `abandoned` after it.

        TollgateError: all circuits are open.
        """
        with self._lock:
            choice = self._endpoints.pick(now, is_repeatable=is_repeatable)
            if choice is None:
                self._counters.circuit_refused += 1
                text = "the circuit breakers of all endpoints are open"
                raise TollgateError(Status.UNAVAILABLE, text, is_local=True)
            self._counters.attempts += 1
            self._counters.retries += 1 if is_retry else 0
            return choice, self._endpoints.has_other(choice.endpoint, now)

    def ended(
        self, choice: Choice, error: TollgateError | None, now: float, timeout_seconds: float | None
    ) -> bool:
        """Records how an attempt ended. Returns: whether another endpoint can be used."""
        with self._lock:
            if error is None or not error.is_outage:
                self._endpoints.succeeded(choice)
            elif (
                error.status is Status.DEADLINE_EXCEEDED
                and timeout_seconds is not None
                and timeout_seconds < SHORTEST_JUDGED_SECONDS
            ):
                self._endpoints.abandoned(choice)
            else:
                self._endpoints.failed(choice, now)
                self._counters.circuits_opened = self._endpoints.circuits_opened
            return self._endpoints.has_other(choice.endpoint, now)

    def abandoned(self, choice: Choice) -> None:
        """The caller gave up."""
        with self._lock:
            self._endpoints.abandoned(choice)

    # Policies

    def policy(self, chosen: Policy | None, checks: Sequence[Check]) -> Policy:
        """The policy of a call. ValueError: one of its checks could not be settled afterwards."""
        policy = self.settings.policy if chosen is None else chosen
        if isinstance(policy, FailOpen):
            for check in checks:
                if check.mode is not Mode.CHECK_ONLY:
                    refuse_unsettleable(check)
        return policy

    def judged(self, check: Check, policy: Policy, error: TollgateError) -> CheckAnswer | None:
        """The policy's answer to a check that got none; None: the error remains, as always for Mode.CHECK_ONLY."""
        if not isinstance(policy, FailOpen) or not error.is_outage or check.mode is Mode.CHECK_ONLY:
            return None
        with self._lock:
            is_within = self._budget.take(check.tenant_id, check.amounts, policy.up_to, self.clock())
            if is_within:
                self._counters.failed_open += 1
            else:
                self._counters.over_budget += 1
        return CheckAnswer(allowed=True, failure=error) if is_within else None

    def decided_batch(
        self, checks: Sequence[Check], policy: Policy, results: list[CheckAnswer | TollgateError]
    ) -> list[CheckAnswer | TollgateError]:
        """The result of each entry, `policy` applied to those that got no answer."""
        return [
            self.judged(check, policy, result) or result
            if isinstance(result, TollgateError)
            else self.decided(result)
            for check, result in zip(checks, results, strict=True)
        ]

    def judged_batch(
        self, checks: Sequence[Check], policy: Policy, error: TollgateError
    ) -> list[CheckAnswer | TollgateError]:
        """The same if the whole batch got no answer. TollgateError: the policy allows none of it."""
        judged = [self.judged(check, policy, error) or error for check in checks]
        if all(entry is error for entry in judged):
            raise error
        return judged


LONGEST_KEY = 120
"""Maximum bytes of a key, so that the longer key of `beside` is still valid."""


def refuse_unsettleable(check: Check) -> None:
    """ValueError: if `check` were allowed unchecked, its usage could not be settled."""
    if not check.idempotency_key:
        raise ValueError("fail_open needs an idempotency key: the usage is settled under it")
    if len(check.idempotency_key.encode()) > LONGEST_KEY:
        raise ValueError(f"fail_open needs an idempotency key of at most {LONGEST_KEY} bytes")
    if check.overage is OveragePolicy.REJECT:
        raise ValueError("fail_open cannot be combined with OveragePolicy.REJECT: usage that has happened is not refused")


def settlement(check: Check, actual: Amounts | None) -> Usage:
    """The usage of a check that was allowed unchecked, under its own key, without resources that are only held."""
    refuse_unsettleable(check)
    if check.mode is Mode.CHECK_ONLY:
        raise ValueError("Mode.CHECK_ONLY cannot fail open")
    if check.mode is Mode.COMMIT and actual is not None:
        raise ValueError("Mode.COMMIT charges the requested amounts; no other amounts can be settled")
    return Usage(
        check.tenant_id, check.action, (check.amounts if actual is None else actual).charged(),
        check.messaging_profile_id, check.idempotency_key, check.reference, check.voice_profile_id,
    )


def beside(usage: Usage) -> Usage:
    """The same usage under a second key, for a check that has used its own key and holds nothing."""
    return dataclasses.replace(usage, idempotency_key=usage.idempotency_key + "~outage")


def utc_now() -> datetime:
    return datetime.now(timezone.utc)
