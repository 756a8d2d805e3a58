"""Exact amounts: USD as `Decimal` for callers, nano-USD as integers on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Iterable, Iterator

from .v1 import tollgate_pb2 as pb

NANOS = 1_000_000_000
HIGHEST = 2**63 - 1

Money = Decimal | str | int
"""USD: a Decimal, a decimal text, or whole dollars. Never a float: it is not exact."""


def nanos_of(money: Money) -> int:
    """nano-USD. TypeError for a float; ValueError beyond nine decimals or 64 bits."""
    if isinstance(money, bool) or not isinstance(money, (Decimal, str, int)):
        raise TypeError(f"money must be a Decimal, a str or an int, not {type(money).__name__}")
    try:
        value = Decimal(money)
    except InvalidOperation:
        raise ValueError(f"{money!r} is not a decimal number") from None
    if not value.is_finite():
        raise ValueError(f"{money!r} is not an amount of money")
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + 9
    number = int("".join(map(str, digits)))
    if shift < 0:
        number, rest = divmod(number, 10 ** min(-shift, 60))
        if rest:
            raise ValueError(f"{money!r} has more than 9 decimal places")
    elif number and shift > 19:
        raise ValueError(f"{money!r} does not fit in 64 bits")
    else:
        number *= int(10 ** min(shift, 19))
    if number > HIGHEST:
        raise ValueError(f"{money!r} does not fit in 64 bits")
    return -number if sign else number


def usd(nanos: int) -> Decimal:
    """Nano-USD as exact USD: 0.004, and 1 rather than 1.000000000."""
    value = Decimal(nanos).scaleb(-9)
    normal = value.normalize()
    return normal if int(normal.as_tuple().exponent) <= 0 else normal.quantize(Decimal(1))


def resource(number: int, *, is_only_held: bool = False) -> Any:
    """A field of `Amounts`. `is_only_held`: it is held, never charged."""
    return field(default=None, metadata={"number": number, "is_only_held": is_only_held})


@dataclass(frozen=True, slots=True)
class Amounts:
    """An amount of each resource; None: not given.

    `spend` is USD, `call_seconds` inbound and outbound together, the others are counts. Negative only in `Usage`, and
    only for `extensions` and `dids`; `concurrent_calls` only in checks that hold: the service refuses anything else.
    """

    spend: Money | None = resource(pb.RESOURCE_SPEND)
    extensions: int | None = resource(pb.RESOURCE_EXTENSIONS)
    dids: int | None = resource(pb.RESOURCE_DIDS)
    call_seconds: int | None = resource(pb.RESOURCE_CALL_SECONDS)
    concurrent_calls: int | None = resource(pb.RESOURCE_CONCURRENT_CALLS, is_only_held=True)
    messages: int | None = resource(pb.RESOURCE_MESSAGES)

    def __post_init__(self) -> None:
        if self.spend is not None:
            # Equal amounts are equal values, however they were written.
            object.__setattr__(self, "spend", usd(nanos_of(self.spend)))
        for resource, amount in self.units():
            if not -HIGHEST - 1 <= amount <= HIGHEST:
                raise ValueError(f"the amount of resource {resource} does not fit in 64 bits")

    def units(self) -> Iterator[tuple[int, int]]:
        """(resource number, amount in its unit on the wire) of each amount given."""
        for each in fields(self):
            number, amount = each.metadata["number"], getattr(self, each.name)
            if amount is None:
                continue
            if number == pb.RESOURCE_SPEND:
                amount = nanos_of(amount)
            elif isinstance(amount, bool) or not isinstance(amount, int):
                raise TypeError(f"counts and seconds must be int, not {type(amount).__name__}")
            yield number, amount

    def charged(self) -> Amounts:
        """The same amounts without resources that are only held."""
        only_held = {each.name: None for each in fields(self) if each.metadata["is_only_held"]}
        return replace(self, **only_held)

    @classmethod
    def of(cls, quantities: Iterable[pb.Quantity]) -> Amounts:
        names = {each.metadata["number"]: each.name for each in fields(cls)}
        found: dict[str, Any] = {
            names[quantity.resource]: usd(quantity.amount)
            if quantity.resource == pb.RESOURCE_SPEND
            else quantity.amount
            for quantity in quantities
            if quantity.resource in names
        }
        return cls(**found)
