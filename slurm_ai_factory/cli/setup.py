"""Commands that set things up: init, config, ledger."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import output, sample
from slurm_ai_factory.cli.options import (
    SafCommand,
    SafGroup,
    chosen,
    load_config,
    now,
    opened_ledger,
    reachable_ledger_url,
)
from slurm_ai_factory.config import Config, values
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.records import FOREVER, Association
from slurm_ai_factory.core.rules.classify import DETAILS, Rule, Rules
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import LONG, Store, sql
from slurm_ai_factory.ledger.connection import place
from slurm_ai_factory.monitor import access
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands

SERVICE_PATH = {
    Path(one) for one in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
}
"""PATH of a service of systemd (systemd.exec(5))."""

LOCALTIME = Path("/etc/localtime")


@click.command("init", cls=SafCommand)
@click.option(
    "-o", "--output", "file", default="saf.toml", show_default=True, metavar="FILE", help="Where to write."
)
@click.option(
    "--account", metavar="A", multiple=True,
    help="A top-level account that holds the region; may be given more than once. Else it asks.",
)  # fmt: skip
@click.option(
    "--window", metavar="W", help="What the promise is judged over: month, quarter, rolling:30d, ..."
)
@click.option("--directory", type=click.Path(path_type=Path), help="Where the Slurm commands are; else PATH.")
@click.option(
    "--conf", type=click.Path(path_type=Path), envvar=["SAF_INIT_CONF", "SLURM_CONF"], help="slurm.conf."
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init_command(
    file: str,
    account: tuple[str, ...],
    window: str | None,
    directory: Path | None,
    conf: Path | None,
    force: bool,
) -> None:
    """Look at the cluster and write a commented saf.toml. Changes nothing in Slurm.

    On a terminal it asks which accounts hold the region, and over what the promise is judged.
    """
    if Path(file).exists() and not force:
        raise ConfigError(f"{file} exists; choose another with -o, or overwrite it with --force")
    directory = directory or _out_of_the_way()
    commands = Commands(directory, conf)
    found = Slurm("", commands).priority_config()
    associations = Slurm(found.cluster, commands).associations()
    region = account or _asked_accounts(sample.top_level(associations))
    given = {
        "promise.window": window or _asked_window(),
        "promise.time_zone": zone_of_this_machine(),
        "slurm.directory": directory,
        "slurm.conf": conf,
    }
    _write(file, sample.sample_config(found, associations, region, given))
    for sentence in sample.warnings(found):
        output.say(f"careful: {sentence}", err=True)
    _tell_written(file, found.cluster, region)


def _write(file: str, text: str) -> None:
    configuration.parse_config(text, file)
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error


def _tell_written(file: str, cluster: str, region: Sequence[str]) -> None:
    if not region:
        output.say(f"saf does not guess who the region is: set control.account in {file} and write its rule",
                   err=True)  # fmt: skip
    if not chosen.quiet:
        output.say(f"wrote {file} for cluster {cluster}; read it, then run: saf --config {file} config check",
                   err=True)  # fmt: skip


def _somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked_accounts(accounts: Sequence[Association]) -> tuple[str, ...]:
    """The accounts that hold the region, as somebody at the terminal says; none where nobody is there."""
    if not accounts or not _somebody_there():
        return ()
    known = {one.account for one in accounts}
    for one in accounts:
        output.say(f"  {one.account}  RawShares {one.raw_shares}", err=True)
    while True:
        said = click.prompt("Which of them hold the region? (several: with commas; none: Enter)", default="",
                            show_default=False, err=True)  # fmt: skip
        names = tuple(name.strip() for name in said.split(",") if name.strip())
        if known.issuperset(names):
            return names
        output.say(f"no such account: {', '.join(name for name in names if name not in known)}", err=True)


def _asked_window() -> str | None:
    if not _somebody_there():
        return None
    question = "What is the promise judged over? (month, quarter, half, year or rolling:30d)"
    return str(click.prompt(question, default="quarter", value_proc=_window, err=True))


def _window(said: str) -> str:
    try:
        return values.as_window(said)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def zone_of_this_machine() -> str:
    """Civil time here; UTC where it is not known, or no such zone can be used."""
    place = ""
    with suppress(OSError):
        place = str(LOCALTIME.readlink()).partition("/zoneinfo/")[2]
    try:
        return str(values.as_zone(place))
    except ValueError as error:
        output.say(f"careful: promise.time_zone is UTC: this machine's zone, {place or 'unknown'}, "
                   f"cannot be used: {error}", err=True)  # fmt: skip
        return "UTC"


def _out_of_the_way() -> Path | None:
    """Where the Slurm commands are, when a service would not find them."""
    found = which("sacct")
    directory = Path(found).parent if found else None
    return None if directory is None or directory in SERVICE_PATH else directory


@click.group("config", cls=SafGroup)
def config_group() -> None:
    """Check and show the configuration."""


@config_group.command("check")
def config_check() -> None:
    """Validate the file offline, and those that it names: keys, types, rules, the ledger's url, TLS."""
    config = load_config()
    if file := config.daemon.web_config_file:
        access.load_access(file).context()  # raises where it cannot be used
    if url := configuration.ledger_url(config):
        place(url)  # raises where it is none
    rules = Rules(config.rules)
    conflicts = lever.certain_conflicts(rules, config.control.account, now())
    if conflicts:
        raise ConfigError(f"{config.file}: {lever.conflict_sentence(conflicts)}; {lever.lever_remedy(rules)}")
    if chosen.json:
        output.emit({"file": str(config.file), "rules": len(config.rules), "mode": config.control.mode})
    elif not chosen.quiet:
        how_many = count(len(config.rules), "rule")
        output.say(f"{config.file}: fine, {how_many}, mode {config.control.mode}", err=True)


