"""The promise's terms: every instant has one, whatever the order of recording, and no window has two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme import terms
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term, known, term_of, term_problems
from slurm_ai_factory.core.records import FOREVER, HOUR, Instant, Window
from slurm_ai_factory.core.rules.organisations import Regional
from slurm_ai_factory.core.tres import Resource

ZONE = ZoneInfo("Europe/Amsterdam")


def day(text: str) -> Instant:
    return windows.day(text, ZONE)


FIRST = Term(
    since=0, share=0.25, margin=0.01, resource=Resource({"gres/gpu": 1}), label="", window="quarter",
    time_zone=ZONE.key, unclassified_limit=None, region=("GM0014", "GM1979"), min_organisations=3,
    expertise_share=0.25, source="saf.toml", reason="first", actor="saf", recorded_at=day("2027-01-01"),
)  # fmt: skip
MIDNIGHTS = [day(f"2027-{month:02}-01") for month in range(1, 13)]

later_terms = st.builds(
    replace,
    st.just(FIRST),
    since=st.sampled_from(MIDNIGHTS),
    share=st.sampled_from((0.2, 0.25, 0.3)),
    window=st.sampled_from(("month", "quarter", "half", "year", "rolling:30d")),
    region=st.sampled_from(((), ("GM0014",), ("GM0014", "GM1979"), ("GM0106",))),
    ended=st.booleans(),
    resource=st.sampled_from(("gres/gpu", "0.25*cpu+16*gres/gpu")).map(Resource.parse),
    recorded_at=st.integers(FIRST.recorded_at, FIRST.recorded_at + 100),
)
histories = st.lists(later_terms, max_size=8).map(
    lambda rows: [FIRST, *sorted(rows, key=lambda one: one.recorded_at)]
)
instants = st.integers(0, day("2028-06-01")) | st.sampled_from(MIDNIGHTS)


def of(rows: Sequence[Term], then: Instant | None = None) -> PromiseTerms:
    found = known(rows, then)
    assert found is not None
    return found


@given(histories, instants)
def test_every_instant_has_one_term(rows: list[Term], at: Instant) -> None:
    """The one that a reader finds who goes through the rows: the last recorded of the last beginning."""
    begun = [one for one in rows if one.since <= at]
    latest = max(one.since for one in begun)
    assert of(rows).at(at) == [one for one in begun if one.since == latest][-1]


@given(histories, st.integers(FIRST.recorded_at, FIRST.recorded_at + 100), instants)
def test_what_was_recorded_later_was_not_known(rows: list[Term], then: Instant, at: Instant) -> None:
    before = [one for one in rows if one.recorded_at <= then]
    assert of(rows, then) == of(before)
    assert of(rows, then).at(at).recorded_at <= then


@given(st.data(), histories)
def test_the_order_of_recording_matters_for_the_same_beginning_only(
    data: st.DataObject, rows: list[Term]
) -> None:
    apart = list({one.since: one for one in rows}.values())
    assert of(data.draw(st.permutations(apart))) == of(rows)


def test_nothing_is_known_before_the_first_was_recorded() -> None:
    assert known([FIRST], FIRST.recorded_at - 1) is None
    assert known([]) is None


@given(histories, instants, st.sampled_from(("GM0014", "GM1979", "GM0106")))
def test_a_municipality_is_regional_while_a_term_names_it(rows: list[Term], at: Instant, code: str) -> None:
    found = of(rows)
    spans = [one for one in found.regional() if one.municipality == code and one.since <= at < one.until]
    assert len(spans) == (code in found.at(at).region)


def test_a_region_that_stays_is_not_cut_where_the_share_changes() -> None:
    rows = [FIRST, replace(FIRST, since=MIDNIGHTS[3], share=0.3)]
    assert of(rows).regional() == {Regional("GM0014"), Regional("GM1979")}
    rows.append(replace(FIRST, since=MIDNIGHTS[6], region=("GM0014",)))
    assert of(rows).regional() == {Regional("GM0014"), Regional("GM1979", 0, MIDNIGHTS[6])}
    assert FOREVER in {one.until for one in of(rows).regional()}


@given(later_terms)
def test_a_term_is_read_back_as_it_was_written(term: Term) -> None:
    assert term_of(term.plain()) == term
    assert not term.differing(replace(term, source="x", reason="y", actor="z", recorded_at=1))


def test_equal_terms_are_written_alike_whatever_the_order_of_the_weights() -> None:
    one = replace(FIRST, resource=Resource({"cpu": 1, "node": 2}))
    other = replace(FIRST, resource=Resource({"node": 2, "cpu": 1}))
    assert list(one.plain()["resource"]) == list(other.plain()["resource"])


SETS: dict[str, tuple[dict[str, Any], str, str]] = {
    "the start of a quarter": ({}, "2027-04-01", ""),
    "inside a quarter": (
        {}, "2027-05-01",
        "2027-05-01 is inside 2027Q2, which has one term; begin at 2027-04-01 or 2027-07-01",
    ),
    "a start of the new kind only": (
        {"window": "month"}, "2027-05-01",
        "2027-05-01 is inside 2027Q2, which has one term; begin at 2027-04-01 or 2027-07-01",
    ),
    "a start of the old kind only": (
        {"window": "year"}, "2027-04-01",
        "2027-04-01 is inside 2027, which has one term; begin at 2027-01-01 or 2028-01-01",
    ),
    "a start of both kinds": ({"window": "year"}, "2028-01-01", ""),
    "from calendar to rolling": ({"window": "rolling:30d"}, "2027-07-01", ""),
    "to rolling inside a quarter": (
        {"window": "rolling:30d"}, "2027-08-15",
        "2027-08-15 is inside 2027Q3, which has one term; begin at 2027-07-01 or 2027-10-01",
    ),
    "a zone whose days never begin together": (
        {"time_zone": "Europe/London"}, "2027-04-01",
        "2027-03-31T22:00:00Z is inside 2027Q1, which has one term; keep the time zone",
    ),
    "a share of the capacity": (
        {"share_of": "capacity"}, "2027-04-01",
        "the promise to the region is steered, and is a share of what was delivered; set --of delivered",
    ),
    "nothing left to others": (
        {"share": 0.95, "margin": 0.06}, "2027-04-01",
        "share 0.95 and margin 0.06 leave nothing for the others; lower one of them",
    ),
    "no change": (
        {"share": 0.25}, "2027-04-01", "the term at that time is the same; nothing would change",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_a_window_has_one_term(name: str) -> None:
    said, since, expected = SETS[name]
    new = replace(FIRST, **{"share": 0.22} | said, since=day(since), source="contract")
    assert list(term_problems(PromiseTerms((FIRST,)), new)) == ([expected] if expected else [])


def test_a_term_fits_the_one_after_it_too() -> None:
    yearly = replace(FIRST, since=day("2028-01-01"), window="year")
    present = PromiseTerms((FIRST, yearly))
    fits = replace(FIRST, since=day("2027-07-01"), share=0.22)
    assert list(term_problems(present, fits)) == []
    apart = replace(FIRST, since=day("2029-01-01"), window="quarter")
    monthly = replace(FIRST, since=day("2027-07-01"), window="month")
    assert list(term_problems(PromiseTerms((FIRST, yearly, apart)), monthly)) == []
    late = replace(FIRST, since=day("2027-10-01"))
    half = replace(FIRST, since=day("2027-07-01"), window="half")
    (wrong,) = term_problems(PromiseTerms((FIRST, late)), half)
    assert wrong.startswith("2027-10-01 is inside 2027H2")


def test_a_term_begins_on_a_whole_hour_after_the_first() -> None:
    for since in (0, HOUR + 1):
        (wrong,) = term_problems(PromiseTerms((FIRST,)), replace(FIRST, since=since, share=0.2))
        assert "is not a whole hour after the first term" in wrong


def test_a_correction_of_the_same_beginning_is_compared_with_what_is_there() -> None:
    mistyped = replace(FIRST, since=day("2027-04-01"), share=0.52)
    present = PromiseTerms((FIRST, mistyped))
    assert list(term_problems(present, replace(mistyped, share=0.25))) == []
    assert list(term_problems(present, mistyped)) == [
        "the term at that time is the same; nothing would change"
    ]


def test_a_rolling_window_reaches_back_no_further_than_its_term() -> None:
    rolling = replace(FIRST, since=MIDNIGHTS[6], window="rolling:30d")
    found = PromiseTerms((FIRST, rolling))
    window = Window("rolling:30d", MIDNIGHTS[6] - 25 * 24 * HOUR, MIDNIGHTS[6] + 5 * 24 * HOUR, rolling=True)
    assert found.of(window) == rolling
    assert rolling.cut(window).since == MIDNIGHTS[6]
    quarter = windows.window("2027Q3", 0, ZONE)
    assert found.of(quarter) == rolling, "the term at its start"
    assert rolling.cut(quarter) == quarter
    assert found.of(windows.window("2027Q2", 0, ZONE)) == FIRST


@given(histories, instants, instants)
def test_terms_between_are_those_of_its_instants(rows: list[Term], one: Instant, other: Instant) -> None:
    since, until = min(one, other), max(one, other) + 1
    found = of(rows)
    marks = [since, *(term.since for term in found.terms if since < term.since < until)]
    assert found.between(since, until) == [found.at(at) for at in marks]


def test_changes_leave_out_what_only_says_it_again() -> None:
    again = replace(FIRST, since=MIDNIGHTS[3], source="the same in another document")
    lower = replace(FIRST, since=MIDNIGHTS[6], share=0.22)
    assert terms.changes([FIRST, again, lower]) == [(again, lower)]


@pytest.mark.parametrize(
    ("since", "recorded_at", "retroactive"),
    [(0, MIDNIGHTS[0], False), (MIDNIGHTS[3], MIDNIGHTS[2], False), (MIDNIGHTS[3], MIDNIGHTS[4], True)],
)
def test_a_term_recorded_after_it_began_is_retroactive(
    since: Instant, recorded_at: Instant, retroactive: bool
) -> None:
    assert replace(FIRST, since=since, recorded_at=recorded_at).retroactive is retroactive
