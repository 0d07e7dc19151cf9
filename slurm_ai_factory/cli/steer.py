"""Commands that decide: cycle, plan, history, restore-baseline. Those that write say so."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from slurm_ai_factory import cycle
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import (
    SafCommand,
    chosen,
    load_config,
    opened_ledger,
    opened_site,
    slurm_of,
)
from slurm_ai_factory.core.records import Decision
from slurm_ai_factory.errors import StandbyError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps import applying, clocks
from slurm_ai_factory.steps.applying import Outcome, Restored
from slurm_ai_factory.steps.reading import Read
from slurm_ai_factory.steps.site import Site
from slurm_ai_factory.steps.summary import cycle_sentence
from slurm_ai_factory.steps.values import CycleReport

MOST_LINES = 1_000_000


@click.command("cycle", cls=SafCommand)
@click.option("--dry-run", is_flag=True, help="Read, decide and show; change nothing in Slurm: `saf plan`.")
def cycle_command(dry_run: bool) -> None:
    """One cycle now. Writes to the ledger, and in mode enforce to Slurm."""
    config = load_config()
    with opened_site(config) as site:
        if dry_run:
            return _print_plan(_plan(site), slurm_of(config))
        report = cycle.run(site, time.monotonic)
        if chosen.json:
            output.emit(_report(report, slurm_of(config)))
        elif not chosen.quiet:
            output.say(cycle_sentence(report))
    sys.exit(_failed(report.outcomes))


def _failed(outcomes: tuple[Outcome, ...]) -> int:
    return int(any(one.status in ("failed", "planned") for one in outcomes))


def _report(report: CycleReport, slurm: Slurm) -> dict[str, Any]:
    gathered = report.gathered
    return {
        "at": output.when(gathered.at),
        "mode": report.mode,
        "runs": gathered.read.runs,
        "changed": gathered.read.changed,
        "rejected": [one._asdict() for one in gathered.read.rejected],
        "unknown_states": list(gathered.read.unknown_states),
        "unknown_accounts": list(gathered.unknown_accounts),
        "delivered_share": gathered.measurement.delivered_share,
        "decision": output.decision_value(report.decision, slurm),
        "outcomes": [
            {"account": one.change.account, "raw_shares_after": one.change.raw_shares_after,
             "status": one.status, "note": one.note}
            for one in report.outcomes
        ],
        "seconds": report.seconds,
    }  # fmt: skip


@click.command("plan", cls=SafCommand)
def plan_command() -> None:
    """What the next cycle would do: the decision, its reason, and the commands, ready to paste.

    Changes nothing in Slurm. Where no daemon is active, accounting is read first. Writes to the ledger then.
    Text output is comments and commands, so it can be given to a shell.
    """
    config = load_config()
    with opened_site(config) as site:
        _print_plan(_plan(site), slurm_of(config))


def _plan(site: Site) -> Decision:
    """The decision on what is there now; while a daemon is active it keeps the ledger fresh, else we read."""
    try:
        cycle.hold_the_lock(site)
    except StandbyError:
        priority = site.slurm.priority_config()
        return cycle.decide_on(site, cycle.observe(site, clocks.cluster_now(site), priority, Read()))
    return cycle.decide_on(site, cycle.gather(site))


def _print_plan(decision: Decision, slurm: Slurm) -> None:
    if chosen.json:
        return output.emit({"decision": output.decision_value(decision, slurm)})
    if not chosen.quiet:
        _comment(f"{output.when(decision.at)} {decision.reason}: {decision.sentence}")
        for name, value in decision.inputs.items():
            _comment(f"  {name} = {_said(name, value)}")
    for change in decision.changes:
        output.say(shlex.join(slurm.argv(change)))
    return None


def _comment(text: str) -> None:
    """One line, whatever is in it: a shell may read it."""
    output.say(f"# {text}")


def _said(name: str, value: float | int | str | None) -> str:
    """An input of a decision, with its unit."""
    if value is None or value == "":
        return "-"
    if name == "as_of" and isinstance(value, int):
        return str(output.when(value))
    if name.endswith("_charge"):
        return f"{output.hours(float(value))} resource-hours"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@click.command("history", cls=SafCommand)
@click.option(
    "--limit", default=50, show_default=True, metavar="N", type=click.IntRange(1, MOST_LINES),
    help="At most so many, newest first.",
)  # fmt: skip
@click.option("--decisions", is_flag=True, help="Every decision, also those that changed nothing.")
def history_command(limit: int, decisions: bool) -> None:
    """Changes and the decisions behind them: who, when, why, before, after, read back.

    With --decisions, what was decided and why, as in mode observe, where nothing is changed.
    """
    with opened_ledger(load_config()) as ledger:
        if decisions:
            return _print_decisions(ledger.control.decisions(limit))
        entries = latest(ledger, limit)
    return print_history(entries)


def _print_decisions(found: Sequence[dict[str, Any]]) -> None:
    shown = [{**one, "at": output.when(one["at"])} for one in found]
    if chosen.json:
        return output.emit([{**one, "inputs": output.inputs(one["inputs"])} for one in shown])
    columns = ("at", "mode", "reason", "sentence")
    return output.table(columns, [[one[name] for name in columns] for one in shown])


def latest(ledger: Ledger, limit: int) -> list[dict[str, Any]]:
    """The latest changes as JSON has them, newest first."""
    entries = ledger.control.history(limit)
    for entry in entries:
        entry["at"], entry["settled_at"] = output.when(entry["at"]), output.when(entry["settled_at"])
        entry["inputs"] = output.inputs(entry["inputs"])
    return entries


def print_history(entries: Sequence[dict[str, Any]]) -> None:
    """Print them as JSON, CSV or text."""
    if chosen.json:
        return output.emit(entries)
    columns = ("at", "actor", "mode", "account", "before", "after", "read", "status", "reason", "note")
    rows = [
        (e["at"], e["actor"], e["mode"], e["account"], e["raw_shares_before"], e["raw_shares_after"],
         e["raw_shares_read"], e["status"], e["reason"], e["note"])
        for e in entries
    ]  # fmt: skip
    return output.table(columns, rows)


def _part_sentence(one: Restored) -> str:
    """What a restored baseline makes of the account's part of the level."""
    parts = " -> ".join(output.percent(part) or "not known" for part in one.parts)
    kept, beside = one.baseline, one.sibling_shares
    then = "?" if kept.sibling_shares is None else kept.sibling_shares
    rescaled = f"; recorded as {kept.raw_shares} beside {then}, and beside it are {beside} now"
    return f"{one.change.account}: {parts} of the level{rescaled if one.rescaled else ''}"


