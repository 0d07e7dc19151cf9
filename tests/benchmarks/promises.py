"""python -m tests.benchmarks.promises OUT DRAWS [LOGS]: three promises that cross, on many draws.

EuroHPC's floor of 0.50, the region's of 0.25 and a cap of 0.20 for industry, which crosses both. Each draw
deals the accounts out anew. The scenarios always; curie_2012 from the folder LOGS where it is there. Results
are written to OUT as they come, and what OUT has is not done again; the page is made of them at the end.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from slurm_ai_factory.cli.simulate import sweep
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.several import MOST, fitted
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import HOUR, Bound
from slurm_ai_factory.simulation import scenarios
from slurm_ai_factory.simulation.commitments import Commitments
from slurm_ai_factory.simulation.policies import Named
from slurm_ai_factory.simulation.replay import Replayed, Trial, promise_of, replay
from slurm_ai_factory.simulation.verdicts import outcomes
from slurm_ai_factory.simulation.workload import Workload
from tests.benchmarks.evaluate import LOGS, MARGIN, ROLLING, Log, drawn_trial, read_log, trial_of_work
from tests.benchmarks.evaluate import Task as Draw
from tests.benchmarks.funder import ABOVE, DAILY_WRITES, REQUIREMENTS, table
from tests.benchmarks.keepable import Rule, asked_in, keepable, rules_of

PAGE = Path(__file__).parents[2] / "docs" / "evaluation" / "promises.md"
NOTE = "<!-- Made by `make evaluate-promises`; do not edit. -->"
PERIOD = 6 * HOUR
"""Seconds between two decisions; a daemon decides more often."""
BACKLOG = 60
"""Jobs that wait of each group of accounts before its users stop submitting."""
LAW, STATIC = "floor", "static"
"""The law, and rows that keep the promised shares."""
PARTS = {"eu": 0.5, "region": 0.25, "": 0.25}
"""Of all work, what is dealt out for each floor, and for none."""
INDUSTRIAL = 0.25
"""The chance of an account to be industrial, whatever else it is."""
USUAL_RUNS = 3
"""So many runs, each weighted by its charge, are the margin."""
ALL_THE_TIME = 0.95
"""Of the hours of a window: the machine is empty when the workload begins."""
SLACK = 0.02
"""How far below its part of what fits a floor may end where the floors do not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A draw of a workload under the promises, or under floors that do not fit."""

    case: str
    seed: int
    fits: bool = True
    folder: str = ""


def cases(draws: int, folder: str) -> Iterator[Case]:
    """Everything, the first draws first."""
    there = folder and (Path(folder) / "curie_2012.csv.gz").exists()
    for seed in range(draws):
        yield from (Case(case=name, seed=seed) for name in scenarios.SCENARIOS)
        yield Case(case="saturated", seed=seed, fits=False)
        if there:
            yield Case(case="curie_2012", seed=seed, folder=folder)


def run(case: Case) -> list[dict[str, Any]]:
    """A row for each policy and promise."""
    trial = _trial_of_promises(case)
    return [
        row
        for policy in (LAW, STATIC)
        for row in _rows(case, trial, replay(trial, Named(policy, policy, trial.promise.target_share)))
    ]


def _rows(case: Case, trial: Trial, lived: Replayed) -> list[dict[str, Any]]:
    found, rules = outcomes(trial, lived), cut(rules_of(trial))
    kept = {
        window: keepable(asked_in(lived, window), rules)
        for window in {broken.window for one in found for broken in one.broken}
    }
    return [
        {
            **asdict(case), "policy": lived.policy, "promise": one.promise.name, "bound": one.promise.bound,
            "share": one.promise.target_share, "margin": one.promise.margin,
            "delivered": one.delivered_share, "worst": one.worst_window_share, "windows": one.windows,
            "broken": len(one.broken),
            "keepable": [(broken.share, broken.asked) for broken in one.broken if kept[broken.window]],
            "writes": one.writes_per_day,
        }
        for one in found
    ]  # fmt: skip


def cut(rules: Sequence[Rule]) -> list[Rule]:
    """The rules, with floors that do not fit cut as the law cuts them."""
    floors = {place: rule.share for place, rule in enumerate(rules) if rule.bound is Bound.FLOOR}
    given = fitted(floors, floors)
    return [rule._replace(share=given.get(place, rule.share)) for place, rule in enumerate(rules)]


def margin_of(trial: Trial) -> float:
    """The margin that absorbs the ripple of runs: USUAL_RUNS as a part of a window, in whole percent."""
    charge = trial.layout.weight * trial.workload.runtime
    window = windows.window(trial.window, int(trial.workload.submit[0]), trial.zone)
    part = float(charge @ charge / charge.sum()) / (trial.layout.total * (window.until - window.since))
    return max(MARGIN, ceil(100 * USUAL_RUNS * part) / 100)


def promises_of(case: Case, margin: float = MARGIN) -> tuple[Promise, ...]:
    """The three promises; the floors add up to 1.1 where they do not fit."""
    like = promise_of(0.5, margin, _log(case).resource if case.folder else "cpu")
    eu, region = (0.5, 0.25) if case.fits else (0.6, 0.5)
    return (
        replace(like, name="eu", target_share=eu), replace(like, name="region", target_share=region),
        replace(like, name="industry", target_share=0.2, bound=Bound.CAP),
    )  # fmt: skip


def _log(case: Case) -> Log:
    return next(log for log in LOGS if log.name == case.case)


def _trial_of_promises(case: Case) -> Trial:
    draw = Draw(kind="", case=case.case, seed=case.seed, label="regional_bursty", folder=case.folder)
    if case.folder:
        log = _log(case)
        work, users = read_log(draw, log)
        trial = trial_of_work(work, users, log.resource, log.capacity, ROLLING)
    else:
        trial = drawn_trial(draw)
    promises = promises_of(case, margin_of(trial))
    commitments = Commitments(
        promises=promises, accounts=dealt(trial.workload, trial.layout.weight, case.seed)
    )
    backlog = trial.workload.backlog and BACKLOG
    return replace(
        trial, workload=replace(trial.workload, backlog=backlog), promise=promises[0], period=PERIOD,
        commitments=commitments, control=replace(trial.control, period_seconds=PERIOD),
    )  # fmt: skip


def dealt(work: Workload, weight: np.ndarray[Any, Any], seed: int) -> Mapping[str, frozenset[str]]:
    """The promises to each account: floors in PARTS of all work, and industry across them, at random."""
    chance = np.random.default_rng(seed)
    charge: defaultdict[str, float] = defaultdict(float)
    for (account, _), amount in zip(
        work.users, np.bincount(work.user, weight * work.runtime, len(work.users)), strict=True
    ):
        charge[account] += float(amount)
    found, so_far = {}, 0.0
    for account in chance.permutation(sorted(charge)).tolist():
        floor = next((name for name in PARTS if so_far < sum_until(name) * sum(charge.values())), "")
        names = {floor} | ({"industry"} if chance.random() < INDUSTRIAL else set())
        found[account] = frozenset(names - {""})
        so_far += charge[account]
    return found


def sum_until(name: str) -> float:
    """Which part of all work has been dealt out when a floor has its part.

    >>> sum_until("eu"), sum_until("region")
    (0.5, 0.75)
    """
    names = list(PARTS)
    return sum(PARTS[one] for one in names[: names.index(name) + 1])


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The requirements and every workload."""
    fitting, unfitting = ([_line(group) for group in _grouped(rows, fits)] for fits in (True, False))
    return "\n\n".join([
        NOTE, "# Three promises that cross", ABOUT, "## What was required",
        required([row for row in rows if row["policy"] == LAW]),
        "## Every workload", table(HEAD, fitting), IN_FULL,
        "## Floors that do not fit", table(HEAD, unfitting),
    ]) + "\n"  # fmt: skip


