"""The worker's answers, which are pyslurm's objects as JSON, to the values that the commands' text gives.

Pure. An answer of another shape raises SlurmError: nothing of it is used then. A job or a node that cannot be
read is told as a Rejected, as with the commands. What
pyslurm 25.11 gets wrong is refused or put right here, each with a test (tests/slurm/test_objects.py).
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


def _read(what: str, read: Callable[[], _Value]) -> _Value:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SlurmError(f"pyslurm's {what} cannot be read: {reason(error)}") from error


def _rows(answer: WorkerAnswer) -> list[Any]:
    if not isinstance(answer, list):
        raise TypeError(f"{answer!r} is no list")
    return answer


def _each(rows: WorkerAnswer, read: Callable[[Any], _Value]) -> Iterator[_Value | Rejected]:
    """Each object as it is read, or as what cannot be read. Raises TypeError where there are no objects."""
    for one in _rows(rows):
        if not isinstance(one, dict):
            raise TypeError(f"{one!r} is no object")
        try:
            yield read(one)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield rejected(json.dumps(one), repr(error))


def queue_of_objects(cluster: str, answer: WorkerAnswer) -> list[Queued | Rejected]:
    """Everything that waits or runs."""
    return _read(
        "queue",
        lambda: list(
            _each([one for one in _rows(answer) if _is_there(one)], lambda job: _queued(cluster, job))
        ),
    )


def _is_there(job: Any) -> bool:
    return not isinstance(job, dict) or job.get("state") not in FINISHED


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
    """Of the tasks that wait. A task's own number is not asked for: of the first one pyslurm tells none.

    libslurm cuts long lists off unless SLURM_BITSTR_LEN is 0, and slurmdbd has hexadecimal maps in their
    place: either is refused.
    """
    waiting = job["array_tasks_waiting"]
    if waiting is None:
        return 1, None
    if not re.fullmatch(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*", _text(waiting)):
        raise ValueError(f"{waiting!r} is no list of tasks")
    return array_tasks(waiting)[0], _natural_or_none(job["array_tasks_parallel"])


def _canonical(counts: Mapping[str, Any]) -> str:
    return tres.canonical(",".join(f"{name}={_natural(count)}" for name, count in counts.items()))


def diagnostics_of_objects(answer: WorkerAnswer) -> Diagnostics:
    """What slurmctld says of its own health."""
    return _read(
        "diagnostics",
        lambda: Diagnostics(
            at=_natural(answer["request_time"]),
            agent_queue=_natural(answer["dbd_agent_queue_size"]),
            backfill_last_at=_natural(answer["backfill_cycle_last_when"]) or None,
            backfill_depth=_natural(answer["backfill_last_depth"]),
            backfill_queue=_natural(answer["backfill_queue_length"]),
        ),
    )


def priority_of_objects(answer: WorkerAnswer) -> PriorityConfig:
    """slurmctld's own configuration."""
    return _read("settings", lambda: _priority_config(answer))


def _priority_config(found: Mapping[str, Any]) -> PriorityConfig:
    return PriorityConfig(
        cluster=_named(found["cluster_name"]),
        version=_named(found["version"]),
        priority_type=_named(found["priority_type"]),
        decay_half_life_seconds=_natural_or_none(found["priority_decay_half_life"]) or 0,
        calc_period_seconds=_natural_or_none(found["priority_calc_period"]) or 0,
        weight_fairshare=_natural(found["priority_weight_fair_share"]),
        weight_age=_natural(found["priority_weight_age"]),
        flags=_words(found["priority_flags"]),
        enforce=tuple(one.lower() for one in _words(found["accounting_storage_enforce"])),
        tres=_words(found["accounting_storage_tres"]),
        private_data=_words(found["private_data"]),
        usage_reset=_text(found["priority_usage_reset_period"] or "NONE"),
        slurm_user=_named(found["slurm_user_name"]),
    )


def tree_of_objects(cluster: str, answer: WorkerAnswer) -> list[AssociationRow | Rejected]:
    """The associations; pyslurm cannot be asked for one cluster, and tells of all.

    One without numbers spoils them all: what the control steers by has every row.
    """
    return _read("associations", lambda: _tree([one for one in _rows(answer) if one["cluster"] == cluster]))


def _tree(rows: list[Any]) -> list[AssociationRow | Rejected]:
    numbers = {
        _natural(one["id"]): (_natural(one["parent_account_id"]), _natural(one["shares"])) for one in rows
    }
    names = {
        one["id"]: (_named(one["account"]), _text(one["user"] or ""), _text(one["partition"] or ""))
        for one in rows
    }
    return list(parse.association_tree(numbers, names))


def nodes_of_objects(answer: WorkerAnswer) -> list[Node | Rejected]:
    """Each node with what it is configured to have; pyslurm tells no billing."""
    return _read("nodes", lambda: list(_each(answer, _node)))


def _node(one: Mapping[str, Any]) -> Node:
    counts = Counter({"cpu": _natural(one["effective_cpus"]), "mem": _natural(one["real_memory"]), "node": 1})
    for name, count in one["configured_gres"].items():
        kind = name.partition(":")[0]
        counts[f"gres/{kind}"] += _natural(count)
        if kind != name:
            counts[f"gres/{name}"] += count
    return Node(_named(one["name"]), _canonical(counts))


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value <= FOREVER:
        raise ValueError(f"{value!r} is not a natural number")
    return value


def _natural_or_none(value: object) -> int | None:
    return None if value is None else _natural(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _named(value: object) -> str:
    if not _text(value):
        raise ValueError("a name is empty")
    return _text(value)


def _words(values: WorkerAnswer) -> tuple[str, ...]:
    return tuple(map(_named, _rows(values)))