@click.command("restore-baseline", cls=SafCommand)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--number", is_flag=True, help="The RawShares themselves, whatever the level is now.")
def restore_baseline_command(yes: bool, number: bool) -> None:
    """Put back the part of the level found before the first change. Writes to Slurm.

    Where the shares beside the region have been rescaled since, the same part is another number of RawShares.

    A daemon in mode enforce would steer again at its next beat: `saf pause` first, or set control.mode to
    observe and reload.
    """
    config = load_config()
    with opened_site(config) as site:
        restored = applying.baseline(site, site.slurm.associations(), number)
        if not restored:
            baselines = site.ledger.control.baselines()
            why = "every steered account has its own shares" if baselines else "saf itself has set no shares"
            output.say(f"nothing to restore: {why}", err=True)
            return
        for one in restored:
            output.say(f"# {_part_sentence(one)}", err=True)
            output.say(shlex.join(slurm_of(config).argv(one.change)), err=True)
        if yes and not number and any(one.rescaled and not one.baseline.sibling_shares for one in restored):
            raise click.UsageError(
                "the baseline was recorded without its level, so its number may mean another part now; "
                "look at the parts above, then give --number to restore the number itself"
            )
        if not yes and not click.confirm("Run this now?", err=True):
            output.say("nothing was changed", err=True)
            sys.exit(1)
        outcomes = applying.restore_baseline(site, number)
    columns = ("account", "raw_shares", "status", "note")
    rows = [(o.change.account, o.change.raw_shares_after, o.status, o.note) for o in outcomes]
    if chosen.json:
        output.emit([dict(zip(columns, row, strict=True)) for row in rows])
    elif not chosen.quiet:
        output.table(columns, rows)
    sys.exit(_failed(outcomes))


COMMANDS = (cycle_command, plan_command, history_command, restore_baseline_command)
