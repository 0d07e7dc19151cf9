"""One file for several clusters: each [[cluster]] makes one ordinary configuration.

The rule: what stands under a [[cluster]] is of that cluster alone and takes the place of the file's own key,
[[rule]] or [[tariff]]. A file with [cluster] is of one cluster. Tested in tests/config/test_clusters.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from slurm_ai_factory.config.load import config_of, parse_config, text_of, toml_tables
from slurm_ai_factory.config.whole import Config
from slurm_ai_factory.core.records import LeverKind
from slurm_ai_factory.errors import ConfigError

Clusters = Mapping[str, Config | ConfigError]
"""By name, in the order of the file: the configuration of a cluster, or what is wrong with it."""

ALL = "all"
"""What `-M` takes for every cluster, as in Slurm."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""A cluster among several: `-M` takes a list of them, and pages name them in addresses."""

OF_THE_FILE: Mapping[str, tuple[str, ...]] = {"ledger": (), "daemon": ("listen", "web_config_file")}
"""What all clusters of a file share: whole sections, or keys of them."""

_NAMED = '\n[cluster]\nname = "tried"\n'
"""What a file of rules lacks to be a whole configuration."""


def load_clusters(path: Path) -> Clusters:
    """Read and check a file. Raises ConfigError where the fault is not of a single cluster among several."""
    return parse_clusters(text_of(path), str(path))


def parse_clusters(text: str, file: str) -> Clusters:
    """The clusters in a TOML text. Raises ConfigError where the fault is not of one cluster among several.

    >>> clusters = parse_clusters('[promise]\\nmargin = 0.02\\n[[cluster]]\\nname = "gpu"', "f")
    >>> [(name, config.promise.margin) for name, config in clusters.items()]
    [('gpu', 0.02)]
    """
    tables = toml_tables(text, file)
    if not isinstance(tables.get("cluster"), list):
        config = config_of(tables, file)
        return {config.cluster.name: config}
    clusters: dict[str, Config | ConfigError] = {}
    for name, own in _own_tables(tables.pop("cluster"), file):
        if twin := next((known for known in clusters if known.casefold() == name.casefold()), ""):
            raise ConfigError(f"{file}: two [[cluster]] are named {twin}; a cluster has one")
        try:
            clusters[name] = _one_of_several(tables, name, own, file)
        except ConfigError as error:
            clusters[name] = ConfigError(f"cluster {name}: {error}")
    check_apart([config for config in clusters.values() if isinstance(config, Config)])
    return clusters


def sound(clusters: Clusters) -> tuple[Config, ...]:
    """The configuration of every cluster. Raises the first ConfigError."""
    configs = []
    for config in clusters.values():
        if isinstance(config, ConfigError):
            raise config
        configs.append(config)
    return tuple(configs)


def _own_tables(clusters: list[Any], file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each cluster, and what stands under its [[cluster]]."""
    if not clusters:
        raise ConfigError(f"{file}: cluster is an empty list; write [[cluster]] with a name")
    for number, table in enumerate(clusters, 1):
        name = table.get("name") if isinstance(table, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == ALL:
            raise ConfigError(
                f"{file}: [[cluster]] {number} has no name of letters, digits and . _ - other than {ALL}; "
                "give it its ClusterName"
            )
        yield name, {section: value for section, value in table.items() if section != "name"}


def _one_of_several(shared: Mapping[str, Any], name: str, own: Mapping[str, Any], file: str) -> Config:
    """The configuration of a cluster: the file's shared tables, and its own instead of them."""
    for section, keys in OF_THE_FILE.items():
        mine = own.get(section, {})
        if section in own and (not keys or any(key in mine for key in keys)):
            named = f"[{section}]" if not keys else f"[{section}] {' and '.join(keys)}"
            raise ConfigError(f"{file}: {named} is of all clusters; write it outside [[cluster]]")
    tables: dict[str, Any] = {**shared, "cluster": {"name": name}}
    origins = {"cluster.name": f"{file}, cluster {name}"}
    for section, value in own.items():
        both = isinstance(value, dict) and isinstance(shared.get(section), dict)
        tables[section] = {**shared[section], **value} if both else value
        if isinstance(value, dict):
            origins |= {f"{section}.{key}": f"{file}, cluster {name}" for key in value}
    config = config_of(tables, file)
    return replace(config, origins={**config.origins, **origins})


def check_apart(configs: Iterable[Config]) -> None:
    """Raise ConfigError where two clusters would work on the same cluster, or steer the same thing."""
    for first, second in combinations(configs, 2):
        names = f"{first.file}: clusters {first.cluster.name} and {second.cluster.name}"
        if first.slurm.conf == second.slurm.conf:
            raise ConfigError(
                f"{names} have the same slurm.conf, which is of one cluster; set conf in [cluster.slurm]"
            )
        if first.slurm.source == second.slurm.source == "slurmrestd" and (
            first.slurm.rest_url == second.slurm.rest_url
        ):
            raise ConfigError(
                f"{names} have the same slurmrestd, which is of one cluster; set rest_url in [cluster.slurm]"
            )
        if first.control.lever is second.control.lever is LeverKind.QOS and (
            first.control.qos == second.control.qos
        ):
            raise ConfigError(
                f"{names} both steer QOS {first.control.qos}, whose Priority is the same on every cluster of "
                "a slurmdbd; give each a QOS of its own, or steer accounts or a partition"
            )


def with_rules_of(config: Config, path: Path) -> Config:
    """The configuration with the rules and the registry section of another file. Raises ConfigError.

    The file is a whole configuration, or a part of this one: [[rule]], with or without [registry]. Of several
    clusters, the one of the same name is meant.
    """
    text = text_of(path)
    if not re.search(r"^\s*\[\[?cluster\]", text, flags=re.MULTILINE):
        tried = parse_config(text + _NAMED, str(path), config)
    else:
        clusters = {known.cluster.name: known for known in sound(parse_clusters(text, str(path)))}
        name = config.cluster.name if len(clusters) > 1 else next(iter(clusters))
        if name not in clusters:
            raise ConfigError(f"{path} has no cluster {name}; it has {', '.join(clusters)}")
        tried = clusters[name]
    return replace(config, rules=tried.rules, registry=tried.registry, file=str(path))
