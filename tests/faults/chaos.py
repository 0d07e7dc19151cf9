"""Faults that are drawn: what is struck, how, and at which step of a cycle; and the page of what they did.

Rule: a seed and a number name a fault, whatever was tried before it.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

COMMANDS = ("scontrol", "sdiag", "sacct", "sacctmgr", "sshare", "squeue", "sprio", "modify")
"""The commands of a cycle; ``modify`` is the sacctmgr that writes."""

STEPS = tuple(f"{name}.{when}" for name in COMMANDS for when in ("before", "after"))
HOWS = {
    "leader": ("kill", "stop", "restart", "partition"),
    "second saf": ("kill", "stop", "restart"),
    "command": ("kill", "slow"),
    "slurmctld": ("kill", "stop", "restart", "slow"),
    "slurmdbd": ("kill", "stop", "restart", "slow"),
    "mariadbd": ("kill", "stop", "restart", "slow"),
    "primary": ("kill", "stop", "restart", "slow", "partition"),
    "standby": ("kill", "stop", "restart"),
}
SECONDS = (0.5, 2.0, 7.0)
"""How long a fault lasts; slurm.timeout of the campaign is between the last two."""

MODEL_HOWS = {
    "leader": ("kill", "stop", "restart", "partition", "freeze", "memory"),
    "second saf": ("kill", "stop", "restart"),
    "both saf": ("kill", "stop", "restart"),
    "command": ("kill", "slow", "refused", "half", "cut", "garbled", "twice", "empty"),
    "slurmctld": ("kill", "stop", "restart", "slow"),
    "slurmdbd": ("kill", "stop", "restart", "slow"),
    "operator": ("write",),
    "clock": ("ahead", "behind"),
    "ledger": ("locked", "rights"),
    "network": ("cut", "stall", "delay", "half-closed"),
    "primary": ("kill", "stop", "restart", "slow", "partition", "full"),
    "standby": ("kill", "stop", "restart", "full"),
}
MODEL_SECONDS = (0.1, 0.5, 3.0)

MOST_CYCLES = 3
"""By then the control is back."""


class Place(NamedTuple):
    """Where faults are tried: what can be struck there and how, and for how long."""

    hows: Mapping[str, Sequence[str]]
    seconds: Sequence[float]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Each thing that can be struck, with each way."""
        return [(what, how) for what, hows in self.hows.items() for how in hows]


REAL, MODEL = Place(HOWS, SECONDS), Place(MODEL_HOWS, MODEL_SECONDS)


class Chaos(NamedTuple):
    """One fault."""

    what: str
    how: str
    when: str  #: one of STEPS
    seconds: float


class Found(NamedTuple):
    """What was found after it."""

    fault: Chaos
    lost: int = 0
    doubled: int = 0
    tres_seconds: int = 0  #: by which the ledger differs from sacct
    outside: int = 0  #: writes that move the share by more than control.slew, or beyond its bounds
    writers: int = 0  #: writes from another value than the one saf wrote last
    cycles: int | None = None  #: until one was complete again; None where none was
    broken: str = ""  #: whatever else did not hold

    @property
    def held(self) -> bool:
        """Whether everything did."""
        clean = not (self.lost or self.doubled or self.tres_seconds or self.outside or self.writers)
        return clean and not self.broken and self.cycles is not None and self.cycles <= MOST_CYCLES


def drawn(seed: int, place: Place = REAL) -> Iterator[Chaos]:
    """Faults without end: every kind once, in an order and at steps that are drawn; then again.

    >>> kinds = {(one.what, one.how) for one in islice(drawn(1), 29)}
    >>> len(kinds) == sum(map(len, HOWS.values())) == 29
    True
    """
    dice, kinds = random.Random(seed), place.kinds
    while True:
        dice.shuffle(kinds)
        for what, how in kinds:
            yield Chaos(what, how, dice.choice(STEPS), dice.choice(place.seconds))


def left(seed: int, faults: int, done: Iterable[Chaos], place: Place = REAL) -> Iterator[Chaos]:
    """The faults of a campaign of this length that were not done yet.

    >>> first, *others = islice(drawn(1), 5)
    >>> list(left(1, 5, others)) == [first]
    True
    """
    once = Counter(done)
    for fault in islice(drawn(seed, place), faults):
        if once[fault]:
            once[fault] -= 1
        else:
            yield fault


def rows(found: Sequence[Found], place: Place = REAL) -> Iterator[tuple[str, ...]]:
    """The table of the page: one row for each kind."""
    of = defaultdict(list)
    for one in found:
        of[one.fault.what, one.fault.how].append(one)
    for what, how in place.kinds:
        if these := of[what, how]:
            sums = [sum(getattr(one, name) for one in these) for name in COUNTED]
            back = [one.cycles for one in these if one.cycles is not None]
            held = sum(one.held for one in these)
            most = str(max(back)) if back else "none"
            yield what, how, *map(str, (len(these), *sums)), most, "yes" if held == len(these) else f"{held}"


