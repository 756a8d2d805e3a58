"""Every call of both clients against the real service."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from decimal import Decimal
from typing import Any, AsyncIterator, Callable, Iterator

import pytest
from conftest import PATIENT, Place, Server

from tollgate import (
    Action,
    Amounts,
    AsyncClient,
    Check,
    CheckAnswer,
    Client,
    DeniedError,
    LimitKind,
    Mode,
    Settings,
    Status,
    TenantStatus,
    TollgateError,
    Treatment,
    Usage,
)

EXTENSIONS = LimitKind.TENANT_EXTENSIONS


def test_reserve_commit_release(client: Client, place: Place) -> None:
    answer = client.check(place.spend("0.02", messaging_profile_id=place.bulk, include_limits=True))
    assert answer.allowed and answer.reservation_id and not answer.replayed and not answer.unchecked
    assert answer.expires_at is not None and answer.tenant_status is TenantStatus.ACTIVE
    limits = {state.kind: state for state in answer.limits}
    assert limits[LimitKind.PROFILE_DAILY_SPEND].cap == Decimal(1000)
    assert place.spent(client) == ("0", "0.02")
    committed = client.commit(answer.reservation_id, Amounts(spend="0.015"))
    assert committed.committed == Amounts(spend=Decimal("0.015")) and not committed.late
    assert client.commit(answer.reservation_id, Amounts(spend="0.015")).replayed
    assert place.spent(client) == ("0.015", "0")
    other = client.check(place.spend("1"))
    assert not client.release(other.reservation_id).replayed
    assert client.release(other.reservation_id).replayed
    assert place.spent(client) == ("0.015", "0")
    assert client.counters().allowed == 2


def test_a_denial_is_an_answer_with_its_reasons(client: Client, place: Place) -> None:
    answer = client.check(place.extensions(21))
    assert not answer.allowed and answer.treatment is Treatment.REJECT and answer.reservation_id == 0
    [reason] = answer.errors
    assert (reason.code, reason.title) == ("49002", "Tenant extension limit reached")
    assert reason.limit is EXTENSIONS and reason.state.cap == 20 and reason.retry_after_seconds is None
    answer = client.check(place.spend("1000.01", messaging_profile_id=place.bulk))
    [reason] = answer.errors
    assert reason.code == "40333" and reason.url.startswith("https://")
    assert reason.retry_after_seconds is not None and 0 <= reason.retry_after_seconds <= 86_400
    assert client.counters().denied == 2


def test_an_outbound_voice_profile(client: Client, place: Place) -> None:
    answer = client.check(place.spend("1.50", voice_profile_id=place.calls, include_limits=True))
    limits = {state.kind: state for state in answer.limits}
    limit = limits[LimitKind.VOICE_PROFILE_DAILY_SPEND]
    assert (limit.subject_id, limit.cap, limit.held) == (place.calls, Decimal(2), Decimal("1.5"))
    [reason] = client.check(place.spend("0.51", voice_profile_id=place.calls)).errors
    assert reason.code == "49007" and reason.limit is LimitKind.VOICE_PROFILE_DAILY_SPEND
    client.record(
        Usage(place.globex, Action.OUTBOUND_CALL, Amounts(spend="0.50"), voice_profile_id=place.calls)
    )
    used = client.usage(place.globex, voice_profile_id=place.calls)
    usage = {state.kind: state for state in used.limits}
    assert usage[LimitKind.VOICE_PROFILE_DAILY_SPEND].committed == Decimal("0.5")
    with pytest.raises(TollgateError) as caught:
        client.check(
            place.spend("0.01", voice_profile_id=place.calls, messaging_profile_id=place.bulk)
        )
    assert caught.value.code == "10015"
    with pytest.raises(TollgateError) as caught:
        client.check(place.spend("0.01", messaging_profile_id=place.calls))
    assert caught.value.status is Status.NOT_FOUND


def test_denials_as_errors(server: Server, place: Place) -> None:
    settings = Settings(timeout_seconds=PATIENT, denials_as_errors=True)
    with Client(server.endpoint, settings=settings) as client:
        with pytest.raises(DeniedError) as caught:
            client.check(place.extensions(21))
        error = caught.value
        assert error.status is Status.RESOURCE_EXHAUSTED and error.code == "49002"
        assert error.reason == "TENANT_EXTENSION_LIMIT_REACHED" and error.subjects == (f"tenant:{place.initech}",)
        assert not error.is_outage and not error.changed_nothing
        held = client.check(place.extensions(20))
        with pytest.raises(DeniedError):
            client.extend(held.reservation_id, additional=Amounts(extensions=1))
        counters = client.counters()
        assert (counters.denied, counters.failed, counters.attempts) == (2, 0, 3), "a denial is not repeated"


def test_keys(client: Client, place: Place) -> None:
    first = client.check(place.spend("1", "k"))
    again = client.check(place.spend("1", "k"))
    assert again.replayed and again.reservation_id == first.reservation_id
    with pytest.raises(TollgateError) as caught:
        client.check(place.spend("2", "k"))
    assert caught.value.code == "49201"


def test_structured_errors(client: Client, place: Place) -> None:
    with pytest.raises(TollgateError) as caught:
        client.check(Check("nobody", Action.CHARGE, Amounts(spend=1)))
    error = caught.value
    assert (error.status, error.code, error.reason) == (Status.NOT_FOUND, "10005", "RESOURCE_NOT_FOUND")
    [reason] = error.reasons
    assert (reason.title, reason.pointer) == ("Resource not found", "/tenant_id")
    with pytest.raises(TollgateError) as caught:
        client.check(Check("", Action.UNSPECIFIED, Amounts()))
    assert caught.value.status is Status.INVALID_ARGUMENT and caught.value.code == "10004"
    pointers = {reason.pointer for reason in caught.value.reasons}
    assert {"/tenant_id", "/action", "/quantities"} <= pointers
    assert "10004" in str(caught.value)
    assert client.counters().attempts == 2


def test_modes(client: Client, place: Place) -> None:
    assert client.check(place.extensions(3, mode=Mode.COMMIT)).reservation_id == 0
    assert place.provisioned(client) == ("3", "0")
    assert client.check(place.extensions(17, mode=Mode.CHECK_ONLY)).allowed
    answer = client.check(place.extensions(18, mode=Mode.PARTIAL, minimum=Amounts(extensions=2)))
    assert answer.granted == Amounts(extensions=17)
    assert not client.check(place.extensions(2, mode=Mode.PARTIAL, minimum=Amounts(extensions=2))).allowed


def test_extend(client: Client, place: Place) -> None:
    held = client.check(place.extensions(19, ttl_seconds=600))
    longer = client.extend(held.reservation_id, ttl_seconds=1_200, additional=Amounts(extensions=1), idempotency_key="e")
    assert longer.allowed and longer.expires_at is not None and held.expires_at is not None
    assert longer.expires_at > held.expires_at
    assert client.extend(
        held.reservation_id, ttl_seconds=1_200, additional=Amounts(extensions=1), idempotency_key="e"
    ).replayed
    denied = client.extend(held.reservation_id, additional=Amounts(extensions=1))
    assert not denied.allowed and denied.errors[0].code == "49002"


def test_record(client: Client, place: Place) -> None:
    usage = Usage(place.initech, Action.PROVISION_EXTENSION, Amounts(extensions=21), idempotency_key="r")
    answer = client.record(usage)
    assert [warning.code for warning in answer.warnings] == ["49002"] and not answer.replayed
    assert client.record(usage).replayed
    client.record(Usage(place.initech, Action.PROVISION_EXTENSION, Amounts(extensions=-20)))
    assert place.provisioned(client) == ("1", "0")


def test_batch(client: Client, place: Place) -> None:
    results = client.check_batch([place.extensions(20), place.extensions(1), place.spend("1", tenant_id="nobody")])
    kinds = [result.allowed if isinstance(result, CheckAnswer) else result.code for result in results]
    assert kinds == [True, False, "10005"]
    with pytest.raises(TollgateError) as caught:
        client.check_batch([])
    assert caught.value.status is Status.INVALID_ARGUMENT


def test_stream(client: Client, place: Place) -> None:
    def checks() -> Iterator[Check]:
        for number in range(300):
            yield place.extensions(1) if number % 2 else place.spend("0.01", tenant_id=place.globex if number else "nobody")

    answers = list(client.check_stream(checks(), timeout_seconds=PATIENT))
    assert len(answers) == 300
    first, *others = answers
    assert isinstance(first, TollgateError) and first.code == "10005"
    odd = [answer for answer in others[::2] if isinstance(answer, CheckAnswer)]
    assert [answer.allowed for answer in odd] == [True] * 20 + [False] * 130


def test_a_stream_that_is_closed_early_ends(client: Client, place: Place) -> None:
    stop = threading.Event()

    def checks() -> Iterator[Check]:
        yield place.spend("1")
        stop.wait(PATIENT)

    stream: Any = client.check_stream(checks())
    assert next(stream).allowed
    stream.close()
    stop.set()
    assert client.counters().failed == 0


def test_watch(client: Client, place: Place) -> None:
    updates: Any = client.watch_usage(place.initech, timeout_seconds=PATIENT)
    first = next(update for update in updates if update.snapshot_complete)
    assert first is not None
    client.record(Usage(place.initech, Action.PROVISION_EXTENSION, Amounts(extensions=7)))
    changed = next(update for update in updates if update.tenant_id == place.initech)
    [state] = [state for state in changed.limits if state.kind is EXTENSIONS]
    assert state.committed == 7 and state.as_of is not None
    updates.close()
    assert client.counters().failed == 0


def test_tokens(serve: Callable[..., Server], place: Place) -> None:
    server = serve(auth=True)
    settings = Settings(timeout_seconds=PATIENT)
    asked = []

    def token() -> str:
        asked.append(1)
        return server.token()

    with Client(server.endpoint, token=token, settings=settings) as client:
        assert client.check(place.spend("1")).allowed
        assert next(client.watch_usage()) is not None
    assert len(asked) == 2
    for bad in (None, "wrong"):
        with Client(server.endpoint, token=bad, settings=settings) as client:
            with pytest.raises(TollgateError) as caught:
                client.check(place.spend("1", "k"))
            assert caught.value.status is Status.UNAUTHENTICATED and caught.value.code == "10009"
            assert client.counters().attempts == 1


# Clients that are closed


@pytest.fixture
def mute() -> Iterator[str]:
    """An endpoint that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "127.0.0.1:%d" % listener.getsockname()[1]


