"""The ledger's SQL against the pure core: whatever is read, in whatever pieces, the books say the same."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core import charge, tres
from slurm_ai_factory.core.live.cross_check import Unlisted
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import (
    DAY,
    HOUR,
    Association,
    Instant,
    Measurement,
    Rejected,
    Run,
    Subject,
    Window,
)
from slurm_ai_factory.core.rules.classify import Beneficiary, Rule, Rules
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.ledger import Ledger, ReadResult, intake, ledger_of, open_ledger
from tests.ledger.generated import histories_in_one_ledger, in_one_ledger

T0 = charge.day_of(1_800_000_000)
NOW = T0 + 2 * DAY
ALL = Window("all", T0, NOW)
SETTLED = NOW + DAY  #: when the sums of all days up to NOW are kept
HOURS = st.integers(0, 48).map(lambda hours: T0 + hours * HOUR)
WEIGHTS = {"cpu": 1}
TRES = (
    "cpu=1,node=1",
    "billing=4,cpu=4,gres/gpu=1,gres/gpu:a100=1,mem=4096,node=1",
    "billing=2.5,cpu=2,node=1",
)
RULES = Rules(
    (
        Rule(name="r", beneficiary=Beneficiary.REGIONAL, conditions={"account": frozenset({"umcg"})}),
        Rule(name="n", beneficiary=Beneficiary.NON_REGIONAL, conditions={"account": frozenset({"astro"})}),
    )
)
clusters = (f"c{number}" for number in itertools.count())

instants = st.integers(T0, NOW - 1)


@st.composite
def runs(draw: st.DrawFn, db_index: int, cluster: str = "c") -> Run:
    """A run in any of the shapes Slurm tells of."""
    account = draw(st.sampled_from(["umcg", "astro", "visitors", ""]))
    eligible, start, end = sorted(draw(st.lists(instants, min_size=3, max_size=3)))
    suspended = draw(st.integers(0, end - start))
    request, allocation = draw(st.sampled_from(TRES)), draw(st.sampled_from(TRES))
    one = Run(
        db_index=db_index, job_id=db_index % 1000, job_label=str(db_index % 1000),
        subject=Subject(cluster, account, draw(st.sampled_from("ab")), "main", "normal", "", ""),
        state="COMPLETED", submit_at=eligible, eligible_at=eligible, start_at=start, end_at=end,
        elapsed_seconds=end - start - suspended, suspended_seconds=suspended,
        req_tres=request, alloc_tres=allocation,
    )  # fmt: skip
    shape = draw(st.sampled_from(["ended", "running", "suspended", "pending", "cancelled", "held"]))
    if shape == "running":
        return one._replace(state="RUNNING", end_at=None)
    if shape == "suspended":
        return one._replace(state="SUSPENDED", end_at=None)
    if shape == "ended":
        return one
    never = one._replace(start_at=None, elapsed_seconds=0, suspended_seconds=0, alloc_tres="")
    if shape == "cancelled":
        return never._replace(state="CANCELLED")
    return never._replace(state="PENDING", end_at=None, eligible_at=eligible if shape == "pending" else None)


@st.composite
def histories(draw: st.DrawFn) -> list[list[Run]]:
    """Reads, one after the other; a run may be told of again and again, each time differently."""
    keys = st.sampled_from([1, 2, 3, 2**63 + 5, 2**64 - 1])
    reads = draw(st.lists(st.lists(keys, max_size=5, unique=True), min_size=1, max_size=4))
    told = [[draw(runs(key)) for key in read] for read in reads]
    again = draw(st.lists(st.sampled_from(told), max_size=2))
    return told + again


def entries(ledger: Ledger) -> dict[tuple[str, Instant, Subject], tuple[float, float]]:
    """hourly_usage as it is."""
    rows = ledger.store.connection.execute(
        "SELECT u.tres, u.hour, s.account, s.user_name, u.delivered, u.waiting FROM tres_usage u "
        "JOIN subjects s USING (subject_id) WHERE s.cluster_id = %s",
        (ledger.accounting.cluster_id,),
    )
    return {
        (row[0], row[1], Subject(ledger.accounting.cluster, row[2], row[3], "main", "normal", "", "")): row[
            4:
        ]
        for row in rows
    }


def expected(found: Iterable[Run]) -> dict[tuple[str, Instant, Subject], tuple[float, float]]:
    """The same from the core's own functions."""
    delivered: Counter[tuple[str, Instant, Subject]] = Counter()
    waiting: Counter[tuple[str, Instant, Subject]] = Counter()
    for run in found:
        if run.end_at is None:
            continue
        _put(delivered, run.subject, run.alloc_tres, charge.delivered(run, NOW))
        _put(waiting, run.subject, charge.wanted_tres(run), charge.waited(run, NOW))
    return {key: (delivered[key], waiting[key]) for key in delivered.keys() | waiting.keys()}


