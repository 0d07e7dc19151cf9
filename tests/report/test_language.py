"""What the report says: two languages with the same messages, their own numbers, and nothing left in code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from slurm_ai_factory.config.sections import RegistrySection
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.measure.judgement import GROUNDS
from slurm_ai_factory.core.measure.waits import ALL_SIZES, SIZES
from slurm_ai_factory.core.records import FLOOR_VERDICTS, Bound, Verdict
from slurm_ai_factory.core.rules import organisations
from slurm_ai_factory.core.rules.classify import PROMISED_TO, Beneficiary
from slurm_ai_factory.language import NBSP, Language, catalogue, language
from slurm_ai_factory.ledger import publishing
from slurm_ai_factory.question import Reached
from slurm_ai_factory.report import LANGUAGES
from slurm_ai_factory.report.programme import NOT_BUSINESS
from slurm_ai_factory.report.tables import tables

both = pytest.mark.parametrize("code", LANGUAGES)


def speech(code: str) -> Language:
    return language(code, ZoneInfo("Europe/Amsterdam"))


def messages(code: str) -> Iterator[tuple[str, str]]:
    for section, texts in catalogue(code).items():
        for name, text in texts.items():
            yield f"{section}.{name}", text


def test_the_catalogues_have_the_same_messages_with_the_same_places_to_fill_in() -> None:
    def places(code: str) -> Mapping[str, list[str]]:
        return {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in messages(code)}

    assert places("nl") == places("en")


@both
def test_every_message_says_something(code: str) -> None:
    assert [key for key, text in messages(code) if not text.strip() or text != text.strip()] == []


def test_dutch_is_not_left_in_english() -> None:
    english = dict(messages("en"))
    same = {
        text
        for key, text in messages("nl")
        if text == english[key] and re.search("[a-z]{3}", re.sub(r"\{\w+\}", "", text))
    }
    assert all(text.lower() in COMMON for text in same), same


COMMON = [
    "jan", "feb", "apr", "jun", "jul", "aug", "sep", "nov", "dec", "april", "was", "september", "november",
    "december", "groningen", "amsterdam", "expertise", "hub", "privacy", "sector", "1 node", "start-ups",
    "scale-ups",
    "december", "groningen", "amsterdam", "expertise", "hub", "privacy", "sector", "cluster", "rawshares",
    "effectvusage", "nodes", "meter", "volume (m³)",
]  # fmt: skip
"""Words that are the same in both."""


@both
def test_every_code_has_a_word(code: str) -> None:
    said: Mapping[str, Any] = catalogue(code)
    registry = RegistrySection()
    assert HOLDS - said["reason"].keys() == set()
    assert set(organisations.CATEGORIES) - said["category"].keys() == set()
    assert set(organisations.SBI_SECTIONS) | set(registry.sectors) <= said["sector"].keys()
    assert set(registry.hubs) <= said["hub"].keys()
    assert {*organisations.COMPANY_SIZES, NOT_BUSINESS} == said["size"].keys()
    assert {*organisations.COMPANY_STAGES, NOT_BUSINESS} == said["stage"].keys()
    assert set(organisations.ACCESS_MODES) == said["access_mode"].keys()
    assert {ALL_SIZES, *(name for name, _ in SIZES)} <= said["priority"].keys()
    assert {publishing.part_name(query) for query in publishing.PARTS} == said["part"].keys() & {
        publishing.part_name(query) for query in publishing.PARTS
    }
    assert {*map(str, Verdict)} == said["promise_verdict"].keys()
    assert {*map(str, Bound)} == said["bound"].keys()
    assert {*map(str, Beneficiary)} == said["beneficiary"].keys()
    assert set(GROUNDS) == said["ground"].keys()
    assert set(PROMISED_TO) == said["condition"].keys()
    for verdict in FLOOR_VERDICTS:
        assert {str(verdict), f"short_{verdict}", f"told_{verdict}"} <= said["verdict"].keys()
        assert f"verdict_{verdict}" in said["expertise"]


@pytest.mark.parametrize(
    ("code", "number", "share", "day", "window"),
    [
        ("nl", "1.234.567,5", "25,3%", f"1{NBSP}januari{NBSP}2027", "het derde kwartaal van 2027"),
        ("en", "1,234,567.5", "25.3%", f"1{NBSP}January{NBSP}2027", "the third quarter of 2027"),
    ],
)
def test_numbers_and_dates_are_those_of_the_language(
    code: str, number: str, share: str, day: str, window: str
) -> None:
    said = speech(code)
    assert said.plain(1234567.5, 1) == number
    assert said.plain_percent(0.2532) == share
    assert said.day("2026-12-31T23:00:00Z") == day, "in civil time"
    assert said.window("2027Q3") == window


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (0.25, "25,0"), (0.2532, "25,3"), (0.2496, "24,96"), (0.24999, "24,999"), (0.250004, "25,0004"),
        (0.2499999999, "25,0000"), (0.0, "0,0"), (1.0, "100,0"),
    ],
)  # fmt: skip
def test_a_share_is_not_rounded_onto_the_floor(ratio: float, shown: str) -> None:
    assert speech("nl").plain_percent(ratio, beside=0.25) == f"{shown}%"


@pytest.mark.parametrize(("floor", "shown"), [(0.25, "25"), (0.255, "25,5"), (0.3333, "33,33"), (0.07, "7")])
def test_a_floor_is_said_as_it_was_promised(floor: float, shown: str) -> None:
    assert speech("nl").plain_floor(floor) == f"{shown}%"


@both
@pytest.mark.parametrize("name", ["2027Q1", "2027H2", "2027-03", "2027", "rolling:30d"])
def test_every_window_has_a_name(code: str, name: str) -> None:
    assert speech(code).window(name)
    assert speech(code).short_window(name)


def test_values_are_escaped() -> None:
    assert "<b>" not in speech("nl").say("proof.contact", contact="<b>x</b>")


def reached(organisation: str, sector: str, charge: int) -> Reached:
    return Reached(organisation, Beneficiary.REGIONAL, {"sector": sector}, charge)


def test_what_is_left_out_is_one_line() -> None:
    rows = [
        reached(name, sector, 10) for name, sector in zip("abcdefg", ["x"] * 4 + ["y", "y", "z"], strict=True)
    ]
    (table,) = tables(rows, {"sector": True}, 3)
    assert [row.name for row in table.rows] == ["x"]
    assert table.hidden_names == 2
    assert table.hidden is not None
    assert (table.hidden.organisations, table.hidden.charge, table.total) == (3, 30, 70)
    (table,) = tables([*rows, reached("h", "x", 0)], {"sector": True}, 1)
    assert [(row.name, row.organisations) for row in table.rows] == [("x", 4), ("y", 2), ("z", 1)]
