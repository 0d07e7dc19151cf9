"""Reads one TOML file into frozen values, each with its origin.

An unknown key is an error that names file, section, key and the nearest known name. Tested in
tests/config/test_config.py.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from slurm_ai_factory.config import tariff, values
from slurm_ai_factory.config.sections import DEFAULT, SECTIONS
from slurm_ai_factory.config.whole import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.energy.keeping import GridMode
from slurm_ai_factory.core.rules.classify import CONDITIONS, DETAILS, Beneficiary, Rule
from slurm_ai_factory.core.rules.saved import REGISTRY
from slurm_ai_factory.core.words import nearest
from slurm_ai_factory.errors import ClosedConfigError, ConfigError

DATES = ("since", "until")
SEARCH_PATH = (Path("saf.toml"), Path("/etc/slurm-ai-factory/saf.toml"))
AS_WHOM = "run saf as the daemon's user: runuser -u slurm-ai-factory -- saf ..."
_Section = TypeVar("_Section")


def find(given: str | None) -> Path:
    """The given configuration file, or the first that exists in the search path. Raises ConfigError."""
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
        raise ClosedConfigError(f"{closed[0]} cannot be looked at: permission denied; {AS_WHOM}")
    searched = " and ".join(str(path) for path in SEARCH_PATH)
    raise ConfigError(f"no configuration found at {searched}; run `saf init`, or name one with --config")


def load_file(path: Path) -> Config:
    """Read and check a file of one cluster. Raises ConfigError."""
    return parse_config(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of a configuration file. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except PermissionError as error:
        raise ClosedConfigError(f"{path} cannot be read: permission denied; {AS_WHOM}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}") from error


def parse_config(text: str, file: str, of: Config | None = None) -> Config:
    """The configuration in a TOML text. Raises ConfigError.

    With ``of``, it is a part of that configuration: dates are in its time zone, and its registry section
    applies where the text has none.

    >>> parse_config('[cluster]\\nname = "c"\\n[promise]\\ntarget_shar = 0.3', "f")
    Traceback (most recent call last):
    slurm_ai_factory.errors.ConfigError: f: [promise] has no key 'target_shar'; did you mean 'target_share'?
    """
    return config_of(toml_tables(text, file), file, of)


def toml_tables(text: str, file: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers and nesting beyond Python's limits
        raise ConfigError(f"{file}: not TOML: {error}") from error


def config_of(tables: Mapping[str, Any], file: str, of: Config | None = None) -> Config:
    """The configuration in TOML tables; ``of`` as in ``parse_config``. Raises ConfigError."""
    known = [*SECTIONS, "rule", "tariff"]
    for name in tables:
        if name not in known:
            raise ConfigError(f"{file}: no section [{name}]{nearest(name, known)}")
    sections: dict[str, Any] = {
        name: _section(file, name, kind, tables.get(name, {})) for name, kind in SECTIONS.items()
    }
    civil = of.promise.time_zone if of else sections["promise"].time_zone
    if of and "registry" not in tables:
        sections["registry"] = of.registry
    rules = tuple(_rules(file, tables.get("rule", []), civil))
    tariffs = tuple(tariff.read_tariffs(file, tables.get("tariff", []), civil))
    return checked(
        Config(**sections, rules=rules, tariffs=tariffs, file=file, origins=_origins(file, tables))
    )


def _section(file: str, name: str, kind: type[_Section], table: object) -> _Section:
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: [{name}] is not a section")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{file}: [{name}] has no key {key!r}{nearest(key, list(fields))}")
    for key, field in fields.items():
        if field.default is field.default_factory is dataclasses.MISSING and key not in table:
            raise ConfigError(f"{file}: [{name}] lacks {key}: {field.metadata['doc']}")
    return kind(**{key: _value(file, f"[{name}] {key}", fields[key], raw) for key, raw in table.items()})


def _value(file: str, where: str, field: dataclasses.Field[Any], raw: object) -> Any:
    try:
        return field.metadata["convert"](raw)
    except ValueError as error:
        typed = "(hidden)" if field.metadata["secret"] else repr(raw)
        raise ConfigError(f"{file}: {where} = {typed}: {error}") from error


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
            raise ConfigError(f"{file}: {where} has no key {key!r}{nearest(key, known)}")
    conditions = {key: _names(file, where, key, table[key]) for key in CONDITIONS if key in table}
    side = table.get("beneficiary")
    if not conditions and side != REGISTRY:
        raise ConfigError(f"{file}: {where} has no condition; give one of {', '.join(CONDITIONS)}")
    texts = {key: table.get(key, "") for key in ("name", *DETAILS)}
    if wrong := [key for key, text in texts.items() if not isinstance(text, str)]:
        raise ConfigError(f"{file}: {where}: {wrong[0]} wants a text")
    if side not in ("regional", "non_regional", REGISTRY):
        raise ConfigError(f"{file}: {where}: beneficiary wants regional, non_regional or registry")
    details = {key: str(texts[key]) for key in DETAILS if texts[key]}
    if side == REGISTRY and details:
        raise ConfigError(f"{file}: {where}: {', '.join(details)} comes from the registry; leave it out")
    beneficiary = None if side == REGISTRY else Beneficiary(side)
    name = str(texts["name"]) or where
    rule = Rule(name=name, beneficiary=beneficiary, conditions=conditions, **details)  # type: ignore[arg-type]
    return replace(rule, **_dates(file, where, table, zone))


def _dates(file: str, where: str, table: Mapping[str, object], zone: ZoneInfo) -> dict[str, Any]:
    """The instants between which a rule applies, where it has them."""
    dates: dict[str, Any] = {}
    for key in DATES:
        if key in table:
            try:
                dates[key] = windows.day(values.as_day(table[key]), zone)
            except ValueError as error:
                raise ConfigError(f"{file}: {where}: {key} = {table[key]!r}: {error}") from error
    if len(dates) == len(DATES) and dates["since"] >= dates["until"]:
        raise ConfigError(f"{file}: {where}: until is not after since")
    return dates


def _names(file: str, where: str, key: str, value: object) -> frozenset[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n for n in names):
        raise ConfigError(f"{file}: {where}: {key} wants a name or a list of names")
    return frozenset(names)


def _origins(file: str, tables: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{name}.{field.name}": file if field.name in tables.get(name, {}) else DEFAULT
        for name, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }


def checked(config: Config) -> Config:
    """The same configuration. Raises ConfigError where its keys, or its term, contradict each other."""
    control, promise = config.control, config.promise
    _check_energy(config)
    if config.ledger.url and config.ledger.url_file:
        raise ConfigError(f"{config.file}: [ledger] has both url and url_file; keep one")
    if not control.share_min < control.share_max:
        raise ConfigError(f"{config.file}: [control] share_min is not below share_max")
    steered = config.steered_accounts
    if twice := sorted({name for name in steered if steered.count(name) > 1}):
        raise ConfigError(
            f"{config.file}: [control] steers {', '.join(twice)} for two promises; steer it for one of them"
        )
    if control.writes_per_day < max(map(len, (control.account, *control.promises.values()))):
        raise ConfigError(
            f"{config.file}: [control] writes_per_day is less than the accounts that one step writes"
        )
    if control.switch and not (all(control.steered) and control.raised):
        raise ConfigError(
            f"{config.file}: [control] lever = {control.lever} needs {control.lever} and raised"
        )
    if not config.registry.region and any(rule.beneficiary is None for rule in config.rules):
        raise ConfigError(
            f"{config.file}: [registry] region is empty, so no organisation would be regional; "
            f'name its municipalities, or a shipped list: region = "{values.shipped_regions()[0]}"'
        )
    if promise.target_share + promise.margin >= control.share_max:
        raise ConfigError(f"{config.file}: [control] share_max leaves no room above target_share + margin")
    if promise.window.startswith("rolling:"):
        length = windows.duration(promise.window.removeprefix("rolling:"))
        if control.recovery >= length:
            raise ConfigError(f"{config.file}: [control] recovery is not shorter than the window")
    else:
        _check_zone(config)
    _check_grid(config)
    return config


def _check_grid(config: Config) -> None:
    """Raise ConfigError unless it is known how much power a node without jobs saves, where that is asked."""
    grid = config.grid
    if grid.mode is not GridMode.OFF and not (grid.node_busy or 0) > (grid.node_idle or inf):
        raise ConfigError(
            f"{config.file}: [grid] mode = {grid.mode} needs node_busy and node_idle, in watts, and a busy "
            "node that takes more than an idle one"
        )


def _check_energy(config: Config) -> None:
    """Raise ConfigError where no closure could lie within its bounds."""
    if config.energy.closure_least > config.energy.closure_most:
        raise ConfigError(f"{config.file}: [energy] closure_least is above closure_most")


def _check_zone(config: Config) -> None:
    """Raise ConfigError unless calendar windows begin on whole UTC hours; one year shows all seasons."""
    promise = config.promise
    for month in range(1, 13):
        inside = windows.instant(f"2027-{month:02}-15", 0, promise.time_zone)
        try:
            windows.window(promise.window, inside, promise.time_zone)
        except ValueError as error:
            raise ConfigError(f"{config.file}: [promise] time_zone: {error}") from error


def ledger_url(config: Config) -> str | None:
    """The URL of the ledger, from url_file if that is set; None for the embedded one. Raises ConfigError."""
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
        for field in dataclasses.fields(kind):
            value, metadata = getattr(section, field.name), field.metadata
            text = "(hidden)" if metadata["secret"] and value else _spelled(value, metadata["convert"])
            yield name, field.name, text, config.origins[f"{name}.{field.name}"]


def _spelled(value: object, convert: object) -> str:
    if value is None:
        return "(not set)"
    if convert is values.as_seconds:
        return f"{value} s"
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, dict):
        return ", ".join(f"{code} {name}" for code, name in value.items())
    return str(value)