def _put(
    into: Counter[tuple[str, Instant, Subject]], subject: Subject, text: str, span: tuple[int, int, int]
) -> None:
    for hour, seconds in charge.seconds_by_hour(*span):
        for name, count in tres.parse_tres(text).items():
            into[name, hour, subject] += count * seconds  # type: ignore[assignment]


def record(
    ledger: Ledger, read: Iterable[Run | Rejected], until: Instant = NOW, *, now: bool = False
) -> ReadResult:
    return ledger.intake.record(read, T0, until if now else until - 1, at=until)


@histories_in_one_ledger
@given(history=histories(), data=st.data())
def test_hourly_usage_is_the_last_told_runs_put_into_their_hours(
    ledger_url: str, history: list[list[Run]], data: st.DataObject
) -> None:
    """Whichever of two processes records a read."""
    cluster = next(clusters)
    with open_ledger(ledger_url, cluster) as ledger, open_ledger(ledger_url, cluster) as other:
        last: dict[int, Run] = {}
        for read in history:
            named = [one._replace(subject=one.subject._replace(cluster=cluster)) for one in read]
            record(data.draw(st.sampled_from([ledger, other])), named, now=data.draw(st.booleans()))
            last |= {one.db_index: one for one in named}
        assert entries(ledger) == expected(last.values())


@histories_in_one_ledger
@given(history=histories(), as_of=st.integers(T0, NOW + HOUR))
def test_a_measurement_from_the_ledger_is_the_sum_over_its_runs(
    ledger_url: str, history: list[list[Run]], as_of: Instant
) -> None:
    cluster = next(clusters)
    window = Window("all", T0, NOW + HOUR)
    with open_ledger(ledger_url, cluster) as ledger:
        last: dict[int, Run] = {}
        for read in history:
            named = [one._replace(subject=one.subject._replace(cluster=cluster)) for one in read]
            record(ledger, named)
            last |= {one.db_index: one for one in named}
        measured = measure(ledger, window, as_of)
    regional = [one for one in last.values() if one.subject.account == "umcg"]
    others = [one for one in last.values() if one.subject.account in ("visitors", "")]
    assert measured.total_charge == _sum(last.values(), window, as_of)
    assert measured.regional_charge == _sum(regional, window, as_of)
    assert measured.unclassified_charge == _sum(others, window, as_of)


