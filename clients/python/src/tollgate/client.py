"""The client for threads."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Callable, Iterable, Iterator, Sequence, TypeVar

import grpc

from . import operations
from .amounts import Amounts
from .attempts import Attempts
from .counters import Counters
from .errors import TollgateError
from .messages import (
    Check,
    CheckAnswer,
    CommitAnswer,
    ExtendAnswer,
    RecordAnswer,
    ReleaseAnswer,
    Usage,
    UsageAnswer,
    UsageUpdate,
)
from .operations import Operation
from .policy import Policy
from .settings import TLS, Settings, Token
from .shared import Shared
from .streams import Unanswered
from .transport import Way, closed, error_from

T = TypeVar("T")


class Client:
    """A client of Tollgate's data plane.

    Every call ends within its `timeout_seconds` (default: the settings'), retries included, and raises `TollgateError`
    if it gets no answer. A denial is an answer. Not to be used across a fork.

    Thread safety: all methods from any thread.
    """

    def __init__(
        self,
        *endpoints: str,
        token: Token | None = None,
        tls: TLS | None = None,
        settings: Settings = Settings(),
    ) -> None:
        """Does not connect yet. `endpoints`: HOST:PORT; the first one is used first.

        ValueError: no endpoint, an invalid one, or a token that would be sent in plaintext beyond loopback.
        """
        self._way = Way(endpoints, token, tls, settings)
        self._settings = settings
        self._shared = Shared(len(endpoints), settings)
        self._lock = threading.Lock()
        self._callables: dict[tuple[int, str], Any] = {}
        self._is_closed = False
        credentials = self._way.credentials()
        options = self._way.options()
        self._channels = [
            grpc.secure_channel(endpoint, credentials, options)
            if credentials is not None
            else grpc.insecure_channel(endpoint, options)
            for endpoint in self._way.endpoints
        ]

    def close(self) -> None:
        """Closes all connections; running and later calls fail with CANCELLED."""
        self._is_closed = True
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def counters(self) -> Counters:
        """A copy of the counters."""
        return self._shared.snapshot()

    # Decisions

    def check(
        self, check: Check, *, policy: Policy | None = None, timeout_seconds: float | None = None
    ) -> CheckAnswer:
        """Checks an action against every limit; if it fits, holds its amounts (or charges them, depending on the mode).

        `policy`: what to do if there is no answer; None: the policy of the settings. ValueError: the policy is
        `fail_open`, and the check could not be settled afterwards (no key, one of more than 120 bytes, or
        OveragePolicy.REJECT). With Mode.CHECK_ONLY every policy fails closed.
        """
        policy = self._shared.policy(policy, [check])
        operation = operations.check(check, denials_as_errors=self._settings.denials_as_errors)
        try:
            return self._shared.decided(self._run(operation, timeout_seconds))
        except TollgateError as error:
            answer = self._shared.judged(check, policy, error)
            if answer is None:
                raise
            return answer

    def check_batch(
        self,
        checks: Sequence[Check],
        *,
        policy: Policy | None = None,
        timeout_seconds: float | None = None,
    ) -> list[CheckAnswer | TollgateError]:
        """1 … 1 000 independent decisions in one round trip, in the order of the checks.

        A failed entry is an error in its place; `policy` applies to each. If the whole batch fails and the policy
        allows none, their common error is raised.
        """
        policy = self._shared.policy(policy, checks)
        try:
            results = self._run(operations.check_batch(checks), timeout_seconds)
        except TollgateError as error:
            return self._shared.judged_batch(checks, policy, error)
        return self._shared.decided_batch(checks, policy, results)

    def check_stream(
        self,
        checks: Iterable[Check],
        *,
        policy: Policy | None = None,
        answer_timeout_seconds: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[CheckAnswer | TollgateError]:
        """Decisions over one stream, in the order of the checks; a failed entry is an error in its place.

        `policy` applies to each. If the stream fails, the policy decides all unanswered checks; their results are
        yielded first, then the error is raised, or at once if the policy allows none. Checks not taken from `checks` by
        then were not sent. No retries. A check that `fail_open` could not settle ends the stream with ValueError, after
        the answers to those before it.

        `checks` is read on a grpcio thread, as fast as the service reads. `answer_timeout_seconds`: how long the reader
        waits for an outstanding answer before the stream fails with DEADLINE_EXCEEDED; None: the settings'
        `timeout_seconds` with `fail_open`, otherwise no limit. `timeout_seconds`: of the whole stream; None: no limit.
        Close the iterator to end the stream early.
        """
        unanswered = Unanswered(self._shared, policy, answer_timeout_seconds)
        start = self._callable(Kind.STREAM, "CheckAndReserveStream")
        unanswered.waits()
        try:
            for message in self._receive(
                start, unanswered.messages(checks), timeout_seconds, unanswered
            ):
                yield unanswered.answered(operations.decoded(operations.streamed, message))
                unanswered.waits()
        except TollgateError as error:
            yield from unanswered.failed(error)
            raise
        yield from unanswered.finish()

    # Settlement

    def commit(
        self, reservation_id: int, actual: Amounts | None = None, *, timeout_seconds: float | None = None
    ) -> CommitAnswer:
        """Commits a hold: charges the held amounts, or `actual`. Idempotent."""
        return self._run(operations.commit(reservation_id, actual), timeout_seconds)

    def release(
        self, reservation_id: int, *, timeout_seconds: float | None = None
    ) -> ReleaseAnswer:
        """Releases a whole hold. Idempotent."""
        return self._run(operations.release(reservation_id), timeout_seconds)

    def extend(
        self,
        reservation_id: int,
        *,
        ttl_seconds: float = 0,
        additional: Amounts | None = None,
        idempotency_key: str = "",
        partial: bool = False,
        timeout_seconds: float | None = None,
    ) -> ExtendAnswer:
        """Extends a hold to expire `ttl_seconds` from now and, optionally, holds more."""
        operation = operations.extend(
            reservation_id, ttl_seconds, additional, idempotency_key, partial,
            denials_as_errors=self._settings.denials_as_errors,
        )
        return self._run(operation, timeout_seconds)

    def record(self, usage: Usage, *, timeout_seconds: float | None = None) -> RecordAnswer:
        """Records usage without a check. Pass a key to make it repeatable."""
        return self._run(operations.record(usage), timeout_seconds)

    def settle(
        self, check: Check, actual: Amounts | None = None, *, timeout_seconds: float | None = None
    ) -> None:
        """Records the usage of an action allowed unchecked: the check's amounts, or `actual`.

        Repeat it until it succeeds, within the service's retention of keys (15 minutes): the usage counts once, whether
        or not the check had arrived after all. TollgateError: the service is still unavailable, or a different amount
        has already been recorded.
        """
        steps = operations.settle(check, actual)
        try:
            operation = next(steps)
            while True:
                try:
                    answer = self._run(operation, timeout_seconds)
                except TollgateError as error:
                    operation = steps.throw(error)
                else:
                    operation = steps.send(answer)
        except StopIteration:
            self._shared.settled()

    # Usage

    def usage(
        self,
        tenant_id: str,
        messaging_profile_id: str = "",
        *,
        voice_profile_id: str = "",
        timeout_seconds: float | None = None,
    ) -> UsageAnswer:
        """Committed and held usage of a tenant's limits and, with a profile, of that profile's."""
        return self._run(
            operations.usage(tenant_id, messaging_profile_id, voice_profile_id), timeout_seconds
        )

    def watch_usage(
        self, tenant_id: str = "", *, timeout_seconds: float | None = None
    ) -> Iterator[UsageUpdate]:
        """Yields the current state, then every change, conflated to the latest state. "": every tenant, for operators.

        `timeout_seconds`: of the whole watch; None: no limit. Raises when the watch ends; start another.
        """
        operation = operations.watch(tenant_id)
        start = self._callable(Kind.WATCH, operation.method)
        for message in self._receive(start, operation.body, timeout_seconds):
            yield operation.answer(message)

    # Calls

    def _callable(self, kind: str, method: str) -> Callable[[int], Any]:
        """Returns the callable of a method by endpoint; each is created once."""

        def on(index: int) -> Any:
            with self._lock:
                if (index, method) not in self._callables:
                    channel = self._channels[index]
                    self._callables[index, method] = getattr(channel, kind)(operations.SERVICE + method)
                return self._callables[index, method]

        return on

    def _run(self, operation: Operation[T], timeout_seconds: float | None) -> T:
        clock = self._shared.clock
        timeout = self._settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = Attempts(
            self._shared, is_repeatable=operation.is_repeatable, deadline=clock() + timeout
        )
        start = self._callable(Kind.UNARY, operation.method)
        self._shared.began()
        try:
            while True:
                attempt = attempts.next(clock())
                try:
                    message = start(attempt.choice.endpoint)(
                        operation.body,
                        timeout=attempt.timeout_seconds,
                        metadata=self._way.metadata(operation.metadata),
                    )
                except grpc.RpcError as failure:
                    error = error_from(failure)
                except BaseException as failure:
                    attempts.abandoned(attempt)
                    raise self._meant(failure)
                else:
                    attempts.ended(attempt, None, clock())
                    return operation.answer(message)
                pause = attempts.ended(attempt, error, clock())
                if pause is None:
                    raise error
                time.sleep(pause)
        except TollgateError as error:
            self._shared.failed(error)
            raise

    def _meant(self, failure: BaseException) -> BaseException:
        """The error to raise for a failure: for a closed channel grpcio raises ValueError."""
        return closed() if self._is_closed and isinstance(failure, ValueError) else failure

    def _receive(
        self,
        start: Callable[[int], Any],
        request: Any,
        timeout_seconds: float | None,
        unanswered: Unanswered | None = None,
    ) -> Iterator[bytes]:
        """The messages of a stream; `unanswered` says when it takes too long."""
        clock = self._shared.clock
        self._shared.began()
        call: Any = None
        try:
            choice, _ = self._shared.choose(clock(), is_repeatable=False)
            is_open = True
            try:
                call = start(choice.endpoint)(request, timeout=timeout_seconds, metadata=self._way.metadata())
                if unanswered is not None and unanswered.patience is not None:
                    threading.Thread(target=unanswered.watch, args=(call.cancel,), daemon=True).start()
                for message in call:
                    if is_open:
                        is_open = False
                        self._shared.ended(choice, None, clock(), None)
                    yield message
            except grpc.RpcError as failure:
                error = error_from(failure)
                if unanswered is not None:
                    error = unanswered.meant(error)
                if is_open:
                    is_open = False
                    self._shared.ended(choice, error, clock(), timeout_seconds)
                raise error from None
            except ValueError as failure:
                raise self._meant(failure)
            finally:
                if is_open:
                    self._shared.abandoned(choice)
                if unanswered is not None:
                    unanswered.over()
                if call is not None:
                    call.cancel()
        except TollgateError as error:
            self._shared.failed(error)
            raise


class Kind:
    """grpcio's names of the kinds of call."""

    UNARY = "unary_unary"
    STREAM = "stream_stream"
    WATCH = "unary_stream"
