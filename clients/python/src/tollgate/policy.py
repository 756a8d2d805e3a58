"""What a client does with a check that got no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from .amounts import Amounts


@dataclass(frozen=True, slots=True)
class FailClosed:
    """No answer, no action: the error is raised."""


@dataclass(frozen=True, slots=True)
class FailOpen:
    """No answer: the check is allowed while the tenant's budget for this minute lasts; then the error is raised.

    `up_to` limits each resource of one tenant in one minute, in this client of this process: ten processes allow ten
    times as much. The budget of a resource that is not named is 0.
    """

    up_to: Amounts


Policy = Union[FailClosed, FailOpen]

fail_closed = FailClosed()


def fail_open(*, up_to: Amounts) -> FailOpen:
    """The policy that allows up to this much of each resource, per tenant and minute, while the service is down."""
    if any(amount < 0 for _, amount in up_to.units()):
        raise ValueError("a budget must not be negative")
    return FailOpen(up_to)


class Budget:
    """What was allowed unchecked in the current minute, by tenant and resource.

    Minutes begin at multiples of 60 s of the caller's clock: at most twice `up_to` in any 60 s. Tenants beyond
    `tenants` get nothing until the next minute.

    Not thread-safe: the owner synchronizes.
    """

    def __init__(self, tenants: int = 10_000) -> None:
        self._tenants = tenants
        self._minute = -1
        self._spent: dict[str, dict[int, int]] = {}

    def take(self, tenant_id: str, amounts: Amounts, up_to: Amounts, now: float) -> bool:
        """Takes all amounts if all fit, otherwise nothing; returns whether they fit."""
        minute = int(now // 60)
        if minute != self._minute:
            self._minute = minute
            self._spent = {}
        spent = self._spent.get(tenant_id)
        if spent is None:
            if len(self._spent) >= self._tenants:
                return False
            spent = {}
        bounds = dict(up_to.units())
        asked = dict(amounts.units())
        for resource, amount in asked.items():
            if amount > 0 and spent.get(resource, 0) + amount > bounds.get(resource, 0):
                return False
        for resource, amount in asked.items():
            spent[resource] = spent.get(resource, 0) + max(amount, 0)
        self._spent[tenant_id] = spent
        return True
