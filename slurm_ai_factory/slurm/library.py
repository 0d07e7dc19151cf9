"""pyslurm as a source of the current state: queue, slurmctld's health and settings, nodes, associations.

libslurm can freeze its process for minutes, or end it, and Python handles no signal meanwhile. Rule: only
worker.py imports pyslurm, in a new process for each question, which is killed with SIGKILL when it misses the
deadline of every command. Where pyslurm has no answer, Slurm's commands are asked instead; the reason is
logged, and ``saf doctor`` reports it.

Everything that pyslurm cannot do (docs/discussions/sources.md) goes through the commands: finished runs,
usage, priorities, partitions, and every write.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
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
"""The releases of pyslurm that do not connect to Slurm on import, and that the tests run with."""

WORKER = Path(__file__).with_name("worker.py")
_Value = TypeVar("_Value")
_log = logging.getLogger("slurm_ai_factory")


class WorkerOutput(NamedTuple):
    """The JSON that the worker prints."""

    pyslurm: str
    libslurm: str
    answer: Any


@dataclass(frozen=True, slots=True)
class Library:
    """Questions to pyslurm, each in a process of its own."""

    commands: Commands
    python: str = sys.executable
    refused: dict[str, str] = field(default_factory=dict)
    """The reads for which Slurm's commands stood in last time, each with the reason."""
    matched: set[str] = field(default_factory=set)
    """This machine's release of Slurm, once it was found to be pyslurm's; two threads may find it twice."""
    lock: Lock = field(default_factory=Lock, compare=False)
    """Held while ``refused`` changes; ``saf doctor`` asks from several threads."""

    def ask(self, question: str) -> Any:
        """The answer as plain values. Raises SlurmError."""
        try:
            if not self.matched:
                self._match(self.versions())
            return self._output(question).answer
        except SlurmError:
            self.matched.clear()
            raise

    def versions(self) -> WorkerOutput:
        """The versions of pyslurm and libslurm, without connecting to Slurm. Raises SlurmError."""
        return self._output("versions")

    def _output(self, question: str) -> WorkerOutput:
        """The worker's output, from a supported pyslurm that found its own libslurm. Raises SlurmError."""
        if not shutil.which(self.python):
            raise SlurmError(f"there is no Python at {self.python}; correct slurm.python")
        text = replace(self.commands, directory=None).output(self.python, "-I", str(WORKER), question)
        try:
            output = WorkerOutput(**json.loads(text))
            ours, linked = shared_release(output.pyslurm), shared_release(output.libslurm)
        except (AttributeError, TypeError, ValueError) as error:
            raise SlurmError(f"pyslurm's answer to {question!r} cannot be read: {reason(error)}") from error
        if ours not in SUPPORTED:
            raise SlurmError(f"pyslurm {output.pyslurm} is not supported; install {' or '.join(SUPPORTED)}")
        if linked != ours:
            raise SlurmError(
                f"pyslurm {output.pyslurm} found libslurm {output.libslurm}; rebuild pyslurm for that Slurm"
            )
        return output

    def _match(self, versions: WorkerOutput) -> None:
        """pyslurm works only with the Slurm it was built for, and does not check that itself."""
        theirs = self.commands.output("scontrol", "-V").split()[-1]
        if shared_release(theirs) != shared_release(versions.pyslurm):
            raise SlurmError(f"pyslurm {versions.pyslurm} is not for Slurm {theirs}; install the one that is")
        self.matched.add(shared_release(theirs))

    def either(self, what: str, ours: Callable[[], _Value], theirs: Callable[[], _Value]) -> _Value:
        """pyslurm's answer, or the commands' where pyslurm has none; logs each change between them."""
        try:
            answer = ours()
        except SlurmError as error:
            why = str(error)
        else:
            with self.lock:
                if self.refused.pop(what, None):
                    _log.info("reading %s through pyslurm again", what)
            return answer
        with self.lock:
            if self.refused.get(what) != why:
                _log.warning("reading %s through Slurm's commands instead of pyslurm: %s", what, why)
            self.refused[what] = why
        return theirs()


def shared_release(text: str) -> str:
    """The part of a version that pyslurm and Slurm must have in common.

    >>> shared_release("25.11.2"), shared_release("25.11.7-1")
    ('25.11', '25.11')
    """
    return ".".join(text.split(".")[:2])


@dataclass(frozen=True, slots=True)
class LibrarySlurm(Slurm):
    """One cluster, through pyslurm where it answers and through the commands for everything else."""

    library: Library

    def _queue(self) -> list[Queued | Rejected]:
        return self._either("queue", lambda jobs: objects.queue_of_objects(self.cluster, jobs), Slurm._queue)

    def diagnostics(self) -> Diagnostics:
        """slurmctld's report of its own health."""
        return self._either("diagnostics", objects.diagnostics_of_objects, Slurm.diagnostics)

    def _nodes(self) -> list[Node | Rejected]:
        return self._either("nodes", objects.nodes_of_objects, Slurm._nodes)

    def _settings(self) -> PriorityConfig:
        return self._either("settings", objects.priority_of_objects, Slurm._settings)

    def _tree(self) -> list[AssociationRow | Rejected]:
        return self._either(
            "associations", lambda rows: objects.tree_of_objects(self.cluster, rows), Slurm._tree
        )

    def refused(self) -> dict[str, str]:
        """The reads to which pyslurm had no answer, each with the reason."""
        with self.library.lock:
            return dict(self.library.refused)

    def _either(
        self, question: str, ours: Callable[[Any], _Value], theirs: Callable[[Slurm], _Value]
    ) -> _Value:
        return self.library.either(question, lambda: ours(self.library.ask(question)), lambda: theirs(self))
