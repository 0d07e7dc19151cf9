"""The configuration: frozen values, read once from one TOML file."""

from __future__ import annotations

from slurm_ai_factory.config.counted import SettingsValue, counted, energy_settings, made_with
from slurm_ai_factory.config.load import (
    checked,
    find,
    ledger_url,
    load_file,
    parse_config,
    shown_values,
    with_rules_of,
)
from slurm_ai_factory.config.sections import SECTIONS
from slurm_ai_factory.config.whole import Config

__all__ = [
    "SECTIONS",
    "Config",
    "SettingsValue",
    "checked",
    "counted",
    "energy_settings",
    "find",
    "ledger_url",
    "load_file",
    "made_with",
    "parse_config",
    "shown_values",
    "with_rules_of",
]
