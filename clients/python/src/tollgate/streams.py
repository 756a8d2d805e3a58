"""The unanswered checks of a stream. No I/O."""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Iterable, Iterator

from .errors import Status, TollgateError
from .messages import Check, CheckAnswer
from .policy import FailOpen, Policy
from .shared import Shared


class Unanswered:
    """The checks of one stream that were sent and not answered, their results if the stream fails, and how long the
    reader waits.

    Thread safety: all methods from any thread; one reader.
    """

    def __init__(
        self, shared: Shared, policy: Policy | None, answer_timeout_seconds: float | None
    ) -> None:
        """ValueError: a time-out that is not above 0."""
        settings = shared.settings
        self._shared = shared
        self._policy = settings.policy if policy is None else policy
        self.patience = answer_timeout_seconds
        if self.patience is None and isinstance(self._policy, FailOpen):
            self.patience = settings.timeout_seconds
        if self.patience is not None and self.patience <= 0:
            raise ValueError("answer_timeout_seconds must be more than 0")
        self._lock = threading.Lock()
        self._checks: deque[tuple[Check, float]] = deque()
        self._waiting_since: float | None = None
        self._is_late = False
        self._refusal: ValueError | None = None
        self._is_over = threading.Event()

    # Requests

    def messages(self, checks: Iterable[Check]) -> Iterator[bytes]:
        for check in checks:
            message = self.sent(check)
            if message is None:
                return
            yield message

    def sent(self, check: Check) -> bytes | None:
        """The message of a check; None: neither it nor a later one can be sent; `finish` raises the reason."""
        try:
            self._shared.policy(self._policy, [check])
            message: bytes = check.message().SerializeToString()
        except ValueError as error:
            self._refusal = error
            return None
        with self._lock:
            self._checks.append((check, self._shared.clock()))
        return message

    # Answers

    def waits(self) -> None:
        """The reader waits for the next answer."""
        self._waiting_since = self._shared.clock()

    def answered(self, answer: CheckAnswer | TollgateError) -> CheckAnswer | TollgateError:
        """The result of the oldest unanswered check."""
        self._waiting_since = None
        with self._lock:
            if not self._checks:
                raise TollgateError(Status.INTERNAL, "the service answered a check that was not sent")
            check, _ = self._checks.popleft()
        if isinstance(answer, TollgateError):
            return self._shared.judged(check, self._policy, answer) or answer
        return self._shared.decided(answer)

    def failed(self, error: TollgateError) -> list[CheckAnswer | TollgateError]:
        """The results of all unanswered checks. TollgateError: the policy allows none of them."""
        with self._lock:
            checks = [check for check, _ in self._checks]
            self._checks.clear()
        return self._shared.judged_batch(checks, self._policy, error)

    def finish(self) -> list[CheckAnswer | TollgateError]:
        """The stream ended with OK: the results of checks left unanswered. ValueError: a check could not be sent."""
        left: list[CheckAnswer | TollgateError] = []
        if self._checks:
            text = "the service ended the stream before answering every check"
            left = self.failed(TollgateError(Status.UNAVAILABLE, text))
        if self._refusal is not None:
            raise self._refusal
        return left

    # Time-out

    def watch(self, give_up: Callable[[], object]) -> None:
        """Calls `give_up` when the reader has waited too long; returns then, or after `over`."""
        while not self._is_over.wait(self.seconds_left()):
            if self.is_too_late():
                give_up()
                return

    def over(self) -> None:
        self._is_over.set()

    def seconds_left(self) -> float:
        """Seconds until `is_too_late` can first be true."""
        patience = self.patience or 0.0
        waiting_since = self._waiting_since
        with self._lock:
            if waiting_since is None or not self._checks:
                return patience
            return max(waiting_since, self._checks[0][1]) + patience - self._shared.clock()

    def is_too_late(self) -> bool:
        self._is_late = self.seconds_left() <= 0
        return self._is_late

    def meant(self, error: TollgateError) -> TollgateError:
        """The error that ended the stream; `give_up` looks like a cancellation."""
        return self.late() if self._is_late else error

    @property
    def is_late(self) -> bool:
        return self._is_late

    def late(self) -> TollgateError:
        return TollgateError(Status.DEADLINE_EXCEEDED, f"no answer arrived within {self.patience} s")
