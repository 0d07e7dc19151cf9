"""The program that imports pyslurm, in a process of its own: one question, one line of JSON on stdout.

    PYTHON -I worker.py QUESTION

Rule: nothing of the product imports this file, and this file imports nothing of the product, so that any
Python from 3.9 on that has pyslurm can run it. libslurm may end or freeze the process. pyslurm prints unknown
TRES to stdout, so the answer goes to the original stdout, and everything else to stderr. Tested in
tests/slurm/test_library.py.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

JOB = (
    "id", "array_id", "array_tasks_waiting", "array_tasks_parallel", "heterogeneous_id", "account",
    "user_name", "partition", "qos", "wckey", "reservation", "state", "state_reason", "priority",
    "eligible_time", "time_limit",
)  # fmt: skip
DIAGNOSTICS = (
    "request_time", "dbd_agent_queue_size", "backfill_cycle_last_when", "backfill_last_depth",
    "backfill_queue_length",
)  # fmt: skip
SETTINGS = (
    "cluster_name", "version", "priority_type", "priority_decay_half_life", "priority_calc_period",
    "priority_weight_fair_share", "priority_weight_age", "priority_flags", "accounting_storage_enforce",
    "accounting_storage_tres", "private_data", "priority_usage_reset_period", "slurm_user_name",
)  # fmt: skip
ASSOCIATION = ("cluster", "id", "parent_account_id", "account", "user", "partition", "shares")
NODE = ("name", "effective_cpus", "real_memory", "configured_gres")
COUNTS = ("cpu", "mem", "node", "billing", "vmem", "pages")
NAMED_COUNTS = {"gres": "gres", "license": "license", "fs": "fs", "interconnect": "ic"}

Plain = dict[str, Any]


def plain(item: Any, names: Sequence[str]) -> Plain:
    """The attributes of these names. Raises AttributeError."""
    return {name: getattr(item, name) for name in names}


def queue(pyslurm: Any) -> list[Plain]:
    return [
        dict(plain(job, JOB), tres=tres(job.allocated_tres) or tres(job.requested_tres))
        for job in pyslurm.Jobs.load().values()
    ]


def tres(counted: Any) -> Plain | None:
    """Counts by Slurm's names, memory in MiB; None where there are none."""
    if counted is None:
        return None
    counts = {name: getattr(counted, name) for name in COUNTS}
    for kind, slurms in NAMED_COUNTS.items():
        counts.update((slurms + "/" + name, item) for name, item in getattr(counted, kind).items())
    counts.update(counted.other)
    return {name: item.count for name, item in counts.items() if item is not None}


def diagnostics(pyslurm: Any) -> Plain:
    return plain(pyslurm.slurmctld.diag(), DIAGNOSTICS)


def settings(pyslurm: Any) -> Plain:
    return plain(pyslurm.slurmctld.Config.load(), SETTINGS)


def associations(pyslurm: Any) -> list[Plain]:
    return [plain(row, ASSOCIATION) for row in pyslurm.db.Associations.load().values()]


def nodes(pyslurm: Any) -> list[Plain]:
    return [plain(node, NODE) for node in pyslurm.Nodes.load().values()]


QUESTIONS: Mapping[str, Callable[[Any], Any]] = {
    question.__name__: question for question in (queue, diagnostics, settings, associations, nodes)
}


def imported() -> Any:
    """pyslurm, not yet connected to Slurm: a connection at import might end this process."""
    os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"
    import pyslurm

    return pyslurm


def answer(question: str) -> Plain:
    """The answer, with the versions of pyslurm and of the libslurm it found."""
    pyslurm = imported()
    versions = {
        "pyslurm": str(pyslurm.version.__version__),
        "libslurm": ".".join(map(str, pyslurm.slurm_api_version())),
    }
    if question == "versions":
        return dict(versions, answer=None)
    pyslurm.slurm_init()
    return dict(versions, answer=QUESTIONS[question](pyslurm))


def why(error: BaseException) -> str:
    """One line for the operator."""
    text = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and error.name == "pyslurm":
        return f"pyslurm is not installed for {sys.executable}: install it there, or set slurm.python"
    if isinstance(error, ImportError):
        return f"pyslurm cannot be imported: {text}"
    return f"{type(error).__name__}: {text}"


def main(arguments: Sequence[str]) -> NoReturn:
    """Print the answer, or what went wrong as one line on stderr; exit without tearing libslurm down."""
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        stdout.write(json.dumps(answer(*arguments)) + "\n")
        stdout.flush()
    except Exception as error:
        sys.stderr.write(why(error) + "\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
