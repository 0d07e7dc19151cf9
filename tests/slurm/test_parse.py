"""Slurm's text to values: a record reads as what it says, or is kept aside with its reason; nothing else.

What stands in its names does not matter. The shapes are those that sacct, sacctmgr, sshare and scontrol of
Slurm 22.05 and later print.
"""

from __future__ import annotations

import gzip
import os
import re
from decimal import Decimal
from math import inf
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.records import (
    PARENT_SHARES,
    Association,
    Outage,
    PriorityConfig,
    Rejected,
    Run,
    Size,
    Subject,
)
from slurm_ai_factory.errors import GarbledError, SlurmError
from slurm_ai_factory.slurm import fields, parse, shares
from tests.slurm.test_shares import usage as known_usage

SAMPLES = os.environ.get("SAF_SACCT_SAMPLES", "")
"""A directory of answers that sites have published; they are not part of this repository."""

SEPARATOR = "\x1f0123abcd"
FIELDS = {
    "DBIndex": "1234",
    "JobIDRaw": "4021",
    "ReservationId": "0",
    "Submit": "1795474000",
    "Eligible": "1795474000",
    "Start": "1795474100",
    "End": "1795477700",
    "ElapsedRaw": "3600",
    "Suspended": "00:00:00",
    "ReqTRES": "billing=4,cpu=4,mem=16000M,node=1",
    "AllocTRES": "billing=4,cpu=4,mem=16000M,node=1",
    "State": "COMPLETED",
    "JobID": "4021",
    "Cluster": "habrok",
    "Account": "umcg",
    "User": "jan",
    "Partition": "gpu",
    "QOS": "normal",
    "WCKey": "",
    "Reservation": "",
    "Comment": "",
}
"""A completed run, field by field; cases say what is different. DBIndex comes once more at the end."""


def _line(**difference: str) -> str:
    fields = FIELDS | difference
    return SEPARATOR.join((*fields.values(), fields["DBIndex"]))


def _read(answer: str) -> list[Run | Rejected]:
    return list(parse.runs(answer.splitlines(keepends=True), SEPARATOR))


def _one(**difference: str) -> Run | Rejected:
    (found,) = parse.runs([_line(**difference) + "\n"], SEPARATOR)
    return found


def _run(**difference: str) -> Run:
    found = _one(**difference)
    assert isinstance(found, Run), found
    return found


def test_the_fields_asked_for_are_the_fields_of_the_cases() -> None:
    assert (*FIELDS, "DBIndex") == parse.RUN_FIELDS


@pytest.mark.parametrize("submit", ["1795473000", "1795474101"], ids=["waiting", "requeued just before"])
def test_what_was_cancelled_while_it_waited_never_started(submit: str) -> None:
    end = "1795474100"
    found = _run(State="CANCELLED by 0", Submit=submit, Start=end, End=end, ElapsedRaw="0", AllocTRES="")
    assert (found.start_at, found.end_at, found.elapsed_seconds) == (None, int(end), 0)


