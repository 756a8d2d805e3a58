"""Requests and answers: plain values, and their messages of the contract.

Times are aware datetimes in UTC; money is a `Decimal` in USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Iterable

from .amounts import Amounts, usd
from .errors import Reason, Status, TollgateError
from .v1 import tollgate_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import Self

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Enumeration(IntEnum):
    @classmethod
    def of(cls, number: int) -> Self:
        """An unknown number, from a later contract, is UNSPECIFIED."""
        return cls(number) if number in cls._value2member_map_ else cls(0)

    @property
    def on_wire(self) -> Any:
        """The number, typed `Any`: the generated stubs accept their own types only."""
        return int(self)


class Action(Enumeration):
    """What the caller is about to do."""

    UNSPECIFIED = 0
    SEND_MESSAGE = 1
    PROVISION_EXTENSION = 2
    ASSIGN_DID = 3
    OUTBOUND_CALL = 4
    INBOUND_CALL = 5
    CHARGE = 6


class LimitKind(Enumeration):
    UNSPECIFIED = 0
    PROFILE_DAILY_SPEND = 1
    TENANT_MONTHLY_SPEND = 2
    TENANT_EXTENSIONS = 3
    TENANT_DIDS = 4
    TENANT_MONTHLY_MINUTES = 5
    TENANT_DAILY_SPEND = 6
    TENANT_CONCURRENT_CALLS = 7
    VOICE_PROFILE_DAILY_SPEND = 8
    TENANT_DAILY_MESSAGES = 9

    @property
    def is_money(self) -> bool:
        return self.name.endswith("_SPEND")


class Mode(Enumeration):
    """How a check is decided, and whether it holds or charges."""

    RESERVE = 1
    CHECK_ONLY = 2
    COMMIT = 3
    PARTIAL = 4


class ExpiryPolicy(Enumeration):
    """What happens to a hold that is never settled."""

    RELEASE = 1
    COMMIT = 2


class OveragePolicy(Enumeration):
    """What happens when a commit exceeds the hold."""

    RECORD = 1
    CAP = 2
    REJECT = 3


class Treatment(Enumeration):
    """What the network element should do about a denial."""

    UNSPECIFIED = 0
    REJECT = 1
    SERVICE_INTERRUPTED = 2
    BLOCK_CALL = 3
    BILLING_SUSPENDED = 4


class TenantStatus(Enumeration):
    UNSPECIFIED = 0
    ACTIVE = 1
    SUSPENDED = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class LimitState:
    """A limit and the usage counted against it: USD for spend, else counts or seconds. `cap`: None: none, or hidden."""

    kind: LimitKind
    subject_id: str
    cap: Decimal | int | None
    committed: Decimal | int
    held: Decimal | int
    window_start: datetime | None
    resets_at: datetime | None
    cap_hidden: bool
    blocking: bool
    as_of: datetime | None

    @classmethod
    def of(cls, state: pb.LimitState) -> LimitState:
        kind = LimitKind.of(state.limit)

        def amount(units: int) -> Decimal | int:
            return usd(units) if kind.is_money else units

        return cls(
            kind=kind,
            subject_id=state.subject_id,
            cap=amount(state.cap) if state.WhichOneof("cap_presence") else None,
            committed=amount(state.committed),
            held=amount(state.held),
            window_start=instant(state.window_start_ms),
            resets_at=instant(state.resets_at_ms),
            cap_hidden=state.cap_hidden,
            blocking=state.blocking,
            as_of=instant(state.as_of_ms),
        )


@dataclass(frozen=True, slots=True)
class Check:
    """Does this action fit every limit? See CheckAndReserveRequest in the contract for the values of each field.

    `ttl_seconds`: lifetime of the hold; 0: 60 s, else 1 … 86 400. `minimum`: of each amount, with Mode.PARTIAL.
    A check names at most one profile: a messaging profile or an outbound voice profile.
    """

    tenant_id: str
    action: Action
    amounts: Amounts
    messaging_profile_id: str = ""
    idempotency_key: str = ""
    ttl_seconds: float = 0
    mode: Mode = Mode.RESERVE
    on_expiry: ExpiryPolicy = ExpiryPolicy.RELEASE
    overage: OveragePolicy = OveragePolicy.RECORD
    minimum: Amounts | None = None
    include_limits: bool = False
    reference: str = ""
    voice_profile_id: str = ""

    @property
    def is_repeatable(self) -> bool:
        """Repeating it can do no harm."""
        return self.idempotency_key != "" or self.mode is Mode.CHECK_ONLY

    def message(self) -> pb.CheckAndReserveRequest:
        return pb.CheckAndReserveRequest(
            tenant_id=self.tenant_id,
            messaging_profile_id=self.messaging_profile_id,
            action=self.action.on_wire,
            quantities=quantities(self.amounts, self.minimum),
            idempotency_key=self.idempotency_key,
            ttl_ms=milliseconds(self.ttl_seconds),
            mode=self.mode.on_wire,
            on_expiry=self.on_expiry.on_wire,
            overage=self.overage.on_wire,
            include_limits=self.include_limits,
            reference=self.reference,
            voice_profile_id=self.voice_profile_id,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage recorded without a check: fees, late charges, corrections, actions allowed unchecked."""

    tenant_id: str
    action: Action
    amounts: Amounts
    messaging_profile_id: str = ""
    idempotency_key: str = ""
    reference: str = ""
    voice_profile_id: str = ""

    def message(self) -> pb.RecordUsageRequest:
        return pb.RecordUsageRequest(
            tenant_id=self.tenant_id,
            messaging_profile_id=self.messaging_profile_id,
            action=self.action.on_wire,
            quantities=quantities(self.amounts),
            idempotency_key=self.idempotency_key,
            reference=self.reference,
            voice_profile_id=self.voice_profile_id,
        )


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """A decision. `reservation_id` is 0 if nothing is held.

    `failure`: why there was no answer, if a policy allowed the check anyway; nothing is held then: call `settle` after
    the action.
    """

    allowed: bool
    reservation_id: int = 0
    expires_at: datetime | None = None
    errors: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    limits: tuple[LimitState, ...] = ()
    granted: Amounts | None = None
    treatment: Treatment = Treatment.UNSPECIFIED
    tenant_status: TenantStatus = TenantStatus.UNSPECIFIED
    replayed: bool = False
    failure: TollgateError | None = None

    @property
    def unchecked(self) -> bool:
        """Allowed by a policy, not by the service."""
        return self.failure is not None

    @classmethod
    def of(cls, answer: pb.CheckAndReserveResponse, now: datetime) -> CheckAnswer:
        return cls(
            allowed=answer.decision == pb.DECISION_ALLOWED,
            reservation_id=answer.reservation_id,
            expires_at=instant(answer.expires_at_ms),
            errors=reasons(answer.errors, now),
            warnings=reasons(answer.warnings, now),
            limits=tuple(LimitState.of(state) for state in answer.limits),
            granted=Amounts.of(answer.granted) if answer.granted else None,
            treatment=Treatment.of(answer.treatment),
            tenant_status=TenantStatus.of(answer.tenant_status),
            replayed=answer.replayed,
        )


