"""Peers' rules by their own definitions: what each must hold whatever it is given, and where each ends."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import DAY, HOUR
from slurm_ai_factory.simulation import peers, policies
from slurm_ai_factory.simulation.arrays import ALL, REGIONAL
from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool
from slurm_ai_factory.simulation.peers import Peer
from slurm_ai_factory.simulation.workload import Job, Workload
from tests.simulation.built import CORES, FIFO, Ran, cluster, job, job_lists, lived, regional, workload
from tests.simulation.test_replay import replayed, scenario, trial

shares = st.sampled_from((0.0, 0.25, 0.5, 0.75))
rules = st.builds(
    Peer, st.sampled_from(sorted(peers.KINDS.values())), shares, st.sampled_from((0.0, 0.5, 1.0))
)
modes = st.booleans()


def under(peer: Peer, work: Workload, **settings: Any) -> ModelCluster:
    """A cluster of CORES that has looked in the second in which something changed."""
    shares = policies.raw_shares(0.25)
    settings = {"interval": 1} | settings
    return ModelCluster(
        work, regional(work), one_pool(work, "cpu", CORES), ModelSettings(**settings), shares, peer=peer
    )


def single(jobs: list[Job]) -> list[Job]:
    """The same jobs, each of one core."""
    return [one._replace(cpus=1) for one in jobs]


@given(job_lists(), rules, modes)
def test_every_rule_starts_each_job_once_and_no_more_than_there_is(
    jobs: list[Job], peer: Peer, conservative: bool
) -> None:
    done = lived(under(peer, workload(jobs), conservative=conservative))
    assert all(one.submit <= one.start and one.end - one.start == one.runtime for one in done)
    for now in {one.start for one in done}:
        assert sum(one.cpus for one in done if one.start <= now < one.end) <= CORES


@given(job_lists(), rules, modes)
def test_no_rule_leaves_a_core_idle_while_a_job_of_one_core_waits(
    jobs: list[Job], peer: Peer, conservative: bool
) -> None:
    done = lived(under(peer, workload(single(jobs)), conservative=conservative))
    for now in {one.start for one in done} | {one.submit for one in done} | {one.end for one in done}:
        waits = any(one.submit <= now < one.start for one in done)
        assert not waits or sum(one.start <= now < one.end for one in done) == CORES


@given(job_lists(), shares)
def test_a_guarantee_lets_no_other_start_while_the_region_has_less_than_it_is_owed(
    jobs: list[Job], share: float
) -> None:
    """With jobs of one core: after each start of an other the region has min(d_R, f C) at least."""
    done = lived(under(Peer(peers.GUARANTEE, share), workload(single(jobs))))
    for now in {one.start for one in done if not one.regional}:
        has = sum(one.regional and one.start <= now < one.end for one in done)
        wants = sum(one.regional and one.submit <= now < one.end for one in done)
        assert has >= min(wants, share * CORES)


@given(st.lists(st.booleans(), min_size=1, max_size=12), shares)
def test_a_guarantee_cuts_an_idle_machine_as_it_says(sides: list[bool], share: float) -> None:
    jobs = [job("r0" if side else "n0", 0, HOUR) for side in sides]
    done = lived(under(Peer(peers.GUARANTEE, share), workload(jobs)), until=1)
    wants, others = sides.count(True), sides.count(False)
    owed = min(wants, max(share * CORES, CORES - others))
    assert sum(one.start == 0 for one in done if one.regional) == owed


@given(job_lists(), modes)
def test_a_target_of_nothing_is_first_come_first_served(jobs: list[Job], conservative: bool) -> None:
    mine = lived(under(Peer(peers.FSTARGET, 0.0), workload(jobs), conservative=conservative, **FIFO))
    assert mine == lived(cluster(workload(jobs), conservative=conservative, **FIFO))


@given(job_lists())
def test_a_one_sided_law_for_nothing_is_fair_tree(jobs: list[Job]) -> None:
    assert lived(under(Peer(peers.ONESIDED, 0.0, DAY), workload(jobs))) == lived(
        cluster(workload(jobs), interval=1)
    )


@given(job_lists(), shares, st.sampled_from((1, 2, 5)))
def test_a_one_sided_law_puts_the_region_first_while_its_trailing_share_is_below(
    jobs: list[Job], share: float, hours: int
) -> None:
    """No other starts then while a regional job that needs one core waits."""
    done = lived(under(Peer(peers.ONESIDED, share, hours * HOUR), workload(single(jobs))))
    for now in {one.start for one in done if not one.regional}:
        since = max(0, now - hours * HOUR) // HOUR * HOUR
        if _charge(done, since, now, (True,)) < share * _charge(done, since, now, (True, False)):
            assert not any(one.regional and one.submit <= now < one.start for one in done)


def _charge(jobs: list[Ran], since: int, until: int, sides: tuple[bool, ...]) -> int:
    return sum(max(0, min(one.end, until) - max(one.start, since)) for one in jobs if one.regional in sides)


@given(job_lists(), st.sampled_from((0.25, 0.5)))
def test_dynamic_max_min_starts_the_side_that_had_less_for_its_part(jobs: list[Job], share: float) -> None:
    done = lived(under(Peer(peers.DMMF, share), workload(single(jobs))))
    for now in {one.start for one in done}:
        had = _charge(done, 0, now, (True,)) * (1 - share), _charge(done, 0, now, (False,)) * share
        behind = had[0] < had[1] if had[0] != had[1] else None
        for one in done:
            if one.start == now and behind is not None and one.regional is not behind:
                assert not any(two.regional is behind and two.submit <= now < two.start for two in done)


@cache
def both_want_all() -> Workload:
    return scenario("saturated", 60)


@pytest.mark.parametrize(
    "policy",
    ["karma:0.25,0", "karma:0.25,0.5", "karma:0.25,1", "dmmf:0.25", "kai:0.25,1", "karma:0.4,0.5",
     "dmmf:0.4", "kai:0.4,2"],
)  # fmt: skip
def test_where_both_sides_want_all_each_gets_its_part(policy: str) -> None:
    hours = replayed(trial(both_want_all()), policy).cluster.hours[20 * 24 :].sum(axis=0)
    assert hours[REGIONAL] / hours[ALL] == pytest.approx(float(policy.split(":")[1].split(",")[0]), abs=0.01)


@pytest.mark.parametrize("policy", ["guarantee:0.25", "fstarget:0.25", "onesided:0.25,30d"])
def test_a_rule_with_one_side_gives_at_least_its_part(policy: str) -> None:
    """And more: the job that crosses the part starts as a whole, and what is left over is not taken back."""
    hours = replayed(trial(both_want_all()), policy).cluster.hours[30 * 24 :].sum(axis=0)
    assert hours[REGIONAL] / hours[ALL] >= 0.245


def test_karma_pays_back_what_the_region_lent_and_a_guarantee_does_not() -> None:
    """The region is away for 20 days and comes back: others borrowed its part with credits."""
    work = both_want_all()
    away = work.only(~(trial(work).side & (work.submit < work.submit[0] + 20 * DAY)).astype(bool))
    after = slice(20 * 24, 30 * 24)
    karma, guarantee = (
        replayed(trial(away), policy).cluster.hours[after].sum(axis=0)
        for policy in ("karma:0.25,0.5", "guarantee:0.25")
    )
    assert karma[REGIONAL] / karma[ALL] > 0.4 > 0.27 > guarantee[REGIONAL] / guarantee[ALL]


amounts = st.integers(0, 1000)


@given(st.floats(0, 1), st.integers(1, 1000), amounts, amounts)
def test_what_is_guaranteed_is_never_more_than_wanted_or_there(
    share: float, up: float, demand: float, others: float
) -> None:
    owed = peers.guaranteed(share, up, demand, others)
    assert min(demand, share * up) <= owed <= min(demand, up)
    if demand + others <= up:
        assert owed == demand


@given(st.floats(0.01, 0.99), st.floats(0, 10), amounts, amounts, st.floats(1, 2000))
def test_a_weight_falls_with_what_was_used(
    share: float, k: float, used: float, others: float, idle: float
) -> None:
    up = used + 1 + others + idle
    less, more = (peers.kai_weights(share, k, mine, mine + others, up) for mine in (used, used + 1))
    assert less[0] >= more[0] >= 0
    assert less[1] == pytest.approx(more[1])
    assert peers.kai_weights(share, 0, used, used + others, up) == (share, 1 - share)


@pytest.mark.parametrize("name", sorted(peers.KINDS))
def test_a_rule_repeated_is_the_same_however_often_one_looks(name: str) -> None:
    jobs = [job(f"{side}0", n * 400, HOUR, 1 + n % 3) for n in range(30) for side in "rn"]
    peer = Peer(peers.KINDS[name], 0.25, HOUR if name == "onesided" else 0.5)
    at_once, in_steps = (under(peer, workload(jobs), interval=30) for _ in range(2))
    for since, _ in pairwise(range(0, 40 * HOUR, 1100)):
        in_steps.advance(in_steps.began + since)
    assert lived(at_once, at_once.began + 60 * HOUR) == lived(in_steps, in_steps.began + 60 * HOUR)
