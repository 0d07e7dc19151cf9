"""One cycle's own time on ledgers of three sizes, and what it is spent on.

Rule: Slurm is a stand-in that answers from memory, the clock is simulated, and everything else is the
product's own: `cycle.run` and `question.measure` on a real PostgreSQL.
"""

from __future__ import annotations

import gc
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import psycopg

from slurm_ai_factory import cycle, ledger, question
from slurm_ai_factory.config import Config, parse_config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Run, Subject, Window
from slurm_ai_factory.ledger import Ledger, Store
from slurm_ai_factory.ledger.store import SqlRow
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps.site import Site
from tests.benchmarks import books, history
from tests.benchmarks import reading as backfill
from tests.benchmarks.standin import StandIn
from tests.benchmarks.times import described, percentile

Say = Callable[[str], object]
REPEATS = 5
WARM_UP = 3
SHOWN = 12
LATELY = 8 * 86400
ENDED = """
SELECT r.db_index, r.job_id, r.job_label, s.account, s.user_name, s.partition, s.qos, s.wckey, s.reservation,
    r.state, r.submit_at, r.eligible_at, r.start_at, r.end_at, r.elapsed_seconds, r.suspended_seconds,
    q.tres, a.tres
FROM runs r JOIN subjects s USING (subject_id) JOIN allocations q ON q.allocation_id = r.req_id
JOIN allocations a ON a.allocation_id = r.alloc_id
WHERE r.end_at >= %s OR r.end_at IS NULL ORDER BY r.end_at, r.db_index
"""