def test_a_completed_run_reads_as_what_sacct_says_of_it() -> None:
    assert _run() == Run(
        db_index=1234, job_id=4021, job_label="4021",
        subject=Subject("habrok", "umcg", "jan", "gpu", "normal", "", ""), state="COMPLETED",
        submit_at=1795474000, eligible_at=1795474000, start_at=1795474100, end_at=1795477700,
        elapsed_seconds=3600, suspended_seconds=0, req_tres="billing=4,cpu=4,mem=16000,node=1",
        alloc_tres="billing=4,cpu=4,mem=16000,node=1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param({"State": "REQUEUED"}, {"state": "REQUEUED", "elapsed_seconds": 3600}, id="requeued"),
        pytest.param({"State": "RESIZING"}, {"state": "RESIZING", "elapsed_seconds": 3600}, id="resized"),
        pytest.param(
            {"Start": "1795474100", "Submit": "1795475000", "Eligible": "1795475000"},
            {"start_at": 1795474100, "elapsed_seconds": 3600},
            id="submitted after it started, by a clock set back",
        ),
        pytest.param({"State": "NODE_FAIL"}, {"state": "NODE_FAIL"}, id="node failure"),
        pytest.param({"JobID": "4000_21"}, {"job_label": "4000_21", "job_id": 4021}, id="array task"),
        pytest.param(
            {
                "JobID": "7_[1-9%2]", "JobIDRaw": "7", "State": "PENDING", "Start": "Unknown",
                "End": "Unknown", "ElapsedRaw": "0", "AllocTRES": "",
            },
            {"job_label": "7_[1-9%2]", "job_id": 7, "start_at": None, "end_at": None, "alloc_tres": ""},
            id="pending array",
        ),
        pytest.param({"JobID": "4020+1"}, {"job_label": "4020+1", "job_id": 4021}, id="het component"),
        pytest.param({"State": "CANCELLED by 0"}, {"state": "CANCELLED"}, id="cancelled by root"),
        pytest.param({"State": "CANCELLED by 10304007"}, {"state": "CANCELLED"}, id="cancelled by a user"),
        pytest.param({"State": "CANCELLED+"}, {"state": "CANCELLED"}, id="cancelled, narrow"),
        pytest.param({"State": "REVOKED_BY_MARS"}, {"state": "REVOKED_BY_MARS"}, id="unknown state"),
        pytest.param(
            {"State": "CANCELLED by 5", "Start": "None", "ElapsedRaw": "0", "AllocTRES": ""},
            {"start_at": None, "end_at": 1795477700, "elapsed_seconds": 0},
            id="cancelled before start",
        ),
        pytest.param(
            {"State": "CANCELLED by 5", "Start": "Unknown", "ElapsedRaw": "0", "AllocTRES": ""},
            {"start_at": None, "end_at": 1795477700},
            id="cancelled before start, newer",
        ),
        pytest.param(
            {"State": "RUNNING", "End": "Unknown"}, {"end_at": None, "start_at": 1795474100}, id="running"
        ),
        pytest.param(
            {
                "State": "PENDING", "Eligible": "Unknown", "Start": "Unknown", "End": "Unknown",
                "ElapsedRaw": "0",
            },
            {"eligible_at": None, "start_at": None, "end_at": None},
            id="held",
        ),
        pytest.param(
            {
                "Submit": "4294967294", "Eligible": "18446744073709551614", "Start": "4294967294",
                "End": "4294967295", "ElapsedRaw": "0",
            },
            {"submit_at": None, "eligible_at": None, "start_at": None, "end_at": None},
            id="NO_VAL and INFINITE times",
        ),
        pytest.param({"Eligible": "0"}, {"eligible_at": None}, id="time 0"),
        pytest.param({"Eligible": ""}, {"eligible_at": None}, id="empty time"),
        pytest.param({"DBIndex": "16930869544313808896"}, {"db_index": 16930869544313808896}, id="large"),
        pytest.param({"DBIndex": str(2**64 - 1)}, {"db_index": 2**64 - 1}, id="greatest DBIndex"),
        pytest.param(
            {"Account": "", "User": "", "QOS": ""},
            {"subject": Subject("habrok", "", "", "gpu", "", "", "")},
            id="null account",
        ),
        pytest.param(
            {"WCKey": "*genomes", "Reservation": "course"},
            {"subject": Subject("habrok", "umcg", "jan", "gpu", "normal", "*genomes", "course")},
            id="wckey and reservation",
        ),
        pytest.param(
            {"Reservation": "", "ReservationId": "17"},
            {"subject": Subject("habrok", "umcg", "jan", "gpu", "normal", "", "#17")},
            id="a reservation that began with the run has no name",
        ),
        pytest.param({"Partition": "gpu,cpu"}, {"job_id": 4021}, id="pending in two partitions"),
        pytest.param(
            {"AllocTRES": "billing=32,cpu=32,gres/gpu:a100=4,gres/gpu=4,mem=128G,node=1"},
            {"alloc_tres": "billing=32,cpu=32,gres/gpu=4,gres/gpu:a100=4,mem=131072,node=1"},
            id="gpu beside typed gpu",
        ),
        pytest.param({"AllocTRES": "billing=0.5,energy=0"}, {"alloc_tres": "billing=0.5"}, id="fractional"),
        pytest.param({"Suspended": "1-02:03:04"}, {"suspended_seconds": 93784}, id="long suspended"),
        pytest.param({"Suspended": ""}, {"suspended_seconds": 0}, id="suspended not told"),
        pytest.param({"State": "SUSPENDED", "End": "Unknown"}, {"state": "SUSPENDED"}, id="suspended now"),
        pytest.param({"Start": "1795477700", "ElapsedRaw": "0"}, {"elapsed_seconds": 0}, id="no time at all"),
        pytest.param({"JobID": "4021|x"}, {"job_label": "4021|x"}, id="a bar is no separator"),
        pytest.param(
            {"AllocTRES": "cpu=4,energy=NONE"},
            {"alloc_tres": "cpu=4", "energy_joules": None},
            id="energy not counted",
        ),
        *(
            pytest.param(
                {"AllocTRES": f"cpu=4,energy={one}"},
                {"alloc_tres": "cpu=4", "energy_joules": None},
                id=f"energy {one}",
            )
            for one in (2**63, 2**64 - 2, 2**64 - 1, 18446744073709540000, 9223372036854775794, 10**30, "-5")
        ),
        pytest.param({"AllocTRES": "cpu=4,energy=5.4K"}, {"energy_joules": 5529}, id="energy with a suffix"),
    ],
)  # fmt: skip
def test_a_line_of_sacct_reads_as_a_run(line: dict[str, str], expected: dict[str, object]) -> None:
    found = _run(**line)._asdict()
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"DBIndex": "0"}, "DBIndex '0'"),
        ({"DBIndex": "-1"}, "DBIndex '-1'"),
        ({"DBIndex": str(2**64)}, "out of range"),
        ({"JobIDRaw": str(2**63)}, "out of range"),
        ({"ElapsedRaw": str(2**63)}, "out of range"),
        ({"ElapsedRaw": "9" * 5000}, "out of range"),
        ({"ElapsedRaw": "3602"}, "ElapsedRaw 3602 is more than the 3600 s from Start to End"),
        ({"ElapsedRaw": "4294963696"}, "is more than the 3600 s from Start to End"),
        ({"End": "5000000000"}, "instant 5000000000 is not between the years 1990 and 2106"),
        ({"Submit": "9223372036854775794"}, "is not between the years 1990 and 2106"),
        ({"Start": "86400"}, "is not between the years 1990 and 2106"),
        ({"AllocTRES": f"cpu={2**63}"}, "TRES 'cpu' is out of range"),
        ({"AllocTRES": f"billing={2**64 - 2},cpu=1"}, "TRES 'billing' is out of range"),
        ({"AllocTRES": "gres/gpu=" + "9" * 400}, "TRES 'gres/gpu' is out of range"),
        ({"AllocTRES": "mem=9999999999999999P"}, "TRES 'mem' is out of range"),
        ({"DBIndex": ""}, "DBIndex ''"),
        ({"DBIndex": "1_000"}, "DBIndex '1_000'"),
        ({"DBIndex": "+1"}, "DBIndex"),
        ({"DBIndex": "12.5"}, "DBIndex"),
        ({"JobIDRaw": "4021.batch"}, "JobIDRaw '4021.batch'"),
        ({"JobIDRaw": "7_1"}, "JobIDRaw '7_1'"),
        ({"JobIDRaw": ""}, "JobIDRaw ''"),
        ({"State": ""}, "no State"),
        ({"State": " by 0"}, "no State"),
        ({"Start": "1795477701"}, "End 1795477700 is before Start 1795477701"),
        ({"Start": "2027-01-01T00:00:00"}, "instant '2027-01-01T00:00:00'"),
        ({"End": "-1"}, "instant '-1'"),
        ({"Submit": "1795474000.5"}, "instant"),
        ({"Start": "Unknown"}, "ElapsedRaw 3600 without a Start"),
        ({"Start": "None", "AllocTRES": ""}, "ElapsedRaw 3600 without a Start"),
        ({"ElapsedRaw": "01:00:00"}, "ElapsedRaw '01:00:00'"),
        ({"ElapsedRaw": "-5"}, "ElapsedRaw '-5'"),
        ({"ElapsedRaw": ""}, "ElapsedRaw ''"),
        ({"AllocTRES": ""}, "without AllocTRES"),
        ({"AllocTRES": "energy=5"}, "without AllocTRES"),
        ({"AllocTRES": "cpu"}, "TRES entry 'cpu'"),
        ({"AllocTRES": "cpu=4,cpu=4"}, "TRES 'cpu' twice"),
        ({"AllocTRES": "cpu=-4"}, "no count in '-4'"),
        ({"ReqTRES": "cpu=4,"}, "TRES entry ''"),
        ({"Suspended": "INVALID"}, "'INVALID' is not a time"),
        ({"Suspended": "5"}, "'5' is not a time"),
    ],
)
def test_a_line_that_contradicts_itself_or_cannot_be_read_is_kept_aside(
    line: dict[str, str], reason: str
) -> None:
    found = _one(**line)
    assert isinstance(found, Rejected), found
    assert found.line == _line(**line).replace(SEPARATOR, "|")[:2000], "the same whatever separator was drawn"
    assert reason in found.reason


