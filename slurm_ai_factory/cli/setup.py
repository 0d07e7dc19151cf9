"""Commands that set things up: init, config, ledger."""

from __future__ import annotations

from pathlib import Path
from shutil import which

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import output, sample
from slurm_ai_factory.cli.options import (
    SafCommand,
    SafGroup,
    chosen,
    ledger_url,
    load_config,
    opened_ledger,
)
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.classify import DETAILS, Rule
from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import LONG, Store
from slurm_ai_factory.ledger.connection import place
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.web import access

SERVICE_PATH = {
    Path(one) for one in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
}
"""PATH of a service of systemd (systemd.exec(5))."""


@click.command("init", cls=SafCommand)
@click.option(
    "-o", "--output", "file", default="saf.toml", show_default=True, metavar="FILE", help="Where to write."
)
@click.option("--account", metavar="A", help="The top-level account that holds the region.")
@click.option("--directory", type=click.Path(path_type=Path), help="Where the Slurm commands are; else PATH.")
@click.option(
    "--conf", type=click.Path(path_type=Path), envvar=["SAF_INIT_CONF", "SLURM_CONF"], help="slurm.conf."
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init_command(
    file: str, account: str | None, directory: Path | None, conf: Path | None, force: bool
) -> None:
    """Look at the cluster and write a commented saf.toml. Changes nothing in Slurm."""
    if Path(file).exists() and not force:
        raise ConfigError(f"{file} exists; choose another with -o, or overwrite it with --force")
    directory = directory or _out_of_the_way()
    commands = Commands(directory, conf)
    found = Slurm("", commands).priority_config()
    associations = Slurm(found.cluster, commands).associations()
    text = sample.text(found, associations, account, {"directory": directory, "conf": conf})
    configuration.parse(text, file)
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    if not chosen.quiet:
        click.echo(
            f"wrote {file} for cluster {found.cluster}; read it, then run: saf --config {file} config check",
            err=True,
        )


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
        access.load(file).context()  # raises where it cannot be used
    if url := configuration.ledger_url(config):
        place(url)  # raises where it is none
    if chosen.json:
        output.emit({"file": str(config.file), "rules": len(config.rules), "mode": config.control.mode})
    elif not chosen.quiet:
        click.echo(f"{config.file}: fine, {len(config.rules)} rule(s), mode {config.control.mode}", err=True)


@config_group.command("show")
def config_show() -> None:
    """Every value with where it comes from; secrets are masked."""
    config = load_config()
    rows = list(configuration.shown(config))
    rules = [_rule_value(config, one) for one in config.rules]
    if chosen.json:
        keys = ("section", "key", "value", "origin")
        return output.emit({"values": [dict(zip(keys, row, strict=True)) for row in rows], "rules": rules})
    output.table(("key", "value", "origin"), [(f"{s}.{k}", value, origin) for s, k, value, origin in rows])
    for rule in rules:
        click.echo(f"rule {rule.pop('name')!r}: {rule}")
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
def ledger_migrate() -> None:
    """Bring the ledger's schema to this version. Writes to the ledger."""
    with Store(ledger_url(load_config()), LONG) as store:
        done = store.migrate()
    if chosen.json:
        output.emit({"migrated": done})
    elif not chosen.quiet:
        click.echo("\n".join(f"migrated {name}" for name in done) or "nothing to migrate", err=True)


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
