"""A ledger that was changed behind saf's back is found out, and one that was not is left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import CPUS, DAYS, today
from tests.conftest import by_hand
from tests.saf import Saf

Checks = dict[str, tuple[int, str]]
"""check -> (differing, first)"""

FIRST = windows.iso(today() - DAYS * 24 * HOUR)


def verified(saf: Saf, code: int = 0) -> Checks:
    return {
        one["check"]: (one["differing"], one["first"])
        for one in saf.json("ledger", "verify", code=code)["checks"]
    }


def change(ledger_url: str, statement: str) -> None:
    with by_hand(ledger_url) as connection:
        assert connection.execute(statement.encode()).rowcount == 1


@pytest.fixture
def given_out(books: Saf, tmp_path: Path) -> Saf:
    """Sums are kept, and a report was given out."""
    books.run("report", "--window", "rolling:7d", "-o", str(tmp_path / "report"), "--publish")
    return books


def test_books_that_nobody_touched_agree(given_out: Saf, ledger_url: str) -> None:
    with open_ledger(ledger_url, "another"):
        pass
    found = given_out.json("ledger", "verify")["checks"]
    assert [(one["check"], one["differing"], one["first"]) for one in found] == [
        ("hourly usage", 0, ""), ("hourly sums", 0, ""), ("reports", 0, ""),
    ]  # fmt: skip
    compared = {one["check"]: one["compared"] for one in found}
    assert compared["hourly usage"] == DAYS * len(CPUS)
    assert compared["hourly sums"] > 0
    assert compared["reports"] == 1
    given_out.configure("cluster", name="another")
    assert given_out.json("ledger", "verify")["checks"][0]["compared"] == 0


def test_usage_that_was_changed_is_no_longer_what_the_runs_make(given_out: Saf, ledger_url: str) -> None:
    one = "WHERE (hour, subject_id) = (SELECT hour, subject_id FROM hourly_usage ORDER BY 1, 2 LIMIT 1)"
    change(ledger_url, f"UPDATE hourly_usage SET delivered = delivered + 1 {one}")
    found = verified(given_out, code=5)
    assert found == {"hourly usage": (1, FIRST), "hourly sums": (1, FIRST), "reports": (0, "")}
    change(ledger_url, f"DELETE FROM hourly_usage {one}")
    assert verified(given_out, code=5)["hourly usage"] == (1, FIRST)


@pytest.mark.parametrize(
    "statement", ["UPDATE runs SET elapsed_seconds = elapsed_seconds + 60", "DELETE FROM runs"]
)
def test_a_run_that_was_changed_is_missed_in_usage_and_in_the_report(
    given_out: Saf, ledger_url: str, statement: str
) -> None:
    change(ledger_url, f"{statement} WHERE db_index = {DAYS * 10}")
    found = verified(given_out, code=5)
    assert found["hourly usage"] == (1, FIRST)
    assert found["hourly sums"] == (0, "")
    assert found["reports"][0] == 1
    assert found["reports"][1].startswith("rolling:7d as of ")


def test_sums_that_were_changed_are_told(given_out: Saf, ledger_url: str) -> None:
    of_cpu = "sum_id = (SELECT sum_id FROM sums WHERE resource = '1*cpu')"
    one = f"hour = {today() - DAYS * 24 * HOUR} AND beneficiary = 'non_regional'"
    change(ledger_url, f"UPDATE hourly_sums SET delivered = 0 WHERE {of_cpu} AND {one}")
    assert verified(given_out, code=5) == {
        "hourly usage": (0, ""), "hourly sums": (1, FIRST), "reports": (0, ""),
    }  # fmt: skip
    assert "hourly sums" in given_out.run("ledger", "verify", code=5).stdout


def test_an_empty_ledger_agrees_with_itself(ledger_url: str, books: Saf) -> None:
    with open_ledger(ledger_url, "empty"):
        pass
    books.configure("cluster", name="empty")
    assert [one["compared"] for one in books.json("ledger", "verify")["checks"]] == [0, 0, 0]
