"""The saf.toml that `saf init` writes: every key with its meaning, and what was found on the cluster. Pure.

The rule: who holds the region is never guessed. Where nobody said it, the file leaves it open.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence

from slurm_ai_factory.config import SECTIONS
from slurm_ai_factory.core.control.level import ROOT
from slurm_ai_factory.core.escaped import for_json, for_terminal
from slurm_ai_factory.core.live import health
from slurm_ai_factory.core.records import Association, PriorityConfig
from slurm_ai_factory.errors import ConfigError

HEADER = """\
# slurm_ai_factory, written by `saf init` after looking at cluster {cluster} (Slurm {version}).
# A line that begins with "#" and a key shows the default. Nothing is written to Slurm in mode observe.
"""
RULES = """\
# Rules, in order; the first that holds decides. Conditions: account_subtree, account, user, qos,
# partition, wckey, reservation, comment (a name or a list); dates: since, until. Also: category,
# organisation, sector, municipality, hub; or beneficiary = "registry": see `saf organisation`.
# A region that is a partition, a QOS or a list of users is measured, but not steered: RawShares belong to
# accounts. To steer it, give it an account of its own directly under root.
"""

NOBODYS: dict[str, object] = {"registry.region": [], "registry.hubs": []}
"""What is of one country or region is no default of others."""


def top_level(associations: Sequence[Association]) -> list[Association]:
    """The accounts directly under root."""
    return [one for one in associations if one.user is None and one.parent == ROOT]


def sample_config(
    found: PriorityConfig,
    associations: Sequence[Association],
    region: Sequence[str],
    given: Mapping[str, object],
) -> str:
    """The file. ``region`` are the accounts that hold it, if they were named; ``given`` are keys with values.

    Raises ConfigError for an account that is not directly under root.
    """
    accounts = top_level(associations)
    names = [one.account for one in accounts]
    if odd := [name for name in region if name not in names]:
        there = ", ".join(names) or "none"
        raise ConfigError(f"no account {', '.join(odd)} directly under root; there are {there}")
    chosen = {"cluster.name": found.cluster} | {key: str(value) for key, value in given.items() if value}
    values = {**NOBODYS, **chosen, **({"control.account": list(region)} if region else {})}
    parts = [HEADER.format(cluster=for_terminal(found.cluster), version=found.version)]
    parts += [*_found(found, accounts), *(line for name in SECTIONS for line in _section(name, values))]
    return "\n".join([*parts, RULES.rstrip(), *_rules(region, names)]) + "\n"


def warnings(found: PriorityConfig) -> list[str]:
    """What stands in the way of the control on this cluster."""
    wrong = (
        (not health.limits_enforced(found),
         "AccountingStorageEnforce lacks limits, so slurmctld loses usage at the end of jobs"),
        (not found.weight_fairshare,
         "PriorityWeightFairShare is 0, so shares have no effect on the order of jobs"),
    )  # fmt: skip
    return [sentence for is_so, sentence in wrong if is_so]


def _found(found: PriorityConfig, accounts: Sequence[Association]) -> Iterator[str]:
    yield "# Found:"
    yield f"#   PriorityType={found.priority_type} PriorityDecayHalfLife={found.decay_half_life_seconds} s"
    yield f"#   PriorityCalcPeriod={found.calc_period_seconds} s"
    yield f"#   PriorityWeightFairShare={found.weight_fairshare}"
    yield f"#   AccountingStorageEnforce={','.join(found.enforce) or 'none'}"
    yield from (f"#   account {for_terminal(one.account)}: RawShares {one.raw_shares}" for one in accounts)
    yield from (f"# Careful: {sentence}." for sentence in warnings(found))
    yield ""


def _section(name: str, chosen: Mapping[str, object]) -> Iterator[str]:
    yield f"[{name}]"
    for one in dataclasses.fields(SECTIONS[name]):
        key = f"{name}.{one.name}"
        yield f"# {one.metadata['doc']}"
        yield f"{one.name} = {_toml(chosen[key])}" if key in chosen else f"# {one.name} = {_default(one)}"
    yield ""


def _default(one: dataclasses.Field[object]) -> str:
    default = one.metadata["default"]
    return "..." if default is None else _toml(default)


def _toml(value: object) -> str:
    """A text or a list of texts, as TOML writes it: like JSON, but for letters beyond the first 65 536."""
    return for_json(json.dumps(value, ensure_ascii=False))


def _rules(region: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """One rule for the region and one for all others; as an example while nobody said who that is."""
    if not region:
        yield from (f"# {line}" for line in _rule("region", "regional", ["ACCOUNT"]))
        return
    yield from ("", *_rule("region", "regional", region))
    if others := [name for name in names if name not in region]:
        yield from ("", *_rule("others", "non_regional", others))


def _rule(name: str, beneficiary: str, accounts: Sequence[str]) -> Iterator[str]:
    yield "[[rule]]"
    yield f"name = {_toml(name)}"
    yield f"beneficiary = {_toml(beneficiary)}"
    yield f"account_subtree = {_toml(list(accounts))}"
