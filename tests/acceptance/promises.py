"""python -m tests.acceptance.promises: two floors and a cap on a real Slurm, beside static shares.

Four accounts always want more than there is, but at times one that was promised nothing is away. The result
goes to docs/evaluation/promises-slurm.md; exit code 1 when `saf` broke a promise, or when static shares broke
no floor, because then nothing was shown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from slurm_ai_factory.core.records import Bound
from tests.acceptance import holiday
from tests.acceptance.__main__ import DOCS, live_both, say
from tests.acceptance.judge import STEP, Run, share
from tests.cluster.requirements import USERS, unavailable
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import Tree
from tests.cluster.workload import Workload
from tests.saf import RULES, Saf
from tests.scratch import scratch_directory

NAMES = {"static": "static shares", "enforced": "saf run, enforce"}
LENGTH = 15
"""Hours of the clusters' clock: until no window has anything of the first absence."""

NODES, CPUS = 4, 6
SIZES = {1: 2, 2: 1}
DEPTH = 0.75
"""CPUs that wait for each account, in units of the machine."""

SHARES = {"regional": 2500, "eu": 3500, "firms": 1500, "other": 2500}
OTHERS = RULES.replace('"national"', '["eu", "firms", "other"]')


PAGE = """\
# Two floors and a cap on a real Slurm

`make accept-promises` writes this page. Two real Slurms of {cpus} CPUs, side by side, on clocks {speed}
times too fast; the users of both are the same and submit the same jobs in the same order. Four accounts are
directly under root, with the RawShares {shares}.
In one cluster these stay as they are. In the other, `saf run` in mode `enforce` runs inside the same clock
and steers three promises ([0014](../decisions/0014-several-promises.md)):

{promises}

Nothing was promised to `other`. Window {window} h, `PriorityDecayHalfLife` {half_life}, jobs of 15 to 25
minutes and 1 or 2 CPUs, a cycle every 5 minutes, a margin of {margin}. All four accounts always have jobs
waiting, but from hour {first} of every {cycle} on `other` is away for {away} hours. Length: {hours} hours of
the clusters' clock.

Windows are judged every 5 minutes from the first whole one on, from the CPUs and times in `sacct`.

| | {names} |
|---|{rule}
{rows}

Share of each hour; in an hour with `(away)`, `other` is away.

| hour | {accounts} |
|---|{hour_rule}
{hourly}
"""


class Made(NamedTuple):
    """A promise to an account."""

    name: str
    account: str
    bound: Bound
    share: float

    def broken(self, delivered: float) -> bool:
        """Whether a window with this share breaks it."""
        return delivered < self.share if self.bound is Bound.FLOOR else delivered > self.share


MADE = (
    Made("region", "regional", Bound.FLOOR, holiday.FLOOR),
    Made("eu", "eu", Bound.FLOOR, 0.35),
    Made("industry", "firms", Bound.CAP, 0.17),
)


class Delivered(NamedTuple):
    """What a cluster delivered; by account, all runs with its own marked."""

    name: str
    began: int
    until: int
    runs: Mapping[str, tuple[Run, ...]]
    writes: int

    def ends(self) -> range:
        """The ends of the windows that are judged."""
        return range(self.began + holiday.WINDOW, self.until + 1, STEP)

    def windows(self, account: str) -> list[float]:
        """The account's share of each window."""
        return [share(self.runs[account], end - holiday.WINDOW, end) or 0.0 for end in self.ends()]

    def hour(self, account: str, number: int) -> float:
        """The account's share of one hour."""
        since = self.began + number * holiday.HOUR
        return share(self.runs[account], since, since + holiday.HOUR) or 0.0


