"""The usage that is exported for Waldur: by hand on examples, and exactly the ledger's on any runs."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.audit import waldur
from slurm_ai_factory.audit.theirs import OtherBook, compare_with
from slurm_ai_factory.core.records import HOUR, Run
from tests.audit.test_theirs import EXCLUSIVE, HOMELESS, OPEN, SINCE, SPANNING, UNTIL, any_runs
from tests.core.generated import NOW

COMPONENTS = ("cpu", "gres/gpu", "node")


@pytest.mark.parametrize(
    ("run", "usage"),
    [
        (SPANNING, ("umcg", {"cpu": 8 * HOUR, "gres/gpu": 0, "node": 2 * HOUR}, 0)),
        (OPEN, ("umcg", {"cpu": 8 * HOUR, "gres/gpu": 0, "node": 2 * HOUR}, 1)),
        (EXCLUSIVE, ("umcg", {"cpu": 8 * HOUR, "gres/gpu": 0, "node": 2 * HOUR}, 0)),
        (HOMELESS, ("", {"cpu": 8 * HOUR, "gres/gpu": 0, "node": 2 * HOUR}, 0)),
    ],
)
def test_the_usage_of_one_run_is_what_it_was_allocated(
    run: Run, usage: tuple[str, dict[str, int], int]
) -> None:
    account, charges, open_runs = usage
    assert waldur.usage_by_account([run], COMPONENTS, SINCE, UNTIL, NOW) == {
        account: waldur.AccountUsage(charges, open_runs)
    }


def test_a_tres_that_waldur_does_not_have_is_left_out() -> None:
    (used,) = waldur.usage_by_account([SPANNING], ["node"], SINCE, UNTIL, NOW).values()
    assert used.charges == {"node": 2 * HOUR}


@given(st.lists(any_runs(), max_size=6), st.integers(0, 400), st.integers(1, 400))
def test_each_charge_is_the_ledgers_and_they_add_up_to_it(runs: list[Run], first: int, hours: int) -> None:
    since, until = first * HOUR, (first + hours) * HOUR
    usage = waldur.usage_by_account(runs, COMPONENTS, since, until, NOW)
    rows = compare_with(OtherBook.WALDUR, runs, since, until, NOW)
    ledger = {(row.account, row.tres): row.ledger for row in rows if row.ledger}
    exported = {(a, name): c for a, used in usage.items() for name, c in used.charges.items() if c}
    assert exported == ledger
    for name in COMPONENTS:
        whole = sum(used.charges[name] for used in usage.values())
        assert whole == sum(row.ledger for row in rows if row.tres == name)


@given(st.lists(any_runs(), max_size=6), st.integers(1, 470))
def test_two_months_have_what_both_together_have(runs: list[Run], cut: int) -> None:
    whole = waldur.usage_by_account(runs, COMPONENTS, 0, 600 * HOUR, NOW)
    parts = [
        waldur.usage_by_account(runs, COMPONENTS, since, until, NOW)
        for since, until in ((0, cut * HOUR), (cut * HOUR, 600 * HOUR))
    ]
    for account, used in whole.items():
        for name in COMPONENTS:
            assert used.charges[name] == sum(part[account].charges[name] for part in parts)


@pytest.mark.parametrize(
    ("charge", "factor", "text"),
    [
        (0, "1", "0.00"),
        (60, "1", "1.00"),
        (3600 * 1000, "60000", "1.00"),
        (1, "1", "0.02"),
        (Decimal("90.5"), "0.5", "3.02"),
        (2**62 * 2592000 * 60, "1", f"{2**62 * 2592000}.00"),
    ],
)
def test_an_amount_is_in_the_unit_of_the_offering(charge: int | Decimal, factor: str, text: str) -> None:
    assert waldur.waldur_amount(charge, Decimal(factor)) == text


@given(st.integers(0, 2**70), st.decimals("0.001", 10**6, places=3))
def test_an_amount_is_off_by_half_of_its_last_digit_at_most(charge: int, factor: Decimal) -> None:
    exact = Fraction(charge) / (60 * Fraction(factor))
    assert abs(Fraction(waldur.waldur_amount(charge, factor)) - exact) <= Fraction(1, 200)


def test_a_body_has_each_component_also_where_an_account_used_none_of_it() -> None:
    factors = {"cpu": Decimal(60), "gres/gpu": Decimal(1)}
    assert waldur.set_usage("2027-03", waldur.AccountUsage({"cpu": 7200, "gres/gpu": 0}, 0), factors) == {
        "date": "2027-03-01T12:00:00Z",
        "usages": [{"type": "cpu", "amount": "2.00"}, {"type": "gres/gpu", "amount": "0.00"}],
    }


@pytest.mark.parametrize(
    "texts",
    [
        ["=60"], [""], ["cpu="], ["cpu=0"], ["cpu=-1"], ["cpu=nan"], ["cpu=inf"], ["cpu=many"],
        ["cpu", "cpu=60"],
    ],
)  # fmt: skip
def test_what_is_no_component_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"not a component such as|given twice"):
        waldur.parse_components(texts)
