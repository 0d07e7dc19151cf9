"""Further promises: their side of each charge, the verdict on a cap, and that they disturb nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.judgement import judge
from slurm_ai_factory.core.measure.share import HourUsage, Promise, measure_window
from slurm_ai_factory.core.records import FOREVER, HOUR, Bound, Measurement, Subject, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Membership, Rule, Rules
from slurm_ai_factory.core.tres import Resource
from tests.core.generated import RUN

CPU = Resource({"cpu": 1})
HOURS = 24
WINDOW = Window("day", 0, HOURS * HOUR)
REGION = Promise(cluster="c", target_share=0.25, margin=0.01, resource=CPU)
EU = replace(REGION, name="eu", target_share=0.5)
CAP = replace(REGION, name="industry", bound=Bound.CAP, target_share=0.2)
FLAT = {HOUR * n: 100 * HOUR for n in range(HOURS)}

usage = st.lists(
    st.builds(
        HourUsage,
        st.integers(0, HOURS - 1).map(lambda n: n * HOUR),
        st.sampled_from(Beneficiary),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.sets(st.sampled_from(("eu", "industry"))).map(lambda names: " ".join(sorted(names))),
    ),
    max_size=40,
)


def measured(promise: Promise, closed: list[HourUsage], as_of: int = WINDOW.until) -> Measurement:
    return measure_window(
        promise, WINDOW, as_of, closed=closed, open_runs=(), capacity=FLAT, newest_record_at=as_of
    )


@given(usage)
def test_the_first_promise_is_measured_as_if_there_were_no_other(closed: list[HourUsage]) -> None:
    assert measured(REGION, closed) == measured(REGION, [row._replace(promises="") for row in closed])


@given(usage)
def test_a_promise_counts_the_classified_charge_that_bears_its_name(closed: list[HourUsage]) -> None:
    found = measured(EU, closed)
    mine = [row for row in closed if "eu" in row.promises and row.beneficiary is not Beneficiary.UNCLASSIFIED]
    assert found.regional_charge == sum(row.delivered for row in mine)
    assert found.total_charge == sum(row.delivered for row in closed)
    assert found.unclassified_charge == measured(REGION, closed).unclassified_charge
    waiting = sum(hour.regional_waiting + hour.others_waiting for hour in found.hours)
    assert waiting == pytest.approx(sum(row.waiting for row in closed))


@given(usage)
def test_a_part_of_another_promise_is_a_part_of_its_charge(closed: list[HourUsage]) -> None:
    whole, part = measured(EU, closed), measured(replace(CAP, share_of="promise:eu"), closed)
    assert part.total_charge - part.unclassified_charge == whole.regional_charge
    assert part.regional_charge <= measured(CAP, closed).regional_charge


@given(usage)
def test_a_share_of_the_capacity_has_the_capacity_below_it(closed: list[HourUsage]) -> None:
    found = measured(replace(EU, share_of="capacity"), closed)
    assert found.total_charge == HOURS * 100 * HOUR
    assert found.regional_charge == measured(EU, closed).regional_charge


def test_a_share_of_an_unknown_capacity_has_no_verdict() -> None:
    of_capacity = replace(EU, share_of="capacity")
    closed = [HourUsage(0, Beneficiary.NON_REGIONAL, 5, 0, "eu")]
    gaps = {at: size for at, size in FLAT.items() if at}
    for capacity in (None, gaps):
        found = measure_window(
            of_capacity, WINDOW, WINDOW.until, closed=closed, open_runs=(), capacity=capacity,
            newest_record_at=0,
        )  # fmt: skip
        assert judge(found) == ("open", "no_capacity")


@pytest.mark.parametrize(
    ("industry", "others_wait", "hours", "verdict", "reason"),
    [
        (10, 50, HOURS, "kept", "within"),
        (30, 0, HOURS, "exceeded_idle", "idle"),
        (30, 50, HOURS, "exceeded", "taken"),
        (30, 50, 12, "open", "not_over"),
        (0, 50, 23, "kept", "within_early"),
        (90, 50, 23, "exceeded", "taken"),
    ],
)
def test_the_verdict_on_a_cap(industry: int, others_wait: int, hours: int, verdict: str, reason: str) -> None:
    closed = [
        row
        for at in range(0, hours * HOUR, HOUR)
        for row in (
            HourUsage(at, Beneficiary.REGIONAL, industry * HOUR, 0, "industry"),
            HourUsage(at, Beneficiary.NON_REGIONAL, (100 - industry) * HOUR, others_wait * HOUR),
        )
    ]
    found = measured(CAP, closed, hours * HOUR)
    assert judge(found) == (verdict, reason)
    assert assess(found, 0.01).floor_side is None


def test_the_unclassified_keep_no_cap() -> None:
    closed = [HourUsage(0, Beneficiary.UNCLASSIFIED, 50, 0), HourUsage(0, Beneficiary.REGIONAL, 50, 0)]
    assert judge(measured(replace(CAP, unclassified_limit=0.1), closed)) == ("open", "cap_unclassified")


def test_whom_a_promise_is_made_to_is_dated_and_all_conditions_hold() -> None:
    rule = Rule(
        name="r", beneficiary=Beneficiary.REGIONAL, conditions={"account_subtree": frozenset({"hospital"})}
    )
    who = (("account_subtree", ("hospital",)), ("beneficiary", ("regional",)), ("qos", ("normal",)))
    promises = frozenset({Membership("eu", HOUR, 2 * HOUR, who), Membership("all", 0, FOREVER, who[:1])})
    rules = Rules((rule,), {"umcg": "hospital", "hospital": "root"}, promises=promises)

    def of(subject: Subject, at: int) -> str:
        return rules.mostly(subject, at).promises

    assert [of(RUN.subject, at) for at in (0, HOUR, 2 * HOUR)] == ["all", "all eu", "all"]
    assert of(RUN.subject._replace(qos="long"), HOUR) == "all"
    assert of(RUN.subject._replace(account="astro"), HOUR) == "", "what is unclassified counts for none"
    assert [part.since for part in rules.parts(RUN.subject)] == [0, HOUR, 2 * HOUR]


def test_only_promises_change_the_digest_of_rules_that_have_some() -> None:
    without = Rules(())
    assert replace(without, promises=frozenset()).digest == without.digest
    assert replace(without, promises=frozenset({Membership("eu", 0, 1, ())})).digest != without.digest