class Promised(holiday.Cluster):
    """A cluster of four accounts, three of which are promised something."""

    leaving = "other"
    margin = 0.03

    def __init__(self, name: str, directory: Path, seed: int, ledger_url: str | None) -> None:
        super().__init__(name, directory, seed, ledger_url)
        self.slurm = SlurmCluster(
            directory / "slurm", nodes=NODES, cpus_per_node=CPUS, speed=holiday.SPEED,
            clock_start=holiday.START, half_life=holiday.HALF_LIFE,
        )  # fmt: skip

    def _planted(self) -> dict[str, Workload]:
        workloads = {}
        for number, (account, shares) in enumerate(SHARES.items()):
            users = USERS[2 * number : 2 * number + 2]
            self.slurm.add_account(account, fairshare=shares)
            for user in users:
                self.slurm.add_user(user, account)
            workloads[account] = Workload(
                self.slurm, Tree(regional={}, national={account: users}), seed=self.seed + number,
                depths={"national": DEPTH}, seconds=holiday.SECONDS, sizes=SIZES, arrays=0,
            )  # fmt: skip
        return workloads

    def _configured(self, url: str) -> Saf:
        saf = super()._configured(url)
        saf.configure("control", OTHERS, mode="observe")
        saf.run("cycle")
        for made in MADE[1:]:
            saf.run(
                "promise", "set", made.name, "--since", holiday.START[:10], "--bound", made.bound, "--share",
                str(made.share), "--who", f"account_subtree={made.account}", "--source", "agreement",
                "--reason", "promised from the beginning",
            )  # fmt: skip
        saf.sections["control.promises"] = {made.name: made.account for made in MADE[1:]}
        saf.configure("control", mode="enforce")
        return saf

    def delivered(self) -> Delivered:
        """What it delivered; the daemon is ended first."""
        until = int(self.slurm.now())
        writes, _ = self.end_daemon()
        runs = {account: self.runs(until, (account,)) for account in SHARES}
        return Delivered(self.name, self.began, until, runs, writes)


def rows(lives: Sequence[Delivered]) -> list[str]:
    """The lines of the table of promises."""
    lines = []
    for made in MADE:
        windows = [life.windows(made.account) for life in lives]
        floor = made.bound is Bound.FLOOR
        worst = [f"{(min if floor else max)(each):.3f}" for each in windows]
        broken = [f"{sum(map(made.broken, each)) / len(each):.0%}".replace("%", " %") for each in windows]
        lines.append(f"| {made.name}, {'lowest' if floor else 'highest'} window | {' | '.join(worst)} |")
        word = "below the floor" if floor else "above the cap"
        lines.append(f"| {made.name}, windows {word} of {made.share} | {' | '.join(broken)} |")
    lines.append(f"| writes of RawShares that were read back | {' | '.join(str(n.writes) for n in lives)} |")
    return lines


def hourly(lives: Sequence[Delivered]) -> list[str]:
    """The lines of the table of hours."""
    lines = []
    for number in range(LENGTH):
        away = holiday.FROM <= number % holiday.CYCLE_HOURS < holiday.FROM + holiday.AWAY
        shares = [f"{life.hour(account, number):.2f}" for life in lives for account in SHARES]
        lines.append(f"| {number}{' (away)' if away else ''} | {' | '.join(shares)} |")
    return lines


def page(lives: Sequence[Delivered]) -> str:
    """promises-slurm.md."""
    promises = [
        f"- `{made.name}`: {made.bound} of {made.share}, for the account `{made.account}`" for made in MADE
    ]
    columns = [f"{account}, {NAMES[life.name]}" for life in lives for account in SHARES]
    return PAGE.format(
        cpus=NODES * CPUS, shares=", ".join(f"{n} of `{name}`" for name, n in SHARES.items()),
        speed=holiday.SPEED, window=holiday.WINDOW // holiday.HOUR, half_life=holiday.HALF_LIFE,
        margin=Promised.margin, first=holiday.FROM, cycle=holiday.CYCLE_HOURS, away=holiday.AWAY,
        hours=LENGTH, promises="\n".join(promises), names=" | ".join(NAMES[life.name] for life in lives),
        rule="---|" * len(lives), rows="\n".join(rows(lives)), accounts=" | ".join(columns),
        hour_rule="---|" * len(columns), hourly="\n".join(hourly(lives)),
    )  # fmt: skip


def kept(life: Delivered, promises: Sequence[Made]) -> bool:
    """Whether no window broke one of these promises."""
    return not any(made.broken(each) for made in promises for each in life.windows(made.account))


def main() -> int:
    if reason := unavailable(holiday.SPEED):
        sys.exit(f"this needs a real Slurm: {reason}")
    with scratch_directory() as directory:
        static, enforced = live_both(directory, LENGTH, 1, Promised, Promised.delivered)
    if static.until < static.began + LENGTH * holiday.HOUR:
        say("ended early: nothing to judge")
        return 1
    text = page((static, enforced))
    (DOCS / "promises-slurm.md").write_text(text, encoding="utf-8")
    print(text)
    floors = [made for made in MADE if made.bound is Bound.FLOOR]
    return int(not kept(enforced, MADE) or kept(static, floors))


if __name__ == "__main__":
    sys.exit(main())
