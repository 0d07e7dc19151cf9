"""python -m tests.benchmarks.evaluate OUT [LOGS]: the control law beside other policies, on many draws.

Synthetic scenarios always; real logs from the folder LOGS where it has them (curie_2012, philly_2017: CSV,
with a table of regional accounts beside each). A draw of a log moves each submission by up to an hour.
The kind ``large`` draws the regional accounts of a log anew instead.
The first draw of everything comes first, and has every policy; later draws have the law, static shares, the
partition and the oracle. A decision is made every hour, half as often as ``saf simulate`` makes one: the law
takes most of the time, and it decides the same every six hours (see ABLATIONS).
Results are written to OUT as JSON as they come, and what OUT has is not done again;
``tests.benchmarks.evaluation_page`` makes pages of them.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from slurm_ai_factory.cli.simulate import sweep
from slurm_ai_factory.core.control.controller import Policy
from slurm_ai_factory.core.records import DAY
from slurm_ai_factory.simulation import formats, policies, scenarios, workload
from slurm_ai_factory.simulation.arrays import Floats
from slurm_ai_factory.simulation.evaluation import PolicyResult, evaluate
from slurm_ai_factory.simulation.layout import REGION, ModelSettings, one_pool
from slurm_ai_factory.simulation.replay import Faults, Replayed, Trial, promise_of, replay
from slurm_ai_factory.simulation.workload import User, Workload

TARGET, MARGIN = 0.25, 0.01
ZONE = ZoneInfo("Europe/Amsterdam")
ROLLING, QUARTER = "rolling:30d", "quarter"
MAIN = ("static:0.25", "partition:0.25", "oracle")
PEERS = (
    "static:0.33", "reset:quarter", "guarantee:0.25", "karma:0.25,0.5", "dmmf:0.25", "kai:0.25,1",
    "fstarget:0.25", "onesided:0.25,30d",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log, and what it is replayed on; instants are seconds since the epoch."""

    name: str
    resource: str
    capacity: int
    since: int = 0
    until: int = 2**62
    seeds: tuple[tuple[str, int], ...] = ()  #: (column of regional accounts, draws)


LOGS = (
    Log(
        name="philly_2017", resource="gres/gpu", capacity=640,
        seeds=(("regional_bursty", 2), ("regional_broad", 2), ("regional_anchor", 2)),
    ),
    Log(
        name="curie_2012", resource="cpu", capacity=80_000, since=1_334_448_000, until=1_349_049_600,
        seeds=(("regional_bursty", 2), ("regional_broad", 1)),
    ),
)  # fmt: skip
LARGE_SEEDS = {"philly_2017": 5, "curie_2012": 4}
LOAD, LEAST, MOST, WIDEST = 1.2, 0.32, 0.38, 0.25
"""Of ``large jobs``: work per capacity, the region's part of the work, and a job's part of the machine. Both
sides always ask for more than they are owed, and a job moves usage far: so shares run high."""
SCENARIO_SEEDS = 5
PERIOD = 3600
"""Seconds between two decisions."""
ALIKE = ("long", "tiny")
"""Scenarios of which two draws do: no policy leaves anything to blame there, in any draw."""

