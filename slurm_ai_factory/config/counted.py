"""Settings that change what a report says: as plain values that are kept with it, and back.

A report of last year is made again with the settings it was made with, whatever saf.toml says today. What was
promised is not among them: its terms are rows of the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from slurm_ai_factory.config.sections import SECTIONS, Config
from slurm_ai_factory.core.canonical import Plain

COUNTED = {
    "report": ("facility", "region", "contact", "windows", "name_organisations"),
    "expertise": ("unmet_recorded",),
}
"""The keys of saf.toml that change what a report says, by section."""

SettingsValue = Mapping[str, Mapping[str, Plain]]
"""Their values by section and key, as saf.toml spells them; what is not set is left out."""


def counted(config: Config) -> dict[str, dict[str, Plain]]:
    """The settings that count."""
    return {
        section: {key: value for key in keys if (value := getattr(getattr(config, section), key)) is not None}
        for section, keys in COUNTED.items()
    }


def made_with(config: Config, settings: SettingsValue) -> Config:
    """The configuration with these settings in the place of its own."""
    sections: dict[str, Any] = {}
    for section, keys in COUNTED.items():
        converters = {one.name: one.metadata["convert"] for one in fields(SECTIONS[section])}
        said = settings[section]
        found = {key: converters[key](said[key]) if key in said else None for key in keys}
        sections[section] = replace(getattr(config, section), **found)
    return replace(config, **sections)
