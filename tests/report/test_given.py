"""A year beside its quarters: what readers can work out from all reports together."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping

from slurm_ai_factory import question
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report import Report, value
from slurm_ai_factory.report.given import Given, connected
from tests import facility
from tests.report import year
from tests.report.year import Year

Figure = Counter[tuple[str, str, object]]
"""What a figure is the sum of: how often an organisation's charge of a quarter, as it was known, is in it."""

FEW_IN_TOTALS = {"account bezoekers", "account kaartlab"}
"""Whom the total of what belongs to nobody is about alone: it cannot be hidden."""

END = facility.AS_OF["2027Q4"]


def reached(made: Year, ledger: Ledger, quarter: str, then: Instant) -> list[Reached]:
    where = windows.window(quarter, 0, made.config.promise.time_zone)
    return question.reached(question.ask(made.config, ledger, where, then=then))


def figures(report: Report, got: Mapping[str, list[Reached]]) -> dict[tuple[str, str], Figure]:
    """Every figure about organisations that a report told, by table and line."""
    found: dict[tuple[str, str], Figure] = {("", str(side)): Counter() for side in Beneficiary}
    found |= {(t, row["name"]): Counter() for t, v in value(report)["tables"].items() for row in v["rows"]}
    for quarter, ones in got.items():
        for one in (one for one in ones if one.charge):
            inside = [("", str(one.beneficiary))]
            inside += [
                (table, name) for table, name in one.places.items()
                if table == "hub" or one.beneficiary is Beneficiary.REGIONAL
            ]  # fmt: skip
            for key in inside:
                if key in found:
                    found[key][one.organisation, quarter, (one.charge, *sorted(one.places.items()))] += 1
    return found


def attacks(
    whole: Mapping[tuple[str, str], Figure], parts: list[dict[tuple[str, str], Figure]]
) -> Iterator[Figure]:
    """Each figure of the year, with and without those of its quarters, and the quarters' own."""
    for key, figure in whole.items():
        left = Counter(figure)
        for part in parts:
            left.subtract(part.get(key, Counter()))
        yield from (figure, left)
    yield from (figure for part in parts for figure in part.values())


def rests_on(figure: Figure) -> set[str]:
    return {part[0] for part, times in figure.items() if times}


def test_no_two_figures_of_a_year_and_its_quarters_give_a_few_away(made: Year) -> None:
    """Every sum and difference of two lines of the year, of a quarter, or of the year less its quarters."""
    with made.ledger() as ledger:
        parts = [
            figures(made.reports[quarter], {quarter: reached(made, ledger, quarter, then)})
            for quarter, then in facility.AS_OF.items()
        ]
        now = {quarter: reached(made, ledger, quarter, END) for quarter in facility.QUARTERS}
        whole = figures(year.made(made.config, ledger, "2027", END), now)
    assert len(whole) > 10, "the year shows something"
    found = list({tuple(sorted(one.items(), key=repr)): one for one in attacks(whole, parts)}.values())
    for one in found:
        assert len(rests_on(one)) not in (1, 2) or rests_on(one) <= FEW_IN_TOTALS
    for one, other in itertools.combinations(found, 2):
        for sign in (1, -1):
            both = Counter(one)
            for part, times in other.items():
                both[part] += sign * times
            few = rests_on(both)
            assert len(few) not in (1, 2) or few <= FEW_IN_TOTALS, few


def test_a_year_hides_what_the_quarters_would_give_away(made: Year) -> None:
    """The late registration of one organisation is in the year and not in the first quarter's report."""
    said, half = (value(made.report(window, END))["tables"] for window in ("2027", "2027H2"))
    assert "business" not in {row["name"] for row in said["category"]["rows"]}
    assert "business" in {row["name"] for row in half["category"]["rows"]}, "in which nothing was restated"


def test_a_second_report_of_a_quarter_hides_what_one_organisation_changed(made: Year) -> None:
    again = made.report("2027Q1", facility.AS_OF["2027Q2"])
    for table, changed in (("category", "business"), ("municipality", "GM0014")):
        first = {row["name"] for row in value(made.reports["2027Q1"])["tables"][table]["rows"]}
        second = {row["name"] for row in value(again)["tables"][table]["rows"]}
        assert changed in first - second


def test_only_reports_given_out_before_are_set_against_one(made: Year) -> None:
    """Also of the same instant: the order in which they were given out counts."""
    with made.ledger() as ledger:
        before = {
            window: [one.window for one in ledger.publishing.before(window, END)]
            for window in ("2027Q1", "2027Q4", "2027")
        }
    quarters = list(facility.QUARTERS)
    assert before == {"2027Q1": quarters, "2027Q4": quarters[:3], "2027": quarters}


def test_windows_that_share_no_time_are_left_alone() -> None:
    def given(*interval: int) -> Given:
        return Given((interval[0], interval[1]), None, lambda _: [])

    quarters = [given(n, n + 1) for n in range(6)]
    assert connected((0, 1), quarters) == quarters[:1]
    near = connected((0, 1), [given(0, 4), *quarters])
    assert sorted(one.interval for one in near) == [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)]
    assert connected((5, 6), [given(0, 4)]) == []


def test_what_belongs_to_nobody_is_not_called_an_organisation(made: Year) -> None:
    rows = value(made.reports["2027Q3"])["tables"]["hub"]["rows"]
    assert [row["organisations"] for row in rows if not row["name"]] == [0]
