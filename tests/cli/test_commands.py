"""The modules of the command line: each bears the name of a command, or is one of a few others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from slurm_ai_factory.cli import COMMANDS, ELSEWHERE, cli

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "slurm_ai_factory" / "cli"

NO_COMMAND = {
    "__init__", "arguments", "bundle/__init__", "bundle/contents", "bundle/words", "clusters",
    "correcting", "draw",
    "init_questions", "new_file", "options", "output", "screen", "sshare", "status_socket", "wiring",
    "ledger/__init__", "simulate/__init__", "simulate/comparison", "simulate/compiled", "simulate/plot",
    "simulate/several", "simulate/shown", "simulate/sweep", "simulate/trial",
}  # fmt: skip
"""Modules that are not named after a command."""


def _names(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        yield before + name.replace("-", "_")
        if isinstance(command, click.Group):
            yield from _names(command, f"{name}/")


def test_each_module_bears_the_name_of_a_command() -> None:
    modules = {str(file.relative_to(PACKAGE).with_suffix("")) for file in PACKAGE.rglob("*.py")}
    assert modules - NO_COMMAND <= set(_names(cli.with_all()))
    assert modules >= NO_COMMAND


def test_each_command_is_found_under_its_name() -> None:
    assert [command.name for command in cli.with_all().commands.values()] == list(COMMANDS)
    assert sorted(COMMANDS) == list(COMMANDS)
    assert set(ELSEWHERE) <= set(COMMANDS)
    assert cli.get_command(click.Context(cli), "no-such-command") is None


def _each() -> Iterator[click.Command]:
    groups: list[click.Group] = [cli.with_all()]
    while groups:
        for command in groups.pop().commands.values():
            yield command
            groups += [command] if isinstance(command, click.Group) else []


def test_each_command_says_in_the_imperative_what_it_does() -> None:
    for command in _each():
        assert command.help
        first = command.help.split()[0]
        assert first.istitle(), f"{command.name}: {first}"
        assert first not in ("The", "What", "Every", "Who", "A", "An", "One"), f"{command.name}: {first}"


def test_each_number_of_rows_has_a_bound_that_the_ledger_can_take() -> None:
    limits = [option.type for command in _each() for option in command.params if option.name == "limit"]
    assert limits
    assert all(isinstance(limit, click.IntRange) and limit.max for limit in limits)
