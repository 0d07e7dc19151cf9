"""The four reports of a year, and others of odd moments, beside the same figures worked out a second time."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from math import isclose
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme import suppression
from slurm_ai_factory.report import Report, report_json
from tests import facility
from tests.report.year import Year
from tests.second import figures, odd
from tests.second.programme import Tariff
from tests.second.surroundings import Settings, Stated
from tests.second.tables import Cell, Part, Sum, showable
from tests.tamper import campaign

HERE = Path(__file__).parent
OWN = ("figures", "measure", "programme", "promises", "rows", "surroundings", "tables", "who")
"""The modules that work the figures out."""

UNCHECKED = {
    "schema": "the number of the JSON's schema",
    "report.facility": "a name from saf.toml",
    "report.region": "a name from saf.toml",
    "report.contact": "an address from saf.toml",
    "promise.source": "the name of a document",
    "promise.changes": "the year has one term; tests/report/test_terms.py has several",
    "promise.retroactive": "the year has one term; tests/report/test_terms.py has several",
    "answer.note": "a text of the facility, and the year has none",
    "programme.access_value.currency": "a setting of saf.toml",
    "surroundings.grid.evidence.digest": "a digest",
    "surroundings.water.evidence.digest": "a digest",
    "share.forecast.assumptions": "sentences; the rates in them are checked beside them",
    "organisations.names": "names, and the year tells none",
    "fingerprint": "digests and the head of the chain, made again by saf ledger verify",
}
"""What is not worked out a second time, by how its path begins, and why."""

BY_HOUR = re.compile(
    r"(share\.starved_charge|share\.forecast\..*|share\.required_share|weeks\[\d+\]\..*"
    r"|answer\.cause\.starved_charge|answer\.bridge\..*|answer\.next\..*_share)"
)
"""Figures that the product adds up from a float of each hour; all others are exact but for one rounding."""

MIDDLE = [
    ("2027Q1", "2027-02-20"), ("2027Q1", "2027-07-10"), ("2027Q3", "2027-08-15"), ("2027Q2", "2027-12-24"),
]  # fmt: skip
"""Reports of windows that were not over, and of one that was told before, as of civil midnight."""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in a JSON that holds nothing else; an empty list is such a thing."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from leaves(one, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            yield from leaves(one, f"{path}[{number}]")
    else:
        yield path, value


ROUNDING, UNCUT = 1e-12, 1e-5
"""By how much of itself a sum of floats may differ: by rounding; and where runs are open that were suspended,
by less than a second of each at the edge of an hour. The product spreads these over the hours evenly and cuts
them to whole seconds only at the edges of the window."""


def same(path: str, said: Any, own: Any, close: float) -> bool:
    """Whether a report says what was worked out: exactly, as the nearest float, or within a float sum."""
    if not isinstance(own, Fraction) or isinstance(said, bool):
        return type(said) is type(own) and bool(said == own)
    if isinstance(said, int):
        return said == own
    if not isinstance(said, float):
        return False
    return isclose(said, own, rel_tol=close) if BY_HOUR.fullmatch(path) else said == float(own)


def checked(path: str) -> bool:
    return not any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in UNCHECKED)


def compared(said: Any, own: Any, close: float = ROUNDING) -> dict[str, tuple[Any, Any]]:
    """{path: (report, second time)} of what they say otherwise, or only one of them says."""
    first = {path: one for path, one in leaves(said) if checked(path)}
    second = dict(leaves(own))
    paths = sorted(first.keys() | second.keys())
    pairs = {path: (first.get(path, "nothing"), second.get(path, "nothing")) for path in paths}
    return {path: pair for path, pair in pairs.items() if not same(path, *pair, close)}


def differences(made: Year, report: Report, close: float = ROUNDING) -> dict[str, tuple[Any, Any]]:
    """What a report says otherwise than the second program."""
    window, config = report.measurement.window.name, made.config
    tariffs = [
        Tariff(str(one.beneficiary), one.category, one.resource, str(one.price), one.since)
        for one in config.tariffs
    ]
    energy = config.energy
    around = Settings(
        [Stated(row.tres, str(row.watts), row.since, row.source) for row in energy.watts],
        [Stated(row.basis, str(row.grams_per_kwh), row.since, row.source) for row in energy.emissions],
        config.water.exempt,
        (str(energy.closure_least), str(energy.closure_most)),
    )
    settings = config.report.windows, config.expertise.unmet_recorded, tariffs, around
    asked = figures.Asked(facility.CLUSTER, window, report.known_at, *settings)
    with psycopg.connect(made.url) as connection:
        own = figures.figures(connection, asked)
    return compared(json.loads(report_json(report)), own, close)


@pytest.mark.parametrize("window", facility.QUARTERS)
def test_every_figure_of_a_report_is_what_a_second_program_makes_of_the_raw_rows(
    made: Year, window: str
) -> None:
    assert differences(made, made.reports[window]) == {}


@pytest.mark.parametrize(("window", "day"), MIDDLE)
def test_also_of_a_window_that_is_not_over_and_of_one_that_is_told_again(
    made: Year, window: str, day: str
) -> None:
    assert differences(made, made.report(window, facility.at(day))) == {}


@pytest.fixture(scope="module")
def january(made: Year) -> Iterator[Year]:
    with campaign.copied(made.url) as url:
        odd.build(url, made.config)
        yield Year(url, made.file, made.config, {})


@pytest.mark.parametrize(
    ("window", "then"), [("2027Q4", odd.LATER), ("2028Q1", odd.LATER), ("2028Q1", odd.SECOND)]
)
def test_also_of_what_the_year_does_not_have(january: Year, window: str, then: int) -> None:
    """Runs suspended, overridden or not listed any more; arrays; terms and entries told too late."""
    assert differences(january, january.report(window, then), UNCUT) == {}


@pytest.mark.parametrize(
    ("said", "own", "paths"),
    [
        ({"share": {"unread": 1, "new": 1}}, {"share": {"unread": 1}}, ["share.new"]),
        ({"audits": []}, {"audits": [{"checks": 1}]}, ["audits", "audits[0].checks"]),
        ({"capacity": 3}, {"capacity": Fraction(3)}, []),
        ({"capacity": 3.5}, {"capacity": Fraction(7, 2) + Fraction(1, 2**50)}, ["capacity"]),
        ({"weeks": [{"days": 0.1 + 0.2}]}, {"weeks": [{"days": Fraction(3, 10)}]}, []),
        ({"weeks": [{"days": 0.3001}]}, {"weeks": [{"days": Fraction(3, 10)}]}, ["weeks[0].days"]),
        ({"capacity": None}, {"capacity": Fraction(0)}, ["capacity"]),
        ({"fingerprint": {"entry": 1}, "fingerprints": 1}, {"fingerprints": 2}, ["fingerprints"]),
    ],
)
def test_a_figure_that_differs_or_that_only_one_of_them_has_is_found(
    said: Any, own: Any, paths: list[str]
) -> None:
    assert list(compared(said, own)) == paths


PARTS = [Part(whom, "", "", "", "", "", Fraction(number)) for whom in "abcdef" for number in range(2)]
"""Of six organisations, each corrected once."""
SUMS = st.frozensets(st.sampled_from(PARTS), min_size=1)


@given(SUMS, st.lists(SUMS, max_size=3), st.lists(SUMS, max_size=5), st.sampled_from([1, 2, 3]))
def test_small_cells_are_the_same_by_exact_elimination(
    total: Sum, before: list[Sum], asked: list[Sum], smallest: int
) -> None:
    cells = [Cell("sector", str(number), members) for number, members in enumerate(asked)]
    totals = [one for one in (total, frozenset(PARTS) - total) if one]
    own = {(one.table, one.name) for one in showable(cells, totals, smallest, before)}
    sums = [[_said(one) for one in ones] for ones in (totals, before)]
    said = [suppression.TableCell(one.table, one.name, _said(one.members)) for one in cells]
    assert suppression.cells_shown(said, sums[0], smallest, sums[1]) == own


def _said(members: Sum) -> suppression.PartSum:
    return frozenset(suppression.ChargePart(one.whom, one.charge) for one in members)


def test_what_is_not_worked_out_again_is_there(made: Year) -> None:
    said = [path for report in made.reports.values() for path, _ in leaves(json.loads(report_json(report)))]
    paths = [path for path in said if not checked(path)]
    assert [one for one in UNCHECKED if not any(path.startswith(one) for path in paths)] == []


@pytest.mark.parametrize("module", OWN)
def test_the_second_program_shares_no_line_with_the_product(module: str) -> None:
    tree = ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    allowed = {*(f"tests.second.{one}" for one in OWN), "tests.second", "psycopg", "psycopg.rows", *STANDARD}
    assert set(names) <= allowed


STANDARD = {
    "__future__", "collections", "collections.abc", "dataclasses", "datetime", "fractions", "functools",
    "itertools", "json", "re", "typing", "zoneinfo",
}  # fmt: skip