ABLATIONS: dict[str, dict[str, object]] = {
    "floor": {},
    "floor, without capture": {"capture": False},
    "floor, surplus held against the region": {"debit_max": 1.0},
    "floor, credit without bound": {"credit_max": 1.0},
    "floor, without holding small steps": {"band": 0.0},
    "floor, one decision in 6 hours": {"period_seconds": 6 * 3600},
    "floor, one decision in 24 hours": {"period_seconds": 24 * 3600},
}
FAULTS = {
    "floor": Faults(),
    "floor, daemon dead for a week": Faults(asleep=((90 * DAY, 97 * DAY),)),
    "floor, slurmctld down for 6 hours": Faults(stopped=((90 * DAY, 90 * DAY + DAY // 4),)),
    "floor, half of the writes lost": Faults(lost_writes=0.5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One draw of one case, under every policy."""

    kind: str  #: log, large, scenario, ablation, fault or half-life
    case: str
    seed: int
    label: str = ""
    folder: str = ""


KEY = ("kind", "case", "label", "seed")
"""What a task is told by."""


def tasks(folder: str) -> list[Task]:
    """Everything, the first draws first and of these the long ones."""
    logs = [
        Task(kind="log", case=log.name, seed=seed, label=label, folder=folder)
        for log in LOGS[::-1]
        if folder and (Path(folder) / f"{log.name}.csv.gz").exists()
        for label, draws in log.seeds
        for seed in range(draws)
    ]
    logs += [
        Task(kind="large", case=log.name, seed=seed, folder=folder)
        for log in LOGS[::-1]
        if folder and (Path(folder) / f"{log.name}.csv.gz").exists()
        for seed in range(LARGE_SEEDS[log.name])
    ]
    synthetic = [
        Task(kind="scenario", case=name, seed=seed)
        for name in scenarios.SCENARIOS
        for seed in range(2 if name in ALIKE else SCENARIO_SEEDS)
    ]
    parts = [
        Task(kind=kind, case=name, seed=0)
        for kind in ("ablation", "fault", "half-life")
        for name in ("saturated", "holiday", "burst")
    ]
    return sorted([*logs, *synthetic, *parts], key=lambda task: task.seed)


def run(task: Task) -> list[dict[str, object]]:
    rows = {"log": _log, "large": _large, "scenario": _scenario, "ablation": _ablation, "fault": _fault}
    found = rows.get(task.kind, _half_life)(task)
    return [{**asdict(task), "window": trial.window, **_plain(trial, result)} for trial, result in found]


def _plain(trial: Trial, result: PolicyResult) -> dict[str, object]:
    """Charges in days of the whole machine; the windows of the first draw only, for the plot."""
    day = trial.layout.total * DAY
    row = asdict(result)
    for name in ("shortfall_charge", "attributable_shortfall_charge", "inversion_charge"):
        row[name] = None if row[name] is None else row[name] / day
    row["windows"] = row["windows"][:: max(1, len(row["windows"]) // 400)]
    return row


def _log(task: Task) -> Iterator[tuple[Trial, PolicyResult]]:
    log = next(one for one in LOGS if one.name == task.case)
    work, users = read_log(task, log)
    trial = trial_of_work(work, users, log.resource, log.capacity, ROLLING)
    first = task.seed == 0 and task.label == log.seeds[0][0]
    yield from _compared(trial, (*MAIN, *PEERS) if first else MAIN)


def _large(task: Task) -> Iterator[tuple[Trial, PolicyResult]]:
    log = next(one for one in LOGS if one.name == task.case)
    work, capacity = fitting(read_work(task.folder, log), log)
    charge = work.amount(log.resource) * work.runtime
    region = work.users_of(drawn_accounts(work, charge, task.seed))
    trial = trial_of_work(work, region, log.resource, capacity, ROLLING)
    for name in ("floor", "static:0.25"):
        yield trial, evaluate(trial, replay(trial, policies.named(name, TARGET)))


def fitting(work: Workload, log: Log) -> tuple[Workload, int]:
    """The jobs that need at most WIDEST of a machine, and the machine on which their load is LOAD."""
    amount, span = work.amount(log.resource), int(work.submit[-1] - work.submit[0])
    capacity = log.capacity
    while True:
        fits = (amount > 0) & (amount <= WIDEST * capacity)
        before, capacity = capacity, int(amount[fits] @ work.runtime[fits] / (span * LOAD))
        if capacity >= before:
            return work.only(fits), before


def drawn_accounts(work: Workload, charge: Floats, seed: int) -> frozenset[str]:
    """Accounts at random, until they have LEAST to MOST of the work."""
    random, parts = np.random.default_rng(seed), dict.fromkeys((account for account, _ in work.users), 0.0)
    for (account, _), part in zip(
        work.users, np.bincount(work.user, charge, len(work.users)) / charge.sum(), strict=True
    ):
        parts[account] += part
    while True:
        drawn: set[str] = set()
        for account in random.permutation(sorted(parts)).tolist():
            if sum(parts[name] for name in (*drawn, account)) <= MOST:
                drawn.add(account)
            if sum(map(parts.__getitem__, drawn)) >= LEAST:
                return frozenset(drawn)


def read_work(folder: str, log: Log) -> Workload:
    with gzip.open(Path(folder) / f"{log.name}.csv.gz", "rt", encoding="utf-8") as lines:
        whole = workload.gathered(log.name, formats.read_jobs(lines))
    return whole.only((whole.submit >= log.since) & (whole.submit < log.until))


def read_log(task: Task, log: Log) -> tuple[Workload, frozenset[User]]:
    part = read_work(task.folder, log)
    with (Path(task.folder) / f"{log.name}.regional.csv").open(encoding="utf-8") as lines:
        accounts = formats.regional_accounts(lines, task.label)
    return (part.shifted(task.seed, 3600) if task.seed else part), part.users_of(accounts)


def _scenario(task: Task) -> Iterator[tuple[Trial, PolicyResult]]:
    yield from _compared(drawn_trial(task), MAIN if task.seed else (*MAIN, *PEERS))


def _compared(trial: Trial, others: tuple[str, ...]) -> Iterator[tuple[Trial, PolicyResult]]:
    """The law and other policies."""
    for name in ("floor", *others):
        yield trial, evaluate(trial, replay(trial, policies.named(name, TARGET)))


def drawn_trial(task: Task, half_life: int = 7 * DAY) -> Trial:
    work, shape = scenarios.scenario(task.case, task.seed)
    window = QUARTER if task.case in ("late", "early") else ROLLING
    return trial_of_work(work, work.users_of(scenarios.REGIONAL), "cpu", shape.cores, window, half_life)


def _ablation(task: Task) -> Iterator[tuple[Trial, PolicyResult]]:
    trial = drawn_trial(task)
    for name, changed in ABLATIONS.items():
        control = replace(trial.control, **changed)  # type: ignore[arg-type]
        changed_trial = replace(trial, control=control, period=control.period_seconds)
        yield changed_trial, _renamed(changed_trial, name)


def _fault(task: Task) -> Iterator[tuple[Trial, PolicyResult]]:
    trial = drawn_trial(task)
    for name, faults in FAULTS.items():
        faulty = replace(trial, faults=faults)
        yield faulty, _renamed(faulty, name)


def _half_life(task: Task) -> Iterator[tuple[Trial, PolicyResult]]:
    for days in (1, 7, 14, 30):
        trial = drawn_trial(task, days * DAY)
        yield trial, _renamed(trial, f"floor, half-life {days} d")
        static = replay(trial, policies.named("static:0.25", TARGET))
        yield trial, evaluate(trial, replace(static, policy=f"static:0.25, half-life {days} d"))


def _renamed(trial: Trial, name: str) -> PolicyResult:
    lived: Replayed = replay(trial, policies.named("floor", TARGET))
    return evaluate(trial, replace(lived, policy=name))


def trial_of_work(
    work: Workload, users: frozenset[User], resource: str, capacity: int, window: str,
    half_life: int = 7 * DAY,
) -> Trial:  # fmt: skip
    work = work.only((work.amount(resource) > 0) & (work.amount(resource) <= capacity))
    control = Policy(account=REGION, target_share=TARGET, half_life_seconds=half_life, period_seconds=PERIOD)
    return Trial(
        workload=work, regional=users, layout=one_pool(work, resource, capacity),
        settings=ModelSettings(half_life=half_life), promise=promise_of(TARGET, MARGIN, resource),
        window=window, zone=ZONE, control=control, period=PERIOD,
    )  # fmt: skip


def main() -> int:
    """Run everything on a process per core."""
    out, folder = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    rows: list[dict[str, object]] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else []
    done_before = {tuple(row[name] for name in KEY) for row in rows}
    todo = [task for task in tasks(folder) if tuple(getattr(task, name) for name in KEY) not in done_before]
    with sweep.workforce() as client:
        for number, (_, made) in enumerate(sweep.swept(client, run, [(task,) for task in todo]), 1):
            rows += made
            out.write_text(json.dumps(rows), encoding="utf-8")
            print(f"\r{number} of {len(todo)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
