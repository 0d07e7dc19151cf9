"""python -m tests.faults: the faults of the table, one after the other, on a real Slurm with live jobs.

The table goes to stdout, and with --docs to docs/evaluation/faults.md; exit code 1 when something did not
hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import floor
from pathlib import Path

from slurm_ai_factory.ledger import embedded
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.end_to_end import disk
from tests.faults import judge
from tests.faults.judge import Result, Told
from tests.faults.stage import LEDGER_TIMEOUT, OPERATOR_SECONDS, PERIOD, SETTLE_SECONDS, TIMEOUT, Stage
from tests.faults.table import TABLE, Fault
from tests.scratch import scratch_directory

PAGE = Path(__file__).parents[2] / "docs" / "evaluation" / "faults.md"
DISK = "600m"
TELL_SECONDS = 30
"""How long a fault is waited for to be told; what it took is in the table."""

POLL_SECONDS = 0.1


def main() -> int:
    options = _options()
    if reason := unavailable(speed=2):
        sys.exit(f"this needs a real Slurm: {reason}")
    faults = [one for one in TABLE if not options.only or any(word in one.name for word in options.only)]
    results: list[Result] = []
    with scratch_directory() as place, ExitStack() as stack:
        ledger = stack.enter_context(disk.small(place / "disk", DISK))
        stack.callback(embedded.stop, ledger / "ledger")
        slurm = stack.enter_context(SlurmCluster(place / "slurm", nodes=2, cpus_per_node=4))
        stage = Stage(place, slurm, ledger, options.seed)
        with stage.alive():
            for number, fault in enumerate(faults * options.times, 1):
                results.append(tried(stage, fault))
                print(f"{number}/{len(faults) * options.times} {results[-1]}", file=sys.stderr, flush=True)
    for row in judge.lines(results):
        print(" | ".join(row))
    if options.docs:
        facts = {"period": PERIOD, "timeout": TIMEOUT, "ledger": LEDGER_TIMEOUT, "every": OPERATOR_SECONDS}
        PAGE.write_text(judge.page(results, settle=SETTLE_SECONDS, **facts))
    return int(any(one.broken for one in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--only", nargs="*", default=[], help="words of the names of faults")
    parser.add_argument("--times", type=int, default=1, help="how often each is tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    return parser.parse_args()


def tried(stage: Stage, fault: Fault) -> Result:
    """One fault, once. What cannot be done, or does not come back, is what is broken."""
    try:
        stage.ready()
        return _tried(stage, fault)
    except Exception as error:  # the campaign goes on; the daemon begins anew
        stage.end()
        return Result(fault.name, broken=(f"{type(error).__name__}: {error}".replace("\n", " / "),))


def _tried(stage: Stage, fault: Fault) -> Result:
    known, began = stage.signs(), time.monotonic()
    with fault.strike(stage) as said:
        struck_at = time.time()
        told = None if fault.after else _awaited(stage, fault, known)
        over_at = time.time()
    back = stage.cycle()
    told = told or stage.told(known, fault.told, began)
    lost, doubled = stage.differences()
    writes = None
    if fault.still and told:
        still_from = struck_at + told.seconds + 1  # slurmdbd tells whole seconds
        writes = sum(still_from < at < floor(over_at) for at, _ in stage.written())
    result = Result(fault.name, len(lost), len(doubled), back, told, said or "", writes)
    return result._replace(broken=(*_broken(fault, result), *stage.wrong()))


def _awaited(stage: Stage, fault: Fault, known: Sequence[str]) -> Told | None:
    """Until the fault is told and two periods more, and has lasted as long as it is to last."""
    told, began = None, time.monotonic()
    last = began + (max(fault.seconds, TELL_SECONDS) if fault.told else 3 * PERIOD)
    while time.monotonic() < last:
        if not told and (told := stage.told(known, fault.told, began)):
            last = max(began + fault.seconds, time.monotonic() + 2 * PERIOD)
        time.sleep(POLL_SECONDS)
    return told


def _broken(fault: Fault, result: Result) -> Iterator[str]:
    if result.lost:
        yield f"{result.lost} runs lost"
    if result.doubled:
        yield f"{result.doubled} runs doubled"
    if result.writes:
        yield f"{result.writes} writes while none may be made"
    if fault.told and not result.told:
        yield f"not told within {TELL_SECONDS} s"


if __name__ == "__main__":
    sys.exit(main())
