"""The state machines: endpoints and circuits, attempts, budgets, amounts. No sockets, no clock."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from tollgate import (
    TLS,
    Action,
    Amounts,
    Check,
    CheckAnswer,
    Mode,
    ReleaseAnswer,
    Settings,
    Status,
    TollgateError,
    operations,
)
from tollgate.amounts import nanos_of, usd
from tollgate.attempts import Attempts
from tollgate.endpoints import Choice, Endpoints
from tollgate.errors import error_of
from tollgate.policy import Budget, fail_open
from tollgate.settings import check_address, is_loopback
from tollgate.shared import Shared
from tollgate.transport import Way
from tollgate.v1 import tollgate_pb2 as pb

QUICK = Settings(circuit_failures=3, circuit_seconds=1, circuit_seconds_at_most=4, avoid_seconds=1.5)
DOWN = TollgateError(Status.UNAVAILABLE, "not reached")
LATE = TollgateError(Status.DEADLINE_EXCEEDED, "late")
FULL = TollgateError(
    Status.UNAVAILABLE, "full", code="10037", reason="SERVICE_UNAVAILABLE", retry_after_seconds=0.25
)
FAST = TollgateError(
    Status.RESOURCE_EXHAUSTED, "fast", code="10011", reason="TOO_MANY_REQUESTS", retry_after_seconds=0.25
)


def pick(endpoints: Endpoints, now: float, is_repeatable: bool = True) -> Choice:
    choice = endpoints.pick(now, is_repeatable=is_repeatable)
    assert choice is not None
    return choice


# Endpoints


def test_the_present_endpoint_is_kept_until_it_fails() -> None:
    endpoints = Endpoints(3, QUICK)
    for now in range(5):
        assert pick(endpoints, now) == (0, False)
        endpoints.succeeded(Choice(0, False))
    endpoints.failed(Choice(0, False), 5)
    assert pick(endpoints, 5).endpoint == 1
    assert pick(endpoints, 100).endpoint == 1, "nobody goes back without need"


def test_who_was_avoided_first_comes_first_where_all_are() -> None:
    endpoints = Endpoints(2, QUICK)
    endpoints.failed(Choice(0, False), 0.0)
    endpoints.failed(Choice(1, False), 0.1)
    assert pick(endpoints, 0.2).endpoint == 0


def test_a_circuit_opens_is_probed_by_one_and_opens_for_twice_as_long() -> None:
    endpoints = Endpoints(1, QUICK)
    for _ in range(2):
        endpoints.failed(Choice(0, False), 0)
        assert pick(endpoints, 0) == (0, False)
    endpoints.failed(Choice(0, False), 0)
    now = 0.0
    for length in (1, 2, 4, 4):
        assert endpoints.pick(now + length - 0.01, is_repeatable=True) is None
        now += length
        assert pick(endpoints, now) == (0, True)
        assert endpoints.pick(now, is_repeatable=True) is None, "one probe at a time"
        endpoints.failed(Choice(0, True), now)
    assert endpoints.circuits_opened == 5
    now += 4
    probe = pick(endpoints, now)
    endpoints.abandoned(probe)
    assert pick(endpoints, now) == probe, "an abandoned probe is made again"
    endpoints.succeeded(probe)
    assert pick(endpoints, now) == (0, False)


def test_late_failures_do_not_lengthen_an_open_circuit() -> None:
    endpoints = Endpoints(1, QUICK)
    for _ in range(100):
        endpoints.failed(Choice(0, False), 0)
    assert endpoints.circuits_opened == 1
    assert pick(endpoints, 1) == (0, True)
    endpoints.failed(Choice(0, False), 1)
    assert endpoints.pick(5, is_repeatable=True) is None, "it is still probed"


def test_what_cannot_be_repeated_probes_only_where_nothing_else_is_left() -> None:
    endpoints = Endpoints(2, QUICK)
    for _ in range(3):
        endpoints.failed(Choice(0, False), 0)
    assert pick(endpoints, 1, is_repeatable=False) == (1, False)
    assert pick(endpoints, 1) == (0, True)
    assert pick(endpoints, 1) == (1, False)


def test_every_short_history_of_two_endpoints() -> None:
    """A pick is open or a due probe, and there is one as long as any circuit is closed."""
    for history in itertools.product("abABp", repeat=6):
        endpoints = Endpoints(2, Settings(circuit_failures=2, circuit_seconds=1, circuit_seconds_at_most=1))
        failures = [0, 0]
        opened: list[float | None] = [None, None]
        for now, step in enumerate(history):
            index = "abAB".find(step) % 2
            if step in "ab":
                endpoints.succeeded(Choice(index, False))
                failures[index], opened[index] = 0, None
            elif step in "AB":
                endpoints.failed(Choice(index, False), now)
                failures[index] += 1
                if failures[index] >= 2 and opened[index] is None:
                    opened[index] = now
            else:
                choice = endpoints.pick(now + 0.5, is_repeatable=False)
                closed = [place for place in (0, 1) if opened[place] is None]
                if closed:
                    assert choice is not None and not choice.is_probe and choice.endpoint in closed, history
                elif choice is not None:
                    since = opened[choice.endpoint]
                    assert choice.is_probe and since is not None and now + 0.5 >= since + 1, history
                    endpoints.abandoned(choice)
                else:
                    assert all(since is not None and now + 0.5 < since + 1 for since in opened), history


# Attempts


def attempts(count: int = 1, is_repeatable: bool = True, deadline: float = 10, **more: float) -> Attempts:
    return Attempts(
        Shared(count, Settings(**more)), is_repeatable=is_repeatable, deadline=deadline  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "error, is_repeatable, is_repeated",
    [
        (DOWN, True, True),
        (DOWN, False, False),
        (LATE, True, True),
        (LATE, False, False),
        (FULL, True, True),
        (FULL, False, True),
        (FAST, True, True),
        (FAST, False, True),
        (TollgateError(Status.UNKNOWN, "?"), True, False),
        (TollgateError(Status.INTERNAL, "fault", code="10007", reason="UNEXPECTED_ERROR"), True, False),
        (TollgateError(Status.INTERNAL, "bytes", code="10023", reason="MALFORMED_REQUEST"), True, False),
        (TollgateError(Status.UNAVAILABLE, "unconfirmed", code="10037", reason="OUTCOME_UNKNOWN",
                       retry_after_seconds=0.1), True, True),
        (TollgateError(Status.UNAVAILABLE, "unconfirmed", code="10037", reason="OUTCOME_UNKNOWN",
                       retry_after_seconds=0.1), False, False),
        (TollgateError(Status.UNAVAILABLE, "no retry", code="10037", reason="SERVICE_UNAVAILABLE"), True, False),
        (TollgateError(Status.RESOURCE_EXHAUSTED, "too large"), True, False),
        *[
            (TollgateError(status, "refused", code="1", reason="R"), True, False)
            for status in (
                Status.INVALID_ARGUMENT, Status.NOT_FOUND, Status.PERMISSION_DENIED, Status.UNAUTHENTICATED,
                Status.FAILED_PRECONDITION, Status.UNIMPLEMENTED, Status.CANCELLED,
            )
        ],
    ],
)
def test_what_is_repeated(error: TollgateError, is_repeatable: bool, is_repeated: bool) -> None:
    call = attempts(is_repeatable=is_repeatable)
    assert (call.ended(call.next(0), error, 0) is not None) is is_repeated


def test_the_service_names_the_pause_unless_there_is_another_endpoint() -> None:
    for error in (FULL, FAST):
        call = attempts()
        assert call.ended(call.next(0), error, 0) == 0.25
    call = attempts(2)
    pause = call.ended(call.next(0), FULL, 0)
    assert pause is not None and pause < 0.25
    call = attempts(2)
    assert call.ended(call.next(0), FAST, 0) == 0.25, "who is too fast is too fast everywhere"


def test_no_pause_goes_beyond_the_deadline_and_no_call_beyond_its_attempts() -> None:
    call = attempts(deadline=0.25)
    assert call.ended(call.next(0), FULL, 0) is None
    call = attempts()
    for number in (1, 2, 3):
        pause = call.ended(call.next(number), DOWN, number)
        assert (pause is None) is (number == 3)


def test_an_attempt_leaves_time_for_the_other_endpoint() -> None:
    call = attempts(2, attempt_timeout_seconds=0.5)
    first = call.next(0)
    assert (first.choice.endpoint, first.timeout_seconds) == (0, 0.5)
    call.ended(first, LATE, 0.5)
    second = call.next(0.5)
    assert (second.choice.endpoint, second.timeout_seconds) == (1, 0.5)
    call.ended(second, LATE, 1)
    assert call.next(1).timeout_seconds == 9, "the last one has what is left"
    assert attempts(2, is_repeatable=False).next(0).timeout_seconds == 10
    assert attempts(1).next(0).timeout_seconds == 10


def test_a_time_out_that_was_too_short_says_nothing() -> None:
    shared = Shared(1, Settings(circuit_failures=1))
    call = Attempts(shared, is_repeatable=False, deadline=0.01)
    call.ended(call.next(0), LATE, 0.02)
    assert shared.snapshot().circuits_opened == 0
    call = Attempts(shared, is_repeatable=False, deadline=1)
    call.ended(call.next(0), LATE, 1)
    assert shared.snapshot().circuits_opened == 1
    with pytest.raises(TollgateError) as refused:
        Attempts(shared, is_repeatable=True, deadline=2).next(1)
    assert refused.value.is_local and refused.value.is_outage


def fresh(error: TollgateError) -> TollgateError:
    """Attempts write on errors; those of this module belong to all tests."""
    return TollgateError(
        error.status, error.message, code=error.code, reason=error.reason,
        retry_after_seconds=error.retry_after_seconds,
    )


def test_what_an_earlier_attempt_may_have_done_is_said() -> None:
    """That the last attempt changed nothing, or was not made, says nothing of the one before."""
    for last in (FULL, FAST):
        call = attempts(attempts=2)
        assert call.ended(call.next(0), fresh(DOWN), 0) is not None
        error = fresh(last)
        assert call.ended(call.next(1), error, 1) is None
        assert error.may_have_arrived and not error.changed_nothing
        call = attempts(attempts=2)
        assert call.ended(call.next(0), fresh(last), 0) is not None
        error = fresh(last)
        call.ended(call.next(1), error, 1)
        assert error.changed_nothing, "neither did anything"
    call = attempts(circuit_failures=1)
    assert call.ended(call.next(0), fresh(DOWN), 0) is not None
    with pytest.raises(TollgateError) as refused:
        call.next(0.5)
    assert refused.value.is_local and not refused.value.changed_nothing
    call = attempts(circuit_failures=1)
    assert call.ended(call.next(0), fresh(FULL), 0) is not None
    with pytest.raises(TollgateError) as refused:
        call.next(0.5)
    assert refused.value.changed_nothing


def test_a_call_that_may_be_repeated_is_whatever_came_before() -> None:
    call = attempts()
    assert call.ended(call.next(0), fresh(DOWN), 0) is not None
    assert call.ended(call.next(1), fresh(FAST), 1) == 0.25


# Budgets


def test_a_budget_is_per_tenant_resource_and_minute() -> None:
    budget = Budget()
    up_to = Amounts(spend="1.00", call_seconds=60)
    assert budget.take("a", Amounts(spend="0.60"), up_to, 0)
    assert not budget.take("a", Amounts(spend="0.60"), up_to, 59.9)
    assert budget.take("a", Amounts(spend="0.40", call_seconds=60), up_to, 59.9)
    assert not budget.take("a", Amounts(spend="0.000000001"), up_to, 59.9)
    assert budget.take("b", Amounts(spend="1.00"), up_to, 59.9)
    assert budget.take("a", Amounts(spend="1.00"), up_to, 60)
    assert not budget.take("a", Amounts(dids=1), up_to, 60), "what is not named has no budget"
    assert budget.take("a", Amounts(dids=0), up_to, 60)


def test_all_amounts_of_a_check_or_none() -> None:
    budget = Budget()
    up_to = Amounts(spend="1", extensions=1)
    assert not budget.take("a", Amounts(spend="1", extensions=2), up_to, 0)
    assert budget.take("a", Amounts(spend="1", extensions=1), up_to, 0)


def test_tenants_of_a_budget_are_bounded() -> None:
    budget = Budget(tenants=2)
    up_to = Amounts(dids=5)
    assert [budget.take(tenant, Amounts(dids=1), up_to, 0) for tenant in "abca"] == [True, True, False, True]
    assert budget.take("c", Amounts(dids=1), up_to, 60)


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError):
        fail_open(up_to=Amounts(dids=-1))


# Settlement

KEY_TAKEN = TollgateError(Status.INVALID_ARGUMENT, "", code="49201")
SETTLED = TollgateError(Status.FAILED_PRECONDITION, "", code="49203")
HELD = CheckAnswer(allowed=True, reservation_id=7)
COLLECTED = CheckAnswer(allowed=True, reservation_id=7, replayed=True)
DENIED = CheckAnswer(allowed=False)
FREE, EXPIRED = ReleaseAnswer(replayed=False, expired=False), ReleaseAnswer(replayed=False, expired=True)


@pytest.mark.parametrize(
    "script, mode",
    [
        ("record", Mode.RESERVE),
        ("record:taken check:collected commit", Mode.RESERVE),
        ("record:taken check:collected commit:settled release:free record", Mode.RESERVE),
        ("record:taken check:collected commit:settled release:settled raises", Mode.RESERVE),
        ("record:taken check:held release:free record", Mode.PARTIAL),
        ("record:taken check:held release:expired commit", Mode.RESERVE),
        ("record:taken check:held release:settled commit", Mode.RESERVE),
        ("record:taken check:denied record", Mode.RESERVE),
        ("record:taken check:denied record:down raises", Mode.RESERVE),
        ("record:taken check:down raises", Mode.RESERVE),
        ("record:taken check:held release:down raises", Mode.RESERVE),
        ("record:taken check:held", Mode.COMMIT),
        ("record:taken check:denied record", Mode.COMMIT),
        ("record:down raises", Mode.RESERVE),
    ],
)
def test_the_way_of_a_settlement(script: str, mode: Mode) -> None:
    answers: dict[str, Any] = {
        "": None, "taken": KEY_TAKEN, "settled": SETTLED, "down": DOWN, "held": HELD, "collected": COLLECTED,
        "denied": DENIED, "free": FREE, "expired": EXPIRED,
    }
    methods = {"record": "RecordUsage", "check": "CheckAndReserve", "commit": "Commit", "release": "Release"}
    check = Check("a", Action.CHARGE, Amounts(spend=1), idempotency_key="k", mode=mode)
    steps = operations.settle(check, None)
    asked: Any = next(steps)
    keys = []
    for step in script.split():
        name, _, answer = step.partition(":")
        if name == "raises":
            assert asked is None, "the error has come out"
            return
        assert asked.method == methods[name], script
        if name == "record":
            keys.append(pb.RecordUsageRequest.FromString(asked.body).idempotency_key)
        try:
            given = answers[answer]
            asked = steps.throw(given) if isinstance(given, TollgateError) else steps.send(given)
        except StopIteration:
            asked = "done"
        except TollgateError:
            asked = None
    assert asked == "done", script
    assert keys == ["k", "k~outage"][: len(keys)]


# Values


@pytest.mark.parametrize(
    "money, nanos",
    [("0.004", 4_000_000), (1, 10**9), (Decimal("1E+2"), 10**11), ("0.000000001", 1), ("-0.5", -5 * 10**8),
     ("9223372036.854775807", 2**63 - 1), ("1.0000000000", 10**9), (Decimal(0), 0), ("0E+99", 0)],
)
def test_money(money: Decimal | str | int, nanos: int) -> None:
    assert nanos_of(money) == nanos
    assert nanos_of(usd(nanos)) == nanos


@pytest.mark.parametrize("money", ["0.0000000001", "9223372036.854775808", "1E+20", "NaN", "Infinity", "", "1,00"])
def test_money_that_is_none(money: str) -> None:
    with pytest.raises(ValueError):
        Amounts(spend=money)


def test_what_is_only_ever_held_is_never_charged() -> None:
    asked = Amounts(spend="0.40", concurrent_calls=1)
    assert asked.charged() == Amounts(spend="0.40")
    assert dict(asked.units()) == {1: 400_000_000, 5: 1}
    check = Check("acme", Action.OUTBOUND_CALL, asked, idempotency_key="call-7")
    usage = pb.RecordUsageRequest.FromString(next(operations.settle(check, None)).body)
    assert [quantity.resource for quantity in usage.quantities] == [1]
    held = Check("acme", Action.OUTBOUND_CALL, Amounts(concurrent_calls=1), idempotency_key="call-8")
    assert not list(operations.settle(held, None))


def test_no_floats() -> None:
    with pytest.raises(TypeError):
        Amounts(spend=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Amounts(dids=1.0)  # type: ignore[arg-type]


def test_money_is_written_plainly() -> None:
    assert [str(usd(nanos)) for nanos in (0, 4_000_000, 10**9, 100 * 10**9)] == ["0", "0.004", "1", "100"]


def test_addresses() -> None:
    for good in ("127.0.0.1:1", "[::1]:50051", "tollgate.internal:443"):
        assert check_address(good) == good
    for bad in ("127.0.0.1", ":1", "a:0", "a:65536", "a:x", ""):
        with pytest.raises(ValueError):
            check_address(bad)
    assert [is_loopback(x) for x in ("127.9.9.9:1", "[::1]:1", "localhost:1", "10.0.0.1:1", "a.b:1")] == [
        True, True, True, False, False
    ]


def test_a_token_does_not_go_over_plaintext_unasked() -> None:
    with pytest.raises(ValueError, match="plaintext"):
        Way(["127.0.0.1:1", "10.0.0.1:1"], "secret", None, Settings())
    Way(["10.0.0.1:1"], "secret", TLS(), Settings())
    Way(["10.0.0.1:1"], "secret", None, Settings(insecure_allow_plaintext=True))
    Way(["10.0.0.1:1"], None, None, Settings())
    with pytest.raises(ValueError):
        TLS(certificate="only-this.pem")


def test_a_token_is_a_field() -> None:
    for token, sent in (("a", "Bearer a"), ("a\n", "Bearer a"), (lambda: " a ", "Bearer a")):
        assert Way(["127.0.0.1:1"], token, None, Settings()).metadata() == (("authorization", sent),)
    for none in (None, "", "\n", lambda: ""):
        assert Way(["127.0.0.1:1"], none, None, Settings()).metadata((("a", "b"),)) == (("a", "b"),)


@pytest.mark.parametrize("count", [0, 65])
def test_endpoints_are_bounded(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        Way(["127.0.0.1:1"] * count, None, None, Settings())


@pytest.mark.parametrize("name", ["timeout_seconds", "attempts", "circuit_failures", "budget_tenants"])
def test_settings_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("details", [None, b"", b"\xff\xff\xff", b"\x1a\x02\x0a"])
def test_details_that_cannot_be_read_are_left_out(details: bytes | None) -> None:
    error = error_of(Status.UNAVAILABLE, "gone", details)
    assert (error.code, error.reasons, error.changed_nothing) == ("", (), False)
