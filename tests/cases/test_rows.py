"""Strange texts and numbers in every field: the other rows are always read, and nothing absurd becomes a charge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.charge import chargeable, elapsed
from slurm_ai_factory.core.records import Rejected, Run
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from tests.cases import standin
from tests.cases.facts import NOW, TERMS, facts, job, run

NUMBERS = (
    "0", "-1", str(2**31 - 1), str(2**32 - 2), str(2**32 - 1), str(2**63 - 1), str(2**63), str(2**64 - 2),
    str(2**64 - 1), str(10**30), "9" * 400, "9" * 5000, "", "NaN", "nan", "inf", "-inf", "1e999", "1.5", "NO_VAL",
)  # fmt: skip
TEXTS = (
    "one\ntwo",
    "\n",
    "a\x1fb",
    "|",
    "a|b|c",
    ",",
    "\r",
    "\x1b[31m",
    "saf:x",
    "\u2028",
    "x\n1|2|3|4|5|6",
    "'",
    "",
)
MOST = 2**62

Client = Callable[..., Slurm]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client of a cluster that says this."""

    def make(**different: Any) -> Slurm:
        standin.install(tmp_path, facts(**different))
        return Slurm("loop", Commands(directory=tmp_path, timeout_seconds=30))

    return make


def charge(one: Run) -> float:
    """CPU-seconds."""
    return float(elapsed(one, NOW) * tres.parse(one.alloc_tres).get("cpu", 0))


# --- sacct -----------------------------------------------------------------------------------------------

RUN_NUMBERS = (
    "DBIndex",
    "JobIDRaw",
    "ReservationId",
    "Submit",
    "Eligible",
    "Start",
    "End",
    "ElapsedRaw",
    "Suspended",
)
TRES = ("billing", "cpu", "energy", "mem", "node", "gres/gpu", "license/x")


def between(client: Client, odd: list[dict[str, str]]) -> list[Run | Rejected]:
    """What is told of these runs, which stand between two sound ones."""
    found = [chargeable(one, NOW) for one in client(runs=[run(1), *odd, run(2)]).runs(0, NOW)]
    first, *middle, last = found
    for one, number in ((first, 1), (last, 2)):
        assert isinstance(one, Run)
        assert (one.db_index, charge(one)) == (number, 4 * 3600)
    assert len(middle) == len(odd)
    return middle


@pytest.mark.parametrize("field", RUN_NUMBERS)
@pytest.mark.parametrize("state", ["COMPLETED", "RUNNING", "SUSPENDED"])
def test_no_number_of_a_run_hides_another_or_becomes_a_charge(client: Client, field: str, state: str) -> None:
    end = {} if state == "COMPLETED" else {"End": "Unknown"}
    for one in between(client, [run(9, **{"State": state, **end, field: text}) for text in NUMBERS]):
        assert isinstance(one, Rejected) or 0 <= charge(one) <= 4 * (3600 if not end else 7200) + 4


@pytest.mark.parametrize("name", TRES)
def test_no_count_of_a_run_that_is_out_of_range_becomes_a_charge(client: Client, name: str) -> None:
    rest = ",".join(f"{one}=4" for one in TRES if one != name)
    for one in between(client, [run(9, AllocTRES=f"{rest},{name}={text}") for text in NUMBERS]):
        assert isinstance(one, Rejected) or charge(one) <= 3600 * (2**31 - 1)


@pytest.mark.parametrize(
    "field", ["JobID", "Account", "User", "Partition", "QOS", "WCKey", "Reservation", "Comment"]
)
def test_no_text_of_a_run_hides_another(client: Client, field: str) -> None:
    found = between(client, [run(9, **{field: text}) for text in TEXTS])
    assert [charge(one) for one in found if isinstance(one, Run)] == [4 * 3600] * len(TEXTS)


# --- squeue, sprio, sdiag --------------------------------------------------------------------------------


QUEUED_NUMBERS = (
    "JobID",
    "ArrayJobID",
    "ArrayTaskID",
    "HetJobID",
    "PriorityLong",
    "EligibleTime",
    "TimeLimit",
)


def queued(client: Client, odd: list[dict[str, str]]) -> list[Any]:
    slurm = client(queue=[job(1), *odd, job(2)])
    found = slurm.queue()
    print(slurm.unreadable(), found)
    return found


@pytest.mark.parametrize("field", QUEUED_NUMBERS)
def test_no_number_of_a_job_hides_another(client: Client, field: str) -> None:
    more = {"ArrayTaskID": "3"} if field == "ArrayJobID" else {}
    queued(client, [job(9, **{**more, field: text}) for text in NUMBERS])


@pytest.mark.parametrize("field", list(TERMS))
def test_prio(client: Client, field: str) -> None:
    slurm = client(
        prio=[
            {"%i": "1", **TERMS},
            *({"%i": "9", **TERMS, field: text} for text in NUMBERS),
            {"%i": "2", **TERMS},
        ]
    )
    print(slurm.priority_terms(), slurm.unreadable())


@pytest.mark.parametrize("number", [1e308])
def test_prio2(client: Client, number: float) -> None:
    slurm = client(
        prio=[{"%i": "1", **TERMS}, {"%i": "9", **TERMS, "%A": "1e308", "%B": "1e308"}, {"%i": "2", **TERMS}]
    )
    print(slurm.priority_terms(), slurm.unreadable())
