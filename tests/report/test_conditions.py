"""Every condition of a region has its place in the report, and docs/evaluation/conditions.md says where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.report import LANGUAGES, report_html, value
from slurm_ai_factory.report.sheets import NAMES
from tests.report.year import Year

PAGE = Path(__file__).parents[2] / "docs" / "evaluation" / "conditions.md"
WINDOW = "2027Q3"

CONDITIONS = (
    "25 % of the compute", "other reading", "why", "next", "25 % of the expertise", "Expertise by role",
    "Priority",
    "Businesses, knowledge institutions and governments", "Care, agriculture and public services",
    "Small and medium companies", "Start-ups", "New and returning", "free access", "Modes of access",
    "granted",
    "Other hubs", "availability", "Monitoring", "load on the grid", "limits",
    "surface water", "Energy", "electricity", "Efficiency", "never persons", "Proof",
)  # fmt: skip
"""A few words of each condition that a region attached."""


def rows() -> list[tuple[str, str, str]]:
    """(condition, section, figures) of the table."""
    found = re.findall(
        r"^\| (.+?) \| `(\w+)` \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return [(condition, section, figures) for condition, section, figures in found]


def figure(values: Any, path: str) -> Any:
    """The value at a path; a row of a list goes by its name or window. Raises LookupError."""
    for step in path.split("/"):
        if isinstance(values, list):
            values = {next(row[key] for key in NAMES if key in row): row for row in values}
        values = values[step]
    return values


def test_every_condition_has_one_row() -> None:
    conditions = [condition for condition, *_ in rows()]
    assert len(conditions) == len(CONDITIONS)
    assert [words for words in CONDITIONS if sum(words in one for one in conditions) != 1] == []


@pytest.mark.parametrize(("condition", "section", "figures"), rows())
def test_a_condition_has_a_section_and_figures(
    made: Year, condition: str, section: str, figures: str
) -> None:
    values = value(made.reports[WINDOW])
    for code in LANGUAGES:
        assert f'id="{section}"' in report_html(made.reports[WINDOW], code, {}), (condition, code)
    paths = re.findall(r"`([^`]+)`", figures)
    assert paths, condition
    for path in paths:
        known = figure(values, path)
        optional = path.endswith(
            ("required_share", "note")
        )  # only below the floor; only where one is written
        assert known is not None or optional, path


def test_a_path_that_is_wrong_is_found(made: Year) -> None:
    with pytest.raises(KeyError, match="nowhere"):
        figure(value(made.reports[WINDOW]), "tables/sector/rows/nowhere/charge")
