"""Why a call failed or was denied, with the fields of the service's error catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Iterable, Mapping

from google.protobuf.message import DecodeError

from .internal import rpc_status_pb2 as rpc


class Status(IntEnum):
    """google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @classmethod
    def of(cls, number: int) -> Status:
        """An unknown number is UNKNOWN."""
        return cls(number) if number in cls._value2member_map_ else cls.UNKNOWN


TITLES: Mapping[str, str] = {
    "10004": "Missing required parameter",
    "10005": "Resource not found",
    "10007": "Unexpected error",
    "10009": "Authentication failed",
    "10010": "Authorization failed",
    "10011": "Too many requests",
    "10015": "Bad Request",
    "10023": "Invalid JSON",
    "10037": "Service unavailable",
    "20012": "Account inactive",
    "40333": "Messaging profile spend limit reached",
    "49001": "Tenant monthly spend limit reached",
    "49002": "Tenant extension limit reached",
    "49003": "Tenant DID limit reached",
    "49004": "Tenant monthly minutes limit reached",
    "49005": "Tenant daily spend limit reached",
    "49006": "Tenant concurrent call limit reached",
    "49007": "Outbound voice profile spend limit reached",
    "49008": "Tenant daily message limit reached",
    "49201": "Idempotency key reused",
    "49202": "Reservation expired",
    "49203": "Reservation already settled",
    "49204": "Commit exceeds the reservation",
}
"""The fixed title of each code, which a status does not carry."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong; an answer has one for every limit that refused.

    `limit` is a `LimitKind` and `state` a `LimitState`; None: no limit is involved, or it is hidden. `pointer`: the
    RFC 6901 pointer of the invalid field. `retry_after_seconds`: until that limit's window resets, or until a retry can
    help; None: waiting does not help.
    """

    code: str
    title: str = ""
    detail: str = ""
    url: str = ""
    pointer: str = ""
    limit: Any = None
    state: Any = None
    resets_at: datetime | None = None
    retry_after_seconds: float | None = None


class TollgateError(Exception):
    """A call that got no answer. Denials are answers, not errors.

    - `status`: the gRPC status.
    - `code`: the code in the error catalogue, such as "10037"; "" if the service gave none.
    - `reason`: in UPPER_SNAKE, such as "SERVICE_UNAVAILABLE"; "" if the service gave none.
    - `reasons`: at least one `Reason` if the service gave a code; several if several fields are invalid.
    - `retry_after_seconds`: how long the service says to wait before a retry; None: not given.
    - `is_local`: the client itself gave up, because all circuits are open.
    - `may_have_arrived`: an earlier attempt of the call may have been processed, whatever happened to the last one.
    """

    def __init__(
        self,
        status: Status,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        reasons: Iterable[Reason] = (),
        retry_after_seconds: float | None = None,
        is_local: bool = False,
        may_have_arrived: bool = False,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.code = code
        self.reason = reason
        self.reasons = tuple(reasons)
        self.retry_after_seconds = retry_after_seconds
        self.is_local = is_local
        self.may_have_arrived = may_have_arrived

    def __str__(self) -> str:
        return f"{self.status.name}{f' {self.code}' if self.code else ''}: {self.message}"

    @property
    def changed_nothing(self) -> bool:
        """No attempt of the call changed anything: the same call can be made again, with or without a key."""
        return not self.may_have_arrived and self.attempt_changed_nothing

    @property
    def attempt_changed_nothing(self) -> bool:
        """`changed_nothing` of the last attempt alone: it was not sent, or the service says that it changed nothing."""
        return self.is_local or (
            self.status in (Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED)
            and self.reason in ("SERVICE_UNAVAILABLE", "NOT_PROCESSED", "TOO_MANY_REQUESTS")
        )

    @property
    def is_outage(self) -> bool:
        """The service is unreachable or too slow: a policy applies."""
        return self.status in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED)


class DeniedError(TollgateError):
    """A denial, raised by clients with `denials_as_errors`.

    `subjects`: "tenant:acme", "messaging_profile:…", "outbound_voice_profile:…".
    """

    subjects: tuple[str, ...] = ()


def error_of(status: Status, message: str, details: bytes | None) -> TollgateError:
    """The error of a failed call, from its status and its grpc-status-details-bin."""
    parsed = parsed_details(details)
    info = parsed.get("ErrorInfo")
    if not isinstance(info, rpc.ErrorInfo) or info.domain != "tollgate":
        return TollgateError(status, message)
    code = next((entry.value for entry in info.metadata if entry.key == "code"), "")
    retry = parsed.get("RetryInfo")
    delay = None
    if isinstance(retry, rpc.RetryInfo):
        delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    title = TITLES.get(code, info.reason)
    reasons = [Reason(code, title, message, retry_after_seconds=delay)]
    blamed = parsed.get("BadRequest")
    if isinstance(blamed, rpc.BadRequest) and blamed.field_violations:
        reasons = [
            Reason(code, title, violation.description, pointer=violation.field)
            for violation in blamed.field_violations
        ]
    quota = parsed.get("QuotaFailure")
    kind: type[TollgateError] = TollgateError
    if isinstance(quota, rpc.QuotaFailure):
        kind = DeniedError
        reasons = [Reason(code, title, violation.description) for violation in quota.violations]
    error = kind(
        status, message, code=code, reason=info.reason, reasons=reasons, retry_after_seconds=delay
    )
    if isinstance(error, DeniedError) and isinstance(quota, rpc.QuotaFailure):
        error.subjects = tuple(violation.subject for violation in quota.violations)
    return error


def parsed_details(details: bytes | None) -> dict[str, Any]:
    """The known details, by name; what cannot be decoded is left out."""
    found: dict[str, Any] = {}
    if not details:
        return found
    kinds: dict[str, Any] = {
        "ErrorInfo": rpc.ErrorInfo,
        "BadRequest": rpc.BadRequest,
        "RetryInfo": rpc.RetryInfo,
        "QuotaFailure": rpc.QuotaFailure,
    }
    try:
        for entry in rpc.Status.FromString(details).details:
            name = entry.type_url.removeprefix("type.googleapis.com/google.rpc.")
            if name in kinds:
                found[name] = kinds[name].FromString(entry.value)
    except DecodeError:
        return found
    return found
