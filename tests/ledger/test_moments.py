"""An answer is of one moment and of the ledger that is there, whatever a process remembers of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from slurm_ai_factory import question
from slurm_ai_factory.config import parse_config
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import DAY, HOUR, Instant, Run
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Classified, Ledger, open_ledger
from slurm_ai_factory.question import Question
from tests.ledger.test_accounting import ALL, NOW, RULES, T0, WEIGHTS, ended, measure, record, running

CONFIG = parse_config('[cluster]\nname = "c"\n', "saf.toml")
SAID = {"organisation": "", "actor": "a", "reason": "r"}


class Backup:
    """A copy of the database as it is now, which can be put in its place."""

    def __init__(self, server: str, ledger_url: str) -> None:
        self.server, self.name = server, conninfo_to_dict(ledger_url)["dbname"]
        self._run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}'",
            f"CREATE DATABASE {self.name}_kept TEMPLATE {self.name}",
        )

    def restore(self) -> None:
        self._run(
            f"DROP DATABASE {self.name} WITH (FORCE)",
            f"ALTER DATABASE {self.name}_kept RENAME TO {self.name}",
        )

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            for one in statements:
                connection.execute(one.encode())


def after_the_break(work: Callable[[], object]) -> None:
    """As a daemon does: the first use finds the connection broken, and the next beat makes another."""
    with pytest.raises(LedgerError):
        work()
    work()


def spanned(db_index: int, start: Instant, end: Instant) -> Run:
    return ended(db_index)._replace(
        submit_at=start, eligible_at=start, start_at=start, end_at=end, elapsed_seconds=end - start
    )


def asked(ledger: Ledger, read_until: Instant) -> Question:
    """About everything, by RULES."""
    return Question(
        config=CONFIG,
        ledger=ledger,
        window=ALL,
        rules=RULES,
        terms=question.terms_of(CONFIG, ledger),
        read_until=read_until,
        moment=read_until,
    )


def total(ledger_url: str) -> object:
    """As a process has it that was just started."""
    with open_ledger(ledger_url, "c") as ledger:
        return measure(ledger, ALL, NOW).total_charge


def test_after_a_restore_the_hours_that_were_summed_before_are_asked_for_again(
    postgresql: str, ledger_url: str
) -> None:
    first, second = spanned(1, T0, T0 + HOUR), spanned(2, T0 + 8 * HOUR, T0 + 9 * HOUR)
    with open_ledger(ledger_url, "c") as ledger:
        record(ledger, [first], NOW)
        backup = Backup(postgresql, ledger_url)
        after_the_break(lambda: record(ledger, [first, second], NOW + 1))
        for later in range(2, 6):
            record(ledger, [first, second], NOW + later)
        measure(ledger, ALL, NOW)
        backup.restore()
        after_the_break(lambda: record(ledger, [first, second], NOW + 10))
        record(ledger, [spanned(3, T0 + HOUR, T0 + 5 * HOUR)], NOW + 11)
        assert measure(ledger, ALL, NOW).total_charge == total(ledger_url) == 6 * HOUR


def test_after_a_restore_what_was_told_before_is_told_again(postgresql: str, ledger_url: str) -> None:
    first, second = spanned(1, T0, T0 + HOUR), spanned(2, T0, T0 + HOUR)
    with open_ledger(ledger_url, "c") as ledger:
        record(ledger, [first], NOW)
        backup = Backup(postgresql, ledger_url)
        after_the_break(lambda: record(ledger, [second], NOW + 1))
        backup.restore()
        with open_ledger(ledger_url, "c") as other:
            record(other, [], NOW + 2)  # has the number of the read that was lost
        after_the_break(lambda: record(ledger, [second], NOW + 3))
        assert total(ledger_url) == 2 * HOUR


def test_a_run_that_ends_while_groups_are_asked_for_is_counted_once(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_runs = Classified.open_runs

    def and_then_it_ends(books: Classified) -> list[SortedRun]:
        found = open_runs(books)
        with open_ledger(ledger_url, "c") as daemon:
            record(daemon, [ended(1, seconds=NOW - T0)], NOW + 300, now=True)
        return found

    record(ledger, [running(1)], NOW, now=True)
    monkeypatch.setattr(Classified, "open_runs", and_then_it_ends)
    groups = asked(ledger, NOW).groups(lambda subject, _: subject.account, WEIGHTS)
    assert [(one.name, one.delivered) for one in groups] == [("umcg", NOW - T0)]


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_known_between_two_overrides_of_a_job_can_be_asked_again(ledger: Ledger, kept: bool) -> None:
    record(ledger, [ended(1)], NOW)
    ledger.accounting.override("7", {"beneficiary": "non_regional", **SAID}, at=NOW + 10)
    between = ledger.rules_of(RULES.rules, frozenset())
    before = measure(ledger, ALL, NOW, rules=between)
    if kept:
        ledger.classified(between).keep_sums(ALL, NOW + DAY, WEIGHTS)
    ledger.accounting.override("7", {"beneficiary": None, **SAID}, at=NOW + 20)
    then = NOW + 15
    again = measure(ledger, ALL, NOW, then=then, rules=ledger.rules_of(RULES.rules, frozenset(), then))
    for one in (before, again):
        assert (one.regional_charge, one.total_charge) == (0, 100)


def test_a_run_that_ended_after_what_was_read_counts_up_to_there(ledger: Ledger) -> None:
    """[T0, T0 + 600) was read at T0 + 3000, and the piece after it failed."""
    ledger.accounting.record([ended(1, seconds=3000)], T0, T0 + 600, at=T0 + 3000)
    as_of = ledger.accounting.watermark() or 0
    assert measure(ledger, ALL, as_of).total_charge == 600
    assert measure(ledger, ALL, as_of, then=T0 + 3001).total_charge == 600
    groups = asked(ledger, as_of).groups(lambda subject, _: subject.account, WEIGHTS)
    assert [(one.name, one.delivered) for one in groups] == [("umcg", 600)]


def told(*seconds: int) -> Iterator[Run]:
    return (ended(1, seconds=one) for one in seconds)


def test_of_a_run_that_one_read_tells_twice_the_last_counts(ledger: Ledger) -> None:
    for at, seconds in enumerate([(100, 200), (100, 200), (200, 100), (100,), (200,)]):
        record(ledger, told(*seconds), NOW + at)
        assert measure(ledger, ALL, NOW).total_charge == seconds[-1]
