"""Workload logs: what each format tells, and what is said of lines that cannot be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.simulation import formats
from slurm_ai_factory.simulation.layout import one_pool
from slurm_ai_factory.simulation.workload import (
    NEVER_RAN,
    NO_COUNTS,
    Job,
    LeftOut,
    component_weights,
    gathered,
)
from tests.core.generated import RUN, ended

SWF = """\
; Version: 2.2
; UnixStartTime: 1000
;

1 0 5 3600 4 -1 -1 8 7200 -1 1 3 12 -1 1 2 -1 -1
2 60 -1 5 -1 -1 -1 16 -1 -1 0 4 13 -1 1 2 -1 -1
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


def read(text: str) -> list[Job | LeftOut]:
    return list(formats.read_jobs(text.splitlines(keepends=True)))


def test_swf_counts_from_the_start_time_of_its_header() -> None:
    first, second = read(SWF)
    assert first == Job("12", "3", 1000, 3600, 7200, 4, partition="2")
    assert second == Job("13", "4", 1060, 5, 0, 16, partition="2")  # as many processors as it asked for


@pytest.mark.parametrize(
    "header", ["", "; UnixStartTime: UNKNOWN\n", ";UnixStartTime:\n", "; UnixStartTime: -1\n", "\n \n"]
)
def test_swf_without_a_start_time_counts_from_0(header: str) -> None:
    line = "  " + SWF.splitlines()[-2]
    assert read(header + line) == [Job("12", "3", 0, 3600, 7200, 4, partition="2")]


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


@pytest.mark.parametrize("delimiter", ["\t", ";", "^", "<>"])
def test_sacct_may_be_asked_for_any_delimiter(delimiter: str) -> None:
    assert read(SACCT.replace("|", delimiter)) == read(SACCT)


def sacct(**values: str) -> str:
    """A line of SACCT."""
    usual = dict(zip(SACCT.partition("\n")[0].split("|"), SACCT.splitlines()[1].split("|"), strict=True))
    return "|".join((usual | values).values()) + "\n"


HEADER = SACCT.splitlines(keepends=True)[0]
STEPS = ("7.batch", "7.extern", "7.0", "7.interactive", "7+1.0", "7_3.batch", "7_3.4294967290")


@pytest.mark.parametrize("column", ["JobID", "JobIDRaw"])
def test_steps_are_not_jobs(column: str) -> None:
    header = HEADER.replace("JobID", column)
    steps = [sacct(JobID=step, User="", Partition="", TimelimitRaw="") for step in STEPS]
    found = read(header + sacct() + "".join(steps) + sacct(JobID="8+1") + sacct(JobID="9_3"))
    assert [job for job in found if isinstance(job, LeftOut)] == [formats.STEP] * len(STEPS)
    assert [job for job in found if isinstance(job, Job)] == read(SACCT)[:1] * 3


def test_what_may_be_a_step_is_refused() -> None:
    lines = (line.partition("|")[2] for line in (HEADER, sacct(), sacct(User="")))
    with pytest.raises(ValueError, match=r"line 3: this may be a step.*add JobID"):
        read("".join(lines))


@pytest.mark.parametrize(
    ("alloc_tres", "gpus"),
    [
        ("gres/gpu:a100=2", 2),
        ("gres/gpu:a100=2,gres/gpu:v100=1", 3),
        ("gres/gpu:a100=2,gres/gpu=2", 2),
        ("gres/gpu:a100=2,gres/gpu:v100=1,gres/gpu=4", 4),
        ("gres/gpumem=9,gres/shard:a100=3", 0),
    ],
)
def test_gpus_told_by_type_only_are_summed_and_never_added_to_a_total(alloc_tres: str, gpus: int) -> None:
    run = ended(RUN._replace(alloc_tres=alloc_tres), 70)
    for job in (read(HEADER + sacct(AllocTRES=alloc_tres))[0], formats.of_run(run)):
        assert isinstance(job, Job)
        assert job.gpus == gpus


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2023-02-21T14:37:02+0100", 1676986622),
        ("2023-02-21T14:37:02+01:00", 1676986622),
        ("2023-02-21T13:37:02Z", 1676986622),
        ("2023-02-21T13:37:02", 1676986622),
        ("1676986622", 1676986622),
    ],
)
def test_the_offset_of_an_instant_counts(text: str, seconds: int) -> None:
    for log in (HEADER + sacct(Submit=text), TABLE.replace("umcg,an,100", f"umcg,an,{text}")):
        job = read(log)[0]
        assert isinstance(job, Job)
        assert job.submit == seconds


