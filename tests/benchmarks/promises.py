"""python -m tests.benchmarks.promises OUT DRAWS [LOGS]: three promises that cross, on many draws.

EuroHPC's floor of 0.50, the region's of 0.25 and a cap of 0.20 for industry, which crosses both. Each draw
deals the accounts out anew. The scenarios always; curie_2012 from the folder LOGS where it is there. Results
are written to OUT as they come, and what OUT has is not done again; the page is made of them at the end.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from slurm_ai_factory.cli.simulate import sweep
from slurm_ai_factory.core.control.several import MOST
from slurm_ai_factory.core.measure.share import Promise
from slurm_ai_factory.core.records import HOUR, Bound
from slurm_ai_factory.simulation import scenarios
from slurm_ai_factory.simulation.commitments import Commitments
from slurm_ai_factory.simulation.policies import Named
from slurm_ai_factory.simulation.replay import Trial, promise_of, replay
from slurm_ai_factory.simulation.verdicts import outcomes
from slurm_ai_factory.simulation.workload import Workload
from tests.benchmarks.evaluate import LOGS, MARGIN, ROLLING, Log, drawn_trial, read_log, trial_of_work
from tests.benchmarks.evaluate import Task as Draw
from tests.benchmarks.funder import ABOVE, DAILY_WRITES, REQUIREMENTS, table

PAGE = Path(__file__).parents[2] / "docs" / "evaluation" / "promises.md"
NOTE = "<!-- Made by `make evaluate-promises`; do not edit. -->"
PERIOD = 6 * HOUR
"""Seconds between two decisions; a daemon decides more often."""
BACKLOG = 60
"""Jobs that wait of each group of accounts before its users stop submitting."""
PARTS = {"eu": 0.5, "region": 0.25, "": 0.25}
"""Of all work, what is dealt out for each floor, and for none."""
INDUSTRIAL = 0.25
"""The chance of an account to be industrial, whatever else it is."""
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
    """A row for each promise."""
    trial = _trial_of_promises(case)
    lived = replay(trial, Named("floor", "floor", trial.promise.target_share))
    return [
        {
            **asdict(case), "promise": row.promise.name, "bound": row.promise.bound,
            "share": row.promise.target_share, "delivered": row.delivered_share,
            "worst": row.worst_window_share, "windows": row.windows, "verdicts": row.verdicts,
            "writes": row.writes_per_day,
        }
        for row in outcomes(trial, lived)
    ]  # fmt: skip


def promises_of(case: Case) -> tuple[Promise, ...]:
    """The three promises; the floors add up to 1.1 where they do not fit."""
    like = promise_of(0.5, MARGIN, _log(case).resource if case.folder else "cpu")
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
    promises = promises_of(case)
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
    fitting = [row for row in rows if row["fits"]]
    lines = [_line(group) for group in _grouped(fitting)]
    head = ("workload", "draws", "promise", "share", "delivered", "worst window", "windows",
            "missed, demand waited", "exceeded", "writes a day")  # fmt: skip
    cut = [_line(group) for group in _grouped([row for row in rows if not row["fits"]])]
    return "\n\n".join([
        NOTE, "# Three promises that cross", ABOUT, "## What was required", required(rows),
        "## Every workload", table(head, lines), IN_FULL, "## Floors that do not fit", table(head, cut),
    ]) + "\n"  # fmt: skip


ABOUT = """EuroHPC is promised at least 0.50 of what is delivered, the region at least 0.25, and industry gets
at most 0.20. Industry crosses both: a quarter of the accounts, at random, whatever else they are. Each draw
deals the accounts out anew, half of all work to EuroHPC and a quarter to the region. Shares are means over
draws, the worst window is that of the worst draw, and windows and verdicts are summed. A decision is made
every six hours. The rows are those of [`saf simulate`](../howto/simulate.md#several-promises); the law:
[0014](../decisions/0014-several-promises.md)."""


IN_FULL = """In the first draw of `saturated` every account that is for neither floor is industrial. The cap
leaves 0.8 of the machine, which nobody but the two floors asks for, so both exceed their goals."""


def _grouped(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["case"], row["promise"]), []).append(row)
    return list(groups.values())


def _line(group: Sequence[Mapping[str, Any]]) -> list[str]:
    first = group[0]
    cap = first["bound"] == Bound.CAP
    worst = [row["worst"] for row in group if row["worst"] is not None]
    writes = [row["writes"] for row in group if row["writes"] is not None]
    return [
        f"`{first['case']}`", str(len(group)), first["promise"],
        f"{'at most' if cap else 'at least'} {first['share']}",
        f"{mean(row['delivered'] for row in group):.3f}",
        f"{(max if cap else min)(worst):.3f}" if worst else "", str(sum(row["windows"] for row in group)),
        "" if cap else str(_windows(group, "missed_starved")),
        str(_windows(group, "exceeded")) if cap else "", f"{mean(writes):.2f}" if writes else "",
    ]  # fmt: skip


def _windows(rows: Sequence[Mapping[str, Any]], verdict: str) -> int:
    return sum(row["verdicts"].get(verdict, 0) for row in rows)


def required(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was required before it was measured, and whether it is met."""
    fitting = [row for row in rows if row["fits"]]
    judged = sum(row["windows"] for row in fitting)
    missed, exceeded = (_windows(fitting, verdict) for verdict in ("missed_starved", "exceeded"))
    above = max(
        mean(row["delivered"] for row in group) - group[0]["share"] - MARGIN
        for group in _grouped([row for row in fitting if row["case"] == "saturated"])
        if group[0]["bound"] == Bound.FLOOR
    )
    writes = max(row["writes"] for row in fitting if row["writes"] is not None)
    cut = [row for row in rows if not row["fits"] and row["bound"] == Bound.FLOOR]
    whole = sum(promise.target_share for promise in promises_of(Case(case="", seed=0, fits=False))[:2])
    short = [row for row in cut if row["delivered"] < row["share"] * MOST / whole - SLACK]
    lines = [
        ("no floor missed while its demand waited", f"{missed} of {judged} windows", missed == 0),
        ("the cap exceeded on idle nodes only", f"exceeded in {exceeded} windows", exceeded == 0),
        (f"floors at most {100 * ABOVE:g} points above their goals in `saturated`",
         f"{100 * above:+.1f} points", above <= ABOVE),
        (f"at most {DAILY_WRITES:g} writes a day for each row", f"at most {writes:.2f}",
         writes <= DAILY_WRITES),
        ("floors that do not fit are cut in proportion",
         f"{len(short)} of {len(cut)} got less" if cut else "not run",
         bool(cut) and not short),
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
    print("", required(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
