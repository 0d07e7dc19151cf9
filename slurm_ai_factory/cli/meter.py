"""`saf meter`: readings of meters, and where jobs ran."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import click

from slurm_ai_factory.cli import arguments, output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.correcting import ENTRY, asked_correction, record_correction
from slurm_ai_factory.cli.options import SafGroup
from slurm_ai_factory.cli.wiring import current_actor, load_config, now, opened_ledger
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy import meters, samples
from slurm_ai_factory.core.energy.allowed import civil_instant
from slurm_ai_factory.core.energy.meters import Kind, MeterEntry, Reading, Skipped
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import MeterError
from slurm_ai_factory.monitor.series import ask_series

COLUMNS = (
    "entry", "meter", "kind", "since", "until", "value", "unit", "replaces", "reason", "by", "source",
    "recorded",
)  # fmt: skip

NEEDED = ("prometheus", "query", "name", "unit", "since", "kind")
"""Options without which no Prometheus can be asked."""
SHOWN = 20
"""Skipped values that are printed."""

Taken = tuple[list[tuple[str, Reading]], list[Skipped]]
"""Readings with the places where they were read, and what gives no reading."""


@click.group("meter", cls=SafGroup)
def meter_group() -> None:
    """Manage the readings of meters: energy and water of the building, energy of nodes and GPUs."""


@meter_group.command("import")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--prometheus", metavar="URL", help="Ask this Prometheus instead of reading a file.")
@click.option("--query", metavar="PROMQL", help="A counter of energy or water, or a power.")
@click.option("--kind", type=click.Choice(list(Kind)), help="What the meters of the query measure.")
@click.option("--unit", metavar="UNIT", help="Unit of the query's values: J, mJ, kWh, W, kW, m3, L.")
@click.option(
    "--meter", "name", metavar="NAME", help="Name of each meter, from its labels: '{Hostname}/{gpu}/{UUID}'."
)
@click.option("--step", metavar="D", default="15m", show_default=True, help="Time between two samples.")
@arguments.SINCE
@arguments.UNTIL
@click.option("--dry-run", is_flag=True, help="Say what would be recorded, and record nothing.")
def meter_import(file: io.BufferedReader | None, dry_run: bool, **asked: str | None) -> None:
    """Import readings from a CSV file, or from a Prometheus. Writes to the ledger.

    Columns of the file: meter, kind, since, until, value, unit. A blank, a value that stands for none, a
    counter that went back and a gap give no reading, and each is said. Readings that the ledger has already
    are left as they are, so that the same import may run again.
    """
    config = load_config()
    if file and (unused := [_option(name) for name in (*NEEDED, "until") if asked[name]]):
        raise click.UsageError(f"give a FILE, or a Prometheus: a FILE does not use {', '.join(unused)}")
    given, skipped = _from_file(config, file) if file else _from_prometheus(config, asked)
    with opened_ledger(config) as ledger:
        if dry_run:
            took = ledger.meters.beside(given)
        else:
            took = ledger.meters.append(given, at=now(), actor=current_actor())
    skipped = [*skipped, *took.skipped]
    done = f"{count(len(took.new), 'reading')}{': valid, not' if dry_run else ''} recorded"
    output.reply(
        {"new": len(took.new), "known": took.known, "skipped": [row._asdict() for row in skipped]},
        *(f"skipped {row.where}: {row.reason}" for row in skipped[:SHOWN]),
        *([f"skipped {len(skipped) - SHOWN} more; --json lists all"] if len(skipped) > SHOWN else []),
        f"{done}, {took.known} known already, {len(skipped)} skipped",
    )


@meter_group.command("list", cls=EachCommand)
@click.option("--kind", type=click.Choice(list(Kind)), help="Only meters of this kind.")
@arguments.WINDOW
@arguments.SINCE
@arguments.UNTIL
@arguments.as_of_option()
def meter_list(
    kind: str | None, window: str | None, since: str | None, until: str | None, then: str | None
) -> None:
    """List the readings of a window with their corrections."""
    config = load_config()
    known = arguments.asked_instant(config, then) if then else None
    where = arguments.asked_window(config, window, since, until, known)
    kinds = [Kind(kind)] if kind else list(Kind)
    with opened_ledger(config) as ledger:
        rows = [_value(entry) for entry in ledger.meters.entries(kinds, where, known)]
    nothing = f"no reading of {where.name} is recorded; see `saf meter import --help`"
    output.table(COLUMNS, [list(row.values()) for row in rows], rows, nothing)


@meter_group.command("correct")
@ENTRY
@click.option("--value", metavar="V", help="The correct value, in the unit of the reading.")
@click.option("--withdraw", is_flag=True, help="Take the reading back: the value is not known.")
@arguments.reason_option(required=True)
def meter_correct(entry: int, value: str | None, withdraw: bool, reason: str) -> None:
    """Correct a reading with a further entry, or take it back. Writes to the ledger."""
    wanted = asked_correction("--value", value, withdraw, meters.value_of)
    record_correction(entry, reason, lambda ledger, why, by: ledger.meters.correct(entry, wanted, why, **by))


@meter_group.command("end")
@click.argument("meter")
@click.option("--kind", type=click.Choice(list(Kind)), required=True, help="What it measures.")
@click.option("--at", "ended", metavar="T", help="From then on it is out of use.")
@click.option("--in-use", is_flag=True, help="Put it back in use instead.")
@arguments.reason_option(required=True)
def meter_end(meter: str, kind: str, ended: str | None, in_use: bool, reason: str) -> None:
    """Take a meter out of use, or put it back. Writes to the ledger.

    It is not expected to read any more: it leaves no later window open, and no alert calls it silent. Where
    no other meter of its kind is in use, the windows stay open.
    """
    if (ended is None) != in_use:
        raise click.UsageError("give either --at or --in-use")
    config, reason = load_config(), arguments.asked_reason(reason)
    at = None if ended is None else arguments.asked_instant(config, ended)
    with opened_ledger(config) as ledger:
        arguments.check_known(ledger, at)
        arguments.warn_of_names(ledger, reason)
        number = ledger.meters.end(Kind(kind), meter, at, reason, at=now(), actor=current_actor())
    value = {"entry": number, "meter": meter, "kind": kind, "ended_at": at and output.when(at)}
    state = "in use again" if at is None else f"out of use since {output.when(at)}"
    output.reply(value, f"recorded entry {number}: {meter} is {state}")


@meter_group.command("retired")
@click.option("--all", "every", is_flag=True, help="Include earlier rows, and meters that are in use again.")
def meter_retired(every: bool) -> None:
    """List the meters that are out of use. The newest row of a meter counts."""
    with opened_ledger(load_config()) as ledger:
        kept = ledger.meters.end_rows()
    newest = {(row["kind"], row["meter"]): row for row in kept}
    rows = [
        {**row, "ended_at": output.when(row["ended_at"]), "recorded_at": output.when(row["recorded_at"])}
        for row in (kept if every else newest.values())
        if every or row["ended_at"] is not None
    ]
    columns = ("entry", "kind", "meter", "ended_at", "reason", "actor", "recorded_at")
    cells = [[output.cell(row[name]) for name in columns] for row in rows]
    output.table(columns, cells, rows, "no meter is out of use")


@meter_group.command("place")
@click.argument("file", type=click.File("rb"))
def meter_place(file: io.BufferedReader) -> None:
    """Import from a CSV file which job had which node and GPUs, and when. Writes to the ledger.

    Columns: job (JobIDRaw), node, since, until, and optionally gpus: indexes or UUIDs with + between them.
    The newest line of a job, node and beginning counts.
    """
    config = load_config()
    placements, faults = samples.placements_sheet(arguments.content_of(file), _instants(config))
    if faults:
        output.refuse(file.name, faults)
    with opened_ledger(config) as ledger:
        new = ledger.meters.place(placements, source=file.name, at=now(), actor=current_actor())
    known = len(placements) - new
    output.reply({"new": new, "known": known}, f"recorded {count(new, 'placement')}, {known} known already")


def _value(entry: MeterEntry) -> dict[str, object]:
    reading = entry.reading
    return {
        "entry": entry.entry_id, "meter": reading.meter, "kind": str(reading.kind),
        "since": output.when(reading.since), "until": output.when(reading.until),
        "value": None if entry.withdrawn else str(reading.value), "unit": reading.unit,
        "replaces": entry.replaces, "reason": entry.reason, "actor": entry.actor, "source": reading.source,
        "recorded_at": output.when(entry.recorded_at),
    }  # fmt: skip


def _option(name: str) -> str:
    """How a parameter of the import is typed."""
    return {"name": "--meter", "since": "-S", "until": "-E"}.get(name, f"--{name}")


def _from_file(config: Config, file: io.BufferedReader) -> Taken:
    """The readings of a file. Raises RefusedError with every fault of it."""
    content = arguments.content_of(file)
    readings, skipped, faults = samples.readings_sheet(content, file.name, _instants(config))
    if faults:
        output.refuse(file.name, faults)
    return readings, skipped


def _instants(config: Config) -> Callable[[str], Instant]:
    """What an instant of a file means: seconds since 1970, or ISO 8601, and not in the future."""
    zone, moment = config.promise.time_zone, now()

    def instant(text: str) -> Instant:
        seconds = text.isascii() and text.isdigit() and len(text) != len("20270131")
        at = int(text[:20]) if seconds else civil_instant(text, zone)
        if not 0 <= at <= moment:
            raise ValueError(f"{text!r} is not an instant that has passed")
        return at

    return instant


def _from_prometheus(config: Config, asked: Mapping[str, str | None]) -> Taken:
    """The readings of a query. Raises UsageError, MeterError."""
    if lacking := [_option(key) for key in NEEDED if not asked[key]]:
        raise click.UsageError(f"give a FILE, or a Prometheus: {', '.join(lacking)} is missing")
    url, query, name, unit, since = (str(asked[key]) for key in NEEDED[:5])
    kind = Kind(str(asked["kind"]))
    with arguments.usage_errors():
        step = windows.duration(str(asked["step"]))
        if unit not in meters.units(kind):
            raise ValueError(f"{unit!r} is not a unit of {kind}; there are {', '.join(meters.units(kind))}")
        if kind is Kind.P_15MIN and step != meters.QUARTER:
            raise ValueError("P_15MIN needs --step 15m")
    first, last = (arguments.asked_instant(config, text) for text in (since, asked["until"] or "now"))
    if last <= first:
        raise click.UsageError("the end of the interval is not after its start")
    span = first - first % step, last - last % step
    given, skipped = list[tuple[str, Reading]](), list[Skipped]()
    for series in ask_series(url, query, name, *span, step, timeout=config.ledger.timeout):
        readings, gaps = samples.from_series(series, kind, unit, step, f"{url}: {query}")
        given += [(f"{reading.meter} at {windows.iso(reading.since)}", reading) for reading in readings]
        skipped += gaps
    if not given and not skipped:
        raise MeterError(f"the query has no value at {url} in this interval; nothing was recorded")
    return given, skipped
