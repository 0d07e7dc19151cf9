"""FIGURES: one table for JSON, terminal, status page and metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.cli import output
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure.figures import FIGURES, Unit, figure_values, share_value
from slurm_ai_factory.core.measure.outlook import percent_text
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.monitor import metrics, page
from tests.monitor import examples

MARGIN = 0.01
KEYS = [
    "promise", "bound", "share_of",
    "window", "since", "until", "as_of", "resource", "resource_label", "target_share", "delivered_share",
    "capacity_share", "regional_charge", "total_charge", "unclassified_charge", "capacity", "waiting_charge",
    "starved_charge", "shortfall_charge", "verdict", "verdict_reason", "floor_side", "unread_seconds",
    "unclassified_share",
    "unclassified_limit", "required_share", "attainable", "forecast", "newest_record_at", "groups",
]  # fmt: skip


def test_the_keys_in_json_are_these_in_this_order() -> None:
    assert list(share_value(examples.measurement(0.2), MARGIN)) == KEYS


@given(st.floats(0.01, 0.99), st.integers(0, 90))
def test_json_has_the_plain_value_of_every_figure(share: float, days: int) -> None:
    m = examples.measurement(share, days)
    values = share_value(m, MARGIN, [Group(("care",), Beneficiary.REGIONAL, Decimal(3))])
    assert json.loads(json.dumps(values)) == values
    assert figure_values(KEYS[:-1], m, MARGIN) == {key: values[key] for key in KEYS[:-1]}


def test_an_instant_is_iso_8601_in_json_and_a_charge_a_number() -> None:
    m = replace(examples.measurement(0.2), regional_charge=Decimal("2.5"), total_charge=Decimal(7))
    values = figure_values(("as_of", "regional_charge", "total_charge"), m, MARGIN)
    assert values == {"as_of": windows.iso(m.as_of), "regional_charge": 2.5, "total_charge": 7}
    assert isinstance(values["total_charge"], int)


def test_a_metric_has_the_value_and_the_meaning_of_its_figure() -> None:
    board = examples.complete()
    assert board.shown is not None
    m, margin = board.shown.measurement, board.shown.margin
    families = {family.name: family for family in metrics.BoardCollector(board).collect()}
    documented = {figure.metric: figure for figure in reversed([*FIGURES.values()]) if figure.metric}
    for figure in FIGURES.values():
        value = figure.of(m, margin)
        if not figure.metric or value is None:
            continue
        assert families[figure.metric].documentation == documented[figure.metric].meaning
        own = {figure.beneficiary, value if figure.unit is Unit.WORD else ""} - {""}
        (sample,) = (one for one in families[figure.metric].samples if own <= set(one.labels.values()))
        assert tuple(sample.labels) == figure.labels
        assert sample.value == (1 if figure.unit is Unit.WORD else pytest.approx(float(value)))


def test_people_read_the_words_of_the_table() -> None:
    board = examples.complete(measurement=examples.measurement(0.2))
    assert board.shown is not None
    words = {figure.words for figure in FIGURES.values()}
    assert output.share_text(board.shown.measurement, MARGIN).keys() <= words
    html = page.status_html(board, examples.NOW)
    for key in ("delivered_share", "target_share", "required_share", "expected_share", "starved_charge"):
        assert f">{FIGURES[key].words.capitalize()}<" in html


@given(st.floats(0, 2), st.floats(0, 1))
def test_a_ratio_is_never_rounded_onto_the_one_beside_it(ratio: float, beside: float) -> None:
    if abs(ratio - beside) > 1e-6:
        assert percent_text(ratio, beside) != percent_text(beside)
    assert float(percent_text(ratio).removesuffix(" %")) == pytest.approx(100 * ratio, abs=0.0501)


@given(st.floats(-1e-9, 1e-9), st.floats(-1e-9, 0.0))
def test_rounding_never_shows_as_less_than_nothing(charge: float, starved: float) -> None:
    m = examples.measurement(0.2, starved_charge=starved * 0.0)
    assert "-0.0" not in json.dumps(share_value(m, MARGIN))
    assert percent_text(charge)[0] != "-"
    assert (output.hours(charge) or "")[0] != "-"


@pytest.mark.parametrize("label", ["", "GPU equivalent"])
def test_a_weighted_resource_has_a_name_and_its_formula_once(label: str) -> None:
    weighted = Resource({"cpu": Decimal("0.5"), "gres/gpu": 10})
    text = output.share_text(examples.measurement(0.2, resource=weighted, resource_label=label), MARGIN)
    assert text["resource"] == f"0.5*cpu+10*gres/gpu, in {label or 'weighted-unit'}-hours"
    assert [name for name, value in text.items() if "*" in str(value)] == ["resource"]
