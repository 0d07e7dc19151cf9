"""The report for programs: JSON, and CSV with one figure a line. Tested in tests/report/test_report.py."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from slurm_ai_factory.core.escaped import for_csv, for_json
from slurm_ai_factory.core.measure.figures import SCHEMA
from slurm_ai_factory.report.values import Report, value

NAMES = ("name", "indicator", "basis", "meter", "window", "month", "since", "rows")
"""The keys that name a row of a list; the first that it has."""


def report_json(report: Report) -> str:
    """The report as JSON, with the number of its schema."""
    return for_json(json.dumps({"schema": SCHEMA} | value(report), indent=2, ensure_ascii=False)) + "\n"


def as_csv(report: Report) -> str:
    """The report as CSV: section, row, measure, value. Unknown values are empty; ratios are 0 to 1.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("section", "row", "measure", "value"))
    for section, content in value(report).items():
        for line in figure_rows(section, "", content):
            writer.writerow(["" if cell is None else for_csv(str(cell)) for cell in line])
    return text.getvalue()


def figure_rows(section: str, row: str, content: Any) -> Iterator[tuple[str, str, str, object]]:
    """(section, row, measure, value) of every figure in a part of the report.

    >>> list(figure_rows("tables", "", {"sector": {"total": 7, "rows": [{"name": "care", "charge": 4}]}}))
    [('tables.sector', '', 'total', 7), ('tables.sector.rows', 'care', 'charge', 4)]
    """
    if isinstance(content, list):
        for index, item in enumerate(content):
            if isinstance(item, dict):
                name = str(next((item[key] or "-" for key in NAMES if key in item), index))
                yield from figure_rows(section, name, item)
            else:
                yield section, str(index + 1), "", item
        return
    for key, item in content.items():
        if key == "name" and row:
            continue
        if isinstance(item, dict | list):
            yield from figure_rows(f"{section}.{key}", row, item)
        else:
            yield section, row, key, item
