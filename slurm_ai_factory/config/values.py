"""Reads the values of a configuration: one function for each kind of value; each raises ValueError.

Tested in tests/config/test_config.py.
"""

from __future__ import annotations

import csv
import re
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.suppression import LARGEST
from slurm_ai_factory.core.records import HOUR, LeverKind, Mode
from slurm_ai_factory.core.tres import Resource

SHORTEST_RETENTION = 30 * 24 * HOUR
LAST_PORT = 65535
LANGUAGES = ("en", "nl")
SOURCES = ("commands", "pyslurm", "slurmrestd")


def as_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("wants a text")
    return value


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


def as_retention(value: object) -> int:
    """A time for which names are kept, at least as long as Slurm may still correct its records."""
    kept = as_seconds(value)
    if kept < SHORTEST_RETENTION:
        raise ValueError("wants at least 30d: younger runs are read again, and their names with them")
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
    if value not in list(Mode):
        raise ValueError(f"wants one of {', '.join(Mode)}")
    return Mode(str(value))


def as_lever(value: object) -> LeverKind:
    if value not in list(LeverKind):
        raise ValueError(f"wants one of {', '.join(LeverKind)}")
    return LeverKind(str(value))


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


def as_region(value: object) -> frozenset[str]:
    """CBS codes of municipalities, or the name of a shipped list; an empty list for none yet."""
    if isinstance(value, str):
        codes = frozenset(code for code, _, region in _shipped() if region == value)
        if value and codes:
            return codes
        known = ", ".join(sorted({region for *_, region in _shipped() if region}))
        raise ValueError(f"no shipped list has this name; known: {known}")
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
    data = (files("slurm_ai_factory.config") / "municipalities.csv").read_text(encoding="utf-8")
    lines = [line for line in data.splitlines() if not line.startswith("#")]
    return tuple((row["code"], row["name"], row["region"]) for row in csv.DictReader(lines))


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
