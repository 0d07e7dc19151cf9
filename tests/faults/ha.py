"""`make ha`: two daemons and two databases; one is lost, and how long it takes until the other does the work.

    python -m tests.faults.ha [ROUNDS]

Writes docs/evaluation/high-availability.md. Exit code 1 when something did not hold.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tests.cluster.requirements import unavailable
from tests.docs.markdown import ROOT
from tests.faults.campaign import found_after, send, staged
from tests.faults.chaos import COUNTED, Chaos, Found
from tests.faults.pair import PairStage

PAGE = ROOT / "docs" / "evaluation" / "high-availability.md"
PERIOD, TIMEOUT = 12, 4
LEFT_BEHIND_SECONDS = 30
"""How long daemons are kept on a primary whose standby was promoted."""

TEXT = """\
# High availability

`make ha` writes this page. It runs two `saf run` in mode `enforce` on a real Slurm with live jobs, with a
period of {period} s and `slurm.timeout` {timeout} s. Their ledger is on a PostgreSQL primary with a
synchronous standby, and `ledger.url` names both. [How to set this up](../howto/high-availability.md).

The time is from the loss to the end of the next complete cycle, which itself takes some seconds here. Where
a database is lost, the test promotes the standby at once; at a site, add the time until that is done.
Afterwards every finished run must be in the ledger as `sacct -D` prints it. Every write by `saf` in
slurmdbd's log must be in the ledger, start from the value that was there and stay within `control.slew`. One
daemon must hold the lock, and `saf ledger verify` must find nothing. The columns are those of
[chaos](chaos.md).

| what | n | seconds | periods | failed cycles | lost | doubled | TRES-seconds | outside | writers | held |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}

An active daemon that stands still loses its lock after half a period, or twice `slurm.timeout` if that is
longer: here {silence} s. In the last row, the standby was promoted {left} s before
the old primary ended, and both daemons stayed on the old one. It acknowledged no change, so `saf` began no
write that the promoted one does not have; the time is from its end.
"""


class Loss(NamedTuple):
    """Something that is lost; ``strike`` returns when it is, and ``mend`` makes it whole afterwards."""

    name: str
    strike: Callable[[PairStage], None]
    mend: Callable[[PairStage], None]


class Survived(NamedTuple):
    """One loss, once."""

    name: str
    seconds: float
    found: Found


def end_leader(stage: PairStage, number: int) -> None:
    leader = stage.leader()
    send([leader], number)
    stage.pair[leader][1].process.wait(timeout=60)


def thawed(stage: PairStage) -> None:
    send(list(stage.pair), signal.SIGCONT)


def primary_killed(stage: PairStage) -> None:
    stage.primary.kill()
    stage.failover()


def both_killed(stage: PairStage) -> None:
    end_leader(stage, signal.SIGKILL)
    primary_killed(stage)


def mended(stage: PairStage) -> None:
    stage.repair()
    stage.ready()


def left_behind(stage: PairStage) -> None:
    """The daemons stay on a primary without its standby; then it ends.

    What they write meanwhile must be in the ledger of the promoted one.
    """
    stage.failover()
    time.sleep(LEFT_BEHIND_SECONDS)
    stage.primary.kill()


LOSSES = (
    Loss("the active daemon (kill -9)", partial(end_leader, number=signal.SIGKILL), PairStage.ready),
    Loss("the active daemon (SIGTERM)", partial(end_leader, number=signal.SIGTERM), PairStage.ready),
    Loss("the active daemon stands still", lambda stage: send([stage.leader()], signal.SIGSTOP), thawed),
    Loss("the primary", primary_killed, mended),
    Loss("the active daemon and the primary together", both_killed, mended),
    Loss("the primary, some time after its standby was promoted", left_behind, mended),
)


def survived(stage: PairStage, loss: Loss) -> Survived:
    """Lose it and mend it, and see what became of it. What cannot be judged is what is broken."""
    fault = Chaos(loss.name, "", "", 0.0)
    try:
        stage.ready()
        stage.back(stage.logs())
        old = len(stage.transactions())
        stage.operate()
        loss.strike(stage)
        began, since = time.monotonic(), stage.logs()
        cycles = stage.back(since)
        seconds = time.monotonic() - began
        loss.mend(stage)
        stage.back(stage.logs())
        return Survived(loss.name, seconds, found_after(stage, fault, old, cycles))
    except Exception as error:
        thawed(stage)
        stage.heal()
        return Survived(loss.name, 0.0, Found(fault, broken=f"{type(error).__name__}: {error}"))


def row(name: str, these: Sequence[Survived]) -> str:
    """One row of the table."""
    founds = [one.found for one in these]
    seconds = [one.seconds for one in these if one.found.cycles is not None] or [float("nan")]
    spans = [f"{min(seconds) / unit:.1f}-{max(seconds) / unit:.1f}" for unit in (1, PERIOD)]
    failed = max((one.cycles or 1) - 1 for one in founds)
    sums = [sum(getattr(one, key) for one in founds) for key in COUNTED]
    held = sum(one.held for one in founds)
    cells = [name, len(these), *spans, failed, *sums, "yes" if held == len(these) else f"{held}"]
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str]) -> int:
    if reason := unavailable():
        sys.exit(f"this needs a real Slurm: {reason}")
    found: list[Survived] = []
    with staged(1) as stage:
        for saf in (stage.saf, stage.second):
            saf.configure("daemon", period=f"{PERIOD}s")
            saf.configure("slurm", timeout=f"{TIMEOUT}s")
        for _ in range(int(arguments[0]) if arguments else 5):
            for loss in LOSSES:
                found.append(survived(stage, loss))
                print(found[-1], file=sys.stderr, flush=True)
    rows = [row(loss.name, [one for one in found if one.name == loss.name]) for loss in LOSSES]
    text = TEXT.format(
        period=PERIOD, timeout=TIMEOUT, rows="\n".join(rows), silence=round(max(PERIOD / 2, 2 * TIMEOUT)),
        left=LEFT_BEHIND_SECONDS,
    )  # fmt: skip
    PAGE.write_text(text)
    print(text)
    return int(any(one.found.broken for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
