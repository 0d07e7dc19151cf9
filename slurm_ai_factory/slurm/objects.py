"""Turns the worker's answers, pyslurm's objects as JSON, into the values that the commands' text gives. Pure.

An answer of another shape raises SlurmError, and nothing of it is used. A job or a node that cannot be read
becomes a Rejected, as with the commands. What pyslurm 25.11 gets wrong is refused or corrected here, each
with a test.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.charge import array_tasks
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import FINISHED, FOREVER, Node, PriorityConfig, Rejected, Subject
from slurm_ai_factory.errors import SlurmError, reason
from slurm_ai_factory.slurm import parse
from slurm_ai_factory.slurm.fields import rejected
from slurm_ai_factory.slurm.parse import AssociationRow

WorkerAnswer = Any
_Value = TypeVar("_Value")

NAMES = ("account", "user_name", "partition", "qos", "wckey", "reservation")


def _read(what: str, read: Callable[[], _Value], teller: str = "pyslurm") -> _Value:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SlurmError(f"{teller}'s {what} cannot be read: {reason(error)}") from error


def _rows(answer: WorkerAnswer) -> list[Any]:
    if not isinstance(answer, list):
        raise TypeError(f"{answer!r} is not a list")
    return answer


def _each(rows: WorkerAnswer, read: Callable[[Any], _Value]) -> Iterator[_Value | Rejected]:
    """Each object as ``read`` gives it, or a Rejected. Raises TypeError where the answer is not objects."""
    for row in _rows(rows):
        if not isinstance(row, dict):
            raise TypeError(f"{row!r} is not an object")
        try:
            yield read(row)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield rejected(json.dumps(row), repr(error))


def queue_of_objects(cluster: str, answer: WorkerAnswer, teller: str = "pyslurm") -> list[Queued | Rejected]:
    """Every job that waits or runs. Raises SlurmError."""

    def present() -> list[Any]:
        return [job for job in _rows(answer) if not isinstance(job, dict) or job.get("state") not in FINISHED]

    return _read("queue", lambda: list(_each(present(), lambda job: _queued(cluster, job))), teller)


def _queued(cluster: str, job: Mapping[str, Any]) -> Queued:
    tasks, task_limit = _tasks(job)
    state = _text(job["state"])
    if not (tasks and state and job["partition"]):
        raise ValueError("a job without tasks, state or partition")
    limit = _natural_or_none(job["time_limit"])
    return Queued(
        job_id=_natural(job["id"]),
        array_id=_natural_or_none(job["array_id"]),
        tasks=tasks,
        task_limit=task_limit,
        het_id=_natural_or_none(job["heterogeneous_id"]),
        subject=Subject(cluster, *(_text(job[name] or "") for name in NAMES)),
        state=state,
        reason=_text(job["state_reason"]),
        priority=_natural(job["priority"]),
        eligible_at=_natural_or_none(job["eligible_time"]),
        limit_seconds=None if limit is None else limit * 60,
        tres=_canonical(job["tres"] or {}),
    )


def _tasks(job: Mapping[str, Any]) -> tuple[int, int | None]:
    """The number of waiting tasks, and how many may run at once; None without a limit. Raises ValueError.

    A task's own number does not count: pyslurm has none for the first task. libslurm cuts long lists unless
    SLURM_BITSTR_LEN is 0, and slurmdbd has hexadecimal maps instead: both are refused.
    """
    waiting = job["array_tasks_waiting"]
    if waiting is None:
        return 1, None
    if not re.fullmatch(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*", _text(waiting)):
        raise ValueError(f"{waiting!r} is not a list of tasks")
    return array_tasks(waiting)[0], _natural_or_none(job["array_tasks_parallel"])


def _canonical(counts: Mapping[str, Any] | str) -> str:
    """The TRES of counts, or of Slurm's own text. Raises ValueError."""
    if isinstance(counts, str):
        return tres.canonical(counts)
    return tres.canonical(",".join(f"{name}={_natural(count)}" for name, count in counts.items()))


def diagnostics_of_objects(answer: WorkerAnswer, teller: str = "pyslurm") -> Diagnostics:
    """slurmctld's report of its own health. Raises SlurmError."""
    return _read(
        "diagnostics",
        lambda: Diagnostics(
            at=_natural(answer["request_time"]),
            agent_queue=_natural(answer["dbd_agent_queue_size"]),
            backfill_last_at=_natural(answer["backfill_cycle_last_when"]) or None,
            backfill_depth=_natural(answer["backfill_last_depth"]),
            backfill_queue=_natural(answer["backfill_queue_length"]),
        ),
        teller,
    )


def priority_of_objects(answer: WorkerAnswer) -> PriorityConfig:
    """slurmctld's own configuration. Raises SlurmError."""
    return _read("settings", lambda: _priority_config(answer))


def _priority_config(values: Mapping[str, Any]) -> PriorityConfig:
    return PriorityConfig(
        cluster=_named(values["cluster_name"]),
        version=_named(values["version"]),
        priority_type=_named(values["priority_type"]),
        decay_half_life_seconds=_natural_or_none(values["priority_decay_half_life"]) or 0,
        calc_period_seconds=_natural_or_none(values["priority_calc_period"]) or 0,
        weight_fairshare=_natural(values["priority_weight_fair_share"]),
        weight_age=_natural(values["priority_weight_age"]),
        flags=_words(values["priority_flags"]),
        enforce=tuple(word.lower() for word in _words(values["accounting_storage_enforce"])),
        tres=_words(values["accounting_storage_tres"]),
        private_data=_words(values["private_data"]),
        usage_reset=_text(values["priority_usage_reset_period"] or "NONE"),
        slurm_user=_named(values["slurm_user_name"]),
    )


def tree_of_objects(cluster: str, answer: WorkerAnswer) -> list[AssociationRow | Rejected]:
    """The cluster's associations, out of those of all clusters, which pyslurm gives. Raises SlurmError.

    A single row without numbers is an error: control needs every row.
    """
    return _read("associations", lambda: _tree([row for row in _rows(answer) if row["cluster"] == cluster]))


def _tree(rows: list[Any]) -> list[AssociationRow | Rejected]:
    numbers = {
        _natural(row["id"]): (_natural(row["parent_account_id"]), _natural(row["shares"])) for row in rows
    }
    names = {
        row["id"]: (_named(row["account"]), _text(row["user"] or ""), _text(row["partition"] or ""))
        for row in rows
    }
    return list(parse.association_tree(numbers, names))


def nodes_of_objects(answer: WorkerAnswer) -> list[Node | Rejected]:
    """Each node with its configured TRES; pyslurm has no billing. Raises SlurmError."""
    return _read("nodes", lambda: list(_each(answer, _node)))


def _node(node: Mapping[str, Any]) -> Node:
    counts = Counter(
        {"cpu": _natural(node["effective_cpus"]), "mem": _natural(node["real_memory"]), "node": 1}
    )
    for name, count in node["configured_gres"].items():
        kind = name.partition(":")[0]
        counts[f"gres/{kind}"] += _natural(count)
        if kind != name:
            counts[f"gres/{name}"] += count
    return Node(_named(node["name"]), _canonical(counts))


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value <= FOREVER:
        raise ValueError(f"{value!r} is not a natural number")
    return value


def _natural_or_none(value: object) -> int | None:
    return None if value is None else _natural(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _named(value: object) -> str:
    if not _text(value):
        raise ValueError("a name is empty")
    return _text(value)


def _words(values: WorkerAnswer) -> tuple[str, ...]:
    return tuple(map(_named, _rows(values)))
