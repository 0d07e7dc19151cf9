"""slurmrestd's answers of every version of its API: one meaning, or an error, whatever they contain."""

from __future__ import annotations

import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.live.health import Diagnostics
from slurm_ai_factory.core.records import Node, Rejected, Run, Subject
from slurm_ai_factory.errors import SlurmError, SlurmUnsupportedError
from slurm_ai_factory.slurm import answers
from slurm_ai_factory.slurm.answers import API, READS

VERSIONS = [row.version for row in API]
NEWEST = VERSIONS[-1]


def number(value: float | None, *, infinite: bool = False) -> dict[str, Any]:
    return {"set": value is not None, "infinite": infinite, "number": value or 0}


def body(**parts: object) -> bytes:
    return json.dumps(parts).encode()


def job(version: str, **other: object) -> dict[str, Any]:
    """A waiting array as each version writes it."""
    row: dict[str, Any] = {
        "job_id": 6, "array_job_id": 6, "array_task_string": "0-9%3", "het_job_id": 0, "account": "umcg",
        "user_name": "games", "partition": "main", "qos": "normal", "wckey": "", "resv_name": "",
        "cluster": "loop", "job_state": "PENDING", "state_reason": "Priority", "state_description": "",
        "priority": 6785, "eligible_time": 1795852516, "time_limit": 11, "tres_alloc_str": "",
        "tres_req_str": "cpu=2,mem=1000M,node=1,billing=2",
    }  # fmt: skip
    if version != "v0.0.38":
        row |= {name: number(row[name]) for name in ("array_job_id", "het_job_id", "priority", "time_limit")}
    if version not in ("v0.0.38", "v0.0.39"):
        row |= {"job_state": ["PENDING"], "eligible_time": number(1795852516)}
    return row | other


QUEUED = Queued(
    job_id=6, array_id=6, tasks=10, task_limit=3, het_id=None,
    subject=Subject("loop", "umcg", "games", "main", "normal", "", ""), state="PENDING", reason="Priority",
    priority=6785, eligible_at=1795852516, limit_seconds=660, tres="billing=2,cpu=2,mem=1000,node=1",
)  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_a_job_means_the_same_in_every_version(version: str) -> None:
    assert answers.queue("loop", version, body(jobs=[job(version)])) == [QUEUED]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"job_state": ["COMPLETED"]}, []),
        ({"cluster": "elsewhere"}, SlurmError),
        ({"job_state": ["RUNNING", "COMPLETING"]}, ["COMPLETING"]),
        ({"array_task_string": "1,3,5..."}, [Rejected]),
        ({"priority": number(None)}, [Rejected]),
        ({"tres_req_str": "cpu=-1"}, [Rejected]),
        ({"account": "a|b\nc"}, ["PENDING"]),
        ({"priority": 5}, SlurmError),
        ({"job_state": []}, SlurmError),
        ({"array_task_string": None}, SlurmError),
    ],
)
def test_an_odd_job_is_left_out_set_apart_or_an_error(other: dict[str, Any], found: Any) -> None:
    answer = body(jobs=[job(NEWEST, **other)])
    if found is SlurmError:
        with pytest.raises(SlurmError):
            answers.queue("loop", NEWEST, answer)
        return
    rows = answers.queue("loop", NEWEST, answer)
    assert [Rejected if isinstance(row, Rejected) else row.state for row in rows] == found


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_slurmctlds_health_means_the_same_in_every_version(version: str) -> None:
    time = int if version == "v0.0.39" else number
    statistics = {
        "req_time": time(1795852655), "dbd_agent_queue_size": 0, "bf_when_last_cycle": time(0),
        "bf_last_depth": 30, "bf_queue_len": 9,
    }  # fmt: skip
    assert answers.diagnostics(version, body(statistics=statistics)) == Diagnostics(
        at=1795852655, agent_queue=0, backfill_last_at=None, backfill_depth=30, backfill_queue=9
    )


def test_a_node_has_its_configured_tres() -> None:
    rows = [{"name": "n1", "tres": "cpu=4,mem=1000M,gres/gpu=2"}, {"name": "n2", "tres": "cpu=x"}]
    one, odd = answers.nodes(NEWEST, body(nodes=rows))
    assert one == Node("n1", "cpu=4,gres/gpu=2,mem=1000,node=1")
    assert isinstance(odd, Rejected)


def share(version: str, name: str, parent: str, raw: int, kind: str = "ASSOCIATION", **other: object) -> Any:
    plain = version in ("v0.0.40", "v0.0.41")
    row = {
        "id": 7 + raw, "name": name, "parent": parent, "partition": "", "type": [kind],
        "shares": number(raw), "shares_normalized": number(0.25), "usage": 40,
        "effective_usage": 0.5 if plain else number(0.5),
        "fairshare": {"factor": 0.0, "level": 4294967294.0 if plain else number(None)},
    }  # fmt: skip
    return row | other


def association(account: str, parent: str, raw: int, user: str = "") -> dict[str, Any]:
    return {
        "account": account, "user": user, "partition": "", "parent_account": parent, "shares_raw": raw,
        "cluster": "loop", "id": 0,
    }  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS[2:])
def test_the_tree_is_joined_by_name(version: str) -> None:
    stored = [
        association("root", "", 1), association("regional", "root", 26),
        association("regional", "", 1, "games"), association("new", "root", 5),
    ]  # fmt: skip
    live = [
        share(version, "root", "", 0), share(version, "regional", "root", 25),
        share(version, "games", "regional", 1, "USER"),
    ]  # fmt: skip
    answer = body(associations=stored), body(shares={"shares": live})
    found, odd = answers.associations("loop", version, *answer)
    rows = {(row.account, row.user): row for row in found}
    regional = rows["regional", None]
    assert (regional.parent, regional.raw_shares, regional.stored_shares) == ("root", 25, 26)
    assert (regional.raw_usage, regional.effectv_usage, regional.level_fs) == (40, 0.5, None)
    assert rows["regional", "games"].raw_shares == 1
    assert (rows["new", None].raw_usage, rows["new", None].raw_shares) == (None, 5)
    assert not odd


