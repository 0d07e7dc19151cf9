"""Values as they are typed in a configuration, each read by one function that raises ValueError."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.suppression import LARGEST
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.tres import Count

SHORTEST_RETENTION = 30 * 24 * HOUR
LAST_PORT = 65535
LANGUAGES = ("en", "nl")
SOURCES = ("commands", "pyslurm")
MODES = ("observe", "advise", "enforce")


def as_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("wants a text")
    return value


def as_names(value: object) -> tuple[str, ...]:
    """One name, or a list of different ones."""
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(one, str) and one.strip() for one in found):
        raise ValueError("wants a name or a list of names")
    if len(set(found)) < len(found):
        raise ValueError("has a name twice")
    return tuple(found)


def as_whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("wants a whole number above 0")
    return value


def as_ratio(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise ValueError("wants a number between 0 and 1")
    return float(value)


def as_few(value: object) -> int:
    """A number of organisations that suppression can be sure of."""
    number = as_whole(value)
    if number > LARGEST:
        raise ValueError(f"wants a whole number from 1 to {LARGEST}")
    return number


def as_yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("wants true or false")
    return value


def as_by_language(value: object) -> dict[str, str]:
    """A name for every language, or one that all have."""
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
    """A time for which names are kept: never shorter than records may still be corrected."""
    kept = as_seconds(value)
    if kept < SHORTEST_RETENTION:
        raise ValueError("wants at least 30d: younger runs are read again, and their names with them")
    return kept


def as_seconds(value: object) -> int:
    return as_whole(value) if isinstance(value, int) else windows.duration(as_text(value))


def as_path(value: object) -> Path:
    return Path(as_text(value))


def as_address(value: object) -> str:
    """Address and port; no address is all of this machine's, port 0 any that is free."""
    found = re.fullmatch(r".*:([0-9]{1,5})", as_text(value))
    if not found or int(found[1]) > LAST_PORT:
        raise ValueError("wants an address and a port, such as 127.0.0.1:9810 or [::1]:9810")
    return found[0]


def as_mode(value: object) -> str:
    if value not in MODES:
        raise ValueError(f"wants one of {', '.join(MODES)}")
    return str(value)


def as_source(value: object) -> str:
    if value not in SOURCES:
        raise ValueError(f"wants one of {', '.join(SOURCES)}")
    return str(value)


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
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("wants a list of codes")
    if wrong := [one for one in value if not re.fullmatch(r"[a-z][a-z0-9_]*", one)]:
        raise ValueError(f"{wrong[0]!r} is not a code: lower case letters, digits and _")
    return tuple(value)


def as_region(value: object) -> frozenset[str]:
    """Municipalities by CBS code, or the name of a list that is shipped; an empty list for none yet."""
    if isinstance(value, str):
        found = frozenset(code for code, _, region in _shipped() if region == value)
        if value and found:
            return found
        known = ", ".join(sorted({region for *_, region in _shipped() if region}))
        raise ValueError(f"no list is shipped under this name; there are: {known}")
    if not isinstance(value, list) or not all(map(_is_code, value)):
        raise ValueError('wants CBS codes of municipalities such as ["GM0014", "GM1979"]')
    return frozenset(value)


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
    """(code, name, region) of each; source and date are said in the file."""
    return tuple(_read_shipped())


def _read_shipped() -> Iterator[tuple[str, str, str]]:
    data = (files("slurm_ai_factory.config") / "municipalities.csv").read_text(encoding="utf-8")
    lines = [line for line in data.splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        yield row["code"], row["name"], row["region"]


def _is_code(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"GM\d{4}", value))


def as_resource(value: object) -> dict[str, Count]:
    """A TRES name, or a table of weights."""
    if isinstance(value, str):
        return {as_text(value): 1}
    if not isinstance(value, dict) or not value:
        raise ValueError('wants "gres/gpu", or weights { cpu = 1, "gres/gpu" = 16 }')
    return {as_text(name): _weight(weight) for name, weight in sorted(value.items())}


def _weight(value: object) -> Decimal:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        weight = Decimal(str(value))
        if weight.is_finite() and weight > 0:
            return weight
    raise ValueError("wants weights above 0")


def parse_resource(text: str) -> dict[str, Count]:
    """A resource as it is typed: ``gres/gpu`` or ``0.25*cpu+16*gres/gpu``. Raises ValueError.

    >>> parse_resource("gres/gpu"), parse_resource("0.25*cpu+16*gres/gpu")
    ({'gres/gpu': 1}, {'cpu': Decimal('0.25'), 'gres/gpu': Decimal('16')})
    """
    parts = [part.rpartition("*") for part in text.split("+")]
    if len(parts) == 1 and not parts[0][1]:
        return as_resource(as_text)
    weights = {name: weight for weight, _, name in parts}
    try:
        if len(weights) < len(parts):
            raise ValueError("a TRES is named twice")
        return as_resource({name: Decimal(weight or 1) for name, weight in weights.items()})
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"{as_text!r} is not a resource such as gres/gpu or 0.25*cpu+16*gres/gpu") from error
