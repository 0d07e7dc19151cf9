"""Commands about rules: check them, try them, and correct what they say of one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.audit import approving
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.approval import proposed
from slurm_ai_factory.cli.measure import asked_window
from slurm_ai_factory.cli.naming import warn_of_names
from slurm_ai_factory.cli.options import (
    SafCommand,
    SafGroup,
    chosen,
    current_actor,
    load_config,
    now,
    opened_books,
    opened_ledger,
    slurm_of,
)
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.measure import judgement, share
from slurm_ai_factory.core.programme.approval import ProposalKind
from slurm_ai_factory.core.records import HOUR, Charge, Measurement, Subject, Window
from slurm_ai_factory.core.rules import rule_check
from slurm_ai_factory.core.rules.classify import Classification
from slurm_ai_factory.core.rules.rule_check import RuleProblem
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.slurm.names import names_by_condition

OFFLINE = click.option(
    "--offline", is_flag=True, help="Compare names with those the ledger has seen, without asking Slurm."
)


@click.group("rules", cls=SafGroup)
def rules_group() -> None:
    """Check the rules, and see what others would change before they are used."""


@rules_group.command("check")
@OFFLINE
def rules_check(offline: bool) -> None:
    """Find names in rules that nobody has, and rules that are never reached.

    Names are compared with those that Slurm lists or the ledger has seen, and with the registry. Exit code 1
    where something is wrong. A name that Slurm no longer has and past charges do is told, and is not wrong.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        found = _check(config, ledger, offline)
        steered = question.lever_of(question.ask(config, ledger), now())
    if chosen.json:
        output.emit({**_checked(config, found), "steered": steered.conflict or None})
    if steered.conflict:
        output.say(f"{config.file}: control.account: {steered.conflict}; {steered.remedy}", err=True)
    _refuse(config.file, found, bool(steered.conflict))
    if not (chosen.json or chosen.quiet):
        click.echo(f"{config.file}: fine, {count(len(config.rules), 'rule')}", err=True)


class Checked(NamedTuple):
    """What is wrong with rules, which names are of the past, and which conditions were not looked at."""

    problems: list[RuleProblem]
    gone: list[RuleProblem]
    hidden: list[str]


def _check(config: Config, ledger: Ledger, offline: bool) -> Checked:
    seen = ledger.accounting.names()
    asked = (seen, []) if offline else names_by_condition(slurm_of(config).commands, config.cluster.name)
    listed, hidden = asked
    rules, known = question.rules_at(config, ledger), {key: seen[key] | listed[key] for key in listed}
    problems = rule_check.check(rules, known, config.terms(seen["account"]))
    return Checked(problems, rule_check.gone(rules, seen, listed), hidden)


def _checked(config: Config, found: Checked) -> dict[str, object]:
    return {
        "file": config.file,
        "rules": len(config.rules),
        "problems": [one._asdict() for one in found.problems],
        "gone": [one._asdict() for one in found.gone],
        "hidden": found.hidden,
    }


def _refuse(file: str, found: Checked, others: int = 0) -> None:
    """Tell all that was found; raises ConfigError where something is wrong. ``others`` were told before."""
    if found.hidden:
        output.say(
            f"not checked: names of {', '.join(found.hidden)}, which Slurm shows to operators only", err=True
        )
    for one in [*found.gone, *found.problems]:
        where = f" {one.key} {one.name!r}:" if one.key else ""
        output.say(f"{file}: rule {one.rule!r}:{where} {one.reason}", err=True)
    problems = len(found.problems) + others
    if not problems:
        return
    raise ConfigError(f"{file}: {count(problems, 'problem')} with rules; correct them and reload saf")


@rules_group.command("test")
@click.argument("file", metavar="NEWFILE", type=click.Path(path_type=Path))
@click.option("--window", metavar="W", help="2027Q1, 2027-03, rolling:30d, ... or current.")
@OFFLINE
def rules_test(file: Path, window: str | None, offline: bool) -> None:
    """Show which charge of a window would move under the rules of another file, and what of the promise.

    NEWFILE is a whole saf.toml, or one with [[rule]] and [registry] alone. Once the promise has terms in the
    ledger, the region is theirs and registry.region of NEWFILE is not looked at. Nothing is changed, and a
    daemon that uses the same ledger is not disturbed.
    """
    with opened_books() as (config, ledger):
        tried = configuration.with_rules_of(config, file)
        where = asked_window(config, window, None, None)
        _refuse(str(file), _check(tried, ledger, offline))
        before, after = (_outcome(one, ledger, where) for one in (config, tried))
    _print_moves(before, after)


class RulesResult(NamedTuple):
    """What rules make of a window."""

    measured: Measurement
    charges: dict[tuple[str, ...], Charge]


def _outcome(config: Config, ledger: Ledger, where: Window) -> RulesResult:
    measured, (groups,) = question.ask(config, ledger, where, moment=now()).answer(_place)
    return RulesResult(measured, {tuple(group.names): group.delivered for group in groups})


_PLACE = ("account", "beneficiary", "rule", "category", "organisation", "sector", "municipality", "hub")


