"""The attempts of one call: the endpoint and time-out of each, and whether another follows. No I/O.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from .endpoints import Choice
from .errors import Status, TollgateError
from .shared import Shared


class Attempt(NamedTuple):
    choice: Choice
    timeout_seconds: float


class Attempts:
    """Not thread-safe: one per call. State that calls share is in `Shared`."""

    def __init__(self, shared: Shared, *, is_repeatable: bool, deadline: float) -> None:
        self._shared = shared
        self._is_repeatable = is_repeatable
        self._deadline = deadline
        self._made = 0
        self._may_have_arrived = False

    def next(self, now: float) -> Attempt:
        """The attempt to make now; call `ended` or `abandoned` after it. TollgateError: all circuits are open."""
        try:
            choice, has_other = self._shared.choose(now, is_repeatable=self._is_repeatable, is_retry=self._made > 0)
        except TollgateError as error:
            error.may_have_arrived = self._may_have_arrived
            raise
        self._made += 1
        settings = self._shared.settings
        left = max(self._deadline - now, 0.001)
        if self._is_repeatable and has_other and self._made < settings.attempts:
            left = min(left, settings.attempt_timeout_seconds)
        return Attempt(choice, left)

    def ended(self, attempt: Attempt, error: TollgateError | None, now: float) -> float | None:
        """Records how an attempt ended; sets `may_have_arrived` of `error` from the earlier attempts.

        Returns: the pause before the next attempt; None: there is none, the call is over.
        """
        has_other = self._shared.ended(attempt.choice, error, now, attempt.timeout_seconds)
        if error is None:
            return None
        error.may_have_arrived = self._may_have_arrived
        self._may_have_arrived = self._may_have_arrived or not error.attempt_changed_nothing
        if self._made >= self._shared.settings.attempts:
            return None
        pause = self._pause(error, has_other)
        return pause if pause is not None and now + pause < self._deadline else None

    def abandoned(self, attempt: Attempt) -> None:
        """The caller gave up."""
        self._shared.abandoned(attempt.choice)

    def _pause(self, error: TollgateError, has_other: bool) -> float | None:
        """The pause before the next attempt; None: there must be none."""
        if not error.attempt_changed_nothing and not (self._is_repeatable and error.is_outage):
            return None
        # The service sets the pause, unless another endpoint can be tried.
        if error.retry_after_seconds is not None and not (has_other and error.is_outage):
            return error.retry_after_seconds
        if error.code and error.retry_after_seconds is None and error.status is Status.UNAVAILABLE:
            return None  # it answered, and says that a retry does not help
        longest: float = 0.010 * 2.0 ** min(self._made, 7)
        return random.uniform(longest / 2, longest)
