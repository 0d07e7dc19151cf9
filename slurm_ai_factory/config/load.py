"""One TOML file, read once into frozen values, each with its origin.

Unknown keys are errors that name file, section, key and the nearest known name.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from slurm_ai_factory.config import tariff, values
from slurm_ai_factory.config.sections import DEFAULT, SECTIONS, Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.rules.classify import CONDITIONS, DETAILS, Beneficiary, Rule
from slurm_ai_factory.core.rules.saved import REGISTRY
from slurm_ai_factory.core.tres import resource_name
from slurm_ai_factory.errors import ConfigError

DATES = ("since", "until")
SEARCH_PATH = (Path("saf.toml"), Path("/etc/slurm-ai-factory/saf.toml"))
AS_WHOM = "run saf as the daemon's user: runuser -u slurm-ai-factory -- saf ..."
_Section = TypeVar("_Section")


def find(given: str | None) -> Path:
    """The configuration file: the one given, else the first of the search path. Raises ConfigError."""
    if given:
        return Path(given)
    closed = []
    for path in SEARCH_PATH:
        try:
            if path.exists():
                return path
        except PermissionError:
            closed.append(path)
    if closed:
        raise ConfigError(f"{closed[0]} cannot be looked at: permission denied; {AS_WHOM}")
    looked = " and ".join(str(path) for path in SEARCH_PATH)
    raise ConfigError(f"no configuration found at {looked}; run `saf init`, or name one with --config")


def load_file(path: Path) -> Config:
    """Read and check a file. Raises ConfigError."""
    return parse_config(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except PermissionError as error:
        raise ConfigError(f"{path} cannot be read: permission denied; {AS_WHOM}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}") from error


def parse_config(text: str, file: str, zone: ZoneInfo | None = None) -> Config:
    """The configuration in a text; dates in its own time zone, or in ``zone``. Raises ConfigError.

    >>> parse('[cluster]\\nname = "c"\\n[promise]\\ntarget_shar = 0.3', "f")
    Traceback (most recent call last):
    slurm_ai_factory.errors.ConfigError: f: [promise] has no key 'target_shar'; did you mean 'target_share'?
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers and nesting beyond Python's limits
        raise ConfigError(f"{file}: not TOML: {error}") from error
    known = [*SECTIONS, "rule", "tariff"]
    for name in tables:
        if name not in known:
            raise ConfigError(f"{file}: no section [{name}]{_nearest(name, known)}")
    sections: dict[str, Any] = {
        name: _section(file, name, kind, tables.get(name, {})) for name, kind in SECTIONS.items()
    }
    civil = zone or sections["promise"].time_zone
    rules = tuple(_rules(file, tables.get("rule", []), civil))
    tariffs = tuple(tariff.read_tariffs(file, tables.get("tariff", []), civil))
    return checked(
        Config(**sections, rules=rules, tariffs=tariffs, file=file, origins=_origins(file, tables))
    )


def with_rules_of(config: Config, path: Path) -> Config:
    """The configuration with the rules and the registry section of another file. Raises ConfigError.

    The file may be a whole one, or have [[rule]] and [registry] alone; then its days are of our time zone.
    """
    text = _text(path)
    whole = re.search(r"^\s*\[cluster\]", text, flags=re.MULTILINE)
    alone = text + _NAMED, str(path), config.promise.time_zone
    tried = parse_config(text, str(path)) if whole else parse_config(*alone)
    return replace(config, rules=tried.rules, registry=tried.registry, file=str(path))


_NAMED = '\n[cluster]\nname = "tried"\n'
"""What a file of rules alone lacks to be a whole one."""


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _section(file: str, name: str, kind: type[_Section], table: object) -> _Section:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [{name}] is not a section")
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{file}: [{name}] has no key {key!r}{_nearest(key, list(fields))}")
    for key, one in fields.items():
        if one.default is one.default_factory is dataclasses.MISSING and key not in table:
            raise ConfigError(f"{file}: [{name}] lacks {key}: {one.metadata['doc']}")
    return kind(**{key: _value(file, f"[{name}] {key}", fields[key], raw) for key, raw in table.items()})


def _value(file: str, where: str, one: dataclasses.Field[Any], raw: object) -> Any:
    try:
        return one.metadata["convert"](raw)
    except ValueError as error:
        said = "(hidden)" if one.metadata["secret"] else repr(raw)
        raise ConfigError(f"{file}: {where} = {said}: {error}") from error


def _rules(file: str, tables: object, zone: ZoneInfo) -> Iterator[Rule]:
    if not isinstance(tables, list):
        raise ConfigError(f"{file}: rules are written [[rule]], with two brackets")
    seen: set[str] = set()
    for number, table in enumerate(tables, 1):
        rule = _rule(file, f"rule {number}", table, zone)
        if rule.name in seen:
            raise ConfigError(f"{file}: two rules are named {rule.name!r}")
        seen.add(rule.name)
        yield rule


