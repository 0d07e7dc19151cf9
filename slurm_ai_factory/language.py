"""A language of the report and of the status page: its messages, numbers and dates.

A number of the report carries its exact value (<data value="...">), so that programs can compare it.

Tested in tests/report/test_language.py.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.escaped import for_page
from slurm_ai_factory.core.measure.outlook import decimals_beside, decimals_of
from slurm_ai_factory.core.records import DAY, HOUR, Bound, Charge, Instant

JOULES_OF_KWH = 3_600_000
NBSP = "\u00a0"
LANGUAGES = ("nl", "en")
DEFAULT = "en"
"""For a reader who asks for none of them."""
CATALOGUES = ("report", "monitor")
"""The rooms with messages; no two have a section of the same name."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and the time zone of its dates."""

    code: str
    messages: Mapping[str, Any]
    zone: ZoneInfo

    def say(self, key: str, **values: object) -> Markup:
        """The message with this key, ``section.name``; values are escaped. Raises KeyError."""
        section, _, name = key.partition(".")
        shown = {field: for_page(value) for field, value in values.items()}
        return Markup(self.messages[section][name]).format(**shown)  # noqa: S704 - our own catalogue

    def text(self, key: str, **values: object) -> str:
        """The message with this key as text only, for where no markup is read. Raises KeyError."""
        section, _, name = key.partition(".")
        return str(self.messages[section][name]).format(**values)

    def word(self, section: str, name: str) -> str:
        """The name of a code; the code itself if the catalogue has no name."""
        return str(self.messages.get(section, {}).get(name, name))

    def part_of(self, base: str) -> str:
        """What a share is a part of: delivered, capacity, or promise:NAME."""
        kind, _, name = base.partition(":")
        return self.text(f"share_base.{kind}", name=name)

    def promised(self, bound: Bound, share: float) -> str:
        """What is promised: at least a floor, at most a cap."""
        key = "at_most" if bound is Bound.CAP else "at_least"
        return self.text(f"promises.{key}", share=self.plain_floor(share))

    def figure(self, key: str) -> Markup:
        """The name of the figure with this key in ``FIGURES``. Raises KeyError."""
        return self.say(f"figure.{key}")

    def definition(self, key: str) -> Markup:
        """What that figure means, in terms of others by their names. Raises KeyError."""
        return self.say(f"definition.{key}", **self.messages["figure"])

    def number(self, value: float, decimals: int = 0) -> Markup:
        """A number with the separators of this language."""
        return _data(value, self.plain(value, decimals))

    def plain(self, value: float, decimals: int = 0) -> str:
        """The same as text only."""
        marks = str.maketrans(",.", str(self.messages["format"]["thousands_decimal"]))
        return f"{round(value, decimals) + 0.0:,.{decimals}f}".translate(marks)  # never -0

    def percent(self, ratio: float | None, beside: float | None = None) -> Markup:
        """A ratio in per cent, with enough decimals to differ from the floor ``beside`` it."""
        if ratio is None:
            return self.say("format.unknown")
        return _data(ratio, self.plain_percent(ratio, beside))

    def plain_percent(self, ratio: float, beside: float | None = None) -> str:
        """The same as text only."""
        return f"{self.plain(100 * ratio, decimals_beside(ratio, beside))}%"

    def floor(self, ratio: float) -> Markup:
        """A promised ratio, without trailing zeros."""
        return _data(ratio, self.plain_floor(ratio))

    def plain_floor(self, ratio: float) -> str:
        """The same as text only."""
        decimals = next(n for n in range(5) if n == 4 or round(100 * ratio, n) == round(100 * ratio, 6))
        return f"{self.plain(100 * ratio, decimals)}%"

    def kilowatt_hours(self, joules: float) -> Markup:
        """An energy in kWh; one decimal below 10."""
        amount = joules / JOULES_OF_KWH
        return _data(joules, self.plain(amount, 1 if 0 < abs(amount) < 10 else 0))

    def hours(self, charge: float | None) -> Markup:
        """Resource-seconds in resource-hours; one decimal below 10."""
        if charge is None:
            return self.say("format.unknown")
        return _data(charge, self.plain_hours(charge))

    def plain_hours(self, charge: float) -> str:
        """The same as text only."""
        hours = charge / HOUR
        return self.plain(hours, 1 if 0 < abs(hours) < 10 else 0)

    def clock(self, at: Instant) -> str:
        """Day, month and time of day of an instant, civil."""
        moment = datetime.fromtimestamp(at, self.zone)
        return f"{self._day_and_month(moment)} {moment:%H:%M}"

    def amount(self, value: float) -> str:
        """A count, whole or with the decimals that it has."""
        text = f"{value:,.10g}"
        return text.translate(str.maketrans(",.", str(self.messages["format"]["thousands_decimal"])))

    def short_hours(self, charge: Charge | float) -> str:
        """Resource-seconds in resource-hours; small figures with at least two digits."""
        hours = float(charge) / HOUR
        return self.plain(hours, decimals_of(hours) if 0 < abs(hours) < 100 else 0)

    def day(self, instant: str, before: int = 0) -> str:
        """The civil day of an instant, or of ``before`` seconds earlier."""
        civil = self._civil(instant) - timedelta(seconds=before)
        return f"{civil.day}{NBSP}{self.messages['months'][f'm{civil.month}']}{NBSP}{civil.year}"

    def short_day(self, instant: str) -> str:
        """Day and month, for axes."""
        return self._day_and_month(self._civil(instant))

    def _day_and_month(self, civil: datetime) -> str:
        return f"{civil.day}{NBSP}{self.messages['short_months'][f'm{civil.month}']}"

    def moment(self, instant: str) -> str:
        """Day and time of day, civil."""
        return f"{self.day(instant)}, {self._civil(instant):%H:%M}"

    def month(self, name: str) -> str:
        """2027-03 in words."""
        year, _, month = name.partition("-")
        return f"{self.messages['months'][f'm{int(month)}']} {year}"

    def window(self, name: str) -> str:
        """2027Q1, 2027H1, 2027-03, 2027 or rolling:30d in words; any other name unchanged."""
        if name.startswith("rolling:"):
            seconds = windows.duration(name.removeprefix("rolling:"))
            unit, length = ("days", DAY) if seconds > DAY and seconds % DAY == 0 else ("hours", HOUR)
            return self.text(f"format.last_{unit}", number=f"{seconds / length:g}")
        if len(name) == 6 and name[4] in "QH":
            return str(self.say(f"format.{name[4:]}", year=name[:4]))
        if len(name) == 7 and name[4] == "-":
            return self.month(name)
        return name

    def short_window(self, name: str) -> str:
        """The same for axes."""
        if len(name) == 6 and name[4] in "QH":
            return str(self.say(f"format.short_{name[4]}", number=name[5], year=name[:4]))
        return name

    def _civil(self, instant: str) -> datetime:
        return datetime.fromisoformat(instant).astimezone(self.zone)