# --- records ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["Account", "User", "WCKey", "Reservation", "Comment", "QOS", "JobID"])
@pytest.mark.parametrize(
    "text", ["one\ntwo", "\n", "\r", "\x1f", "|", "a\n" + _line(DBIndex="99").replace(SEPARATOR, "\x1f"),
             "1234\n1234", "\u202e\u2028\x1b[31m", "x" * 70_000, "\n" * 1000, "\\xff", "cluster=x"],
)  # fmt: skip
def test_a_text_is_what_it_is_and_ends_no_record(field: str, text: str) -> None:
    answer = "".join(f"{_line(DBIndex=n, **more)}\n" for n, more in
                     (("1", {}), ("2", {field: text}), ("3", {})))  # fmt: skip
    before, odd, after = (one for one in _read(answer) if isinstance(one, Run))
    assert (before.db_index, odd.db_index, after.db_index) == (1, 2, 3)
    assert (before._replace(db_index=3), odd.elapsed_seconds) == (after, 3600)
    if field not in ("Comment", "JobID"):
        assert text in odd.subject


def test_the_word_of_a_comment_is_part_of_the_subject() -> None:
    comments = ("try saf:flood", "", "saf flood", "one\n\nsaf:late")
    assert [_run(Comment=one).subject.comment for one in comments] == ["flood", "", "", "late"]