@dataclass(frozen=True, slots=True)
class CommitAnswer:
    """`late`: the hold had expired; the usage was recorded anyway. `uncharged`: with OveragePolicy.CAP."""

    committed: Amounts
    uncharged: Amounts
    late: bool
    replayed: bool
    warnings: tuple[Reason, ...]
    tenant_status: TenantStatus

    @classmethod
    def of(cls, answer: pb.CommitResponse, now: datetime) -> CommitAnswer:
        return cls(
            committed=Amounts.of(answer.committed),
            uncharged=Amounts.of(answer.uncharged),
            late=answer.late,
            replayed=answer.replayed,
            warnings=reasons(answer.warnings, now),
            tenant_status=TenantStatus.of(answer.tenant_status),
        )


@dataclass(frozen=True, slots=True)
class ReleaseAnswer:
    """`expired`: the hold had expired and was already free."""

    replayed: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class ExtendAnswer:
    """Not `allowed`: there is no additional room; the existing hold and its expiry are unchanged."""

    allowed: bool
    expires_at: datetime | None
    errors: tuple[Reason, ...]
    warnings: tuple[Reason, ...]
    granted: Amounts | None
    treatment: Treatment
    replayed: bool

    @classmethod
    def of(cls, answer: pb.ExtendResponse, now: datetime) -> ExtendAnswer:
        return cls(
            allowed=answer.decision == pb.DECISION_ALLOWED,
            expires_at=instant(answer.expires_at_ms),
            errors=reasons(answer.errors, now),
            warnings=reasons(answer.warnings, now),
            granted=Amounts.of(answer.granted) if answer.granted else None,
            treatment=Treatment.of(answer.treatment),
            replayed=answer.replayed,
        )


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """`warnings`: limits that this usage reached or exceeded."""

    warnings: tuple[Reason, ...]
    tenant_status: TenantStatus
    replayed: bool

    @classmethod
    def of(cls, answer: pb.RecordUsageResponse, now: datetime) -> RecordAnswer:
        return cls(
            reasons(answer.warnings, now), TenantStatus.of(answer.tenant_status), answer.replayed
        )


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    tenant_status: TenantStatus
    limits: tuple[LimitState, ...]


