"""Grid: for operators and for those who answer for the connection. Power against its limit, nodes, water."""

from __future__ import annotations

from deploy.grafana.panels import (
    BAD,
    EXPECTED,
    FLOOR,
    GOOD,
    PLAIN,
    REGION,
    WARNING,
    Line,
    Panel,
    lines,
    numbers,
    state,
)

IN = '{cluster="$cluster",window="$window"}'
OF = '{cluster="$cluster"}'
OF_WINDOW = 'cluster="$cluster",window="$window"'
WORDS = {1: ("open", PLAIN), 2: ("kept", GOOD), 3: ("exceeded", BAD)}
VERDICTS = ("open", "kept", "exceeded")
NO_METER = "Needs readings of P_15MIN (saf meter import) and allowed power (saf grid import)."
NO_WATER = "Needs readings of W_POTABLE and W_SURFACE (saf meter import)."
NO_KEEPING = "grid.mode is off, or the last cycle failed."


def panels() -> list[tuple[int, int, Panel]]:
    """(width, height, panel), row by row."""
    return [
        (4, 4, numbers("Grid", state("saf_grid_verdict", "verdict", VERDICTS, OF_WINDOW), "none",
                       words=WORDS, why=NO_METER)),
        (4, 4, numbers("Water", state("saf_water_verdict", "verdict", VERDICTS, OF_WINDOW), "none",
                       words=WORDS, why=NO_WATER)),
        (4, 4, numbers("Exceeded", f"max(saf_grid_exceeded_seconds{IN})", "s", why=NO_METER,
                       steps={None: GOOD, 1: BAD}, about="Quarters of an hour above what was allowed.")),
        (4, 4, numbers("Not read", f"max(saf_grid_unread_seconds{IN})", "s", why=NO_METER,
                       steps={None: GOOD, 1: WARNING},
                       about="Quarters of an hour without a reading: they leave the window open.")),
        (4, 4, numbers("Limited this year", f"max(saf_grid_limited_year_seconds{IN})", "s", why=NO_METER,
                       steps={None: GOOD, 0.9 * 1314 * 3600: WARNING, 1314 * 3600: BAD},
                       about="Limits of a time-duration right; 1,314 hours are allowed.")),
        (4, 4, numbers("On hold", f"max(saf_grid_hold{OF})", "none", why=NO_KEEPING,
                       words={0: ("no", GOOD), 1: ("yes", BAD)},
                       about="Whether nodes could be kept free if a limit came.")),
        (24, 9, lines("Power of the connection, and what is allowed", [
            Line(f"max(saf_grid_power_watts{IN})", "power", REGION, width=3),
            Line(f"max(saf_grid_allowed_watts{IN})", "allowed", FLOOR),
            Line(f"max(saf_grid_expected_watts{OF})", "expected", EXPECTED, dash=(8, 4)),
        ], "watt", why=NO_METER, about="Mean over a quarter of an hour.")),
        (12, 8, lines("Nodes kept free", [
            Line('max(saf_grid_nodes{cluster="$cluster",state="needed"})', "needed", FLOOR),
            Line('max(saf_grid_nodes{cluster="$cluster",state="reserved"})', "reserved", GOOD),
        ], "short", why=NO_KEEPING)),
        (12, 8, lines("Regional jobs that wait for nodes kept free", [
            Line(f"max(saf_queue_held_by_grid_resources{OF})", "resources requested", WARNING),
        ], "short", why=NO_KEEPING, about="Neither demand nor starved.")),
        (12, 6, lines("Energy above what was allowed", [
            Line(f"max(saf_grid_excess_joules{IN})", "in the window", BAD),
        ], "joule", why=NO_METER)),
        (12, 6, lines("Drinking water and surface water of the process", [
            Line(f"max by (kind) (saf_water_used_cubic_metres{IN})", "{{kind}}"),
        ], "m3", why=NO_WATER, about="The condition is 0.")),
    ]  # fmt: skip
