"""Settings that change what a report says: as plain values that are kept with it, and back.

A report of last year is made again with the settings it was made with, whatever saf.toml says today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any
from zoneinfo import ZoneInfo

from slurm_ai_factory.config import values
from slurm_ai_factory.config.sections import SECTIONS, Config
from slurm_ai_factory.core.canonical import Plain

COUNTED = {
    "promise": (
        "target_share", "margin", "resource_label", "window", "time_zone", "unclassified_limit",
    ),
    "report": ("facility", "region", "contact", "windows", "min_organisations", "name_organisations"),
    "expertise": ("target_share", "unmet_recorded"),
}  # fmt: skip
"""The keys of saf.toml that change what a report says, by section."""

Settings = Mapping[str, Mapping[str, Plain]]
"""Their values by section and key, as saf.toml spells them; what is not set is left out."""


def counted(config: Config) -> dict[str, dict[str, Plain]]:
    """The settings that count."""
    return {
        section: {
            key: _spelled(value)
            for key in keys
            if (value := getattr(getattr(config, section), key)) is not None
        }
        for section, keys in COUNTED.items()
    } | {"resource": {"weights": values.resource_name(config.promise.resource)}}


def under(config: Config, settings: Settings) -> Config:
    """The configuration with these settings in the place of its own."""
    sections: dict[str, Any] = {}
    for section, keys in COUNTED.items():
        converters = {one.name: one.metadata["convert"] for one in fields(SECTIONS[section])}
        said = settings[section]
        found = {key: converters[key](said[key]) if key in said else None for key in keys}
        sections[section] = replace(getattr(config, section), **found)
    weights = values.parse_resource(str(settings["resource"]["weights"]))
    sections["promise"] = replace(sections["promise"], resource=weights)
    return replace(config, **sections)


def _spelled(value: Any) -> Plain:
    return value.key if isinstance(value, ZoneInfo) else value