class TimedStore(Store):
    """Adds up the time and the number of calls of each named query."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()

    @contextmanager
    def _timed(self, query: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[query] += time.perf_counter() - began
            self.calls[query] += 1

    def all(self, query: str, **values: object) -> list[SqlRow]:
        with self._timed(query):
            return super().all(query, **values)

    def one(self, query: str, **values: object) -> SqlRow | None:
        with self._timed(query):
            return super().one(query, **values)

    def do(self, query: str, **values: object) -> int:
        with self._timed(query):
            return super().do(query, **values)

    def do_many(self, query: str, rows: Sequence[Mapping[str, object]]) -> None:
        with self._timed(query):
            super().do_many(query, rows)

    def copy(self, query: str, rows: Iterable[Sequence[object]]) -> int:
        with self._timed(query):
            return super().copy(query, rows)

    def dearest(self, how_many: int) -> list[tuple[str, float]]:
        """The queries that took longest in all, in seconds."""
        return sorted(self.seconds.items(), key=lambda item: -item[1])[:how_many]

    def profile(self, cycles: int) -> list[str]:
        """A line for each of the dearest queries: ms a cycle, calls a cycle."""
        lines = [
            f"    {1000 * seconds / cycles:8.2f} ms  {self.calls[name] / cycles:5.1f} x  {name}"
            for name, seconds in self.dearest(SHOWN)
        ]
        total = 1000 * sum(self.seconds.values()) / cycles
        return [*lines, f"    {total:8.2f} ms of all queries"]


def measure(server: str, sizes: Sequence[int], beats: int, say: Say) -> dict[str, object]:
    """The figures of all sizes; each ledger is the one before, made longer."""
    p99: dict[str, float] = {}
    times: list[float] = []
    reclassified: list[float] = []
    with backfill.ledger(server, "books") as url:
        books.begin(url)
        known, now = 0, books.NOW
        for size in sizes:
            began = time.monotonic()
            books.extend(url, known, size, lambda done: say(f"{done:,} runs in the ledger"))
            say(f"ledger of {size:,} runs made in {time.monotonic() - began:.0f} s; {_size(url)}")
            now, took, _ = beats_of(url, now, beats, say)
            p99[str(size)] = round(percentile(took.values()), 1)
            times += shares(url, now, say)
            reclassified.append(reclassify(url, now, say))
            known = size
    flat = p99[str(sizes[-1])] / p99[str(sizes[0])]
    say(f"p99 of the largest ledger is {flat:.2f} times that of the smallest")
    return {
        "cycle_p99_ms": p99,
        "share_query_ms": round(max(times), 1),
        "reclassify_seconds": round(max(reclassified), 2),
    }


def configuration(*, moved: bool = False) -> Config:
    """One rule for each account; moved gives half of the accounts to the other side."""
    rules = []
    for number, (account, parent) in enumerate(history.accounts().items()):
        regional = (parent == "regional") != (moved and number % 4 < 2)
        side = "regional" if regional else "non_regional"
        rules += ["[[rule]]", f'name = "{account}"', f'beneficiary = "{side}"', f'account = "{account}"']
    return parse_config("\n".join([f'[cluster]\nname = "{books.CLUSTER}"', *rules]), "benchmark")


def stand_in(store: Store, now: int) -> StandIn:
    """Slurm as the ledger left it."""
    rows = store.connection.execute(ENDED, (now - LATELY,)).fetchall()
    runs = [Run(int(row[0]), row[1], row[2], Subject(books.CLUSTER, *row[3:9]), *row[9:18]) for row in rows]
    tree = {"regional": "root", "national": "root"} | history.accounts()
    names = list(history.accounts())
    users = [(names[n % len(names)], f"user{n:03}") for n in range(history.USERS)]
    open_runs = sorted((run for run in runs if run.end_at is None), key=lambda run: run.db_index)
    return StandIn(books.CLUSTER, tree, users, open_runs, [run for run in runs if run.end_at is not None])


@contextmanager
def opened(url: str) -> Iterator[tuple[Ledger, TimedStore]]:
    """The ledger, through a store that measures."""
    store = TimedStore(url)
    with store:
        yield ledger.ledger_of(store, books.CLUSTER, store.cluster_id(books.CLUSTER)), store


class Beats(NamedTuple):
    """So many cycles, a beat apart."""

    now: int  #: the instant of the last
    took: dict[int, float]  #: the ms of each, by its instant
    pages: float  #: of the database, that each looked at


def beats_of(url: str, now: int, beats: int, say: Say) -> Beats:
    """Run so many cycles, after some that warm up."""
    clock = {"now": now}
    with opened(url) as (books_open, store):
        slurm = stand_in(store, now)
        gc.collect()
        gc.freeze()  # the stand-in's past is Slurm's memory, not the product's
        site = Site(
            configuration(), cast("Slurm", slurm), books_open, lambda: clock["now"], _never_wait, "benchmark"
        )
        took, before = dict[int, float](), 0
        for number in range(WARM_UP + beats):
            clock["now"] += books.BEAT
            slurm.beat(clock["now"], books.BEAT)
            if number == WARM_UP:
                before = pages(store)
                store.seconds.clear()
                store.calls.clear()
            began = time.perf_counter()
            cycle.run(site, time.perf_counter)
            if number >= WARM_UP:
                took[clock["now"]] = 1000 * (time.perf_counter() - began)
            question.sum_up(site.config, site.ledger)  # as the daemon does between two
        kinds: dict[str, list[float]] = {"all": list(took.values())}
        for at, ms in took.items():
            new_day, new_hour = at % 86400 < books.BEAT, at % 3600 < books.BEAT
            kinds.setdefault("daily" if new_day else "hourly" if new_hour else "usual", []).append(ms)
        say("; ".join(f"{kind}: {len(values)} cycles, {described(values)}" for kind, values in kinds.items()))
        for line in store.profile(beats):
            say(line)
        looked_at = (pages(store) - before) / beats
    return Beats(clock["now"], took, looked_at)


def pages(store: Store) -> int:
    """Pages of the database that were looked at so far, in memory or on the disk, on a busy machine too."""
    store.connection.execute("SELECT pg_stat_force_next_flush()")
    with psycopg.connect(store.url) as connection:
        query = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
        (counted,) = connection.execute(query).fetchone() or (0,)
    return int(counted)


def shares(url: str, now: int, say: Say) -> list[float]:
    """The longest ms of measuring the quarter before and the one nearly over, each on a new connection."""
    config = configuration()
    current = windows.window("quarter", now, config.promise.time_zone)
    before = windows.window("quarter", current.since - 1, config.promise.time_zone)
    longest = []
    for window in (before, current):
        times = [_share(url, config, now, window) for _ in range(REPEATS)]
        say(f"measuring {window.name}: {', '.join(f'{ms:.0f}' for ms in times)} ms")
        longest.append(max(times))
    return longest


def _share(url: str, config: Config, now: int, window: Window) -> float:
    with opened(url) as (books_open, _):
        books_open.accounting.watermark()
        began = time.perf_counter()
        question.ask(config, books_open, window, read_until=now).measure()
        return 1000 * (time.perf_counter() - began)


def reclassify(url: str, now: int, say: Say) -> float:
    """Seconds from a change of rules to a measured quarter; all answers are forgotten afterwards."""
    with opened(url) as (books_open, store):
        began = time.perf_counter()
        question.ask(configuration(moved=True), books_open, read_until=now).measure()
        seconds = time.perf_counter() - began
        spent = {name: round(1000 * value) for name, value in store.dearest(4)}
        store.connection.execute("DELETE FROM rule_sets")
    say(f"reclassified and measured in {seconds:.2f} s: {json.dumps(spent)} ms")
    return seconds


def _size(url: str) -> str:
    with Store(url) as store:
        query = (
            "SELECT relname || ' ' || pg_size_pretty(pg_total_relation_size(oid)) || ' in ' || "
            "reltuples::bigint FROM pg_class "
            "WHERE relname IN ('runs', 'hourly_usage', 'reads', 'decisions') ORDER BY 1"
        )
        rows: list[tuple[Any, ...]] = store.connection.execute(query).fetchall()
    return ", ".join(row[0] for row in rows)


def _never_wait(_seconds: float) -> None:
    raise AssertionError("nothing is written, so nothing is waited for")
