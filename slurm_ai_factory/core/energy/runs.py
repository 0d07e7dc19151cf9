"""The energy of runs, from meters of nodes and GPUs, from Slurm's own counter, or from a model.

Per node and interval, E_run = E_GPU(its GPUs) + (E_node - sum of E_GPU) w_run / sum of w; w is the run's part
of the node's billing. A GPU that no run has, and a node without a run, are idle: that energy is of no run.

The rule: energy is neither made nor lost. What the meters of a node measured is what its runs and its idle
parts get, in any order and over any cut; arithmetic is exact (Fraction).

A figure has a word for what it rests on. A reading above what a node can draw is kept, marked and not summed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.energy.meters import Placement, Reading
from slurm_ai_factory.core.records import FOREVER, Instant, Run

NOTHING = Fraction(0)
COARSE = 10
"""A run shorter than this many samples of power is marked: the samples miss too much of it."""


class Quality(StrEnum):
    """What a figure of energy rests on, best first."""

    NODE_EXCLUSIVE = "node_exclusive"  #: a meter of the node, or Slurm's counter; the run had the node alone
    GPU_NODE = "gpu+node"  #: meters of its GPUs, and its part of the rest of the node
    APPORTIONED = "apportioned"  #: its part, by billing, of what several runs used
    GPU = "gpu"  #: meters of its GPUs alone; the rest of the node was not measured and is not in it
    MODELLED = "modelled"  #: watts per TRES that the site has stated
    NONE = "none"  #: nothing is known


MEASURED = (Quality.NODE_EXCLUSIVE, Quality.GPU_NODE, Quality.GPU)
"""The words for figures that no other run has a part in, beside the rest of a node."""


class Presence(NamedTuple):
    """A run on a node over [since, until)."""

    run: int  #: DBIndex
    node: str
    gpus: tuple[str, ...] | None  #: its GPUs there; None where it had some and it is not recorded which
    since: Instant
    until: Instant
    weight: Fraction  #: its part of the node's billing


class EnergyPart(NamedTuple):
    """What a run used of a node over [since, until), or what was idle; even over the interval."""

    run: int | None  #: None for what was idle
    since: Instant
    until: Instant
    joules: Fraction
    quality: Quality
    step: int = 0  #: the longest interval of a sample of power in it; 0 where a counter measured it
    known: Fraction = Fraction(1)  #: the part of the run on the node that it is of: less if a GPU has a gap

    def within(self, since: Instant, until: Instant) -> Fraction:
        """The joules in [since, until)."""
        length = max(0, min(until, self.until) - max(since, self.since))
        return self.joules * length / (self.until - self.since)


class NodeSpan(NamedTuple):
    """What a node used beside its GPUs, over an interval of its meter."""

    since: Instant
    until: Instant
    watts: Fraction
    gpus_apart: bool  #: whether the energy of its GPUs is known apart
    step: int


def presences(run: Run, placements: Iterable[Placement]) -> Iterator[Presence]:
    """Where a run was, by the placements of its job: a requeued job has several runs."""
    if run.start_at is None:
        return
    counts = _counts(run.alloc_tres)
    weight = Fraction(counts.get("billing", counts.get("cpu", 1))) / nodes_of(run)
    for placed in placements:
        since = max(run.start_at, placed.since)
        until = min(FOREVER if run.end_at is None else run.end_at, placed.until)
        gpus = placed.gpus if placed.gpus or not counts.get("gres/gpu") else None
        if since < until:
            yield Presence(run.db_index, placed.node, gpus, since, until, weight)


def nodes_of(run: Run) -> int:
    """How many nodes a run had; one where Slurm does not say."""
    return int(_counts(run.alloc_tres).get("node", 1))


@lru_cache(maxsize=65536)
def _counts(alloc_tres: str) -> Mapping[str, tres.Count]:
    """A million runs have few different allocations."""
    return tres.parse_tres(alloc_tres)


def plausible(
    readings: Iterable[Reading], most_watts: Fraction | None
) -> tuple[list[Reading], list[Reading]]:
    """(readings of nodes and GPUs to be summed, those above what a node can draw)."""
    usable, outliers = list[Reading](), list[Reading]()
    for reading in readings:
        above = most_watts is not None and reading.watts > most_watts
        (outliers if above else usable).append(reading)
    return usable, outliers


def split_node(
    node: Iterable[Reading], gpus: Sequence[Reading], present: Iterable[Presence]
) -> Iterator[EnergyPart]:
    """The energy of one node by run, from the readings of its own meter and of its GPUs' meters."""
    by_meter: dict[str, list[Reading]] = {}
    for gpu in sorted(gpus, key=lambda reading: (reading.meter, reading.since)):
        by_meter.setdefault(gpu.meter, []).append(gpu)
    spans = [span for reading in node for span in _beside_gpus(reading, by_meter.values())]
    runs = sorted(present, key=lambda presence: (presence.run, presence.since))
    metered = [reading for of in by_meter.values() for reading in of]
    for since, until, items in _pieces([*spans, *metered, *runs]):
        yield from _split_piece(since, until, items)


