"""Reads the values of a configuration: one function for each kind of value; each raises ValueError.

Tested in tests/config/test_config.py.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.foreign import ForeignAnswer
from slurm_ai_factory.core.energy.closure import EmissionFactor, Indicator
from slurm_ai_factory.core.energy.keeping import GridMode
from slurm_ai_factory.core.energy.meters import Kind
from slurm_ai_factory.core.energy.runs import StatedWatts
from slurm_ai_factory.core.programme.day_statement import KEY
from slurm_ai_factory.core.programme.suppression import LARGEST
from slurm_ai_factory.core.records import HOUR, Instant, LeverKind, Mode
from slurm_ai_factory.core.tres import Resource

SHORTEST_RETENTION = 30 * 24 * HOUR
LAST_PORT = 65535
LANGUAGES = ("en", "nl")
SOURCES = ("commands", "pyslurm", "slurmrestd")

_Word = TypeVar("_Word", bound=StrEnum)


def as_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("wants a text in quotes that is not empty")
    return value


def as_code(value: object) -> str:
    """A name that is also a part of file names."""
    text = as_text(value)
    if not re.fullmatch(KEY, text):
        raise ValueError("wants up to 64 letters, digits and . _ -, a letter or digit first")
    return text


def as_names(value: object) -> tuple[str, ...]:
    """One name, or a list of different names."""
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("wants a name or a list of names")
    if len(set(names)) < len(names):
        raise ValueError("has a name twice")
    return tuple(names)


def as_whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("wants a whole number above 0")
    return value


def as_ratio(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise ValueError("wants a number between 0 and 1")
    return float(value)


def as_few(value: object) -> int:
    """A number of organisations, up to the largest that suppression supports."""
    number = as_whole(value)
    if number > LARGEST:
        raise ValueError(f"wants a whole number from 1 to {LARGEST}")
    return number


def as_yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("wants true or false")
    return value


def as_by_language(value: object) -> dict[str, str]:
    """A name for each language, or one for all."""
    if isinstance(value, dict) and value.keys() == set(LANGUAGES):
        return {code: as_text(name) for code, name in value.items()}
    if isinstance(value, str):
        return dict.fromkeys(LANGUAGES, as_text(value))
    raise ValueError(f"wants a name, or a table with one for each of {', '.join(LANGUAGES)}")


def as_money(value: object) -> Decimal:
    """A price, exact: 2 or "0.05"; a number with a point is not exact in TOML."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            amount = Decimal(value)
        except ArithmeticError:
            amount = Decimal(-1)
        if amount.is_finite() and amount >= 0:
            return amount
    raise ValueError('wants a price such as "0.05", in quotes, or a whole number')


def as_positive(value: object) -> Decimal:
    """A number above 0, as it is written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
        if number.is_finite() and number > 0:
            return number
    raise ValueError("wants a number above 0")


def _stated(value: object, keys: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], Instant]]:
    """Tables with these keys and since, a date that begins at midnight UTC."""
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise ValueError("wants tables")
    for table in value:
        if wrong := sorted(table.keys() ^ {*keys, "since"}):
            raise ValueError(
                f"each table wants {', '.join(keys)} and since, and no other key: see {wrong[0]}"
            )
        yield table, windows.day(as_day(table["since"]), ZoneInfo("UTC"))


def as_watts(value: object) -> tuple[StatedWatts, ...]:
    """The power that one of a TRES draws, with date and source."""
    return tuple(
        StatedWatts(as_text(row["tres"]), as_positive(row["watts"]), since, as_text(row["source"]))
        for row, since in _stated(value, ("tres", "watts", "source"))
    )


def as_emissions(value: object) -> tuple[EmissionFactor, ...]:
    """Grams of CO2 for one kWh, by location or market, with date and source."""
    factors = [
        EmissionFactor(
            as_text(row["basis"]), as_positive(row["grams_per_kwh"]), since, as_text(row["source"])
        )
        for row, since in _stated(value, ("basis", "grams_per_kwh", "source"))
    ]
    if wrong := {factor.basis for factor in factors} - {"location", "market"}:
        raise ValueError(f"basis wants location or market, not {min(wrong)!r}")
    return tuple(factors)


def as_retention(value: object) -> int:
    """A time for which rows or names are kept, at least as long as Slurm may still correct its records."""
    kept = as_seconds(value)
    if kept < SHORTEST_RETENTION:
        raise ValueError("wants at least 30d: younger runs are read again, and what goes with them")
    return kept


def as_seconds(value: object) -> int:
    return as_whole(value) if isinstance(value, int) else windows.duration(as_text(value))


def as_path(value: object) -> Path:
    return Path(as_text(value))


def as_address(value: object) -> str:
    """Address and port; an empty address is all of this machine's, port 0 any free one."""
    match = re.fullmatch(r".*:([0-9]{1,5})", as_text(value))
    if not match or int(match[1]) > LAST_PORT:
        raise ValueError("wants an address and a port, such as 127.0.0.1:9810 or [::1]:9810")
    return match[0]


