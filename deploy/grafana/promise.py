"""Promise: for those who promised. Share against the floor, verdict, forecast, by category and sector.

The rule: it fits a wall display of 1920 by 1080 pixels, and its top row has what people look for first. A
rolling window has no end: panels about the rest of a window say so, instead of a 0 or an empty panel.
"""

from __future__ import annotations

from deploy.grafana.panels import (
    BAD,
    EXPECTED,
    FLOOR,
    GOOD,
    NO_RULE,
    NOT_CALENDAR,
    PLAIN,
    REGION,
    TEXT,
    WARNING,
    Line,
    Panel,
    against,
    bars,
    lines,
    numbers,
    rows_of,
    state,
    words_of,
)

IN = '{cluster="$cluster",window="$window"}'
DELIVERED, TARGET = f"max(saf_delivered_share_ratio{IN})", f"max(saf_target_share_ratio{IN})"
RECENT = f"max(saf_recent_share_ratio{IN})"
VERDICTS = {
    1: ("open", REGION),
    2: ("met", GOOD),
    3: ("missed: too little regional work", WARNING),
    4: ("missed: regional jobs waited", BAD),
}
OF_FLOOR = ("open", "met", "missed_demand", "missed_starved")
VERDICT = state("saf_verdict", "verdict", OF_FLOOR, 'cluster="$cluster",window="$window"')

OF_PROMISE = {"promise": "promise", "bound": "bound", "share_of": "part of"}
BY_BOUND = {
    "open": ("open", REGION),
    "met": ("kept", GOOD),
    "kept": ("kept", GOOD),
    "missed_demand": ("not kept: too little demand", WARNING),
    "exceeded_idle": ("exceeded, but no one else waited", WARNING),
    "missed_starved": ("not kept: jobs waited", BAD),
    "exceeded": ("exceeded while others waited", BAD),
}
"""Words of every verdict, of floors and of caps."""


def of_promise(metric: str) -> str:
    """A metric of each promise, in its own window."""
    return f'max by ({", ".join(OF_PROMISE)}) ({metric}{{cluster="$cluster"}})'


PROMISES = [
    Line(of_promise("saf_promise_target_ratio"), "promised"),
    Line(of_promise("saf_promise_share_ratio"), "delivered"),
    Line(state("saf_promise_verdict", "verdict", tuple(BY_BOUND), 'cluster="$cluster"', tuple(OF_PROMISE)),
         "verdict"),
]  # fmt: skip

OF_JOINT = {"promise": "promise", "window": "window"}
NO_JOINT = "no promise over several clusters, or not measured lately"


def of_joint(metric: str) -> str:
    """A metric of each joint promise, which is of no single cluster."""
    return f"max by ({', '.join(OF_JOINT)}) ({metric})"


JOINT = [
    Line(of_joint("saf_joint_target_ratio"), "promised"),
    Line(of_joint("saf_joint_share_ratio"), "delivered"),
    Line(of_joint("saf_joint_forecast_share_ratio"), "expected"),
    Line(state("saf_joint_verdict", "verdict", OF_FLOOR, 'promise!=""', tuple(OF_JOINT)), "verdict"),
]

ROLLS = {-1: ("rolls on, has no end", PLAIN)}
UNKNOWN = {-3: ("not known yet", PLAIN)}
NEEDED = {**ROLLS, -2: ("nothing: at the floor", GOOD), **UNKNOWN}

READING = """\
The region was promised a **floor**: at least this share of the compute delivered in the window.

- **Below the floor and open**: the rest of the window decides; see *required from now on*.
- **Missed: too little regional work**: there was capacity, but not enough regional work.
- **Missed: regional jobs waited**: the promise was broken.

A **rolling window** has no rest: it always covers the days up to now, and below the floor is a miss.

*Starved* is the charge that waiting regional jobs could have received while the region was below its floor.
Unclassified charge counts as not regional."""


def of_calendar(expr: str) -> str:
    """An expression about the end of a window; -1 for a rolling one, which has none."""
    rolling = 'max(saf_target_share_ratio{cluster="$cluster",window="$window",window=~"rolling:.*"})'
    return f"{expr} or 0 * {rolling} - 1"


def if_below(expr: str) -> str:
    """What is known of a calendar window while it is below the floor, or -3; -2 while it is not below."""
    return f"{of_calendar(expr)} or 0 * ({DELIVERED} >= {TARGET}) - 2 or 0 * ({DELIVERED} < {TARGET}) - 3"


def row(label: str) -> str:
    """The region's charge by a detail of the rules, as a part of all charge in the window."""
    regional = '{cluster="$cluster",window="$window",beneficiary="regional"}'
    parts = f"sum by (name) (saf_{label}_delivered_resource_seconds{regional})"
    return f"{parts} / on () group_left () sum(saf_window_delivered_resource_seconds{IN})"