@dataclass(frozen=True, slots=True)
class UsageUpdate:
    """`snapshot_complete`: the whole initial state has been sent; such an update may have no subject."""

    tenant_id: str
    tenant_status: TenantStatus
    limits: tuple[LimitState, ...]
    snapshot_complete: bool

    @classmethod
    def of(cls, update: pb.WatchUsageResponse) -> UsageUpdate:
        return cls(
            update.tenant_id,
            TenantStatus.of(update.tenant_status),
            tuple(LimitState.of(state) for state in update.limits),
            update.snapshot_complete,
        )


def quantities(amounts: Amounts | None, minimum: Amounts | None = None) -> list[pb.Quantity]:
    least = dict(minimum.units()) if minimum else {}
    named: Iterable[tuple[Any, int]] = amounts.units() if amounts else ()
    return [
        pb.Quantity(resource=resource, amount=amount, min_amount=least.get(resource, 0))
        for resource, amount in named
    ]


def milliseconds(seconds: float) -> int:
    count = round(seconds * 1000)
    if not 0 <= count < 2**32:
        raise ValueError(f"a hold's lifetime cannot be {seconds} s")
    return count


def instant(unix_milliseconds: int) -> datetime | None:
    """0: None."""
    return EPOCH + timedelta(milliseconds=unix_milliseconds) if unix_milliseconds else None


def reasons(errors: Iterable[pb.Error], now: datetime) -> tuple[Reason, ...]:
    found = []
    for error in errors:
        resets_at = instant(error.resets_at_ms)
        found.append(
            Reason(
                code=error.code,
                title=error.title,
                detail=error.detail,
                url=error.meta.url,
                pointer=error.source.pointer,
                limit=LimitKind.of(error.limit) if error.limit else None,
                state=LimitState.of(error.state) if error.HasField("state") else None,
                resets_at=resets_at,
                retry_after_seconds=max((resets_at - now).total_seconds(), 0) if resets_at else None,
            )
        )
    return tuple(found)


def failed_entry(status_code: int, errors: Iterable[pb.Error], now: datetime) -> TollgateError:
    """The error of a failed entry of a batch or a stream."""
    found = reasons(errors, now)
    first = found[0] if found else Reason("", detail="the entry failed")
    names = {"10037": "SERVICE_UNAVAILABLE", "10011": "TOO_MANY_REQUESTS"}
    return TollgateError(
        Status.of(status_code), first.detail, code=first.code,
        reason=names.get(first.code, ""), reasons=found,
    )