def _beside_gpus(reading: Reading, gpus: Iterable[Sequence[Reading]]) -> Iterator[NodeSpan]:
    """The node's reading less what its GPUs used in its interval.

    Where a GPU's meter has a gap in it, its energy is not known apart. Where the GPUs used more than the
    node, its meter does not cover them, and the reading is not of the whole node.
    """
    since, until = reading.since, reading.until
    used, apart = Fraction(0), True
    for meter in gpus:
        inside = overlapping(meter, since, until)
        used += sum(gpu.within(since, until) for gpu in inside)
        seconds = sum(min(until, gpu.until) - max(since, gpu.since) for gpu in inside)
        apart = apart and seconds == until - since
    rest = reading.amount - used if apart else reading.amount
    if rest >= 0:
        yield NodeSpan(since, until, rest / (until - since), apart, (until - since) * reading.sampled)


def overlapping(readings: Sequence[Reading], since: Instant, until: Instant) -> Sequence[Reading]:
    """The readings of one meter, in the order of time, that overlap an interval."""
    first = bisect_right(readings, since, key=lambda reading: reading.until)
    last = bisect_left(readings, until, key=lambda reading: reading.since)
    return readings[first:last]


Item = NodeSpan | Reading | Presence


def _pieces(items: Iterable[Item]) -> Iterator[tuple[Instant, Instant, list[Item]]]:
    """The intervals between all ends, each with what lasts through it."""
    ordered = sorted(items, key=lambda item: item.since)
    edges = sorted({edge for item in ordered for edge in (item.since, item.until)})
    lasting, begun = list[Item](), 0
    for since, until in pairwise(edges):
        lasting = [item for item in lasting if item.until > since]
        while begun < len(ordered) and ordered[begun].since <= since:
            lasting.append(ordered[begun])
            begun += 1
        if lasting:
            yield since, until, lasting


@dataclass(slots=True)
class _Used:
    """What a run used of a node in a piece, while it is added up."""

    presence: Presence
    joules: Fraction = Fraction(0)
    metered: int = 0  #: its GPUs with a meter
    shared: bool = False  #: whether one of them may have been another run's too


def _split_piece(since: Instant, until: Instant, items: Sequence[Item]) -> Iterator[EnergyPart]:
    node = next((item for item in items if isinstance(item, NodeSpan)), None)
    used = list({item.run: _Used(item) for item in items if isinstance(item, Presence)}.values())
    apart = node is None or node.gpus_apart
    gpus = [item for item in items if isinstance(item, Reading)] if apart else []
    idle = sum((_give_gpu(gpu.within(since, until), gpu, used) for gpu in gpus), start=Fraction(0))
    idle += _give(node.watts * (until - since), used) if node else 0
    steps = [(gpu.until - gpu.since) * gpu.sampled for gpu in gpus]
    step = max([node.step if node else 0, *steps])
    for of in used:
        quality = _quality(node, of, alone=len(used) == 1 and not idle)
        if quality is not Quality.NONE:
            yield EnergyPart(of.presence.run, since, until, of.joules, quality, step, _known(node, of))
    if idle:
        yield EnergyPart(None, since, until, idle, Quality.NODE_EXCLUSIVE, step)


def _give_gpu(joules: Fraction, gpu: Reading, used: Sequence[_Used]) -> Fraction:
    """Give a GPU's energy to the runs that had it, else to those of unrecorded GPUs; what is left of it."""
    names = set(gpu.meter.split("/")[1:])
    known = [of for of in used if names & set(of.presence.gpus or ())]
    holders = known or [of for of in used if of.presence.gpus is None]
    for of in holders:
        of.metered += 1
        of.shared = of.shared or len(holders) > 1 or not known
    return _give(joules, holders)


def _give(joules: Fraction, holders: Sequence[_Used]) -> Fraction:
    """Divide energy by billing, evenly where nothing is billed; all of it is left where there are none."""
    total = sum((of.presence.weight for of in holders), start=Fraction(0))
    for of in holders:
        of.joules += joules * (of.presence.weight / total if total else Fraction(1, len(holders)))
    return Fraction(0) if holders else joules