STARTED = HEADER.replace("JobID", "JobID|Start")
SWF_JOB = "3 60 -1 {run_time} {processors} -1 -1 -1 -1 -1 {status} 4 13 -1 1 2 -1 -1\n"
LEFT_OUT = {
    "sacct: empty ElapsedRaw": (HEADER + sacct(ElapsedRaw=""), formats.NO_RUN_TIME),
    "sacct: no AllocTRES": (HEADER + sacct(AllocTRES=""), NO_COUNTS),
    "sacct: AllocTRES of something else": (HEADER + sacct(AllocTRES="billing=4,mem=4G"), NO_COUNTS),
    "sacct: ran 0 seconds": (HEADER + sacct(ElapsedRaw="0"), NEVER_RAN),
    "sacct: no Start": (
        STARTED + sacct(JobID="7|Unknown"),
        LeftOut("ran, but has no Start", 1, (8 * 3600, 2 * 3600, 3600)),
    ),
    "CSV: no run time": (TABLE.partition("umcg")[0] + "a,b,1,,,1,,,\n", formats.NO_RUN_TIME),
    "CSV: ran 0 seconds": (TABLE.partition("umcg")[0] + "a,b,1,0,,1,,,\n", NEVER_RAN),
    "CSV: no counts": (TABLE.partition("umcg")[0] + "a,b,1,7,,,,,\n", NO_COUNTS),
    "SWF: run time unknown": (SWF_JOB.format(run_time=-1, processors=4, status=1), formats.NO_RUN_TIME),
    "SWF: processors unknown": (SWF_JOB.format(run_time=9, processors=-1, status=1), NO_COUNTS),
    "SWF: submission unknown": (
        SWF_JOB.format(run_time=9, processors=2, status=1).replace("60", "-1"),
        LeftOut("submission unknown", 1, (18, 0, 0)),
    ),
    "SWF: partial execution": (SWF_JOB.format(run_time=9, processors=2, status=3), formats.PARTIAL),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_left_out_of_a_log_is_remembered_with_its_cause(case: str) -> None:
    text, left = LEFT_OUT[case]
    work = gathered("hand", read(text))
    assert (len(work), work.left_out) == (0, (left,))


@pytest.mark.parametrize(
    "log", [SACCT, SWF, "job_id," + TABLE.replace("umcg", "7,umcg").replace("astro", "8,astro")]
)
def test_a_job_told_twice_counts_once(log: str) -> None:
    lines = log.splitlines(keepends=True)
    assert read("".join([*lines, lines[-1]])) == [*read(log), formats.AGAIN]


def test_logs_one_behind_the_other_are_a_log() -> None:
    later = sacct(Submit="1767229200")
    assert read(SACCT + HEADER + later) == [*read(SACCT), *read(HEADER + later)]


def test_jobs_that_have_no_name_may_be_alike() -> None:
    assert len(set(read(TABLE + TABLE.splitlines()[-1]))) == 2


def test_a_quote_in_what_sacct_prints_is_a_letter() -> None:
    (job,) = read(HEADER + sacct(User='"bo'))
    assert isinstance(job, Job)
    assert job.user == '"bo'


def test_an_ended_run_of_the_ledger_is_a_job() -> None:
    run = ended(RUN._replace(eligible_at=5, start_at=10), 70)
    assert formats.of_run(run) == Job("umcg", "jan", 5, 60, 0, 4, nodes=1, partition="main")
    never = formats.of_run(RUN._replace(start_at=None, end_at=9))
    assert gathered("hand", [never]).left_out == (NEVER_RAN,)


def test_a_run_of_the_ledger_that_is_not_over_is_left_out_with_its_charge() -> None:
    assert formats.of_run(RUN._replace(elapsed_seconds=60)) == LeftOut("still running", 1, (240, 0, 60))


def test_a_run_of_the_ledger_that_no_cluster_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="cpu is not between 0 and"):
        formats.of_run(RUN._replace(alloc_tres=f"cpu={10**30}"))


