"""How values are printed: JSON with the contract's keys, CSV, or aligned text.

Tested in tests/cli/test_hostile.py and tests/monitor/test_terminal.py.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn, TextIO

import click

from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.screen import unguarded
from slurm_ai_factory.core.escaped import for_csv, for_json, for_terminal
from slurm_ai_factory.core.measure import judgement, outlook
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.figures import (
    FIGURES,
    PROMISE_KEYS,
    SCHEMA,
    Unit,
    figure_values,
    number,
    part,
    share_value,
    when,
    yes_or_no,
)
from slurm_ai_factory.core.measure.outlook import decimals_of
from slurm_ai_factory.core.programme.sheet import Fault
from slurm_ai_factory.core.records import FIRST, HOUR, Bound, Charge, Decision, Measurement
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import RefusedError
from slurm_ai_factory.slurm import Slurm

__all__ = [
    "decision_value", "emit", "hours", "number", "pairs", "part", "percent", "share_text", "share_value",
    "table", "when",
]  # fmt: skip

FINDINGS = 5
"""The exit code of a check that has findings."""


def say(text: str, *, err: bool = False) -> None:
    """Print one line; control characters in the text are shown escaped."""
    click.echo(for_terminal(text), err=err)


def reply(value: object, *sentences: str) -> None:
    """Report what a command did: JSON on stdout with --json, else sentences on stderr unless --quiet."""
    if chosen.json:
        return emit(value)
    for sentence in () if chosen.quiet else sentences:
        say(sentence, err=True)
    return None


def refuse(file: str, faults: Sequence[Fault]) -> NoReturn:
    """Print every fault of an imported file with its place. Raises RefusedError."""
    if chosen.json:
        emit({"new": 0, "known": 0, "problems": [fault._asdict() for fault in faults]})
    for fault in faults:
        line = f":{fault.line}" if fault.line else ""
        column = f" column {fault.column}:" if fault.column else ""
        say(f"{file}{line}:{column} {fault.reason}", err=True)
    raise RefusedError(f"{file}: {count(len(faults), 'problem')}, nothing was imported; correct the file")


class Styled(NamedTuple):
    """A part of a line with the arguments of click.style."""

    text: str
    style: Mapping[str, Any]


def styled(text: str, **style: Any) -> Styled:
    """A part of a line for ``draw``."""
    return Styled(text, style)


def draw(*parts: str | Styled) -> None:
    """Print one line; on a terminal its parts have their styles."""
    texts = [
        click.style(for_terminal(part.text), **part.style) if isinstance(part, Styled) else for_terminal(part)
        for part in parts
    ]
    click.echo("".join(texts), file=unguarded(sys.stdout))


def bar(length: int, label: str, **options: Any) -> AbstractContextManager[Any]:
    """A progress bar of click on stderr, shown only on a terminal."""
    hidden = chosen.quiet or not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=unguarded(sys.stderr), hidden=hidden, **options)


def emit(value: object) -> None:
    """Print a value as JSON with the number of its schema; rows are under the key ``rows``."""
    keyed = value if isinstance(value, Mapping) else {"rows": value}
    if _collected:
        return _collected[-1].append(keyed)
    return click.echo(as_json({"schema": SCHEMA, **keyed}))


_collected: list[list[object]] = []
"""Where ``emit`` puts its values instead of printing them; the last one counts."""


@contextmanager
def collecting() -> Iterator[list[object]]:
    """Keep the values that would be printed as JSON inside."""
    values: list[object] = []
    _collected.append(values)
    try:
        yield values
    finally:
        _collected.pop()


def emit_rows(rows: Iterable[object]) -> None:
    """Print rows as ``emit`` does, one line a row, without holding all of them in memory."""
    click.echo(f'{{"schema": {SCHEMA}, "rows": [', nl=False)
    between = ""
    for row in rows:
        click.echo(f"{between}\n{as_json(row, indent=None)}", nl=False)
        between = ","
    click.echo("\n]}" if between else "]}")


def as_json(value: object, **layout: Any) -> str:
    """A value as JSON that is safe on a terminal."""
    return for_json(json.dumps(value, default=_plain, **({"indent": 2} | layout)))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return number(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], value: object = None, nothing: str = ""
) -> None:
    """Print rows: as CSV with --csv, else in aligned columns. With --json print ``value``, where given.

    For people, say ``nothing``, where given, if there are no rows.
    """
    if chosen.json and value is not None:
        return emit(value)
    if chosen.csv:
        return write_csv(sys.stdout, columns, rows)
    texts = [["" if cell is None else for_terminal(str(cell)) for cell in row] for row in rows]
    if nothing and not texts:
        return None if chosen.quiet else say(nothing, err=True)
    return click.echo(_aligned(columns, texts), nl=False)


def cell(value: object) -> object:
    """A value as a table for people shows it.

    >>> cell(True), cell(["umcg", "joint 0.4"]), cell(3)
    ('yes', 'umcg, joint 0.4', 3)
    """
    if isinstance(value, bool):
        return yes_or_no(value)
    return ", ".join(value) if isinstance(value, list) else value


def show(value: Mapping[str, object]) -> None:
    """Print one value: as JSON, or as names and values."""
    emit(value) if chosen.json else pairs(value)


def listing(rows: Sequence[Mapping[str, object]], nothing: str) -> None:
    """Print rows of the same keys as JSON or a table; for people, say ``nothing`` where there are none."""
    if chosen.json:
        emit(rows)
    elif rows:
        table(list(rows[0]), [list(row.values()) for row in rows])
    elif not chosen.quiet:
        click.echo(nothing, err=True)


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows one by one; an unknown value is an empty cell, and no cell is a formula."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else for_csv(str(cell)) for cell in row] for row in rows)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell; numbers to the right.

    >>> print(_aligned(["account", "hours"], [["umcg", "1.5"], ["astro", "10.0"]]), end="")
    account  hours
    umcg       1.5
    astro     10.0
    """
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    right = [bool(rows) and all(_numeric(row[i]) for row in rows) for i in range(len(columns))]
    lines = (
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        for row in (columns, *rows)
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _numeric(text: str) -> bool:
    return not text or text.removesuffix(" %").replace(".", "", 1).replace(" ", "").lstrip("-").isdigit()


def pairs(values: Mapping[str, object]) -> None:
    """Print names and values, one line each; a list has a line for each of its values."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        lines = value if isinstance(value, list) else ["-" if value is None else value]
        for place, line in enumerate(lines or [""]):
            say(f"{('' if place else name).ljust(width)}  {line}")


def percent(ratio: float | None) -> str | None:
    """A ratio for people; None where it is not known.

    >>> percent(0.2468), percent(None)
    ('24.7 %', None)
    """
    return None if ratio is None else outlook.percent_text(ratio)


def hours(charge: Charge | float | None, digits: int | None = None) -> str | None:
    """Resource-seconds as resource-hours, for people; small figures with more decimals, or with ``digits``.

    >>> hours(5400), hours(36000000), hours(36), hours(-0.01)
    ('1.5', '10 000.0', '0.010', '0.0000')
    """
    if charge is None:
        return None
    value = float(charge) / HOUR
    digits = decimals_of(value) if digits is None else digits
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace(",", " ")


def column(charges: Sequence[Charge | float]) -> list[str | None]:
    """Resource-seconds as a column of resource-hours, all with the decimals of the largest.

    >>> column([1440, 36, -1])
    ['0.40', '0.01', '0.00']
    """
    digits = decimals_of(max(map(abs, map(float, charges)), default=0) / HOUR)
    return [hours(charge, digits) for charge in charges]


def figure_text(key: str, m: Measurement, margin: float) -> str | None:
    """A figure of a measurement for people: ratios in per cent, charges in resource-hours."""
    figure = FIGURES[key]
    value = figure.plain(m, margin)
    if value is None or figure.unit is Unit.RATIO:
        return percent(value)
    if figure.unit is Unit.CHARGE:
        return hours(value)
    return yes_or_no(value) if figure.unit is Unit.YES_NO else str(value)


def share_text(m: Measurement, margin: float) -> dict[str, object]:
    """A measurement for people, by the words of FIGURES."""
    text = {key: figure_text(key, m, margin) for key in FIGURES if key != "forecast"}
    unread = {"unread_seconds": f"{hours(m.unread_seconds)} hours of the window"} if m.unread_seconds else {}
    first = m.promise == FIRST
    regional, nobody = ("regional ", "as not regional") if first else ("", "for no promise")
    rows = {
        **({} if first else {"promise": f"{m.promise}, a {m.bound}"}),
        "window": f"{m.window.name}  ({text['since']} .. {text['until']})",
        "as_of": text["as_of"],
        **unread,
        "resource": f"{m.resource.name}, in {outlook.resource_unit(m.called)}-hours",
        "target_share": text["target_share"],
        "delivered_share": f"{text['delivered_share'] or '-'}  "
        f"({regional}{text['regional_charge']} of {text['total_charge']})",
        "capacity_share": f"{text['capacity_share'] or '-'}  (of {text['capacity'] or 'unknown'})",
        "unclassified_share": f"{text['unclassified_share'] or '-'}  "
        f"({text['unclassified_charge']}; counted {nobody})",
        "waiting_charge": f"{text['waiting_charge']} {regional}".strip()
        + f", {text['starved_charge'] or 'unknown'} of it starved",
        "shortfall_charge": text["shortfall_charge"],
        "required_share": text["required_share"],
        "attainable": text["attainable"],
        "verdict": f"{text['verdict']}  ({judgement.GROUNDS[assess(m, margin).reason]})",
    }
    of_floors = ("shortfall_charge", "required_share", "attainable") if m.bound is Bound.CAP else ()
    excess = {"above the cap": hours(m.excess_charge)} if of_floors else {}
    return {**{FIGURES[key].words: value for key, value in rows.items() if key not in of_floors}, **excess}


def promise_values(promises: Iterable[tuple[Measurement, float]]) -> list[dict[str, Any]]:
    """Each promise, by its measurement and margin, as JSON."""
    return [figure_values(PROMISE_KEYS, *promise) for promise in promises]


def promise_lines(promises: Iterable[tuple[Measurement, float]]) -> list[str]:
    """A table of promises for people, line by line."""
    keys = (
        "promise", "bound", "target_share", "share_of", "window", "resource", "delivered_share", "verdict",
    )  # fmt: skip
    rows = [[figure_text(key, *promise) or "-" for key in keys] for promise in promises]
    return _aligned([FIGURES[key].words for key in keys], rows).splitlines()


def inputs(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a decision; charges are resource-seconds."""
    return {name: when(value) if name == "as_of" else value for name, value in values.items()}


def decision_value(decision: Decision, slurm: Slurm) -> dict[str, Any]:
    """A decision under the contract's keys, with the exact commands."""
    return {
        "promise": decision.promise,
        "at": when(decision.at),
        "reason": decision.reason,
        "sentence": decision.sentence,
        "inputs": inputs(decision.inputs),
        "changes": [
            {"cluster": c.cluster, "object": c.lever, "attribute": c.lever.attribute,
             "account": c.account, "raw_shares_before": c.raw_shares_before,
             "raw_shares_after": c.raw_shares_after, "command": slurm.argv(c)}
            for c in decision.changes
        ],
    }  # fmt: skip