def _known(node: NodeSpan | None, of: _Used) -> Fraction:
    """The part of a run's GPUs that has a reading, where the node has none; else all is known."""
    gpus = of.presence.gpus
    return Fraction(min(of.metered, len(gpus)), len(gpus)) if node is None and gpus else Fraction(1)


def _quality(node: NodeSpan | None, of: _Used, *, alone: bool) -> Quality:
    """The word for what a run used in a piece; ``alone``: the whole node was for this run."""
    own = of.presence.gpus is not None and of.metered >= len(of.presence.gpus) and not of.shared
    if node is None:
        worst = Quality.APPORTIONED if of.shared else Quality.GPU
        return worst if of.metered else Quality.NONE
    if alone:
        return Quality.NODE_EXCLUSIVE
    return Quality.GPU_NODE if own and of.metered else Quality.APPORTIONED


class Fill(NamedTuple):
    """The power of a run per node, for the time in which no meter measured it."""

    watts: Fraction
    quality: Quality


class RunEnergy(NamedTuple):
    """The energy of a run over [since, until)."""

    joules: dict[Quality, Fraction]
    node_seconds: int  #: its time on all of its nodes
    unknown_seconds: Fraction | int  #: of these, the node-seconds of which nothing is known
    coarse: bool  #: whether it rests on samples of power that are too far apart for so short a run

    @property
    def total(self) -> Fraction:
        """Joules, as far as they are known."""
        return sum(self.joules.values(), start=Fraction(0))

    @property
    def quality(self) -> Quality:
        """The worst word of its parts."""
        present = [Quality.NONE] if self.unknown_seconds or not self.joules else list(self.joules)
        return max(present, key=list(Quality).index)


def energy_of_run(
    run: Run, parts: Iterable[EnergyPart], fill: Fill | None, since: Instant, until: Instant, as_of: Instant
) -> RunEnergy:
    """The energy of a run over [since, until): what meters measured, and ``fill`` for the rest of its time.

    ``parts`` are those of the run, of all its nodes. The intervals that make up an interval add up to it.
    """
    joules, longest = dict[Quality, Fraction](), 0
    covered: Fraction | int = 0
    start, end, _ = charge.delivered(run, as_of)
    begin, finish = max(since, start), min(until, end)
    for part in parts:
        seconds = min(finish, part.until) - max(begin, part.since)
        if seconds > 0:
            joules[part.quality] = joules.get(part.quality, NOTHING) + part.within(begin, finish)
            covered, longest = covered + seconds * part.known, max(longest, part.step)
    node_seconds = nodes_of(run) * max(0, finish - begin)
    gap = max(0, node_seconds - covered)
    if gap and fill:
        joules[fill.quality] = joules.get(fill.quality, NOTHING) + fill.watts * gap
    return RunEnergy(joules, node_seconds, 0 if fill else gap, end - start < COARSE * longest)


def counted_fill(run: Run, joules: int | None) -> Fill | None:
    """Slurm's counter of an ended run that had its nodes alone, even over its time."""
    if joules is None or run.start_at is None or run.end_at is None or run.end_at <= run.start_at:
        return None
    return Fill(Fraction(joules, nodes_of(run) * (run.end_at - run.start_at)), Quality.NODE_EXCLUSIVE)


class StatedWatts(NamedTuple):
    """The power that one of a TRES draws from ``since`` on, as the site states it."""

    tres: str
    watts: Decimal
    since: Instant
    source: str

    def __str__(self) -> str:
        return f"{self.tres} {self.watts} W ({self.source})"


def modelled_fill(run: Run, stated: Sequence[StatedWatts], at: Instant, as_of: Instant) -> Fill | None:
    """The power of a run's TRES as it is stated for an instant; None where none of them is.

    Time in which the run was suspended draws nothing; it is even over the run, as charge is.
    """
    watts = _stated_watts(run.alloc_tres, tuple(row for row in stated if row.since <= at))
    if watts is None:
        return None
    start, end, seconds = charge.delivered(run, as_of)
    even = watts if seconds == end - start else watts * Fraction(seconds, max(1, end - start))
    return Fill(even, Quality.MODELLED)


@lru_cache(maxsize=65536)
def _stated_watts(alloc_tres: str, stated: tuple[StatedWatts, ...]) -> Fraction | None:
    """The power of an allocation per node; the newest row of each TRES counts."""
    counts, newest = _counts(alloc_tres), dict[str, Fraction]()
    for row in sorted(stated, key=lambda row: row.since):
        if row.tres in counts:
            newest[row.tres] = Fraction(row.watts) * Fraction(counts[row.tres])
    nodes = int(counts.get("node", 1))
    return sum(newest.values(), start=NOTHING) / nodes if newest else None
