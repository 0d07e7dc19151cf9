"""`saf energy`: the energy and water of a window: of runs, of the building, and whether both close."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import SINCE, UNTIL, WINDOW, as_of_option, asked_question, warn_of_gaps
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.share import KEYS, group_key
from slurm_ai_factory.cli.wiring import opened_books
from slurm_ai_factory.core.energy.closure import Indicator, Ratio
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.energy.runs import MEASURED, Quality
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import SafError
from slurm_ai_factory.report.energy import EnergyAnswer, energy_of, energy_value, group_values

NOT_RECORDED = "not recorded"
NOT_COVERED = "readings do not cover the whole window so far"
BY_QUALITY = {
    "measured": MEASURED,
    "apportioned": (Quality.APPORTIONED,),
    "modelled": (Quality.MODELLED,),
}
"""The qualities of the energy of runs, as they are shown."""


@click.command("energy", cls=EachCommand)
@WINDOW
@SINCE
@UNTIL
@click.option("--by", type=click.Choice(["quality", "side", *KEYS]), help="Also divide the energy by this.")
@as_of_option()
def energy_command(
    window: str | None, since: str | None, until: str | None, by: str | None, then: str | None
) -> None:
    """Show the energy of runs and of the building in a window, its water and its CO2.

    Every answer says what was measured, what was apportioned among runs on one node, and what was modelled.
    Figures by beneficiary are given only where the energy of runs and idle nodes adds up to that of the IT
    equipment (E_IT), within energy.closure_least and energy.closure_most.
    """
    key = group_key(by) if by in KEYS else lambda *_: ("",)
    with opened_books() as (config, ledger):
        answer = energy_of(asked_question(config, ledger, window, since, until, then), key)
    warn_of_gaps(answer.unread_seconds, answer.window)
    of_beneficiaries = by not in (None, "quality")
    rows = group_values(answer) if of_beneficiaries else []
    if chosen.json:
        return output.emit(energy_value(answer, rows))
    if not chosen.csv:
        output.pairs(energy_text(answer))
    if of_beneficiaries and not answer.closure.holds:
        if chosen.csv:  # an empty table would look like no energy
            raise SafError(answer.closure.sentence)
        return output.say(answer.closure.sentence, err=True)
    if not of_beneficiaries and (by or chosen.csv):
        rows = [{"quality": str(word), "joules": float(of)} for word, of in answer.sums.qualities.items()]
    columns = list(rows[0]) if rows else ["name" if of_beneficiaries else "quality", "joules"]
    if by or chosen.csv:
        click.echo(nl=not chosen.csv)
        output.table(columns, [list(row.values()) for row in rows])
    return None


def energy_text(answer: EnergyAnswer) -> dict[str, object]:
    """The answer for people: energy in kWh, water in cubic metres."""
    sums, closed = answer.sums, answer.closure
    kappa = NOT_RECORDED if closed.kappa is None else f"{closed.kappa:.3f}"
    return {
        "window": f"{answer.window.name}, up to {output.when(answer.until)}",
        "runs": kilowatt_hours(sums.total if answer.recorded else None),
        **{
            f"  {name}": kilowatt_hours(_of(answer, words) if answer.recorded else None)
            for name, words in BY_QUALITY.items()
        },
        "  not known": f"{output.hours(float(sums.unknown_seconds))} node-hours",
        "idle": kilowatt_hours(answer.idle),
        **{
            kind: NOT_COVERED if answer.amounts[kind] is None else kilowatt_hours(answer.amounts[kind])
            for kind in (Kind.E_IT, Kind.E_DC)
        },
        "closure": f"{kappa}, {output.hours(closed.covered_seconds)} of "
        f"{output.hours(closed.elapsed_seconds)} hours; {closed.sentence}",
        **{row.name: _indicator(row, ratio) for row, ratio in answer.indicators},
        **{
            kind: NOT_COVERED if amount is None else f"{float(amount):,.3f} m3"
            for kind, amount in answer.amounts.items()
            if kind.is_water
        },
        **{
            f"CO2 ({basis})": f"{_number(kilograms, 'kg')}; "
            f"{', '.join(map(str, used)) or 'no factor applies'}"
            for basis, (kilograms, used) in answer.emissions.items()
        },
        "too coarse": f"{count(sums.coarse_runs, 'run')} shorter than ten samples of power",
        "outliers": list(answer.outliers) or "none",
    }


def _indicator(row: Indicator, ratio: Ratio) -> str:
    value = _number(ratio.value, "" if row.unit == "1" else row.unit)
    over = f"{row.numerator} / {row.denominator} over {output.hours(ratio.covered_seconds)} hours"
    return f"{value} = {over}; {row.edition}"


def _of(answer: EnergyAnswer, words: Iterable[Quality]) -> Fraction:
    qualities = answer.sums.qualities
    return sum((qualities.get(word, Fraction(0)) for word in words), start=Fraction(0))


def kilowatt_hours(joules: Fraction | None) -> str:
    """An energy for people."""
    return NOT_RECORDED if joules is None else f"{output.hours(float(joules) / 1000)} kWh"


def _number(value: float | None, unit: str) -> str:
    return NOT_RECORDED if value is None else f"{value:.3f} {unit}".strip()
