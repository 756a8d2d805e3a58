"""What a stream of checks owes. Without input or output."""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Iterable, Iterator

from .errors import Status, TollgateError
from .messages import Check, CheckAnswer
from .policy import FailOpen, Policy
from .shared import Shared


class Unanswered:
    """The checks of one stream that were sent and not answered, what the policy makes of them, and how long the reader
    waits.

    Thread safety: all methods from any thread; one reader.
    """

    def __init__(
        self, shared: Shared, policy: Policy | None, answer_timeout_seconds: float | None
    ) -> None:
        """ValueError: a time-out that is not more than 0."""
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
        """The message of a check; None: it cannot be sent, and none after it: `finish` says why."""
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
        """The reader wants the next answer."""
        self._waiting_since = self._shared.clock()

    def answered(self, answer: CheckAnswer | TollgateError) -> CheckAnswer | TollgateError:
        """What becomes of the check that has waited longest."""
        self._waiting_since = None
        with self._lock:
            if not self._checks:
                raise TollgateError(Status.INTERNAL, "the service answered a check that was not sent")
            check, _ = self._checks.popleft()
        if isinstance(answer, TollgateError):
            return self._shared.judged(check, self._policy, answer) or answer
        return self._shared.decided(answer)

    def failed(self, error: TollgateError) -> list[CheckAnswer | TollgateError]:
        """What becomes of all that are left. TollgateError: the policy allows none of them."""
        with self._lock:
            checks = [check for check, _ in self._checks]
            self._checks.clear()
        return self._shared.judged_batch(checks, self._policy, error)

    def finish(self) -> list[CheckAnswer | TollgateError]:
        """The stream has ended well: what becomes of checks that it left out. ValueError: one could not be sent."""
        left: list[CheckAnswer | TollgateError] = []
        if self._checks:
            text = "the service ended the stream before answering every check"
            left = self.failed(TollgateError(Status.UNAVAILABLE, text))
        if self._refusal is not None:
            raise self._refusal
        return left

    # Patience

    def watch(self, give_up: Callable[[], object]) -> None:
        """Calls `give_up` when the reader has waited too long; returns then, or after `over`."""
        while not self._is_over.wait(self.seconds_left()):
            if self.is_too_late():
                give_up()
                return

    def over(self) -> None:
        self._is_over.set()

    def seconds_left(self) -> float:
        """Before the next look whether the reader has waited too long: whatever happens meanwhile, it is not too late."""
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
        """What the stream's end is: `give_up` looks like a cancellation."""
        return self.late() if self._is_late else error

    @property
    def is_late(self) -> bool:
        return self._is_late

    def late(self) -> TollgateError:
        return TollgateError(Status.DEADLINE_EXCEEDED, f"no answer arrived within {self.patience} s")
