"""`saf grid`: how much power is allowed, whether the connection stayed within it, and what is kept free."""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from typing import Any

import click

from slurm_ai_factory import question
from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.correcting import ENTRY, asked_correction, record_correction
from slurm_ai_factory.cli.history import MOST_LINES
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger, opened_site, slurm_of
from slurm_ai_factory.core.energy import allowed, flexorder
from slurm_ai_factory.core.energy.allowed import AllowedEntry, AllowedPower
from slurm_ai_factory.core.energy.grid import GRID_GROUNDS, SHOWS
from slurm_ai_factory.core.energy.keeping import Keeping
from slurm_ai_factory.core.energy.water import WATER_GROUNDS
from slurm_ai_factory.core.programme.sheet import Fault
from slurm_ai_factory.core.words import count
from slurm_ai_factory.report.energy import plain
from slurm_ai_factory.report.surroundings import grid_value, water_value
from slurm_ai_factory.steps import clocks
from slurm_ai_factory.steps.keeping import keeping_now

COLUMNS = (
    "entry", "since", "until", "max_kw", "kind", "reference", "told_at", "replaces", "withdrawn", "counts",
)  # fmt: skip


@click.group("grid", cls=SafGroup)
def grid_group() -> None:
    """Manage the allowed power of the connection to the grid, and see whether the facility kept to it."""


@grid_group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--baseline-kw", metavar="N", help="Of a FlexOrder: the power that its changes start from.")
@click.option("--dry-run", is_flag=True, help="Check the file and record nothing.")
def grid_import(file: io.BufferedReader, baseline_kw: str | None, dry_run: bool) -> None:
    """Import rows of allowed power from CSV or from a FlexOrder, all or none. Writes to the ledger.

    CSV has the columns since, until, max_kw, kind (contract, tdtr, tbtr, redispatch or own), reference and
    told_at. Times are civil, or have an offset; since and until are on a quarter of an hour. A FlexOrder is
    XML of UFTP (Shapeshifter); it orders changes, so --baseline-kw is needed. Rows that the ledger has
    already are not added again.
    """
    config = load_config()
    data = arguments.content_of(file)
    if data.removeprefix(BOM_UTF8).lstrip().startswith(b"<"):
        rows, faults = _of_order(data, baseline_kw)
    elif baseline_kw is not None:
        raise click.UsageError("--baseline-kw is of a FlexOrder, and this file is none; leave it out")
    else:
        rows, faults = allowed.from_sheet_of_power(data, config.promise.time_zone, now())
    if faults:
        output.refuse(file.name, faults)
    with opened_ledger(config) as ledger:
        arguments.warn_of_names(ledger, *(row.reference for row in rows))
        if dry_run:
            sorted_out = allowed.sort_rows(ledger.allowed.entries(), rows)
        else:
            sorted_out = ledger.allowed.append(rows, at=now(), actor=current_actor())
    new = len(sorted_out.new)
    done = "valid, not recorded" if dry_run else "recorded"
    output.reply(
        {"new": new, "known": sorted_out.known, "problems": []},
        f"{count(new, 'new row')} of allowed power {done}; {sorted_out.known} were there already",
    )


def _of_order(data: bytes, baseline_kw: str | None) -> tuple[list[AllowedPower], list[Fault]]:
    """The rows of a FlexOrder and its fault. Raises UsageError."""
    if baseline_kw is None:
        raise click.UsageError(
            "a FlexOrder orders changes; give --baseline-kw, the power that they start from"
        )
    with arguments.usage_errors("--baseline-kw"):
        baseline = allowed.kilowatts(baseline_kw)
    try:
        return flexorder.from_flex_order(data, baseline, now()), []
    except ValueError as error:
        return [], [Fault(0, "", str(error))]


@grid_group.command("list", cls=EachCommand)
@arguments.as_of_option(default="now")
def grid_list(then: str) -> None:
    """List every row of allowed power with its corrections, and which of them count."""
    config = load_config()
    known = arguments.asked_instant(config, then)
    with opened_ledger(config) as ledger:
        arguments.check_known(ledger, known)
        entries = [entry for entry in ledger.allowed.entries() if entry.recorded_at <= known]
    counting = {entry.entry_id for entry in allowed.standing(entries, known)}
    rows = [_value(entry, entry.entry_id in counting) for entry in entries]
    cells = [[output.cell(row[name]) for name in COLUMNS] for row in rows]
    output.table(COLUMNS, cells, rows, "no allowed power is recorded; see `saf grid import --help`")


def _value(entry: AllowedEntry, counts: bool) -> dict[str, Any]:
    row = entry.allowed
    return {
        "entry": entry.entry_id, "since": output.when(row.since), "until": output.when(row.until),
        "max_kw": output.number(row.max_kw), "kind": row.kind.value, "reference": row.reference,
        "told_at": output.when(row.told_at), "replaces": entry.replaces, "withdrawn": entry.withdrawn,
        "counts": counts, "reason": entry.reason, "actor": entry.actor,
        "recorded_at": output.when(entry.recorded_at),
    }  # fmt: skip


