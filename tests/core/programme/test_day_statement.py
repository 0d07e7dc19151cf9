"""The statement of a day: its rows, its one spelling, and what no file gets past."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.programme import day_statement
from slurm_ai_factory.core.programme.day_statement import (
    DayStatement,
    SignedStatement,
    StatedRow,
    StatedUsage,
    SyncLine,
    capacity_stated,
    open_usage,
    parsed_statement,
    stated_rows,
    sync_fault,
    sync_of,
)
from slurm_ai_factory.core.records import DAY, HOUR, Run
from tests.core.generated import NOW, RUN, running_runs, waiting_runs

DATE = 20_000 * DAY
ROWS = [
    StatedRow(0, "astro", "", "local", "cpu=4,node=1", 3600, 0, 1),
    StatedRow(1, "umcg", "genomes", "local", "cpu=2,gres/gpu=1,node=1", 1800, 600, 0),
]


def statement(**changes: Any) -> DayStatement:
    made = DayStatement(
        format=1, site="groningen", cluster="alpha", day=DATE, revision=1, previous="",
        capacity=capacity_stated({"cpu": {DATE: 7200}}, DATE), rows=ROWS, sync=sync_of(ROWS, DATE + DAY),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def file_of(made: DayStatement) -> bytes:
    return SignedStatement(made, made.digest, "c2lnbmVk").text().encode()


def test_a_file_is_read_back_as_it_was_written() -> None:
    assert parsed_statement(file_of(statement())).statement == statement()
    assert sync_fault(statement()) == ""


def test_the_digest_of_a_statement_stays() -> None:
    """Sites and programmes of different versions compare it."""
    assert statement().digest == "cc468eb5019fdb17b27d707ea31e42dcd2f9e37c8b5178eb1902a5d257ca2cdc"


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A file whose content was changed by hand, in the usual spelling."""
    value = json.loads(file_of(statement()))
    change(value["statement"])
    return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()


def spelled(old: str, new: str) -> bytes:
    """A file with other bytes."""
    text = file_of(statement()).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


