"""`make chaos`: the faults of a seed, one after the other; one that was interrupted goes on where it stopped.

    python -m tests.faults.campaign --faults 100 --seed 1 --kept build/chaos.jsonl --docs

Exit code 1 when something did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.end_to_end.conftest import cut_sessions
from tests.faults import chaos
from tests.faults.chaos import Chaos, Found
from tests.faults.pair import SLURM, PairStage
from tests.faults.stage import PERIOD, TIMEOUT
from tests.scratch import scratch_directory

PAGE = Path(__file__).parents[2] / "docs" / "evaluation" / "chaos.md"
STANDS_STILL, GOES_ON = 0.2, 0.05
"""Seconds; a process that is slow does one and the other."""

Of = TypeVar("Of", bound=PairStage)


def main() -> int:
    options = _options()
    if reason := unavailable():
        sys.exit(f"this needs a real Slurm: {reason}")
    found = kept(options.kept, options.seed)
    with options.kept.open("a") as file, staged(options.seed + len(found)) as stage:
        for fault in chaos.left(options.seed, options.faults, [one.fault for one in found]):
            found.append(tried(stage, fault, STRIKES[fault.what, fault.how]))
            print(len(found), *fault, "held" if found[-1].held else found[-1], file=sys.stderr, flush=True)
            print(json.dumps([options.seed, *found[-1]]), file=file, flush=True)
    if options.docs:
        facts = {"period": PERIOD, "timeout": TIMEOUT, "seed": options.seed}
        PAGE.write_text(chaos.page(found, PAGE.read_text(), **facts))
    return int(not all(one.held for one in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path("build/chaos.jsonl"), help="what was found before")
    parser.add_argument("--docs", action="store_true", help="write the page of the documentation")
    return parser.parse_args()


def kept(file: Path, seed: int) -> list[Found]:
    """What a campaign of this seed has found so far."""
    file.parent.mkdir(exist_ok=True)
    lines = file.read_text().splitlines() if file.exists() else []
    rows = [row for row in map(json.loads, lines) if row[0] == seed]
    return [Found(Chaos(*fault), *others) for _, fault, *others in rows]


@contextmanager
def staged(seed: int) -> Iterator[PairStage]:
    """The stage with its jobs; everything is ended afterwards, also when this process is asked to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    with scratch_directory() as place, ExitStack() as stack:
        slurm = stack.enter_context(SlurmCluster(place / "slurm", nodes=2, cpus_per_node=4))
        stage = PairStage(place, slurm, seed, stack)
        with stage.alive():
            yield stage


def tried(stage: Of, fault: Chaos, strike: Callable[[Of, Chaos, int], None]) -> Found:
    """One fault, and what became of it. What cannot be done or judged is what is broken."""
    try:
        stage.ready()
        return _tried(stage, fault, strike)
    except Exception as error:  # the campaign goes on
        stage.heal()
        return Found(fault, broken=f"{type(error).__name__}: {error}".replace("\n", " / "))


def _tried(stage: Of, fault: Chaos, strike: Callable[[Of, Chaos, int], None]) -> Found:
    old = len(stage.transactions())
    stage.operate()
    stage.gate.arm(fault.when)
    command = stage.gate.reached()
    try:
        strike(stage, fault, command)
    finally:
        stage.gate.open()
    since = stage.logs()
    stage.ready()
    return found_after(stage, fault, old, stage.back(since))


def found_after(stage: PairStage, fault: Chaos, old: int, cycles: int) -> Found:
    """What became of a fault; ``old`` transactions are from before it."""
    lost, doubled = stage.differences()
    outside, writers = stage.judged(old)
    wrong = "; ".join(stage.wrong())
    return Found(fault, len(lost), len(doubled), stage.tres_seconds(), outside, writers, cycles, wrong)


# --- how each is struck: the gate is opened once it is

Strike = Callable[[PairStage, Chaos, int], None]


def lasting(stage: PairStage, fault: Chaos) -> None:
    """The command that waited goes on, and the fault lasts."""
    stage.gate.open()
    time.sleep(fault.seconds)


