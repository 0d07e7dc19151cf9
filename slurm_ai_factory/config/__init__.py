"""The configuration: frozen values, read once from one TOML file."""

from __future__ import annotations

from slurm_ai_factory.config.counted import SettingsValue, counted, made_with
from slurm_ai_factory.config.load import (
    checked,
    find,
    ledger_url,
    load_file,
    parse_config,
    shown_values,
    with_rules_of,
)
from slurm_ai_factory.config.sections import SECTIONS, Config
from slurm_ai_factory.config.values import parse_resource
from slurm_ai_factory.core.tres import resource_name

__all__ = [
    "SECTIONS",
    "Config",
    "SettingsValue",
    "checked",
    "counted",
    "find",
    "ledger_url",
    "load_file",
    "made_with",
    "parse_config",
    "parse_resource",
    "resource_name",
    "shown_values",
    "with_rules_of",
]