LEFT = (
    'max(saf_window_end_timestamp_seconds{cluster="$cluster",window="$window",window!~"rolling:.*"})'
    ' - max(saf_watermark_timestamp_seconds{cluster="$cluster"})'
)
DAY = 'max(saf:delivered_share:ratio1d{cluster="$cluster"})'
STARVED_DAY = 'max(saf:starved:resource_seconds1d{cluster="$cluster"}) / 3600'


def panels() -> list[tuple[int, int, Panel]]:
    """(width, height, panel), row by row."""
    return [
        (4, 4, against("Share of the region", DELIVERED, TARGET, "percentunit", decimals=2,
                       about="Regional charge / all charge in the window; red below the floor.")),
        (4, 4, numbers("Against the floor", f"100 * ({DELIVERED} - {TARGET})", "suffix: points",
                       steps={None: BAD, 0: GOOD}, about="Percentage points above or below the promise.")),
        (4, 4, numbers("Verdict", VERDICT, "none", words=VERDICTS)),
        (4, 4, numbers("Floor at risk", f"max(saf_floor_at_risk{IN})", "none",
                       words={0: ("no", GOOD), 1: ("yes", BAD)},
                       about="Below the floor, and the window rolls or its rest cannot mend that.")),
        (4, 4, numbers("Within reach", if_below(f"max(saf_attainable{IN})"), "none", why=NOT_CALENDAR,
                       words={0: ("no", BAD), 1: ("yes", GOOD), **ROLLS, -2: ("yes: at the floor", GOOD),
                              **UNKNOWN},
                       about="Whether regional demand as in the last seven days can reach the floor.")),
        (4, 4, numbers("Expected at the end", of_calendar(f"max(saf_forecast_share_ratio{IN})"),
                       "percentunit", words=ROLLS, why=NOT_CALENDAR,
                       about="If the rest of the window is like the last seven days.")),
        (4, 3, numbers("Required from now on", if_below(f"max(saf_required_share_ratio{IN})"),
                       "percentunit", why=NOT_CALENDAR, words=NEEDED,
                       steps={None: TEXT, 0.5: WARNING, 1: BAD},
                       about="Share of the rest of the window that is needed to end at floor plus margin.")),
        (4, 3, numbers("Rest of the window", of_calendar(LEFT), "s", decimals=0, words=ROLLS)),
        (4, 3, numbers("Last seven days", RECENT, "percentunit",
                       about="Regional charge / all charge in the last seven days of the window.")),
        (4, 3, numbers("Of capacity", f"max(saf_capacity_share_ratio{IN})", "percentunit",
                       about="Regional charge / capacity that was up in the window.")),
        (4, 3, numbers("Unclassified", f"max(saf_unclassified_ratio{IN})", "percentunit",
                       steps={None: TEXT, 0.01: WARNING}, about="Charge that no rule matched.")),
        (4, 3, numbers("Resource", 'max by (name) (saf_resource_info{cluster="$cluster"})', "none",
                       named="{{name}}", about="What the promise counts.")),
        (16, 9, lines("Share in the window up to each moment, and the floor", [
            Line(DELIVERED, "share of the region", REGION, width=3),
            Line(TARGET, "floor", FLOOR),
            Line(f"max(saf_forecast_share_ratio{IN})", "expected at the end", EXPECTED, dash=(2, 6)),
        ], "percentunit", high=0.4)),
        (8, 9, words_of("How to read this", READING)),
        (8, 5, lines("Share of the last 24 hours, and of the last 7 days", [
            Line(DAY, "last 24 hours, all of the cluster", REGION),
            Line(RECENT, "last seven days of the window", EXPECTED),
            Line(TARGET, "floor", FLOOR),
        ], "percentunit", why=NO_RULE, high=0.4)),
        (8, 4, lines("What the region missed, in resource-hours", [
            Line(f"max(saf_window_starved_resource_seconds{IN}) / 3600", "starved in the window", BAD),
            Line(f"max(saf_window_shortfall_resource_seconds{IN}) / 3600", "short of the promise", FLOOR),
            Line(STARVED_DAY, "starved in the last 24 hours", BAD, dash=(2, 6)),
        ], "short")),
        (8, 4, bars("By category, of all charge", row("category"), "{{name}}", "percentunit",
                    about="Regional charge of each category / all charge in the window.")),
        (8, 5, rows_of("Promises", PROMISES, ("percentunit", "percentunit", "none"), OF_PROMISE,
                       dict(enumerate(BY_BOUND.values(), 1)),
                       about="Every promise, each in its own window.")),
        (8, 5, bars("By sector, of all charge", row("sector"), "{{name}}", "percentunit",
                    about="Regional charge of each sector / all charge in the window.")),
        (8, 4, rows_of("Joint promises", JOINT, (*3 * ["percentunit"], "none"), OF_JOINT, VERDICTS,
                       why=NO_JOINT, about="Promises over several clusters, whichever is chosen.")),
    ]  # fmt: skip
