"""The runs behind a share: all of them, with charges that add up to it exactly."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest

from slurm_ai_factory.core.records import HOUR, Run, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import CPUS, DAYS, UMCG, link, today
from tests.saf import Saf

SHARED = ("--window", "rolling:7d")


@pytest.fixture
def joint(books: Saf) -> Saf:
    """A hospital that has one account and part of a joint one."""
    for command in (UMCG, link("umcg", "umcg"), link("umcg", "joint", "0.4")):
        books.run(*command)
    return books


def exported(saf: Saf, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = saf.json("ledger", "export", *more)
    return found


def total(rows: list[dict[str, Any]], *beneficiaries: str) -> Fraction:
    return sum(
        (Fraction(str(one["charge"])) for one in rows if one["beneficiary"] in beneficiaries), Fraction()
    )


@pytest.mark.parametrize("more", [(), ("--resource", "0.25*cpu+16*node")])
def test_charges_add_up_to_the_share(joint: Saf, more: tuple[str, ...]) -> None:
    measured, rows = joint.json("share", *SHARED, *more), exported(joint, *SHARED, *more)
    assert total(rows, "regional") == Fraction(str(measured["regional_charge"])) > 0
    assert total(rows, "unclassified") == Fraction(str(measured["unclassified_charge"])) > 0
    whole = total(rows, "regional", "non_regional", "unclassified")
    assert whole == Fraction(str(measured["total_charge"]))


def test_a_run_for_several_has_a_row_for_each(joint: Saf) -> None:
    rows = [one for one in exported(joint, *SHARED) if one["account"] == "joint"]
    assert len({one["db_index"] for one in rows}) == DAYS
    assert sorted((one["fraction"], one["organisation"], one["charge"]) for one in rows[:2]) == [
        (0.4, "umcg", 0.4 * CPUS["joint"] * HOUR), (0.6, "", 0.6 * CPUS["joint"] * HOUR),
    ]  # fmt: skip


def test_a_run_that_is_running_is_charged_up_to_the_last_read(books: Saf, ledger_url: str) -> None:
    at = today()
    subject = Subject("loop", "astro", "jan", "main", "normal", "", "")
    running = Run(99, 99, "99", subject, "RUNNING", at, at, at - HOUR, None, 0, 0, "cpu=2", "cpu=2")
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([running], at - HOUR, at + 60, at=at + 60)
    (row,) = (one for one in exported(books, *SHARED) if one["job_label"] == "99")
    assert (row["end_at"], row["elapsed_seconds"], row["charge"]) == (None, HOUR + 60, 2 * (HOUR + 60))


def test_names_of_users_are_given_when_asked_for(books: Saf) -> None:
    assert not {"user", "user_name"} & exported(books, *SHARED)[0].keys()
    assert {one["user"] for one in exported(books, *SHARED, "--users")} == {"jan"}


def test_csv_has_the_same_rows(joint: Saf) -> None:
    rows = exported(joint, *SHARED)
    printed = list(csv.DictReader(io.StringIO(joint.run("ledger", "export", *SHARED).stdout)))
    assert printed == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]
    assert [one["db_index"] for one in rows] == sorted(one["db_index"] for one in rows)


def test_where_nothing_ran_nothing_is_exported(books: Saf) -> None:
    long_ago = ("-S", "2020-01-01", "-E", "2020-02-01")
    assert exported(books, *long_ago) == []
    assert len(books.run("ledger", "export", *long_ago).stdout.splitlines()) == 1


def _text(row: dict[str, Any]) -> dict[str, str]:
    return {
        name: f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
        for name, value in row.items()
    }


@pytest.mark.parametrize("more", [(), ("--users",)])
def test_parquet_has_the_same_rows(joint: Saf, more: tuple[str, ...]) -> None:
    joint.run("ledger", "export", *SHARED, *more, "--format", "parquet", "-o", "runs.parquet")
    with duckdb.connect() as connection:
        read = connection.execute(f"SELECT * FROM read_parquet('{joint.directory}/runs.parquet')")
        names = [column[0] for column in read.description or ()]
        parquet = [dict(zip(names, row, strict=True)) for row in read.fetchall()]
    assert [_text(row) for row in exported(joint, *SHARED, *more)] == [_text(row) for row in parquet]
    assert {type(row["charge"]) for row in parquet} == {Decimal}


def test_parquet_goes_into_a_new_file_alone(joint: Saf) -> None:
    options = ("--format", "parquet", "-o", "runs.parquet")
    joint.run("ledger", "export", *SHARED, *options)
    assert "runs.parquet exists" in joint.run("ledger", "export", *SHARED, *options, code=1).stderr
    for wrong in (options[:2], options[2:], (*options, "--json")):
        assert (
            "give --format parquet -o FILE" in joint.run("ledger", "export", *SHARED, *wrong, code=2).stderr
        )
    assert [file.name for file in joint.directory.glob("*.parquet*")] == ["runs.parquet"]