def language(code: str, zone: ZoneInfo) -> Language:
    """The language with this code. Raises KeyError."""
    return Language(code, catalogue(code), zone)


@cache
def catalogue(code: str) -> Mapping[str, Any]:
    """The messages of a language, of all rooms."""
    package = files("slurm_ai_factory")
    texts = (package.joinpath(f"{room}/messages/{code}.toml").read_text("utf-8") for room in CATALOGUES)
    return {section: words for text in texts for section, words in tomllib.loads(text).items()}


def preferred(asked: str, accepted: str) -> str:
    """The language asked for, else that of an Accept-Language header (RFC 9110, 12.5.4) with most weight.

    >>> preferred("", "de, nl-NL;q=0.8, en;q=0.7"), preferred("en", "nl"), preferred("x", "fr")
    ('nl', 'en', 'en')
    """
    if asked in LANGUAGES:
        return asked
    weights = {DEFAULT: 0.0}
    for entry in accepted.split(","):
        tag, _, quality = entry.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        code = tag.strip().lower().partition("-")[0]
        weights[code] = max(weight, weights.get(code, 0.0))
    known = {code: weight for code, weight in weights.items() if code in LANGUAGES}
    return max(known, key=lambda code: known[code])


def _data(value: float, text: str) -> Markup:
    return Markup('<data value="{}">{}</data>').format(repr(value), text)
