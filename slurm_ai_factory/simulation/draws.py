"""Other draws of a trial, and what a policy makes of one: the tasks of a sweep, which may run anywhere.

Tested in tests/simulation/test_evaluation.py.
"""

from __future__ import annotations

from dataclasses import replace

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.simulation import scenarios
from slurm_ai_factory.simulation.evaluation import PolicyResult, evaluate
from slurm_ai_factory.simulation.layout import one_pool
from slurm_ai_factory.simulation.policies import Named
from slurm_ai_factory.simulation.replay import Trial, replay

JITTER = HOUR
"""Seconds by which a seed moves each submission of a log, at most."""


def redrawn(trial: Trial, scenario: str, seed: int) -> Trial:
    """Another draw of a trial: of its scenario, or of its log (``scenario`` is empty).

    Raises KeyError for an unknown scenario.
    """
    if scenario:
        work, _ = scenarios.scenario(scenario, seed)
        needs = work.amount(trial.promise.resource.name)
        work = work.only((needs > 0) & (needs <= trial.layout.total))
        trial = replace(trial, regional=work.users_of(scenarios.REGIONAL))
    else:
        work = trial.workload.shifted(seed, JITTER)
    layout = one_pool(work, trial.promise.resource.name, round(trial.layout.total))
    return replace(trial, workload=work, layout=layout)


def judged_draw(trial: Trial, scenario: str, seed: int, policy: Named) -> PolicyResult:
    """What a policy makes of another draw, without the windows of the plot."""
    draw = redrawn(trial, scenario, seed)
    return replace(evaluate(draw, replay(draw, policy)), windows=())