@pytest.mark.parametrize(
    "answer",
    [
        "\n",
        "sacct: a warning\n",
        _line() + "\nmore\n",
        _line() + SEPARATOR + "\n",
        SEPARATOR + _line() + "\n",
        _line().rpartition(SEPARATOR)[0] + "\n",
        _line() + "\n" + _line().replace(SEPARATOR, "|") + "\n",
        _line(User=f"jan{SEPARATOR}piet") + "\n",
        _line(Comment=f"x{SEPARATOR}1234\n99{SEPARATOR}y") + "\n",
        _line()[:-1] + "5\n",
    ],
)
def test_an_answer_whose_separators_do_not_come_out_is_no_answer(answer: str) -> None:
    with pytest.raises(GarbledError):
        _read(answer)


def test_what_is_printed_before_a_record_is_told_and_the_record_stands() -> None:
    found = _read(f"{_line(DBIndex='1')}\nsacct: a warning\n\x1b\n{_line()}\n")
    assert found == [_run(DBIndex="1"), Rejected("sacct: a warning\\n\\x1b", "no record"), _run()]


def test_a_record_that_is_too_long_is_kept_aside_and_the_next_one_stands() -> None:
    long = ["x" * 1_000_000 for _ in range(50)]
    head, tail = _line(WCKey="@").split("@")
    found = list(parse.runs([head, *long, tail + "\n", _line(DBIndex="2") + "\n"], SEPARATOR))
    assert isinstance(found[0], Rejected)
    assert found[0].line.startswith("1234|4021|")
    assert len(found[0].line) == fields.SHOWN_MOST
    assert found[1] == _run(DBIndex="2")


@given(st.integers(1, 40), st.text(max_size=30), st.data())
def test_pieces_may_be_cut_anywhere(size: int, text: str, data: st.DataObject) -> None:
    text = text.replace(SEPARATOR, "")
    answer = f"{_line(DBIndex='1', WCKey=text)}\n{_line(DBIndex='2')}\n"
    at = data.draw(st.lists(st.integers(0, len(answer)), max_size=size).map(sorted))
    cuts = [answer[since:until] for since, until in zip([0, *at], [*at, len(answer)], strict=True)]
    pieces = [line for cut in cuts for line in re.findall(r"[^\n]*\n|[^\n]+", cut)]
    found = list(parse.runs(pieces, SEPARATOR))
    assert found == [_run(DBIndex="1", WCKey=text), _run(DBIndex="2")]


# --- resized jobs -------------------------------------------------------------------------------------

FIRST = {"DBIndex": "1", "State": "RESIZING", "End": "1795475000", "ElapsedRaw": "900"}
LATER = {"DBIndex": "2", "Submit": "1795475000", "Eligible": "1795475000"}


def test_the_later_run_of_a_resized_job_is_counted_from_the_resize() -> None:
    first, later = _run(**FIRST), _run(**LATER)
    assert parse.late_submits([first, later]) == [later]
    found = parse.from_own_start(later, parse.resizes([first, later]))
    assert isinstance(found, Run)
    assert (found.start_at, found.elapsed_seconds, found.told_start_at) == (1795475000, 2700, 1795474100)


@pytest.mark.parametrize(
    "first",
    [
        FIRST | {"State": "COMPLETED"},
        FIRST | {"JobIDRaw": "4022"},
        FIRST | {"End": "1795474999", "ElapsedRaw": "899"},
    ],
    ids=["not resized", "of another job", "at another time"],
)
def test_a_run_that_was_submitted_after_its_start_keeps_its_time_without_a_resize(
    first: dict[str, str],
) -> None:
    later = _run(**LATER)
    assert parse.from_own_start(later, parse.resizes([_run(**first), later])) == later


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED by 0", "NODE_FAIL"])
def test_a_run_that_is_over_and_has_no_end_yet_counts_for_its_elapsed_time(state: str) -> None:
    """As slurmdbd tells it while slurmctld catches up after an outage."""
    found = _run(State=state, End="Unknown", ElapsedRaw="10")
    assert found.start_at is not None
    assert (found.end_at, found.elapsed_seconds) == (found.start_at + 10, 10)


# --- any line -----------------------------------------------------------------------------------------

