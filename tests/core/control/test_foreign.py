"""What is done about a value that another user set: the answers, and two writers of one row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.control.foreign import (
    REASSERTIONS_MOST,
    Changer,
    ForeignAnswer,
    ForeignChange,
    counted_from,
    react,
)
from slurm_ai_factory.core.control.level import SteeredLevel, find_level
from slurm_ai_factory.core.control.several import Steering, decide_all
from slurm_ai_factory.core.control.switch import decide_switch
from slurm_ai_factory.core.records import HOUR, ControlState, Decision, LeverKind, Observed
from tests.core.control.test_controller import DAY, NOW, _account, _measurement
from tests.core.control.test_switch import FOUND, RAISED, SWITCH, seen
from tests.core.control.test_switch import POLICY as SWITCHED

POLICY = Policy(account="regional", target_share=0.25, half_life_seconds=7 * DAY)
BY_EVE = ForeignChange(
    LeverKind.ACCOUNT, "regional", 40, NOW - DAY, 30, NOW - HOUR, Changer("eve", NOW - 2 * HOUR)
)
YIELD, REASSERT, ADOPT = ForeignAnswer


@pytest.mark.parametrize(
    ("answer", "change", "written", "back", "words"),
    [
        (ADOPT, BY_EVE, 0, None, None),
        (YIELD, BY_EVE, 0, None, "RawShares of regional from 40 to 30 (by eve at "),
        (YIELD, BY_EVE, 0, None, "or run `saf resume`"),
        (REASSERT, BY_EVE, 0, 40, None),
        (REASSERT, BY_EVE, REASSERTIONS_MOST - 1, 40, None),
        (REASSERT, BY_EVE, REASSERTIONS_MOST, None, "wrote its own value back 3 times within a day"),
        (REASSERT, BY_EVE._replace(seen_at=NOW), 0, None, "the next cycle writes saf's own value back"),
        (REASSERT, BY_EVE._replace(seen_at=None), 0, None, "the next cycle"),
        (YIELD, BY_EVE._replace(changer=Changer(unknown="denied")), 0, None, "whom is not recorded: denied"),
    ],
)  # fmt: skip
def test_each_answer(
    answer: ForeignAnswer, change: ForeignChange, written: int, back: int | None, words: str | None
) -> None:
    reaction = react(answer, [change], written, NOW)
    assert reaction.back_to == ({} if back is None else {"regional": back})
    assert [hold.reason for hold in reaction.holds] == ([] if words is None else ["foreign_change"])
    assert all(words in hold.sentence for hold in reaction.holds if words)
    assert react(answer, [], written, NOW) == react(ADOPT, [change], written, NOW)


def observed(shares: int) -> Observed:
    measurement = _measurement([0.25 * HOUR] * 240, [float(HOUR)] * 240, left=30 * DAY)
    rows = (_account("regional", "root", shares, 250), _account("national", "root", 75, 750))
    return Observed(measurement=measurement, associations=rows)


def decided(shares: int, back_to: int | None, policy: Policy = POLICY) -> Decision:
    what = replace(observed(shares), back_to={} if back_to is None else {"regional": back_to})
    last = ControlState(at=NOW, u_ref=0.26)
    return decide_all([Steering(policy, what, last)], [], NOW)[0]


def level_of(shares: int) -> SteeredLevel:
    level = find_level(["regional"], observed(shares).associations)
    assert isinstance(level, SteeredLevel)
    return level


def test_a_small_change_is_written_back_where_the_law_alone_would_wait() -> None:
    """Within the band, both values give the same order."""
    assert decided(28, None).reason == "same_order"
    decision = decided(28, 30)
    assert (decision.reason, decision.changes[0].raw_shares_after) == ("reassert", 30)
    assert "saf writes its own value back" in decision.sentence
    assert decided(28, 30, replace(POLICY, writes_per_day=0)).reason == "write_budget"


@given(theirs=st.integers(1, 5000), ours=st.integers(1, 5000), slew=st.floats(0.01, 0.5))
def test_a_value_is_written_back_within_the_bounds_and_the_slew(theirs: int, ours: int, slew: float) -> None:
    policy = replace(POLICY, slew=slew, share_min=0.1, share_max=0.6)
    decision = decided(theirs, ours, policy)
    before = level_of(theirs).share((theirs,))
    for change in decision.changes:
        after = level_of(theirs).share((change.raw_shares_after,))
        assert abs(after - before) <= slew + 0.01, "to within one RawShare"
        assert min(0.1, before) - 0.01 <= after <= max(0.6, before) + 0.01
        assert (after > before) == (min(0.6, max(0.1, level_of(theirs).share((ours,)))) > before)


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [(RAISED, 7, "reassert"), (FOUND, RAISED, "reassert"), (55, 7, "switch_off")],
)
def test_a_switch_is_set_back_to_one_of_its_two_values(ours: int, theirs: int, reason: str) -> None:
    what = replace(seen(0.255, theirs), back_to={"regional": ours})
    last = ControlState(at=NOW, u_ref=0.26, baseline={"regional": FOUND})
    decision = decide_switch(SWITCHED, SWITCH, what, last, NOW)
    assert (decision.reason, decision.changes[0].raw_shares_after) == (
        reason, ours if reason == "reassert" else FOUND,
    )  # fmt: skip


@given(
    st.sampled_from([YIELD, REASSERT]),
    st.lists(st.tuples(st.integers(60, 6 * HOUR), st.integers(1, 2000)), min_size=20, max_size=120),
)
def test_two_writers_do_not_undo_each_other_without_end(
    answer: ForeignAnswer, beats: list[tuple[int, int]]
) -> None:
    """Another user sets some value before each cycle, as the ledger would remember it."""
    now, ours, writes, change = NOW, 40, list[int](), None
    for seconds, theirs in beats:
        now += seconds
        if theirs == ours:
            change = None
            continue
        if change is None or change.theirs != theirs:
            change = ForeignChange(LeverKind.ACCOUNT, "regional", ours, now, theirs, now)
        since = counted_from([change], now)
        reaction = react(answer, [change], sum(at > since for at in writes), now)
        assert bool(reaction.holds) != bool(reaction.back_to), "it is held, or written back"
        if reaction.back_to:
            writes.append(now)
            change = None
        assert sum(at > now - DAY for at in writes) <= (REASSERTIONS_MOST if answer is REASSERT else 0)