@grid_group.command("correct")
@ENTRY
@click.option("--max-kw", metavar="N", help="The correct power, in kW.")
@click.option("--withdraw", is_flag=True, help="Take the row back instead.")
@arguments.reason_option(required=True)
def grid_correct(entry: int, max_kw: str | None, withdraw: bool, reason: str) -> None:
    """Correct or withdraw a row of allowed power with a second row. Writes to the ledger."""
    wanted = asked_correction("--max-kw", max_kw, withdraw, allowed.kilowatts)
    record_correction(entry, reason, lambda ledger, why, by: ledger.allowed.correct(entry, wanted, why, **by))


@grid_group.command("status", cls=EachCommand)
@arguments.WINDOW
@arguments.SINCE
@arguments.UNTIL
@arguments.as_of_option(default="now")
def grid_status(window: str | None, since: str | None, until: str | None, then: str) -> None:
    """Show whether the facility kept to its allowed power, and used no drinking or surface water."""
    config = load_config()
    known = arguments.asked_instant(config, then)
    where = arguments.asked_window(config, window, since, until, known)
    with opened_ledger(config) as ledger:
        arguments.check_known(ledger, known)
        grid, year_seconds = question.measured_grid(config, ledger, where, known)
        water = question.measured_water(config, ledger, where, known)
    value = {
        "window": where.name,
        "since": output.when(where.since),
        "until": output.when(where.until),
        "as_of": output.when(known),
        "grid": grid_value(grid, year_seconds),
        "water": water_value(water),
    }
    if chosen.json:
        return output.emit(value)
    return output.pairs(_text(value))


def _text(value: dict[str, Any]) -> dict[str, object]:
    """The value of --json for people."""
    grid, water = value["grid"], value["water"]
    at_least = "at least " if grid["unallowed"] else ""

    def known(number: float | None, unit: str) -> str:
        return "not recorded" if number is None else f"{number:,.1f} {unit}".replace(",", " ")

    return {
        "window": f"{value['window']}  ({value['since']} .. {value['until']})",
        "as of": value["as_of"],
        "grid": f"{grid['verdict']}  ({GRID_GROUNDS[grid['reason']]})",
        "quarters of an hour": f"{grid['quarters']}, {grid['unread']} of them without a reading and "
        f"{grid['unallowed']} without a row of allowed power",
        "exceeded": f"{count(grid['exceeded'], 'quarter')}, {known(grid['excess_kwh'], 'kWh')} too much"
        if grid["exceeded"] is not None
        else "not recorded",
        "peak": known(grid["peak_kw"], "kW"),
        "limited": f"{at_least}{grid['limited_hours']:g} hours of the window; "
        f"{grid['limited_hours_of_year']:g} of the year, of {grid['limited_hours_allowed']} hours that "
        "a time-duration right allows",
        "what it shows": SHOWS,
        "water": f"{water['verdict']}  ({WATER_GROUNDS[water['reason']]})",
        "drinking water": known(water["w_potable"], "m3"),
        "surface water": known(water["w_surface"], "m3"),
        "exempt meters": [
            f"{use['meter']}: {use['use']}, {known(use['cubic_metres'], 'm3')}"
            for use in water["meters"]
            if use["use"]
        ]
        or "none",
    }


@grid_group.command("plan", cls=EachCommand)
def grid_plan() -> None:
    """Show which nodes would be kept free now, why, and the command. Only reads, in every mode.

    The times in the command are UTC: run it with TZ=UTC.
    """
    config = load_config()
    with opened_site(config) as site:
        moment = clocks.cluster_now(site)
        keeping = keeping_now(site, moment)
        command = slurm_of(config).argv_of_act(keeping.act, moment) if keeping.act else []
    value = keeping_value(keeping) | {"mode": config.grid.mode.value, "command": command}
    if chosen.json:
        return output.emit(value)
    output.say(keeping.sentence)
    if command:
        output.say(" ".join(["TZ=UTC", *command]))
    return None


@grid_group.command("history", cls=EachCommand)
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, MOST_LINES), help="At most so many."
)
def grid_history(limit: int) -> None:
    """List what was done or advised about the reservation, newest first, with what became of it."""
    with opened_ledger(load_config()) as ledger:
        acts = ledger.reserving.acts(limit)
    rows = [{**act, **{name: output.when(act[name]) for name in ("at", "since", "until")}} for act in acts]
    columns = ("at", "act", "name", "since", "until", "nodes", "outcome", "sentence")
    cells = [[output.cell(row[name]) for name in columns] for row in rows]
    output.table(columns, cells, rows, "nothing was done or advised about the reservation")


def keeping_value(keeping: Keeping) -> dict[str, Any]:
    """What is kept free, as JSON."""
    stretch = keeping.stretch
    return {
        "at": output.when(keeping.at),
        "reason": keeping.reason,
        "sentence": keeping.sentence,
        "expected_kw": plain(keeping.expected_kw),
        "limit_kw": plain(stretch.limit_kw) if stretch else None,
        "since": output.when(stretch.since) if stretch else None,
        "until": output.when(stretch.until) if stretch else None,
        "nodes_needed": stretch.nodes if stretch else 0,
        "nodes_busy": list(keeping.busy),
        "nodes_lacking": keeping.lacking,
        "act": keeping.act.kind.value if keeping.act else None,
        "nodes": list(keeping.act.nodes) if keeping.act else [],
    }