GOOD = (
    _line(),
    _line(State="RUNNING", End="Unknown"),
    _line(State="PENDING", Start="Unknown", End="Unknown", ElapsedRaw="0", AllocTRES=""),
    _line(State="CANCELLED by 0", DBIndex=str(2**63 + 1), Suspended="1-02:03:04"),
)
PIECES = (
    "", "\x1f", SEPARATOR, "\n", "\r", "\x00", "|", ",", "=", "-1", "0", "None", "Unknown", "4294967294",
    "1e9",
    "NaN", "inf", "²", "٣", "cpu=1", "9" * 25, "\ud800", " ", "_", "18446744073709551616",
)  # fmt: skip


def _mutated(line: str, random: Random) -> str:
    """The line with a few cuts, copies and strange pieces in it."""
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(line) + 1)
        end = min(len(line), start + random.choice((0, 0, 1, 2, 5, 30)))
        piece = random.choice((*PIECES, line[start:end] * 2, chr(random.randrange(1, 128))))
        line = line[:start] + piece + line[end:]
    return line


def _is_sound(run: Run) -> bool:
    """What the rest of the product relies on in any run."""
    return (
        0 < run.db_index < 2**64
        and run.elapsed_seconds >= 0
        and run.suspended_seconds >= 0
        and bool(run.state)
        and (run.start_at is not None or not run.elapsed_seconds)
        and (run.start_at is None or run.end_at is None or run.start_at <= run.end_at)
        and tres.canonical(run.alloc_tres) == run.alloc_tres
        and tres.canonical(run.req_tres) == run.req_tres
    )


@given(st.sampled_from(GOOD), st.randoms(use_true_random=False))
def test_a_good_line_with_mistakes_in_it_is_a_sound_run_or_is_kept_aside(line: str, random: Random) -> None:
    try:
        found = _read(_mutated(line, random) + "\n")
    except GarbledError:
        return
    for one in found:
        if isinstance(one, Rejected):
            assert one.reason
            assert one.line.isprintable()
        else:
            assert _is_sound(one)


@given(st.lists(st.text(max_size=12) | st.sampled_from(PIECES), min_size=20, max_size=20))
@example([*FIELDS.values()][1:])
def test_any_fields_of_the_right_number_are_a_sound_run_or_are_kept_aside(texts: list[str]) -> None:
    texts = [one.replace(SEPARATOR, "") for one in texts]
    (found,) = parse.runs([SEPARATOR.join(("7", *texts, "7")) + "\n"], SEPARATOR)
    assert isinstance(found, Rejected) or _is_sound(found)


@given(st.text())
def test_any_text_is_an_answer_or_none(text: str) -> None:
    try:
        found = _read(text)
    except GarbledError:
        return
    assert all(isinstance(one, Run | Rejected) for one in found)


# --- real answers as hostile input --------------------------------------------------------------------

PARSABLE = {
    "sonar_mit/fox_sacct_31fields.txt": "|",
    "sonar_mit/fox_sacct_34fields.txt": "|",
    "sonar_mit/fox_sacct_kv_csv.txt": ",",
    "hb_jobinfo_mit/habrok_snowman_delimited.txt": "☃",
    "ood_sacct_mit/psc_bridges_parsable2.txt": "|",
    "ood_sacct_mit/psc_bridges_fixed_width_22861lines.txt.gz": " ",
    "eagle_bsd/sample_eagle_data.csv": ",",
}


@pytest.fixture(params=PARSABLE)
def real_fields(request: pytest.FixtureRequest) -> list[str]:
    """Every distinct field of a real answer of some site."""
    path = Path(SAMPLES, request.param)
    if not SAMPLES:
        pytest.skip("SAF_SACCT_SAMPLES names no directory of published answers of sacct")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as lines:
        text = {field for line in lines for field in line.rstrip("\n").split(PARSABLE[request.param])}
    return sorted(text)


def test_the_tres_of_real_answers_have_a_canonical_text(real_fields: list[str]) -> None:
    for text in (one for one in real_fields if one.startswith(("billing=", "cpu=")) and "node=" in one):
        once = tres.canonical(text)
        assert tres.canonical(once) == once
        assert _run(AllocTRES=text)._replace(energy_joules=None) == _run()._replace(alloc_tres=once)


def test_a_field_of_a_real_answer_in_any_place_gives_a_sound_run_or_is_kept_aside(
    real_fields: list[str],
) -> None:
    for text in real_fields[:: max(1, len(real_fields) // 400)]:
        for name in ("State", "Suspended", "ElapsedRaw", "Start", "AllocTRES", "DBIndex", "JobID"):
            found = _one(**{name: text.strip()})
            assert isinstance(found, Rejected) or _is_sound(found)


# --- times --------------------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_is_days_hours_minutes_and_seconds(days: int, hours: int, minutes: int, seconds: int) -> None:
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert fields.clock_seconds(f"{days}-{hours:02}:{minutes:02}:{seconds:02}") == total
    assert fields.clock_seconds(f"{hours:02}:{minutes:02}:{seconds:02}") == total - days * 86400


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("22:53.824", 1373), ("00:00:00", 0), ("7-00:00:00", 604800)]
)
def test_a_time_may_be_short_or_have_fractions(text: str, seconds: int) -> None:
    assert fields.clock_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["5", "1-", "1-05", "-00:00:01", "INVALID", "UNLIMITED", "1:2:3:4", "00:00:00 "]
)
def test_a_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        fields.clock_seconds(text)


