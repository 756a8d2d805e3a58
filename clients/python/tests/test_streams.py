"""Batches and streams under a policy: what was asked has one outcome, whatever becomes of the service midway."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any, AsyncIterator, Callable, Iterator

import pytest
from conftest import PATIENT, Place, Server

from tollgate import (
    Amounts,
    AsyncClient,
    Check,
    CheckAnswer,
    Client,
    Mode,
    Settings,
    Status,
    TollgateError,
    fail_closed,
    fail_open,
)
from tollgate import operations
from tollgate.shared import Shared
from tollgate.streams import Unanswered
from tollgate.v1 import tollgate_pb2 as pb

ONE_USD = fail_open(up_to=Amounts(spend="1.00"))
GENEROUS = fail_open(up_to=Amounts(spend="1000"))
CAREFUL = Settings(timeout_seconds=PATIENT, attempts=1, circuit_failures=1_000)
Outcome = CheckAnswer | TollgateError


def seen(outcome: Outcome) -> str:
    if isinstance(outcome, TollgateError):
        return outcome.status.name
    if outcome.failure is not None:
        return f"unchecked after {outcome.failure.status.name}"
    return "allowed" if outcome.allowed else "denied"


class Tap:
    """Checks of a stream: the first, and the others when they are let."""

    def __init__(self, first: Check, others: list[Check]) -> None:
        self.first, self.others = first, others
        self.may_go_on = threading.Event()
        self.has_sent = threading.Event()

    def __iter__(self) -> Iterator[Check]:
        yield self.first
        assert self.may_go_on.wait(PATIENT)
        yield from self.others
        # The last one has left when the next is asked for.
        self.has_sent.set()


def pull(outcomes: Iterator[Outcome]) -> tuple[list[str], TollgateError | None]:
    """All that comes, and how it ends."""
    found: list[str] = []
    try:
        for outcome in outcomes:
            found.append(seen(outcome))
    except TollgateError as error:
        return found, error
    return found, None


# Killed and paused midway


@pytest.mark.parametrize("policy", [ONE_USD, fail_closed])
def test_a_stream_of_a_killed_service(serve: Callable[..., Server], place: Place, policy: Any) -> None:
    """What was sent and not answered goes to the policy in its order; then the stream's error is raised."""
    server = serve()
    with Client(server.endpoint, settings=CAREFUL) as client:
        tap = Tap(place.spend("5", "told"), [place.spend("0.40", f"open-{number}") for number in range(3)])
        outcomes = client.check_stream(tap, policy=policy)
        told = next(outcomes)
        assert isinstance(told, CheckAnswer) and not told.unchecked
        server.pause()
        tap.may_go_on.set()
        assert tap.has_sent.wait(PATIENT)
        server.kill()
        found, error = pull(outcomes)
        assert error is not None and error.status is Status.UNAVAILABLE
        counters = client.counters()
        if policy is fail_closed:
            assert found == [] and counters.failed_open == 0
            return
        assert found == ["unchecked after UNAVAILABLE"] * 2 + ["UNAVAILABLE"]
        assert (counters.failed_open, counters.over_budget, counters.failed) == (2, 1, 1)
        server.start()
    with Client(server.endpoint, settings=Settings(timeout_seconds=PATIENT)) as client:
        for check in tap.others[:2] * 2:
            client.settle(check)
        client.commit(told.reservation_id)
        assert place.spent(client) == ("5.8", "0")


def test_a_stream_of_a_paused_service(serve: Callable[..., Server], place: Place) -> None:
    """An answer that takes too long ends it; what was asked in vain may still be decided, and is counted once."""
    server = serve()
    with Client(server.endpoint, settings=CAREFUL) as client:
        unchecked: list[Check] = []
        for attempt in itertools.count():
            tap = Tap(place.spend("0.1", f"{attempt}"), [place.spend("0.1", f"{attempt}-{n}") for n in range(2)])
            outcomes = client.check_stream(tap, policy=GENEROUS, answer_timeout_seconds=0.5)
            told = next(outcomes)
            if seen(told) == "allowed":
                break
            # The machine stood still for so long.
            tap.may_go_on.set()
            unchecked.append(tap.first)
        server.pause()
        tap.may_go_on.set()
        assert tap.has_sent.wait(PATIENT)
        found, error = pull(outcomes)
        assert found == ["unchecked after DEADLINE_EXCEEDED"] * 2
        assert error is not None and error.status is Status.DEADLINE_EXCEEDED
        assert client.counters().timed_out == len(unchecked) + 1
        unchecked += tap.others
        server.resume()
        for check in unchecked * 2:
            client.settle(check, timeout_seconds=PATIENT)
        assert isinstance(told, CheckAnswer)
        client.commit(told.reservation_id, timeout_seconds=PATIENT)
        assert place.spent(client) == (f"{(len(unchecked) + 1) * 0.1:.1f}", "0")


