"""What a funder asks of an evaluation, answered by its rows: the blocks of docs/evaluation/index.md.

Each block is Markdown between ``<!-- made: NAME -->`` and ``<!-- end -->``; everything else on the page is
written by hand and names no figure that a run can change. The README has the block ``short`` too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean
from textwrap import fill
from typing import Any

Row = dict[str, Any]
TARGET, GOAL = 0.25, 0.26
LAW, STATIC, OWN, ORACLE = "floor", "static:0.25", "partition:0.25", "oracle"
DAILY_WRITES, ABOVE, ABOVE_STATIC, OF_ORACLE = 3.0, 0.025, 0.015, 1.1
"""What is required: at most so many writes a day, at most so far above the goal, or above what static shares
give where large jobs give more than that, and so many times the oracle's shortfall to blame."""
LARGE_KEPT = 8
ROUNDING = 0.005
"""Days of the machine: less to blame than this is none."""
BLOCK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

WORKLOADS = {
    "saturated": "both sides always want more than there is",
    "holiday": "the others are away for 15 of every 60 days",
    "burst": "the region comes for 12 of every 24 days",
    "season": "the region's demand rises and falls in 90 days",
    "late": "the region asks late in each quarter",
    "early": "the region asks early in each quarter",
    "long": "long jobs",
    "huge": "jobs of an eighth to a half of the machine",
    "tiny": "small jobs of a quarter of an hour",
    "philly_2017": "a log of 640 GPUs",
    "curie_2012": "a log of 80,000 cores",
}
REQUIREMENTS = ("requirement", "measured", "met")


def blocks(rows: Sequence[Row]) -> dict[str, str]:
    """Every block by its name."""
    judged = [row for row in rows if row["kind"] in ("scenario", "log")]
    made: Mapping[str, Callable[[Sequence[Row]], str]] = {
        "short": short, "share": share, "required": required, "own": own_machine, "peers": peers,
        "region": lambda rows: _waits(rows, "regional", (LAW, STATIC, ORACLE, OWN)),
        "others": lambda rows: _waits(rows, "non_regional", (LAW, STATIC, OWN)), "loses": loses,
    }  # fmt: skip
    return {**{name: make(judged) for name, make in made.items()}, "large": large(rows), "parts": parts(rows)}


def filled(page: str, made: Mapping[str, str]) -> str:
    """The page with its blocks made again. Raises KeyError for a block that nothing makes."""
    return BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", page)


def short(rows: Sequence[Row]) -> str:
    """Two sentences and a table: what each side waits, beside a machine of its own."""
    ours, others = (
        {case: of_own(rows, case, LAW, side) for case in cases(rows)} for side in ("regional", "non_regional")
    )
    longer = [[case for case, part in side.items() if part > 1] for side in (ours, others)]
    said = (
        f"Over these {len(ours)} workloads the region waits {mean(ours.values()):.2f} of what it would on a "
        "machine of its own, a quarter of this one, and the others "
        f"{mean(others.values()):.2f} of what they would on the other three quarters. The region waits "
        f"longer than on its own machine in {_listed(longer[0])}, the others in {_listed(longer[1])}."
    )
    lines = [
        (f"`{case}`: {WORKLOADS[case]}", f"{average(rows, case, LAW, 'delivered_share'):.3f}",
         f"{average(rows, case, LAW, 'min_window_share'):.3f}", f"{ours[case]:.2f}", f"{others[case]:.2f}")
        for case in ours
    ]  # fmt: skip
    head = ("workload", "region's share", "its worst window", "region's wait of its own machine", "others'")
    return f"{fill(said, 120)}\n\n{table(head, lines)}"


def share(rows: Sequence[Row]) -> str:
    """What the region gets under the law, static shares and the oracle."""
    figures = ("delivered_share", "min_window_share", "violation_ratio", "attributable_shortfall_charge")
    head = ["workload", "draws"]
    for title in ("share", "worst window", "windows missed", "to blame"):
        head += [f"{title}: law", "static 25/75", "oracle"]
    lines = [
        [f"`{case}`", str(sum((row["case"], row["policy"]) == (case, LAW) for row in rows)), *(
            _written(name, average(rows, case, policy, name))
            for name in figures for policy in (LAW, STATIC, ORACLE)
        )]
        for case in cases(rows)
    ]  # fmt: skip
    return table(head, lines)


