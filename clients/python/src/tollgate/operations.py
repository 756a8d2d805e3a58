"""The methods of the contract as values: the request, whether it may be repeated, how the answer is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generator, Generic, Sequence, TypeVar

from google.protobuf.message import DecodeError

from .amounts import Amounts
from .errors import Status, TollgateError
from .messages import (
    Check,
    CheckAnswer,
    CommitAnswer,
    ExtendAnswer,
    LimitState,
    Mode,
    RecordAnswer,
    ReleaseAnswer,
    TenantStatus,
    Usage,
    UsageAnswer,
    UsageUpdate,
    failed_entry,
    milliseconds,
    quantities,
)
from .shared import beside, settlement, utc_now
from .v1 import tollgate_pb2 as pb

T = TypeVar("T")
SERVICE = "/tollgate.v1.LimitService/"
DENY_AS_STATUS = ("tollgate-deny", "status")
KEY_REUSED = "49201"
ALREADY_SETTLED = "49203"


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    method: str
    body: bytes
    read: Callable[[bytes], T]
    is_repeatable: bool = True
    metadata: tuple[tuple[str, str], ...] = ()

    def answer(self, message: bytes) -> T:
        """TollgateError INTERNAL: the message could not be decoded."""
        return decoded(self.read, message)


def decoded(read: Callable[[bytes], T], message: bytes) -> T:
    try:
        return read(message)
    except DecodeError:
        text = "the service's answer could not be decoded"
        raise TollgateError(Status.INTERNAL, text) from None


def check(check: Check, *, denials_as_errors: bool = False) -> Operation[CheckAnswer]:
    return Operation(
        "CheckAndReserve",
        check.message().SerializeToString(),
        lambda message: CheckAnswer.of(pb.CheckAndReserveResponse.FromString(message), utc_now()),
        check.is_repeatable,
        (DENY_AS_STATUS,) if denials_as_errors else (),
    )


def check_batch(checks: Sequence[Check]) -> Operation[list[CheckAnswer | TollgateError]]:
    def read(message: bytes) -> list[CheckAnswer | TollgateError]:
        results = pb.CheckAndReserveBatchResponse.FromString(message).results
        if len(results) != len(checks):
            text = f"the service answered {len(results)} of {len(checks)} entries"
            raise TollgateError(Status.INTERNAL, text)
        now = utc_now()
        return [
            failed_entry(result.status_code, result.errors, now)
            if result.status_code
            else CheckAnswer.of(result.response, now)
            for result in results
        ]

    return Operation(
        "CheckAndReserveBatch",
        pb.CheckAndReserveBatchRequest(requests=[check.message() for check in checks]).SerializeToString(),
        read,
        all(check.is_repeatable for check in checks),
    )


def streamed(message: bytes) -> CheckAnswer | TollgateError:
    """An answer of CheckAndReserveStream."""
    answer = pb.CheckAndReserveResponse.FromString(message)
    now = utc_now()
    if answer.status_code:
        return failed_entry(answer.status_code, answer.errors, now)
    return CheckAnswer.of(answer, now)


def commit(reservation_id: int, actual: Amounts | None) -> Operation[CommitAnswer]:
    request = pb.CommitRequest(reservation_id=reservation_id, actual=quantities(actual))
    return Operation(
        "Commit",
        request.SerializeToString(),
        lambda message: CommitAnswer.of(pb.CommitResponse.FromString(message), utc_now()),
    )


def release(reservation_id: int) -> Operation[ReleaseAnswer]:
    def read(message: bytes) -> ReleaseAnswer:
        answer = pb.ReleaseResponse.FromString(message)
        return ReleaseAnswer(answer.replayed, answer.expired)

    return Operation("Release", pb.ReleaseRequest(reservation_id=reservation_id).SerializeToString(), read)


def extend(
    reservation_id: int,
    ttl_seconds: float,
    additional: Amounts | None,
    idempotency_key: str,
    is_partial: bool,
    *,
    denials_as_errors: bool,
) -> Operation[ExtendAnswer]:
    request = pb.ExtendRequest(
        reservation_id=reservation_id,
        ttl_ms=milliseconds(ttl_seconds),
        additional=quantities(additional),
        idempotency_key=idempotency_key,
        mode=pb.MODE_PARTIAL if is_partial else pb.MODE_RESERVE,
    )
    return Operation(
        "Extend",
        request.SerializeToString(),
        lambda message: ExtendAnswer.of(pb.ExtendResponse.FromString(message), utc_now()),
        idempotency_key != "",
        (DENY_AS_STATUS,) if denials_as_errors else (),
    )


def record(usage: Usage) -> Operation[RecordAnswer]:
    return Operation(
        "RecordUsage",
        usage.message().SerializeToString(),
        lambda message: RecordAnswer.of(pb.RecordUsageResponse.FromString(message), utc_now()),
        usage.idempotency_key != "",
    )


def usage(
    tenant_id: str, messaging_profile_id: str, voice_profile_id: str
) -> Operation[UsageAnswer]:
    def read(message: bytes) -> UsageAnswer:
        answer = pb.GetUsageResponse.FromString(message)
        return UsageAnswer(
            TenantStatus.of(answer.tenant_status),
            tuple(LimitState.of(state) for state in answer.limits),
        )

    request = pb.GetUsageRequest(
        tenant_id=tenant_id, messaging_profile_id=messaging_profile_id, voice_profile_id=voice_profile_id
    )
    return Operation("GetUsage", request.SerializeToString(), read)


def watch(tenant_id: str) -> Operation[UsageUpdate]:
    return Operation(
        "WatchUsage",
        pb.WatchUsageRequest(tenant_id=tenant_id).SerializeToString(),
        lambda message: UsageUpdate.of(pb.WatchUsageResponse.FromString(message)),
    )


# Settlement

Steps = Generator[Operation[Any], Any, T]
"""Operations to run one after the other: `send` passes in the answer to each, or `throw` its error."""


def settle(check: Check, actual: Amounts | None) -> Steps[None]:
    """Settles `check`, which was allowed unchecked: its usage counts once, however often this is repeated within the
    service's retention of keys.

    A key belongs to one request, method included: if RecordUsage succeeds with the check's key, the check had no effect
    and never will. If RecordUsage is refused, the check has arrived and is repeated to get its answer.
    """
    unchecked = settlement(check, actual)
    if unchecked.amounts == Amounts() != (check.amounts if actual is None else actual):
        # Resources that are only held leave nothing to record.
        return
    try:
        yield record(unchecked)
        return
    except TollgateError as error:
        if error.code != KEY_REUSED:
            raise
    answer: CheckAnswer = yield _check(check)
    if answer.allowed:
        if check.mode is Mode.COMMIT:
            return
        # A hold that this repeated check itself took is released: an earlier settlement may have recorded the usage.
        is_free = not answer.replayed and (yield from _freed(answer.reservation_id))
        if not is_free:
            try:
                yield commit(answer.reservation_id, unchecked.amounts)
                return
            except TollgateError as error:
                if error.code != ALREADY_SETTLED or not (yield from _freed(answer.reservation_id)):
                    raise
    yield record(beside(unchecked))


_check = check


def _freed(reservation_id: int) -> Steps[bool]:
    """Releases a hold; false: it has expired or was committed, and must be committed."""
    try:
        answer: ReleaseAnswer = yield release(reservation_id)
    except TollgateError as error:
        if error.code != ALREADY_SETTLED:
            raise
        return False
    return not answer.expired