@histories_in_one_ledger
@given(history=histories(), data=st.data())
def test_any_earlier_measurement_can_be_made_again(
    ledger_url: str, history: list[list[Run]], data: st.DataObject
) -> None:
    cluster = next(clusters)
    measured: list[Measurement] = []
    with open_ledger(ledger_url, cluster) as ledger:
        for step, read in enumerate(history):
            named = [one._replace(subject=one.subject._replace(cluster=cluster)) for one in read]
            now = data.draw(st.booleans())
            ledger.intake.record(named, T0, NOW + step if now else NOW + step - 1, at=NOW + step)
            measured.append(measure(ledger, ALL, NOW))
            assert _kept(ledger) == _added_up(ledger), "a read has changed hours whose sums were kept"
            if data.draw(st.booleans()):
                ledger.classified(RULES).keep_sums(Window("part", T0, NOW - DAY), SETTLED, WEIGHTS)
            if data.draw(st.booleans()):
                ledger.classified(RULES).keep_sums(ALL, SETTLED, WEIGHTS)
            since, until = sorted((data.draw(HOURS), data.draw(HOURS)))
            part = Window("part", since, until)
            for window in (part, ALL):
                assert _kept(ledger, window) == _added_up(ledger, window)
        for step, earlier in enumerate(measured):
            again = measure(ledger, ALL, NOW, then=NOW + step)
            assert replace(again, hours=(), newest_record_at=None) == replace(
                earlier, hours=(), newest_record_at=None
            )


def measure(
    ledger: Ledger, window: Window, as_of: Instant, then: Instant | None = None, rules: Rules = RULES
) -> Measurement:
    promise = share.Promise(cluster="c", target_share=0.25, margin=0.01, resource=Resource(WEIGHTS))
    books = ledger.classified(rules, then)
    return share.measure_window(
        promise, window, as_of, closed=books.usage_by_hour(window, as_of, WEIGHTS),
        open_runs=books.open_runs(), capacity=None, newest_record_at=ledger.accounting.newest_record_at(),
    )  # fmt: skip


def _kept(ledger: Ledger, window: Window = ALL) -> list[share.HourUsage]:
    return sorted(ledger.classified(RULES).usage_by_hour(window, NOW, WEIGHTS))


def _added_up(ledger: Ledger, window: Window = ALL) -> list[share.HourUsage]:
    values = {
        "set_id": ledger.classified(RULES).set_id, "since": window.since,
        "until": charge.hour_of(min(window.until, NOW) + HOUR - 1),
        "tres": list(WEIGHTS), "weights": list(WEIGHTS.values()),
    }  # fmt: skip
    return sorted(
        share.HourUsage(hour, side, delivered, waiting, promises)
        for hour, side, promises, delivered, waiting in ledger.store.all("usage_by_hour", **values)
    )


def test_the_past_but_for_a_day_is_added_up_a_quarter_at_a_time_the_newest_first(ledger: Ledger) -> None:
    early, late = T0 - 250 * DAY, T0 - 10 * DAY
    runs = [ended(n)._replace(submit_at=at, eligible_at=at, start_at=at, end_at=at + 100)
            for n, at in ((1, early), (2, late))]  # fmt: skip
    record(ledger, runs)
    scope = {
        "cluster_id": ledger.accounting.cluster_id, "set_id": ledger.classified(RULES).set_id,
        "resource": "1*cpu", "since": early, "until": NOW,
    }  # fmt: skip
    unknown = []
    for _ in range(4):
        unknown.append(ledger.store.all("hours_not_summed", **scope))
        ledger.classified(RULES).keep_more_sums(NOW, WEIGHTS)
    assert unknown == [
        [(early, NOW)],
        [(early, NOW - 93 * DAY), (NOW - DAY, NOW)],
        [(early, NOW - 185 * DAY), (NOW - DAY, NOW)],
        [(NOW - DAY, NOW)],
    ]  # fmt: skip
    whole = Window("all", early, NOW)
    assert [one.delivered for one in _kept(ledger, whole)] == [100, 100]


def _sum(found: Iterable[Run], window: Window, as_of: Instant) -> tres.Count:
    return sum(share.charge_in(one, WEIGHTS, window, as_of) for one in found)


def ended(db_index: int = 1, seconds: int = 100) -> Run:
    return Run(
        db_index, 7, "7", Subject("c", "umcg", "a", "main", "normal", "", ""), "COMPLETED",
        T0, T0, T0, T0 + seconds, seconds, 0, "cpu=1", "cpu=1",
    )  # fmt: skip


def running(db_index: int = 1) -> Run:
    return ended(db_index)._replace(state="RUNNING", end_at=None)


