"""The result of an acceptance run as a page and a plot. Rule: every figure is computed from what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes

from tests.acceptance import holiday
from tests.acceptance.judge import Lived, Verdict, charge, running, share

NAMES = {"static": "static 25/75", "enforced": "saf run, enforce"}
COLOURS = {"static": "#b2182b", "enforced": "#2166ac"}
ROWS: tuple[tuple[str, Callable[[Lived, Verdict], str]], ...] = (
    ("worst window", lambda _, v: f"{v.worst:.3f}"),
    ("windows below the floor", lambda _, v: f"{100 * v.missed:.0f} %"),
    ("below it, and regional jobs waited when it ended", lambda _, v: f"{100 * v.missed_waiting:.0f} %"),
    ("longest time in which no regional job started although one waited", lambda _, v: span(v.blocked)),
    ("most regional jobs that waited in it", lambda _, v: str(v.blocked_jobs)),
    ("delivered share while the others were there", lambda one, _: f"{_there(one):.3f}"),
    ("delivered share, whole run", lambda _, v: f"{v.share:.3f}"),
    ("utilisation", lambda _, v: f"{v.utilisation:.3f}"),
    ("runs", lambda one, _: str(sum(1 for run in one.runs if run.start is not None))),
    ("writes of RawShares that were read back", lambda one, _: str(one.writes)),
)
PAGE = """\
# The floor on a real Slurm

`make accept-slurm` writes this page. Two real Slurms of 16 CPUs, side by side, on clocks {speed} times too
fast; the users of both are the same and submit the same jobs in the same order. One has static shares, 25
for the region and 75 for the others. In the other, `saf run` in mode `enforce` runs inside the same clock.

A month in six hours: window {window} h, `PriorityDecayHalfLife` {half_life}, `PriorityCalcPeriod` 1 min,
jobs of 15 to 25 minutes and 1 to 4 CPUs, a cycle every 5 minutes. Both sides always have jobs waiting, but
from hour {first} of every {cycle} on the others are away for {away} hours: their waiting jobs are withdrawn
and the region has the machine to itself. The floor is {floor}, the margin {margin}. Length: {hours:.1f} hours
of the clusters' clock, {windows:.1f} windows.

Windows are judged every 5 minutes from the first whole one on, from the CPUs and times in `sacct`; the
product takes no part in this.

| | {names} |
|---|{rule}
{rows}

{ledger}
![Share of the last 6 hours, and what Slurm made of both shares](accept-slurm.svg)

Top: the share of the {window} hours that end then. Middle and below: the region's part of the running jobs
(thin), of the decayed usage, and of the level's shares, as `sshare` reports them. Grey: the others are
away.
"""


def span(seconds: int) -> str:
    """Hours and minutes.

    >>> span(9000)
    '2 h 30 min'
    """
    return f"{seconds // holiday.HOUR} h {seconds % holiday.HOUR // holiday.MINUTE} min"


def _there(one: Lived) -> float:
    """The region's part of what was delivered while the others were not away."""
    edges = [one.began, *(at for away in one.away for at in away), one.until]
    there = list(zip(edges[::2], edges[1::2], strict=True))
    regional = [run for run in one.runs if run.regional]
    return sum(charge(regional, *each) for each in there) / sum(charge(one.runs, *each) for each in there)


def write(docs: Path, lives: Sequence[Lived], verdicts: Mapping[str, Verdict]) -> None:
    """accept-slurm.md and accept-slurm.svg."""
    rows = [
        f"| {title} | " + " | ".join(show(one, verdicts[one.name]) for one in lives) + " |"
        for title, show in ROWS
    ]
    length = (lives[0].until - lives[0].began) / holiday.HOUR
    page = PAGE.format(
        speed=holiday.SPEED, first=holiday.FROM, window=holiday.WINDOW // holiday.HOUR,
        half_life=holiday.HALF_LIFE, cycle=holiday.CYCLE_HOURS, away=holiday.AWAY, floor=holiday.FLOOR,
        margin=holiday.MARGIN, hours=length, windows=length * holiday.HOUR / holiday.WINDOW,
        names=" | ".join(NAMES[one.name] for one in lives), rule="---|" * len(lives), rows="\n".join(rows),
        ledger="".join(_ledger(one) for one in lives),
    )  # fmt: skip
    (docs / "accept-slurm.md").write_text(page)
    _draw(docs / "accept-slurm.svg", lives, verdicts)


def _ledger(one: Lived) -> str:
    """The product's own figure of its last window beside that of sacct."""
    if one.ledger is None:
        return ""
    counted = share(one.runs, one.ledger.since, one.ledger.until)
    return (
        f"The last window according to the ledger (`saf share`): {one.ledger.share:.4f}; of the same span,"
        f" counted from `sacct`: {counted:.4f}.\n\n"
    )


def _draw(file: Path, lives: Sequence[Lived], verdicts: Mapping[str, Verdict]) -> None:
    """Three panels over the hours of the run."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = file.name
    figure, axes = pyplot.subplots(3, 1, sharex=True, figsize=(9, 8), layout="constrained")
    for one in lives:
        ends, shares = zip(*verdicts[one.name].windows, strict=True)
        hours = [(end - one.began) / holiday.HOUR for end in ends]
        axes[0].plot(hours, shares, color=COLOURS[one.name], label=NAMES[one.name])
    axes[0].axhline(holiday.FLOOR, color="black", linestyle=":", label=f"floor {holiday.FLOOR}")
    axes[0].set_ylabel(f"share of the last {holiday.WINDOW // holiday.HOUR} h")
    for axis, one in zip(axes[1:], lives, strict=True):
        _draw_state(axis, one)
    for axis in axes:
        for since, until in lives[0].away:
            axis.axvspan(
                (since - lives[0].began) / holiday.HOUR,
                (until - lives[0].began) / holiday.HOUR,
                color="#dddddd",
            )
        axis.set_ylim(0, 1)
        axis.legend(loc="upper right", fontsize="small")
    axes[-1].set_xlabel("hours")
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _draw_state(axis: Axes, one: Lived) -> None:
    """What runs of the region, its usage and its shares."""
    hours = [(sample.at - one.began) / holiday.HOUR for sample in one.samples]
    minutes = range(one.began, one.until, 5 * holiday.MINUTE)
    parts = [(at, *running(one, at)) for at in minutes]
    axis.plot(
        [(at - one.began) / holiday.HOUR for at, ours, others in parts if ours + others],
        [ours / (ours + others) for _, ours, others in parts if ours + others],
        color="#999999", linewidth=0.6, label="running",
    )  # fmt: skip
    axis.plot(hours, [sample.effectv_usage for sample in one.samples], color=COLOURS[one.name], label="usage")
    axis.plot(hours, [sample.norm_shares for sample in one.samples], color="black", label="shares")
    axis.set_ylabel(NAMES[one.name])
