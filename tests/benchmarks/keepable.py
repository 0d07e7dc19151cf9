"""Whether any schedule could have kept all promises in a window: a linear program, so a bound.

It knows every submission of the window in advance, divides jobs at will, and starts from the past as the
policy left it. It delivers as much as the policy did, for a cap idles no node. What it cannot keep no
scheduler could; what it can keep may still ask for knowing the future.

Tested in tests/simulation/test_keepable.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, combinations, pairwise
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from slurm_ai_factory.core.records import DAY, HOUR, Bound, Window
from slurm_ai_factory.simulation.arrays import FIRST_GROUP, Floats
from slurm_ai_factory.simulation.replay import Replayed, Trial

STEP = 5 * DAY
"""The program has one variable for each group of accounts and so many seconds."""
FEASIBLE, INFEASIBLE = 0, 2
"""Statuses of linprog."""


class Asked(NamedTuple):
    """What a window delivered, and what was there to deliver; a group's accounts have the same promises."""

    wanted: Sequence[Floats]  #: of each step: [hour, group], running and waiting
    delivered: Sequence[Floats]  #: of each step: [hour]
    work: Floats  #: [step, group]: all that could have begun until the end of the step


class Rule(NamedTuple):
    """A promise."""

    members: Floats  #: 1 for each group that counts for it
    bound: Bound
    share: float


def keepable(asked: Asked, rules: Iterable[Rule]) -> bool:
    """Whether the rules can hold together in the window. Raises ValueError if that was not found out."""
    total = sum(float(hours.sum()) for hours in asked.delivered)
    steps, groups = asked.work.shape
    sets = np.array(list(_sets(groups)))
    most = [
        np.minimum(wanted @ sets.T, hours[:, None]).sum(axis=0)
        for wanted, hours in zip(asked.wanted, asked.delivered, strict=True)
    ]
    signs = [(1 if bound is Bound.CAP else -1, members, share) for members, bound, share in rules]
    found = linprog(
        np.zeros(steps * groups),
        A_ub=np.vstack([
            np.kron(np.eye(steps), sets),
            np.kron(np.tril(np.ones((steps, steps))), np.eye(groups)),
            *(np.tile(sign * members, steps) for sign, members, _ in signs),
        ]),
        b_ub=np.concatenate([*most, *asked.work, [sign * share * total for sign, _, share in signs]]) / total,
        A_eq=np.kron(np.eye(steps), np.ones(groups)),
        b_eq=[float(hours.sum()) / total for hours in asked.delivered],
    )  # fmt: skip
    if found.status not in (FEASIBLE, INFEASIBLE):
        raise ValueError(found.message)
    return bool(found.status == FEASIBLE)


def _sets(groups: int) -> Iterable[list[float]]:
    """Each set of groups but the empty one, as a row of 0 and 1."""
    places = range(groups)
    for chosen in chain.from_iterable(combinations(places, size + 1) for size in places):
        yield [float(place in chosen) for place in places]


def asked_in(replayed: Replayed, window: Window) -> Asked:
    """What a window of a replay delivered, and what was there to deliver."""
    cluster = replayed.cluster
    since, until = window.since - cluster.began, window.until - cluster.began
    edges = [*range(since, until, STEP), until]
    hours = [cluster.hours[a // HOUR : b // HOUR, FIRST_GROUP:] for a, b in pairwise(edges)]
    jobs, start, end = cluster.jobs
    here, running = jobs.submit < until, (start >= 0) & (start < since)
    # Over before the window, or refused before it because too many of the group waited.
    over = (jobs.submit < since) & ((start == -2) | (running & (end <= since)))
    begins = np.maximum(jobs.submit, since)
    left = np.where(running, end - since, jobs.runtime)
    charge = jobs.weight * np.clip(np.minimum(left, until - begins), 0, None) * (here & ~over)
    groups = hours[0].shape[1] // 2
    work = [
        np.bincount(jobs.group, charge * (begins < edge), minlength=groups)[:groups] for edge in edges[1:]
    ]
    return Asked(
        wanted=[part[:, ::2] + part[:, 1::2] for part in hours],
        delivered=[part[:, ::2].sum(axis=1) for part in hours],
        work=np.array(work),
    )


def rules_of(trial: Trial) -> list[Rule]:
    """The promises of a trial; each is a share of all that is delivered."""
    if trial.commitments is None:
        return []
    groups = trial.commitments.groups(trial.workload.users)
    return [
        Rule(
            np.array([float(promise.name in names) for names in groups]), promise.bound, promise.target_share
        )
        for promise in trial.commitments.promises
    ]