def test_an_asyncio_stream_of_a_paused_service(serve: Callable[..., Server], place: Place) -> None:
    server = serve()
    others = [place.spend("0.40", f"k{number}") for number in range(3)]

    async def checks() -> AsyncIterator[Check]:
        for check in others:
            yield check

    async def play() -> None:
        async with AsyncClient(server.endpoint, settings=CAREFUL) as client:
            assert (await client.check(place.spend("1"))).allowed
            server.pause()
            found = []
            with pytest.raises(TollgateError) as caught:
                async for outcome in client.check_stream(checks(), policy=ONE_USD, answer_timeout_seconds=0.2):
                    found.append(seen(outcome))
            assert caught.value.status is Status.DEADLINE_EXCEEDED
            # How many had been sent by then is the machine's affair.
            assert found[:2] == ["unchecked after DEADLINE_EXCEEDED"] * min(2, len(found)) and found
            before = client.counters().failed_open
            reading = asyncio.ensure_future(anext(client.check_stream(others, policy=GENEROUS)))
            while client.counters().attempts < 3:
                await asyncio.sleep(0.001)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert client.counters().failed_open == before, "nobody waits for it"
            server.resume()
            for check in others[: min(2, len(found))]:
                await client.settle(check, timeout_seconds=PATIENT)

    asyncio.run(play())


def test_an_asyncio_stream_of_a_killed_service(serve: Callable[..., Server], place: Place) -> None:
    server = serve()
    sent = asyncio.Event()
    others = [place.spend("0.40", f"k{number}") for number in range(3)]

    async def checks() -> AsyncIterator[Check]:
        for check in others:
            yield check
        sent.set()
        await asyncio.Event().wait()

    async def play() -> None:
        async with AsyncClient(server.endpoint, settings=CAREFUL) as client:
            assert (await client.check(place.spend("1"))).allowed
            server.pause()
            outcomes = client.check_stream(checks(), policy=ONE_USD)
            first = asyncio.ensure_future(anext(outcomes))
            await asyncio.wait_for(sent.wait(), PATIENT)
            server.kill()
            found = [seen(await first)]
            with pytest.raises(TollgateError) as caught:
                async for outcome in outcomes:
                    found.append(seen(outcome))
            assert caught.value.status is Status.UNAVAILABLE
            assert found == ["unchecked after UNAVAILABLE"] * 2 + ["UNAVAILABLE"]

    asyncio.run(play())


def test_a_batch_of_a_paused_service(serve: Callable[..., Server], place: Place) -> None:
    server = serve()
    with Client(server.endpoint, settings=CAREFUL) as client:
        assert client.check(place.spend("5", "before")).allowed
        server.pause()
        batch = [place.spend("0.40", f"k{number}") for number in range(3)]
        batch.append(place.spend("0.10", mode=Mode.CHECK_ONLY))
        late = client.check_batch(batch, policy=ONE_USD, timeout_seconds=0.2)
        open_, closed = "unchecked after DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"
        assert [seen(outcome) for outcome in late] == [open_, open_, closed, closed]
        with pytest.raises(TollgateError):
            client.check_batch(batch, policy=fail_closed, timeout_seconds=0.2)
        server.resume()
        for check in batch[:2] * 2:
            client.settle(check, timeout_seconds=PATIENT)
        # The third may have been decided all the same; it did not take place.
        third = client.check(batch[2])
        client.release(third.reservation_id)
        assert place.spent(client) == ("0.8", "5")


# What the service says stands


def test_a_stream_that_is_answered(client: Client, place: Place) -> None:
    checks = [
        place.spend("1", "k"), place.extensions(21, "l"), place.spend("1", "m", tenant_id="nobody"),
        place.spend("1", "k", ttl_seconds=0.5),
    ]
    generous = fail_open(up_to=Amounts(spend="1000", extensions=1_000))
    found, error = pull(client.check_stream(checks, policy=generous))
    assert (found, error) == (["allowed", "denied", "NOT_FOUND", "INVALID_ARGUMENT"], None)
    assert client.counters().failed_open == 0