def test_an_infinite_level_and_an_odd_usage_are_told() -> None:
    live = [share(NEWEST, "root", "", 0, usage=-1, fairshare={"level": number(None, infinite=True)})]
    answer = body(associations=[association("root", "", 1)]), body(shares={"shares": live})
    (root,), odd = answers.associations("loop", NEWEST, *answer)
    assert root.raw_usage is None
    assert len(odd) == 1
    live[0]["usage"] = 1
    (root,), _ = answers.associations("loop", NEWEST, answer[0], body(shares={"shares": live}))
    assert root.level_fs == inf


def test_a_row_below_an_account_that_is_missing_is_an_error() -> None:
    with pytest.raises(SlurmError):
        answers.associations(
            "loop", NEWEST, body(associations=[association("a", "gone", 1)]), body(shares={"shares": []})
        )


RUN: dict[str, Any] = {
    "sluid": "sECHM8GJJ32E00", "job_id": 7, "array": {"job_id": 0, "task_id": number(None), "task": ""},
    "het": {"job_id": 0, "job_offset": number(None)}, "cluster": "loop", "account": "umcg", "user": "games",
    "partition": "main", "qos": "normal", "wckey": {"wckey": "w|\n"}, "reservation": {"id": 3, "name": ""},
    "comment": {"job": "saf:flood"}, "state": {"current": ["COMPLETED"], "reason": "None"},
    "time": {"elapsed": 100, "eligible": 1795852516, "end": 1795852700, "start": 1795852510,
             "submission": 1795852500, "suspended": 90},
    "tres": {"requested": [{"type": "cpu", "name": "", "count": 2}],
             "allocated": [{"type": "mem", "name": "", "count": 1000},
                           {"type": "energy", "name": "", "count": -2},
                           {"type": "gres", "name": "gpu:a100", "count": 4}]},
}  # fmt: skip


def test_a_run_is_what_sacct_prints() -> None:
    assert answers.runs_of_json("loop", NEWEST, body(jobs=[RUN])) == [
        Run(
            db_index=16593099980364920832, job_id=7, job_label="7",
            subject=Subject("loop", "umcg", "games", "main", "normal", "w|\n", "#3", "flood"),
            state="COMPLETED", submit_at=1795852500, eligible_at=1795852516, start_at=1795852510,
            end_at=1795852700, elapsed_seconds=100, suspended_seconds=90, req_tres="cpu=2",
            alloc_tres="gres/gpu:a100=4,mem=1000",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "label"),
    [
        ({"array": {"job_id": 7, "task_id": number(0), "task": ""}}, "7_0"),
        ({"array": {"job_id": 7, "task_id": number(None), "task": "1-9%2"}}, "7_[1-9%2]"),
        ({"het": {"job_id": 6, "job_offset": number(1)}}, "6+1"),
        ({"state": {"current": ["PENDING", "REQUEUED"]}}, "7"),
    ],
)
def test_a_run_has_slurms_label_and_word(other: dict[str, Any], label: str) -> None:
    (run,) = answers.runs_of_json("loop", NEWEST, body(jobs=[RUN | other]))
    assert isinstance(run, Run)
    assert run.job_label == label
    assert run.state == other.get("state", {"current": ["COMPLETED"]})["current"][-1]


@pytest.mark.parametrize(
    "other", [{"sluid": "7"}, {"sluid": ""}, {"cluster": "x"}, {"job_id": None}, {"time": {}}]
)
def test_runs_of_another_shape_are_an_error(other: dict[str, Any]) -> None:
    with pytest.raises(SlurmError):
        answers.runs_of_json("loop", NEWEST, body(jobs=[RUN | other]))


def test_a_run_that_contradicts_itself_is_set_apart() -> None:
    (row,) = answers.runs_of_json(
        "loop", NEWEST, body(jobs=[RUN | {"time": RUN["time"] | {"end": 1795852505}}])
    )
    assert isinstance(row, Rejected)


@given(st.integers(0, 2**64 - 1))
def test_a_sluid_is_its_number(value: int) -> None:
    digits = "".join(
        "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[value >> 5 * place & 31] for place in range(12, -1, -1)
    )
    assert answers.sluid(f"s{digits}") == value


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_answers_each_question_or_refuses_it_by_name(version: str) -> None:
    paths = frozenset(question.path.format(version) for question in READS)
    for question in READS:
        if VERSIONS.index(version) >= VERSIONS.index(question.since):
            assert answers.path(question, version, paths) in paths
            continue
        with pytest.raises(SlurmUnsupportedError, match=f"{question.what} needs {question.since}"):
            answers.path(question, version, paths)


@pytest.mark.parametrize("paths", [[], ["/slurm/v0.0.99/jobs"], ["/x"]])
def test_unknown_versions_are_refused(paths: list[str]) -> None:
    with pytest.raises(SlurmError, match=r"saf reads v0\.0\.38 to v0\.0\.45"):
        answers.newest(paths)


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3))
)
def test_whatever_an_answer_is_it_is_no_value(answer: object) -> None:
    for parts in ({"jobs": answer}, {"statistics": answer}, {"associations": answer}):
        if answer == []:
            continue
        for read in (answers.queue, answers.runs_of_json):
            with pytest.raises(SlurmError):
                read("loop", NEWEST, body(**parts))
        with pytest.raises(SlurmError):
            answers.diagnostics(NEWEST, body(**parts))
