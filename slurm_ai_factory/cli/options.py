"""Options that every command has, before or after its name. Tested in tests/cli/test_questions.py."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from slurm_ai_factory.config.clusters import ALL
from slurm_ai_factory.core.escaped import is_hidden, too_long


@dataclass(slots=True)
class Chosen:
    """The values of the common options."""

    config: str | None = None
    cluster: str | None = None
    person: str | None = None
    json: bool = False
    csv: bool = False
    quiet: bool = False
    debug: bool = False
    no_color: bool = False

    @property
    def clusters(self) -> tuple[str, ...]:
        """The names that -M gives; none where it is left out, or means all.

        >>> Chosen(cluster="gpu,cpu,gpu").clusters, Chosen(cluster="all").clusters
        (('gpu', 'cpu'), ())
        """
        names = tuple(dict.fromkeys(filter(None, (self.cluster or "").split(","))))
        return () if self.cluster == ALL else names

    @property
    def listed(self) -> bool:
        """Whether -M gives a list, or means all, so that the answer is one of several clusters."""
        return self.cluster == ALL or "," in (self.cluster or "")


chosen = Chosen()

_TEXTS: dict[str, tuple[list[str], str, str]] = {
    "config": (["--config"], "FILE", "Configuration file."),
    "cluster": (
        ["-M", "--cluster"],
        "NAMES",
        "The cluster, a list such as gpu,cpu, or all; refuse a configuration without it.",
    ),
    "person": (["--as"], "NAME", "Act as this person; only if actor.allow_as is set."),
}
_FLAGS = {
    "json": (["--json"], "Print JSON."),
    "csv": (["--csv"], "Print tables as CSV; charges and shares as in --json."),
    "quiet": (["-q", "--quiet"], "Print errors only."),
    "debug": (["--debug"], "Print debug messages and tracebacks."),
    "no_color": (["--no-color"], "Disable colour (also: NO_COLOR)."),
}


ANY_LENGTH = ("DIR", "URL", "PROMQL", "LIST", "KEY=NAMES", "OPTIONS")
"""Placeholders of values that are lists, expressions or places."""


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember a value, wherever on the line it was typed; the environment sets only what was not typed."""
    name, typed = str(parameter.name), context.meta.setdefault(__name__, set())
    on_the_line = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if on_the_line and value == "":
        raise click.UsageError(f"{parameter.opts[-1]} is empty; give it a value, or leave it out", context)
    if value and (on_the_line or name not in typed):
        setattr(chosen, name, value)
    if on_the_line:
        typed.add(name)
    if chosen.no_color or os.environ.get("NO_COLOR"):
        context.color = False


def _common() -> list[click.Parameter]:
    keep: dict[str, Any] = {"expose_value": False, "callback": _keep, "show_envvar": True}
    return [
        *(
            click.Option([*names, name], metavar=metavar, help=text, envvar=f"SAF_{name.upper()}", **keep)
            for name, (names, metavar, text) in _TEXTS.items()
        ),
        *(
            click.Option([*names, name], is_flag=True, help=text, envvar=f"SAF_{name.upper()}", **keep)
            for name, (names, text) in _FLAGS.items()
        ),
    ]


class SafCommand(click.Command):
    """A command with the common options, each option's environment variable in its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                parameter.show_envvar = True
        self.params += _common()

    def invoke(self, context: click.Context) -> Any:
        """Refuse empty, long and unprintable values: they are recorded, and shells may read them."""
        if chosen.json and chosen.csv:
            raise click.UsageError("give either --json or --csv", context)
        for parameter in self.params:
            value, name = context.params.get(str(parameter.name)), str(parameter.name).replace("_", "-")
            values = value if isinstance(value, tuple) else (value,)
            if "" in values and parameter.get_default(context) != "":
                raise click.UsageError(f"{name} is empty; give it a value, or leave it out", context)
            texts = [each for each in values if isinstance(each, str)]
            if parameter.metavar not in ANY_LENGTH and (long := next(filter(None, map(too_long, texts)), "")):
                raise click.UsageError(f"{name} {long}", context)
            if hidden := next(filter(is_hidden, "".join(texts)), ""):
                raise click.UsageError(
                    f"{name} has the character {ord(hidden):#06x}, which cannot be printed", context
                )
        return super().invoke(context)


class SafGroup(click.Group):
    """A group with the common options, of such commands."""

    command_class = SafCommand
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common()

    def invoke(self, context: click.Context) -> Any:
        """Succeed when the reader of our output goes away, as `head` does; click would call it a failure."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            drop_output()
            return 0


def drop_output() -> None:
    """Discard everything that is still to be printed: stdout can no longer be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
