"""The judge of the faults finds what was lost, doubled and written without a record."""

from __future__ import annotations

import pytest

from tests.faults import chaos, judge, model_campaign
from tests.faults.chaos import Found

RUN = judge.Run("12", "COMPLETED", "100", "160", 60, frozenset({"cpu=1"}))
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
def test_lost(told: dict[int, judge.Run], kept: dict[int, judge.Run], expected: list[int]) -> None:
    assert judge.lost(told, kept) == expected


@pytest.mark.parametrize(
    ("kept", "told", "known", "expected"),
    [
        pytest.param({1: RUN}, {1: RUN}, {1}, [], id="the same"),
        pytest.param({1: RUN}, {}, set(), [1], id="unknown to sacct"),
        pytest.param({1: RUN}, {}, {1}, [], id="not over in an older answer"),
        pytest.param({1: LONGER}, {1: RUN}, {1}, [1], id="charged for longer"),
    ],
)
def test_doubled(
    kept: dict[int, judge.Run], told: dict[int, judge.Run], known: set[int], expected: list[int]
) -> None:
    assert judge.doubled(kept, told, known) == expected


def test_each_write_needs_a_record_of_its_own() -> None:
    assert judge.unrecorded(["40", "40", "47"], ["40", "47", "50"]) == ["40"]
    assert judge.unrecorded(["40"], ["40", "40"]) == []


def test_the_table_adds_up_the_times_of_a_fault() -> None:
    results = [
        judge.Result("a", lost=1, back=2.0, told=judge.Told(1.5, "no cycle"), writes=0, broken=("1 lost",)),
        judge.Result("a", back=3.0, told=judge.Told(2.5, "no cycle"), writes=1),
        judge.Result("b"),
    ]
    assert list(judge.lines(results)) == [
        ("a", "2", "1", "0", "2.0-3.0", "1.5-2.5", "no cycle", "1", "1 of 2"),
        ("b", "1", "0", "0", "-", "-", "-", "allowed", "yes"),
    ]
    facts = dict.fromkeys(("period", "timeout", "ledger", "every", "settle"), 1)
    assert judge.page(results, **facts).endswith("1 of 3 did not hold:\n\n- a: 1 lost\n")
    assert judge.page(results[2:], **facts).endswith("0 of 1 did not hold.\n")


def share(raw_shares: int) -> float:
    return raw_shares / (raw_shares + 75)


OPERATOR, SAF = False, True


@pytest.mark.parametrize(
    ("made", "changes", "beyond", "writers"),
    [
        pytest.param([(0, OPERATOR, 25), (9, SAF, 40)], [(25, 40)], 0, 0, id="one step"),
        pytest.param([(0, OPERATOR, 25), (9, SAF, 60)], [(25, 60)], 1, 0, id="a step too far"),
        pytest.param([(0, OPERATOR, 700), (9, SAF, 690)], [(700, 690)], 1, 0, id="above the most"),
        pytest.param(
            [(0, SAF, 30), (9, SAF, 35), (9, SAF, 36)], [(30, 35), (30, 36)], 0, 1, id="two writers"
        ),
        pytest.param([(0, SAF, 30), (9, SAF, 35), (9, SAF, 40)], [(30, 35), (35, 40)], 0, 0, id="in turn"),
        pytest.param([(0, SAF, 30), (9, SAF, 35), (19, SAF, 35)], [(30, 35)], 0, 1, id="a change twice"),
        pytest.param([(0, SAF, 60), (9, OPERATOR, 20), (10, SAF, 65)], [(60, 65)], 0, 0, id="a race, lost"),
        pytest.param([(0, SAF, 60), (1, OPERATOR, 20), (9, SAF, 65)], [(60, 65)], 1, 1, id="old shares"),
        pytest.param([(0, OPERATOR, 60), (1, OPERATOR, 20)], [], 0, 0, id="an operator may"),
    ],
)
def test_writes_are_judged_by_what_was_there(
    made: list[tuple[int, bool, int]], changes: list[tuple[int, int]], beyond: int, writers: int
) -> None:
    log = [judge.Written(*one) for one in made]
    assert judge.outside(log, share, slew=0.1, most=0.9) == beyond
    assert judge.interleaved(log, changes) == writers


def test_a_campaign_that_is_resumed_does_each_fault_once() -> None:
    whole = list(chaos.left(7, 80, []))
    assert {one.when for one in whole} == set(chaos.STEPS)
    assert {(one.what, one.how) for one in whole} == {
        (what, how) for what, hows in chaos.HOWS.items() for how in hows
    }
    for number in (0, 1, 40, 80):
        assert [*whole[:number], *chaos.left(7, 80, whole[:number])] == whole
    assert set(model_campaign.STRIKES) == set(chaos.MODEL.kinds)
    kinds = chaos.MODEL.kinds
    assert {(one.what, one.how) for one in chaos.left(7, len(kinds), [], chaos.MODEL)} == set(kinds)


def test_the_page_of_chaos_names_what_did_not_hold() -> None:
    one, other = chaos.left(7, 2, [])
    found = [Found(one, cycles=1), Found(other, lost=2, cycles=4, broken="a change stays planned")]
    text = chaos.page(found, "", period=2, timeout=5, seed=7)
    assert f"| {other.what} | {other.how} | 1 | 2 | 0 | 0 | 0 | 0 | 4 | 0 |" in text
    assert "1 of 2 faults held" in text
    assert "s: a change stays planned" in text
    model = [Found(fault, cycles=1) for fault in chaos.left(7, 3, [], chaos.MODEL)]
    both = chaos.model_page(model, text, period=1, timeout=2, seed=7)
    assert both.startswith(text.rstrip())
    assert "3 of 3 faults held" in both
    assert chaos.page(found, both, period=2, timeout=5, seed=7) == both
    assert not Found(one).held, "no cycle was complete again"
    assert not Found(one, cycles=chaos.MOST_CYCLES + 1).held
