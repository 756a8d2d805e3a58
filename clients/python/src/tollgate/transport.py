"""grpcio channels: what both clients have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Sequence

import grpc

from .errors import Status, TollgateError, error_of
from .settings import TLS, Settings, Token, check_address, is_loopback


class Way:
    """The endpoints and how they are reached.

    ValueError: no endpoint, an invalid one, or a token that would be sent in plaintext beyond loopback.
    """

    def __init__(
        self, endpoints: Sequence[str], token: Token | None, tls: TLS | None, settings: Settings
    ) -> None:
        if not 1 <= len(endpoints) <= 64:
            raise ValueError("give 1 to 64 endpoints as HOST:PORT")
        self.endpoints = [check_address(endpoint) for endpoint in endpoints]
        self._token = token
        self._tls = tls
        self._settings = settings
        if token is not None and tls is None and not settings.insecure_allow_plaintext:
            for endpoint in self.endpoints:
                if not is_loopback(endpoint):
                    raise ValueError(
                        f"the token would be sent to {endpoint} in plaintext: give tls=TLS(...), or "
                        "Settings(insecure_allow_plaintext=True)"
                    )

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: plaintext. OSError: a file cannot be read."""
        if self._tls is None:
            return None

        def read(path: str | Path | None) -> bytes | None:
            return None if path is None else Path(path).read_bytes()

        return grpc.ssl_channel_credentials(
            root_certificates=read(self._tls.ca),
            private_key=read(self._tls.key),
            certificate_chain=read(self._tls.certificate),
        )

    def options(self) -> list[tuple[str, Any]]:
        settings = self._settings
        options: list[tuple[str, Any]] = [
            ("grpc.enable_retries", 0),  # retries are made here, by the contract's rules
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 5_000),  # time-out of connecting
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.keepalive_time_ms", int(settings.keepalive_seconds * 1_000)),
            ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_seconds * 1_000)),
            ("grpc.keepalive_permit_without_calls", 0),
            ("grpc.max_receive_message_length", 4 * 1024 * 1024),
        ]
        if self._tls is not None and self._tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self._tls.server_name))
            options.append(("grpc.default_authority", self._tls.server_name))
        return options

    def metadata(self, more: Iterable[tuple[str, str]] = ()) -> tuple[tuple[str, str], ...]:
        token = self._token() if callable(self._token) else self._token
        # A token read from a file may end with a line feed, which a header field must not contain.
        token = token.strip() if token else ""
        return ((("authorization", f"Bearer {token}"),) if token else ()) + tuple(more)


def closed() -> TollgateError:
    """The error of calls after the client was closed."""
    return TollgateError(Status.CANCELLED, "the client was closed")


def error_from(error: grpc.RpcError) -> TollgateError:
    """The error of a failed grpcio call."""
    # An error that a grpcio call raises is also the call itself.
    call: Any = error
    details = None
    for name, value in call.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            details = value
    return error_of(Status.of(call.code().value[0]), call.details() or "", details)
