"""What Slurm's own limits leave the steered side: a share is told only where it holds for every job."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.bounds import (
    LimitedAssociation,
    LimitedQos,
    Machine,
    NativeLimits,
    Withheld,
    binding,
    bounds_on,
)
from slurm_ai_factory.core.records import FOREVER

NOW = 1_795_000_000
DAY = 86400
MACHINE = Machine(
    size={"cpu": 64, "gres/gpu": 16, "node": 4, "billing": 64},
    nodes={
        f"n{number}": {"cpu": 16, "gres/gpu": gpus, "node": 1}
        for number, gpus in enumerate((8, 4, 4, 0), start=1)
    },
    weights={"gres/gpu": 1},
    window_seconds=90 * DAY,
    memory_seconds=10 * DAY,
)


def row(number: int, parent: int, account: str, user: str = "", **limits: str) -> LimitedAssociation:
    return LimitedAssociation(number, parent, account, user, limits, ("normal",) if user else ())


def tree(regional: dict[str, str], *below: LimitedAssociation) -> tuple[LimitedAssociation, ...]:
    """root, with regional (3) and national (4) below it, and rows below these."""
    return row(1, 0, "root"), row(2, 1, "root", "root"), row(3, 1, "regional", **regional), \
        row(4, 1, "national"), *below  # fmt: skip


NORMAL = LimitedQos("normal", {}, relative=False, decays=True)


def told(
    rows: Sequence[LimitedAssociation],
    qos: Sequence[LimitedQos] = (NORMAL,),
    machine: Machine = MACHINE,
    accounts: Sequence[str] = ("regional",),
    lever: str = "",
    **different: Any,
) -> dict[str, float | None]:
    limits = NativeLimits(associations=rows, qos=qos, **different)
    return {
        f"{one.limit} on {one.where}": one.share for one in bounds_on(accounts, limits, machine, NOW, lever)
    }


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {}),
        ({"GrpTRES": "gres/gpu=2"}, {"GrpTRES=gres/gpu=2 on account regional": 0.125}),
        ({"GrpTRES": "gres/gpu=99"}, {"GrpTRES=gres/gpu=99 on account regional": 1.0}),
        ({"GrpTRES": "gres/gpu=0"}, {"GrpTRES=gres/gpu=0 on account regional": 0.0}),
        ({"GrpTRES": "cpu=1"}, {"GrpTRES=cpu=1 on account regional": None}),
        # the largest nodes have the most GPUs: one node of four has half of them
        ({"GrpTRES": "node=1"}, {"GrpTRES=node=1 on account regional": 0.5}),
        ({"GrpTRES": "node=2"}, {"GrpTRES=node=2 on account regional": 0.75}),
        # what usage forgets in ten days, and once what it may add up to, over ninety
        ({"GrpTRESMins": "gres/gpu=23040"}, {"GrpTRESMins=gres/gpu=23040 on account regional": 1 / 9}),
        ({"GrpTRESRunMins": "cpu=1", "MaxTRES": "cpu=1", "GrpJobs": "1"},
         {"GrpTRESRunMins=cpu=1 on account regional": None, "MaxTRES=cpu=1 on account regional": None,
          "GrpJobs=1 on account regional": None}),
    ],
)  # fmt: skip
def test_a_limit_of_the_steered_account_bounds_what_it_counts(
    limits: dict[str, str], expected: dict[str, float | None]
) -> None:
    assert told(tree(limits)) == {key: share and pytest.approx(share) for key, share in expected.items()}


def test_a_limit_above_the_steered_account_bounds_it_and_one_beside_it_does_not() -> None:
    rows = (
        row(1, 0, "root", GrpTRES="gres/gpu=8"),
        row(3, 1, "regional"),
        row(4, 1, "national", GrpTRES="cpu=1"),
    )
    assert told(rows) == {"GrpTRES=gres/gpu=8 on account root": 0.5}


@pytest.mark.parametrize("circle", [(row(10, 10, "x"),), (row(8, 9, "regional"), row(9, 8, "above"))])
def test_where_parents_go_in_a_circle_nothing_is_certain(circle: tuple[LimitedAssociation, ...]) -> None:
    assert told((*tree({"GrpTRES": "gres/gpu=4"}), *circle)) == {}


def test_limits_below_bound_the_account_where_each_has_one() -> None:
    few = row(5, 3, "umcg", GrpTRES="gres/gpu=1"), row(6, 3, "rug", GrpTRES="gres/gpu=2")
    assert told(tree({}, *few)) == {"GrpTRES=gres/gpu=3 on what is below regional together": 3 / 16}
    assert told(tree({}, *few, row(7, 3, "sme"))) == {}
    users = row(8, 7, "sme", "jan", GrpTRES="gres/gpu=1"), row(9, 7, "sme", "eva", GrpTRES="gres/gpu=1")
    assert told(tree({}, *few, row(7, 3, "sme"), *users)) == {
        "GrpTRES=gres/gpu=5 on what is below regional together": 5 / 16
    }


def test_several_steered_accounts_are_bounded_together() -> None:
    rows = row(1, 0, "root"), row(3, 1, "ra", GrpTRES="gres/gpu=1"), row(4, 1, "rb", GrpTRES="gres/gpu=2")
    assert told(rows, accounts=("ra", "rb")) == {
        "GrpTRES=gres/gpu=1 on account ra": None,
        "GrpTRES=gres/gpu=2 on account rb": None,
        "GrpTRES=gres/gpu=3 on the steered accounts together": 3 / 16,
    }
    assert None not in told(rows, accounts=("ra",)).values()


JAN = row(5, 3, "regional", "jan")


def test_a_qos_bounds_the_side_only_where_its_jobs_can_have_no_other() -> None:
    small = LimitedQos("small", {"GrpTRES": "gres/gpu=2"}, relative=False, decays=True)
    both = tree({}, JAN._replace(qos=("normal", "small")))
    assert told(both, (NORMAL, small)) == {"GrpTRES=gres/gpu=2 on QOS small": None}
    only = tree({}, JAN._replace(qos=("small",)))
    assert told(only, (NORMAL, small))["GrpTRES or GrpTRESMins on QOS small"] == 0.125
    unseen = tree({}, JAN._replace(qos=("small", "hidden")))
    assert None in told(unseen, (NORMAL, small)).values()
    assert len(told(unseen, (NORMAL, small))) == 1
    assert told((), (NORMAL, small), lever="small")["GrpTRES or GrpTRESMins on QOS small"] == 0.125


def test_limits_of_a_relative_qos_are_percentages() -> None:
    part = LimitedQos("normal", {"GrpTRES": "gres/gpu=20"}, relative=True, decays=True)
    assert told(tree({}, JAN), (part,)) == {
        "GrpTRES=gres/gpu=20 % of the cluster on QOS normal": None,
        "GrpTRES or GrpTRESMins on QOS normal": 0.2,
    }


def test_a_budget_in_percent_bounds_nothing_and_may_hold_in_place_of_the_accounts() -> None:
    rows = tree({"GrpTRESMins": "gres/gpu=60"}, JAN)
    assert told(rows)["GrpTRESMins=gres/gpu=60 on account regional"] is not None
    part = LimitedQos("normal", {"GrpTRESMins": "gres/gpu=20"}, relative=True, decays=True)
    assert set(told(rows, (part,)).values()) == {None}


def test_what_a_qos_allows_comes_beside_what_the_account_is_left() -> None:
    """Slurm takes the limit of the QOS, and that of the account for the jobs of other QOS."""
    wide = LimitedQos("wide", {"GrpTRES": "gres/gpu=6"}, relative=False, decays=True)
    rows = tree({"GrpTRES": "gres/gpu=2"}, JAN)
    assert told(rows)["GrpTRES=gres/gpu=2 on account regional"] == 2 / 16
    assert told(rows, (NORMAL, wide))["GrpTRES=gres/gpu=2 on account regional"] == 2 / 16
    of_partition = told(rows, (NORMAL, wide), partition_qos=frozenset({"wide"}))
    assert of_partition["GrpTRES=gres/gpu=2 on account regional"] == 8 / 16
    allowed = tree({"GrpTRES": "gres/gpu=2"}, JAN._replace(qos=("normal", "wide")))
    assert told(allowed, (NORMAL, wide))["GrpTRES=gres/gpu=2 on account regional"] == 8 / 16


@pytest.mark.parametrize(
    ("memory", "decays", "share"),
    [(inf, True, 1 / 90), (10 * DAY, True, 1 / 9), (10 * DAY, False, 1 / 90), (None, True, None)],
)
def test_a_budget_bounds_the_window_by_how_it_is_forgotten(
    memory: float | None, decays: bool, share: float | None
) -> None:
    """16 GPUs for a day, in ninety of them; usage that is reset is a new budget each time."""
    qos = LimitedQos("q", {"GrpTRESMins": f"gres/gpu={16 * 1440}"}, relative=False, decays=decays)
    machine = Machine(
        size=MACHINE.size, nodes={}, weights={"gres/gpu": 1}, window_seconds=90 * DAY, memory_seconds=memory
    )
    found = told((), (qos,), machine, lever="q").get("GrpTRES or GrpTRESMins on QOS q")
    assert found == (share and pytest.approx(share))


def withheld(name: str, *nodes: str, **different: Any) -> Withheld:
    cpus = different.pop("cpus", 16 * len(nodes))
    empty = frozenset[str]()
    return Withheld(
        name, NOW - 60, FOREVER, frozenset(nodes), cpus, empty, empty, open_to_others=False, maintenance=False
    )._replace(**different)


@pytest.mark.parametrize(
    ("reservation", "share"),
    [
        (withheld("lesson", "n1"), 0.5),
        (withheld("lesson", "n1", "n2", "n3"), 0.0),
        (withheld("lesson", "n4"), 1.0),
        (withheld("lesson", "n1", accounts=frozenset({"national"})), 0.5),
        (withheld("ours", "n1", accounts=frozenset({"regional"})), None),
        (withheld("ours", "n1", accounts=frozenset({"root"})), None),
        (withheld("ours", "n1", users=frozenset({"jan"})), None),
        (withheld("later", "n1", since=NOW + 1), None),
        (withheld("over", "n1", until=NOW), None),
        (withheld("part", "n1", cpus=4), None),
        (withheld("unsaid", "n1", cpus=None), None),
        (withheld("gone", "n9"), None),
        (withheld("groups", "n1", open_to_others=True), None),
        (withheld("maintenance", "n1", maintenance=True), None),
        (withheld("licences"), None),
    ],
)
def test_a_reservation_of_whole_nodes_for_others_leaves_the_rest(
    reservation: Withheld, share: float | None
) -> None:
    found = told(tree({}, JAN), reservations=(reservation,))
    if share in (None, 1.0):
        assert set(found.values()) <= {1.0}
    else:
        assert found == {f"nodes={len(reservation.nodes)} on reservation lesson": share}


def test_a_weighted_resource_is_bounded_as_far_as_its_parts_are() -> None:
    weighted = Machine(
        size=MACHINE.size, nodes={}, weights={"cpu": 1, "gres/gpu": 12}, window_seconds=1, memory_seconds=inf
    )
    rows = tree({"GrpTRES": "gres/gpu=4"})
    assert told(rows, machine=weighted) == {
        "GrpTRES=gres/gpu=4 on account regional": pytest.approx((64 + 48) / (64 + 192))
    }
    unknown = Machine(size={}, nodes={}, weights={"cpu": 1}, window_seconds=1, memory_seconds=inf)
    assert told(tree({"GrpTRES": "cpu=1"}), machine=unknown) == {"GrpTRES=cpu=1 on account regional": None}


def test_only_bounds_below_the_promise_bind_the_tightest_first() -> None:
    rows = tree({"GrpTRES": "gres/gpu=3"}, row(5, 3, "umcg", GrpTRES="gres/gpu=1"))
    limits = NativeLimits(associations=rows, qos=(NORMAL,))
    bounds = bounds_on(["regional"], limits, MACHINE, NOW)
    assert [bound.share for bound in binding(bounds, 0.25)] == [1 / 16, 3 / 16]
    assert [bound.share for bound in binding(bounds, 0.1)] == [1 / 16]
    assert binding(bounds, 0.05) == []


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_a_wider_limit_never_leaves_less(own: int, more: int, below: int) -> None:
    def tightest(count: int) -> float:
        rows = tree({"GrpTRES": f"gres/gpu={count}"}, row(5, 3, "umcg", GrpTRES=f"gres/gpu={below}"))
        return min(share for share in told(rows).values() if share is not None)

    assert tightest(own) <= tightest(own + more)
    assert 0 <= tightest(own) <= 1
