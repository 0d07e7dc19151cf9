"""The model cluster against a real Slurm: the same jobs, and the region's share after every decay pass."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.acceptance.judge import Run, share
from tests.cluster.fixtures import needs_slurm
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import REGIONAL, SHARES, Tree, plant
from tests.end_to_end.conftest import set_shares

pytest.importorskip("numba", reason="the extra 'simulate' is not installed")

from slurm_ai_factory.simulation.cluster import ModelCluster
from slurm_ai_factory.simulation.layout import ModelSettings, one_pool
from slurm_ai_factory.simulation.workload import Job, gathered

SPEED = 20
MINUTE, HOUR = 60, 3600
LENGTH = 70 * MINUTE
HALF_LIFE = HOUR
CPUS_PER_NODE = 16
CPUS = 4 * CPUS_PER_NODE
WARM_UP = 20 * MINUTE
"""Until then, what one job does is more than a point or two."""
POINTS = 0.02
SIZES = {1: 4, 2: 4, 4: 1}
SECONDS = (4 * MINUTE, 10 * MINUTE)
LOAD = {"national": 1.0, "regional": 0.9}
ABSENT = {"national": (12 * MINUTE, 34 * MINUTE), "regional": (0, 5 * MINUTE)}
"""The others leave for a while, and the region comes late: its usage goes far above its share and back."""
RAISED_AFTER, RAISED = 50 * MINUTE, 150
"""RawShares of the region from then on, while it is held back: from the next pass on it is first again."""
pytestmark = [pytest.mark.alone, *needs_slurm(SPEED)]


class Submission(NamedTuple):
    """A job of the stream."""

    at: float
    side: str
    account: str
    user: str
    cpus: int
    seconds: int


class Pass(NamedTuple):
    """Decayed usage of both sides after a pass, and when that was."""

    at: int
    regional: float
    national: float

    @property
    def usage_share(self) -> float:
        return self.regional / (self.regional + self.national)


class Seen(NamedTuple):
    """What a real Slurm did: passes, and every job as its accounting has it."""

    passes: list[Pass]
    raised_at: int
    jobs: list[Job]
    runs: list[Run]


class Modelled(NamedTuple):
    """What the model made of the same jobs."""

    passes: list[Pass]
    runs: list[Run]


def stream(tree: Tree, seed: int) -> list[Submission]:
    """Both sides' jobs, some hundreds of them, in order."""
    draw = random.Random(seed)
    size = sum(cpus * often for cpus, often in SIZES.items()) / sum(SIZES.values())
    gap = size * sum(SECONDS) / 2 / CPUS
    found: list[Submission] = []
    for side, accounts in (("national", tree.national), ("regional", tree.regional)):
        at = 0.0
        while (at := at + draw.expovariate(LOAD[side] / gap)) < LENGTH:
            account, users = draw.choice(sorted(accounts.items()))
            cpus = draw.choices(list(SIZES), list(SIZES.values()))[0]
            one = Submission(at, side, account, draw.choice(users), cpus, draw.randint(*SECONDS))
            away, back = ABSENT[side]
            found += [] if away <= at < back else [one]
    return sorted(found)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    directory = tmp_path_factory.mktemp("model") / "cluster"
    with SlurmCluster(
        directory, cpus_per_node=CPUS_PER_NODE, speed=SPEED, half_life=f"0-{HALF_LIFE // HOUR}"
    ) as cluster:
        tree = plant(cluster)
        jobs: dict[int, int] = {}
        passes, raised_at = _lived(cluster, stream(tree, 1), jobs)
        yield Seen(passes, raised_at, *_accounted(cluster, tree, jobs, int(cluster.now())))


def _lived(
    cluster: SlurmCluster, jobs: list[Submission], submitted: dict[int, int]
) -> tuple[list[Pass], int]:
    """Submit each job when its time has come, and note every pass and when the shares were raised."""
    began, raised_at = cluster.now(), 0
    last, passes, left = _last_pass(cluster), [], list(jobs)
    while (now := cluster.now()) < began + LENGTH:
        while left and left[0].at <= now - began:
            one = left.pop(0)
            job = cluster.submit(one.user, one.account, seconds=one.seconds, cpus=one.cpus)
            submitted[job] = one.seconds
        if not raised_at and now > began + RAISED_AFTER:
            set_shares(cluster, RAISED)
            raised_at = int(cluster.now())
        if (at := _last_pass(cluster)) != last:
            printed = cluster.run("sshare", "-n", "-P", "-A", "regional,national", "-o", "Account,RawUsage")
            usage = dict(line.split("|") for line in printed.replace(" ", "").splitlines())
            passes.append(Pass(at, float(usage["regional"]), float(usage["national"])))
            last = at
        time.sleep(0.1)
    return passes, raised_at