HEAD = (
    "workload", "draws", "promise", "margin", "delivered: law", "static", "worst window: law", "static",
    "windows", "broken: law", "static", "of these could be kept: law", "static",
    "and were asked for: law", "static", "worst of them: law", "writes a day",
)  # fmt: skip


ABOUT = """EuroHPC is promised at least 0.50 of what is delivered, the region at least 0.25, and industry
gets at most 0.20. Industry crosses both: a quarter of the accounts, at random, whatever else they are. Each
draw deals the accounts out anew, half of all work to EuroHPC and a quarter to the region. Shares are means
over draws, the worst window is that of the worst draw, and windows are summed. A decision is made every six
hours. The margin is three usual runs, each weighted by its charge, as a part of a window, rounded up to
whole percent; `saf doctor` asks for [two at least](../howto/enforce.md#the-margin). The rows are those of
[`saf simulate`](../howto/simulate.md#several-promises); the law:
[0014](../decisions/0014-several-promises.md)."""


IN_FULL = """*Static* are rows with the promised shares that nobody changes. *Broken*: a floor was missed
although its demand waited, or a cap was exceeded while others waited. A broken window *could be kept* if
there is a schedule that keeps all three promises in it: one that knows every submission of the window in
advance and divides jobs at will (`tests/benchmarks/keepable.py`). It *was asked for* if in nearly every
hour a floor's demand, running and waiting, was at least the floor, or that of the others at least what a cap
leaves them. No scheduler knows who will be away, so the others are not the law's fault:

- In `holiday`, `season`, `early`, `late` and on Curie accounts are away for weeks. A floor that got what it
  was promised until then has too little when they are gone, and its last few jobs count as waiting. A cap
  is exceeded by jobs that fill the machine that others left, while a few jobs of others wait for a node.
- In `huge` a job is an eighth to a half of the machine, and in `long` a job may run for a week: the shares
  of a month ripple by as much as the margin.
- Where an account of a floor is also under the cap, its jobs wait for the cap. They count as waiting for
  the floor all the same.
- In the seventh and ninth draw most of the region's demand is industrial. Its other accounts are served at
  once and ask for less than the floor lacks. Only a preference for its accounts among those below the row of
  the cap would keep the floor, and there the operator's own shares count.

In the first draw every account that is for neither floor is industrial. The cap leaves 0.8 of the machine,
which only the two floors ask for, so both exceed their goals. Where floors do not fit, a window could be
kept if the floors could be, cut in proportion to add up to 0.95."""