@config_group.command("show")
def config_show() -> None:
    """Every value with where it comes from; secrets are masked."""
    config = load_config()
    rows = list(configuration.shown_values(config))
    rules = [_rule_value(config, one) for one in config.rules]
    if chosen.json:
        keys = ("section", "key", "value", "origin")
        return output.emit({"values": [dict(zip(keys, row, strict=True)) for row in rows], "rules": rules})
    output.table(("key", "value", "origin"), [(f"{s}.{k}", value, origin) for s, k, value, origin in rows])
    for rule in rules:
        output.say(f"rule {rule.pop('name')!r}: {rule}")
    return None


def _rule_value(config: Config, one: Rule) -> dict[str, object]:
    """A rule as it is written: conditions, dates where it has some, and what it tells."""
    said = "registry" if one.beneficiary is None else str(one.beneficiary)
    zone = config.promise.time_zone
    dates = {"since": one.since or None, "until": None if one.until == FOREVER else one.until}
    return {
        "name": one.name,
        "beneficiary": said,
        **{key: sorted(names) for key, names in one.conditions.items()},
        **{key: windows.civil_day(at, zone) for key, at in dates.items() if at is not None},
        **{key: getattr(one, key) for key in DETAILS if getattr(one, key)},
    }


@click.group("ledger", cls=SafGroup)
def ledger_group() -> None:
    """The store."""


@ledger_group.command("migrate")
@click.option(
    "--url", metavar="URL", help="The ledger, as a member of saf_owner; else ledger.url of the configuration."
)
def ledger_migrate(url: str | None) -> None:
    """Bring the ledger's schema to this version, and give its roles their rights. Writes to the ledger.

    Where the schema belongs to saf_owner (see `saf ledger roles`), only its members may do this.
    """
    with Store(url or reachable_ledger_url(load_config()), LONG) as store:
        done = store.migrate()
    if chosen.json:
        output.emit({"migrated": done})
    elif not chosen.quiet:
        click.echo("\n".join(f"migrated {name}" for name in done) or "nothing to migrate", err=True)


@ledger_group.command("roles")
def ledger_roles() -> None:
    """Print the SQL that makes the roles saf_owner, saf_daemon and saf_reader. Writes nothing.

    For a superuser of PostgreSQL to run on the ledger's database, new or old; then run `saf ledger migrate`.
    """
    statement = sql.roles()
    output.emit({"sql": statement}) if chosen.json else click.echo(statement)


@ledger_group.command("status")
def ledger_status() -> None:
    """What the ledger holds and how far it was read."""
    config = load_config()
    with opened_ledger(config) as ledger:
        found = ledger.accounting.status()
        leader = ledger.store.leader(ledger.accounting.cluster_id)
    value = {"cluster": config.cluster.name, **found, "last_read_at": output.when(found["last_read_at"]),
             "leader": leader}  # fmt: skip
    if chosen.json:
        output.emit(value)
    else:
        output.pairs(value)


COMMANDS = (init_command, config_group, ledger_group)
