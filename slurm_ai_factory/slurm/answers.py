"""slurmrestd's answers: which version of its API reports what, and its rows in the newest shape. Pure.

``API`` is the table of the versions, one row for each; a new release of Slurm is one more row. A row's
adapter turns an answer of that version into one of the next, so that only the newest version is read. An
answer of another shape is an error that names the version, never a number.
Tested in tests/slurm/test_answers.py and, on real ones, in tests/slurm/test_contract.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import FINISHED, STATES, Association, Node, Rejected, Run
from slurm_ai_factory.errors import SlurmError, SlurmUnsupportedError, reason
from slurm_ai_factory.slurm import objects, parse, shares
from slurm_ai_factory.slurm.fields import each

_NO_VALS = (4294967294, 4294967294.0)
_FLAGS = STATES - {
    "PENDING", "RUNNING", "SUSPENDED", *FINISHED,
}  # fmt: skip
"""The words that may stand beside a base state; Slurm's commands print them in its place."""


class _Jobs(msgspec.Struct):
    """A row of ``jobs`` of slurmctld; numbers are {set, infinite, number} from v0.0.39 or v0.0.40 on."""

    job_id: Any
    array_job_id: Any
    array_task_string: Any
    het_job_id: Any
    account: Any
    user_name: Any
    partition: Any
    qos: Any
    wckey: Any
    resv_name: Any
    cluster: Any
    job_state: Any
    state_reason: Any
    state_description: Any
    priority: Any
    eligible_time: Any
    time_limit: Any
    tres_alloc_str: Any
    tres_req_str: Any


class _Nodes(msgspec.Struct):
    name: Any
    tres: Any


class _Statistics(msgspec.Struct):
    req_time: Any
    dbd_agent_queue_size: Any
    bf_when_last_cycle: Any
    bf_last_depth: Any
    bf_queue_len: Any


class _Associations(msgspec.Struct):
    account: Any
    user: Any
    partition: Any
    parent_account: Any
    shares_raw: Any
    cluster: Any


class _Shares(msgspec.Struct):
    id: Any
    name: Any
    parent: Any
    partition: Any
    type: Any
    shares: Any
    shares_normalized: Any
    usage: Any
    effective_usage: Any
    fairshare: Any


class _Runs(msgspec.Struct):
    """A row of ``jobs`` of slurmdbd, which has the number of a run (SLUID) from v0.0.45 on."""

    sluid: str
    job_id: int
    array: dict[str, Any]
    het: dict[str, Any]
    cluster: str
    account: str
    user: str
    partition: str
    qos: str
    wckey: dict[str, Any]
    reservation: dict[str, Any]
    comment: dict[str, Any]
    state: dict[str, Any]
    time: dict[str, Any]
    tres: dict[str, Any]


def _number(value: Any) -> dict[str, Any]:
    """A plain number as later versions write it; None and NO_VAL are unset."""
    known = value is not None and value not in _NO_VALS
    return {"set": known, "infinite": False, "number": value if known else 0}


def _from_38(row: Any) -> None:
    """v0.0.38 (22.05) has plain numbers, and null where there is none.

    v0.0.39 (23.02) writes most numbers as {set, infinite, number}.
    """
    if isinstance(row, _Jobs):
        for name in ("array_job_id", "het_job_id", "priority", "time_limit"):
            setattr(row, name, _number(getattr(row, name)))


def _from_39(row: Any) -> None:
    """v0.0.39 has one word for a job's state and plain times; v0.0.40 (23.11) a list and numbers."""
    if isinstance(row, _Jobs):
        row.job_state = [row.job_state]
        row.eligible_time = _number(row.eligible_time)
    if isinstance(row, _Statistics):
        row.req_time, row.bf_when_last_cycle = _number(row.req_time), _number(row.bf_when_last_cycle)


def _from_41(row: Any) -> None:
    """v0.0.41 has plain numbers for shares, and NO_VAL for an unset LevelFS; v0.0.42 (24.11) {set, ...}."""
    if isinstance(row, _Shares):
        row.effective_usage = _number(row.effective_usage)
        row.fairshare = {"level": _number(row.fairshare["level"])}


class Api(NamedTuple):
    """A version of slurmrestd's API, the first Slurm with it, and the step to the next version."""

    version: str
    since: str
    adapt: Callable[[Any], None] = lambda _: None


