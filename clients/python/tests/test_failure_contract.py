"""docs/clients/failure.md, row by row: the service is killed, stopped and cut off under each policy."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable, Iterator, TypeVar

import pytest
from conftest import LONG, PATIENT, CuttingProxy, Place, Server

from tollgate import (
    Amounts,
    AsyncClient,
    CheckAnswer,
    Client,
    Counters,
    ExpiryPolicy,
    Mode,
    OveragePolicy,
    Settings,
    Status,
    TollgateError,
    fail_closed,
    fail_open,
)

ONE_USD = fail_open(up_to=Amounts(spend="1.00"))
CAREFUL = Settings(timeout_seconds=PATIENT, attempts=1, circuit_failures=1_000)
"""Each call is one attempt, and no circuit opens."""


@pytest.fixture
def careful(server: Server) -> Iterator[Client]:
    with Client(server.endpoint, settings=CAREFUL) as client:
        yield client


def is_late(error: TollgateError) -> bool:
    return error.status is Status.DEADLINE_EXCEEDED


# The service is gone


def test_a_killed_service(serve: Callable[..., Server], place: Place) -> None:
    """Fail closed raises. Fail open allows within the budget of each tenant, and what it allowed is counted once when
    the service is back."""
    server = serve()
    with Client(server.endpoint, settings=CAREFUL) as client:
        held = client.check(place.spend("1"))
        server.kill()
        with pytest.raises(TollgateError) as caught:
            client.check(place.spend("0.40", "closed"), policy=fail_closed)
        assert caught.value.status is Status.UNAVAILABLE and caught.value.is_outage
        with pytest.raises(TollgateError):
            client.check(place.spend("0.40"))

        checks = [place.spend("0.40", f"open-{number}") for number in range(3)]
        answers = [allowed(client, check) for check in checks]
        assert sum(answers) == 2, "the budget of 1 USD has room for two"
        other = place.extensions(3, "other-tenant")
        assert client.check(other, policy=fail_open(up_to=Amounts(extensions=3))).unchecked
        batch = [place.spend("0.20", "batch-0"), place.spend("0.20", "batch-1")]
        results = client.check_batch(batch, policy=ONE_USD)
        assert [isinstance(result, CheckAnswer) for result in results] == [True, False]
        with pytest.raises(TollgateError):
            client.settle(checks[0])
        with pytest.raises(TollgateError):
            client.commit(held.reservation_id)
        counters = client.counters()
        assert (counters.failed_open, counters.over_budget, counters.settled) == (4, 2, 0)

        server.start()
        happened = [check for check, answer in zip(checks, answers) if answer] + [batch[0]]
        for _ in range(2):
            for check in happened:
                sooner_or_later(lambda: client.settle(check, timeout_seconds=PATIENT))
            client.settle(other, Amounts(extensions=2), timeout_seconds=PATIENT)
        client.commit(held.reservation_id)
        assert place.spent(client) == ("2", "0")
        assert place.provisioned(client) == ("2", "0")
        assert client.counters().settled == 8


T = TypeVar("T")


def sooner_or_later(call: Callable[[], T]) -> T:
    """The answer of a call that may be made again until the service is reached."""
    end = time.monotonic() + PATIENT
    while True:
        try:
            return call()
        except TollgateError as error:
            assert error.status is Status.UNAVAILABLE and time.monotonic() < end, error


def allowed(client: Client, check: Any) -> bool:
    try:
        answer = client.check(check, policy=ONE_USD)
    except TollgateError as error:
        assert error.status is Status.UNAVAILABLE
        return False
    assert answer.unchecked and answer.allowed and answer.reservation_id == 0
    assert answer.failure is not None and answer.failure.status is Status.UNAVAILABLE
    return True


def test_a_stopped_service(serve: Callable[..., Server], place: Place) -> None:
    """Calls end with their deadline. What was asked in vain may still be decided when the service goes on: settled, it is
    counted once."""
    server = serve()
    with Client(server.endpoint, settings=CAREFUL) as client:
        assert client.check(place.spend("1", "before")).allowed
        server.pause()
        with pytest.raises(TollgateError) as caught:
            client.check(place.spend("0.10"), policy=fail_closed, timeout_seconds=0.2)
        assert is_late(caught.value) and caught.value.is_outage
        check = place.spend("0.40", "unchecked")
        answer = client.check(check, policy=ONE_USD, timeout_seconds=0.2)
        assert answer.unchecked and answer.failure is not None and is_late(answer.failure)
        assert client.counters().timed_out == 2
        server.resume()
        client.settle(check, Amounts(spend="0.30"), timeout_seconds=PATIENT)
        client.settle(check, Amounts(spend="0.30"), timeout_seconds=PATIENT)
        assert place.spent(client) == ("0.3", "1")
        again = client.check(place.spend("1", "before"))
        assert again.replayed and client.commit(again.reservation_id).committed == Amounts(spend="1")


def test_asyncio_fails_open_and_a_cancelled_call_does_not(serve: Callable[..., Server], place: Place) -> None:
    server = serve()

    async def play() -> None:
        async with AsyncClient(server.endpoint, settings=CAREFUL) as client:
            assert (await client.check(place.spend("1"))).allowed
            server.pause()
            check = place.spend("0.50", "k")
            answer = await client.check(check, policy=ONE_USD, timeout_seconds=0.2)
            assert answer.unchecked
            task = asyncio.create_task(client.check(place.spend("0.50", "l"), policy=ONE_USD))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert client.counters().failed_open == 1
            server.resume()
            await client.settle(check, timeout_seconds=PATIENT)
            assert client.counters().settled == 1

    asyncio.run(play())


def test_another_endpoint(serve: Callable[..., Server], place: Place) -> None:
    """One that timed out is asked last for a time; what has no key is not repeated."""
    first, second = serve(), serve()
    settings = Settings(
        timeout_seconds=PATIENT, attempt_timeout_seconds=0.5, attempts=1_000, avoid_seconds=LONG,
        circuit_failures=1_000_000,
    )
    with Client(first.endpoint, second.endpoint, settings=settings) as client:
        # Without a key an attempt has all the call's time.
        assert client.check(place.spend("1")).allowed
        assert client.counters().attempts == 1
        first.pause()
        assert client.check(place.spend("1", "second")).allowed
        made = client.counters().attempts
        assert made > 2 and client.counters().retries == made - 2
        assert client.check(place.spend("1")).allowed
        assert client.counters().attempts == made + 1
        second.kill()
        first.resume()
        with pytest.raises(TollgateError):
            client.check(place.spend("1"))
        assert client.counters().attempts == made + 2, "without a key there is no second try"
        assert client.check(place.spend("1", "fourth")).allowed


def test_a_circuit(serve: Callable[..., Server], place: Place) -> None:
    """After failures in a row nothing is sent and the policy decides at once; one call finds out when it is over."""
    server = serve()
    settings = Settings(timeout_seconds=PATIENT, attempts=1, circuit_failures=2, circuit_seconds=0.05,
                        circuit_seconds_at_most=0.05)
    shut = Settings(timeout_seconds=PATIENT, attempts=1, circuit_failures=2, circuit_seconds=3_600,
                    circuit_seconds_at_most=3_600)
    server.kill()
    with Client(server.endpoint, settings=shut) as client:
        for number in range(5):
            with pytest.raises(TollgateError) as caught:
                client.check(place.spend("0.10", "k"))
            assert caught.value.is_local is (number >= 2)
        assert client.check(place.spend("0.10", "k"), policy=ONE_USD).unchecked
        counters = client.counters()
        assert (counters.attempts, counters.circuits_opened, counters.circuit_refused) == (2, 1, 4)
    with Client(server.endpoint, settings=settings) as client:
        for _ in range(2):
            with pytest.raises(TollgateError):
                client.check(place.spend("0.10", "k"))
        server.start()
        assert sooner_or_later(lambda: client.check(place.spend("0.10", "k"))).allowed
        assert client.counters().circuits_opened >= 1


# Unknown outcomes


def test_a_lost_answer_is_collected_by_a_repeat_with_the_key(proxy: CuttingProxy, place: Place) -> None:
    with Client(proxy.endpoint, settings=CAREFUL) as client:
        assert client.check(place.spend("1", "warm")).allowed
        proxy.cut()
        with pytest.raises(TollgateError) as caught:
            client.check(place.spend("2", "k"))
        assert caught.value.status is Status.UNAVAILABLE and not caught.value.changed_nothing
        answer = sooner_or_later(lambda: client.check(place.spend("2", "k")))
        assert answer.allowed and place.spent(client) == ("0", "3")


def test_a_client_that_repeats_sees_nothing_of_it(proxy: CuttingProxy, place: Place) -> None:
    settings = Settings(timeout_seconds=PATIENT)
    with Client(proxy.endpoint, settings=settings) as client:
        assert client.check(place.spend("1", "warm")).allowed
        proxy.cut()
        assert client.check(place.spend("2", "k", mode=Mode.COMMIT)).allowed
        held = client.check(place.spend("4", "l"))
        proxy.cut()
        assert client.commit(held.reservation_id).committed == Amounts(spend="4")
        assert place.spent(client) == ("6", "1")
        counters = client.counters()
        assert (counters.failed, counters.retries) == (0, 2)


def test_without_a_key_nothing_is_repeated(proxy: CuttingProxy, place: Place) -> None:
    with Client(proxy.endpoint, settings=Settings(timeout_seconds=PATIENT)) as client:
        assert client.check(place.spend("1", "warm")).allowed
        proxy.cut()
        with pytest.raises(TollgateError):
            client.check(place.spend("2"))
        assert client.counters().attempts == 2


def test_what_an_earlier_attempt_may_have_done_is_said(serve: Callable[..., Server], place: Place) -> None:
    """The answer is lost, and then nothing more is sent: the error does not say that nothing was done."""
    server = serve()
    proxy = CuttingProxy(server.endpoint)
    settings = Settings(timeout_seconds=PATIENT, circuit_failures=1, circuit_seconds=LONG, circuit_seconds_at_most=LONG)
    with Client(proxy.endpoint, settings=settings) as client:
        assert client.check(place.spend("1", "warm")).allowed
        proxy.cut()
        with pytest.raises(TollgateError) as caught:
            client.check(place.spend("2", "k"))
        assert caught.value.is_local and not caught.value.changed_nothing
    proxy.close()
    with Client(server.endpoint, settings=CAREFUL) as client:
        assert place.spent(client) == ("0", "3")


# What a policy is not for


def test_refusals_are_not_failed_open(client: Client, place: Place) -> None:
    generous = fail_open(up_to=Amounts(spend="1000", extensions=1000))
    assert not client.check(place.extensions(21, "denied"), policy=generous).allowed
    for check, code in (
        (place.spend("1", "k", tenant_id="nobody"), "10005"),
        (place.spend("1", "k", ttl_seconds=0.5), "10015"),
    ):
        with pytest.raises(TollgateError) as caught:
            client.check(check, policy=generous)
        assert caught.value.code == code
    [result] = client.check_batch([place.spend("1", "k", tenant_id="nobody")], policy=generous)
    assert isinstance(result, TollgateError)
    assert client.counters().failed_open == 0


def test_a_bad_token_is_not_failed_open(serve: Callable[..., Server], place: Place) -> None:
    server = serve(auth=True)
    with Client(server.endpoint, token="wrong", settings=CAREFUL) as client:
        with pytest.raises(TollgateError) as caught:
            client.check(place.spend("0.10", "k"), policy=ONE_USD)
        assert caught.value.status is Status.UNAUTHENTICATED


@pytest.mark.parametrize(
    "more", [{"key": ""}, {"key": "k" * 121}, {"key": "k", "overage": OveragePolicy.REJECT}]
)
def test_what_cannot_be_settled_is_not_failed_open(client: Client, place: Place, more: dict[str, Any]) -> None:
    before = client.counters()
    with pytest.raises(ValueError):
        client.check(place.spend("1", **more), policy=ONE_USD)
    with pytest.raises(ValueError):
        client.check_batch([place.spend("1", "l"), place.spend("1", **more)], policy=ONE_USD)
    assert client.counters() == before == Counters()


def test_a_question_alone_is_not_failed_open(place: Place) -> None:
    with Client("127.0.0.1:1", settings=CAREFUL) as client:
        check = place.spend("0.10", mode=Mode.CHECK_ONLY)
        with pytest.raises(TollgateError) as caught:
            client.check(check, policy=ONE_USD)
        assert caught.value.status is Status.UNAVAILABLE
        with pytest.raises(ValueError):
            client.settle(place.spend("0.10", "k", mode=Mode.CHECK_ONLY))


# Settlement: whatever became of the check, its usage is counted once


@pytest.mark.parametrize("mode", [Mode.RESERVE, Mode.PARTIAL, Mode.COMMIT])
@pytest.mark.parametrize("arrived", [False, True])
def test_settlement(client: Client, place: Place, mode: Mode, arrived: bool) -> None:
    check = place.spend("2", "k", mode=mode)
    if arrived:
        assert client.check(check).allowed
    actual = None if mode is Mode.COMMIT else Amounts(spend="3")
    for _ in range(3):
        client.settle(check, actual)
    assert place.spent(client) == ("2" if actual is None else "3", "0")
    if mode is Mode.COMMIT:
        with pytest.raises(ValueError):
            client.settle(check, Amounts(spend="3"))
    else:
        with pytest.raises(TollgateError):
            client.settle(check, Amounts(spend="4"))
        assert place.spent(client) == ("3", "0")


def test_a_late_check_finds_its_key_taken(client: Client, place: Place) -> None:
    check = place.spend("2", "k")
    client.settle(check)
    with pytest.raises(TollgateError) as caught:
        client.check(check)
    assert caught.value.code == "49201"
    assert place.spent(client) == ("2", "0")


def test_settlement_of_a_check_that_was_denied(client: Client, place: Place) -> None:
    """The answer was lost, and so are those to some settlements; meanwhile there is room again."""
    full = client.check(place.extensions(20))
    check = place.extensions(2, "k")
    assert not client.check(check).allowed
    client.settle(check)
    assert place.provisioned(client) == ("2", "20")
    client.release(full.reservation_id)
    for _ in range(3):
        client.settle(check)
    assert place.provisioned(client) == ("2", "0")


def test_settlement_of_a_check_that_was_denied_and_finds_room(client: Client, place: Place) -> None:
    full = client.check(place.extensions(20))
    check = place.extensions(2, "k")
    assert not client.check(check).allowed
    client.release(full.reservation_id)
    for _ in range(3):
        client.settle(check, Amounts(extensions=1))
    assert place.provisioned(client) == ("1", "0")


def test_settlement_of_an_expired_hold_that_was_charged(client: Client, place: Place) -> None:
    check = place.spend("5", "k", ttl_seconds=1, on_expiry=ExpiryPolicy.COMMIT)
    assert client.check(check).allowed
    end = time.monotonic() + PATIENT
    while place.spent(client) != ("5", "0"):
        assert time.monotonic() < end, "it expires after a second"
        time.sleep(0.01)
    for _ in range(2):
        client.settle(check, Amounts(spend="3"))
    assert place.spent(client) == ("3", "0")


@pytest.mark.parametrize("lost", range(4))
def test_settlement_goes_on_where_it_was_interrupted(proxy: CuttingProxy, place: Place, lost: int) -> None:
    """Any answer of it may be lost, and another one of the next try."""
    with Client(proxy.endpoint, settings=CAREFUL) as client:
        full = client.check(place.extensions(20))
        check = place.extensions(2, "k")
        assert not client.check(check).allowed
        client.release(full.reservation_id)
        proxy.cut(after=lost)
        with pytest.raises(TollgateError):
            client.settle(check)
        assert proxy.has_cut
        proxy.cut(after=(lost + 1) % 4)
        for _ in range(3):
            sooner_or_later(lambda: client.settle(check))
        assert place.provisioned(client) == ("2", "0")
