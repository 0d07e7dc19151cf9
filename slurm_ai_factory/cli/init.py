"""`saf init`: look at the cluster and write a commented saf.toml.

The rule: nothing guesses which accounts hold the region. Without --account and without an answer at the
terminal, the file leaves them open.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import init_questions, output
from slurm_ai_factory.cli.arguments import usage_errors
from slurm_ai_factory.cli.new_file import new_file
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.config import SECTIONS, values
from slurm_ai_factory.config.load import SEARCH_PATH
from slurm_ai_factory.core.control.level import ROOT
from slurm_ai_factory.core.escaped import for_json, for_shell, for_terminal
from slurm_ai_factory.core.live import health
from slurm_ai_factory.core.records import Association, PriorityConfig
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands

SERVICE_PATH = tuple(
    map(Path, ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
)
"""PATH of a systemd service: systemd.exec(5)."""

LOCALTIME = Path("/etc/localtime")

HEADER = """\
# slurm_ai_factory, written by `saf init` for cluster {cluster} (Slurm {version}).
# A commented key shows its default. In mode observe, nothing is written to Slurm.
"""
RULES = """\
# Rules, in order; the first that matches decides. Conditions: account_subtree, account, user, qos,
# partition, wckey, reservation, comment (a name or a list); dates: since, until. Also: category,
# organisation, sector, municipality, hub; or beneficiary = "registry": see `saf organisation`.
# A region defined by users is measured but not steered: RawShares belong to accounts. To steer it, give
# it its own account. A region that is a QOS or a partition can be steered by a switch: control.lever.
"""


@click.command("init", cls=SafCommand)
@click.option(
    "-o", "--output", "file", default="saf.toml", show_default=True, metavar="FILE", help="The file to write."
)
@click.option(
    "--account",
    metavar="A",
    multiple=True,
    help="An account that holds the region; repeatable. Without it, saf asks.",
)
@click.option("--share", metavar="PERCENT", help="How many percent were promised to the region.")
@click.option(
    "--resource", metavar="R", help="What the share is measured in: billing, gres/gpu, node or cpu."
)
@click.option(
    "--window", metavar="W", help="What the promise is judged over: month, quarter, rolling:30d, ..."
)
@click.option("--time-zone", metavar="ZONE", help="Where windows begin at midnight. Default: this machine's.")
@click.option(
    "--region",
    metavar="NAME",
    help=f"A shipped list of municipalities, with its hubs: {', '.join(values.shipped_regions())}.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, path_type=Path),
    help="The directory of the Slurm commands. Default: PATH.",
)
@click.option(
    "--conf",
    type=click.Path(exists=True, path_type=Path),
    envvar=["SAF_INIT_CONF", "SLURM_CONF"],
    help="slurm.conf.",
)
def init_command(
    file: str,
    account: tuple[str, ...],
    share: str | None,
    resource: str | None,
    window: str | None,
    time_zone: str | None,
    region: str | None,
    directory: Path | None,
    conf: Path | None,
) -> None:
    """Look at the cluster and write a commented saf.toml. Changes nothing in Slurm and overwrites no file.

    On a terminal, it asks for what no option gives: the accounts of the region, the promise, its window,
    its time zone and its municipalities. Elsewhere it asks nothing, and leaves open what it does not know.
    """
    typed = {
        "promise.target_share": share,
        "promise.resource": resource,
        "promise.window": window,
        "promise.time_zone": time_zone,
        "registry.region": region,
    }
    with new_file(Path(file)) as part:
        priority, accounts, text = _configured(file, account, typed, directory, conf)
        part.write_text(text, encoding="utf-8")
    _report(file, priority, accounts)


def _configured(
    file: str,
    account: tuple[str, ...],
    typed: Mapping[str, str | None],
    directory: Path | None,
    conf: Path | None,
) -> tuple[PriorityConfig, Sequence[str], str]:
    """The cluster's settings, the region's accounts, and the text of a configuration that loads."""
    directory = directory or _unusual_directory()
    commands = Commands(directory, conf)
    priority = Slurm("", commands).priority_config()
    associations = Slurm(priority.cluster, commands).associations()
    region, top = account, _top_level(associations)
    if top and not region and init_questions.is_terminal():
        region = init_questions.region_accounts(top)
    given = {**_promise(typed), "slurm.directory": directory, "slurm.conf": conf}
    text = sample_config(priority, associations, region, given)
    configuration.parse_config(text, file)
    return priority, region, text


def _promise(typed: Mapping[str, str | None]) -> dict[str, object]:
    """The values of the promise by key: as typed, else as answered; the time zone in any case."""
    zone = typed["promise.time_zone"] or zone_of_this_machine()
    questions = init_questions.promise_questions(zone)
    promise: dict[str, object] = {}
    for asked in questions:
        if text := typed[asked.key]:
            option = asked.key.partition(".")[2].removeprefix("target_").replace("_", "-")
            with usage_errors(f"--{option}"):
                promise[asked.key] = asked.convert(text)
    if init_questions.is_terminal():
        promise |= init_questions.answers(questions, promise)
    hubs = values.SHIPPED_HUBS.get(str(promise.get("registry.region", "")))
    return {"promise.time_zone": zone, "registry.hubs": hubs, **promise}


def _report(file: str, priority: PriorityConfig, region: Sequence[str]) -> None:
    """Print warnings, and what to do with the file."""
    for sentence in _warnings(priority):
        output.say(f"warning: {sentence}", err=True)
    if not region:
        missing = f"no account holds the region yet: set control.account in {file} and write its rule"
        output.say(missing, err=True)
    if not chosen.quiet:
        output.say(f"wrote {file} for cluster {priority.cluster}; read it, then type:", err=True)
        for command in next_commands(Path(file)):
            output.say(f"  {command}", err=True)


def next_commands(file: Path) -> tuple[str, str, str]:
    """The three commands to type next; with the file of the service, as the daemon's user.

    >>> next_commands(Path("saf.toml"))[0]
    'saf --config saf.toml config check'
    """
    as_daemon = "runuser -u slurm-ai-factory -- " if file in SEARCH_PATH[1:] else ""
    saf = f"saf --config {for_shell(str(file))}"
    return f"{saf} config check", f"{as_daemon}{saf} doctor", f"{as_daemon}{saf} cycle"


def _unusual_directory() -> Path | None:
    """The directory of the Slurm commands, if a systemd service would not find them."""
    sacct = which("sacct")
    directory = Path(sacct).parent if sacct else None
    return None if directory in SERVICE_PATH else directory


def zone_of_this_machine() -> str:
    """The machine's time zone; UTC, with a warning, if it is unknown or unusable."""
    name = ""
    with suppress(OSError):
        name = str(LOCALTIME.readlink()).partition("/zoneinfo/")[2]
    try:
        return str(values.as_zone(name))
    except ValueError as error:
        output.say(
            f"warning: promise.time_zone is UTC, because this machine's zone, {name or 'unknown'}, "
            f"cannot be used: {error}", err=True,
        )  # fmt: skip
        return "UTC"