def required(rows: Sequence[Row]) -> str:
    """What was required of the law before it was measured, and whether it is met."""
    found = cases(rows)
    blamed = {
        case: [average(rows, case, policy, "attributable_shortfall_charge") for policy in (LAW, ORACLE)]
        for case in found
    }
    more = [case for case, (law, oracle) in blamed.items() if law > OF_ORACLE * oracle + ROUNDING]
    kept = [case for case in ("saturated", "holiday") if case in found]
    missed = [case for case in kept if average(rows, case, LAW, "violation_ratio") > 0]
    got = average(rows, "saturated", LAW, "delivered_share")
    writes = {case: average(rows, case, LAW, "writes_per_day") for case in found}
    most = max(writes, key=writes.__getitem__)
    lines = [
        (f"to blame no more than {OF_ORACLE} times the oracle's", f"more in {_listed(more)}", _met(not more)),
        (f"no window missed in {_listed(kept)}", f"missed in {_listed(missed)}", _met(not missed)),
        (f"at most {100 * ABOVE:g} points above the goal in `saturated`", f"{100 * (got - GOAL):+.1f} points",
         _met(got - GOAL <= ABOVE)),
        (f"at most {DAILY_WRITES:g} writes a day", f"at most {writes[most]:.2f} on average, in `{most}`",
         _met(writes[most] <= DAILY_WRITES)),
    ]  # fmt: skip
    return table(REQUIREMENTS, lines)


def _waits(rows: Sequence[Row], side: str, policies: Sequence[str]) -> str:
    names = {LAW: "law", STATIC: "static 25/75", ORACLE: "oracle", OWN: "a machine of its own"}
    head = ["workload", *(f"mean wait, h: {names[policy]}" for policy in policies[:1])]
    head += [names[policy] for policy in policies[1:]]
    head += ["95 % wait at most: law", "static 25/75", "machine used: law", "static 25/75"]
    lines = []
    for case in cases(rows):
        waits = [average(rows, case, policy, side, "mean_seconds") / 3600 for policy in policies]
        waits += [average(rows, case, policy, side, "p95_seconds") / 3600 for policy in (LAW, STATIC)]
        used = [f"{100 * average(rows, case, policy, 'utilisation'):.0f} %" for policy in (LAW, STATIC)]
        lines.append([f"`{case}`", *(f"{wait:.1f}" for wait in waits), *used])
    return table(head, lines)


def own_machine(rows: Sequence[Row]) -> str:
    """The sharing incentive: both sides' waits and slowdowns, as parts of those alone."""
    head = ["workload", "region: law", "static 25/75", "others: law", "static 25/75"]
    head += ["region's slowdown: law", "others' slowdown: law"]
    sides = ("regional", "non_regional")
    lines = [
        [f"`{case}`",
         *(f"{of_own(rows, case, policy, side):.2f}" for side in sides for policy in (LAW, STATIC)),
         *(f"{of_own(rows, case, LAW, side, 'bounded_slowdown'):.2f}" for side in sides)]
        for case in cases(rows)
    ]  # fmt: skip
    return table(head, lines)


def peers(rows: Sequence[Row]) -> str:
    """Every policy over the scenarios: what each leaves to blame, takes and costs."""
    mine = [row for row in rows if row["kind"] == "scenario"]
    policies = sorted({row["policy"] for row in mine}, key=lambda policy: (policy != LAW, policy))
    head = ("policy", "to blame, days", "windows missed", "least window", "share in `saturated`",
            "region's wait of its own machine", "others'", "longest for the others")  # fmt: skip
    lines = []
    for policy in policies:
        named = cases([row for row in mine if row["policy"] == policy])
        ours, theirs = (
            [of_own(mine, case, policy, side) for case in named] for side in ("regional", "non_regional")
        )
        longest = max(zip(theirs, named, strict=True))
        blamed = sum(average(mine, case, policy, "attributable_shortfall_charge") for case in named)
        missed = mean(average(mine, case, policy, "violation_ratio") for case in named)
        least = min(average(mine, case, policy, "min_window_share") for case in named)
        taken = f"{average(mine, 'saturated', policy, 'delivered_share'):.3f}" if "saturated" in named else ""
        lines.append((
            f"`{policy}`", f"{blamed:.2f}", f"{100 * missed:.1f} %", f"{least:.3f}", taken,
            f"{mean(ours):.2f}", f"{mean(theirs):.2f}", f"{longest[0]:.2f} in `{longest[1]}`",
        ))  # fmt: skip
    return table(head, lines)