def versions(ledger: Ledger) -> list[tuple[object, ...]]:
    return ledger.store.connection.execute(
        "SELECT state, elapsed_seconds, superseded_at FROM run_versions ORDER BY superseded_at"
    ).fetchall()


def test_a_read_that_breaks_off_leaves_nothing(ledger: Ledger) -> None:
    def broken() -> Iterator[Run]:
        yield ended(1)
        raise SlurmError("sacct failed")

    with pytest.raises(SlurmError):
        record(ledger, broken())
    assert ledger.accounting.status()["runs"] == 0
    assert ledger.accounting.watermark() is None
    record(ledger, [ended(1)])
    assert ledger.accounting.watermark() == NOW - 1


def test_an_earlier_version_stays_when_slurm_changes_its_mind(ledger: Ledger) -> None:
    record(ledger, [ended(seconds=100)], NOW)
    record(ledger, [ended(seconds=60)], NOW + 1)
    record(ledger, [ended(seconds=60)], NOW + 2)
    assert versions(ledger) == [("COMPLETED", 100, NOW + 1)]
    assert measure(ledger, ALL, NOW).total_charge == 60


def test_reading_a_running_run_again_is_no_change(ledger: Ledger) -> None:
    first = ledger.intake.record([running()], T0, NOW, at=NOW)
    again = ledger.intake.record([running()._replace(elapsed_seconds=50)], T0, NOW + 50, at=NOW + 50)
    assert (first.new, again.new, again.changed) == (1, 0, 0)
    assert versions(ledger) == []


@pytest.mark.parametrize(
    ("first", "then", "counts"),
    [
        (ended(1), ended(1), (0, 0)),
        (ended(1), ended(1)._replace(end_at=T0 + 5), (0, 1)),
        (ended(1), ended(1)._replace(subject=ended(1).subject._replace(account="other")), (0, 1)),
        (ended(1), ended(2), (1, 0)),
        (running(1), running(1)._replace(elapsed_seconds=70), (0, 0)),
        (running(1), ended(1), (0, 1)),
        (
            running(1)._replace(state="SUSPENDED", elapsed_seconds=60),
            running(1)._replace(state="SUSPENDED", elapsed_seconds=70),
            (0, 1),
        ),
    ],
)
def test_only_a_run_that_differs_from_the_ledger_is_new_or_changed(
    ledger: Ledger, first: Run, then: Run, counts: tuple[int, int]
) -> None:
    record(ledger, [first], NOW)
    again = record(ledger, [then], NOW + 1)
    assert (again.new, again.changed) == counts


def test_what_another_process_took_in_is_looked_at_again(ledger: Ledger, ledger_url: str) -> None:
    with open_ledger(ledger_url, "c") as other:
        record(ledger, [ended(seconds=100)], NOW)
        record(other, [ended(seconds=60)], NOW + 1)
        record(ledger, [ended(seconds=100)], NOW + 2)
    assert measure(ledger, ALL, NOW).total_charge == 100


def test_what_a_broken_read_was_told_is_looked_at_again(ledger: Ledger) -> None:
    def broken() -> Iterator[Run]:
        yield ended(seconds=60)
        raise SlurmError("gone")

    record(ledger, [ended(seconds=100)], NOW)
    with pytest.raises(SlurmError):
        record(ledger, broken(), NOW + 1)
    record(ledger, [ended(seconds=60)], NOW + 2)
    assert measure(ledger, ALL, NOW).total_charge == 60


def test_a_run_slurm_no_longer_lists_counts_no_further_and_goes_on_when_it_is_back(ledger: Ledger) -> None:
    record(ledger, [running(1)], T0 + 100, now=True)
    record(ledger, [], T0 + 200, now=True)
    assert measure(ledger, ALL, T0 + 900).total_charge == 200
    record(ledger, [running(1)], T0 + 900, now=True)
    assert measure(ledger, ALL, T0 + 900).total_charge == 900