ROW = '[0,"astro","","local","cpu=4,node=1",3600,0,1]'
HOSTILE = {
    "nothing": (b"", "is not a day statement"),
    "no JSON": (b"\x7fELF", "is not a day statement"),
    "no UTF-8": (b'{"statement":"\xff"}', "is not a day statement"),
    "endless depth": (b"[" * 100_000, "is not a day statement"),
    "too long": (b" " * (day_statement.MOST_BYTES + 1), "is longer than 32 MiB"),
    "cut off": (file_of(statement())[:-20], "is not a day statement"),
    "something behind": (file_of(statement()) + b"{}", "is not a day statement"),
    "a blank more": (file_of(statement()) + b" ", "is not spelled"),
    "a key twice": (spelled('"revision":1', '"revision":1,"revision":1'), "is not spelled"),
    "another key": (spelled('"revision":1', '"revision":1,"x":1'), "unknown field `x`"),
    "a lacking key": (spelled('"revision":1,', ""), "missing required field `revision`"),
    "a fraction": (spelled(",3600,", ",3600.5,"), "Expected `int`"),
    "an integer with an exponent": (spelled(",3600,", ",36e2,"), "is not"),
    "NaN": (spelled(",3600,", ",NaN,"), "is not a day statement"),
    "infinity": (spelled(",3600,", ",1e999,"), "is not a day statement"),
    "less than nothing": (spelled(",3600,", ",-3600,"), "Expected `int` >= 0"),
    "a huge number": (spelled(",3600,", f",{10**30},"), "is not a day statement"),
    "a number of a million digits": (spelled(",3600,", f",{'9' * 10**6},"), "is not a day statement"),
    "a text for a number": (spelled(",3600,", ',"3600",'), "Expected `int`"),
    "a truth for a number": (spelled(",3600,", ",true,"), "Expected `int`"),
    "null for a name": (spelled('"astro"', "null"), "Expected `str`"),
    "an hour that no day has": (spelled(ROW, ROW.replace("[0", "[24")), "Expected `int` <"),
    "a name that is a path": (spelled('"groningen"', '"../../etc"'), "is not a day statement"),
    "a name with an end of line": (spelled('"groningen"', '"gro\\n"'), "is not a day statement"),
    "an account that steers a terminal": (
        changed(lambda of: of["rows"][0].__setitem__(1, "astro\x1b[2J")), "cannot be printed",
    ),
    "an account with a NUL": (changed(lambda of: of["rows"][0].__setitem__(1, "a\0")), "cannot be printed"),
    "an account that turns text around": (
        changed(lambda of: of["rows"][0].__setitem__(1, "a\u202e")), "cannot be printed",
    ),
    "an account without end": (changed(lambda of: of["rows"][0].__setitem__(1, "a" * 256)), "Expected `str`"),
    "half a character": (spelled('"astro"', '"\\ud800"'), "is not"),
    "a row twice": (spelled(ROW, f"{ROW},{ROW}"), "out of order or twice"),
    "rows out of order": (changed(lambda of: of["rows"].reverse()), "out of order or twice"),
    "a row too short": (spelled(ROW, ROW.replace(",1]", "]")), "is not a day statement"),
    "a row too long": (spelled(ROW, ROW.replace(",1]", ",1,1]")), "is not a day statement"),
    "TRES in another spelling": (spelled("cpu=4,node=1", "node=1,cpu=4"), "not in its usual spelling"),
    "TRES that are none": (spelled("cpu=4,node=1", "cpu"), "is not name=count"),
    "TRES out of range": (spelled("cpu=4,node=1", f"cpu={2**63},node=1"), "is out of range"),
    "an amount that is none": (spelled('"cpu":"18000"', '"cpu":"NaN"'), "is not an amount"),
    "an amount with an exponent": (spelled('"cpu":"18000"', '"cpu":"1E9999999"'), "is not an amount"),
    "an amount below 0": (spelled('"cpu":"18000"', '"cpu":"-1"'), "is not an amount"),
    "a day with too few hours": (spelled('"0",', ""), "is not a day statement"),
    "no whole day": (spelled(f'"day":{DATE}', f'"day":{DATE + 1}'), "multiple of"),
    "a day beyond all time": (spelled(f'"day":{DATE}', f'"day":{2**40 * DAY}'), "is not a day statement"),
    "another format": (spelled('"format":1', '"format":2'), "is not a day statement"),
    "a first revision with one before": (changed(lambda of: of.update(previous="a" * 64)), "before it"),
    "a later revision without one before": (changed(lambda of: of.update(revision=2)), "before it"),
    "an altered charge": (changed(lambda of: of["rows"][0].__setitem__(5, 9)), "was changed"),
    "another site": (changed(lambda of: of.update(site="south")), "was changed"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_refused(what: str) -> None:
    data, why = HOSTILE[what]
    with pytest.raises(ValueError, match=r"\S") as refused:
        parsed_statement(data)
    assert why in str(refused.value)
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parsed_statement(data)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_no_changed_byte_gets_through(place: int, byte: int) -> None:
    """Nor a byte that a parser would overlook; the signature is checked elsewhere."""
    data = bytearray(file_of(statement()))
    place %= data.index(b'"signature"')
    if data[place] == byte:
        return
    data[place] = byte
    with pytest.raises(ValueError, match=r"\S"):
        parsed_statement(bytes(data))


@pytest.mark.parametrize(
    ("sync", "why"),
    [
        (SyncLine(2, {"cpu": "18000", "gres/gpu": "1800", "node": "5400"}, DATE + DAY), "has 2 runs"),
        (SyncLine(1, {"cpu": "18001", "gres/gpu": "1800", "node": "5400"}, DATE + DAY), "18001 cpu-seconds"),
        (SyncLine(1, {"gres/gpu": "1800", "node": "5400"}, DATE + DAY), "has 0 cpu-seconds"),
        (SyncLine(1, {"cpu": "18000", "gres/gpu": "1800", "node": "5400", "x": "1"}, DATE + DAY), "1 x-sec"),
        (SyncLine(1, {"cpu": "18000", "gres/gpu": "1800", "node": "5400"}, DATE + DAY - 1), "whole day"),
    ],
)
def test_a_sync_line_that_disagrees_is_a_fault(sync: SyncLine, why: str) -> None:
    assert why in sync_fault(statement(sync=sync))


def test_the_same_day_read_later_is_the_same() -> None:
    later = statement(sync=sync_of(ROWS, DATE + 9 * DAY), revision=2, previous="a" * 64)
    assert statement().same(later)
    assert not statement().same(statement(rows=ROWS[:1], sync=sync_of(ROWS[:1], DATE + DAY)))
    assert not statement().same(statement(capacity={}))


def test_fractions_are_exact() -> None:
    rows = [StatedRow(0, "a", "", "local", "billing=0.1", 3, 0, 0)]
    assert sync_of(rows, 0).charge == {"billing": "0.3"}
    assert sync_of([*rows, *rows], 0).charge == {"billing": "0.6"}


@given(st.lists(running_runs() | waiting_runs(), max_size=5))
def test_days_of_open_runs_add_up_to_all_they_had(runs: list[Run]) -> None:
    """Delivered and waiting seconds of every day together, of whatever was read up to then."""
    days = range(0, NOW // DAY * DAY, DAY)
    rows = [row for day in days for row in stated_rows(open_usage(runs, day, NOW), day, "local")]
    end = NOW // DAY * DAY
    for amount, span, tasks in (
        ("delivered", charge.delivered, lambda _: 1),
        ("waiting", charge.waited, charge.waiting_tasks),
    ):
        wanted = sum(tasks(run) * charge.spread(*span(run, NOW), end) for run in runs)
        assert sum(getattr(row, amount) for row in rows) == wanted


@given(st.permutations(range(6)))
def test_rows_do_not_depend_on_the_order_of_usage(order: list[int]) -> None:
    usage = [StatedUsage(DATE + HOUR * (n % 2), "a", "", "cpu=1", delivered=n, runs=n % 3) for n in range(6)]
    assert stated_rows([usage[n] for n in order], DATE, "local") == stated_rows(usage, DATE, "local")


def test_names_of_a_site_that_no_programme_would_take_are_written_plainly() -> None:
    usage = [StatedUsage(DATE, "a\n" + "b" * 300, "\x1b", "cpu=1", delivered=1)]
    (row,) = stated_rows(usage, DATE, "local")
    assert (row.account, row.project) == (("a\\x0a" + "b" * 300)[:255], "\\x1b")
    rows = statement(rows=[row], sync=sync_of([row], DATE + DAY))
    assert parsed_statement(file_of(rows)).statement.rows == [row]


def test_no_run_that_only_waits_has_a_charge() -> None:
    waiting = RUN._replace(start_at=None, state="PENDING", alloc_tres="", eligible_at=DATE)
    rows = stated_rows(open_usage([waiting], DATE, DATE + DAY), DATE, "local")
    assert {(row.delivered, row.waiting, row.tres) for row in rows} == {(0, HOUR, waiting.req_tres)}
    assert sync_of(rows, 0).charge == {}
    assert Decimal(tres.parse_tres(waiting.req_tres)["cpu"]) == 4
