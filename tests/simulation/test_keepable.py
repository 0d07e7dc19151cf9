"""Whether any schedule could have kept the promises of a window: small windows, and a whole replay."""

from __future__ import annotations

import numpy as np
import pytest

from slurm_ai_factory.core.records import DAY, HOUR, Bound
from slurm_ai_factory.simulation.policies import Named
from slurm_ai_factory.simulation.replay import replay
from slurm_ai_factory.simulation.verdicts import whole_windows
from tests.benchmarks.keepable import Asked, Rule, asked_in, keepable, rules_of
from tests.simulation.built import job, workload
from tests.simulation.test_commitments import ALL_FOUR, trial

FLOOR = Rule(np.array([1.0, 0.0]), Bound.FLOOR, 0.5)
CAP = Rule(np.array([1.0, 0.0]), Bound.CAP, 0.5)
ALWAYS = [[100.0, 100.0]] * 2
"""Of two groups in each of two hours: as much as the machine has."""


def asked(wanted: list[list[list[float]]], work: list[list[float]]) -> Asked:
    """Steps of hours on a machine of 100 that is always full."""
    steps = [np.array(step) for step in wanted]
    return Asked(steps, [np.full(len(step), 100.0) for step in steps], np.array(work))


@pytest.mark.parametrize(
    ("wanted", "work", "rule", "kept"),
    [
        pytest.param([ALWAYS], [[200.0, 200.0]], FLOOR, True, id="everybody asks"),
        pytest.param([ALWAYS], [[99.0, 200.0]], FLOOR, False, id="too little work"),
        pytest.param([[[40.0, 100.0]] * 2], [[200.0, 200.0]], FLOOR, False, id="too few jobs at a time"),
        pytest.param([[[0.0, 100.0], [100.0, 100.0]]], [[100.0, 200.0]], FLOOR, True, id="away for half"),
        pytest.param([ALWAYS, ALWAYS], [[0.0, 200.0], [150.0, 400.0]], FLOOR, False, id="its work came late"),
        pytest.param([ALWAYS], [[200.0, 200.0]], CAP, True, id="others take what a cap leaves"),
        pytest.param([[[100.0, 20.0]] * 2], [[200.0, 200.0]], CAP, False, id="others leave nodes idle"),
    ],
)
def test_one_promise(
    wanted: list[list[list[float]]], work: list[list[float]], rule: Rule, kept: bool
) -> None:
    assert keepable(asked(wanted, work), [rule]) is kept


def test_promises_that_can_be_kept_one_by_one_may_not_fit_together() -> None:
    window = asked([ALWAYS], [[200.0, 200.0]])
    other = Rule(np.array([0.0, 1.0]), Bound.FLOOR, 0.6)
    assert keepable(window, [FLOOR])
    assert keepable(window, [other])
    assert not keepable(window, [FLOOR, other])


def test_what_a_policy_delivered_is_a_schedule() -> None:
    """So a window is keepable with the very shares that it had, and with no more of a group that had all."""
    accounts = ("e", "r", "ri", "i", "n")
    work = workload([
        job(account, hour * HOUR, 3 * HOUR + 600 * place)
        for hour in range(0, 15 * 24, 2) for place, account in enumerate(accounts)
    ])  # fmt: skip
    tried = trial(work, ALL_FOUR, 6, "rolling:10d", 6 * HOUR)
    lived = replay(tried, Named("static", "static", 0.5))
    window = next(whole_windows(tried, lived.cluster.began, lived.cluster.now))
    found = asked_in(lived, window)
    total = sum(float(hours.sum()) for hours in found.delivered)
    assert total == pytest.approx(6 * 10 * DAY, rel=0.05)
    for rule in rules_of(tried):
        charge = float(rule.members @ found.work[-1])
        assert keepable(found, [rule._replace(bound=Bound.FLOOR, share=0.0)])
        assert not keepable(found, [rule._replace(bound=Bound.FLOOR, share=charge / total + 0.01)])
