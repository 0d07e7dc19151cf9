"""Which revision of a day counts, which days are unread, and the share over several clusters."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.judgement import judge
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.programme import hubs
from slurm_ai_factory.core.records import DAY, HOUR, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule, Rules
from slurm_ai_factory.core.tres import Resource

FIRST = 100 * DAY
KEYS = (("south", "beta"), ("groningen", "alpha"))
RULE = Rule(
    name="r", beneficiary=Beneficiary.REGIONAL, conditions={"account": frozenset({"south/a", "groningen/a"})}
)
OTHERS = Rule(name="o", beneficiary=Beneficiary.NON_REGIONAL, conditions={})
RULES = Rules((RULE, OTHERS))
PROMISE = Promise(cluster="p", target_share=0.25, margin=0.01, resource=Resource({"gres/gpu": 1}))
WINDOW = Window("w", FIRST, FIRST + 2 * DAY)


def term(since: int = FIRST, ended: bool = False, site: str = "south", cluster: str = "beta") -> hubs.HubTerm:
    return hubs.HubTerm(site, cluster, since, ended, "key", "2*gres/gpu")


def revision(
    number: int, previous: str, digest: str, fault: str = "", day: int = FIRST
) -> hubs.KnownStatement:
    return hubs.KnownStatement(number, "south", "beta", day, number, previous, digest, fault)


ONE, TWO, THREE = revision(1, "", "a"), revision(2, "a", "b"), revision(3, "b", "c")


@pytest.mark.parametrize(
    ("given", "counts", "reason"),
    [
        ([ONE], 1, ""),
        ([ONE, TWO, THREE], 3, ""),
        ([TWO], None, "revision 1 is missing"),
        ([ONE, THREE], None, "revision 2 is missing"),
        ([ONE, TWO._replace(previous="x")], None, "revision 2 does not follow the one before"),
        ([ONE, TWO._replace(fault="its sync line disagrees")], None, "its sync line disagrees"),
        ([ONE._replace(fault="its sync line disagrees"), TWO], 2, ""),
    ],
)
def test_the_revision_that_counts(given: list[hubs.KnownStatement], counts: int | None, reason: str) -> None:
    for order in permutations(given):
        (state,) = hubs.day_states(order).values()
        assert (state.counts and state.counts.revision, state.reason) == (counts, reason)


def test_the_days_that_a_site_has_to_state() -> None:
    hub = hubs.Hub("south", "beta", (term(), term(FIRST + 3 * DAY, True), term(FIRST + 5 * DAY)))
    states = hubs.day_states([ONE])
    unread = hubs.unread_days(hub, states, FIRST - 2 * DAY, FIRST + 6 * DAY)
    assert [(day.day - FIRST) // DAY for day in unread] == [1, 2, 5]
    assert {day.reason for day in unread} == {hubs.NO_STATEMENT}
    assert hubs.unread_days(hub, states, FIRST + HOUR, FIRST + 2 * HOUR) == ()
    assert [(a - FIRST, b - FIRST) for (a, b), _ in hub.spans(FIRST - DAY, FIRST + 4 * DAY)] == [(0, 3 * DAY)]


def test_a_later_term_about_the_same_day_is_one_more_row() -> None:
    (hub,) = hubs.hubs_of([term(FIRST + DAY), term()]).values()
    assert [each.since for each in hub.terms] == [FIRST, FIRST + DAY]


def usage(key: tuple[str, str], account: str, hour: int, delivered: int, waiting: int = 0) -> hubs.HubUsage:
    return hubs.HubUsage(
        *key, FIRST + hour * HOUR, account, "", delivered, waiting, 2 * delivered, 2 * waiting
    )


def books(rows: list[hubs.HubUsage], *missing: int, capacity: bool = True) -> hubs.HubBooks:
    """Two clusters that state two days; ``missing`` are days of the south."""
    known = [
        hubs.KnownStatement(1, *key, FIRST + day * DAY, 1, "", "a", "")
        for key in KEYS
        for day in range(2)
        if not (key[0] == "south" and day in missing)
    ]
    up = Decimal(3600) if capacity else None
    return hubs.HubBooks(
        hubs=hubs.hubs_of([term(), term(site="groningen", cluster="alpha")]),
        states=hubs.day_states(known),
        usage=rows,
        capacity=[hubs.HubCapacity(*key, FIRST + hour * HOUR, up, up) for key in KEYS for hour in range(48)],
        rules=RULES,
    )


def test_the_share_of_each_and_of_all_together() -> None:
    rows = [usage(KEYS[0], "a", 0, 100), usage(KEYS[0], "b", 1, 300), usage(KEYS[1], "b", 30, 400)]
    groningen, south, together = hubs.measure_hubs(books(rows), PROMISE, WINDOW, WINDOW.until)
    assert (south.site, south.raw.delivered_share) == ("south", 0.25)
    assert (groningen.raw.delivered_share, groningen.raw.total_charge) == (0.0, 400)
    assert (together.raw.delivered_share, together.weighted.total_charge) == (0.125, 1600)
    assert [judge(each.raw).verdict.value for each in (south, together)] == ["met", "missed_demand"]


@pytest.mark.parametrize(("missing", "seconds"), [((0,), DAY), ((0, 1), 2 * DAY)])
def test_a_window_with_an_unread_day_of_any_cluster_is_open(missing: tuple[int, ...], seconds: int) -> None:
    rows = [usage(KEYS[1], "a", 0, 100)]
    groningen, south, together = hubs.measure_hubs(books(rows, *missing), PROMISE, WINDOW, WINDOW.until)
    assert judge(groningen.raw).verdict.value == "met"
    for open_one in (south, together):
        assert (judge(open_one.raw).reason, open_one.weighted.unread_seconds) == ("unread", seconds)
    assert [(hub.name, day.day) for hub, day in together.unread] == [
        ("south/beta", FIRST + day * DAY) for day in missing
    ]


def test_an_unknown_size_of_one_cluster_is_not_taken_as_none() -> None:
    rows = [usage(KEYS[0], "b", 0, 100, 50), usage(KEYS[1], "b", 0, 100)]
    *_, together = hubs.measure_hubs(books(rows, capacity=False), PROMISE, WINDOW, WINDOW.until)
    assert together.raw.capacity is None
    assert judge(together.raw).reason == "capacity_unknown"


amounts = st.tuples(
    st.sampled_from(KEYS), st.sampled_from(("a", "b", "c")), st.integers(0, 47), st.integers(0, 10**6)
)


@given(st.lists(amounts, max_size=12))
def test_all_together_is_the_sum_of_each(found: list[tuple[tuple[str, str], str, int, int]]) -> None:
    rows = [usage(key, account, hour, charge) for key, account, hour, charge in found]
    *each, together = hubs.measure_hubs(books(rows), PROMISE, WINDOW, WINDOW.until)
    for name in ("regional_charge", "total_charge", "unclassified_charge", "capacity"):
        for unit in ("raw", "weighted"):
            assert sum(getattr(getattr(row, unit), name) for row in each) == getattr(
                getattr(together, unit), name
            )