# --- the association tree -----------------------------------------------------------------------------

NUMBERS = """\
1|0|1
2|1|1
3|1|75
4|3|1
5|4|parent
6|1|25
7|6|1
8|7|1
9|7|2
""".splitlines(keepends=True)

NAMES = """\
root|||1
root|root||2
others|||3
astro|||4
astro|eva||5
regional|||6
umcg|||7
umcg|games||8
umcg|games|gpu|9
""".splitlines(keepends=True)

SHARES = """\
1||0.000000|300|1.000000|
2|1|0.009901|0|0.000000|inf
3|75|0.742574|100|0.333333|2.227723
4|1|1.000000|100|1.000000|1.000000
5|parent|1.000000|100|1.000000|
6|26|0.247525|200|0.666667|0.371287
7|1|1.000000|200|1.000000|1.000000
8|1|0.333333|0|0.000000|0.000000
""".splitlines(keepends=True)


def _associations(
    numbers: list[str] = NUMBERS, names: list[str] = NAMES, usage: list[str] = SHARES
) -> tuple[Association, ...]:
    known = parse.numbers(numbers)
    rows = [
        one
        for one in parse.association_tree(known, parse.association_names(names, known))
        if isinstance(one, parse.AssociationRow)
    ]
    return parse.parse_associations("loop", rows, known_usage(shares.from_text(usage)))


def _found() -> dict[tuple[str, str | None, str | None], Association]:
    return {(one.account, one.user, one.partition): one for one in _associations()}


def test_every_association_of_the_tree_is_read_in_order() -> None:
    found = _associations()
    assert [one.account for one in found] == [line.split("|")[0] for line in NAMES]
    assert {one.cluster for one in found} == {"loop"}


def test_an_association_has_the_shares_and_usage_slurmctld_works_with() -> None:
    assert _found()["regional", None, None] == Association(
        cluster="loop", account="regional", parent="root", raw_shares=26, stored_shares=25,
        norm_shares=0.247525, raw_usage=200, effectv_usage=0.666667, level_fs=0.371287,
    )  # fmt: skip


def test_the_root_account_has_no_parent_and_the_shares_slurmdbd_has() -> None:
    root = _found()["root", None, None]
    assert (root.parent, root.raw_shares, root.raw_usage, root.level_fs) == (None, 1, 300, None)
    assert _found()["root", "root", None].level_fs == inf


def test_a_child_that_shares_as_its_parent_does_not_compete() -> None:
    eva = _found()["astro", "eva", None]
    assert (eva.raw_shares, eva.stored_shares, eva.steerable) == (PARENT_SHARES, PARENT_SHARES, False)


def test_an_association_that_sshare_does_not_list_has_no_usage_rather_than_none_used() -> None:
    one = _found()["umcg", "games", "gpu"]
    assert (one.raw_shares, one.stored_shares) == (2, 2)
    assert one.raw_usage is one.norm_shares is one.effectv_usage is one.level_fs is None


def test_usage_above_2_to_the_63_is_read() -> None:
    (root,) = _associations(NUMBERS[:1], NAMES[:1], [f"1||0.000000|{2**64 - 1}|1.000000|"])
    assert root.raw_usage == 2**64 - 1


def test_no_association_is_no_error_here() -> None:
    assert _associations([], [], SHARES) == ()


@pytest.mark.parametrize(
    "names",
    [
        [*NAMES[:5], "x|||6\n", "regional|||6\n", *NAMES[6:]],
        [*NAMES[:5], "a|b|||6\n", *NAMES[6:]],
        [*NAMES[:5], "a\n", "3|||umcg\n", "|||6\n", *NAMES[6:]],
        [*NAMES[:5], *NAMES[6:]],
        [*NAMES[:5], "umcg|||6\n", *NAMES[6:]],
    ],
    ids=["two lines", "a bar", "a forged row", "not told", "the name of another"],
)
def test_an_association_without_a_name_of_its_own_goes_by_its_number_and_counts(names: list[str]) -> None:
    found = {one.account: one for one in _associations(names=names) if one.user is None}
    assert (found["#ID 6"].parent, found["#ID 6"].raw_shares, found["#ID 6"].raw_usage) == ("root", 26, 200)
    assert found["#ID 7" if "#ID 7" in found else "umcg"].parent == "#ID 6"
    assert "regional" not in found
    assert found["others"].raw_shares == 75


