"""How a client reaches the service."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .policy import Policy, fail_closed

Token = str | Callable[[], str]
"""A bearer token, or a function that returns the current one; called before each attempt, must not block. "": none."""


@dataclass(frozen=True, slots=True)
class TLS:
    """Files in PEM. `ca`: trusted CAs; None: grpcio's roots. `certificate` and `key`: the client's own, for mTLS.

    `server_name`: the name expected in the certificate, if it differs from the address.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client certificate and its key must be given together")


@dataclass(frozen=True, slots=True)
class Settings:
    """- `timeout_seconds`: of the whole call, retries included, unless the call sets its own.
    - `attempt_timeout_seconds`: of one attempt, if the call is repeatable and another endpoint can be used.
    - `attempts`: maximum per call. A call is repeated only if that can do no harm: it has a key, is idempotent by
      itself (commit, release, usage, a check with Mode.CHECK_ONLY), or the service said that nothing was changed.
    - `avoid_seconds`: how long an endpoint that timed out or was not reached is tried last.
    - `circuit_failures`: after this many consecutive failures the endpoint is not used for `circuit_seconds`; then one
      call probes it. Each failed probe doubles the time, up to `circuit_seconds_at_most`.
    - `policy`: of checks that do not set their own.
    - `budget_tenants`: maximum number of tenants for which checks are allowed unchecked in one minute.
    - `denials_as_errors`: denials of `check` and `extend` are raised as `DeniedError` (header `tollgate-deny: status`).
    - `keepalive_seconds`: idle time, with calls open, before a keepalive PING is sent; `keepalive_timeout_seconds`: how
      long its answer may take.
    - `insecure_allow_plaintext`: allow sending a token in plaintext beyond loopback.
    """

    timeout_seconds: float = 1.0
    attempt_timeout_seconds: float = 0.5
    attempts: int = 3
    avoid_seconds: float = 1.5
    circuit_failures: int = 5
    circuit_seconds: float = 1.0
    circuit_seconds_at_most: float = 30.0
    policy: Policy = fail_closed
    budget_tenants: int = 10_000
    denials_as_errors: bool = False
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 20.0
    insecure_allow_plaintext: bool = False

    def __post_init__(self) -> None:
        positive = (
            "timeout_seconds", "attempt_timeout_seconds", "attempts", "circuit_failures", "circuit_seconds",
            "circuit_seconds_at_most", "budget_tenants", "keepalive_seconds", "keepalive_timeout_seconds",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
        if self.avoid_seconds < 0:
            raise ValueError("avoid_seconds must not be negative")
        if self.circuit_seconds_at_most < self.circuit_seconds:
            raise ValueError("circuit_seconds_at_most must be at least circuit_seconds")


def check_address(endpoint: str) -> str:
    """Returns `endpoint` unchanged. ValueError: it is not HOST:PORT."""
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{endpoint!r} is not HOST:PORT")
    return endpoint


def is_loopback(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
