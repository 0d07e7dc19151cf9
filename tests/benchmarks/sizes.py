"""python -m tests.benchmarks.sizes: how much a ledger grows, on days of so many jobs.

Rule: every row is made by the product's own reads and decisions, a cycle of five minutes at a time. Each job
is seen while it waits, while it runs and once it has ended. The last line on stdout is one JSON object: MB a
day by table, for JOBS a day (default 1000) over DAYS days (default 3), less what an empty ledger has.
"""

from __future__ import annotations

import json
import os
import sys
import time

from slurm_ai_factory.core.records import DAY, ChangeStatus, ControlState, Decision, Run, Subject
from slurm_ai_factory.ledger import Ledger, open_ledger
from tests.benchmarks import reading
from tests.scratch import scratch_server

NOW = 1806105600
PERIOD = 300
WAIT, LENGTH, OVERLAP = 600, 7200, 3600
USERS, ACCOUNTS = 200, 20
INPUTS = {f"input_of_the_law_{number:02}": number / 7 for number in range(32)}
"""As many numbers as a decision of the control law has."""


def job(number: int, jobs_per_day: int, at: int) -> Run:
    """The n-th job, as Slurm shows it at an instant."""
    submit = NOW + number * DAY // jobs_per_day
    start, end = submit + WAIT, submit + WAIT + LENGTH // 2 + number * 7919 % LENGTH
    user = number * 31 % USERS
    subject = Subject("c", f"a{user % ACCOUNTS}", f"u{user}", "main", "normal", "", "")
    state = "COMPLETED" if end <= at else "RUNNING" if start <= at else "PENDING"
    began, ended = start if start <= at else None, end if end <= at else None
    elapsed = (min(end, at) - start) if began else 0
    tres = f"billing={number % 16 + 1},cpu={number % 16 + 1},mem=16384,node=1"
    return Run(number + 1, number + 1, str(number + 1), subject, state, submit, submit, began, ended, elapsed,
               0, tres, tres if began else "")  # fmt: skip


def cycle(ledger: Ledger, at: int, jobs_per_day: int) -> None:
    """One read of all that is open or ended lately, and one decision without a change."""
    newest = (at - NOW) * jobs_per_day // DAY
    oldest = max(0, newest - (OVERLAP + WAIT + 2 * LENGTH) * jobs_per_day // DAY)
    runs = [job(number, jobs_per_day, at) for number in range(oldest, newest + 1)]
    seen = [run for run in runs if (run.submit_at or 0) <= at and (run.end_at or at) > at - OVERLAP]
    ledger.intake.record(seen, at - OVERLAP, at, at=at)
    decision = Decision(at=at, reason="at_set_point", sentence="The shares are where they should be.",
                        inputs=INPUTS, state=ControlState(at=at, u_ref=0.25))  # fmt: skip
    ledger.control.record(decision, "enforce", "saf@host", ChangeStatus.PLANNED)


def sizes(ledger: Ledger) -> dict[str, int]:
    """Bytes by table."""
    return {table["name"]: table["bytes"] for table in ledger.accounting.tables()}


def main() -> int:
    jobs, days = (int(os.environ.get(name, given)) for name, given in (("JOBS", "1000"), ("DAYS", "3")))
    with (
        scratch_server() as (_, server),
        reading.ledger(server, "sizes") as url,
        open_ledger(url, "c") as ledger,
    ):
        empty = sizes(ledger)
        for at in range(NOW, NOW + days * DAY, PERIOD):
            cycle(ledger, at, jobs)
            if at % (DAY // 8) == 0:
                print(f"{time.strftime('%H:%M:%S')} hour {(at - NOW) // 3600}", file=sys.stderr, flush=True)
        grown = {name: (size - empty[name]) / days / 1e6 for name, size in sizes(ledger).items()}
        rows = {table.name: round(table.rows / days) for table in ledger.expiries.sizes()}
        chosen = {name: round(size, 3) for name, size in grown.items() if size > 0.005}
        figures = {"jobs_per_day": jobs, "days": days, "mb_per_day": chosen, "rows_per_day": rows}
        print(json.dumps(figures | {"all_mb_per_day": round(sum(grown.values()), 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
