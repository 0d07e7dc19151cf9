"""What access costs: prices per resource-hour, by beneficiary and category, from a day on. Money is Decimal.

A tariff applies from its first instant until the next of the same beneficiary, category and resource. One for
a category overrides that for all categories. Each line of a statement is rounded to cents (half up), and a
total is the sum of its lines, so that a reader can add it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import HOUR, Charge, Instant, Window
from slurm_ai_factory.core.rules.classify import Beneficiary

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A price for one hour of one resource."""

    beneficiary: Beneficiary
    category: str = ""  #: "" for every category
    resource: str
    price: Decimal
    since: Instant


def tariff_value(tariff: Tariff) -> dict[str, str | int]:
    """A tariff in JSON's types, under the digest of published reports; ``tariff_from`` reads it back."""
    side, price = str(tariff.beneficiary), f"{tariff.price.normalize():f}"
    return {
        "beneficiary": side, "category": tariff.category, "resource": tariff.resource, "price": price,
        "since": tariff.since,
    }  # fmt: skip


def tariff_from(value: Mapping[str, Any]) -> Tariff:
    """The tariff of which ``tariff_value`` made this."""
    exact = {"beneficiary": Beneficiary(value["beneficiary"]), "price": Decimal(value["price"])}
    return Tariff(**{**value, **exact})


class StatementLine(NamedTuple):
    """Charge of an organisation at one price."""

    since: Instant
    until: Instant
    beneficiary: Beneficiary
    category: str
    resource: str
    charge: Charge  #: resource-seconds
    price: Decimal  #: for one resource-hour

    @property
    def amount(self) -> Decimal:
        """The price of the line, in cents."""
        hours = Decimal(self.charge) / HOUR
        return (hours * self.price).quantize(CENT, ROUND_HALF_UP)


def resources(tariffs: Iterable[Tariff]) -> list[str]:
    """Every resource that has a price, each once, in the order of the tariffs."""
    return list(dict.fromkeys(tariff.resource for tariff in tariffs))


def pieces(window: Window, tariffs: Iterable[Tariff]) -> list[Window]:
    """The window, cut where a tariff begins.

    >>> later = Tariff(beneficiary=Beneficiary.REGIONAL, resource="cpu", price=Decimal(1), since=3600)
    >>> [(piece.since, piece.until) for piece in pieces(Window("w", 0, 7200), [later])]
    [(0, 3600), (3600, 7200)]
    """
    inside = {tariff.since for tariff in tariffs if window.since < tariff.since < window.until}
    cuts = sorted({window.since, window.until, *inside})
    return [window._replace(since=since, until=until) for since, until in pairwise(cuts)]


def price(
    tariffs: Sequence[Tariff], beneficiary: Beneficiary, category: str, resource: str, at: Instant
) -> Decimal | None:
    """The price at an instant; None where there is none. Unclassified charge has the price of non-regional.

    >>> cheap = [Tariff(beneficiary=Beneficiary.REGIONAL, resource="cpu", price=Decimal("0.01"), since=0)]
    >>> price(cheap, Beneficiary.REGIONAL, "business", "cpu", 9)
    Decimal('0.01')
    >>> price(cheap, Beneficiary.NON_REGIONAL, "business", "cpu", 9) is None
    True
    """
    side = Beneficiary.NON_REGIONAL if beneficiary is Beneficiary.UNCLASSIFIED else beneficiary
    fitting = [
        tariff
        for tariff in tariffs
        if tariff.beneficiary is side and tariff.resource == resource and tariff.since <= at
        and tariff.category in ("", category)
    ]  # fmt: skip
    best = max(fitting, key=lambda tariff: (bool(tariff.category), tariff.since), default=None)
    return best.price if best else None


def total(lines: Iterable[StatementLine]) -> Decimal:
    return sum((line.amount for line in lines), start=Decimal("0.00"))


class AccessValue(NamedTuple):
    """What a charge costs at its own prices, and at those for others than the region. In whole cents."""

    paid: Decimal
    reference: Decimal

    @property
    def advantage(self) -> Decimal:
        """What was not asked of the region."""
        return self.reference - self.paid


def access_value(lines: Iterable[StatementLine], tariffs: Sequence[Tariff]) -> AccessValue | None:
    """The value of access for the charge of these lines; None where a price for others is missing.

    The sums are exact, and rounded once.
    """
    paid = reference = Decimal(0)
    for line in lines:
        other = price(tariffs, Beneficiary.NON_REGIONAL, line.category, line.resource, line.since)
        if other is None:
            return None
        hours = Decimal(line.charge) / HOUR
        paid, reference = paid + hours * line.price, reference + hours * other
    return AccessValue(*(amount.quantize(CENT, ROUND_HALF_UP) for amount in (paid, reference)))
