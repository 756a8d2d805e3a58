"""Client of Tollgate's data plane: `Client` for threads, `AsyncClient` for asyncio.

    from tollgate import Action, Amounts, Check, Client

    with Client("127.0.0.1:50051", token="…") as tollgate:
        answer = tollgate.check(Check("globex", Action.SEND_MESSAGE, Amounts(spend="0.004"), idempotency_key="m-17"))
        if answer.allowed:
            tollgate.commit(answer.reservation_id)

What to do about each outcome: docs/clients/failure.md.
"""

from .aio import AsyncClient
from .amounts import Amounts, Money
from .client import Client
from .counters import Counters
from .errors import DeniedError, Reason, Status, TollgateError
from .messages import (
    Action,
    Check,
    CheckAnswer,
    CommitAnswer,
    ExpiryPolicy,
    ExtendAnswer,
    LimitKind,
    LimitState,
    Mode,
    OveragePolicy,
    RecordAnswer,
    ReleaseAnswer,
    TenantStatus,
    Treatment,
    Usage,
    UsageAnswer,
    UsageUpdate,
)
from .policy import FailClosed, FailOpen, Policy, fail_closed, fail_open
from .settings import TLS, Settings

__all__ = [
    "TLS",
    "Action",
    "Amounts",
    "AsyncClient",
    "Check",
    "CheckAnswer",
    "Client",
    "CommitAnswer",
    "Counters",
    "DeniedError",
    "ExpiryPolicy",
    "ExtendAnswer",
    "FailClosed",
    "FailOpen",
    "LimitKind",
    "LimitState",
    "Mode",
    "Money",
    "OveragePolicy",
    "Policy",
    "Reason",
    "RecordAnswer",
    "ReleaseAnswer",
    "Settings",
    "Status",
    "TenantStatus",
    "TollgateError",
    "Treatment",
    "Usage",
    "UsageAnswer",
    "UsageUpdate",
    "fail_closed",
    "fail_open",
]