def test_a_run_that_is_listed_as_before_counts_on_beside_one_that_is_not(ledger: Ledger) -> None:
    for at, listed in ((T0 + 100, (1, 2)), (T0 + 200, (1, 2)), (T0 + 300, (1,)), (T0 + 400, (1,))):
        record(ledger, [running(number) for number in listed], at, now=True)
    assert measure(ledger, ALL, T0 + 900).total_charge == 900 + 300


def test_a_read_of_the_past_says_nothing_about_what_is_open_now(ledger: Ledger) -> None:
    record(ledger, [running(1)], T0 + 100, now=True)
    record(ledger, [], T0 + 50, now=False)
    assert measure(ledger, ALL, T0 + 900).total_charge == 900


def test_a_read_that_is_recorded_after_a_later_one_takes_nothing_back(ledger: Ledger) -> None:
    """A daemon that stood still between sacct and the ledger records what it was told before."""
    record(ledger, [running(1), running(2)], T0 + 100, now=True)
    record(ledger, [ended(1, seconds=150), running(2), running(3)], T0 + 200, now=True)
    record(ledger, [running(1), ended(4, seconds=10)], T0 + 150, now=True)
    states = ledger.store.connection.execute("SELECT db_index, state, missing_since FROM runs ORDER BY 1")
    assert [(int(index), *others) for index, *others in states] == [
        (1, "COMPLETED", None), (2, "RUNNING", None), (3, "RUNNING", None), (4, "COMPLETED", None),
    ]  # fmt: skip
    assert ledger.chain.versions().differing == 0
    assert ledger.accounting.watermark() == T0 + 200
    record(ledger, [ended(1, seconds=140), ended(2, seconds=250), running(3)], T0 + 300, now=True)
    assert sorted(versions(ledger)) == [
        ("COMPLETED", 150, T0 + 300), ("RUNNING", 0, T0 + 200), ("RUNNING", 0, T0 + 300),
    ]  # fmt: skip
    assert ledger.chain.versions().differing == 0


def test_a_line_that_is_no_run_is_kept_once_with_its_reason(ledger: Ledger) -> None:
    for until in (NOW, NOW + 1):
        record(ledger, [Rejected("nonsense", "1 field"), ended(1)], until)
    rows = ledger.store.connection.execute(
        "SELECT line, reason, first_read_at, last_read_at FROM rejected_lines"
    ).fetchall()
    assert rows == [("nonsense", "1 field", NOW, NOW + 1)]
    assert ledger.accounting.status()["runs"] == 1


def test_a_line_is_told_once_and_counted_while_reads_meet_it(ledger: Ledger) -> None:
    bad = Rejected("nonsense", "1 field")
    first = record(ledger, [bad, bad], NOW)
    again = record(ledger, [bad, Rejected("more\0", "1 field")], NOW + 1)
    assert (first.rejected, first.new_rejected) == ((bad, bad), (bad,))
    assert again.new_rejected == (Rejected("more\\0", "1 field"),)
    assert (ledger.accounting.unreadable(NOW), ledger.accounting.unreadable(NOW - 1)) == (2, 2)
    record(ledger, [bad], NOW + 2)
    assert ledger.accounting.unreadable(NOW + 1) == 1