def _place(subject: Subject, found: Classification) -> str:
    """All that can change of a charge, as one text."""
    return share.together([subject.account, *(str(getattr(found, name)) for name in _PLACE[1:])])


def _moves(before: RulesResult, after: RulesResult) -> list[dict[str, Any]]:
    """Where charge is that was not there before, and where it is no longer; largest first."""
    keys = before.charges.keys() | after.charges.keys()
    rows = [(key, before.charges.get(key, 0), after.charges.get(key, 0)) for key in keys]
    moved = [(key, was, now_is) for key, was, now_is in rows if was != now_is]
    moved.sort(key=lambda row: (-abs(float(row[2]) - float(row[1])), row[0]))
    return [
        {**dict(zip(_PLACE, key, strict=True)), "before": was, "after": now_is, "difference": now_is - was}
        for key, was, now_is in moved
    ]


def _print_moves(before: RulesResult, after: RulesResult) -> None:
    m, moves = before.measured, _moves(before, after)
    if chosen.json:
        sides = {"before": _side(before.measured), "after": _side(after.measured)}
        return output.emit({"window": m.window.name, "resource": m.resource, **sides, "moved": moves})
    charges = ("before", "after", "difference")
    if chosen.csv:
        return output.table((*_PLACE, *charges), [list(move.values()) for move in moves])
    output.pairs({"window": m.window.name, **_sides_text(before.measured, after.measured)})
    click.echo()
    if not moves:
        return click.echo("no charge of the window would move")
    digits = output.decimals(max(abs(float(move["difference"])) for move in moves) / HOUR)
    rows = [
        [*(move[name] for name in _PLACE), *(output.hours(move[name], digits) for name in charges)]
        for move in moves
    ]
    return output.table((*_PLACE, *(f"{name} ({m.called}-hours)" for name in charges)), rows)


def _side(m: Measurement) -> dict[str, object]:
    return {
        "delivered_share": m.delivered_share,
        "regional_charge": output.number(m.regional_charge),
        "unclassified_charge": output.number(m.unclassified_charge),
        "total_charge": output.number(m.total_charge),
        "verdict": str(judgement.verdict(m)),
    }


def _sides_text(before: Measurement, after: Measurement) -> dict[str, str]:
    def told(m: Measurement) -> tuple[str, ...]:
        shares = (m.delivered_share, m.unclassified_share)
        return (*(output.percent(one) or "-" for one in shares), str(judgement.verdict(m)))

    names = ("delivered", "unclassified", "verdict")
    return {
        name: was if was == now_is else f"{was} -> {now_is}"
        for name, was, now_is in zip(names, told(before), told(after), strict=True)
    }


@click.command("override", cls=SafCommand)
@click.argument("job", metavar="[JOBID]", required=False)
@click.option("--beneficiary", type=click.Choice(("regional", "non_regional")), help="Who the job was for.")
@click.option("--organisation", metavar="KEY", default="", help="The organisation, when it is registered.")
@click.option("--withdraw", is_flag=True, help="Take an earlier override back; the rules decide again.")
@click.option("--reason", metavar="TEXT", help="Why; kept with the entry.")
def override_command(
    job: str | None, beneficiary: str | None, organisation: str, withdraw: bool, reason: str | None
) -> None:
    """Correct who one job was for, whatever the rules say; without JOBID, list the overrides.

    Holds for the runs of the job that the ledger has now; a later requeue is a run of its own. What was known
    before is kept: `--as-of` an earlier instant still tells it. Writes to the ledger.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        if job is None and (beneficiary or organisation or withdraw or reason):
            raise click.UsageError("give the JOBID")
        if job is None:
            return _list_overrides(ledger)
        if bool(beneficiary) == withdraw or not (reason or "").strip():
            raise click.UsageError("give --beneficiary or --withdraw, and a --reason")
        warn_of_names(ledger, reason or "")
        wanted = {"beneficiary": beneficiary, "organisation": organisation}
        approving.check_override(ledger, job, wanted)
        if config.approval.overrides:
            who = {"at": now(), "actor": current_actor(), "reason": reason}
            return proposed(ledger, ProposalKind.OVERRIDE, {"job": job, **wanted}, who)
        number, runs = ledger.accounting.override(
            job, {**wanted, "actor": current_actor(), "reason": reason}, at=now()
        )
    if chosen.json:
        output.emit({"override": number, "job": job, "runs": runs})
    elif not chosen.quiet:
        click.echo(f"override {number} of job {job}: {count(runs, 'run')}; see `saf explain {job}`", err=True)
    return None


def _list_overrides(ledger: Ledger) -> None:
    rows = [
        {"override": one.number, "job": one.job, "beneficiary": str(one.beneficiary or "withdrawn"),
         "organisation": one.organisation, "at": output.when(one.at), "actor": one.actor,
         "reason": one.reason}
        for one in ledger.registry.overrides().values()
    ]  # fmt: skip
    output.listing(rows, "there are no overrides")


COMMANDS = (rules_group, override_command)