def _last_pass(cluster: SlurmCluster) -> int:
    """When the last whole pass began, as slurmctld writes it down after each (_write_last_decay_ran)."""
    file = cluster.directory / "state" / "priority_last_decay_ran"
    return int.from_bytes(file.read_bytes()[:8], "big") if file.exists() else 0


def _accounted(
    cluster: SlurmCluster, tree: Tree, seconds: dict[int, int], now: int
) -> tuple[list[Job], list[Run]]:
    """Every job, with the time that it ran or would have run, and when it did."""
    fields = "JobIDRaw,Account,User,Submit,Start,End,ElapsedRaw,TimelimitRaw,ReqCPUS,State"
    command = ("env", "SLURM_TIME_FORMAT=%s", "sacct", "-S", "now-1day", "-a", "-X", "-n", "-P", "-o", fields)
    jobs, runs = [], []
    for line in cluster.run(*command).splitlines():
        number, account, user, submit, start, end, elapsed, limit, cpus, state = line.split("|")
        ended = state == "COMPLETED"
        runtime = int(elapsed) if ended else seconds.get(int(number), 0)
        jobs.append(Job(account, user, int(submit), runtime, int(limit) * MINUTE, int(cpus)))
        begun = int(start) if start.isdigit() else None
        runs.append(Run(account in tree.regional, int(submit), begun, int(end) if ended else now, int(cpus)))
    return jobs, runs


@pytest.fixture(scope="module")
def modelled(seen: Seen) -> Modelled:
    """The same jobs, submitted at the same instants, on the model cluster, in Slurm's own configuration.

    Slurm's main scheduler looks when a job has ended or come, its backfill reserves for each job it looks at.
    The model's passes are on whole minutes: its time is shifted so that they are when Slurm's were.
    """
    shift = seen.passes[0].at % MINUTE
    workload = gathered("stream", [one._replace(submit=one.submit - shift) for one in seen.jobs])
    settings = ModelSettings(
        half_life=HALF_LIFE, calc_period=MINUTE, weight_age=0, interval=1, depth=100, conservative=True
    )
    regional = workload.users_of(frozenset(REGIONAL))
    cluster = ModelCluster(workload, regional, one_pool(workload, "cpu", CPUS), settings, SHARES)
    passes: list[Pass] = []
    for at in range(cluster.began + MINUTE, seen.passes[-1].at + 1, MINUTE):
        if at - MINUTE < seen.raised_at - shift <= at:
            cluster.advance(seen.raised_at - shift)
            cluster.set_raw_shares("regional", RAISED)
        cluster.advance(at + 1)  # a pass at an instant is what happens first in it
        usage = {one.account: float(one.raw_usage or 0) for one in cluster.associations() if not one.user}
        passes.append(Pass(at + shift, usage["regional"], usage["national"]))
    return Modelled(passes, _runs(cluster, shift))


def _runs(cluster: ModelCluster, shift: int) -> list[Run]:
    jobs, start, end = cluster.jobs
    zero = cluster.began + shift
    return [
        Run(
            bool(jobs.side[job]), zero + int(jobs.submit[job]), zero + int(start[job]), zero + int(end[job]),
            int(jobs.weight[job]),
        )
        for job in range(len(start)) if start[job] >= 0
    ]  # fmt: skip


def test_the_stream_takes_the_region_above_its_share_and_back_and_up_again(seen: Seen) -> None:
    began = seen.passes[0].at
    raised = began + RAISED_AFTER
    at_first = max(one.usage_share for one in seen.passes if one.at < raised)
    held_back = next(one.usage_share for one in seen.passes if one.at > raised)
    assert len(seen.jobs) > 300
    assert len(seen.passes) > 0.8 * LENGTH / MINUTE
    assert at_first > SHARES["regional"] / 100 + 0.1
    assert held_back < at_first - 0.03
    assert seen.passes[-1].usage_share > held_back + 0.03


def test_usage_after_every_pass(seen: Seen, modelled: Modelled) -> None:
    in_model = {one.at: one.usage_share for one in modelled.passes if one.regional + one.national}
    differences = [(_minute(seen, one), one.usage_share - in_model[one.at]) for one in _warm(seen)]
    assert [one for one in differences if abs(one[1]) > POINTS] == []


def test_delivered_share_at_every_pass(seen: Seen, modelled: Modelled) -> None:
    differences = [
        (_minute(seen, one), _delivered(seen.runs, one) - _delivered(modelled.runs, one))
        for one in _warm(seen)
    ]
    assert [one for one in differences if abs(one[1]) > POINTS] == []


def _minute(seen: Seen, one: Pass) -> int:
    return round((one.at - seen.passes[0].at) / MINUTE)


def _warm(seen: Seen) -> list[Pass]:
    return [one for one in seen.passes if one.at > seen.passes[0].at + WARM_UP]


def _delivered(runs: list[Run], one: Pass) -> float:
    """The region's part of all CPU-seconds so far."""
    delivered = share(runs, 0, one.at)
    assert delivered is not None
    return delivered
