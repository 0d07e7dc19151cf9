"""Commands that answer for several clusters, one after another, as Slurm's -M asks.

The rule: what fails for one cluster is said, and the others are answered.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, NamedTuple

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.wiring import asked_clusters, marked, to_journal
from slurm_ai_factory.errors import SafError

NO_ANSWER = 1
"""The exit code where a cluster or a joint promise has no answer."""


def several(clusters: Sized) -> bool:
    """Whether a command answers for several clusters, and for joint promises: also for a list of one."""
    return chosen.listed or len(clusters) > 1


class JointRow(NamedTuple):
    """What a command answers for a joint promise."""

    value: dict[str, Any]
    code: int = 0  #: exit code


JointRows = Callable[[Mapping[str, Any]], list[JointRow] | None]
"""As ``joint`` of an EachCommand."""


class EachCommand(SafCommand):
    """Called for each cluster that -M names; for each of the file without -M.

    ``once``: options with which it is called once, because it then works on one cluster or on all together.
    ``joint``: called with the options after the last cluster; prints the joint promises, and returns a row
    for each; None where the options do not ask for them.
    """

    def __init__(
        self, *args: Any, once: Iterable[str] = (), joint: JointRows | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.once, self.joint = tuple(once), joint

    def invoke(self, context: click.Context) -> Any:
        """The exit code is 1 or 2 where a cluster has no answer, else the highest of all answers."""
        try:
            clusters = asked_clusters()
        except SafError:
            return super().invoke(context)  # which says so in its own way
        if any(context.params[name] for name in self.once) or not several(clusters):
            return super().invoke(context)
        if chosen.csv:
            raise click.UsageError("--csv prints the table of one cluster; choose it with -M", context)
        asked, codes, answers = chosen.cluster, [], []
        for name in clusters:
            chosen.cluster = name
            with output.collecting() as emitted:
                code, error = self._answer(context, name)
            codes.append(code)
            answers.append({"cluster": name, "answer": next(iter(emitted), None), "error": error})
        chosen.cluster = asked
        failed = [code for code, answer in zip(codes, answers, strict=True) if answer["error"]]
        if click.UsageError.exit_code in failed:
            click.echo(context.get_usage(), err=True)
        beside, more = self._beside(context)
        if chosen.json:
            output.emit({"clusters": answers, **beside})
        failed += [code for code in more if code == NO_ANSWER]
        sys.exit(max(failed or codes + more))

    def _beside(self, context: click.Context) -> tuple[dict[str, Any], list[int]]:
        """What the answer has beside the clusters, and the exit code of each joint promise."""
        if self.joint is None:
            return {}, []
        try:
            rows = self.joint(context.params)
        except (SafError, click.UsageError) as error:
            output.say(f"saf: joint promises: {error}", err=True)
            return {"joint": None}, [NO_ANSWER]
        values = None if rows is None else [row.value for row in rows]
        return {"joint": values}, [row.code for row in rows or ()]

    def _answer(self, context: click.Context, cluster: str) -> tuple[int, str | None]:
        """Answer for a cluster; the exit code, and what kept it from an answer."""
        if not (chosen.json or chosen.quiet):
            output.say(f"# cluster {cluster}")
        try:
            super().invoke(context)
        except SystemExit as end:
            return int(end.code or 0), None
        except SafError as error:
            code, message = NO_ANSWER, str(error)
        except click.UsageError as error:
            code, message = error.exit_code, error.format_message()
        else:
            return 0, None
        text = f"saf: cluster {cluster}: {message.removeprefix(f'cluster {cluster}: ')}"
        output.say(marked(logging.ERROR, text) if to_journal() else text, err=True)
        return code, message