def _top_level(associations: Sequence[Association]) -> list[Association]:
    """The accounts directly under root."""
    return [row for row in associations if row.user is None and row.parent == ROOT]


def sample_config(
    priority: PriorityConfig,
    associations: Sequence[Association],
    region: Sequence[str],
    given: Mapping[str, object],
) -> str:
    """The text of saf.toml: every key with its meaning, and the cluster's settings. Pure.

    ``region``: the accounts that hold the region, if known; ``given``: key -> value. Raises ConfigError for
    an account that the cluster does not have.
    """
    accounts = _top_level(associations)
    names = [account.account for account in accounts]
    known = {row.account for row in associations if row.user is None} - {ROOT}
    if odd := [name for name in region if name not in known]:
        there = ", ".join(names) or "none"
        raise ConfigError(f"no account {', '.join(odd)}; directly under root there are {there}")
    set_keys = {"cluster.name": priority.cluster} | {
        key: value if isinstance(value, float | list) else str(value) for key, value in given.items() if value
    }
    set_values = {**set_keys, **({"control.account": list(region)} if region else {})}
    parts = [HEADER.format(cluster=for_terminal(priority.cluster), version=priority.version)]
    parts += _cluster_comments(priority, accounts)
    parts += [line for name in SECTIONS for line in _section(name, set_values)]
    return "\n".join([*parts, RULES.rstrip(), *_rules(region, names)]) + "\n"


def _warnings(priority: PriorityConfig) -> list[str]:
    """The cluster's settings that weaken or prevent control."""
    problems = (
        (not health.limits_enforced(priority),
         "AccountingStorageEnforce lacks limits, so slurmctld loses usage at the end of jobs"),
        (not priority.weight_fairshare,
         "PriorityWeightFairShare is 0, so shares do not affect the order of jobs"),
    )  # fmt: skip
    return [sentence for present, sentence in problems if present]


def _cluster_comments(priority: PriorityConfig, accounts: Sequence[Association]) -> Iterator[str]:
    yield "# Found:"
    half_life = priority.decay_half_life_seconds
    yield f"#   PriorityType={priority.priority_type} PriorityDecayHalfLife={half_life} s"
    yield f"#   PriorityCalcPeriod={priority.calc_period_seconds} s"
    yield f"#   PriorityWeightFairShare={priority.weight_fairshare}"
    yield f"#   AccountingStorageEnforce={','.join(priority.enforce) or 'none'}"
    yield from (f"#   account {for_terminal(row.account)}: RawShares {row.raw_shares}" for row in accounts)
    yield from (f"# Warning: {sentence}." for sentence in _warnings(priority))
    yield ""


def _section(name: str, set_values: Mapping[str, object]) -> Iterator[str]:
    yield f"[{name}]"
    for field in dataclasses.fields(SECTIONS[name]):
        key, default = f"{name}.{field.name}", field.metadata["default"]
        yield f"# {field.metadata['doc']}"
        if key in set_values:
            yield f"{field.name} = {_toml(set_values[key])}"
        else:
            yield f"# {field.name} = {'...' if default is None else _toml(default)}"
    yield ""


def _toml(value: object) -> str:
    """A text or a list of texts in TOML: like JSON, except for characters beyond U+FFFF."""
    return for_json(json.dumps(value, ensure_ascii=False))


def _rules(region: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """A rule for the region and one for all others; only a commented example if the region is not known."""
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
