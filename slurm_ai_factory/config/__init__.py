"""The configuration: frozen values, read once from one TOML file."""

from __future__ import annotations

from slurm_ai_factory.config.clusters import (
    Clusters,
    check_apart,
    load_clusters,
    parse_clusters,
    sound,
    with_rules_of,
)
from slurm_ai_factory.config.counted import SettingsValue, counted, energy_settings, made_with
from slurm_ai_factory.config.load import checked, find, ledger_url, load_file, parse_config, shown_values
from slurm_ai_factory.config.sections import SECTIONS
from slurm_ai_factory.config.whole import Config

__all__ = [
    "SECTIONS", "Clusters", "Config", "SettingsValue", "check_apart", "checked", "counted",
    "energy_settings", "find", "ledger_url", "load_clusters", "load_file", "made_with", "parse_clusters",
    "parse_config", "shown_values", "sound", "with_rules_of",
]  # fmt: skip
