"""The client for asyncio."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Any, AsyncIterable, AsyncIterator, Iterable, Sequence, TypeVar

import grpc
import grpc.aio

from . import operations
from .amounts import Amounts
from .attempts import Attempts
from .client import Kind
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


class AsyncClient:
    """`Client` for asyncio, with the same methods; see there. A call ends at once when its task is cancelled.

    Bound to the event loop of its first call.
    """

    def __init__(
        self,
        *endpoints: str,
        token: Token | None = None,
        tls: TLS | None = None,
        settings: Settings = Settings(),
    ) -> None:
        self._way = Way(endpoints, token, tls, settings)
        self._settings = settings
        self._shared = Shared(len(endpoints), settings)
        self._credentials = self._way.credentials()
        self._channels: dict[int, grpc.aio.Channel] = {}
        self._callables: dict[tuple[int, str], Any] = {}
        self._is_closed = False

    async def close(self) -> None:
        """Closes all connections; running and later calls fail with CANCELLED."""
        self._is_closed = True
        for channel in self._channels.values():
            await channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def counters(self) -> Counters:
        return self._shared.snapshot()

    # Decisions

    async def check(
        self, check: Check, *, policy: Policy | None = None, timeout_seconds: float | None = None
    ) -> CheckAnswer:
        policy = self._shared.policy(policy, [check])
        operation = operations.check(check, denials_as_errors=self._settings.denials_as_errors)
        try:
            return self._shared.decided(await self._run(operation, timeout_seconds))
        except TollgateError as error:
            answer = self._shared.judged(check, policy, error)
            if answer is None:
                raise
            return answer

    async def check_batch(
        self,
        checks: Sequence[Check],
        *,
        policy: Policy | None = None,
        timeout_seconds: float | None = None,
    ) -> list[CheckAnswer | TollgateError]:
        policy = self._shared.policy(policy, checks)
        try:
            results = await self._run(operations.check_batch(checks), timeout_seconds)
        except TollgateError as error:
            return self._shared.judged_batch(checks, policy, error)
        return self._shared.decided_batch(checks, policy, results)

    async def check_stream(
        self,
        checks: AsyncIterable[Check] | Iterable[Check],
        *,
        policy: Policy | None = None,
        answer_timeout_seconds: float | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[CheckAnswer | TollgateError]:
        unanswered = Unanswered(self._shared, policy, answer_timeout_seconds)

        async def messages() -> AsyncIterator[bytes]:
            if not isinstance(checks, AsyncIterable):
                for message in unanswered.messages(checks):
                    yield message
                return
            async for check in checks:
                encoded = unanswered.sent(check)
                if encoded is None:
                    return
                yield encoded

        unanswered.waits()
        try:
            async for message in self._receive(
                Kind.STREAM, "CheckAndReserveStream", messages(), timeout_seconds, unanswered
            ):
                yield unanswered.answered(operations.decoded(operations.streamed, message))
                unanswered.waits()
        except TollgateError as error:
            for entry in unanswered.failed(error):
                yield entry
            raise
        for entry in unanswered.finish():
            yield entry

    # Settlement

    async def commit(
        self, reservation_id: int, actual: Amounts | None = None, *, timeout_seconds: float | None = None
    ) -> CommitAnswer:
        return await self._run(operations.commit(reservation_id, actual), timeout_seconds)

    async def release(
        self, reservation_id: int, *, timeout_seconds: float | None = None
    ) -> ReleaseAnswer:
        return await self._run(operations.release(reservation_id), timeout_seconds)

    async def extend(
        self,
        reservation_id: int,
        *,
        ttl_seconds: float = 0,
        additional: Amounts | None = None,
        idempotency_key: str = "",
        partial: bool = False,
        timeout_seconds: float | None = None,
    ) -> ExtendAnswer:
        operation = operations.extend(
            reservation_id, ttl_seconds, additional, idempotency_key, partial,
            denials_as_errors=self._settings.denials_as_errors,
        )
        return await self._run(operation, timeout_seconds)

    async def record(self, usage: Usage, *, timeout_seconds: float | None = None) -> RecordAnswer:
        return await self._run(operations.record(usage), timeout_seconds)

    async def settle(
        self, check: Check, actual: Amounts | None = None, *, timeout_seconds: float | None = None
    ) -> None:
        steps = operations.settle(check, actual)
        try:
            operation = next(steps)
            while True:
                try:
                    answer = await self._run(operation, timeout_seconds)
                except TollgateError as error:
                    operation = steps.throw(error)
                else:
                    operation = steps.send(answer)
        except StopIteration:
            self._shared.settled()

    # Usage

    async def usage(
        self,
        tenant_id: str,
        messaging_profile_id: str = "",
        *,
        voice_profile_id: str = "",
        timeout_seconds: float | None = None,
    ) -> UsageAnswer:
        return await self._run(
            operations.usage(tenant_id, messaging_profile_id, voice_profile_id), timeout_seconds
        )

    async def watch_usage(
        self, tenant_id: str = "", *, timeout_seconds: float | None = None
    ) -> AsyncIterator[UsageUpdate]:
        operation = operations.watch(tenant_id)
        async for message in self._receive(
            Kind.WATCH, operation.method, operation.body, timeout_seconds
        ):
            yield operation.answer(message)

    # Calls

    def _start(self, index: int, kind: str, method: str) -> Any:
        """The callable of a method on an endpoint; created once, on the loop of the first call.

        TollgateError: the client was closed.
        """
        if self._is_closed:
            raise closed()
        if index not in self._channels:
            endpoint, options = self._way.endpoints[index], self._way.options()
            self._channels[index] = (
                grpc.aio.secure_channel(endpoint, self._credentials, options)
                if self._credentials is not None
                else grpc.aio.insecure_channel(endpoint, options)
            )
        if (index, method) not in self._callables:
            make = getattr(self._channels[index], kind)
            self._callables[index, method] = make(operations.SERVICE + method)
        return self._callables[index, method]

    async def _run(self, operation: Operation[T], timeout_seconds: float | None) -> T:
        clock = self._shared.clock
        timeout = self._settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        attempts = Attempts(
            self._shared, is_repeatable=operation.is_repeatable, deadline=clock() + timeout
        )
        self._shared.began()
        try:
            while True:
                attempt = attempts.next(clock())
                try:
                    message = await self._start(attempt.choice.endpoint, Kind.UNARY, operation.method)(
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
                await asyncio.sleep(pause)
        except TollgateError as error:
            self._shared.failed(error)
            raise

    def _meant(self, failure: BaseException) -> BaseException:
        """The error to raise for a failure: grpcio ends calls of a closed channel like cancelled tasks."""
        if not self._is_closed or not isinstance(failure, asyncio.CancelledError):
            return failure
        return failure if is_cancelling() else closed()

    async def _receive(
        self,
        kind: str,
        method: str,
        request: Any,
        timeout_seconds: float | None,
        unanswered: Unanswered | None = None,
    ) -> AsyncIterator[bytes]:
        clock = self._shared.clock
        self._shared.began()
        call: Any = None
        watch: asyncio.Task[None] | None = None
        try:
            choice, _ = self._shared.choose(clock(), is_repeatable=False)
            is_open = True
            try:
                call = self._start(choice.endpoint, kind, method)(
                    request, timeout=timeout_seconds, metadata=self._way.metadata()
                )
                if unanswered is not None and unanswered.patience is not None:
                    watch = asyncio.create_task(give_up(unanswered, call))
                async for message in call:
                    if is_open:
                        is_open = False
                        self._shared.ended(choice, None, clock(), None)
                    yield message
            except grpc.RpcError as failure:
                error = error_from(failure)
                if is_open:
                    is_open = False
                    self._shared.ended(choice, error, clock(), timeout_seconds)
                raise error from None
            except asyncio.CancelledError as failure:
                if unanswered is None or not unanswered.is_late or is_cancelling():
                    raise self._meant(failure)
                error = unanswered.late()
                if is_open:
                    is_open = False
                    self._shared.ended(choice, error, clock(), unanswered.patience)
                raise error from None
            finally:
                if watch is not None:
                    watch.cancel()
                if is_open:
                    self._shared.abandoned(choice)
                if call is not None:
                    call.cancel()
        except TollgateError as error:
            self._shared.failed(error)
            raise


def is_cancelling() -> bool:
    """Whether the current task itself is being cancelled; before Python 3.11 that is not known: false."""
    task = asyncio.current_task()
    return sys.version_info >= (3, 11) and task is not None and task.cancelling() > 0


async def give_up(unanswered: Unanswered, call: Any) -> None:
    """`Unanswered.watch` for asyncio."""
    while True:
        await asyncio.sleep(max(unanswered.seconds_left(), 0))
        if unanswered.is_too_late():
            call.cancel()
            return
