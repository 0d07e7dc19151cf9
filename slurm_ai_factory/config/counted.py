"""The settings that change the content of a report, to and from plain values that are kept with it.

A report of last year is recomputed with the settings of that time, whatever saf.toml has today. The promise
is not among them: its terms are rows of the ledger. Tested in tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

from slurm_ai_factory.config.sections import SECTIONS, EnergySection
from slurm_ai_factory.config.whole import Config
from slurm_ai_factory.core.canonical import Plain
from slurm_ai_factory.core.energy.closure import EmissionFactor
from slurm_ai_factory.core.energy.runs import StatedWatts
from slurm_ai_factory.core.programme.tariff import tariff_from

COUNTED = {
    "report": ("facility", "region", "contact", "windows", "name_organisations", "currency"),
    "expertise": ("unmet_recorded",),
    "water": ("exempt",),
}
"""The keys of saf.toml that change the content of a report, by section."""

LATER = frozenset({"water"})
"""The sections that count since a later release: one that sets nothing leaves earlier digests as they are."""

SettingsValue = Mapping[str, Any]
"""Their values by section and key, as in saf.toml; without those that are not set."""


def counted(config: Config) -> dict[str, dict[str, Plain]]:
    """The settings of COUNTED."""
    settings = {
        section: {key: value for key in keys if (value := getattr(getattr(config, section), key)) is not None}
        for section, keys in COUNTED.items()
    }
    return {
        section: values
        for section, values in settings.items()
        if section not in LATER or any(values.values())
    }


def made_with(config: Config, settings: SettingsValue) -> Config:
    """The configuration with these settings instead of its own; with its own where they lack one."""
    sections: dict[str, Any] = {}
    for section, keys in COUNTED.items():
        if section not in settings:  # of LATER: nothing was set there
            sections[section] = SECTIONS[section]()
            continue
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
    if "energy" in settings:
        sections["energy"] = _energy_from(settings["energy"])
    return replace(config, **sections)


def energy_settings(section: EnergySection) -> dict[str, Plain]:
    """The settings of energy in JSON's types, under the digest of published reports."""
    most = section.node_watts_most
    return {
        "closure": [str(section.closure_least), str(section.closure_most)],
        "whole_nodes": section.whole_nodes,
        "node_watts_most": None if most is None else str(most),
        "watts": [[row.tres, str(row.watts), row.since, row.source] for row in section.watts],
        "emissions": [
            [row.basis, str(row.grams_per_kwh), row.since, row.source] for row in section.emissions
        ],
    }


def _energy_from(value: Mapping[str, Any]) -> EnergySection:
    """The section of which ``energy_settings`` made this."""
    least, most = map(Decimal, value["closure"])
    watts, watts_most = value["watts"], value["node_watts_most"]
    return EnergySection(
        closure_least=least,
        closure_most=most,
        whole_nodes=value["whole_nodes"],
        node_watts_most=None if watts_most is None else Decimal(watts_most),
        watts=tuple(StatedWatts(tres, Decimal(of), *rest) for tres, of, *rest in watts),
        emissions=tuple(
            EmissionFactor(basis, Decimal(grams), *rest) for basis, grams, *rest in value["emissions"]
        ),
    )
