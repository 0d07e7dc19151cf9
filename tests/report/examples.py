"""Writes docs/examples: the report of a quarter that missed its floor, in every language.

Rule: it is the report of tests/facility.py and nothing else, so that it can be made again at any time.
"""

from __future__ import annotations

from pathlib import Path

from slurm_ai_factory.ledger import Store
from slurm_ai_factory.report import LANGUAGES, report_html
from tests.report import year
from tests.scratch import scratch_server

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
WINDOW = "2027Q3"


def pages(made: year.Year) -> dict[str, str]:
    """The files of the example by name."""
    labels = made.config.codes(()).municipalities
    return {
        f"report-{WINDOW}.{code}.html": report_html(made.reports[WINDOW], code, labels) for code in LANGUAGES
    }


def main() -> None:
    """Make the example in a ledger of its own."""
    with scratch_server() as (directory, url):
        with Store(url) as store:
            store.migrate()
        found = pages(year.build(url, directory / "saf.toml"))
    FOLDER.mkdir(exist_ok=True)
    for name, text in found.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/examples/{name} written")


if __name__ == "__main__":
    main()