def test_no_more_than_so_many_lines_are_kept_and_told_in_a_day(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LINES", 3)
    told = [
        [one.line for one in record(ledger, [Rejected(f"{at}-{n}", "") for n in range(2)], at).new_rejected]
        for at in (NOW, NOW + 1, NOW + 2, NOW + 2 * DAY)
    ]
    first, last = [f"{NOW}-0", f"{NOW}-1"], [f"{NOW + 2 * DAY}-0", f"{NOW + 2 * DAY}-1"]
    assert told == [first, [f"{NOW + 1}-0", "(any further line)"], [], last]


@pytest.mark.parametrize(
    "wrong",
    [
        {"energy_joules": 2**63}, {"job_id": 2**63}, {"elapsed_seconds": 2**62}, {"end_at": 2**62},
        {"db_index": 10**20}, {"state": "\0"},
    ],
)  # fmt: skip
def test_a_run_that_the_ledger_cannot_hold_stops_no_other(ledger: Ledger, wrong: dict[str, Any]) -> None:
    result = record(ledger, [ended(1), ended(2)._replace(**wrong)], NOW)
    assert (result.runs, len(result.rejected)) == (1, 1)
    assert ledger.accounting.status()["runs"] == 1


def test_names_and_tres_of_any_length_are_read(ledger: Ledger) -> None:
    licences = ",".join(f"license/lic{n:04}@server{n * 919 % 1000:03}={n + 1}" for n in range(400))
    noise = "".join(map(str, random.Random(1).choices(range(10), k=9000)))
    subject = ended(1).subject._replace(wckey=noise, comment=noise)
    long = ended(1)._replace(subject=subject, alloc_tres=f"cpu=4,{licences},gres/gpu:{noise}=1,node=1")
    record(ledger, [long, ended(2)], NOW)
    record(ledger, [long, ended(2)], NOW + 1)
    assert ledger.accounting.status()["subjects"] == 2
    assert [one for one in ledger.accounting.runs_between(T0, NOW) if one.db_index == 1] == [long]


def test_known_names_of_tres_use_up_no_numbers(ledger: Ledger) -> None:
    for cpus in range(1, 6):
        record(ledger, [ended(cpus)._replace(alloc_tres=f"cpu={cpus},node=1")], NOW + cpus)
    last, names = ledger.store.connection.execute("SELECT max(tres_id), count(*) FROM tres").fetchall()[0]
    assert last == names


def test_new_rules_classify_history_and_the_same_rules_touch_nothing(ledger: Ledger) -> None:
    record(ledger, [ended(1), running(2)])
    assert measure(ledger, ALL, NOW).regional_charge == measure(ledger, ALL, NOW).total_charge > 0
    nobody = replace(RULES, rules=())
    assert measure(ledger, ALL, NOW, rules=nobody).regional_charge == 0
    assert ledger.classified(RULES).set_id == ledger.classified(RULES).set_id
    assert ledger.classified(RULES).set_id != ledger.classified(nobody).set_id


def test_a_deleted_account_keeps_its_last_parent(ledger: Ledger) -> None:
    def row(account: str, parent: str | None) -> Association:
        return Association(cluster="c", account=account, parent=parent, raw_shares=1)

    ledger.intake.record_accounts([row("root", None), row("regional", "root"), row("umcg", "regional")], 1)
    ledger.intake.record_accounts([row("root", None), row("regional", "root")], 2)
    assert ledger.accounting.parents() == {"root": None, "regional": "root", "umcg": "regional"}


def test_a_job_is_found_by_its_label_and_by_its_number(ledger: Ledger) -> None:
    record(
        ledger,
        [ended(1), ended(2)._replace(job_id=9, job_label="7_2"), ended(3)._replace(job_id=8, job_label="8")],
    )

    def indexes(label: str) -> list[int]:
        return [one.run.db_index for one in ledger.classified(RULES).runs_of_job(label)]

    assert indexes("7_2") == indexes("9") == [2]
    assert indexes("7") == [1]
    assert indexes("no job") == []


def test_how_long_runs_usually_take_is_told_by_user_and_what_one_comes_to(ledger: Ledger) -> None:
    one, other, open_run = ended(1, seconds=100), ended(2, seconds=300), running(3)
    late = ended(4, seconds=9999)._replace(end_at=T0 + 10**6)
    eva = ended(5, seconds=7)
    record(ledger, [one, other, open_run, late, eva._replace(subject=eva.subject._replace(user="eva"))])
    found = ledger.accounting.usual(T0, T0 + 10**6, WEIGHTS)
    assert found.seconds == {one.subject.user: 200.0, "eva": 7.0}
    assert found.run_charge == pytest.approx((100**2 + 300**2 + 7**2) / (100 + 300 + 7))
    assert ledger.accounting.usual(0, T0, WEIGHTS) == ({}, 0.0)


def test_gaps_are_what_no_read_has_covered(ledger: Ledger) -> None:
    assert ledger.accounting.gaps(0, 100) == [(0, 100)]
    for since, until in ((10, 20), (15, 30), (60, 70)):
        ledger.intake.record([], since, until, at=1000)
    assert ledger.accounting.gaps(0, 100) == [(0, 10), (30, 60), (70, 100)]
    assert ledger.accounting.gaps(12, 28) == []


@histories_in_one_ledger
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(0, 60), st.integers(0, 60))))
def test_what_was_never_read_of_an_interval_is_known_to_the_second(
    ledger_url: str, steps: list[tuple[int, int, int, int]]
) -> None:
    """Asked after each read, of any interval."""
    with open_ledger(ledger_url, next(clusters)) as ledger:
        known: set[int] = set()
        for since, length, one, other in steps:
            ledger.intake.record([], since, since + length, at=1000)
            known |= set(range(since, since + length))
            first, last = min(one, other), max(one, other)
            assert ledger.accounting.unread(first, last) == len(set(range(first, last)) - known)
            assert ledger.accounting.unread(first, last + 5) == len(set(range(first, last + 5)) - known)


