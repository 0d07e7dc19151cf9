"""Workload logs: what each format tells, and what is said of lines that cannot be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.simulation import formats
from slurm_ai_factory.simulation.workload import Job, gathered
from tests.core.generated import RUN, ended

SWF = """\
; Version: 2.2
; UnixStartTime: 1000
;

1 0 5 3600 4 -1 -1 8 7200 -1 1 3 12 -1 1 2 -1 -1
2 60 -1 -1 -1 -1 -1 16 -1 -1 0 4 13 -1 1 2 -1 -1
"""
TABLE = """\
account,user,submit,runtime_s,timelimit_s,cpus,gpus,nodes,partition
umcg,an,100,3600,7200,8,1,2,gpu
astro,bo,200,60,,4,,,
"""
SACCT = """\
JobID|Account|User|Partition|Submit|ElapsedRaw|TimelimitRaw|AllocTRES
7|umcg|an|main|2026-01-01T00:00:00|3600|120|billing=8,cpu=8,gres/gpu=2,node=1
8|astro||main|1767225660|60|UNLIMITED|cpu=4
9|astro|bo|main|1767225660|0|Partition_Limit|
"""


def read(text: str) -> list[Job]:
    return list(formats.read(text.splitlines(keepends=True)))


def test_swf_counts_from_the_start_time_of_its_header() -> None:
    first, second = read(SWF)
    assert first == Job("12", "3", 1000, 3600, 7200, 4, partition="2")
    assert second == Job("13", "4", 1060, 0, 0, 16, partition="2")  # as many processors as it asked for


def test_swf_may_have_no_header() -> None:
    assert read(SWF.splitlines()[-2])[0].submit == 0


def test_csv_takes_empty_and_absent_columns_as_nothing() -> None:
    assert read(TABLE) == [
        Job("umcg", "an", 100, 3600, 7200, 8, 1, 2, "gpu"),
        Job("astro", "bo", 200, 60, 0, 4),
    ]
    assert read("account,user,submit,runtime_s\na,b,1,2\n") == [Job("a", "b", 1, 2, 0, 0)]


@pytest.mark.parametrize("delimiter", ["|", "\x1f"])
def test_sacct_tells_instants_in_seconds_or_in_utc(delimiter: str) -> None:
    assert read(SACCT.replace("|", delimiter)) == [
        Job("umcg", "an", 1767225600, 3600, 7200, 8, 2, 1, "main"),
        Job("astro", "", 1767225660, 60, 0, 4, partition="main"),
        Job("astro", "bo", 1767225660, 0, 0, 0, partition="main"),
    ]


def test_a_quote_in_what_sacct_prints_is_a_letter() -> None:
    assert read(SACCT.replace("|bo|", '|"bo|'))[-1].user == '"bo'


def test_an_ended_run_of_the_ledger_is_a_job() -> None:
    run = ended(RUN._replace(eligible_at=5, start_at=10), 70)
    assert formats.of_run(run) == Job("umcg", "jan", 5, 60, 0, 4, nodes=1, partition="main")
    assert formats.of_run(RUN._replace(start_at=None, end_at=9)).runtime == 0


HOSTILE = {
    "SWF with a word": (SWF + "3 x 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "line 7: .*'x'"),
    "SWF cut short": (SWF + "3 0 0 1\n", "line 7: 4 numbers instead of 18"),
    "SWF not a number": (SWF + "3 nan 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "line 7: .*NaN"),
    "SWF without end": (SWF + "3 inf 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "line 7: .*infinity"),
    "SWF header": ("; UnixStartTime: soon\n", "line 1: .*soon"),
    "CSV without a column": ("account,user,submit\na,b,1\n", "line 1: no column 'runtime_s'; wanted are"),
    "CSV with a word": (TABLE + "a,b,now,1,,1,,,\n", "line 4: .*'now'"),
    "CSV cut short": (TABLE + "a,b\n", "line 4: "),
    "CSV with more columns": (TABLE + "a,b,1,1,,1,,,x,y\n", "line 4: not the 9 columns of the first line"),
    "CSV, less than nothing": (TABLE + "a,b,1,1,,-4,,,\n", "line 4: -4 is less than nothing"),
    "CSV with a quote that is not closed": (TABLE + 'a,"b,1,1,,1,,,\n', "line 4: not the 9 columns"),
    "CSV without end": (TABLE + "a,b,1,1e999,,1,,,\n", "line 4: .*infinity"),
    "sacct without a column": ("JobID|Account\n1|a\n", "line 1: no column 'Submit'"),
    "sacct, TRES": (SACCT + "1|a|u|p|100|5|1|cpu=many\n", "line 5: .*cpu=many"),
    "sacct, no submission": (SACCT + "1|a|u|p|Unknown|5|1|cpu=1\n", "line 5: .*Unknown"),
    "sacct, formatted time": (SACCT + "1|a|u|p|100|00:05:00|1|cpu=1\n", "line 5: .*00:05:00"),
    "sacct, a delimiter in a name": (SACCT + "1|a|u|p|q|100|5|1|cpu=1\n", "line 5: not the 8 columns"),
    "sacct cut short": (SACCT + "1|a\n", "line 5: "),
    "prose": ("Dear all,\nhere are the jobs.\n", "line 1: no column 'account'"),
    "nothing": ("", "line 1: no column 'account'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_read_is_told_with_its_line(case: str) -> None:
    text, told = HOSTILE[case]
    with pytest.raises(ValueError, match=told):
        read(text)


@given(st.text() | st.tuples(st.sampled_from((TABLE, SACCT, SWF)), st.text()).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert re.fullmatch(r"read|line \d+: .*", outcome(text), re.DOTALL)


def outcome(text: str) -> str:
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return "read"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("uv"), *[st.integers(0, 10**9)] * 4)))
def test_what_is_written_as_csv_is_read_back(rows: list[tuple[str, str, int, int, int, int]]) -> None:
    header = "account,user,submit,runtime_s,timelimit_s,cpus\n"
    text = header + "".join(",".join(map(str, row)) + "\n" for row in rows)
    assert read(text) == [Job(*row) for row in rows]


def test_regional_accounts_are_those_said_to_be() -> None:
    table = ["account,regional\n", "umcg,true\n", "astro,0\n", "province,YES\n", "climate,\n"]
    assert formats.regional_accounts(table) == {"umcg", "province"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("account\numcg\n", "line 1: no column 'regional'"),
        ("account,regional\numcg,perhaps\n", "line 2: .*perhaps"),
    ],
)
def test_regional_accounts_are_never_guessed(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        formats.regional_accounts(text.splitlines(keepends=True))


def test_gathered_jobs_are_in_order_and_only_those_that_ran() -> None:
    jobs = [
        Job("b", "u", 50, 10, 5, 2),
        Job("a", "u", 20, 10, 100, 1, 1, 3, "gpu"),
        Job("a", "u", 30, 0, 5, 2),
        Job("a", "u", 30, 9, 5, 0),
    ]
    work = gathered("hand", jobs)
    assert work.submit.tolist() == [20, 50]
    assert [work.users[n] for n in work.user] == [("a", "u"), ("b", "u")]
    assert work.limit.tolist() == [100, 10]  # at least what it ran
    assert work.amount("cpu").tolist(), work.amount("gpu").tolist() == ([1, 2], [1, 0])
    assert work.amount("node").tolist() == [3, 0]
    assert work.users_of(frozenset("a")) == {("a", "u")}
    with pytest.raises(KeyError):
        work.amount("licence")


@given(st.integers(0, 100), st.integers(1, 10**5))
def test_a_shifted_workload_has_the_same_jobs_at_nearby_times(seed: int, seconds: int) -> None:
    work = gathered("hand", [Job("a", "u", n * 1000, n + 1, 0, 1) for n in range(20)])
    moved = work.shifted(seed, seconds)
    assert sorted(moved.runtime.tolist()) == work.runtime.tolist()
    assert (moved.submit[1:] >= moved.submit[:-1]).all()
    assert all(
        at == work.submit[0] or abs(at - work.submit[ran - 1]) <= seconds
        for at, ran in zip(moved.submit.tolist(), moved.runtime.tolist(), strict=True)
    )
    assert moved.submit.tolist() == work.shifted(seed, seconds).submit.tolist()
