"""The judge of the faults finds what was lost, doubled and written without a record."""

from __future__ import annotations

import pytest

from tests.faults.judge import Result, Run, Told, doubled, lines, lost, page, unrecorded

RUN = Run("12", "COMPLETED", "100", "160", 60, frozenset({"cpu=1"}))
LONGER = RUN._replace(end="170", elapsed=70)


@pytest.mark.parametrize(
    ("told", "kept", "expected"),
    [
        pytest.param({1: RUN}, {1: RUN}, [], id="the same"),
        pytest.param({1: RUN}, {}, [1], id="not kept"),
        pytest.param({1: RUN}, {1: LONGER}, [1], id="kept otherwise"),
        pytest.param({}, {1: RUN}, [], id="over since"),
    ],
)
def test_lost(told: dict[int, Run], kept: dict[int, Run], expected: list[int]) -> None:
    assert lost(told, kept) == expected


@pytest.mark.parametrize(
    ("kept", "told", "known", "expected"),
    [
        pytest.param({1: RUN}, {1: RUN}, {1}, [], id="the same"),
        pytest.param({1: RUN}, {}, set(), [1], id="unknown to sacct"),
        pytest.param({1: RUN}, {}, {1}, [], id="not over in an older answer"),
        pytest.param({1: LONGER}, {1: RUN}, {1}, [1], id="charged for longer"),
    ],
)
def test_doubled(kept: dict[int, Run], told: dict[int, Run], known: set[int], expected: list[int]) -> None:
    assert doubled(kept, told, known) == expected


def test_each_write_needs_a_record_of_its_own() -> None:
    assert unrecorded(["40", "40", "47"], ["40", "47", "50"]) == ["40"]
    assert unrecorded(["40"], ["40", "40"]) == []


def test_the_table_adds_up_the_times_of_a_fault() -> None:
    results = [
        Result("a", lost=1, back=2.0, told=Told(1.5, "no cycle"), writes=0, broken=("1 lost",)),
        Result("a", back=3.0, told=Told(2.5, "no cycle"), writes=1),
        Result("b"),
    ]
    assert list(lines(results)) == [
        ("a", "2", "1", "0", "2.0-3.0", "1.5-2.5", "no cycle", "1", "1 of 2"),
        ("b", "1", "0", "0", "-", "-", "-", "allowed", "yes"),
    ]
    facts = dict.fromkeys(("period", "timeout", "ledger", "every", "settle"), 1)
    assert page(results, **facts).endswith("1 of 3 did not hold:\n\n- a: 1 lost\n")
    assert page(results[2:], **facts).endswith("0 of 1 did not hold.\n")