def test_two_clusters_in_one_ledger_do_not_mix(ledger: Ledger) -> None:
    other = ledger_of(ledger.store, "d", ledger.store.cluster_id("d"))
    record(ledger, [ended(1, seconds=100)])
    one = ended(1, seconds=7)
    other.intake.record([one._replace(subject=one.subject._replace(cluster="d"))], T0, NOW, at=NOW)
    assert measure(ledger, ALL, NOW).total_charge == 100
    assert [usage.delivered for usage in other.classified(RULES).usage_by_hour(ALL, NOW, WEIGHTS)] == [7]


LABELS = (
    "7", "7_3", "7_[1-9]", "7_[1-4,8,10-20:2%3]", "7_[5-10:2,...]", "7_[1-9%0]", "7_[9-1]", "7_[1-", "7_[]",
    "7_[1-9]x", "7_[0-4294967295]", "7_[0-4294967296]", "7_[1-9:0]", "7_[1-9%2%3]", "x_[1-9]",
)  # fmt: skip


@in_one_ledger
@given(st.sampled_from(LABELS) | st.from_regex(r"7_\[[0-9,:%-]{0,12}\]?", fullmatch=True))
def test_the_ledger_counts_the_tasks_of_an_array_as_the_core_does(ledger: Ledger, label: str) -> None:
    (found,) = ledger.store.connection.execute("SELECT tasks(%s)", [label]).fetchone() or (None,)
    assert found == charge.tasks(label)


def test_an_array_that_was_cancelled_has_waited_for_all_its_tasks(ledger: Ledger) -> None:
    array = running(7)._replace(
        state="CANCELLED", job_label="7_[1-4%3]", start_at=None, end_at=T0 + 1800, eligible_at=T0,
        elapsed_seconds=0, alloc_tres="",
    )  # fmt: skip
    record(ledger, [array])
    (used,) = ledger.store.connection.execute("SELECT sum(waiting) FROM hourly_usage").fetchone() or (None,)
    assert used == 3 * 1800