def pids_of(stage: PairStage, what: str) -> list[int]:
    """The processes of what is struck."""
    if what in SLURM:
        return [int((stage.slurm.directory / f"{what}.pid").read_text())]
    if what in ("primary", "standby"):
        return getattr(stage, what).processes()  # type: ignore[no-any-return]
    if what == "both saf":
        return list(stage.pair)
    return [stage.leader() if what == "leader" else stage.other()]


def send(pids: list[int], number: int) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def stopped(stage: PairStage, fault: Chaos, _command: int) -> None:
    pids = pids_of(stage, fault.what)
    send(pids, signal.SIGSTOP)
    try:
        lasting(stage, fault)
    finally:
        send(pids, signal.SIGCONT)


def slowed(stage: PairStage, fault: Chaos, _command: int) -> None:
    pids, until = pids_of(stage, fault.what), time.monotonic() + fault.seconds
    stage.gate.open()
    while time.monotonic() < until:
        send(pids, signal.SIGSTOP)
        time.sleep(STANDS_STILL)
        send(pids, signal.SIGCONT)
        time.sleep(GOES_ON)


def ended(stage: PairStage, fault: Chaos, _command: int, number: int) -> None:
    """One of the daemons, or both; the stage starts them again afterwards, both at the same moment."""
    pids = pids_of(stage, fault.what)
    send(pids, number)
    stage.gate.open()
    for pid in pids:
        stage.pair[pid][1].process.wait(timeout=60)
    time.sleep(fault.seconds)


def sessions_cut(stage: PairStage, fault: Chaos, _command: int) -> None:
    cut_sessions(stage.url)
    lasting(stage, fault)


def slurm_killed(stage: PairStage, fault: Chaos, _command: int) -> None:
    stage.slurm.kill(fault.what)
    lasting(stage, fault)
    stage.slurm.restart(fault.what)


def slurm_restarted(stage: PairStage, fault: Chaos, _command: int) -> None:
    stage.gate.open()
    stage.slurm.restart(fault.what)


def primary_lost(stage: PairStage, fault: Chaos, _command: int) -> None:
    stage.primary.kill()
    lasting(stage, fault)
    stage.failover()
    stage.repair()


def left_behind(stage: PairStage, fault: Chaos, _command: int) -> None:
    """The standby is promoted while the primary lives, and is still the first one that a daemon finds."""
    stage.failover()
    lasting(stage, fault)
    stage.repair()


def standby_killed(stage: PairStage, fault: Chaos, _command: int) -> None:
    stage.standby.kill()
    lasting(stage, fault)
    stage.standby.start()


def server_restarted(stage: PairStage, fault: Chaos, _command: int) -> None:
    server = getattr(stage, fault.what)
    server.run("pg_ctl", "-w", "-m", "fast", "stop")
    stage.gate.open()
    server.start()


STRIKES: Mapping[tuple[str, str], Strike] = {
    **{(what, "stop"): stopped for what, hows in chaos.HOWS.items() if "stop" in hows},
    **{(what, "slow"): slowed for what in (*SLURM, "primary")},
    **{(what, "kill"): partial(ended, number=signal.SIGKILL) for what in ("leader", "second saf")},
    **{(what, "restart"): partial(ended, number=signal.SIGTERM) for what in ("leader", "second saf")},
    **{(what, "kill"): slurm_killed for what in SLURM},
    **{(what, "restart"): slurm_restarted for what in SLURM},
    **{(what, "restart"): server_restarted for what in ("primary", "standby")},
    ("leader", "partition"): sessions_cut,
    ("command", "kill"): lambda _stage, _fault, command: send([command], signal.SIGKILL),
    ("command", "slow"): lambda _stage, fault, _command: time.sleep(fault.seconds),
    ("primary", "kill"): primary_lost,
    ("primary", "partition"): left_behind,
    ("standby", "kill"): standby_killed,
}

if __name__ == "__main__":
    sys.exit(main())
