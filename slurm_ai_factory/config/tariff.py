"""[[tariff]] tables of saf.toml: prices with the day from which they apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.config import values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.tariff import Tariff
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.errors import ConfigError


def beneficiary(value: object) -> Beneficiary:
    if value not in ("regional", "non_regional"):
        raise ValueError("wants regional or non_regional")
    return Beneficiary(str(value))


KEYS: Mapping[str, tuple[Callable[[object], Any], str]] = {
    "beneficiary": (beneficiary, "**required**: whose charge has this price"),
    "category": (values.as_text, "only organisations of this category; overrides a price for all"),
    "resource": (
        values.as_text,
        "**required**: TRES name, such as `gres/gpu`; one resource may have one price only",
    ),
    "price": (values.as_money, "**required**: for one resource-hour, in quotes"),
    "since": (
        values.as_instant,
        "**required**: first day of the price, which applies until the next one of the same",
    ),
}
"""The keys of a [[tariff]]: how each is read, and what it means."""


def read_tariffs(file: str, tables: object, zone: ZoneInfo) -> Iterator[Tariff]:
    """The tariffs in the order of the file. Raises ConfigError."""
    if not isinstance(tables, list):
        raise ConfigError(f"{file}: tariffs are written [[tariff]], with two brackets")
    seen: set[tuple[object, ...]] = set()
    for number, table in enumerate(tables, 1):
        tariff = _tariff(f"{file}: tariff {number}", table, zone)
        key = tariff.beneficiary, tariff.category, tariff.resource, tariff.since
        if key in seen:
            raise ConfigError(
                f"{file}: tariff {number} has the same beneficiary, category, resource and since"
            )
        seen.add(key)
        yield tariff


def _tariff(where: str, table: object, zone: ZoneInfo) -> Tariff:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is not a table; tariffs are written [[tariff]]")
    if unknown := sorted(table.keys() - KEYS.keys()):
        raise ConfigError(f"{where} has no key {unknown[0]!r}; known: {', '.join(KEYS)}")
    if missing := [key for key in KEYS if key not in table and key != "category"]:
        raise ConfigError(f"{where} lacks {missing[0]}")
    typed = {key: _value(f"{where}: {key}", KEYS[key][0], raw) for key, raw in table.items()}
    since = windows.instant(typed.pop("since"), 0, zone)
    if since % HOUR:
        raise ConfigError(f"{where}: since does not begin on a whole UTC hour; usage is kept per hour")
    return Tariff(**typed, since=since)


def _value(where: str, convert: Callable[[object], Any], raw: object) -> Any:
    try:
        return convert(raw)
    except ValueError as error:
        raise ConfigError(f"{where} = {raw!r}: {error}") from error
