"""Prices with dates: which applies, and money that adds up."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme import tariff
from slurm_ai_factory.core.programme.tariff import StatementLine, Tariff
from slurm_ai_factory.core.records import HOUR, Window
from slurm_ai_factory.core.rules.classify import Beneficiary

REGIONAL, OTHERS = Beneficiary.REGIONAL, Beneficiary.NON_REGIONAL


def priced(price: str, since: int = 0, side: Beneficiary = REGIONAL, category: str = "") -> Tariff:
    return Tariff(beneficiary=side, category=category, resource="cpu", price=Decimal(price), since=since)


TARIFFS = [
    priced("0.01"), priced("0.02", 10 * HOUR), priced("0", 5 * HOUR, category="government"),
    priced("1", side=OTHERS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("side", "category", "hour", "expected"),
    [
        (REGIONAL, "business", 0, "0.01"), (REGIONAL, "business", 10, "0.02"), (REGIONAL, "", 9, "0.01"),
        (REGIONAL, "government", 4, "0.01"), (REGIONAL, "government", 12, "0"), (OTHERS, "business", 3, "1"),
        (Beneficiary.UNCLASSIFIED, "", 3, "1"),
    ],
)  # fmt: skip
def test_the_price_in_force(side: Beneficiary, category: str, hour: int, expected: str) -> None:
    assert tariff.price(TARIFFS, side, category, "cpu", hour * HOUR) == Decimal(expected)


def test_no_price_is_not_a_price_of_nothing() -> None:
    assert tariff.price(TARIFFS, REGIONAL, "", "gres/gpu", 0) is None
    assert tariff.price([priced("1", HOUR)], REGIONAL, "", "cpu", HOUR - 1) is None


@given(cuts=st.lists(st.integers(-5, 30), max_size=6))
def test_the_pieces_of_a_window_are_the_window(cuts: list[int]) -> None:
    window = Window("w", 0, 24 * HOUR)
    found = tariff.pieces(window, [priced("1", cut * HOUR) for cut in cuts])
    assert found[0].since == window.since
    assert found[-1].until == window.until
    assert all(one.until == other.since for one, other in pairwise(found))
    inside = {cut * HOUR for cut in cuts if 0 < cut < 24}
    assert {one.since for one in found} == inside | {0}


@pytest.mark.parametrize(
    ("seconds", "price", "amount"),
    [(3600, "0.005", "0.01"), (3600, "0.0049", "0.00"), (5400, "1.15", "1.73"), (1, "36", "0.01")],
)
def test_a_line_is_rounded_to_cents_half_up(seconds: int, price: str, amount: str) -> None:
    line = StatementLine(0, HOUR, REGIONAL, "", "cpu", seconds, Decimal(price))
    assert str(line.amount) == amount


def test_a_total_is_the_sum_of_what_is_shown() -> None:
    lines = [StatementLine(0, HOUR, REGIONAL, "", "cpu", 3600, Decimal("0.005"))] * 3
    assert str(tariff.total(lines)) == "0.03"
    assert str(tariff.total([])) == "0.00"


@pytest.mark.parametrize("entry", TARIFFS)
def test_a_tariff_comes_back_as_it_was(entry: Tariff) -> None:
    assert tariff.tariff_from(json.loads(json.dumps(tariff.tariff_value(entry)))) == entry


@pytest.mark.parametrize(
    ("seconds", "tariffs", "worth"),
    [
        (HOUR, TARIFFS, ("0.01", "1.00")),
        (HOUR // 3, TARIFFS, ("0.00", "0.33")),  # rounded once, half up
        (HOUR, TARIFFS[:3], None),
    ],
)
def test_access_is_worth_what_others_would_have_paid(
    seconds: int, tariffs: list[Tariff], worth: tuple[str, str] | None
) -> None:
    lines = [StatementLine(0, HOUR, REGIONAL, "business", "cpu", seconds, Decimal("0.01"))]
    found = tariff.access_value(lines, tariffs)
    assert (found and tuple(map(str, found))) == worth
    assert found is None or found.advantage == found.reference - found.paid
