"""The configuration: frozen values, read once from one TOML file."""

from __future__ import annotations

from slurm_ai_factory.config.counted import Settings, counted, made_with
from slurm_ai_factory.config.load import checked, find, ledger_url, load, parse, shown, with_rules_of
from slurm_ai_factory.config.sections import SECTIONS, Config
from slurm_ai_factory.config.values import parse_resource
from slurm_ai_factory.core.tres import resource_name

__all__ = [
    "SECTIONS",
    "Config",
    "Settings",
    "checked",
    "counted",
    "find",
    "ledger_url",
    "load",
    "made_with",
    "parse",
    "parse_resource",
    "resource_name",
    "shown",
    "with_rules_of",
]
