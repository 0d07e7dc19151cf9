"""The authority index: whether fairshare decides who goes first, or something else does.

Slurm orders waiting jobs by a sum of weighted terms, and RawShares move only one of them. Where age, QOS,
partition or size put the sides further apart than fairshare does, no share can change their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum
from typing import NamedTuple

LEAST = 0.7
"""Below this the order is decided by something else too often for a share to be felt."""


class PriorityTerms(NamedTuple):
    """An entry of the scheduler's queue with its weighted terms (sprio): one for each partition of a job."""

    job_id: int
    partition: str
    fairshare: float  #: PriorityWeightFairshare x the fairshare factor
    others: float  #: the sum of all other terms, less nice


def index(entries: Iterable[PriorityTerms], regional: Mapping[int, bool]) -> float | None:
    """A = F / (F + O) of the entries; ``regional`` says which jobs are regional, and others do not count.

    F is the distance between the sides' mean fairshare terms, O that between the means of all their other
    terms. None when a side has nothing in the queue, or when no term differs between the sides.

    >>> entries = [PriorityTerms(1, "p", 6000.0, 100.0), PriorityTerms(2, "p", 2000.0, 1100.0)]
    >>> index(entries, {1: True, 2: False}), index(entries, {1: True})
    (0.8, None)
    """
    sides: dict[bool, list[PriorityTerms]] = {True: [], False: []}
    for term in entries:
        if term.job_id in regional:
            sides[regional[term.job_id]].append(term)
    if not all(sides.values()):
        return None
    fairshare = _distance([[term.fairshare for term in side] for side in sides.values()])
    others = _distance([[term.others for term in side] for side in sides.values()])
    return fairshare / (fairshare + others) if fairshare + others else None


def _distance(sides: list[list[float]]) -> float:
    first, second = (fsum(values) / len(values) for values in sides)
    return abs(first - second)
