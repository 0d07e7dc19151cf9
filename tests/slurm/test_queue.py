"""What squeue, sprio and sdiag must not print: hostile input, and recorded answers with parts taken away.

recorded/VERSION/queue is written by ``python -m tests.slurm.record``; tests run for each version there is.
What is made of the recorded answers as they are stands in test_contract.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.live.authority import PriorityTerms
from slurm_ai_factory.core.live.demand import Queued
from slurm_ai_factory.core.records import Rejected
from slurm_ai_factory.errors import GarbledError, SlurmError
from slurm_ai_factory.slurm import queue
from tests.slurm.record import RECORDED

versions = pytest.mark.parametrize(
    "recorded",
    sorted(one.parents[1] for one in RECORDED.glob("*/queue/sdiag.txt")),
    ids=lambda path: path.name,
)


def lines(recorded: Path, name: str) -> list[str]:
    return (recorded / "queue" / f"{name}.txt").read_text().splitlines(keepends=True)


# --- recorded answers ---------------------------------------------------------------------------------


def test_there_are_recorded_answers() -> None:
    assert [path.name for path in RECORDED.iterdir()]


# --- hostile input ------------------------------------------------------------------------------------

DRAWN = "\x1f0123abcd"
FIELDS = dict(zip(queue.QUEUE_FIELDS[:-1], (
    "12", "12", "N/A", "N/A", "100", "1795591500", "1:00:00", "cpu=4,mem=1000M,node=1", "PENDING", "Priority",
    "umcg", "jan", "main", "normal", "(null)", "(null)",
), strict=True))  # fmt: skip


def _line(**different: str) -> str:
    cells = {**FIELDS, **{name.replace("_", "-"): value for name, value in different.items()}}
    return DRAWN.join((*cells.values(), cells["JobID"])) + "\n"


def _read(answer: str) -> list[Queued | Rejected]:
    return list(queue.parse_queue("loop", answer.splitlines(keepends=True), DRAWN))


def _queued(**different: str) -> Queued | Rejected:
    (found,) = queue.parse_queue("loop", [_line(**different)], DRAWN)
    return found


def test_squeue_is_asked_for_every_field_with_the_separator_between() -> None:
    wanted = queue.queue_format(DRAWN)
    assert wanted.startswith(f"JobID:{DRAWN},ArrayJobID:{DRAWN},")
    assert wanted.endswith(f",Reservation:{DRAWN},JobID:")


@pytest.mark.parametrize("name", ["WCKey", "Reservation", "Account", "UserName", "QOS", "Partition"])
@pytest.mark.parametrize(
    "text", ["a\nb", "\x1f", "a\rb", "|", _line(JobID="99").replace(DRAWN, "\x1f"), "\u2028\x85", "x" * 65536]
)
def test_a_name_is_what_it_is_and_makes_no_other_job(name: str, text: str) -> None:
    first, odd, last = _read(_line(JobID="1") + _line(JobID="2", **{name: text}) + _line(JobID="3"))
    assert isinstance(odd, Queued)
    assert text in odd.subject
    assert isinstance(first, Queued)
    assert first._replace(job_id=3) == last


@pytest.mark.parametrize("different", [
    {"JobID": "x"}, {"JobID": "-1"}, {"JobID": "12_3"}, {"JobID": "\u0661"}, {"JobID": ""},
    {"JobID": str(2**63)}, {"ArrayTaskID": "x"}, {"ArrayTaskID": "1-3", "ArrayJobID": "?"},
    {"HetJobID": "N/B"}, {"PriorityLong": "1.5"}, {"PriorityLong": ""}, {"TimeLimit": "soon"},
    {"EligibleTime": "2026-01-01T00:00:00"}, {"EligibleTime": str(2**62)}, {"tres_alloc": "cpu=x"},
    {"tres_alloc": "cpu"}, {"tres_alloc": "cpu=1,cpu=1"}, {"tres_alloc": f"cpu={2**63}"}, {"State": ""},
    {"Partition": ""},
])  # fmt: skip
def test_a_job_that_cannot_be_read_is_told_and_the_others_stand(different: dict[str, str]) -> None:
    odd, sound = _read(_line(**different) + _line(JobID="3"))
    assert isinstance(sound, Queued)
    assert sound.job_id == 3
    assert isinstance(odd, Rejected)
    assert odd.line == _line(**different)[:-1].replace(DRAWN, "|")
    assert odd.reason


@pytest.mark.parametrize("answer", [
    "\n", "no fields at all\n", _line() + "x\n", _line().replace(DRAWN, "|"), DRAWN * 40 + "\n",
    _line()[: _line().rindex(DRAWN)] + "\n", _line(WCKey=f"a{DRAWN}b"), _line(WCKey=f"12\n99{DRAWN}"),
    "slurm_load_jobs error: Unable to contact slurm controller\n",
])  # fmt: skip
def test_an_answer_of_squeue_whose_separators_do_not_come_out_is_no_answer(answer: str) -> None:
    with pytest.raises(GarbledError):
        _read(_line() + answer)


@pytest.mark.parametrize("limit", ["UNLIMITED", "NOT_SET", "Partition_Limit", "INVALID"])
def test_no_time_limit_is_no_zero(limit: str) -> None:
    found = _queued(TimeLimit=limit)
    assert isinstance(found, Queued)
    assert found.limit_seconds is None


def test_a_queue_may_be_empty() -> None:
    assert _read("") == []
    assert list(queue.terms([])) == []


@given(st.lists(st.text(max_size=12), min_size=15, max_size=15))
def test_any_fields_are_a_job_or_are_told(cells: list[str]) -> None:
    cells = ["7", *(one.replace(DRAWN, "") for one in cells), "7"]
    (found,) = queue.parse_queue("loop", [DRAWN.join(cells) + "\n"], DRAWN)
    assert isinstance(found, Rejected) or found.tasks > 0


@pytest.mark.parametrize(("cells", "expected"), [
    ("7|6000.5|1|2|3|4|5|6|cpu=10,mem=20|-100|main", PriorityTerms(7, "main", 6000.5, 151.0)),
    ("7|6000|0|0|0|0|0|0||50|main", PriorityTerms(7, "main", 6000.0, -50.0)),
])  # fmt: skip
def test_nice_and_tres_are_terms(cells: str, expected: PriorityTerms) -> None:
    assert list(queue.terms([cells + "\n"])) == [expected]


@pytest.mark.parametrize("cells", [
    "7|x|0|0|0|0|0|0||0|main", "7|nan|0|0|0|0|0|0||0|main", "7|1|inf|0|0|0|0|0||0|main", "7|1|main",
    "|1|0|0|0|0|0|0||0|main", "7|1|0|0|0|0|0|0|cpu=x|0|main", "",
])  # fmt: skip
def test_a_line_of_sprio_that_is_no_priority_is_told_and_the_others_stand(cells: str) -> None:
    odd, sound = queue.terms([cells + "\n", "7|6000|0|0|0|0|0|0||0|main\n"])
    assert isinstance(odd, Rejected)
    assert odd.line == cells
    assert sound == PriorityTerms(7, "main", 6000.0, 0.0)


@pytest.mark.parametrize("missing", ["sdiag output at", "DBD Agent queue size"])
@versions
def test_an_answer_of_sdiag_without_what_matters_is_no_answer(recorded: Path, missing: str) -> None:
    kept = [line for line in lines(recorded, "sdiag") if not line.startswith(missing)]
    with pytest.raises(SlurmError, match="sdiag's answer cannot be read"):
        queue.parse_diagnostics(kept)


@versions
def test_an_answer_of_sdiag_that_ends_in_its_figures_is_no_answer(recorded: Path) -> None:
    whole = lines(recorded, "sdiag")
    last = next(n for n, line in enumerate(whole) if line.startswith("Latency for 1000 calls"))
    for kept in range(last + 1):
        with pytest.raises(SlurmError, match="sdiag's answer ends before 'Latency for 1000 calls"):
            queue.parse_diagnostics(whole[:kept])
    assert queue.parse_diagnostics(whole[: last + 1]) == queue.parse_diagnostics(whole)


@versions
def test_a_queue_of_the_agent_that_is_no_number_is_no_zero(recorded: Path) -> None:
    text = "".join(lines(recorded, "sdiag")).replace("DBD Agent queue size: 0", "DBD Agent queue size: many")
    with pytest.raises(SlurmError, match="natural number"):
        queue.parse_diagnostics(text.splitlines(keepends=True))


@versions
def test_without_backfill_nothing_is_known_of_it(recorded: Path) -> None:
    text = "".join(lines(recorded, "sdiag"))
    before, after = text.partition("Backfilling stats")[0], text.partition("Latency for")
    found = queue.parse_diagnostics((before + after[1] + after[2]).splitlines(keepends=True))
    assert (found.backfill_last_at, found.backfill_depth, found.backfill_queue) == (None, None, None)


END = "Latency for 1000 calls to gettimeofday(): 30 microseconds\n"


def test_of_what_sdiag_says_twice_the_first_counts() -> None:
    head = "sdiag output at Wed Nov 25 08:50:00 2026 (1795596600)\n"
    found = queue.parse_diagnostics(
        [head, "DBD Agent queue size: 3\n", "DBD Agent queue size: 0\n", head.replace("66", "67"), END]
    )
    assert (found.at, found.agent_queue) == (1795596600, 3)