PERSISTENT = Settings(timeout_seconds=PATIENT, attempts=1_000_000, circuit_failures=1_000_000)


def test_calls_of_a_closed_client_are_cancelled(server: Server, mute: str) -> None:
    client = Client(mute, settings=PERSISTENT)
    found: list[BaseException] = []

    def call() -> None:
        try:
            client.usage("a")
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    while thread.is_alive() and client.counters().attempts == 0:
        time.sleep(0.001)
    client.close()
    thread.join(PATIENT)
    watcher = Client(server.endpoint)
    updates = watcher.watch_usage()
    next(updates)
    watcher.close()
    for later in (lambda: list(updates), lambda: client.usage("a"), lambda: next(client.watch_usage())):
        with pytest.raises(TollgateError) as caught:
            later()
        found.append(caught.value)
    assert [error.status for error in found if isinstance(error, TollgateError)] == [Status.CANCELLED] * 4
    assert client.counters().failed == 3


def test_calls_of_a_closed_asyncio_client_are_cancelled(server: Server, mute: str) -> None:
    async def play() -> None:
        client = AsyncClient(mute, settings=PERSISTENT)
        runs = asyncio.create_task(client.usage("a"))
        is_cancelled = asyncio.create_task(client.usage("a"))
        while not runs.done() and client.counters().attempts < 2:
            await asyncio.sleep(0.001)
        is_cancelled.cancel()
        await client.close()
        watcher = AsyncClient(server.endpoint)
        updates = watcher.watch_usage()
        await anext(updates)
        await watcher.close()
        for later in (runs, anext(updates), client.usage("a"), anext(client.watch_usage())):
            with pytest.raises(TollgateError) as caught:
                await later
            assert caught.value.status is Status.CANCELLED
        assert client.counters().failed == 3
        if sys.version_info >= (3, 11):
            with pytest.raises(asyncio.CancelledError):
                await is_cancelled

    asyncio.run(play())


