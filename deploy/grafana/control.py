"""Control: for operators. Decisions, RawShares, EffectvUsage against the set-point, queue demand, holds."""

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
    states,
)

IN = '{cluster="$cluster"}'
MODES = {1: ("observe", PLAIN), 2: ("advise", REGION), 3: ("enforce", GOOD)}
MODE = state("saf_mode", "mode", ("observe", "advise", "enforce"), 'cluster="$cluster"')
QUEUED = 'max(saf_queue_demand_resources{cluster="$cluster",beneficiary="regional"})'
APPLIED = 'sum(increase(saf_changes_total{cluster="$cluster",status="applied"}[1d]))'
CURRENT = f"sum(max by (account) (saf_raw_shares{IN}))"
WANTED = f"sum(max by (account) (saf_raw_shares_wanted{IN}))"
SET_POINT, HYSTERESIS = f"saf_switch_set_point_ratio{IN}", f"saf_switch_hysteresis_ratio{IN}"
NO_ACCOUNT = "The steered account is not in the association tree, or there is no complete cycle yet."
NO_SWITCH = "Accounts are steered (control.lever), or the last cycle failed."
NO_QUEUE = "No regional runs seen yet: no complete cycle."


def panels() -> list[tuple[int, int, Panel]]:
    """(width, height, panel), row by row."""
    return [
        (4, 4, numbers("Mode", MODE, "none", words=MODES)),
        (4, 4, numbers("Holds", f"max(saf_hold{IN})", "none", words={0: ("none", GOOD), 1: ("on hold", BAD)},
                       about="Whether the control is on hold; the timeline below shows the reason.")),
        (4, 4, numbers("RawShares now", CURRENT, "none", why=NO_ACCOUNT)),
        (4, 4, numbers("RawShares wanted", WANTED, "none", why=NO_ACCOUNT)),
        (4, 4, numbers("Applied in 24 h", APPLIED, "none", decimals=0,
                       about="Changes of RawShares that slurmctld confirmed.")),
        (4, 4, numbers("Others changed shares", f"max(saf_foreign_change{IN})", "none",
                       words={0: ("no", GOOD), 1: ("yes", WARNING)},
                       about="Whether another user set the current RawShares.")),
        (24, 9, lines("EffectvUsage of the region against its set-point", [
            Line(f"max(saf_usage_share_ratio{IN})", "EffectvUsage", REGION, width=3),
            Line(f"max(saf_set_point_ratio{IN})", "set-point", GOOD, dash=(8, 4)),
            Line(f"max(saf_share_ratio{IN})", "NormShares", EXPECTED),
            Line(f"max(saf_target_share_ratio{IN})", "floor", FLOOR, width=1),
        ], "percentunit", why=NO_ACCOUNT, high=0.4,
            about="The region goes first while EffectvUsage is below NormShares, which the control moves.")),
        (6, 8, numbers("Switch", f"max(saf_switch_raised{IN})", "none", why=NO_SWITCH,
                       words={0: ("lowered", PLAIN), 1: ("raised", REGION)},
                       about="While it is raised, the region's jobs go first.")),
        (18, 8, lines("Usage that moves the switch", [
            Line(f"max(saf_switch_usage_ratio{IN})", "part of the decayed charge", REGION, width=3),
            Line(f"max({SET_POINT})", "set-point", GOOD, dash=(8, 4)),
            Line(f"max({SET_POINT} - {HYSTERESIS})", "raised below this", EXPECTED),
            Line(f"max({SET_POINT} + {HYSTERESIS})", "lowered above this", WARNING),
        ], "percentunit", why=NO_SWITCH, high=0.4)),
        (12, 8, lines("RawShares, current and wanted", [
            Line(CURRENT, "current", REGION, width=3),
            Line(WANTED, "wanted", GOOD, dash=(8, 4)),
        ], "none", why=NO_ACCOUNT)),
        (12, 8, lines("Regional resources, running and waiting", [
            Line(f"max(saf_regional_running_resources{IN})", "running", REGION),
            Line(f"max(saf_regional_pending_resources{IN})", "waiting, by accounting", EXPECTED),
            Line(QUEUED, "waiting and could start, in the live queue", WARNING),
        ], "short", why=NO_QUEUE)),
        (12, 8, lines("Decisions in six hours, by reason", [
            Line(f"sum by (reason) (increase(saf_decisions_total{IN}[6h])) > 0", "{{reason}}"),
        ], "short", stacked=True, why="No decision yet: no complete cycle.")),
        (12, 8, lines("Changes of RawShares since the start, by status", [
            Line(f"sum by (status) (saf_changes_total{IN})", "{{status}}"),
        ], "short")),
        (18, 8, states("Holds", f"max by (reason) (saf_hold{IN})", "{{reason}}",
                       {0: ("steers", "#2f9e8322"), 1: ("on hold", BAD)},
                       about="For remedies see docs/howto/troubleshooting.md#holds.")),
        (6, 4, numbers("Authority of shares", f"max(saf_authority_ratio{IN})", "percentunit", decimals=0,
                       steps={None: BAD, 0.7: GOOD}, why="Known while jobs of both sides wait.",
                       about="How far fairshare alone decides which job starts first.")),
        (6, 4, numbers("Unknown accounts in rules", f"max(saf_unknown_accounts{IN})", "none",
                       steps={None: GOOD, 1: WARNING})),
    ]  # fmt: skip