HOSTILE = {
    "SWF with a word": (SWF + "3 x 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "line 7: submit is not a number: .*x"),
    "SWF cut short": (SWF + "3 0 0 1\n", "line 7: 4 columns instead of 18"),
    "SWF not a number": (SWF + "3 nan 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "line 7: submit is not between"),
    "SWF without end": (SWF + "3 inf 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "line 7: submit is not between"),
    "SWF, less than nothing": (
        SWF + "3 1 0 -5 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
        "line 7: run_time is not betw",
    ),
    "SWF of numbers only": ("1 0 0 1\n", "line 1: 4 columns instead of 18"),
    "SWF header": ("; UnixStartTime: soon\n", "line 1: UnixStartTime is not a number: .*soon"),
    "SWF header, huge": ("; UnixStartTime: 1e30\n", "line 1: UnixStartTime is not between"),
    "CSV without a column": ("account,user,submit\na,b,1\n", "line 1: no column 'runtime_s'; the columns"),
    "CSV with a column twice": ("cpus," + TABLE, "line 1: column 'cpus' is there twice"),
    "CSV with a word": (TABLE + "a,b,now,1,,1,,,\n", "line 4: submit is neither seconds .* nor ISO 8601"),
    "CSV cut short": (TABLE + "a,b\n", "line 4: 2 columns instead of 9"),
    "CSV with more columns": (TABLE + "a,b,1,1,,1,,,x,y\n", "line 4: 10 columns instead of 9"),
    "CSV, less than nothing": (TABLE + "a,b,1,1,,-4,,,\n", "line 4: cpus is not between 0"),
    "CSV with a quote that is not closed": (
        TABLE + 'a,"b,1,1,,1,,,\n' + TABLE + 'a,"b,1,1,\n',
        "line 4: not a line of CSV",
    ),
    "CSV without end": (TABLE + "a,b,1,1e999,,1,,,\n", "line 4: runtime_s is not between"),
    "CSV, huge": (TABLE + f"a,b,1,1,,{10**30},,,\n", "line 4: cpus is not between"),
    "CSV, more digits than Python reads": (
        TABLE + f"a,b,1,1,,{'9' * 5000},,,\n",
        "line 4: cpus is not between",
    ),
    "sacct without a column": ("JobID|Account\n1|a\n", "line 1: no column 'Submit'"),
    "sacct without a header": (sacct() * 2, "line 1: no column 'Account'"),
    "sacct, TRES": (SACCT + "1|a|u|p|100|5|1|cpu=many\n", "line 5: .*cpu=many"),
    "sacct, huge TRES": (HEADER + sacct(AllocTRES=f"cpu={10**30}"), "line 2: cpu is not between"),
    "sacct, no submission": (SACCT + "1|a|u|p|Unknown|5|1|cpu=1\n", "line 5: Submit is neither .*Unknown"),
    "sacct, before the epoch": (
        HEADER + sacct(Submit="0001-01-01T00:00:00Z"),
        "line 2: Submit is not between",
    ),
    "sacct, formatted time": (SACCT + "1|a|u|p|100|00:05:00|1|cpu=1\n", "line 5: ElapsedRaw is not a number"),
    "sacct, a delimiter in a name": (SACCT + "1|a|u|p|q|100|5|1|cpu=1\n", "line 5: 9 columns instead of 8"),
    "sacct cut short": (SACCT + "1|a\n", "line 5: 2 columns instead of 8"),
    "sacct, a job told otherwise": (SACCT + sacct(ElapsedRaw="3601"), "line 5: job 7 .* but other figures"),
    "a byte that is not UTF-8": (TABLE + "caf\udce9,b,1,1,,1,,,\n", "line 4: a byte that is not UTF-8"),
    "bytes that were never written": (TABLE + "\0" * 512, "line 4: a NUL byte"),
    "a line without end": (TABLE + "a" * formats.LONGEST_LINE, "line 4: longer than"),
    "prose": ("Dear all,\nhere are the jobs.\n", "line 1: no column 'account'"),
    "nothing": ("", "the file is empty"),
    "blank lines": ("\n \n", "the file is empty"),
}


@pytest.mark.parametrize("log", [TABLE, SACCT, SWF])
def test_blank_lines_a_byte_order_mark_and_line_ends_mean_nothing(log: str) -> None:
    odd = "\n \n" + log.replace("\n", "\r\n\n")
    assert read(odd) == read("\ufeff" + log) == read(log)


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_read_is_told_with_its_line(case: str) -> None:
    text, told = HOSTILE[case]
    with pytest.raises(ValueError, match=told):
        read(text)


@given(st.text() | st.tuples(st.sampled_from((TABLE, SACCT, SWF)), st.text()).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert re.fullmatch(r"read|the file is empty|line \d+: .*", outcome(text))


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
    table = ["\ufeffaccount,regional\n", "umcg,true\n", "astro,0\n", "province,YES\n", "climate,\n"]
    assert formats.regional_accounts(table) == {"umcg", "province"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("account\numcg\n", "line 1: no column 'regional'"),
        ("account,regional\numcg,perhaps\n", "line 2: .*perhaps"),
        ("account,regional\numcg\n", "line 2: 1 columns instead of 2"),
        ("account,regional\numcg,1\numcg,0\n", "line 3: account umcg is on the other side"),
        ("", "the file is empty"),
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
        Job("a", "u", 31, 0, 5, 2),
    ]
    work = gathered("hand", jobs)
    assert work.submit.tolist() == [20, 50]
    assert [work.users[n] for n in work.user] == [("a", "u"), ("b", "u")]
    assert work.left_out == (NEVER_RAN._replace(records=2), NO_COUNTS)
    assert work.limit.tolist() == [100, 10]  # at least what it ran
    assert work.amount("cpu").tolist(), work.amount("gres/gpu").tolist() == ([1, 2], [1, 0])
    assert work.amount("node").tolist() == [3, 0]
    assert work.users_of(frozenset("a")) == {("a", "u")}
    assert work.amount("0.25*cpu+2*gres/gpu").tolist() == [2.25, 0.5]


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("gpu", "no log has 'gpu': use cpu, gres/gpu, node"),
        ("gres/gpu:a100", "no log has 'gres/gpu:a100'"),
        ("cpu+mem", "no log has 'mem'"),
        ("0*cpu", "is not a resource"),
        ("0.0000001*cpu", "more than 6 digits"),
        ("10000000*cpu", "more than 6 digits"),
    ],
)
def test_a_resource_that_no_log_has_is_refused(resource: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        component_weights(resource)


@given(st.sampled_from(("0.25*cpu+16*gres/gpu", "0.000001*node", "3*cpu", "cpu+node")), st.integers(1, 50))
def test_a_pool_of_a_weighted_sum_is_exact(resource: str, capacity: int) -> None:
    work = gathered("hand", [Job("a", "u", n, 10, 0, n, n % 2, 1) for n in range(1, 5)])
    layout = one_pool(work, resource, capacity)
    assert layout.weight == pytest.approx(work.amount(resource))
    unit = layout.capacity[0, 0] / capacity
    assert (layout.need[:, 0] == layout.weight * unit).all()


def test_jobs_taken_out_of_a_workload_are_counted_with_their_charge() -> None:
    work = gathered("hand", [Job("a", "u", n, 10 * n, 0, n, n % 2, 1) for n in range(1, 5)])
    rest = work.without(work.amount("cpu") > 2, "large")
    assert rest.submit.tolist() == [1, 2]
    assert rest.left_out == (LeftOut("large", 2, (250, 30, 70)),)
    assert (rest.left_out[0].of("gres/gpu"), NO_COUNTS.of("gres/gpu")) == (30, None)
    assert rest.without(rest.amount("cpu") > 2, "larger") == rest


@given(st.lists(st.sampled_from((NEVER_RAN, NO_COUNTS, *(LeftOut("a", 2, (n, 0, 1)) for n in (1, 5))))))
def test_no_record_is_lost_where_causes_are_summed(left: list[LeftOut]) -> None:
    summed = gathered("hand", left).left_out
    assert sum(one.records for one in summed) == sum(one.records for one in left)
    assert len({one.cause for one in summed}) == len(summed)
    assert sum(one.of("cpu") or 0 for one in summed) == sum(one.of("cpu") or 0 for one in left)


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