@pytest.mark.parametrize("bad", [{"key": ""}, {"key": "k", "ttl_seconds": -1}])
def test_a_check_that_cannot_be_sent_ends_a_stream(client: Client, place: Place, bad: dict[str, Any]) -> None:
    outcomes = client.check_stream(
        [place.spend("1", "good"), place.spend("1", **bad), place.spend("1", "never")], policy=ONE_USD
    )
    assert seen(next(outcomes)) == "allowed"
    with pytest.raises(ValueError):
        next(outcomes)
    assert place.spent(client) == ("0", "1")


def test_patience_is_more_than_nothing(client: Client) -> None:
    with pytest.raises(ValueError):
        next(client.check_stream([], answer_timeout_seconds=0))


# Without a service


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def unanswered(clock: Clock, policy: Any = ONE_USD, patience: float | None = 2.0) -> Unanswered:
    return Unanswered(Shared(1, CAREFUL, clock), policy, patience)


BUSY = TollgateError(Status.UNAVAILABLE, "busy", code="10037", reason="SERVICE_UNAVAILABLE")


def test_an_entry_that_the_service_could_not_decide(clock: Clock, place: Place) -> None:
    stream = unanswered(clock)
    for check in (place.spend("0.6", "a"), place.spend("0.6", "b"), place.spend("0.4", "c")):
        stream.sent(check)
    denied = CheckAnswer(allowed=False)
    outcomes = [stream.answered(answer) for answer in (BUSY, BUSY, denied)]
    assert [seen(outcome) for outcome in outcomes] == ["unchecked after UNAVAILABLE", "UNAVAILABLE", "denied"]
    with pytest.raises(TollgateError) as caught:
        stream.answered(denied)
    assert caught.value.status is Status.INTERNAL


def test_the_same_of_a_batch(clock: Clock, place: Place) -> None:
    shared = Shared(1, CAREFUL, clock)
    checks = [place.spend("0.6", "a"), place.spend("0.6", "b"), place.spend("0.4", "c")]
    outcomes = shared.decided_batch(checks, ONE_USD, [CheckAnswer(allowed=False), BUSY, BUSY])
    assert [seen(outcome) for outcome in outcomes] == ["denied"] + ["unchecked after UNAVAILABLE"] * 2
    counters = shared.snapshot()
    assert (counters.denied, counters.failed_open, counters.over_budget) == (1, 2, 0)


def test_a_stream_that_ends_too_early(clock: Clock, place: Place) -> None:
    stream = unanswered(clock)
    stream.sent(place.spend("0.6", "a"))
    assert [seen(outcome) for outcome in stream.finish()] == ["unchecked after UNAVAILABLE"]
    assert stream.finish() == []
    closed = unanswered(clock, fail_closed)
    closed.sent(place.spend("0.6"))
    with pytest.raises(TollgateError):
        closed.finish()


def test_patience(clock: Clock, place: Place) -> None:
    """Only a reader that waits loses it, and only for what is owed."""
    stream = unanswered(clock)
    stream.sent(place.spend("0.1", "a"))
    clock.now += 10
    assert not stream.is_too_late(), "nobody has asked for the answer"
    stream.waits()
    clock.now += 1.5
    assert stream.seconds_left() == 0.5 and not stream.is_too_late()
    stream.answered(CheckAnswer(allowed=True))
    stream.waits()
    clock.now += 10
    assert not stream.is_too_late(), "nothing is owed"
    stream.sent(place.spend("0.1", "b"))
    assert stream.seconds_left() == 2
    clock.now += 2
    assert stream.is_too_late() and stream.meant(BUSY).status is Status.DEADLINE_EXCEEDED


def test_who_has_patience(clock: Clock) -> None:
    patience = [unanswered(clock, policy, None).patience for policy in (ONE_USD, fail_closed, None)]
    assert patience == [PATIENT, None, None]
    assert unanswered(clock, fail_closed, 3).patience == 3


def test_a_batch_with_too_few_answers(place: Place) -> None:
    operation = operations.check_batch([place.spend("1"), place.spend("1")])
    answer = pb.CheckAndReserveBatchResponse(results=[pb.CheckAndReserveResult(status_code=3)])
    with pytest.raises(TollgateError) as caught:
        operation.answer(answer.SerializeToString())
    assert caught.value.status is Status.INTERNAL
