"""sreport and reservations: what Slurm 22.05.8 printed, and lines that must not pass for an answer."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.records import Reservation
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import parse

UTILIZATION = """\
root||cpu|18523
root||energy|77
root||gres/gpu|2902
 national||cpu|8422
  astro||cpu|8422
   astro|lp|cpu|5638
 regional||cpu|10101
 regional||gres/gpu|2902
  umcg||cpu|10101
  umcg||gres/gpu|2902
   umcg|mail|cpu|7317
   umcg|mail|gres/gpu|2902
"""
"""Slurm 22.05.8: two accounts share the idle time of a reservation, of which no user has a row."""


def test_the_tree_of_sreport_becomes_what_each_account_has_of_its_own() -> None:
    assert parse.utilization(UTILIZATION.splitlines()) == {
        ("astro", "cpu"): 8422,
        ("umcg", "cpu"): 10101,
        ("umcg", "gres/gpu"): 2902,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("root||cpu", "3 fields instead of 4"),
        ("root||cpu|-1", "usage of account root cannot be read"),
        ("root||cpu|", "usage of account root cannot be read"),
        ("   astro||cpu|5", "account astro below no account"),
    ],
)
def test_a_line_of_sreport_that_does_not_fit_is_no_usage_at_all(line: str, message: str) -> None:
    with pytest.raises(SlurmError, match=message):
        parse.utilization([line])


def test_reservations_have_the_accounts_of_their_associations() -> None:
    lines = ["1|lesson|6,9|1774743095|1774753895|cpu=4", "2|night|18,99|1774746695|0|node=1,cpu=4,gres/gpu=2"]
    lesson, night = parse.reservations(lines, {"6": "umcg", "9": "astro", "18": "province"})
    assert lesson == Reservation(1, "lesson", 1774743095, 1774753895, (("cpu", 4),), ("umcg", "astro"))
    assert night == Reservation(2, "night", 1774746695, None, (("cpu", 4), ("gres/gpu", 2)), ("province", ""))


@pytest.mark.parametrize(
    "line", ["1|lesson|6|soon|0|cpu=4", "1|lesson|6|1774743095|0|cpu=", "1|lesson|6|1774743095|0"]
)
def test_a_reservation_that_cannot_be_read_raises(line: str) -> None:
    with pytest.raises(SlurmError, match=r"reservation lesson cannot be read|5 fields instead of 6"):
        parse.reservations([line], {})
