"""Health gates: named holds with what was found, and no change while there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import records
from slurm_ai_factory.core.control.controller import Policy, decide
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.live.health import AGENT_QUEUE_MOST, BACKFILL_SILENCE, Diagnostics, holds
from slurm_ai_factory.core.tres import Resource

NOW = 1_795_000_000
WELL = Diagnostics(at=NOW, agent_queue=0, backfill_last_at=NOW - 30, backfill_depth=50, backfill_queue=50)
CONFIG = records.PriorityConfig(
    cluster="c", version="22.05.8", priority_type="priority/multifactor", decay_half_life_seconds=604800,
    calc_period_seconds=300, weight_fairshare=100000, weight_age=0, flags=(),
    enforce=("associations", "limits"), tres=("cpu",),
)  # fmt: skip


@pytest.mark.parametrize(("sick", "config", "waiting", "reason", "said"), [
    (WELL, CONFIG, True, None, ""),
    (WELL._replace(agent_queue=AGENT_QUEUE_MOST), CONFIG, True, None, ""),
    (WELL._replace(agent_queue=4711), CONFIG, True, "agent_queue", "slurmctld has 4711 messages"),
    (WELL._replace(backfill_last_at=NOW - BACKFILL_SILENCE), CONFIG, True, None, ""),
    (WELL._replace(backfill_last_at=NOW - 7200), CONFIG, True, "scheduler_stalled", "last ran 7200 s ago"),
    (WELL._replace(backfill_last_at=NOW - 7200), CONFIG, False, None, ""),
    (WELL._replace(backfill_last_at=None), CONFIG, True, None, ""),
    (WELL, replace(CONFIG, enforce=("safe",)), True, None, ""),
    (WELL, replace(CONFIG, enforce=("associations", "qos")), True, "limits_not_enforced",
     "AccountingStorageEnforce is associations,qos, without limits"),
    (WELL, replace(CONFIG, enforce=()), False, "limits_not_enforced", "is none"),
    (WELL, replace(CONFIG, flags=("INCR_ONLY", "MAX_TRES")), False, "incr_only", "INCR_ONLY"),
    (WELL, replace(CONFIG, flags=("NO_FAIR_TREE",)), False, "no_fair_tree", "NO_FAIR_TREE"),
    (WELL, replace(CONFIG, weight_fairshare=0), False, "no_fairshare_weight", "is 0"),
    (WELL, replace(CONFIG, calc_period_seconds=3600), True, None, ""),
])  # fmt: skip
def test_a_hold_is_for_what_makes_a_write_useless_or_wrong(
    sick: Diagnostics, config: records.PriorityConfig, waiting: bool, reason: str | None, said: str
) -> None:
    found = holds(sick, config, ["cpu", "node"], waiting)
    assert [one.reason for one in found] == ([reason] if reason else [])
    assert not found or said in found[0].sentence


@pytest.mark.parametrize(("resource", "tracked", "lacks"), [
    (["gres/gpu"], ("cpu", "gres/gpu"), None),
    (["gres/gpu", "cpu"], ("cpu",), "gres/gpu"),
    (["cpux"], ("cpu", "gres/gpu"), "cpux"),
    (["billing", "node", "mem", "energy"], (), None),
])  # fmt: skip
def test_nothing_is_steered_on_what_slurm_keeps_no_account_of(
    resource: list[str], tracked: tuple[str, ...], lacks: str | None
) -> None:
    found = holds(WELL, replace(CONFIG, tres=tracked), resource, True)
    assert [one.reason for one in found] == (["resource_untracked"] if lacks else [])
    assert not lacks or f"lacks {lacks}, so" in found[0].sentence


def test_every_hold_is_told_and_is_a_reason_of_the_controller() -> None:
    sick = WELL._replace(agent_queue=10**6, backfill_last_at=0)
    broken = replace(CONFIG, enforce=(), flags=("INCR_ONLY",), weight_fairshare=0)
    found = holds(sick, broken, ["gres/gpu"], True)
    assert len(found) == len({one.reason for one in found}) == 6
    assert {one.reason for one in found} <= HOLDS


# --- the decision -------------------------------------------------------------------------------------

POLICY = Policy(account="regional", target_share=0.25, half_life_seconds=604800, share_min=0.6, slew=0.1)
LAST = records.ControlState(at=NOW - 300, u_ref=0.9, writes_last_day=2)
HELD = records.Hold("agent_queue", "slurmctld has 4711 messages it could not deliver")


def _level(**region: Any) -> tuple[records.Association, ...]:
    rows = {"regional": (25, 100), "national": (75, 900)}
    level = [records.Association(cluster="c", account=name, parent="root", raw_shares=shares, raw_usage=usage)
             for name, (shares, usage) in rows.items()]  # fmt: skip
    return replace(level[0], **region), level[1]


def _observed(level: tuple[records.Association, ...], *found: records.Hold) -> records.Observed:
    measurement = records.Measurement(
        cluster="c", window=records.Window("w", NOW - 10 * 3600, NOW, rolling=True), as_of=NOW,
        resource=Resource({"cpu": 1}), target_share=0.25, regional_charge=0, total_charge=36000,
        unclassified_charge=0, capacity=None, waiting_charge=0, starved_charge=None, newest_record_at=None,
        hours=tuple(records.Hour(NOW - n * 3600, 0.0, 3600.0, 0.0, 0.0) for n in range(10, 0, -1)),
    )  # fmt: skip
    return records.Observed(measurement=measurement, associations=level, holds=found)


def test_a_hold_wins_over_the_change_that_would_be_made_without_it() -> None:
    assert decide(POLICY, _observed(_level()), LAST, NOW).changes
    held = decide(POLICY, _observed(_level(), HELD, records.Hold("incr_only", "and more")), LAST, NOW)
    assert (held.changes, held.reason, held.state) == ((), "agent_queue", LAST)
    assert held.sentence == f"hold: {HELD.sentence}; and more"


@given(st.lists(st.sampled_from(sorted(HOLDS)), min_size=1), st.integers(0, 10**6), st.integers(1, 10**6))
def test_nothing_is_ever_changed_while_anything_holds(reasons: list[str], usage: int, shares: int) -> None:
    found = [records.Hold(reason, "found") for reason in reasons]
    level = _level(raw_usage=usage, raw_shares=shares)
    for last in (None, LAST):
        decision = decide(POLICY, _observed(level, *found), last, NOW)
        assert (decision.changes, decision.reason, decision.state) == ((), reasons[0], last)


def test_an_account_that_is_not_there_is_told_before_anything_else() -> None:
    assert decide(POLICY, _observed((), HELD), None, NOW).reason == "no_account"