def large(rows: Sequence[Row]) -> str:
    """Each draw of large jobs: what the region got, and the most that it was to get."""
    draws: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        if row["kind"] == "large":
            draws.setdefault((row["case"], row["seed"]), {})[row["policy"]] = row
    lines, kept = [], 0
    for (case, seed), by_policy in sorted(draws.items()):
        law, static = by_policy[LAW], by_policy[STATIC]
        most = max(GOAL + ABOVE, static["delivered_share"] + ABOVE_STATIC)
        met = law["delivered_share"] <= most
        kept += met
        lines.append((
            f"`{case}`, {seed + 1}", f"{law['delivered_share']:.3f}",
            f"{static['delivered_share']:.3f}", f"{most:.3f}", _met(met),
            f"{law['min_window_share']:.3f}", f"{static['min_window_share']:.3f}",
            f"{law['attributable_shortfall_charge']:.2f}",
            f"{static['attributable_shortfall_charge']:.2f}", f"{law['writes_per_day']:.2f}",
        ))  # fmt: skip
    head = ("log, region", "share: law", "static 25/75", "at most", "met", "worst window: law",
            "static 25/75", "to blame: law", "static 25/75", "writes a day")  # fmt: skip
    if not lines:
        return "This part has not been run."
    return f"Met in {kept} of {len(lines)} draws; {LARGE_KEPT} of 9 are required.\n\n{table(head, lines)}"


def loses(rows: Sequence[Row]) -> str:
    """Where the law is worse than something else, as a list."""
    lines = []
    for case in cases(rows):
        law, static, oracle = (
            average(rows, case, policy, "attributable_shortfall_charge") for policy in (LAW, STATIC, ORACLE)
        )
        more = [
            f"{name} {other:.2f}"
            for name, other in (("static 25/75", static), ("oracle", oracle))
            if law > other + ROUNDING
        ]
        if more:
            lines.append(f"- `{case}`: {law:.2f} days to blame, {', '.join(more)}.")
        waits = [
            average(rows, case, policy, "non_regional", "mean_seconds") / 3600 for policy in (LAW, STATIC)
        ]
        if waits[0] > 1.1 * waits[1]:
            lines.append(
                f"- `{case}`: the others wait {waits[0]:.1f} hours, {waits[1]:.1f} under static 25/75."
            )
    return "\n".join(lines) or "Nowhere in these workloads."


def parts(rows: Sequence[Row]) -> str:
    """The law with faults, without parts of it and with other half-lives: the least over the scenarios."""
    mine = [row for row in rows if row["kind"] in ("fault", "ablation", "half-life")]
    lines = []
    for policy in dict.fromkeys(row["policy"] for row in mine):
        named = [row for row in mine if row["policy"] == policy]
        lines.append((
            policy, f"{min(row['min_window_share'] for row in named):.3f}",
            f"{100 * max(row['violation_ratio'] for row in named):.1f} %",
            f"{max(row['delivered_share'] for row in named if row['case'] != 'holiday'):.3f}",
            f"{max(row['writes_per_day'] for row in named):.2f}",
        ))  # fmt: skip
    head = ("case", "least window", "most windows missed", "most that the region got without a holiday",
            "most writes a day")  # fmt: skip
    return table(head, lines) if lines else "This part has not been run."


def cases(rows: Iterable[Row]) -> list[str]:
    """The workloads that there are, in the order of WORKLOADS."""
    there = {row["case"] for row in rows}
    return [case for case in WORKLOADS if case in there]


def average(rows: Iterable[Row], case: str, policy: str, *names: str) -> float:
    """The mean of a figure over the draws of a workload; windows of a draw without any are left out."""
    found = [_get(row, *names) for row in rows if (row["case"], row["policy"]) == (case, policy)]
    return mean(figure for figure in found if figure is not None)


def of_own(rows: Iterable[Row], case: str, policy: str, side: str, figure: str = "mean_seconds") -> float:
    """A side's figure as a part of that on a machine of its own, the mean of the draws that have both."""
    by_draw: dict[tuple[str, int], dict[str, float]] = {}
    for row in rows:
        if row["case"] == case:
            by_draw.setdefault((row["label"], row["seed"]), {})[row["policy"]] = row[side][figure]
    return mean(draw[policy] / draw[OWN] for draw in by_draw.values() if policy in draw and draw.get(OWN))


def _get(row: Row, *names: str) -> float | None:
    value: Any = row
    for name in names:
        value = value[name]
    return None if value is None else float(value)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed([]), _listed(["early"]), _listed(["early", "late"])
    ('none', '`early`', '`early` and `late`')
    """
    *most, last = [f"`{name}`" for name in names] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


def _written(name: str, figure: float) -> str:
    return f"{100 * figure:.1f} %" if name.endswith("_ratio") else f"{figure:.{3 - ('charge' in name)}f}"


def _met(met: bool) -> str:
    return "yes" if met else "**no**"