def as_mode(value: object) -> Mode:
    return _as_word(Mode, value)


def as_grid_mode(value: object) -> GridMode:
    """The mode of [grid]."""
    return _as_word(GridMode, value)


def as_plain_name(value: object) -> str:
    """A name that no command can take for anything else."""
    if not (isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", value)):
        raise ValueError("wants a name of letters, digits and . _ - that begins with a letter")
    return value


def as_exempt(value: object) -> dict[str, str]:
    """Meters, each with the use of its water."""
    if not isinstance(value, dict) or not all(isinstance(use, str) and use for use in value.values()):
        raise ValueError('wants a table such as { toilets = "sanitary" }')
    return dict(value)


def as_lever(value: object) -> LeverKind:
    return _as_word(LeverKind, value)


def as_answer(value: object) -> ForeignAnswer:
    return _as_word(ForeignAnswer, value)


def _as_word(words: type[_Word], value: object) -> _Word:
    if value not in list(words):
        raise ValueError(f"wants one of {', '.join(words)}")
    return words(str(value))


def as_source(value: object) -> str:
    if value not in SOURCES:
        raise ValueError(f"wants one of {', '.join(SOURCES)}")
    return str(value)


def as_rest_url(value: object) -> str:
    """A Unix socket, or a port of this machine: a token must not travel over a network in clear text."""
    here = r"unix:/.+|http://(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}"
    match = re.fullmatch(here, as_text(value))
    if not match:
        raise ValueError("wants unix:/PATH, or a port of this machine such as http://127.0.0.1:6820")
    return match[0]


def as_zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(as_text(value))
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError("wants a time zone such as Europe/Amsterdam") from error


def as_window(value: object) -> str:
    name = as_text(value)
    if name not in ("month", "quarter", "half", "year") and not name.startswith("rolling:"):
        raise ValueError("wants month, quarter, half, year or rolling:30d")
    windows.window(name, 0, ZoneInfo("UTC"))
    return name


def as_instant(value: object) -> str:
    """A date or instant, kept as it is typed until the time zone is known."""
    typed = value if isinstance(value, str) else str(value)
    on_two_days = {windows.instant(typed, day * 24 * HOUR, ZoneInfo("UTC")) for day in (0, 10)}
    if len(on_two_days) > 1:
        raise ValueError("wants a date that stays, such as 2027-01-01")
    return typed


def as_start(value: object) -> str:
    """A date or instant that Slurm takes, kept like any other."""
    typed = as_instant(value)
    windows.asked_of_slurm(windows.instant(typed, 0, ZoneInfo("Etc/GMT-14")))  # the earliest of all zones
    return typed


def as_day(value: object) -> str:
    """A date, kept as it is typed until the time zone is known."""
    if type(value) is date or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return str(date.fromisoformat(str(value)))
    raise ValueError("wants a date such as 2027-01-01")


def as_codes(value: object) -> tuple[str, ...]:
    """Words in lower case, as entries of the registry spell them."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("wants a list of codes")
    if wrong := [word for word in value if not re.fullmatch(r"[a-z][a-z0-9_]*", word)]:
        raise ValueError(f"{wrong[0]!r} is not a code: lower case letters, digits and _")
    return tuple(value)


SHIPPED_HUBS = {"groningen-noord-drenthe": ["groningen", "south", "amsterdam", "european"]}
"""The hubs that go with a shipped region."""


def shipped_regions() -> tuple[str, ...]:
    """The names of the shipped lists of municipalities.

    >>> shipped_regions()
    ('groningen-noord-drenthe',)
    """
    return tuple(sorted({region for *_, region in _shipped() if region}))


def as_region(value: object) -> frozenset[str]:
    """CBS codes of municipalities, or the name of a shipped list; an empty list for none yet."""
    if isinstance(value, str):
        codes = frozenset(code for code, _, region in _shipped() if region == value)
        if value and codes:
            return codes
        raise ValueError(f"no shipped list has this name; known: {', '.join(shipped_regions())}")
    if not isinstance(value, list) or not all(map(_is_code, value)):
        raise ValueError('wants CBS codes of municipalities such as ["GM0014", "GM1979"]')
    return frozenset(value)


def as_accounts_of(value: object) -> dict[str, tuple[str, ...]]:
    """Promises with their steered accounts."""
    if not isinstance(value, dict):
        raise ValueError('wants a table such as { eu = "eurohpc", industry = ["firms", "startups"] }')
    return {name: as_names(accounts) for name, accounts in value.items()}


def as_municipalities(value: object) -> dict[str, str]:
    """Further municipalities: a table of CBS code and name."""
    if not isinstance(value, dict) or not all(map(_is_code, value)):
        raise ValueError('wants a table such as { GM2000 = "Nieuwe Gemeente" }')
    return {code: as_text(name) for code, name in value.items()}


def shipped_municipalities() -> dict[str, str]:
    """The municipalities of the shipped list: CBS code -> name.

    >>> len(shipped_municipalities()), shipped_municipalities()["GM0014"]
    (342, 'Groningen')
    """
    return {code: name for code, name, _ in _shipped()}


@cache
def _shipped() -> tuple[tuple[str, str, str], ...]:
    """(code, name, region) of each; the file says source and date."""
    rows = _shipped_rows("municipalities.csv")
    return tuple((row["code"], row["name"], row["region"]) for row in rows)


@cache
def shipped_indicators() -> tuple[Indicator, ...]:
    """The indicators of energy and water: unit, formula and edition.

    >>> [row.name for row in shipped_indicators()]
    ['PUE', 'WUE', 'ERF', 'REF']
    """
    return tuple(
        Indicator(row["name"], Kind(row["numerator"]), Kind(row["denominator"]), row["unit"], row["edition"])
        for row in _shipped_rows("indicators.csv")
    )


def _shipped_rows(name: str) -> Iterator[dict[str, str]]:
    data = (files("slurm_ai_factory.config") / name).read_text(encoding="utf-8")
    yield from csv.DictReader(line for line in data.splitlines() if not line.startswith("#"))


def _is_code(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"GM\d{4}", value))


def as_resource(value: object) -> Resource:
    """A TRES name, or a table of weights."""
    if isinstance(value, str):
        return Resource({as_text(value): 1})
    if not isinstance(value, dict) or not value:
        raise ValueError('wants "gres/gpu", or weights { cpu = 1, "gres/gpu" = 16 }')
    return Resource({as_text(name): _weight(weight) for name, weight in value.items()})


def _weight(value: object) -> Decimal:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        weight = Decimal(str(value))
        if weight.is_finite() and weight > 0:
            return weight
    raise ValueError("wants weights above 0")
