"""`make tamper`: every column of the schema, and the result as a page in docs/evaluation."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from slurm_ai_factory.core.control.level import Baseline
from slurm_ai_factory.core.programme.retention import Due
from slurm_ai_factory.core.records import DAY, Pause, Rejected, Size
from slurm_ai_factory.ledger import Store, open_ledger
from slurm_ai_factory.ledger.archives import ArchivedFile, ArchivedMonth
from slurm_ai_factory.ledger.audits import Audit
from tests import facility
from tests.report import year
from tests.scratch import scratch_server
from tests.second import odd
from tests.tamper.campaign import EMPTY, IRRELEVANT, REFUSED, Tampering, columns, tried

PAGE = Path(__file__).parents[2] / "docs" / "evaluation" / "tamper.md"
HEAD = """\
# Tampering

`make tamper` writes this page. It builds a year of a fictitious facility, with four published reports, and
odd runs, corrections and entries after them. For each column of the schema it then makes one change on a
copy of the ledger, by SQL as the owner of the database, with guards and foreign keys switched off.
`saf ledger verify` walks the chain, compares every recorded row with its entry, every read with its runs,
everything derived with the facts, and remakes every published report. If it finds nothing, this proves that
no published figure depends on the change.

Of {all} columns, the check found {found} and PostgreSQL refused {refused}; with {irrelevant}, every
published report stays the same; {empty} have no row in the year.

| table | column | change | found by |
|---|---|---|---|
"""


def main() -> int:
    """Try every column."""
    with scratch_server() as (directory, server):
        results = list(_all(server, directory / "saf.toml"))
    PAGE.write_text(HEAD.format(**_counts(results)) + "".join(f"{_row(one)}\n" for one in results))
    print(f"{PAGE} written")
    return 0


def _all(server: str, file: Path) -> Iterator[Tampering]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE year")
    url = psycopg.conninfo.make_conninfo(server, dbname="year")
    with Store(url) as store:
        store.migrate()
    made = year.build(url, file)
    odd.build(url, made.config)
    _complete(url)
    every = [one for one in columns(url) if not sys.argv[1:] or one.table in sys.argv[1:]]
    for number, column in enumerate(every, 1):
        found = tried(made, column)
        told = f"{number}/{len(every)} {column.table}.{column.name}: {found.outcome}"
        print(told, file=sys.stderr, flush=True)
        yield found


def _complete(url: str) -> None:
    """Rows of the tables that neither the year nor its odd January has."""
    at, who, why = odd.SECOND + DAY, "anna@head", "audit"
    with open_ledger(url, facility.CLUSTER) as ledger:
        ledger.control.say_pause(Pause(at, at + DAY, who, why))
        ledger.control.keep_baseline("regional", Baseline(25, 75), at)
        ledger.audits.keep(Audit("verify", at, None, None, 0), {}, who)
        month = ArchivedMonth("2027-01", at - 30 * DAY, at, at, "r", {"runs": ArchivedFile(1, 1, "0")}, {})
        ledger.archives.record(month, at=at, actor=who)
        ledger.persons.note("show", "u", {"at": at, "actor": who, "reason": why})
        ledger.intake.put_aside([Rejected("a|b", "no State")], at)
        ledger.privacy.retain(Due(facility.SINCE), (), at=at, actor=who)
        ledger.intake.record([], at, at + DAY, at=at + DAY)
        ledger.intake.record_events([Size(at + DAY, None, "cpu=1")], [], at + DAY)
        ledger.intake.withdraw(at + DAY, at=at + DAY + 60, actor=who, reason="wrong clock")


def _counts(results: Iterable[Tampering]) -> dict[str, int]:
    outcomes = [one.outcome for one in results]
    named = {"irrelevant": IRRELEVANT, "refused": REFUSED, "empty": EMPTY}
    counts = {name: outcomes.count(outcome) for name, outcome in named.items()}
    return {"all": len(outcomes), "found": len(outcomes) - sum(counts.values()), **counts}


def _row(one: Tampering) -> str:
    change = f"`{one.change.replace('|', '&#124;')}`" if one.change else ""
    return f"| {one.column.table} | {one.column.name} | {change} | {one.outcome.replace('|', '&#124;')} |"


if __name__ == "__main__":
    sys.exit(main())
