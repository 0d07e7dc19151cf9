"""What was told before goes to the ledger again only where the ledger may have it otherwise."""

from __future__ import annotations

import pytest

from slurm_ai_factory.core.records import Rejected, Run
from slurm_ai_factory.ledger import told
from slurm_ai_factory.ledger.told import Listed, Memory
from tests.ledger.test_accounting import T0, ended, running


def read(
    memory: Memory, read_id: int, runs: list[Run | Rejected], after: int | None, *, whole: bool = True
) -> list[int]:
    """A read after another one, and which runs of it went to the ledger."""
    listed = Listed()
    memory.follow(after)
    news = [row[0] for row in listed.news(runs, memory.digests)]
    memory.keep(read_id, listed, [] if whole else None)
    return news


@pytest.mark.parametrize(
    ("first", "then", "news"),
    [
        (ended(1), ended(1), []),
        (ended(1), ended(1)._replace(end_at=T0 + 5), [1]),
        (ended(1), ended(1)._replace(subject=ended(1).subject._replace(account="other")), [1]),
        (ended(1), ended(2), [2]),
        (running(1), running(1)._replace(elapsed_seconds=70), []),
        (running(1), ended(1), [1]),
        (
            running(1)._replace(state="SUSPENDED", elapsed_seconds=60),
            running(1)._replace(state="SUSPENDED", elapsed_seconds=70),
            [1],
        ),
    ],
)
def test_only_what_is_told_otherwise_is_news(first: Run, then: Run, news: list[int]) -> None:
    memory = Memory()
    assert read(memory, 1, [first], None) == [first.db_index]
    assert read(memory, 2, [then], 1) == news


def test_a_run_of_an_earlier_read_is_still_known() -> None:
    memory = Memory()
    read(memory, 1, [ended(1), ended(2)], None)
    read(memory, 2, [ended(2)], 1)
    assert read(memory, 3, [ended(1), ended(2)], 2) == []


def test_where_another_process_has_read_in_between_everything_is_news() -> None:
    memory = Memory()
    read(memory, 1, [ended(1), running(2)], None)
    assert memory.open == {2}
    assert read(memory, 3, [ended(1), running(2)], 2) == [1, 2]


def test_a_run_that_was_marked_missing_is_news_when_it_is_back() -> None:
    memory, nothing = Memory(), Listed()
    read(memory, 1, [running(1)], None)
    memory.follow(1)
    memory.keep(2, nothing, gone=[1])
    assert read(memory, 3, [running(1)], 2) == [1]


def test_what_is_open_is_known_only_after_a_read_that_listed_it() -> None:
    memory = Memory()
    read(memory, 1, [running(1), ended(2), Rejected("x", "no run")], None)
    assert memory.open == {1}
    read(memory, 2, [ended(2)], 1, whole=False)
    assert memory.open is None


def test_those_told_last_are_remembered_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "LIMIT", 4)
    memory = Memory()
    for number in range(1, 20):
        read(memory, number, [running(100), ended(number)], number - 1 or None)
        assert len(memory.digests) <= 4 + 2
        assert {100, number, max(1, number - 2)} <= memory.digests.keys()