def _rule(file: str, where: str, table: object, zone: ZoneInfo) -> Rule:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: {where} is not a table; rules are written [[rule]]")
    known = ["name", "beneficiary", *CONDITIONS, *DETAILS, *DATES]
    for key in table:
        if key not in known:
            raise ConfigError(f"{file}: {where} has no key {key!r}{_nearest(key, known)}")
    conditions = {key: _names(file, where, key, table[key]) for key in CONDITIONS if key in table}
    said = table.get("beneficiary")
    if not conditions and said != REGISTRY:
        raise ConfigError(f"{file}: {where} has no condition; give one of {', '.join(CONDITIONS)}")
    texts = {key: table.get(key, "") for key in ("name", *DETAILS)}
    if wrong := [key for key, text in texts.items() if not isinstance(text, str)]:
        raise ConfigError(f"{file}: {where}: {wrong[0]} wants a text")
    if said not in ("regional", "non_regional", REGISTRY):
        raise ConfigError(f"{file}: {where}: beneficiary wants regional, non_regional or registry")
    told = {key: str(texts[key]) for key in DETAILS if texts[key]}
    if said == REGISTRY and told:
        raise ConfigError(f"{file}: {where}: {', '.join(told)} is told by the registry; leave it out")
    beneficiary = None if said == REGISTRY else Beneficiary(said)
    name = str(texts["name"]) or where
    rule = Rule(name=name, beneficiary=beneficiary, conditions=conditions, **told)  # type: ignore[arg-type]
    return replace(rule, **_dates(file, where, table, zone))


def _dates(file: str, where: str, table: Mapping[str, object], zone: ZoneInfo) -> dict[str, Any]:
    """Since when and until when a rule is in force, where it says so."""
    found: dict[str, Any] = {}
    for key in DATES:
        if key in table:
            try:
                found[key] = windows.day(values.as_day(table[key]), zone)
            except ValueError as error:
                raise ConfigError(f"{file}: {where}: {key} = {table[key]!r}: {error}") from error
    if len(found) == len(DATES) and found["since"] >= found["until"]:
        raise ConfigError(f"{file}: {where}: until is not after since")
    return found


def _names(file: str, where: str, key: str, value: object) -> frozenset[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
        raise ConfigError(f"{file}: {where}: {key} wants a name or a list of names")
    return frozenset(names)


def _origins(file: str, tables: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{name}.{one.name}": file if one.name in tables.get(name, {}) else DEFAULT
        for name, kind in SECTIONS.items()
        for one in dataclasses.fields(kind)
    }


def checked(config: Config) -> Config:
    """The configuration, where its keys and its term go together. Raises ConfigError."""
    control, promise = config.control, config.promise
    if config.ledger.url and config.ledger.url_file:
        raise ConfigError(f"{config.file}: [ledger] has both url and url_file; keep one")
    if not control.share_min < control.share_max:
        raise ConfigError(f"{config.file}: [control] share_min is not below share_max")
    if control.writes_per_day < len(control.account):
        raise ConfigError(
            f"{config.file}: [control] writes_per_day is less than the accounts that one step writes"
        )
    if not config.registry.region and any(one.beneficiary is None for one in config.rules):
        raise ConfigError(
            f"{config.file}: [registry] region is empty, so no organisation would be regional; "
            "name its municipalities"
        )
    if promise.target_share + promise.margin >= control.share_max:
        raise ConfigError(f"{config.file}: [control] share_max leaves no room above target_share + margin")
    if promise.window.startswith("rolling:"):
        length = windows.duration(promise.window.removeprefix("rolling:"))
        if control.recovery >= length:
            raise ConfigError(f"{config.file}: [control] recovery is not shorter than the window")
    else:
        _check_zone(config)
    return config


def _check_zone(config: Config) -> None:
    """Every calendar window must begin on a whole UTC hour; one year shows all seasons."""
    promise = config.promise
    for month in range(1, 13):
        inside = windows.instant(f"2027-{month:02}-15", 0, promise.time_zone)
        try:
            windows.window(promise.window, inside, promise.time_zone)
        except ValueError as error:
            raise ConfigError(f"{config.file}: [promise] time_zone: {error}") from error


def ledger_url(config: Config) -> str | None:
    """The configured ledger, read from its file where there is one; None for the embedded one."""
    if config.ledger.url_file is None:
        return config.ledger.url
    try:
        return config.ledger.url_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"[ledger] url_file {config.ledger.url_file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"[ledger] url_file {config.ledger.url_file} is not UTF-8: {error}") from error


def shown_values(config: Config) -> Iterator[tuple[str, str, str, str]]:
    """(section, key, value, origin) of every value; secrets are masked."""
    for name, kind in SECTIONS.items():
        section = getattr(config, name)
        for one in dataclasses.fields(kind):
            value = getattr(section, one.name)
            text = (
                "(hidden)" if one.metadata["secret"] and value else _spelled(value, one.metadata["convert"])
            )
            yield name, one.name, text, config.origins[f"{name}.{one.name}"]


def _spelled(value: object, convert: object) -> str:
    if value is None:
        return "(not set)"
    if convert is values.as_seconds:
        return f"{value} s"
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(value))
    if convert is values.as_municipalities:
        return ", ".join(f"{code} {name}" for code, name in dict(value).items())  # type: ignore[call-overload]
    return resource_name(value) if isinstance(value, dict) else str(value)
