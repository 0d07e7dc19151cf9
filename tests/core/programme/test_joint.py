"""Joint promises: one cluster is the plain promise, parts add up, and what one lacks all lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure import capacity, share
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.judgement import judge, verdict
from slurm_ai_factory.core.measure.share import Promise, SortedRun
from slurm_ai_factory.core.programme.hubs import WEIGHTED
from slurm_ai_factory.core.programme.joint import (
    JointPromise,
    JointWeight,
    joined,
    joint_promises,
    joint_term,
    joint_term_problems,
    joint_term_value,
    weight_of,
    weight_problems,
)
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term
from slurm_ai_factory.core.records import HOUR, Charge, Instant, Interval, Measurement, Size, Verdict, Window
from slurm_ai_factory.core.rules.classify import always
from slurm_ai_factory.core.tres import Resource
from tests.core.generated import NOW, REGIONAL, RUN, sorted_runs

CPU, GPU = Resource({"cpu": 1}), Resource({"gres/gpu": Decimal("40")})
TERM = joint_term(
    {
        "promise": "together", "since": HOUR, "ended": False, "share": 0.25, "margin": 0.01, "label": "unit",
        "window": "rolling:30d", "time_zone": "Europe/Amsterdam", "unclassified_limit": None,
        "source": "agreement", "reason": "signed", "actor": "ann@host", "recorded_at": 10,
    }
)  # fmt: skip
PROMISE = Promise(
    name="together", cluster="a,b", target_share=0.25, margin=0.01, resource=WEIGHTED, label="unit"
)
CHARGES = ("regional_charge", "total_charge", "unclassified_charge", "waiting_charge", "capacity")
SIZE = "cpu=16,gres/gpu=4"

run_lists = st.lists(sorted_runs(), max_size=5)
resources = st.sampled_from([CPU, GPU, Resource({"cpu": Decimal("0.25"), "gres/gpu": 16}), None])


@st.composite
def windows_(draw: st.DrawFn) -> Window:
    """Windows of up to two days, over, running or not begun at NOW."""
    since = draw(st.integers(0, NOW // HOUR + 24)) * HOUR
    return Window("w", since, since + draw(st.integers(1, 48)) * HOUR)


def weight(since: Instant, resource: Resource | None, cluster: str = "a", at: Instant = 10) -> JointWeight:
    return JointWeight("together", cluster, since, resource, "agreement", "signed", "ann@host", at)


def promised(*rows: JointWeight, terms: Sequence[Term] = (TERM,)) -> JointPromise:
    return joint_promises(terms, rows)["together"]


def measured(
    runs: Iterable[SortedRun], window: Window, resource: Resource, size: str | None = SIZE
) -> Measurement:
    """What one cluster has of a window, in a resource."""
    sizes = [Size(0, None, size)] if size else []
    up = capacity.capacity_by_hour(sizes, [], resource.weights, window.since, min(window.until, NOW))
    return share.measure_window(
        Promise(cluster="a", target_share=0.25, margin=0.01, resource=resource),
        window, NOW, closed=(), open_runs=runs, capacity=up, newest_record_at=5,
    )  # fmt: skip


def together(
    known: JointPromise,
    window: Window,
    runs: dict[str, list[SortedRun]],
    unread: Sequence[Interval] = (),
    size: str = SIZE,
) -> Measurement:
    """All clusters of a joint promise, each part measured in its own resource."""
    begun = [part for part in known.parts(window) if part.since < NOW]
    parts = [
        measured(runs[part.cluster], Window("", part.since, part.until), part.resource, size)
        for part in begun
    ]
    return joined(PROMISE, window, NOW, parts, unread)


def charges(measurement: Measurement) -> dict[str, Charge | None]:
    return {name: getattr(measurement, name) for name in CHARGES}


@given(run_lists, windows_(), st.sampled_from([CPU, Resource({"cpu": Decimal("1")})]))
def test_one_cluster_with_weight_1_is_the_plain_promise(
    runs: list[SortedRun], window: Window, resource: Resource
) -> None:
    """Every field, every hour and all that is said of them; but for names, and what has no part yet."""
    plain = measured(runs, window, CPU)
    joint = together(promised(weight(0, resource)), window, {"a": runs})
    names: dict[str, Any] = {
        "promise": "together",
        "cluster": "a,b",
        "resource": WEIGHTED,
        "resource_label": "unit",
    }
    if window.since >= NOW:
        names |= {"regional_running": 0, "regional_pending": 0, "newest_record_at": None}
    assert joint == replace(plain, **names)
    assert assess(joint, 0.01) == assess(plain, 0.01)


@given(run_lists, run_lists, windows_(), st.sampled_from([CPU, GPU]))
def test_a_charge_on_two_clusters_of_one_weight_counts_as_on_one(
    some: list[SortedRun], others: list[SortedRun], window: Window, resource: Resource
) -> None:
    one = together(promised(weight(0, resource)), window, {"a": [*some, *others]}, size="cpu=32,gres/gpu=8")
    two = together(promised(weight(0, resource), weight(0, resource, "b")), window, {"a": some, "b": others})
    assert charges(one) == charges(two)
    assert (one.starved_charge is None) == (two.starved_charge is None) == (window.since >= NOW)
    assert (one.starved_charge or 0.0) == pytest.approx(two.starved_charge or 0.0, rel=1e-9, abs=1e-3)
    assert [hour.at for hour in one.hours] == [hour.at for hour in two.hours]


@given(run_lists, windows_(), st.lists(st.tuples(st.integers(0, 21 * 24), resources), max_size=4))
def test_each_hour_is_weighed_by_the_row_of_that_hour(
    runs: list[SortedRun], window: Window, rows: list[tuple[int, Resource | None]]
) -> None:
    """However often weights change, and whether the cluster counts or not: hour by hour, one at a time."""
    known = promised(*(weight(at * HOUR, resource) for at, resource in rows))
    added = dict.fromkeys(CHARGES[:-1], Decimal(0))
    for at in range(window.since, min(window.until, NOW), HOUR):
        row = known.weight_at("a", at)
        if row and row.resource:
            hour = charges(measured(runs, Window("h", at, at + HOUR), row.resource))
            added = {name: added[name] + (hour[name] or 0) for name in added}
    joint = charges(together(known, window, {"a": runs}))
    assert {name: joint[name] for name in added} == added


def test_a_changed_weight_is_two_measurements_added() -> None:
    run = (a_run(0, 10 * HOUR),)
    window, cut = Window("w", 0, 10 * HOUR), 4 * HOUR
    joint = together(promised(weight(0, CPU), weight(cut, GPU)), window, {"a": list(run)})
    before = measured(run, Window("", 0, cut), CPU)
    after = measured(run, Window("", cut, 10 * HOUR), GPU)
    assert joint.total_charge == before.total_charge + after.total_charge == 4 * 4 * HOUR + 6 * 2 * 40 * HOUR
    assert joint.capacity == 16 * 4 * HOUR + 4 * 40 * 6 * HOUR


def a_run(start: Instant, end: Instant) -> SortedRun:
    """A run of 4 CPUs and 2 GPUs for the region."""
    run = RUN._replace(start_at=start, end_at=end, elapsed_seconds=end - start, state="COMPLETED",
                       alloc_tres="cpu=4,gres/gpu=2")  # fmt: skip
    return SortedRun(run, always(REGIONAL))


@given(run_lists, windows_(), st.integers(1, HOUR))
def test_an_unread_member_leaves_no_verdict(runs: list[SortedRun], window: Window, seconds: int) -> None:
    gap = (window.since, window.since + seconds)
    joint = together(promised(weight(0, CPU)), window, {"a": runs}, [gap])
    assert (judge(joint).reason, verdict(joint)) == ("unread", Verdict.OPEN)
    assert joint.unread_seconds == seconds


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_time_that_two_members_lack_is_unread_once(gaps: list[tuple[int, int]]) -> None:
    spans = [(min(gap), max(gap)) for gap in gaps]
    joint = joined(PROMISE, Window("w", 0, HOUR), NOW, [], spans)
    assert joint.unread_seconds == len({at for since, until in spans for at in range(since, until)})


def test_without_the_size_of_one_cluster_all_have_none() -> None:
    window, runs = Window("w", 0, 2 * HOUR), [a_run(0, HOUR)]
    sized, unsized = measured(runs, window, CPU), measured(runs, window, CPU, None)
    for parts in ([sized, unsized], [unsized, sized], []):
        joint = joined(PROMISE, window, NOW, parts, ())
        assert (joint.capacity, joint.capacity_share, joint.starved_charge) == (None, None, None)
    assert joined(PROMISE, window, NOW, [sized, sized], ()).capacity == 2 * 16 * 2 * HOUR


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), resources), max_size=8), st.integers(0, 30)
)
def test_parts_are_the_hours_in_which_a_cluster_counts(
    rows: list[tuple[str, int, Resource | None]], begin: int
) -> None:
    known = promised(*(weight(at * HOUR, resource, cluster) for cluster, at, resource in rows))
    window = Window("w", begin * HOUR, 31 * HOUR)
    parts = known.parts(window)
    for at in range(window.since, window.until, HOUR):
        counted = {part.cluster: part.resource for part in parts if part.since <= at < part.until}
        assert list(counted) == known.members(at)
        for cluster, resource in counted.items():
            row = known.weight_at(cluster, at)
            assert row is not None
            assert row.resource == resource
    assert sum(part.until - part.since for part in parts) == HOUR * sum(
        len(known.members(at)) for at in range(window.since, window.until, HOUR)
    )


def test_the_newest_row_of_a_day_holds_and_the_earlier_stays_known() -> None:
    rows = [weight(HOUR, CPU), weight(HOUR, GPU, at=20), weight(2 * HOUR, None, at=30)]
    later = replace(TERM, share=0.5, recorded_at=25)
    seen = {
        then: joint_promises([TERM, later], rows, then).get("together") for then in (9, 10, 20, 25, 30, None)
    }
    assert seen[9] is None
    units = {then: known.weight_at("a", 3 * HOUR) for then, known in seen.items() if known}
    assert {then: row and row.unit for then, row in units.items()} == {
        10: "cpu", 20: "40*gres/gpu", 25: "40*gres/gpu", 30: "none", None: "none",
    }  # fmt: skip
    assert [known.terms.at(HOUR).share for known in seen.values() if known] == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert [known.terms.at(0).ended for known in seen.values() if known] == [True] * 5, "none held before"


def test_rows_come_back_from_json() -> None:
    for resource in (CPU, GPU, None):
        assert weight_of(weight(HOUR, resource).plain()) == weight(HOUR, resource)
    assert joint_term(joint_term_value(TERM)) == TERM


REFUSED = {
    "cluster a has no tape; its TRES are cpu, gres/gpu": weight(HOUR, Resource({"tape": 1}), at=2 * HOUR),
    "is in the future; record a weight once it applies": weight(2 * HOUR, GPU, at=HOUR),
    "is not a whole hour after 1970": weight(HOUR + 1, GPU, at=2 * HOUR),
    "counts as cpu at that time already": weight(HOUR, CPU, at=2 * HOUR),
    "cluster b counts as none at that time already": weight(HOUR, None, "b", at=2 * HOUR),
    "the weight of cpu is not from 0.000001 to 1000000": weight(
        HOUR, Resource({"cpu": Decimal("1e7")}), at=2 * HOUR
    ),
    "with at most 12 digits": weight(HOUR, Resource({"cpu": Decimal("1.0000000000001")}), at=2 * HOUR),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_is_no_weight_is_refused_in_one_sentence(sentence: str) -> None:
    known = promised(weight(0, CPU))
    (why,) = weight_problems(known, REFUSED[sentence], ["cpu", "gres/gpu"])
    assert sentence in why


def test_a_weight_that_changes_something_is_not_refused() -> None:
    known = promised(weight(0, CPU))
    for row in (weight(HOUR, GPU, at=HOUR), weight(HOUR, None, at=HOUR), weight(HOUR, CPU, "b", at=HOUR)):
        assert list(weight_problems(known, row, ["cpu", "gres/gpu"])) == []


@pytest.mark.parametrize(
    "text", ["0*cpu", "-1*cpu", "nan*cpu", "inf*cpu", "x*cpu", "", "cpu+cpu", "cpu+", "1e*cpu"]
)
def test_what_is_no_resource_has_no_weight(text: str) -> None:
    with pytest.raises(ValueError, match="is not a resource such as"):
        Resource.parse(text)


def test_a_term_begins_where_a_window_begins() -> None:
    quarter = replace(TERM, window="quarter", since=1798758000)  # 2027-01-01 in Amsterdam
    assert list(joint_term_problems(None, quarter)) == []
    (why,) = joint_term_problems(None, replace(quarter, since=quarter.since + 24 * HOUR))
    assert "is inside 2027Q1, which has one term" in why
    known = promised(terms=[quarter])
    (why,) = joint_term_problems(known, replace(quarter, reason="again"))
    assert "nothing would change" in why
    assert known.terms == PromiseTerms((replace(quarter, since=0, ended=True, reason="first"), quarter))
