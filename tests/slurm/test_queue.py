"""What squeue, sprio and sdiag must not print: hostile input, and recorded answers with parts taken away.

recorded/VERSION/queue is written by ``python -m tests.slurm.record``; tests run for each version there is.
What is made of the recorded answers as they are stands in test_contract.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.authority import Terms
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import queue
from slurm_ai_factory.slurm.parse import SEPARATOR
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

FIELDS = dict(zip(queue.QUEUE_FIELDS, (
    "12", "12", "N/A", "N/A", "umcg", "jan", "main", "normal", "(null)", "(null)", "PENDING", "Priority",
    "100", "1795591500", "1:00:00", "cpu=4,mem=1000M,node=1",
), strict=True))  # fmt: skip


def _line(**different: str) -> str:
    cells = {**FIELDS, **{name.replace("_", "-"): value for name, value in different.items()}}
    return "".join(f"{cell}{SEPARATOR}" for cell in cells.values()) + "\n"


@pytest.mark.parametrize("line", [
    "", "\n", "no fields at all\n", _line() + "x", _line().replace(SEPARATOR, "|"),
    _line()[: _line().rindex("cpu")], SEPARATOR * 40,
    _line(JobID="x"), _line(JobID="-1"), _line(JobID="12_3"), _line(JobID="\u0661"), _line(ArrayTaskID="x"),
    _line(ArrayTaskID="1-3", ArrayJobID="?"), _line(HetJobID="N/B"), _line(PriorityLong="1.5"),
    _line(PriorityLong=""), _line(EligibleTime="2026-01-01T00:00:00"), _line(TimeLimit="soon"),
    _line(tres_alloc="cpu=x"), _line(tres_alloc="cpu"), _line(tres_alloc="cpu=1,cpu=1"), _line(State=""),
    _line(Partition=""), "slurm_load_jobs error: Unable to contact slurm controller\n",
])  # fmt: skip
def test_a_line_of_squeue_that_is_no_job_ends_the_read(line: str) -> None:
    with pytest.raises(SlurmError, match="squeue printed a line that cannot be read"):
        queue.queue("loop", [_line(), line])


@pytest.mark.parametrize("limit", ["UNLIMITED", "NOT_SET", "Partition_Limit", "INVALID"])
def test_no_time_limit_is_no_zero(limit: str) -> None:
    assert queue.queue("loop", [_line(TimeLimit=limit)])[0].limit_seconds is None


def test_a_queue_may_be_empty() -> None:
    assert queue.queue("loop", []) == []
    assert queue.terms([]) == []


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=12), min_size=17, max_size=17))
def test_any_line_is_a_job_or_an_error(cells: list[str]) -> None:
    try:
        found = queue.queue("loop", [SEPARATOR.join(cells)])
    except SlurmError:
        return
    assert len(found) == 1
    assert found[0].tasks > 0


@pytest.mark.parametrize(("cells", "expected"), [
    ("7|main|6000.5|1|2|3|4|5|6|cpu=10,mem=20|-100", Terms(7, "main", 6000.5, 151.0)),
    ("7|main|6000|0|0|0|0|0|0||50", Terms(7, "main", 6000.0, -50.0)),
])  # fmt: skip
def test_nice_and_tres_are_terms(cells: str, expected: Terms) -> None:
    assert queue.terms([cells.replace("|", SEPARATOR) + "\n"]) == [expected]


@pytest.mark.parametrize("cells", [
    "7|main|x|0|0|0|0|0|0||0", "7|main|nan|0|0|0|0|0|0||0", "7|main|1|inf|0|0|0|0|0||0", "7|main|1",
    "|main|1|0|0|0|0|0|0||0", "7|main|1|0|0|0|0|0|0|cpu=x|0", "",
])  # fmt: skip
def test_a_line_of_sprio_that_is_no_priority_ends_the_read(cells: str) -> None:
    with pytest.raises(SlurmError, match="sprio printed a line that cannot be read"):
        queue.terms([cells.replace("|", SEPARATOR) + "\n"])


@pytest.mark.parametrize("missing", ["sdiag output at", "DBD Agent queue size"])
@versions
def test_an_answer_of_sdiag_without_what_matters_is_no_answer(recorded: Path, missing: str) -> None:
    kept = [line for line in lines(recorded, "sdiag") if not line.startswith(missing)]
    with pytest.raises(SlurmError, match="sdiag's answer cannot be read"):
        queue.diagnostics(kept)


@versions
def test_a_queue_of_the_agent_that_is_no_number_is_no_zero(recorded: Path) -> None:
    text = "".join(lines(recorded, "sdiag")).replace("DBD Agent queue size: 0", "DBD Agent queue size: many")
    with pytest.raises(SlurmError, match="natural number"):
        queue.diagnostics(text.splitlines(keepends=True))


@versions
def test_without_backfill_nothing_is_known_of_it(recorded: Path) -> None:
    text = "".join(lines(recorded, "sdiag")).partition("Backfilling stats")[0]
    found = queue.diagnostics(text.splitlines(keepends=True))
    assert (found.backfill_last_at, found.backfill_depth, found.backfill_queue) == (None, None, None)
