"""An answer is of one moment of the ledger, whatever other processes record meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from slurm_ai_factory import question
from slurm_ai_factory.config import parse_config
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import DAY, HOUR, Instant, Run, Window
from slurm_ai_factory.ledger import Classified, Ledger, open_ledger
from slurm_ai_factory.question import Question
from tests.ledger.test_accounting import ALL, NOW, RULES, T0, WEIGHTS, ended, measure, record, running

CONFIG = parse_config('[cluster]\nname = "c"\n', "saf.toml")
SAID = {"organisation": "", "actor": "a", "reason": "r"}


def asked(ledger: Ledger, read_until: Instant) -> Question:
    """About everything, by RULES."""
    return Question(
        config=CONFIG, ledger=ledger, window=ALL, rules=RULES, terms=question.terms_of(CONFIG, ledger),
        read_until=read_until, moment=read_until,
    )  # fmt: skip


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
    groups = asked(ledger, NOW).groups(lambda subject, _: (subject.account,), WEIGHTS)
    assert [(one.name, one.delivered) for one in groups] == [("umcg", NOW - T0)]


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_known_between_two_overrides_of_a_job_can_be_asked_again(ledger: Ledger, kept: bool) -> None:
    record(ledger, [ended(1)], NOW)
    ledger.intake.override("7", {"beneficiary": "non_regional", **SAID}, at=NOW + 10)
    between = ledger.rules_of(RULES.rules, frozenset())
    before = measure(ledger, ALL, NOW, rules=between)
    if kept:
        ledger.classified(between).keep_sums(ALL, NOW + DAY, WEIGHTS)
    ledger.intake.override("7", {"beneficiary": None, **SAID}, at=NOW + 20)
    then = NOW + 15
    again = measure(ledger, ALL, NOW, then=then, rules=ledger.rules_of(RULES.rules, frozenset(), then))
    for one in (before, again):
        assert (one.regional_charge, one.total_charge) == (0, 100)


def test_a_run_that_ended_after_what_was_read_counts_up_to_there(ledger: Ledger) -> None:
    """[T0, T0 + 600) was read at T0 + 3000, and the piece after it failed."""
    ledger.intake.record([ended(1, seconds=3000)], T0, T0 + 600, at=T0 + 3000)
    as_of = ledger.accounting.watermark() or 0
    assert measure(ledger, ALL, as_of).total_charge == 600
    assert measure(ledger, ALL, as_of, then=T0 + 3001).total_charge == 600
    groups = asked(ledger, as_of).groups(lambda subject, _: (subject.account,), WEIGHTS)
    assert [(one.name, one.delivered) for one in groups] == [("umcg", 600)]


def told(*seconds: int) -> Iterator[Run]:
    return (ended(1, seconds=one) for one in seconds)


def test_of_a_run_that_one_read_tells_twice_the_last_counts(ledger: Ledger) -> None:
    for at, seconds in enumerate([(100, 200), (100, 200), (200, 100), (100,), (200,)]):
        record(ledger, told(*seconds), NOW + at)
        assert measure(ledger, ALL, NOW).total_charge == seconds[-1]


def test_usage_remembers_the_hours_before_a_young_window_if_all_of_them_were_read(ledger: Ledger) -> None:
    """The window is two hours old, and usage goes back four half-lives of an hour each."""
    record(ledger, [ended(1, seconds=3 * HOUR)], NOW, now=True)
    window = Window("young", T0 + 2 * HOUR, T0 + DAY)
    config = parse_config('[cluster]\nname = "c"\n[promise]\nresource = "cpu"\n', "saf.toml")
    young = replace(asked(ledger, T0 + 4 * HOUR), window=window, config=config)
    hours = young.remembered(HOUR)
    assert [(hour.at, hour.total) for hour in hours] == [(T0, HOUR), (T0 + HOUR, HOUR)]
    assert young.remembered(HOUR // 2) == ()
    assert young.remembered(2 * HOUR) == ()  # nothing before T0 was ever read
