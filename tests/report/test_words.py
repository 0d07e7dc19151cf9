"""The words of the report: one for one thing, the same pairs in Dutch and English, definitions that fit."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

import pytest
from jinja2 import nodes

from docs import terms
from docs.terms import Term
from slurm_ai_factory.core.measure.figures import FIGURES, Unit
from slurm_ai_factory.core.records import Measurement
from slurm_ai_factory.language import catalogue
from slurm_ai_factory.report import LANGUAGES, front, plots
from slurm_ai_factory.report.front import template_environment
from tests.docs.markdown import ROOT, read
from tests.report.test_language import speech
from tests.report.year import Year

TERMS = terms.terms()
OFFICIAL = "sector."
"""Names that Statistics Netherlands and Eurostat chose."""
pairs = pytest.mark.parametrize("term", TERMS, ids=lambda term: term.nl[0])


def messages(code: str) -> Iterator[tuple[str, str]]:
    """Those of the report. The status page and the terminal have Slurm's words and those of the operators."""
    text = files("slurm_ai_factory.report").joinpath(f"messages/{code}.toml").read_text("utf-8")
    for section, texts in tomllib.loads(text).items():
        for name, message in texts.items():
            yield f"{section}.{name}", message


def uses(words: Sequence[str], text: str) -> bool:
    """Whether a text has one of the words, alone and not as a placeholder."""
    plain = re.sub(r"\{\w+\}", "_", text).replace("\u00ad", "")
    return any(re.search(rf"\b{re.escape(word)}\b", plain, re.IGNORECASE) for word in words)


@pairs
def test_a_message_uses_a_word_in_both_languages_or_in_none(term: Term) -> None:
    english = dict(messages("en"))
    alone = {
        key: (text, english[key])
        for key, text in messages("nl")
        if uses(term.nl, text) != uses(term.en, english[key]) and not key.startswith(OFFICIAL)
    }
    assert alone == {}


@pairs
def test_no_message_uses_another_word_for_it(term: Term) -> None:
    found = [text for _, text in messages("nl") if uses(term.not_nl, text)]
    assert found + [text for _, text in messages("en") if uses(term.not_en, text)] == []


@pairs
def test_a_word_is_in_use_and_its_entry_in_the_glossary_exists(term: Term) -> None:
    assert any(uses(term.nl, text) for _, text in messages("nl"))
    assert not term.glossary or f"\n**{term.glossary}**: " in read(ROOT / "docs" / "glossary.md")


def test_words_are_found_alone() -> None:
    assert uses(["taak"], "Een taak.")
    assert not uses(["taak", "share"], "De {share} van een rekentaak.")
    assert uses(["organisaties"], "organi\u00adsaties")


# -- definitions ----------------------------------------------------------------------------------------

DEFINED = catalogue("nl")["definition"]
SPEAKING = (front, plots)
"""Modules that take figures into sentences and charts."""
SHOWN = (Unit.RATIO, Unit.CHARGE, Unit.SECONDS)


class Worked(NamedTuple):
    """What a definition says: which figures it names, in their order, and how they make the figure."""

    named: tuple[str, ...]
    formula: Callable[..., float]
    by_hour: bool = False  #: whether it holds for each hour, and the figure is the sum


WORKED: Mapping[str, Worked] = {
    "delivered_share": Worked(("regional_charge", "total_charge"), lambda part, whole: part / whole),
    "capacity_share": Worked(("regional_charge", "capacity"), lambda part, whole: part / whole),
    "unclassified_share": Worked(("unclassified_charge", "total_charge"), lambda part, whole: part / whole),
    "shortfall_charge": Worked(
        ("target_share", "total_charge", "regional_charge"), lambda share, whole, part: share * whole - part
    ),
    "starved_charge": Worked(
        ("waiting_charge", "target_share", "capacity", "regional_charge"),
        lambda waiting, share, capacity, part: min(waiting, max(0.0, share * capacity - part)),
        by_hour=True,
    ),
}
"""The figures that are computed from others."""
NOT_COMPUTED = {
    "target_share": "it is what was promised",
    "expected_share": "it depends on the last seven days; tests/core/measure/test_forecast.py",
    "required_share": "it depends on the time that is left; tests/core/measure/test_forecast.py",
}
"""Ratios whose definition names no other figure, and why."""


def test_each_figure_in_the_report_has_a_name_and_a_definition_under_its_key() -> None:
    environment, shown = template_environment(), set()
    for name in environment.list_templates(extensions=["j2"]):
        source, _, _ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]
        tree = environment.parse(source)
        shown |= {node.attr for node in tree.find_all(nodes.Getattr)}
        shown |= {str(node.value) for node in tree.find_all(nodes.Const)}
    for module in SPEAKING:
        constants = (
            node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Constant)
        )
        shown |= {str(node.value) for node in constants}
    numbers = {key for key, figure in FIGURES.items() if figure.unit in SHOWN}
    for code in LANGUAGES:
        assert catalogue(code)["definition"].keys() == catalogue(code)["figure"].keys() == shown & numbers


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("key", DEFINED)
def test_a_definition_names_the_figures_that_its_figure_is_computed_from(key: str, code: str) -> None:
    named = re.findall(r"\{(\w+)\}", catalogue(code)["definition"][key])
    assert tuple(named) == (WORKED[key].named if key in WORKED else ())
    assert key in WORKED or key in NOT_COMPUTED or FIGURES[key].unit is not Unit.RATIO
    assert speech(code).definition(key)


@pytest.mark.parametrize("key", WORKED)
def test_a_definition_computes_the_figure_beside_it(made: Year, key: str) -> None:
    """On the quarter that missed its floor, where none of them is zero."""
    measured = made.reports["2027Q3"].measurement
    worked, figure = WORKED[key], amount(measured, key)
    if worked.by_hour:
        computed = sum(worked.formula(*(hourly[name] for name in worked.named)) for hourly in hours(measured))
    else:
        computed = worked.formula(*(amount(measured, name) for name in worked.named))
    assert figure > 0
    assert computed == pytest.approx(figure, rel=1e-9)
    others = [other for other in WORKED if other != key and FIGURES[other].unit is FIGURES[key].unit]
    assert all(computed != pytest.approx(amount(measured, other), rel=1e-3) for other in others)


def amount(measured: Measurement, key: str) -> float:
    return float(FIGURES[key].of(measured, 0.0))


def hours(measured: Measurement) -> list[dict[str, float]]:
    """The figures of each hour by key."""
    return [
        {
            "target_share": measured.target_share, "regional_charge": hour.regional,
            "waiting_charge": hour.regional_waiting, "capacity": hour.capacity,
        }
        for hour in measured.hours
    ]  # fmt: skip
