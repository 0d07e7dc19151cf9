"""How long runs waited, the region's beside all others', by the size of the run. Pure.

Rule: a run counts in the window in which it started, from the moment it could start (eligible) to its start.
A run of a joint project counts on each side by its fraction. A figure of few organisations is left out.
Tested in tests/core/measure/test_waits.py and, a second time, in tests/second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.records import Charge, Interval
from slurm_ai_factory.core.rules.classify import Beneficiary

ALL_SIZES = "all"
SIZES = (("one_node", 1), ("few_nodes", 4), ("many_nodes", None))
"""Sizes of runs, and the most nodes that each has; None for any number."""

MEDIAN, NINETIETH = Fraction(1, 2), Fraction(9, 10)


class Wait(NamedTuple):
    """How long one run waited, as far as it is of one side."""

    size: str
    regional: bool
    whose: str  #: the organisation, or the account where no organisation is known
    seconds: int
    weight: Charge  #: the fraction of the run that is of this side


class WaitQuantiles(NamedTuple):
    """The waiting time of one side, in seconds."""

    median: int
    ninetieth: int  #: nine of ten runs waited no longer


class WaitingTime(NamedTuple):
    """Waiting time by side; None where too few organisations had such runs."""

    size: str  #: of the runs; ALL_SIZES for all of them
    regional: WaitQuantiles | None
    others: WaitQuantiles | None


def waits_of(runs: Iterable[SortedRun], interval: Interval) -> Iterator[Wait]:
    """How long the runs waited that started in an interval."""
    for run, parts in runs:
        start, eligible = run.start_at, run.eligible_at
        if start is None or eligible is None or not interval[0] <= start < interval[1]:
            continue
        nodes = tres.parse_tres(run.alloc_tres).get("node", 1)
        size = next(name for name, most in SIZES if most is None or nodes <= most)
        for since, until, fraction, answer in parts:
            if since <= start < until:
                regional = answer.beneficiary is Beneficiary.REGIONAL
                whose = answer.organisation or f"account {run.subject.account}"
                yield Wait(size, regional, whose, max(0, start - eligible), fraction)


def waiting_times(waits: Iterable[Wait], smallest: int) -> list[WaitingTime]:
    """Waiting time of all runs and of each size, without figures of fewer organisations than ``smallest``."""
    groups: dict[tuple[str, bool], list[Wait]] = defaultdict(list)
    for wait in waits:
        groups[ALL_SIZES, wait.regional].append(wait)
        groups[wait.size, wait.regional].append(wait)

    def quantiles(size: str, regional: bool) -> WaitQuantiles | None:
        group = groups[size, regional]
        if len({wait.whose for wait in group}) < max(1, smallest):
            return None
        ordered = sorted((wait.seconds, wait.weight) for wait in group)
        return WaitQuantiles(wait_quantile(ordered, MEDIAN), wait_quantile(ordered, NINETIETH))

    names = (ALL_SIZES, *(name for name, _ in SIZES))
    return [WaitingTime(name, quantiles(name, True), quantiles(name, False)) for name in names]


def wait_quantile(ordered: Sequence[tuple[int, Charge]], part: Fraction) -> int:
    """The shortest time that at least this part of the runs, by weight, did not exceed.

    >>> wait_quantile([(0, 1), (60, 1), (600, 2)], MEDIAN), wait_quantile([(0, 1), (60, 9)], Fraction(1, 10))
    (60, 0)
    """
    weights = list(accumulate(Decimal(weight) for _, weight in ordered))
    wanted = weights[-1] * part.numerator
    return next(
        seconds
        for (seconds, _), reached in zip(ordered, weights, strict=True)
        if reached * part.denominator >= wanted
    )
