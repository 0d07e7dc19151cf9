"""Service: the health of saf. Outcomes, lag, ingestion and cost."""

from __future__ import annotations

from deploy.grafana.panels import (
    BAD,
    EXPECTED,
    FLOOR,
    GOOD,
    NO_TARGET,
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
ON = 'and on (instance, job) saf_cycles_total{cluster="$cluster",outcome="complete"}'
CAUSES = {
    0: ("none", GOOD),
    1: ("Slurm", BAD),
    2: ("ledger", BAD),
    3: ("configuration", BAD),
    4: ("machine", BAD),
    5: ("defect", BAD),
}
FAILED = state(
    "saf_failure", "cause", ("slurm", "ledger", "configuration", "machine", "defect"), 'cluster="$cluster"'
)
CAUSE = f"{FAILED} or 0 * max(saf_failure{IN})"
NEWEST = f"max(saf_watermark_timestamp_seconds{IN}) - max(saf_newest_record_timestamp_seconds{IN})"
NO_MIDNIGHT = "The daemon compares after each midnight; not yet since it started. By hand: saf reconcile."


def quantile(of: float, metric: str, by: str = "") -> str:
    """A quantile of a histogram over the last hours."""
    return f"histogram_quantile({of}, sum by (le{by}) (rate({metric}_bucket{IN}[6h])))"


def panels() -> list[tuple[int, int, Panel]]:
    """(width, height, panel), row by row."""
    phases = "saf_cycle_phase_duration_seconds"
    return [
        (4, 4, numbers("Answers", f"max(up {ON})", "none", why=NO_TARGET,
                       words={0: ("no", BAD), 1: ("yes", GOOD)})),
        (4, 4, numbers("Last cycle failed for", CAUSE, "none", words=CAUSES)),
        (4, 4, numbers("Last complete cycle", "saf:cycle_age:seconds" + IN, "s", decimals=0,
                       why="No complete cycle yet, or deploy/prometheus/rules.yml is not in Prometheus.",
                       about="Age of the last complete cycle, by the clock of the daemon's host.")),
        (4, 4, numbers("Lag of the last read", f"max(saf_read_lag_seconds{IN})", "s", decimals=1,
                       about="Age of the newest accounting when the last cycle ended.")),
        (4, 4, numbers("Ledger differs by", f"max(saf_reconcile_unexplained_tres_seconds{IN})", "none",
                       why=NO_MIDNIGHT, steps={None: BAD, 0: GOOD, 1: BAD},
                       about="Unexplained differences with sacct and sreport yesterday, in TRES-seconds.")),
        (4, 4, numbers("Version", "max by (version) (saf_build_info)", "none", why=NO_TARGET,
                       named="{{version}}")),
        (12, 8, lines("Age of the last complete cycle", [
            Line(f"time() - max(saf_last_cycle_timestamp_seconds{IN})", "age", REGION),
            Line(f"max(saf_stale_after_seconds{IN})", "stale above this", FLOOR),
            Line(f"max(saf_period_seconds{IN})", "period", EXPECTED, dash=(2, 6)),
        ], "s")),
        (12, 8, lines("Duration of cycles, 95th percentile of six hours, by phase", [
            Line(quantile(0.95, "saf_cycle_duration_seconds"), "whole cycle", REGION, width=3),
            Line(quantile(0.95, phases, ", phase"), "{{phase}}"),
        ], "s", why="No cycle in the last six hours.")),
        (12, 8, lines("Cycles an hour, by outcome", [
            Line(f"sum by (outcome) (increase(saf_cycles_total{IN}[1h]))", "{{outcome}}"),
        ], "short", stacked=True)),
        (12, 8, lines("Runs read in an hour", [
            Line(f"sum(increase(saf_read_runs_total{IN}[1h]))", "listed by sacct", EXPECTED),
            Line(f"sum(increase(saf_changed_runs_total{IN}[1h]))", "new or changed", REGION),
        ], "short")),
        (12, 6, states("Failures, by cause", f"max by (cause) (saf_failure{IN})", "{{cause}}",
                       {0: ("fine", "#2f9e8322"), 1: ("failed", BAD)})),
        (4, 6, numbers("Unparsable lines, last day", f"max(saf_unreadable_lines{IN})", "none",
                       decimals=0, steps={None: GOOD, 1: WARNING},
                       about="Distinct lines of sacct that saf could not parse; runs in them do not count.")),
        (4, 6, numbers("Unknown states", f"max(saf_unknown_states{IN})", "none",
                       steps={None: GOOD, 1: WARNING},
                       about="Job states that no known Slurm version has; their runs are counted.")),
        (4, 6, numbers("Newest record", NEWEST, "s", decimals=0,
                       about="Age of the latest time that sacct reported of any run, at the last read.")),
        (8, 7, lines("Duration of a scrape", [
            Line(f"max(scrape_duration_seconds {ON})", "seconds", REGION),
        ], "s", why=NO_TARGET, legend=False)),
        (8, 7, lines("Memory of the daemon", [
            Line(f"max(process_resident_memory_bytes {ON})", "resident", REGION),
        ], "bytes", why=NO_TARGET, legend=False)),
        (8, 7, lines("Processor time of the daemon", [
            Line(f"max(rate(process_cpu_seconds_total[5m]) {ON})", "of one core", REGION),
        ], "percentunit", why=NO_TARGET, legend=False)),
    ]  # fmt: skip
