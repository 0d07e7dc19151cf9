"""Promise: for those who promised. Share against the floor, verdict, forecast, by category and sector."""

from __future__ import annotations

from deploy.grafana.panels import (
    BAD,
    EXPECTED,
    FLOOR,
    GOOD,
    NO_RULE,
    NOT_CALENDAR,
    REGION,
    TEXT,
    WARNING,
    Line,
    Panel,
    bars,
    lines,
    numbers,
    words_of,
)

IN = '{cluster="$cluster",window="$window"}'
DELIVERED, TARGET = f"max(saf_delivered_share_ratio{IN})", f"max(saf_target_share_ratio{IN})"
VERDICTS = {
    1: ("open", REGION),
    2: ("met", GOOD),
    3: ("missed: too little regional work", WARNING),
    4: ("missed: regional jobs waited", BAD),
}
VERDICT = " + ".join(
    f'{number} * max(saf_verdict{{cluster="$cluster",window="$window",verdict="{verdict}"}})'
    for number, verdict in enumerate(("open", "met", "missed_demand", "missed_starved"), 1)
)

READING = """\
The region was promised a **floor**: at least this share of the compute delivered in the window.

- **Below the floor and open**: the rest of the window decides; see *required from now on*.
- **Missed: too little regional work**: there was capacity, but not enough regional work.
- **Missed: regional jobs waited**: the promise was broken.

*Starved* is the charge that waiting regional jobs could have received while the region was below its floor.
Unclassified charge counts as not regional."""


def row(label: str) -> str:
    """The region's charge by a detail of the rules, as a part of all charge in the window."""
    regional = '{cluster="$cluster",window="$window",beneficiary="regional"}'
    parts = f"sum by ({label}) (saf_{label}_delivered_resource_seconds{regional})"
    return f"{parts} / on () group_left () sum(saf_delivered_resource_seconds{IN})"


LEFT = f"clamp_min(max(saf_window_end_timestamp_seconds{IN}) - time(), 0)"


def panels() -> list[tuple[int, int, Panel]]:
    """(width, height, panel), row by row."""
    return [
        (4, 4, numbers("Share of the region", DELIVERED, "percentunit", decimals=1,
                       about="Regional charge / all charge since the start of the window.")),
        (4, 4, numbers("Against the floor", f"100 * ({DELIVERED} - {TARGET})", "suffix: points", decimals=2,
                       steps={None: BAD, 0: GOOD}, about="Percentage points above or below the promise.")),
        (4, 4, numbers("Verdict", VERDICT, "none", words=VERDICTS)),
        (4, 4, numbers("Expected at the end", f"max(saf_forecast_share_ratio{IN})", "percentunit", decimals=1,
                       why=NOT_CALENDAR, about="If the rest of the window is like the last seven days.")),
        (4, 4, numbers("Required from now on", f"max(saf_required_share_ratio{IN})", "percentunit",
                       decimals=1, why=NOT_CALENDAR, steps={None: TEXT, 0.5: WARNING, 1: BAD},
                       about="Share of the rest of the window that is needed to end at floor plus margin.")),
        (4, 4, numbers("Of capacity", f"max(saf_capacity_share_ratio{IN})", "percentunit", decimals=1,
                       about="Regional charge / capacity that was up in the window.")),
        (16, 10, lines("Share since the start of the window, against the floor", [
            Line(DELIVERED, "share of the region", REGION, width=3),
            Line(TARGET, "floor", FLOOR),
            Line(f"max(saf_forecast_share_ratio{IN})", "expected at the end", EXPECTED, dash=(2, 6)),
        ], "percentunit", high=0.4)),
        (8, 10, words_of("How to read this", READING)),
        (16, 8, lines("Share of each day alone", [
            Line(f"max(saf:delivered_share:ratio1d{IN})", "share of the last 24 hours", REGION),
            Line(f"max(saf_recent_share_ratio{IN})", "share of the last seven days", EXPECTED),
            Line(TARGET, "floor", FLOOR),
        ], "percentunit", why=NO_RULE, high=0.4)),
        (8, 4, bars("By category", row("category"), "{{category}}", "percentunit",
                    about="Regional charge of each category / all charge in the window.")),
        (8, 4, bars("By sector", row("sector"), "{{sector}}", "percentunit",
                    about="Regional charge of each sector / all charge in the window.")),
        (16, 8, lines("Why: shortfall of the region and starved demand, in resource-hours", [
            Line(f"max(saf_starved_resource_seconds{IN}) / 3600", "starved", BAD),
            Line(f"max(saf_shortfall_resource_seconds{IN}) / 3600", "short of the promise", FLOOR),
        ], "short")),
        (4, 4, numbers("Unclassified", f"max(saf_unclassified_ratio{IN})", "percentunit", decimals=1,
                       steps={None: TEXT, 0.01: WARNING}, about="Charge that no rule matched.")),
        (4, 4, numbers("Rest of the window", LEFT, "s", decimals=0)),
        (4, 4, numbers("Floor at risk", f"max(saf_floor_at_risk{IN})", "none",
                       words={0: ("no", GOOD), 1: ("yes", BAD)})),
        (4, 4, numbers("Attainable", f"max(saf_attainable{IN})", "none", why=NOT_CALENDAR,
                       words={0: ("no", BAD), 1: ("yes", GOOD)},
                       about="Whether present regional demand can reach the required share.")),
    ]  # fmt: skip