API = (
    Api("v0.0.38", "22.05", _from_38),
    Api("v0.0.39", "23.02", _from_39),
    Api("v0.0.40", "23.11"),  # v0.0.41 has another id of associations, which nothing here reads
    Api("v0.0.41", "24.05", _from_41),
    Api("v0.0.42", "24.11"),  # v0.0.43 adds fields
    Api("v0.0.43", "25.05"),  # v0.0.44 adds fields
    Api("v0.0.44", "25.11"),  # v0.0.45 adds the SLUID of a run, without which runs are not read: see READS
    Api("v0.0.45", "26.05"),
)
_ORDER = {row.version: place for place, row in enumerate(API)}


class RestRead(NamedTuple):
    """Something slurmrestd is asked, from the version on that reports all of it."""

    what: str
    since: str
    path: str  #: of the API, without its version
    lacks: str  #: why earlier versions are not asked


QUEUE = RestRead("queue", "v0.0.38", "/slurm/{}/jobs", "")
NODES = RestRead("nodes", "v0.0.38", "/slurm/{}/nodes", "")
DIAGNOSTICS = RestRead("diagnostics", "v0.0.39", "/slurm/{}/diag", "the depth of the last backfill cycle")
SHARES = RestRead("associations", "v0.0.40", "/slurm/{}/shares", "shares and usage")
ASSOCIATIONS = RestRead("associations", "v0.0.40", "/slurmdb/{}/associations", "shares and usage")
RUNS = RestRead("runs", "v0.0.45", "/slurmdb/{}/jobs", "the number that distinguishes two runs of a job")
READS = (QUEUE, NODES, DIAGNOSTICS, SHARES, ASSOCIATIONS, RUNS)


class _OpenApi(msgspec.Struct):
    paths: dict[str, msgspec.Raw]


def offered(body: bytes) -> frozenset[str]:
    """The paths in slurmrestd's description of itself (/openapi/v3). Raises ValueError."""
    return frozenset(path.rstrip("/") for path in msgspec.json.decode(body, type=_OpenApi).paths)


def newest(paths: Collection[str]) -> str:
    """The newest version that both sides know. Raises SlurmError.

    >>> newest(["/slurm/v0.0.41/jobs", "/slurmdb/v0.0.42/jobs", "/slurm/v0.0.99/jobs"])
    'v0.0.42'
    """
    offers = {word for path in paths for word in path.split("/") if re.fullmatch(r"v\d+\.\d+\.\d+", word)}
    known = sorted(offers & _ORDER.keys(), key=_ORDER.__getitem__)
    if not known:
        raise SlurmError(
            f"slurmrestd offers {', '.join(sorted(offers)) or 'no version of its API'}, and this release of "
            f"saf reads {API[0].version} to {API[-1].version}; install the release for that Slurm, or set "
            'slurm.source = "commands"'
        )
    return known[-1]


def path(question: RestRead, version: str, paths: Collection[str]) -> str:
    """The question's path. Raises SlurmUnsupportedError where this version does not report all of it."""
    place = question.path.format(version)
    if _ORDER[version] < _ORDER[question.since]:
        raise SlurmUnsupportedError(
            f"slurmrestd {version} does not report {question.lacks}, so {question.what} needs "
            f"{question.since} or later"
        )
    if place not in paths:
        raise SlurmUnsupportedError(f"slurmrestd does not offer {place}; see its options -d and -s")
    return place


class _Meta(msgspec.Struct):
    errors: list[Any] = []
    warnings: list[Any] = []
    meta: dict[str, Any] = {}


class Remarks(NamedTuple):
    """What an answer says of itself."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    cluster: str  #: empty before v0.0.40


def remarks(body: bytes) -> Remarks:
    """An answer's errors and warnings in words, and its cluster. Raises ValueError."""
    answer = msgspec.json.decode(body, type=_Meta)
    about = answer.meta.get("slurm", {})
    return Remarks(
        tuple(map(_words, answer.errors)), tuple(map(_words, answer.warnings)),
        str(about.get("cluster", "")) if isinstance(about, dict) else "",
    )  # fmt: skip