def test_asyncio(server: Server, place: Place) -> None:
    async def play() -> None:
        async with AsyncClient(server.endpoint, settings=Settings(timeout_seconds=PATIENT)) as client:
            answers = await asyncio.gather(*[client.check(place.extensions(1)) for _ in range(25)])
            assert sum(answer.allowed for answer in answers) == 20
            held = [answer.reservation_id for answer in answers if answer.allowed]
            await client.commit(held[0])
            await client.release(held[1])
            await client.extend(held[2], ttl_seconds=7_200)
            await client.record(Usage(place.initech, Action.CHARGE, Amounts(spend="1"), idempotency_key="a"))
            states = {state.kind: state for state in (await client.usage(place.initech)).limits}
            assert (states[EXTENSIONS].committed, states[EXTENSIONS].held) == (1, 18)
            results = await client.check_batch([place.extensions(1), place.spend("1", tenant_id="nobody")])
            assert isinstance(results[1], TollgateError)

            async def later() -> AsyncIterator[Check]:
                yield place.spend("1")
                await asyncio.sleep(0)
                yield place.spend("2")

            for checks in (later(), [place.spend("1"), place.spend("2")]):
                streamed = [answer async for answer in client.check_stream(checks, timeout_seconds=PATIENT)]
                assert [isinstance(answer, CheckAnswer) and answer.allowed for answer in streamed] == [True, True]
            async for update in client.watch_usage(place.globex, timeout_seconds=PATIENT):
                if update.snapshot_complete:
                    break
            with pytest.raises(TollgateError) as caught:
                await client.check(place.spend("1", tenant_id="nobody"))
            assert caught.value.code == "10005"
            counters = client.counters()
            assert (counters.denied, counters.failed) == (5, 1)

    asyncio.run(play())
