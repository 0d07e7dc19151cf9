"""`saf rules`: check the rules, and try those of another file. Tested in tests/cli/test_organisation.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import WINDOW, asked_window
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import SafGroup, chosen
from slurm_ai_factory.cli.wiring import load_config, now, opened_books, opened_ledger, slurm_of
from slurm_ai_factory.config import Config
from slurm_ai_factory.core.control.lever import Lever
from slurm_ai_factory.core.measure import judgement, outlook
from slurm_ai_factory.core.records import HOUR, Charge, Measurement, Subject, Window
from slurm_ai_factory.core.rules import rule_check
from slurm_ai_factory.core.rules.classify import Classification
from slurm_ai_factory.core.rules.rule_check import RuleProblem
from slurm_ai_factory.core.words import count
from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.ledger import Ledger
from slurm_ai_factory.slurm.names import names_by_condition

OFFLINE = click.option(
    "--offline", is_flag=True, help="Do not ask Slurm; compare names with those in the ledger."
)


@click.group("rules", cls=SafGroup)
def rules_group() -> None:
    """Check the rules, and see what other rules would change before you use them."""


@rules_group.command("check", cls=EachCommand)
@OFFLINE
def rules_check(offline: bool) -> None:
    """Find unknown names in rules, and rules that never apply.

    Names are compared with those in Slurm, in the ledger and in the registry. Exit code 1: there is a
    problem. A name that only past charges have is listed, but is no problem.
    """
    config = load_config()
    with opened_ledger(config) as ledger:
        alone = question.takes_statements(ledger)  # then nothing is steered either
        checked = _check(config, ledger, offline or alone)
        steered = Lever() if alone else question.lever_of(question.ask(config, ledger), now())
    if chosen.json:
        output.emit(
            {
                "file": config.file,
                "rules": len(config.rules),
                "problems": [problem._asdict() for problem in checked.problems],
                "gone": [name._asdict() for name in checked.gone],
                "hidden": checked.hidden,
                "steered": steered.conflict or None,
            }
        )
    if steered.conflict:
        lever = config.control.lever
        output.say(f"{config.file}: control.{lever}: {steered.conflict}; {steered.remedy}", err=True)
    _refuse(config.file, checked, int(bool(steered.conflict)))
    if not (chosen.json or chosen.quiet):
        output.say(f"{config.file}: valid, {count(len(config.rules), 'rule')}", err=True)


class CheckedRules(NamedTuple):
    """Problems of rules, names that only past charges have, and conditions whose names Slurm hides."""

    problems: list[RuleProblem]
    gone: list[RuleProblem]
    hidden: list[str]


def _check(config: Config, ledger: Ledger, offline: bool) -> CheckedRules:
    seen = ledger.accounting.names()
    listed, hidden = (
        (seen, []) if offline else names_by_condition(slurm_of(config).commands, config.cluster.name)
    )
    rules, known = question.rules_at(config, ledger), {key: seen[key] | listed[key] for key in listed}
    problems = rule_check.check(rules, known, config.codes(seen["account"]))
    return CheckedRules(problems, rule_check.gone(rules, seen, listed), hidden)


def _refuse(file: str, checked: CheckedRules, others: int = 0) -> None:
    """Print everything; raise ConfigError if there are problems. ``others``: problems printed before."""
    if checked.hidden:
        names = ", ".join(checked.hidden)
        output.say(f"not checked: names of {names}, which Slurm shows to operators only", err=True)
    for problem in [*checked.gone, *checked.problems]:
        where = f" {problem.key} {problem.name!r}:" if problem.key else ""
        output.say(f"{file}: rule {problem.rule!r}:{where} {problem.reason}", err=True)
    if problems := len(checked.problems) + others:
        raise ConfigError(f"{file}: {count(problems, 'problem')} with rules; correct them and reload saf")


@rules_group.command("test", cls=EachCommand)
@click.argument("file", metavar="NEWFILE", type=click.Path(path_type=Path))
@WINDOW
@OFFLINE
def rules_test(file: Path, window: str | None, offline: bool) -> None:
    """Show how the rules of another file would classify a window, and what that does to the promise.

    NEWFILE is a whole saf.toml, or one with only [[rule]] and [registry]. Once the promise has terms in the
    ledger, the region is theirs, and registry.region of NEWFILE is ignored. Nothing is changed, and a daemon
    on the same ledger is not disturbed.
    """
    with opened_books() as (config, ledger):
        tried = configuration.with_rules_of(config, file)
        where = asked_window(config, window, None, None)
        _refuse(str(file), _check(tried, ledger, offline))
        before, after = (_result(tested, ledger, where) for tested in (config, tried))
    _print_moves(before, after)


class RulesResult(NamedTuple):
    """A window under one set of rules: its measurement, and the charge of each classification (_KEYS)."""

    measured: Measurement
    charges: dict[tuple[str, ...], Charge]


def _result(config: Config, ledger: Ledger, where: Window) -> RulesResult:
    measured, groups = question.ask(config, ledger, where, moment=now()).answer(_key)
    return RulesResult(measured, {group.names: group.delivered for group in groups})


_KEYS = ("account", "beneficiary", "rule", "category", "organisation", "sector", "municipality", "hub")


def _key(subject: Subject, classification: Classification) -> tuple[str, ...]:
    """Everything that rules can change of a charge."""
    return subject.account, *(str(getattr(classification, name)) for name in _KEYS[1:])


def _moves(before: RulesResult, after: RulesResult) -> list[dict[str, Any]]:
    """Each classification whose charge changes, with its charge before and after; largest change first."""
    keys = before.charges.keys() | after.charges.keys()
    rows = [(key, before.charges.get(key, 0), after.charges.get(key, 0)) for key in keys]
    moved = [(key, was, now_is) for key, was, now_is in rows if was != now_is]
    moved.sort(key=lambda row: (-abs(float(row[2]) - float(row[1])), row[0]))
    return [
        {**dict(zip(_KEYS, key, strict=True)), "before": was, "after": now_is, "difference": now_is - was}
        for key, was, now_is in moved
    ]


def _print_moves(before: RulesResult, after: RulesResult) -> None:
    m, moves = before.measured, _moves(before, after)
    if chosen.json:
        sides = {"before": _side(before.measured), "after": _side(after.measured)}
        return output.emit({"window": m.window.name, "resource": m.resource.name, **sides, "moved": moves})
    charges = ("before", "after", "difference")
    if chosen.csv:
        return output.table((*_KEYS, *charges), [list(move.values()) for move in moves])
    output.pairs({"window": m.window.name, **_sides_text(before.measured, after.measured)})
    click.echo()
    if not moves:
        return click.echo("no charge of the window would move")
    digits = outlook.decimals_of(max(abs(float(move["difference"])) for move in moves) / HOUR)
    rows = [
        [*(move[name] for name in _KEYS), *(output.hours(move[name], digits) for name in charges)]
        for move in moves
    ]
    return output.table(
        (*_KEYS, *(f"{name} ({outlook.resource_unit(m.called)}-hours)" for name in charges)), rows
    )


def _side(m: Measurement) -> dict[str, object]:
    return {
        "delivered_share": m.delivered_share,
        "regional_charge": output.number(m.regional_charge),
        "unclassified_charge": output.number(m.unclassified_charge),
        "total_charge": output.number(m.total_charge),
        "verdict": str(judgement.verdict(m)),
    }


def _sides_text(before: Measurement, after: Measurement) -> dict[str, str]:
    """name -> the figure, or the figures before and after if they differ."""
    before_texts, after_texts = (
        {
            "delivered": output.percent(m.delivered_share) or "-",
            "unclassified": output.percent(m.unclassified_share) or "-",
            "verdict": str(judgement.verdict(m)),
        }
        for m in (before, after)
    )
    return {
        name: was if was == after_texts[name] else f"{was} -> {after_texts[name]}"
        for name, was in before_texts.items()
    }
