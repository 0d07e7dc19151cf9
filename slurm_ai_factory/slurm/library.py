"""pyslurm as a source of what is now: the queue, slurmctld's health and settings, nodes, associations.

libslurm can freeze the process it is in for minutes, or end it, and no Python signal is heard meanwhile.
Rule: pyslurm is imported by worker.py alone, in a process for each question that has the deadline of every
command and is killed with SIGKILL when it misses it. Where pyslurm has no answer, Slurm's commands are asked
the same; the reason is logged, and told by ``saf doctor``.

What pyslurm cannot do is not asked of it (docs/discussions/sources.md): finished runs, usage, priorities,
partitions, and every write go through the commands.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import Node, PriorityConfig, Rejected
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm import objects
from slurm_ai_factory.slurm.client import Slurm
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.parse import AssociationRow

SUPPORTED = ("25.11",)
"""The releases of pyslurm that can be imported without connecting, and that the tests were run with."""

WORKER = Path(__file__).with_name("worker.py")
_Value = TypeVar("_Value")
_log = logging.getLogger("slurm_ai_factory")


class WorkerOutput(NamedTuple):
    """What the worker prints."""

    pyslurm: str
    libslurm: str
    answer: Any


@dataclass(frozen=True, slots=True)
class Library:
    """Questions to pyslurm, each in a process of its own."""

    commands: Commands
    python: str = sys.executable
    refused: dict[str, str] = field(default_factory=dict)
    """What was last asked of Slurm's commands instead, and why."""
    matched: set[str] = field(default_factory=set)
    """The release of the Slurm here, once it was seen to be pyslurm's."""

    def ask(self, question: str) -> Any:
        """The answer as plain values. Raises SlurmError."""
        try:
            if not self.matched:
                self._match(self.versions())
            return self._said(question).answer
        except SlurmError:
            self.matched.clear()
            raise

    def versions(self) -> WorkerOutput:
        """Without connecting to Slurm. Raises SlurmError."""
        return self._said("versions")

    def _said(self, question: str) -> WorkerOutput:
        """What the worker printed, from a pyslurm that is fit to be believed."""
        if not shutil.which(self.python):
            raise SlurmError(f"there is no Python at {self.python}; correct slurm.python")
        text = replace(self.commands, directory=None).output(self.python, "-I", str(WORKER), question)
        try:
            said = WorkerOutput(**json.loads(text))
            ours, linked = shared_release(said.pyslurm), shared_release(said.libslurm)
        except (AttributeError, TypeError, ValueError) as error:
            raise SlurmError(f"pyslurm's answer to {question!r} cannot be read: {reason(error)}") from error
        if ours not in SUPPORTED:
            raise SlurmError(f"pyslurm {said.pyslurm} is not supported; install {' or '.join(SUPPORTED)}")
        if linked != ours:
            raise SlurmError(
                f"pyslurm {said.pyslurm} found libslurm {said.libslurm}; build pyslurm for that Slurm again"
            )
        return said

    def _match(self, said: WorkerOutput) -> None:
        """pyslurm is for the one Slurm it was built with, and does not look itself."""
        theirs = self.commands.output("scontrol", "-V").split()[-1]
        if shared_release(theirs) != shared_release(said.pyslurm):
            raise SlurmError(f"pyslurm {said.pyslurm} is not for Slurm {theirs}; install the one that is")
        self.matched.add(shared_release(theirs))

    def either(self, what: str, ours: Callable[[], _Value], theirs: Callable[[], _Value]) -> _Value:
        """pyslurm's answer, or that of Slurm's commands where it has none."""
        try:
            answer = ours()
        except SlurmError as error:
            reason = str(error)
        else:
            if self.refused.pop(what, None):
                _log.info("pyslurm is asked for %s again", what)
            return answer
        if self.refused.get(what) != reason:
            _log.warning("Slurm's commands are asked for %s instead of pyslurm: %s", what, reason)
        self.refused[what] = reason
        return theirs()


def shared_release(text: str) -> str:
    """The part of a version that pyslurm and Slurm must have in common.

    >>> release("25.11.2"), release("25.11.7-1")
    ('25.11', '25.11')
    """
    return ".".join(text.split(".")[:2])


@dataclass(frozen=True, slots=True)
class LibrarySlurm(Slurm):
    """One cluster, through pyslurm where it is good and through the commands for everything else."""

    library: Library

    def _queue(self) -> list[Queued | Rejected]:
        return self._either("queue", lambda said: objects.queue_of_objects(self.cluster, said), Slurm._queue)

    def diagnostics(self) -> Diagnostics:
        """What slurmctld says of its own health."""
        return self._either("diagnostics", objects.diagnostics_of_objects, Slurm.diagnostics)

    def _nodes(self) -> list[Node | Rejected]:
        return self._either("nodes", objects.nodes_of_objects, Slurm._nodes)

    def _settings(self) -> PriorityConfig:
        return self._either("settings", objects.priority_of_objects, Slurm._settings)

    def _tree(self) -> list[AssociationRow | Rejected]:
        return self._either(
            "associations", lambda said: objects.tree_of_objects(self.cluster, said), Slurm._tree
        )

    def refused(self) -> dict[str, str]:
        """What pyslurm had no answer to, and why."""
        return dict(self.library.refused)

    def _either(
        self, question: str, ours: Callable[[Any], _Value], theirs: Callable[[Slurm], _Value]
    ) -> _Value:
        return self.library.either(question, lambda: ours(self.library.ask(question)), lambda: theirs(self))