def _grouped(rows: Sequence[Mapping[str, Any]], fits: bool) -> list[list[Mapping[str, Any]]]:
    """The rows of each workload and promise, under both policies."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["fits"] == fits:
            groups.setdefault((row["case"], row["promise"]), []).append(row)
    return list(groups.values())


def _line(group: Sequence[Mapping[str, Any]]) -> list[str]:
    first = group[0]
    cap = first["bound"] == Bound.CAP
    law, static = ([row for row in group if row["policy"] == policy] for policy in (LAW, STATIC))
    writes = [row["writes"] for row in law if row["writes"] is not None]
    worst = max if cap else min
    shares = ([row["worst"] for row in rows if row["worst"] is not None] for rows in (law, static))
    margins = [row["margin"] for row in group]
    return [
        f"`{first['case']}`", str(len(law)),
        f"{first['promise']}, at {'most' if cap else 'least'} {first['share']}",
        " to ".join(map(str, sorted({min(margins), max(margins)}))),
        *(f"{mean(row['delivered'] for row in rows):.3f}" for rows in (law, static)),
        *(_worst(found, worst) for found in shares),
        str(sum(row["windows"] for row in law)),
        *(str(sum(row["broken"] for row in rows)) for rows in (law, static)),
        *(str(_keepable(rows)) for rows in (law, static)),
        *(str(len(_asked(rows))) for rows in (law, static)),
        _worst(_asked(law), worst),
        f"{mean(writes):.2f}" if writes else "",
    ]  # fmt: skip


def _worst(shares: Sequence[float], worst: Callable[[Sequence[float]], float]) -> str:
    return f"{worst(shares):.3f}" if shares else ""


def _keepable(rows: Iterable[Mapping[str, Any]]) -> int:
    return sum(len(row["keepable"]) for row in rows)


def _asked(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """The shares of the windows that could be kept and in which enough was asked for all the time."""
    return [share for row in rows for share, asked in row["keepable"] if asked >= ALL_THE_TIME]


def required(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was required before it was measured, and whether it is met."""
    fitting = [row for row in rows if row["fits"]]
    missed, exceeded = (
        f"{len(_asked(mine))} of {sum(row['windows'] for row in mine)} windows; {_keepable(mine)} with those "
        f"in which less was asked for at times, {sum(row['broken'] for row in mine)} with those that no "
        "schedule could have kept"
        for mine in ([row for row in fitting if row["bound"] == bound] for bound in (Bound.FLOOR, Bound.CAP))
    )
    above = max(
        mean(row["delivered"] for row in group) - group[0]["share"] - group[0]["margin"]
        for group in _grouped([row for row in fitting if row["case"] == "saturated"], fits=True)
        if group[0]["bound"] == Bound.FLOOR
    )
    writes = max(row["writes"] for row in fitting if row["writes"] is not None)
    unfitting = [row for row in rows if not row["fits"] and row["bound"] == Bound.FLOOR and row["keepable"]]
    whole = sum(promise.target_share for promise in promises_of(Case(case="", seed=0, fits=False))[:2])
    short = [row for row in unfitting if row["delivered"] < row["share"] * MOST / whole - SLACK]
    lines = [
        ("no floor missed while its demand waited and all promises fitted", missed, missed.startswith("0 ")),
        ("the cap exceeded on idle nodes only", exceeded, exceeded.startswith("0 ")),
        (f"floors at most {100 * ABOVE:g} points above their goals in `saturated`",
         f"{100 * above:+.1f} points", above <= ABOVE),
        (f"at most {DAILY_WRITES:g} writes a day for each row", f"at most {writes:.2f}",
         writes <= DAILY_WRITES),
        ("floors that do not fit are cut in proportion",
         f"{len(short)} of {len(unfitting)} got less" if unfitting else "not run",
         bool(unfitting) and not short),
    ]  # fmt: skip
    return table(REQUIREMENTS, [(*line[:2], "yes" if line[2] else "**no**") for line in lines])


def main() -> int:
    """Run what is missing on a process per core, and write the page."""
    out, draws, folder = Path(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:4])
    rows: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else []
    done = {(row["case"], row["seed"], row["fits"]) for row in rows}
    todo = [case for case in cases(draws, folder) if (case.case, case.seed, case.fits) not in done]
    with sweep.workforce() as client:
        for number, (_, made) in enumerate(sweep.swept(client, run, [(case,) for case in todo]), 1):
            rows += made
            out.write_text(json.dumps(rows), encoding="utf-8")
            print(f"\r{number} of {len(todo)}", end="", file=sys.stderr, flush=True)
    PAGE.write_text(page(rows), encoding="utf-8")
    print("", required([row for row in rows if row["policy"] == LAW]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
