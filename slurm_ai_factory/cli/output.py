"""How values are printed: JSON with the contract's keys, CSV, or plain aligned text."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, NamedTuple, TextIO

import click

from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.screen import plain
from slurm_ai_factory.core.escaped import for_csv, for_json, for_terminal
from slurm_ai_factory.core.measure import judgement, outlook, share
from slurm_ai_factory.core.measure.figures import number, part, share_value, when
from slurm_ai_factory.core.records import HOUR, Charge, Decision, Measurement
from slurm_ai_factory.slurm import Slurm

__all__ = [
    "decision_value", "emit", "hours", "number", "pairs", "part", "percent", "share_text", "share_value",
    "table", "when",
]  # fmt: skip


def say(text: str, *, err: bool = False) -> None:
    """Print one line, whatever is in it."""
    click.echo(for_terminal(text), err=err)


class Styled(NamedTuple):
    """A part of a line, and how it is drawn: the arguments of click.style."""

    text: str
    style: Mapping[str, Any]


def styled(text: str, **style: Any) -> Styled:
    """A part of a line for ``draw``."""
    return Styled(text, style)


def draw(*parts: str | Styled) -> None:
    """Print one line, parts of it in a style where there is a terminal."""
    texts = [
        click.style(for_terminal(one.text), **one.style) if isinstance(one, Styled) else for_terminal(one)
        for one in parts
    ]
    click.echo("".join(texts), file=plain(sys.stdout))


def bar(length: int, label: str, **options: Any) -> AbstractContextManager[Any]:
    """A progress bar of click's on stderr, where somebody sees it."""
    hidden = chosen.quiet or not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=plain(sys.stderr), hidden=hidden, **options)


def emit(value: object) -> None:
    """Print a value as JSON, which keeps text as it is."""
    click.echo(as_json(value))


def emit_rows(rows: Iterable[object]) -> None:
    """Print a JSON list with a line for each row, as they come."""
    between = "["
    for row in rows:
        click.echo(f"{between}\n{as_json(row, indent=None)}", nl=False)
        between = ","
    click.echo("[]" if between == "[" else "\n]")


def as_json(value: object, **layout: Any) -> str:
    """A value as JSON that a terminal can take."""
    return for_json(json.dumps(value, default=_plain, **({"indent": 2} | layout)))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return number(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: CSV where asked for, else aligned columns, numbers to the right."""
    if chosen.csv:
        return write_csv(sys.stdout, columns, rows)
    texts = [["" if cell is None else for_terminal(str(cell)) for cell in row] for row in rows]
    return click.echo(_aligned(columns, texts), nl=False)


def cell(value: object) -> object:
    """A value in a table for people.

    >>> cell(True), cell(["umcg", "joint 0.4"]), cell(3)
    ('yes', 'umcg, joint 0.4', 3)
    """
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return ", ".join(value) if isinstance(value, list) else value


def listing(rows: Sequence[Mapping[str, object]], nothing: str) -> None:
    """Print rows of the same keys, as JSON or a table; where there are none, a sentence for people."""
    if chosen.json:
        emit(rows)
    elif rows:
        table(list(rows[0]), [list(row.values()) for row in rows])
    elif not chosen.quiet:
        click.echo(nothing, err=True)


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write rows as they come; what is not known is empty, and no cell is a formula."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else for_csv(str(cell)) for cell in row] for row in rows)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns wide enough for what they hold.

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
    """A ratio for people.

    >>> percent(0.2468), percent(None)
    ('24.7 %', None)
    """
    return None if ratio is None else f"{100 * ratio:.1f} %"


def decimals(largest: float) -> int:
    """So many decimals show two digits of a figure that is small.

    >>> [decimals(value) for value in (0, 0.0004, 0.04, 0.4, 4, 4000)]
    [1, 4, 3, 2, 1, 1]
    """
    return next(
        (n for n, least in ((1, 1), (2, 0.1), (3, 0.01)) if abs(largest) >= least), 4 if largest else 1
    )


def hours(charge: Charge | float | None, digits: int | None = None) -> str | None:
    """Resource-seconds in resource-hours, for people; small figures with more decimals, or with so many.

    >>> hours(5400), hours(36000000), hours(36), hours(-0.01)
    ('1.5', '10 000.0', '0.010', '0.0000')
    """
    if charge is None:
        return None
    value = float(charge) / HOUR
    digits = decimals(value) if digits is None else digits
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace(",", " ")


def column(charges: Sequence[Charge | float]) -> list[str | None]:
    """A column of charges in resource-hours, each with the decimals of the largest.

    >>> column([1440, 36, -1])
    ['0.40', '0.01', '0.00']
    """
    digits = decimals(max(map(abs, map(float, charges)), default=0) / HOUR)
    return [hours(one, digits) for one in charges]


def share_text(m: Measurement, margin: float) -> dict[str, object]:
    """A measurement for people."""
    known = {"yes": True, "no": False}
    attainable = outlook.mendable(m, margin)
    return {
        "window": f"{m.window.name}  ({when(m.window.since)} .. {when(m.window.until)})",
        "as of": when(m.as_of),
        **({"never read": f"{hours(m.unread_seconds)} hours of the window"} if m.unread_seconds else {}),
        "resource": f"{m.resource}, in {m.called}-hours",
        "promised": percent(m.target_share),
        "delivered": f"{percent(m.delivered_share) or '-'}  "
        f"(regional {hours(m.regional_charge)} of {hours(m.total_charge)})",
        "of capacity": f"{percent(m.capacity_share) or '-'}  (of {hours(m.capacity) or 'unknown'})",
        "unclassified": f"{percent(part(m.unclassified_charge, m.total_charge)) or '-'}  "
        f"({hours(m.unclassified_charge)}; counted as not regional)",
        "waited": f"{hours(m.waiting_charge)} regional, {hours(m.starved_charge) or 'unknown'} of it starved",
        "short of the promise": hours(m.shortfall_charge),
        "required from now on": percent(share.required_share(m, margin)),
        "attainable": next((word for word, value in known.items() if value is attainable), None),
        "verdict": f"{judgement.verdict(m)}  ({judgement.GROUNDS[judgement.judge(m).reason]})",
    }


def inputs(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a decision rests on; charges are resource-seconds."""
    return {name: when(value) if name == "as_of" else value for name, value in values.items()}


def decision_value(decision: Decision, slurm: Slurm) -> dict[str, Any]:
    """A decision under the contract's keys, with the exact commands."""
    return {
        "at": when(decision.at),
        "reason": decision.reason,
        "sentence": decision.sentence,
        "inputs": inputs(decision.inputs),
        "changes": [
            {"cluster": c.cluster, "account": c.account, "raw_shares_before": c.raw_shares_before,
             "raw_shares_after": c.raw_shares_after, "command": slurm.argv(c)}
            for c in decision.changes
        ],
    }  # fmt: skip