def test_the_reservations_that_runs_have_lost_are_those_they_had_before(ledger: Ledger) -> None:
    """By an upgrade of Slurm to 24.11, for the runs that go on meanwhile."""

    def told(number: int, reservation: str, start: Instant = T0 + 600) -> Run:
        one = ended(number)
        subject = one.subject._replace(reservation=reservation)
        return one._replace(subject=subject, start_at=start, end_at=start + 60, elapsed_seconds=60)

    before = [told(1, "lesson"), told(2, "night"), told(3, "other"), told(4, "lesson"), told(5, "")]
    later = [told(1, ""), told(2, "night"), told(3, ""), told(4, "moved"), told(5, "")]
    outside = T0 + DAY
    record(ledger, [*before, told(6, "late", outside)])
    known = ledger.accounting
    ledger.intake.record([*later, told(6, "", outside)], T0, NOW + 10, at=NOW + 10)
    names, day = ("lesson", "night", "late", "moved"), (T0, T0 + DAY)
    assert known.lost_reservations(names, day, NOW) == ["lesson"]
    assert known.lost_reservations(names, (T0, NOW), NOW) == ["late", "lesson"]
    assert known.lost_reservations(("other", "night"), day, NOW) == ["other"]
    assert known.lost_reservations(names, day, NOW, then=NOW) == []
    assert known.lost_reservations(names, day, NOW + 10) == []


# --- half an answer -----------------------------------------------------------------------------------


def as_sacct_lists(told: Iterable[Run], since: Instant, until: Instant) -> list[Run]:
    """What sacct lists of an interval: as_mysql_jobacct_process.c, without states."""
    return [
        one
        for one in told
        if one.eligible_at is not None
        and one.eligible_at < until
        and (one.end_at is None or one.end_at >= since)
    ]


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[Run], list[Run]]:
    """The same runs at one read and at the next: open ones ended, were held, or went; others are new."""
    first = [draw(runs(number)) for number in range(1, draw(st.integers(1, 8)))]
    later = [
        one if one.end_at is not None else draw(st.sampled_from([one, draw(runs(one.db_index)), None]))
        for one in first
    ]
    new = [draw(runs(number)) for number in range(20, 20 + draw(st.integers(0, 3)))]
    told = [one for one in (*later, *new) if one is not None]
    again = draw(st.lists(st.sampled_from(told), max_size=3)) if told else []
    return first, [*told, *again]


@histories_in_one_ledger
@given(life=lives(), since=HOURS, data=st.data())
def test_an_answer_that_lacks_an_ended_run_says_so_and_a_whole_one_never_does(
    ledger_url: str, life: tuple[list[Run], list[Run]], since: Instant, data: st.DataObject
) -> None:
    """Whatever was requeued, told twice, held again, or is out of the interval that was asked for."""
    first, later = life
    answer = as_sacct_lists(later, since, NOW + HOUR)
    known = {
        one.db_index: one
        for one in as_sacct_lists(first, since + 1, NOW + HOUR)
        if one.end_at is not None and one.start_at is not None and one in as_sacct_lists(first, T0, NOW)
    }
    with open_ledger(ledger_url, next(clusters)) as ledger:
        ledger.intake.record(as_sacct_lists(first, T0, NOW), T0, NOW, at=NOW)
        lost = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
        kept = [one for one in answer if one.db_index not in lost]
        found = ledger.intake.record(kept, since, NOW + HOUR, at=NOW + HOUR).unlisted
        assert (found.known, found.lacking) == (len(known), len(lost))
        assert found.newest_end_at == max((known[index].end_at or 0 for index in lost), default=None)
        assert set(found.jobs) <= {known[index].job_id for index in lost}
        assert bool(found.jobs) == bool(lost)
        whole = ledger.intake.record(answer, since, NOW + HOUR, at=NOW + 2 * HOUR).unlisted
        assert whole.lacking == 0


def test_a_line_that_cannot_be_read_may_be_the_run_that_is_lacking(ledger: Ledger) -> None:
    done = running()._replace(state="COMPLETED", end_at=T0 + 200, elapsed_seconds=100)
    others = [done._replace(db_index=number, job_id=number) for number in (2, 3)]
    ledger.intake.record([done, *others], T0, NOW, at=NOW)
    garbled = Rejected("1|~~", "2 fields")
    assert ledger.intake.record([garbled, *others], T0, NOW, at=NOW + 1).unlisted == Unlisted(3)
    assert ledger.intake.record([garbled], T0, NOW, at=NOW + 2).unlisted.lacking == 3