def _words(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return ": ".join(str(item[name]) for name in ("error", "description") if item.get(name))


class _OfQueue(msgspec.Struct):
    jobs: list[_Jobs]


class _OfNodes(msgspec.Struct):
    nodes: list[_Nodes]


class _OfHealth(msgspec.Struct):
    statistics: _Statistics


class _OfTree(msgspec.Struct):
    associations: list[_Associations]


class _Listed(msgspec.Struct):
    shares: list[_Shares]


class _OfShares(msgspec.Struct):
    shares: _Listed


class _OfRuns(msgspec.Struct):
    jobs: list[_Runs]


def _read(version: str, what: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SlurmError(
            f"slurmrestd {version} reports {what} in an unknown shape: {reason(error)}; nothing of it was "
            "used: see whether this release of saf supports that version of Slurm"
        ) from error


def _risen(version: str, rows: list[Any]) -> list[Any]:
    """The rows as the newest version would have them."""
    for step in API[_ORDER[version] : -1]:
        for row in rows:
            step.adapt(row)
    return rows


def _value(number: Any) -> int | float | None:
    """{set, infinite, number}: None where it is unset or infinite. Raises TypeError."""
    if number["infinite"] or not number["set"]:
        return None
    value: int | float = number["number"]
    return value


def _state(words: Any) -> str:
    """One word for a list of them, as squeue and sacct print it.

    >>> _state(["RUNNING", "COMPLETING"]), _state(["PENDING"])
    ('COMPLETING', 'PENDING')
    """
    if not words:
        raise ValueError("a job without a state")
    return next((str(word) for word in words if word in _FLAGS), str(words[0]))


def queue(cluster: str, version: str, body: bytes) -> list[Queued | Rejected]:
    """Every job that waits or runs on this cluster. Raises SlurmError."""
    rows = _read(
        version, "the queue",
        lambda: [_job(row) for row in _risen(version, msgspec.json.decode(body, type=_OfQueue).jobs)],
    )  # fmt: skip
    ours = [row for row in rows if row["cluster"] == cluster]
    if rows and not ours:
        raise SlurmError(
            f"slurmrestd's jobs are those of cluster {rows[0]['cluster']}, not {cluster}; see slurm.rest_url"
        )
    return objects.queue_of_objects(cluster, ours, "slurmrestd")


def _job(row: Any) -> dict[str, Any]:
    """A row as ``objects`` reads it; SLURM_BITSTR_LEN=0 keeps slurmrestd from cutting a list of tasks."""
    listed, _, limit = row.array_task_string.partition("%")
    minutes = _value(row.time_limit)
    return {
        "id": row.job_id, "array_id": _value(row.array_job_id) or None, "array_tasks_waiting": listed or None,
        "array_tasks_parallel": int(limit) if limit.isdigit() else None,
        "heterogeneous_id": _value(row.het_job_id) or None, "account": row.account,
        "user_name": row.user_name, "partition": row.partition, "qos": row.qos,
        "wckey": row.wckey, "reservation": row.resv_name,
        "state": _state(row.job_state), "state_reason": row.state_description or row.state_reason,
        "priority": _value(row.priority), "eligible_time": _value(row.eligible_time) or None,
        "time_limit": minutes, "tres": row.tres_alloc_str or row.tres_req_str, "cluster": row.cluster,
    }  # fmt: skip


def nodes(version: str, body: bytes) -> list[Node | Rejected]:
    """Each node with its configured TRES. Raises SlurmError."""
    rows = _read(version, "nodes", lambda: _risen(version, msgspec.json.decode(body, type=_OfNodes).nodes))
    pairs = [(str(row.name), str(row.tres)) for row in rows]
    return list(each(lambda pair: Node(pair[0], tres.canonical(f"{pair[1]},node=1")), pairs))


def diagnostics(version: str, body: bytes) -> Diagnostics:
    """slurmctld's report of its own health. Raises SlurmError."""

    def read() -> Diagnostics:
        (row,) = _risen(version, [msgspec.json.decode(body, type=_OfHealth).statistics])
        return objects.diagnostics_of_objects({
            "request_time": _value(row.req_time), "dbd_agent_queue_size": row.dbd_agent_queue_size,
            "backfill_cycle_last_when": _value(row.bf_when_last_cycle) or 0,
            "backfill_last_depth": row.bf_last_depth, "backfill_queue_length": row.bf_queue_len,
        }, "slurmrestd")  # fmt: skip

    health: Diagnostics = _read(version, "slurmctld's health", read)
    return health


Key = tuple[str, str, str]
"""Account, user and partition of an association."""


def associations(
    cluster: str, version: str, stored: bytes, live: bytes
) -> tuple[tuple[Association, ...], list[Rejected]]:
    """The association tree: slurmdbd's shares with slurmctld's and usage, by name. Raises SlurmError.

    JSON escapes whatever a name contains, so that names are certain here. slurmrestd's associations have no
    usable number on 24.11, and the one in ``shares`` is used.
    """

    def read() -> tuple[tuple[Association, ...], list[Rejected]]:
        rows = _risen(version, msgspec.json.decode(live, type=_OfShares).shares.shares)
        of_slurmdbd = _risen(version, msgspec.json.decode(stored, type=_OfTree).associations)
        usage = shares.from_plain([msgspec.to_builtins(row) for row in rows])
        numbers = {_key_of_shares(row): row.id for row in rows}
        tree = list(_tree([row for row in of_slurmdbd if row.cluster == cluster], numbers))
        by_id = dict(row for row in usage if not isinstance(row, Rejected))
        odd = [row for row in usage if isinstance(row, Rejected)]
        return parse.parse_associations(cluster, tree, by_id), odd

    answer: tuple[tuple[Association, ...], list[Rejected]] = _read(version, "associations", read)
    return answer


def _key_of_shares(row: Any) -> Key:
    account, user = (row.parent, row.name) if "USER" in row.type else (row.name, "")
    return account, user, row.partition


def _tree(rows: list[Any], numbers: Mapping[Key, int]) -> Iterator[parse.AssociationRow]:
    """The rows with slurmctld's numbers, and numbers below 0 for those that slurmctld does not have yet."""
    keys = [(row.account, row.user or "", row.partition or "") for row in rows]
    ids = {key: numbers.get(key, -1 - place) for place, key in enumerate(keys)}
    for row, key in zip(rows, keys, strict=True):
        above = row.account if key[1] else row.parent_account
        yield parse.AssociationRow(ids[key], ids[above, "", ""] if above else 0, int(row.shares_raw), *key)


def runs_of_json(cluster: str, version: str, body: bytes) -> list[Run | Rejected]:
    """The runs of an answer. Raises SlurmError."""
    rows: list[list[str]] = _read(
        version, "runs", lambda: [_fields(row) for row in msgspec.json.decode(body, type=_OfRuns).jobs]
    )
    if other := {row[13] for row in rows} - {cluster}:
        raise SlurmError(
            f"slurmrestd reported runs of cluster {min(other)}, not of {cluster}; see slurm.rest_url"
        )
    return list(each(parse.run_of_fields, rows))


def _fields(row: Any) -> list[str]:
    """A run as sacct's fields of parse.RUN_FIELDS."""
    number, at = str(sluid(row.sluid)), row.time
    return [
        number, str(row.job_id), str(row.reservation["id"]), str(at["submission"]), str(at["eligible"]),
        str(at["start"]), str(at["end"]), str(at["elapsed"]), f"00:{at['suspended']}",
        _tres(row.tres["requested"]), _tres(row.tres["allocated"]), _state(row.state["current"]), _label(row),
        row.cluster, row.account, row.user, row.partition, row.qos, row.wckey["wckey"],
        row.reservation["name"], row.comment["job"], number,
    ]  # fmt: skip


def _label(row: Any) -> str:
    """The JobID as sacct prints it."""
    task, offset = _value(row.array["task_id"]), _value(row.het["job_offset"])
    if task is not None:
        return f"{row.array['job_id']}_{task}"
    if row.array["task"]:
        return f"{row.job_id}_[{row.array['task']}]"
    return f"{row.het['job_id']}+{offset}" if row.het["job_id"] else str(row.job_id)


def _tres(counts: Any) -> str:
    """TRES as sacct writes them; memory is in MiB, and a negative energy is none."""
    entries = [
        (f"{item['type']}/{item['name']}" if item["name"] else item["type"], item["count"]) for item in counts
    ]
    unit = {"mem": "M"}
    return ",".join(
        f"{name}={count}{unit.get(name, '')}"
        for name, count in entries
        if not (name == "energy" and count < 0)
    )


_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def sluid(text: str) -> int:
    """The DBIndex in a SLUID: 13 digits of base 32 after an s (sluid.c). Raises ValueError.

    >>> sluid("sECHM8GJJ32E00"), sluid("s0000000000010")
    (16593099980364920832, 32)
    """
    if not re.fullmatch(f"[sS][{_DIGITS}]{{13}}", text):
        raise ValueError(f"{text!r} is not a SLUID")
    value = 0
    for digit in text[1:]:
        value = value * 32 + _DIGITS.index(digit)
    return value
