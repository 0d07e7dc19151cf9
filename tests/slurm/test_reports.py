"""sreport and reservations: what Slurm 22.05.8 printed, and lines that must not pass for an answer."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.records import Rejected, Reservation
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import parse

UTILIZATION = """\
18523|cpu||root
77|energy||root
2902|gres/gpu||root
8422|cpu|| national
8422|cpu||  astro
5638|cpu|lp|   astro
10101|cpu|| regional
2902|gres/gpu|| regional
10101|cpu||  umcg
2902|gres/gpu||  umcg
7317|cpu|mail|   umcg
2902|gres/gpu|mail|   umcg
"""
"""Slurm 22.05.8: two accounts share the idle time of a reservation, of which no user has a row."""


def test_the_tree_of_sreport_becomes_what_each_account_has_of_its_own() -> None:
    rows = [one for one in parse.used(UTILIZATION.splitlines()) if isinstance(one, parse.Used)]
    assert parse.utilization(rows) == {
        ("astro", "cpu"): 8422,
        ("umcg", "cpu"): 10101,
        ("umcg", "gres/gpu"): 2902,
    }


@pytest.mark.parametrize("line", ["5|cpu|", "-1|cpu||root", "|cpu||root", f"{2**63}|cpu||root", "a name"])
def test_a_line_of_sreport_that_is_no_usage_is_told_and_the_others_stand(line: str) -> None:
    odd, sound = parse.used([line, "5|cpu||root"])
    assert (odd, sound) == (Rejected(line, odd.reason), parse.Used(0, "root", "cpu", 5))  # type: ignore[union-attr]


def test_an_account_below_no_account_is_no_tree() -> None:
    with pytest.raises(SlurmError, match="account 'astro', but not the account above"):
        parse.utilization([parse.Used(3, "astro", "cpu", 5)])


def test_reservations_have_the_accounts_of_their_associations() -> None:
    lines = ["1|1774743095|1774753895|6,9|cpu=4|lesson", "2|1774746695|0|18,99|node=1,cpu=4,gres/gpu=2|a|b"]
    lesson, night = parse.reservations(lines, {"6": "umcg", "9": "astro", "18": "province"})
    assert lesson == Reservation(1, "lesson", 1774743095, 1774753895, (("cpu", 4),), ("umcg", "astro"))
    assert night == Reservation(2, "a|b", 1774746695, None, (("cpu", 4), ("gres/gpu", 2)), ("province", ""))


@pytest.mark.parametrize(
    "line",
    [
        "1|soon|0|6|cpu=4|lesson",
        "1|1774743095|0|6|cpu=|lesson",
        "1|1774743095|0|6|cpu=4",
        "1|0|0|6|cpu=4|lesson",
    ],
)
def test_a_reservation_that_cannot_be_read_is_told_and_the_others_stand(line: str) -> None:
    odd, sound = parse.reservations([line, "1|1774743095|0||cpu=4|lesson"], {})
    assert isinstance(odd, Rejected)
    assert odd.line == line
    assert isinstance(sound, Reservation)
