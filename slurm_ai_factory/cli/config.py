"""`saf config`: check and show the configuration.

Tested in tests/cli/test_questions.py and tests/config/test_config.py.
"""

from __future__ import annotations

from typing import Any

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import load_config, now
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control import lever
from slurm_ai_factory.core.records import FOREVER
from slurm_ai_factory.core.rules.classify import DETAILS, Rule, Rules
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger.connection import place
from slurm_ai_factory.monitor import access


@click.group("config", cls=SafGroup)
def config_group() -> None:
    """Check and show the configuration."""


@config_group.command("check", cls=EachCommand)
def config_check() -> None:
    """Validate saf.toml and the files it names, offline: keys, types, rules, the ledger's URL, TLS."""
    config = load_config()
    if file := config.daemon.web_config_file:
        access.load_access(file).context()  # raises if it cannot be used
    if url := configuration.ledger_url(config):
        place(url)  # raises if it is invalid
    rules = Rules(config.rules)
    control = config.control
    conflicts = {} if control.switch else lever.certain_conflicts(rules, control.account, now())
    if conflicts:
        raise ConfigError(f"{config.file}: {lever.conflict_sentence(conflicts)}; {lever.lever_remedy(rules)}")
    value = {"file": str(config.file), "rules": len(config.rules), "mode": config.control.mode}
    output.reply(
        value, f"{config.file}: valid, {count(len(config.rules), 'rule')}, mode {config.control.mode}"
    )


@config_group.command("show", cls=EachCommand)
def config_show() -> None:
    """Show every value with its origin; secrets are masked."""
    shown = settings_value(load_config())
    if chosen.json:
        return output.emit(shown)
    rows = [(f"{row['section']}.{row['key']}", row["value"], row["origin"]) for row in shown["values"]]
    output.table(("key", "value", "origin"), rows)
    for rule in shown["rules"]:
        output.say(f"rule {rule.pop('name')!r}: {rule}")
    return None


def settings_value(config: Config) -> dict[str, list[dict[str, Any]]]:
    """Every value with its origin, and the rules; secrets are masked."""
    keys = ("section", "key", "value", "origin")
    return {
        "values": [dict(zip(keys, row, strict=True)) for row in configuration.shown_values(config)],
        "rules": [_rule_value(config, rule) for rule in config.rules],
    }


def _rule_value(config: Config, rule: Rule) -> dict[str, object]:
    """A rule as it is configured: its conditions, dates and details, each only if it has any."""
    zone = config.promise.time_zone
    dates = {"since": rule.since or None, "until": None if rule.until == FOREVER else rule.until}
    return {
        "name": rule.name,
        "beneficiary": "registry" if rule.beneficiary is None else str(rule.beneficiary),
        **{key: sorted(names) for key, names in rule.conditions.items()},
        **{key: windows.civil_day(at, zone) for key, at in dates.items() if at is not None},
        **{key: getattr(rule, key) for key in DETAILS if getattr(rule, key)},
    }
