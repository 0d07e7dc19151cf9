"""Generated values of the core (every instant lies in [0, NOW]), and a made measurement."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from slurm_ai_factory.core import records
from slurm_ai_factory.core.measure.share import SortedRun
from slurm_ai_factory.core.rules import classify
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.simulation import fair_tree
from slurm_ai_factory.simulation.fair_tree import FairTreeNode

NOW = 20 * 24 * records.HOUR + 1234
"""When the generated runs were last told of: not on a whole hour."""

RUN = records.Run(
    db_index=1, job_id=7, job_label="7",
    subject=records.Subject("c", "umcg", "jan", "main", "normal", "", ""), state="RUNNING", submit_at=0,
    eligible_at=0, start_at=0, end_at=None, elapsed_seconds=0, suspended_seconds=0,
    req_tres="cpu=4,node=1", alloc_tres="cpu=4,node=1",
)  # fmt: skip
"""A run of 4 CPUs that began at 0 and still runs; tests say what is different."""

REGIONAL = classify.Classification(beneficiary=classify.Beneficiary.REGIONAL, rule="region")
OTHERS = classify.Classification(beneficiary=classify.Beneficiary.NON_REGIONAL, rule="others")
CLASSIFICATIONS = (REGIONAL, OTHERS, classify.UNCLASSIFIED)

TRES_NAMES = (
    "billing", "bb/datawarp", "cpu", "fs/lustre", "gres/gpu", "gres/gpu:a100", "gres/gpu:v100",
    "ic/ofed", "license/abaqus", "mem", "node", "vmem",
)  # fmt: skip

counts = st.integers(1, 2**62).filter(lambda count: count >> 1 != 2**31 - 1) | st.decimals(
    "0.001", 10**6, places=3
)
"""But NO_VAL and INFINITE, which are no counts."""
tres_counts = st.dictionaries(st.sampled_from(TRES_NAMES), counts)
weights = st.dictionaries(
    st.sampled_from(("cpu", "gres/gpu", "node", "absent")),
    st.integers(1, 64) | st.decimals("0.01", 64, places=2),
    min_size=1,
)
allocations = st.builds("cpu={},gres/gpu={},node={}".format, *[st.integers(1, 512)] * 3)


def ended(run: records.Run, end_at: records.Instant) -> records.Run:
    """A running run as it reads once it ended, having run all its time but what it was suspended."""
    assert run.start_at is not None
    elapsed = end_at - run.start_at - run.suspended_seconds
    return run._replace(state="COMPLETED", end_at=end_at, elapsed_seconds=elapsed)


@st.composite
def spans(draw: st.DrawFn, until: records.Instant = NOW) -> tuple[records.Instant, records.Instant, int]:
    """(start, end, seconds): any, also empty ones and ones that were suspended most of the time."""
    start = draw(st.integers(0, until))
    end = start + draw(
        st.sampled_from((0, 1, 59, records.HOUR, 24 * records.HOUR)) | st.integers(0, until - start)
    )
    return start, end, draw(st.integers(0, end - start) | st.just(end - start))


@st.composite
def waiting_runs(draw: st.DrawFn) -> records.Run:
    """Runs that have not started: waiting, held (never eligible), not yet eligible or cancelled."""
    submit = draw(st.integers(0, NOW))
    eligible = draw(st.none() | st.integers(submit, NOW + 48 * records.HOUR))
    run = RUN._replace(
        state="PENDING", submit_at=submit, eligible_at=eligible, start_at=None, req_tres=draw(allocations),
        alloc_tres="",
    )  # fmt: skip
    cancelled_at = draw(st.none() | st.integers(submit, NOW))
    return run if cancelled_at is None else run._replace(state="CANCELLED", end_at=cancelled_at)


@st.composite
def running_runs(draw: st.DrawFn) -> records.Run:
    """Runs that began and have not ended; some were suspended for a while, some are now."""
    start, _, ran = draw(spans())
    suspended = max(0, NOW - start - ran) if draw(st.booleans()) else 0
    eligible = draw(st.none() | st.integers(0, start))
    text = draw(allocations)
    run = RUN._replace(submit_at=eligible, eligible_at=eligible, start_at=start, suspended_seconds=suspended)
    run = run._replace(req_tres=text, alloc_tres=text)
    if suspended and draw(st.booleans()):
        return run._replace(state="SUSPENDED", elapsed_seconds=NOW - start - suspended)
    return run


@st.composite
def ended_runs(draw: st.DrawFn) -> records.Run:
    """Runs that ended before NOW, however long they were suspended."""
    start, end, seconds = draw(spans())
    end = min(end, NOW)
    seconds = min(seconds, end - start)
    run = draw(running_runs())._replace(start_at=start, eligible_at=draw(st.none() | st.integers(0, start)))
    return run._replace(
        state="COMPLETED", end_at=end, elapsed_seconds=seconds, suspended_seconds=end - start - seconds
    )


runs = running_runs() | ended_runs() | waiting_runs()
open_runs = running_runs() | waiting_runs()


@st.composite
def sorted_runs(draw: st.DrawFn) -> SortedRun:
    """A run and who it is for, of three organisations, in fractions and one after the other."""
    return SortedRun(draw(runs), draw(part_lists()))


fractions = st.integers(1, 10**6).map(lambda millionths: Decimal(millionths) / 10**6)
classifications = st.builds(
    lambda one, name: replace(one, organisation=name),
    st.sampled_from(CLASSIFICATIONS),
    st.sampled_from(("", "umcg", "rug")),
)


@st.composite
def part_lists(draw: st.DrawFn) -> tuple[classify.ClassifiedPart, ...]:
    """Parts that cover all time once, cut on whole hours, with fractions that add up to 1 at any time."""
    if draw(st.booleans()):
        return classify.always(draw(classifications))
    hours = draw(st.lists(st.integers(1, NOW // records.HOUR), max_size=3, unique=True).map(sorted))
    found: list[classify.ClassifiedPart] = []
    for since, until in pairwise([0, *(hour * records.HOUR for hour in hours), records.FOREVER]):
        fraction = draw(fractions)
        found.append(classify.ClassifiedPart(since, until, fraction, draw(classifications)))
        if fraction < 1:
            found.append(classify.ClassifiedPart(since, until, 1 - fraction, draw(classifications)))
    return tuple(found)


fair_shares = st.integers(0, 1000) | st.just(records.PARENT_SHARES)


@st.composite
def trees(draw: st.DrawFn) -> FairTreeNode:
    """Three levels at most, with keys that tell where a node is."""

    def node(key: str, depth: int) -> FairTreeNode:
        if depth == 0 or draw(st.booleans()):
            return FairTreeNode(f"{key}u", draw(fair_shares), user=True)
        children = tuple(node(f"{key}{n}", depth - 1) for n in range(draw(st.integers(0, 3))))
        return FairTreeNode(key, draw(fair_shares), children=children)

    return FairTreeNode("r", 1, children=tuple(node(f"r{n}", 2) for n in range(draw(st.integers(1, 4)))))


@st.composite
def used_trees(draw: st.DrawFn) -> tuple[FairTreeNode, dict[str, float]]:
    """A tree and the usage of every association in it; small numbers tie."""
    root = draw(trees())
    used = st.integers(0, 3) | st.integers(0, 10**9)
    return root, fair_tree.summed(root, {user.key: float(draw(used)) for user in fair_tree.leaves(root)})


def quarter(**difference: Any) -> records.Measurement:
    """A quarter that is over, in which the region got exactly its 25 of 100."""
    values: dict[str, Any] = {
        "cluster": "c", "window": records.Window("2027Q1", 0, 100 * records.HOUR),
        "as_of": 100 * records.HOUR, "resource": Resource({"cpu": 1}), "target_share": 0.25,
        "regional_charge": 2500, "total_charge": 10000, "unclassified_charge": 0,
        "capacity": 12000, "waiting_charge": 0, "starved_charge": 0.0, "newest_record_at": None,
    }  # fmt: skip
    return records.Measurement(**(values | difference))


def history(regional: list[int], total: list[int], left: int) -> records.Measurement:
    """A calendar window with this hourly history, and this many hours left."""
    passed = len(total)
    series = tuple(
        records.Hour(i * records.HOUR, float(r), float(t), 0.0, 0.0)
        for i, (r, t) in enumerate(zip(regional, total, strict=True))
    )
    return quarter(
        window=records.Window("w", 0, (passed + left) * records.HOUR),
        as_of=passed * records.HOUR,
        regional_charge=sum(regional),
        total_charge=sum(total),
        hours=series,
    )
