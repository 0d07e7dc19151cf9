"""The saf.toml that `saf init` writes: every key with its meaning, and what was found on the cluster."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence

from slurm_ai_factory.config import SECTIONS
from slurm_ai_factory.core.records import Association, PriorityConfig
from slurm_ai_factory.errors import ConfigError

HEADER = """\
# slurm_ai_factory, written by `saf init` after looking at cluster {cluster} (Slurm {version}).
# A line that begins with "#" and a key shows the default. Nothing is written to Slurm in mode observe.
"""


def text(
    found: PriorityConfig,
    associations: Sequence[Association],
    account: str | None,
    given: Mapping[str, object],
) -> str:
    """The file. ``given`` are keys of [slurm] that were needed to reach the cluster."""
    accounts = [a for a in associations if a.user is None and a.parent == "root"]
    names = [a.account for a in accounts]
    if account and account not in names:
        raise ConfigError(f"no account {account} directly under root; there are {', '.join(names) or 'none'}")
    region = account or next((name for name in names if "region" in name), "")
    chosen = {"cluster.name": found.cluster} | {f"slurm.{k}": str(v) for k, v in given.items() if v}
    if region:
        chosen["control.account"] = region
    parts = [HEADER.format(cluster=found.cluster, version=found.version), *_found(found, accounts, region)]
    parts += [line for name in SECTIONS for line in _section(name, chosen)]
    return "\n".join([*parts, *_rules(region, names)]) + "\n"


def _found(found: PriorityConfig, accounts: Sequence[Association], region: str) -> Iterator[str]:
    yield "# Found:"
    yield f"#   PriorityType={found.priority_type} PriorityDecayHalfLife={found.decay_half_life_seconds} s"
    yield f"#   PriorityCalcPeriod={found.calc_period_seconds} s"
    yield f"#   PriorityWeightFairShare={found.weight_fairshare}"
    yield f"#   AccountingStorageEnforce={','.join(found.enforce) or 'none'}"
    for one in accounts:
        yield f"#   account {one.account}: RawShares {one.raw_shares}"
    if "limits" not in found.enforce and "safe" not in found.enforce:
        yield "# Careful: AccountingStorageEnforce lacks limits, so slurmctld loses usage at the end of jobs."
    if not found.weight_fairshare:
        yield "# Careful: PriorityWeightFairShare is 0, so shares have no effect on the order of jobs."
    if region not in [one.account for one in accounts]:
        yield "# Careful: no top-level account for the region was recognised; set control.account and a rule."
    yield ""


def _section(name: str, chosen: Mapping[str, str]) -> Iterator[str]:
    yield f"[{name}]"
    for one in dataclasses.fields(SECTIONS[name]):
        key = f"{name}.{one.name}"
        yield f"# {one.metadata['doc']}"
        if key in chosen:
            yield f"{one.name} = {json.dumps(chosen[key])}"
        else:
            yield f"# {one.name} = {_default(one)}"
    yield ""


def _default(one: dataclasses.Field[object]) -> str:
    default = one.metadata["default"]
    return "..." if default is None else json.dumps(default)


def _rules(region: str, names: Sequence[str]) -> Iterator[str]:
    """One rule for the region and one for everybody found; what is added later is unclassified until told."""
    yield "# Rules, in order; the first that holds decides. Conditions: account_subtree, account, user, qos,"
    yield "# partition, wckey, reservation, comment (a name or a list); dates: since, until. Also: category,"
    yield '# organisation, sector, municipality, hub; or beneficiary = "registry": see `saf organisation`.'
    others = [name for name in names if name != region]
    if region:
        yield from _rule("region", "regional", [region])
    if others:
        yield from _rule("others", "non_regional", others)


def _rule(name: str, beneficiary: str, accounts: Sequence[str]) -> Iterator[str]:
    yield "[[rule]]"
    yield f"name = {json.dumps(name)}"
    yield f"beneficiary = {json.dumps(beneficiary)}"
    yield f"account_subtree = {json.dumps(list(accounts))}"
    yield ""
