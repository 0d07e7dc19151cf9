"""Writes docs/examples: the report of a quarter that missed its floor, in every language.

Rule: it is the report of tests/facility.py and nothing else, so that it can be made again at any time.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from slurm_ai_factory.ledger import Store, embedded
from slurm_ai_factory.report import LANGUAGES, report_html
from tests.report import year

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
    with TemporaryDirectory(prefix="saf-example-") as scratch:
        Path(scratch).chmod(0o755)
        url = embedded.url(Path(scratch))
        with Store(url) as store:
            store.migrate()
        try:
            found = pages(year.build(url, Path(scratch) / "saf.toml"))
        finally:
            embedded.stop(Path(scratch))
    FOLDER.mkdir(exist_ok=True)
    for name, text in found.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/examples/{name} written")


if __name__ == "__main__":
    main()
