"""The one sentence: what stands, in both languages, without a contradiction."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.records import HOUR, Measurement, Verdict, Window
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.language import LANGUAGES, NBSP, Language, language
from slurm_ai_factory.monitor import sentence
from tests.core.measure.test_assessment import any_measurement, demand
from tests.monitor.examples import DAY, NOW, SINCE, measurement

MARGIN = 0.01
both = pytest.mark.parametrize("code", LANGUAGES)


def speech(code: str) -> Language:
    return language(code, ZoneInfo("Europe/Amsterdam"))


def said_of(m: Measurement, code: str = "en") -> str:
    return sentence.promise_sentence(m, MARGIN, speech(code)).replace(f"{NBSP}%", "%").replace(NBSP, " ")


def nothing() -> Measurement:
    return measurement(0.2, days=0, regional_charge=0, total_charge=0)


def had(share: str, side: str, rest: str = "") -> str:
    quarter = "the first quarter of 2027"
    return f"The region has had {share} of the GPU time in {quarter}, {side} the promised 25%{rest}."


@pytest.mark.parametrize(
    ("m", "words"),
    [
        (
            nothing(),
            "Nothing has been delivered in the first quarter of 2027 yet. The region is promised 25%.",
        ),
        (
            replace(nothing(), unread_seconds=DAY),
            "Nothing is known of the first quarter of 2027: it was not read. The region is promised 25%.",
        ),
        (
            measurement(0.2, ended=True),
            "No promise holds in the first quarter of 2027; see `saf promise list`.",
        ),
        (
            replace(measurement(0.3, days=90), unread_seconds=DAY),
            had("30.0%", "above", "; 24 hours of the window were never read"),
        ),
        (demand(0.3, 0.0, regional_running=0, regional_pending=0), had("30.0%", "above")),
        (measurement(0.25), had("25.0%", "as much as")),
        (demand(0.2, 0.7), had("20.0%", "below", "; 29.0% of the rest of the window would mend it")),
        (
            demand(0.2, 0.0, days=6),
            had("20.0%", "below", "; it takes 26.4% of the rest of the window to mend it"),
        ),
        (
            demand(0.2499, 0.1),
            had("24.99%", "below", "; 26.5% of the rest of the window would mend it"),
        ),
        (
            demand(0.2, 0.0, regional_pending=10**6),
            had(
                "20.0%", "below",
                "; it would take 29.0% of the rest of the window, more than regional jobs asked for in the "
                "last seven days",
            ),
        ),
        (
            demand(0.0, 0.0, regional_pending=10**6),
            had("0.0%", "below", "; no regional job ran or waited in the last seven days"),
        ),
        (measurement(0.9, days=80), had("90.0%", "above", ", and that can no longer change")),
        (
            measurement(0.2, days=90, starved_charge=1e12),
            had("20.0%", "below", "; regional jobs waited while it was below"),
        ),
        (
            measurement(0.2, days=90),
            had("20.0%", "below", "; there was too little regional work to reach it"),
        ),
    ],
)  # fmt: skip
def test_one_sentence_says_how_it_stands(m: Measurement, words: str) -> None:
    assert said_of(m) == words


def test_it_is_said_in_dutch() -> None:
    assert said_of(measurement(0.3, days=90), "nl") == (
        "De regio kreeg in het eerste kwartaal van 2027 30,0% van de GPU-tijd: meer dan de toegezegde 25%, "
        "en dat kan niet meer veranderen."
    )


CONTRADICTING = {"en": ("mend it", "would take", "jobs waited", "too little", "ran or waited"),
                 "nl": ("rest van", "wachtten", "te weinig", "draaide of wachtte")}  # fmt: skip
"""What is said of a share below the floor only."""


@both
@given(any_measurement())
def test_what_would_mend_a_share_is_said_only_below_the_floor(code: str, m: Measurement) -> None:
    text, known = said_of(m, code), assess(m, MARGIN)
    assert text.endswith(".")
    assert "{" not in text
    if not known.below:
        assert not [words for words in CONTRADICTING[code] if words in text], text
    if known.verdict is Verdict.MET and m.total_charge:
        assert {"en": "below", "nl": "minder"}[code] not in text


@pytest.mark.parametrize(
    ("name", "words"), [("rolling:30d", "the last 30 days"), ("rolling:36h", "the last 36 hours"),
                        ("rolling:1d", "the last 24 hours"), ("2027Q1", "the first quarter of 2027"),
                        ("2027-03", "March 2027")],
)  # fmt: skip
def test_a_window_has_a_name_for_people(name: str, words: str) -> None:
    window = Window(name, SINCE, NOW, rolling=name.startswith("rolling"))
    assert f" in {words}, " in said_of(measurement(0.2, window=window))


@both
@given(weight=st.integers(2, 20), label=st.sampled_from(("", "GPU equivalent")))
def test_a_weighted_resource_has_a_name_and_no_formula(code: str, weight: int, label: str) -> None:
    m = measurement(0.3, resource=Resource({"cpu": 1, "gres/gpu": weight}), resource_label=label)
    for text in (said_of(m, code), sentence.resource_hours(m, speech(code))):
        assert "*" not in text
        assert label in text


def test_hours_are_those_of_the_measurement() -> None:
    assert sentence.resource_hours(measurement(), speech("nl")) == "GPU-uren"
    assert measurement().hours[0].total == 100 * HOUR
