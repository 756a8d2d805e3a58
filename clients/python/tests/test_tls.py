"""TLS, tokens and client certificates against the real service; the certificates are those of Tools/dev-certificates."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
from typing import Callable

import pytest
from conftest import PATIENT, ROOT, Place, Server

from tollgate import TLS, Amounts, AsyncClient, Client, Settings, Status, TollgateError, fail_open

SETTINGS = Settings(timeout_seconds=PATIENT, attempts=1)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make(tmp_path_factory.mktemp("certificates") / "ours")


def make(directory: pathlib.Path) -> pathlib.Path:
    done = subprocess.run([ROOT / "Tools/dev-certificates", directory], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return directory


def flags(certificates: pathlib.Path, *more: str) -> list[str]:
    return ["--tls-certificate", f"{certificates}/server.pem", "--tls-key", f"{certificates}/server-key.pem", *more]


def test_a_token_over_tls(serve: Callable[..., Server], certificates: pathlib.Path, place: Place,
                          tmp_path: pathlib.Path) -> None:
    server = serve(*flags(certificates), auth=True)
    tls = TLS(ca=certificates / "ca.pem")
    with Client(server.endpoint, token=server.token, tls=tls, settings=SETTINGS) as client:
        assert client.check(place.spend("1", "k")).allowed

    async def play() -> None:
        async with AsyncClient(server.endpoint, token=server.token(), tls=tls, settings=SETTINGS) as client:
            assert (await client.check(place.spend("1", "k"))).replayed

    asyncio.run(play())
    strangers = make(tmp_path / "strangers")
    for wrong in (TLS(ca=strangers / "ca.pem"), TLS(ca=certificates / "ca.pem", server_name="other.example.org"), None):
        with Client(server.endpoint, token="never sent", tls=wrong, settings=SETTINGS) as client:
            with pytest.raises(TollgateError) as caught:
                client.check(place.spend("1", "k"))
            assert caught.value.status is Status.UNAVAILABLE
    # No client can tell a line that is cut from one that is not to be trusted: both are outages.
    with Client(server.endpoint, tls=TLS(ca=strangers / "ca.pem"), settings=SETTINGS) as client:
        assert client.check(place.spend("1", "l"), policy=fail_open(up_to=Amounts(spend="1"))).unchecked


def test_a_client_certificate(serve: Callable[..., Server], certificates: pathlib.Path, place: Place) -> None:
    server = serve(*flags(certificates, "--tls-client-ca", f"{certificates}/ca.pem"))
    mine = TLS(ca=certificates / "ca.pem", certificate=certificates / "client.pem", key=certificates / "client-key.pem")
    with Client(server.endpoint, tls=mine, settings=SETTINGS) as client:
        assert client.check(place.spend("1")).allowed
    with Client(server.endpoint, tls=TLS(ca=certificates / "ca.pem"), settings=SETTINGS) as client:
        with pytest.raises(TollgateError) as caught:
            client.check(place.spend("1"))
        assert caught.value.status is Status.UNAVAILABLE