HEADING = "## On the model cluster"
"""Where the part of the page begins that is of the model; what is before it is of a real Slurm."""

COUNTED = ("lost", "doubled", "tres_seconds", "outside", "writers")
PAGE = """\
# Chaos

`make chaos` draws faults, does them one after the other, and writes this page. What it runs: a real Slurm
22.05 on loopback with a live mix of jobs of 1 to 8 seconds; two `saf run` in mode `enforce` with a period
of {period} s and `slurm.timeout` {timeout} s; their ledger on a PostgreSQL primary with a synchronous
standby. Before each fault an operator sets other RawShares, so that there is something to write.

A fault is drawn from three lists: what is struck, how, and at which of {steps} steps of a cycle (before
and after each command of Slurm). Every kind comes once before any comes again. `SEED={seed}` repeats the
campaign, `FAULTS=N` is its length, and one that was interrupted goes on where it stopped.

After each fault everything is started again. Then every finished run must be in the ledger as `sacct -D`
prints it, with the same TRES-seconds; slurmdbd's log of transactions must have no write by `saf` that
moves the share by more than `control.slew` or beyond its bounds (*outside*), none that starts from
another value than the one `saf` wrote last (*two writers*), and none that the ledger lacks; no change may
stay `planned`; `saf ledger verify` must find nothing; and one of the first {most} cycles must be complete
(*cycles* is the most that it took).

- **partition** of the leader: its sessions to the ledger are cut. Of the primary: its standby is promoted
  while it lives.
- **kill** of the primary: its standby is promoted.
- **slow**: it stands still for four fifths of the time. A command begins or ends late.
- MariaDB writes its log at each commit (`innodb_flush_log_at_trx_commit=2`). With 0, a kill lost an
  operator's change that slurmctld already had: by slurmdbd's log, the next write by `saf` was too large.
- Packets between Slurm's daemons are not dropped: a stopped daemon answers as little as one that cannot
  be reached.
{table}"""
TABLE = """
| what | how | faults | lost | doubled | TRES-seconds off | outside | two writers | cycles | held |
|---|---|---|---|---|---|---|---|---|---|
{rows}

{held} of {tried} faults held; {struck} of {steps} steps were struck.{reasons}
"""
ON_MODEL = """\
{heading}

`make chaos-model` writes this part. The daemons are the same two `saf run`, with a period of {period} s and
`slurm.timeout` {timeout} s. Slurm's commands are programs that ask the model cluster of `saf demo`, whose
jobs run for 1 to 8 seconds; what they print is what the product reads on a real Slurm. Primary and standby
are real, each on a small disk of its own, and the daemons reach them through a socket that can be cut. A
fault takes seconds, so there can be thousands. What must hold is the same. `SEED={seed}` means the same
too, `MANY=N` is the number of faults, and `LANES=N` is how many stages there are side by side.

- **freeze** of the leader: it and its command stand still until the other leads; then both go on.
  **memory**: it has 64 MiB more than it may, and gets no more.
- **kill** and **restart** of both `saf run`: they are started again at the same moment.
- **refused**: a command fails, before or after it took effect. **half**, **cut**, **garbled**, **twice**,
  **empty**: what becomes of its answer, with exit code 0.
- **write** of an operator: other RawShares while a command runs.
- **ahead**, **behind**: slurmctld's clock, by an hour.
- **locked**, **rights**: another session locks the tables that a cycle writes to, or the role of the daemon
  may not insert into them.
- **stall**, **delay**, **cut**, **half-closed**: the sockets to PostgreSQL.
- **full**: the disk of a server.
{table}"""


def table(found: Sequence[Found], place: Place) -> str:
    """A row for each kind, and how many held."""
    broken = [
        f"\n- {' '.join(map(str, one.fault))} s: {one.broken or 'see the table'}"
        for one in found
        if not one.held
    ]
    return TABLE.format(
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows(found, place)), tried=len(found),
        held=sum(one.held for one in found), struck=len({one.fault.when for one in found}), steps=len(STEPS),
        reasons=f" These did not:\n{''.join(broken)}" if broken else "",
    )  # fmt: skip


def page(found: Sequence[Found], before: str, **facts: object) -> str:
    """The page of the documentation, with the part of the model as it was before."""
    text = PAGE.format(table=table(found, REAL), most=MOST_CYCLES, steps=len(STEPS), **facts)
    _, heading, model = before.partition(HEADING)
    return f"{text}\n{heading}{model}" if heading else text


def model_page(found: Sequence[Found], before: str, **facts: object) -> str:
    """The page of the documentation, with the part of the real Slurm as it was before."""
    real = before.partition(HEADING)[0].rstrip()
    return f"{real}\n\n{ON_MODEL.format(heading=HEADING, table=table(found, MODEL), **facts)}"
