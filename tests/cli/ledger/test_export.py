"""The runs behind a share: all of them, with charges that add up to it exactly."""

from __future__ import annotations

import csv
import io
import json
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR, Run, Subject
from slurm_ai_factory.ledger import open_ledger
from tests.cli.conftest import CPUS, DAYS, UMCG, link, today
from tests.conftest import by_hand
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
    done = joint.run("ledger", "export", *SHARED, *more, "--format", "parquet", "-o", "runs.parquet")
    assert done.stdout == ""
    assert done.stderr == f"runs.parquet: {len(exported(joint, *SHARED))} rows of rolling:7d\n"
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
    for wrong in (options[:2], options[2:], (*options, "--json"), (*options, "--csv")):
        assert (
            "give --format parquet -o FILE" in joint.run("ledger", "export", *SHARED, *wrong, code=2).stderr
        )
    assert [file.name for file in joint.directory.glob("*.parquet*")] == ["runs.parquet"]


FOR_WALDUR = ("--format", "waldur", "--component", "cpu=60", "--component", "node")


@pytest.fixture
def month(ledger_url: str) -> str:
    """The name of the month before this one, which was read, and in which two accounts and none ran."""
    zone = ZoneInfo("Europe/Amsterdam")
    this = windows.window("month", today(), zone)
    last = windows.window("month", this.since - 1, zone)
    runs = [
        Run(100 + n, 100 + n, str(100 + n), Subject("loop", account, "jan", "main", "normal", "", ""),
            "COMPLETED", start, start, start, start + HOUR, HOUR, 0, "cpu=1,node=1", tres)
        for n, (account, tres, start) in enumerate((
            ("hpc_flood", "cpu=8,node=1", last.since), ("hpc_flood", "cpu=8,node=1", last.until - HOUR // 2),
            ("hpc_ice", "node=2", last.since + HOUR), ("", "cpu=1", last.since),
        ))
    ]  # fmt: skip
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record(runs, last.since, today(), at=today())
    return last.name


def test_a_month_is_exported_as_waldur_takes_it(books: Saf, month: str) -> None:
    done = books.run("ledger", "export", "--window", month, *FOR_WALDUR)
    assert done.stderr == ""
    told = books.json("ledger", "export", "--window", month, *FOR_WALDUR)
    assert told == {name: part for name, part in json.loads(done.stdout).items() if name != "schema"}
    flood, ice = (one for one in told["resources"] if one["backend_id"].startswith("hpc_"))
    assert flood == {
        "backend_id": "hpc_flood",
        "open_runs": 0,
        "charges": {"cpu": 8 * (HOUR + HOUR // 2), "node": HOUR + HOUR // 2},
        "set_usage": {
            "date": f"{month}-01T12:00:00Z",
            "usages": [{"type": "cpu", "amount": "12.00"}, {"type": "node", "amount": "90.00"}],
        },
    }
    assert ice["set_usage"]["usages"][0] == {"type": "cpu", "amount": "0.00"}
    assert (told["month"], told["final"], told["components"]) == (month, True, {"cpu": "60", "node": "1"})
    assert told["without_account"] == {"cpu": HOUR, "node": 0}
    assert "jan" not in done.stdout


def test_the_charges_for_waldur_are_those_of_the_ledger(books: Saf, month: str) -> None:
    told = books.json("ledger", "export", "--window", month, *FOR_WALDUR)
    interval = ("-S", told["since"], "-E", told["until"])
    rows = books.json("reconcile", "--like", "waldur", *interval)["rows"]
    exported = {
        (one["backend_id"], name): charge
        for one in [*told["resources"], {"backend_id": "", "charges": told["without_account"]}]
        for name, charge in one["charges"].items()
        if charge
    }
    assert exported == {(row["account"], row["tres"]): row["ledger"] for row in rows if row["ledger"]}
    (asked,) = (row for row in rows if (row["account"], row["tres"]) == ("hpc_ice", "node"))
    assert asked["causes"] == {"requested instead of allocated TRES": -HOUR}


def test_a_month_with_an_open_run_is_not_final(books: Saf, month: str, ledger_url: str) -> None:
    start = windows.window(month, 0, ZoneInfo("Europe/Amsterdam")).until - HOUR
    subject = Subject("loop", "hpc_ice", "jan", "main", "normal", "", "")
    running = Run(99, 99, "99", subject, "RUNNING", start, start, start, None, 0, 0, "cpu=2", "cpu=2")
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([running], today(), today() + 60, at=today() + 60)
    done = books.run("ledger", "export", "--window", month, *FOR_WALDUR)
    assert f"{month} is not final: export it again" in done.stderr
    told = json.loads(done.stdout)
    (ice,) = (one for one in told["resources"] if one["backend_id"] == "hpc_ice")
    assert (told["final"], ice["open_runs"], ice["charges"]["cpu"]) == (False, 1, 2 * HOUR)


@pytest.mark.usefixtures("month")
def test_a_month_that_is_not_over_is_not_final(books: Saf, ledger_url: str) -> None:
    now = int(time.time())
    with open_ledger(ledger_url, "loop") as ledger:
        ledger.intake.record([], today(), now, at=now)  # it may have begun after what was read before
    done = books.run("ledger", "export", "--window", "month", *FOR_WALDUR)
    told = json.loads(done.stdout)
    assert (told["final"], told["as_of"] < told["until"]) == (False, True)
    assert "is not final" in done.stderr


def test_a_month_that_was_not_read_whole_is_not_exported(books: Saf, month: str, ledger_url: str) -> None:
    with by_hand(ledger_url) as connection:
        connection.execute("UPDATE reads SET since = since + 7200")
    done = books.run("ledger", "export", "--window", month, *FOR_WALDUR, code=1)
    assert done.stdout == ""
    assert (
        f"2.0 hours of {month} were never read, so nothing was exported; run `saf backfill -S" in done.stderr
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "waldur", "--window", "2020-01"), "with each --component of the offering"),
        (("--component", "cpu"), "with each --component of the offering"),
        ((*FOR_WALDUR, "--users"), "without --resource, --users and --csv"),
        ((*FOR_WALDUR, "--csv"), "without --resource, --users and --csv"),
        ((*FOR_WALDUR, "-o", "file"), "give --format parquet -o FILE"),
        ((*FOR_WALDUR, "--window", "2020Q1"), "give --window with a month such as 2027-03"),
        ((*FOR_WALDUR, "--window", "rolling:30d"), "give --window with a month"),
        ((*FOR_WALDUR, "-S", "2020-01-02", "-E", "2020-01-03"), "give --window with a month"),
        (("--format", "waldur", "--component", "cpu=x"), "--component: 'cpu=x' is not a component"),
        (("--format", "waldur", "--component", "gpu", "--window", "2020-01"), "the ledger has no gpu"),
    ],
)  # fmt: skip
def test_what_waldur_cannot_take_is_refused(books: Saf, options: tuple[str, ...], said: str) -> None:
    done = books.run("ledger", "export", *options, code=2)
    assert (done.stdout, said in done.stderr) == ("", True), done.stderr
