"""The report for machines: JSON, and CSV with one figure on each line. The same in every language."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from slurm_ai_factory.core.escaped import for_csv, for_json
from slurm_ai_factory.report.values import Report, value

NAMES = ("name", "window", "month", "since", "rows")
"""What a line of a list is called by."""


def report_json(report: Report) -> str:
    """The report as JSON."""
    return for_json(json.dumps(value(report), indent=2, ensure_ascii=False)) + "\n"


def as_csv(report: Report) -> str:
    """The report as CSV: section, row, measure, value. What is not known is empty; ratios are 0..1.

    Text that a spreadsheet would take for a formula has an apostrophe in front of it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("section", "row", "measure", "value"))
    for section, content in value(report).items():
        for line in figure_rows(section, "", content):
            writer.writerow(["" if cell is None else for_csv(str(cell)) for cell in line])
    return text.getvalue()


def figure_rows(section: str, row: str, content: Any) -> Iterator[tuple[str, str, str, object]]:
    """Every figure of a part of the report.

    >>> list(figures("tables", "", {"sector": {"total": 7, "rows": [{"name": "care", "charge": 4}]}}))
    [('tables.sector', '', 'total', 7), ('tables.sector.rows', 'care', 'charge', 4)]
    """
    if isinstance(content, list):
        for index, one in enumerate(content):
            name = _called(one, index)
            yield from (
                figure_rows(section, name, one) if isinstance(one, dict) else [(section, name, "", one)]
            )
        return
    for key, one in content.items():
        if key == "name" and row:
            continue
        if isinstance(one, dict | list):
            yield from figure_rows(f"{section}.{key}", row, one)
        else:
            yield section, row, key, one


def _called(one: Any, index: int) -> str:
    if isinstance(one, dict):
        return str(next((one[key] or "-" for key in NAMES if key in one), index))
    return str(index + 1)