def test_what_goes_by_its_number_is_told() -> None:
    known = parse.numbers(NUMBERS)
    told = [
        one
        for one in parse.association_tree(known, parse.association_names(NAMES[1:], known))
        if isinstance(one, Rejected)
    ]
    assert told == [Rejected("1", "the name of this association cannot be distinguished from others")]


@pytest.mark.parametrize(
    "line",
    ["", "\n", "6|1", "6|1|25|", "6|1|", "6||25", "6|1|-1", "6|1|2.5", "6|1|PARENT", "x|1|25",
     "sacctmgr: something unexpected", f"6|1|{2**63}"],
)  # fmt: skip
def test_one_bad_line_of_numbers_spoils_the_tree(line: str) -> None:
    with pytest.raises(SlurmError, match="sacctmgr printed an association that cannot be read"):
        _associations(numbers=[*NUMBERS[:5], line, *NUMBERS[6:]])


def test_a_tree_with_a_hole_in_it_is_no_tree() -> None:
    with pytest.raises(SlurmError, match="below association 6, but not that one"):
        _associations(numbers=[*NUMBERS[:5], *NUMBERS[6:]])


@pytest.mark.parametrize(
    "line",
    ["", "6|25|0.247525|200|0.666667", "6|25|0.247525|200|0.666667|0.371287|",
     "6|-1|0.247525|200|0.666667|0.371287", "x|25|0.247525|200|0.666667|0.371287"],
)  # fmt: skip
def test_one_bad_line_of_sshare_spoils_the_tree(line: str) -> None:
    with pytest.raises(SlurmError, match="sshare printed a row that cannot be read"):
        _associations(usage=[*SHARES[:5], line, *SHARES[6:]])


@pytest.mark.parametrize(
    "figures",
    ["0.2||0.666667|0.371287", "0.247525|1e9|0.666667|0.371287", "0.247525|-1|0.666667|0.371287",
     "a quarter|200|0.666667|0.371287", "0.247525|200|0.666667|much", "nan|200|0.666667|0.3",
     "-0.5|200|0.666667|0.3", f"0.247525|{2**64}|0.666667|0.371287", "0.247525|200|0.666667|-nan"],
)  # fmt: skip
def test_usage_that_is_no_number_is_unknown_and_told_and_the_others_stand(figures: str) -> None:
    spoilt = [*SHARES[:5], f"6|26|{figures}\n", *SHARES[6:]]
    found = {one.account: one for one in _associations(usage=spoilt) if one.user is None}
    assert (found["regional"].raw_shares, found["regional"].raw_usage) == (26, None)
    assert found["others"].raw_usage == 100
    assert [one.line for one in shares.from_text(spoilt) if isinstance(one, Rejected)] == [
        "sshare: association 6"
    ]


@given(st.sampled_from((NUMBERS, NAMES, SHARES)), st.integers(0, 7), st.randoms(use_true_random=False))
def test_a_tree_with_mistakes_in_it_is_read_or_raises_slurm_error(
    lines: list[str], index: int, random: Random
) -> None:
    spoilt = [*lines[:index], _mutated(lines[index], random), *lines[index + 1 :]]
    answers = [spoilt if lines is one else one for one in (NUMBERS, NAMES, SHARES)]
    try:
        found = _associations(*answers)
    except SlurmError:
        return
    assert len(found) == len(NUMBERS)
    assert all(one.raw_usage is None or one.raw_usage >= 0 for one in found)
    assert all(one.raw_shares >= 0 for one in found)


@given(st.lists(st.integers(1, 30), unique=True, min_size=2), st.data())
def test_each_question_about_odd_names_is_about_fewer_of_them(ids: list[int], data: st.DataObject) -> None:
    named = data.draw(st.sets(st.sampled_from(ids)))
    groups = parse.odd_parts(ids, named)
    assert sorted(one for group in groups for one in group) == sorted(ids)
    assert all(0 < len(group) < len(ids) for group in groups)


# --- events -------------------------------------------------------------------------------------------


def test_events_are_the_sizes_of_the_cluster_and_what_became_of_its_nodes() -> None:
    lines = [
        "1795470000|1795474886||billing=8,cpu=8,energy=0,fs/disk=0,mem=2000M,node=2,pages=0,vmem=0|\n",
        "1795474886|Unknown||billing=16,cpu=16,energy=0,fs/disk=0,mem=4000M,node=4,pages=0,vmem=0|\n",
        "1795474890|1795474918|DRAIN|billing=4,cpu=4,mem=1000M|n4\n",
        "1795474918|0|DOWN*||n4\n",
        "1795474890|Unknown|IDLE~|cpu=4,node=1|n3\n",
    ]
    assert list(parse.events(lines)) == [
        Size(1795470000, 1795474886, "billing=8,cpu=8,mem=2000,node=2"),
        Size(1795474886, None, "billing=16,cpu=16,mem=4000,node=4"),
        Outage("n4", 1795474890, 1795474918, "DRAIN", "billing=4,cpu=4,mem=1000,node=1"),
        Outage("n4", 1795474918, None, "DOWN*", "node=1"),
        Outage("n3", 1795474890, None, "IDLE~", "cpu=4,node=1"),
    ]
    assert list(parse.events([])) == []


