"""The settings that change the content of a report, to and from plain values that are kept with it.

A report of last year is recomputed with the settings of that time, whatever saf.toml has today. The promise
is not among them: its terms are rows of the ledger. Tested in tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from slurm_ai_factory.config.sections import SECTIONS
from slurm_ai_factory.config.whole import Config
from slurm_ai_factory.core.canonical import Plain
from slurm_ai_factory.core.programme.tariff import tariff_from

COUNTED = {
    "report": ("facility", "region", "contact", "windows", "name_organisations", "currency"),
    "expertise": ("unmet_recorded",),
}
"""The keys of saf.toml that change the content of a report, by section."""

SettingsValue = Mapping[str, Any]
"""Their values by section and key, as in saf.toml; without those that are not set."""


def counted(config: Config) -> dict[str, dict[str, Plain]]:
    """The settings of COUNTED."""
    return {
        section: {key: value for key in keys if (value := getattr(getattr(config, section), key)) is not None}
        for section, keys in COUNTED.items()
    }


def made_with(config: Config, settings: SettingsValue) -> Config:
    """The configuration with these settings instead of its own; with its own where they lack one."""
    sections: dict[str, Any] = {}
    for section, keys in COUNTED.items():
        described = {field.name: field.metadata for field in fields(SECTIONS[section])}
        kept = settings[section]
        values = {
            key: described[key]["convert"](kept[key]) if key in kept else None
            for key in keys
            if key in kept or described[key]["default"] is None
        }
        sections[section] = replace(getattr(config, section), **values)
    if "tariffs" in settings:
        sections["tariffs"] = tuple(map(tariff_from, settings["tariffs"]))
    return replace(config, **sections)