def test_a_node_that_is_out_takes_itself_away_whatever_else_it_holds() -> None:
    (outage,) = parse.events(["1795474890|Unknown|DOWN|cpu=4,gres/node=2,vmem=7|n4\n"])
    assert isinstance(outage, Outage)
    assert tres.parse_tres(outage.tres) == {"cpu": 4, "gres/node": 2, "node": 1, "vmem": 7}


@pytest.mark.parametrize(
    "line",
    ["", "1795474890|1795474918|DRAIN|cpu=4", "Unknown|1795474918|DRAIN|cpu=4|n4",
     "1795474890|tomorrow|DRAIN|cpu=4|n4", "1795474890|1795474918|DRAIN|cpu|n4",
     "1795474890|1795474918||cpu=4,cpu=5|", "86400|1795474918|DRAIN|cpu=4|n4"],
)  # fmt: skip
def test_one_bad_event_is_told_and_the_others_stand(line: str) -> None:
    size, odd = parse.events(["1795474886|Unknown||cpu=16|\n", line])
    assert size == Size(1795474886, None, "cpu=16")
    assert isinstance(odd, Rejected)
    assert odd.line == line


# --- scontrol show config -----------------------------------------------------------------------------

CONFIG = """\
Configuration data as of 2026-11-23T22:41:26
AccountingStorageBackupHost = (null)
AccountingStorageEnforce = associations,limits,qos
AccountingStorageTRES   = cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu,gres/gpu:a100
ClusterName             = loop
PriorityDecayHalfLife   = 7-00:00:00
PriorityCalcPeriod      = 00:05:00
PriorityFlags           = NO_FAIR_TREE,MAX_TRES
PriorityType            = priority/multifactor
PriorityWeightAge       = 1000
PriorityWeightFairShare = 100000
SLURM_CONF              = /etc/slurm/slurm.conf
SLURM_VERSION           = 22.05.8
SlurmctldParameters     = a=b,c=d

Slurmctld(primary) at n0 is UP
"""


def _config(text: str = CONFIG) -> PriorityConfig:
    return parse.parse_priority_config(text.splitlines(keepends=True))


def test_the_priority_plugin_is_read_from_what_slurmctld_says() -> None:
    found = _config()
    assert (found.cluster, found.version, found.priority_type) == ("loop", "22.05.8", "priority/multifactor")
    assert (found.decay_half_life_seconds, found.calc_period_seconds) == (604800, 300)
    assert (found.weight_fairshare, found.weight_age) == (100000, 1000)
    assert found.flags == ("NO_FAIR_TREE", "MAX_TRES")
    assert found.enforce == ("associations", "limits", "qos")
    assert found.tres[-2:] == ("gres/gpu", "gres/gpu:a100")


def test_priority_basic_has_no_half_life() -> None:
    lines = "ClusterName = loop\nSLURM_VERSION = 22.05.8\nPriorityType = priority/basic\n"
    found = _config(lines)
    assert (found.decay_half_life_seconds, found.calc_period_seconds, found.weight_fairshare) == (0, 0, 0)
    assert found.flags == found.enforce == found.tres == ()


def test_of_a_setting_that_comes_twice_the_first_counts() -> None:
    assert _config(CONFIG + "ClusterName = other\n").cluster == "loop"


@pytest.mark.parametrize("word", ["none", "(null)", ""])
def test_a_list_without_words_is_empty(word: str) -> None:
    text = CONFIG.replace("associations,limits,qos", word)
    assert _config(text).enforce == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Slurmctld(primary) at n0 is DOWN\n",
        CONFIG.replace("ClusterName ", "Clustername "),
        CONFIG.replace("SLURM_VERSION", "VERSION"),
        CONFIG.replace("PriorityType ", "Priority "),
        CONFIG.replace("7-00:00:00", "a week"),
        CONFIG.replace("100000", "many"),
    ],
)
def test_a_configuration_that_lacks_what_is_needed_raises(text: str) -> None:
    with pytest.raises(SlurmError, match="scontrol show config cannot be read"):
        _config(text)


def test_fractional_billing_stays_exact() -> None:
    run = _run(AllocTRES="billing=0.1,cpu=1")
    assert tres.weigh(tres.parse_tres(run.alloc_tres), {"billing": 3}) == Decimal("0.3")
