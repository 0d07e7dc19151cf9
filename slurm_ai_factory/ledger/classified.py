"""Usage and runs as one set of rules classifies them, now or as known at an earlier instant.

Several sets of rules can be in use side by side: the daemon's, a report's of last year, a file that is being
tried. Each has its own classifications and its own sums, and none disturbs another. New subjects have no
classification until ``sort``: ask ``complete`` inside the snapshot in which the rest is asked.
Tested in tests/ledger/test_accounting.py and tests/ledger/test_registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from slurm_ai_factory.core import charge
from slurm_ai_factory.core.measure.share import HourUsage, Rest, SortedRun, SubjectUsage, rest_of_hour
from slurm_ai_factory.core.records import DAY, HOUR, Charge, Instant, Run, Subject, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, ClassifiedPart, Rules
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.ledger import hour_sums
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.store import SqlRow, Store, known_at

KEPT_SETS = 8
"""Sets of rules whose classifications are kept, the most recently used ones."""

SUBJECT = 8
"""Columns of a subject: account, user, partition, QOS, wckey, reservation, comment, override."""

MISSING_SINCE, SUBJECT_ID = 20, 21
"""Positions of these columns in the rows of a query for runs."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The ledger of one cluster as one set of rules classifies it; made by ``Ledger.books``."""

    store: Store
    cluster: str
    cluster_id: int
    set_id: int
    then: Instant | None = None  #: as known at this instant; None is now

    def complete(self) -> bool:
        """Whether every subject has a classification."""
        return not self._unsorted()

    def sort(self, rules: Rules) -> None:
        """Classify every subject known now by these rules, which are those of this set."""
        rows = [
            {"set_id": self.set_id, "subject_id": row[0], "part": number, **_columns(part)}
            for row in self._unsorted()
            for number, part in enumerate(rules.parts(Subject(self.cluster, *row[1:])))
        ]
        if rows:
            with self.store.transaction():
                self.store.do_many("write_classification", rows)
                self.store.do("analyze_classifications")

    def _unsorted(self) -> list[SqlRow]:
        return self.store.all("unsorted_subjects", cluster_id=self.cluster_id, set_id=self.set_id)

    def usage_by_hour(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> list[HourUsage]:
        """Charge of ended runs by hour, beneficiary and promises; a key may come twice."""
        scope = self._scope(window, until, weights)
        sums = partial(hour_sums.added, self.store, scope, "hourly_sums", "usage_by_hour")
        usage = [
            HourUsage(hour, Beneficiary(side), _whole(delivered), _whole(waiting), promises)
            for hour, side, promises, delivered, waiting in self._usage(sums, "corrections_by_hour", scope)
        ]
        for part in self._rest(scope["until"], until, weights):
            side, promises = part.classification.beneficiary, part.classification.promises
            hour = scope["until"] - HOUR
            usage.append(HourUsage(hour, side, -part.delivered, -part.waiting, promises))
        return usage

    def usage_by_subject(
        self, window: Window, until: Instant, weights: Mapping[str, Count]
    ) -> Iterator[SubjectUsage]:
        """Charge of ended runs by subject and beneficiary; both may come twice."""
        scope = self._scope(window, until, weights)
        sums = partial(hour_sums.added, self.store, scope, "sums_by_subject", "usage_by_subject")
        for row in self._usage(sums, "corrections_by_subject", scope):
            subject = Subject(self.cluster, *row[:SUBJECT])
            yield SubjectUsage(subject, _classification(row[SUBJECT:-1]), row[-1])
        for part in self._rest(scope["until"], until, weights):
            yield SubjectUsage(part.subject, part.classification, -part.delivered)

    def _usage(
        self, sums: Callable[[], list[SqlRow]], corrections: str, scope: hour_sums.Scope
    ) -> list[SqlRow]:
        """The sums as they are now; for an earlier instant also what takes later records back."""
        if self.then is None:
            return sums()
        with self.store.transaction():
            for query in ("create_signed", "clear_signed", "sign_later"):
                self.store.do(query, cluster_id=self.cluster_id, as_of=self.then)
            return sums() + self.store.all(corrections, **scope)

    def _rest(self, end: Instant, until: Instant, weights: Mapping[str, Count]) -> Iterator[Rest]:
        """What runs that ended after ``until`` have in the rest of its hour, which ends at ``end``."""
        if end - HOUR < until < end:
            runs = self._runs("runs_beyond", since=until, until=end)
            yield from rest_of_hour(runs, weights, until, end)

    def keep_sums(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> None:
        """Save the sums of the window's days, except the last. Not inside a transaction."""
        hour_sums.keep_sums(self.store, self._settled(window, until, weights))

    def keep_more_sums(self, until: Instant, weights: Mapping[str, Count]) -> None:
        """Save some more sums of the days up to a day before ``until``. Not inside a transaction."""
        first = (self.store.one("first_hour") or (None,))[0]
        if first is not None:
            everything = Window("all", first, until)
            hour_sums.keep_more(self.store, self._settled(everything, until, weights))

    def sums_compared(self, since: Instant, until: Instant, weights: Mapping[str, Count]) -> list[Compared]:
        """Compare saved sums of whole days with the usage they come from. Not inside a transaction."""
        scope = self._scope(Window("", since, until), until, weights)
        return [hour_sums.compared(self.store, scope, *sums) for sums in hour_sums.SUMS]

    def open_runs(self) -> list[SortedRun]:
        """Runs that have not ended, or had not then, by DBIndex, with their classifications."""
        return self._runs("open_runs")

    def runs_between(self, since: Instant, until: Instant) -> Iterator[SortedRun]:
        """Every run that was delivered in [since, until), or is open, one by one. Inside a transaction."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": known_at(self.then)}
        for rows in self.store.stream("runs_between", **key):
            yield from self._sorted(rows)

    def runs_of_job(self, label: str) -> list[SortedRun]:
        """Every run of a job: by JobID as users write it, or by JobIDRaw."""
        raw = int(label) if label.isascii() and label.isdigit() else None
        return self._runs("runs_of_job", label=label, job_id=raw)

    def _scope(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> dict[str, Any]:
        """What is summed: the hours of an interval, of one resource, by this classification."""
        return {
            "cluster_id": self.cluster_id,
            "set_id": self.set_id,
            "resource": "+".join(f"{weight}*{name}" for name, weight in sorted(weights.items())),
            "tres": list(weights),
            "weights": list(weights.values()),
            "since": window.since,
            "until": max(window.since, charge.hour_of(min(window.until, until) + HOUR - 1)),
        }

    def _settled(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> dict[str, Any]:
        """The days that an interval lies in and that are over for ``UNSETTLED`` seconds."""
        since, end = charge.day_of(window.since), charge.day_of(window.until + DAY - 1)
        over = charge.day_of(until - hour_sums.UNSETTLED)
        return self._scope(Window("", since, end), over, weights)

    def _runs(self, query: str, **values: object) -> list[SortedRun]:
        key = {"cluster_id": self.cluster_id, "as_of": known_at(self.then)}
        return self._sorted(self.store.all(query, **key, **values))

    def _sorted(self, rows: Sequence[SqlRow]) -> list[SortedRun]:
        """Runs with their classifications."""
        parts: dict[int, tuple[ClassifiedPart, ...]] = {}
        key = {"set_id": self.set_id, "subjects": list({row[SUBJECT_ID] for row in rows})}
        for subject_id, *columns in self.store.all("parts_of_subjects", **key):
            parts[subject_id] = (*parts.get(subject_id, ()), part_of(columns))
        return [SortedRun(run_of(self.cluster, row), parts.get(row[SUBJECT_ID], ())) for row in rows]


def part_of(row: Sequence[Any]) -> ClassifiedPart:
    """A part of a classification from its columns."""
    since, until, fraction, *classification = row
    return ClassifiedPart(since, until, _whole(fraction), _classification(tuple(classification)))


def set_of(store: Store, cluster_id: int, digest: str) -> int:
    """The key of a set of rules, from now on the most recently used one; drops sets not used for long."""
    key = {"cluster_id": cluster_id, "digest": digest}
    row = store.one("newest_set", **key)
    if row and row[1]:
        return int(row[0])
    with store.transaction():
        used = store.one("use_set", **key)
        store.do("forget_sets", cluster_id=cluster_id, kept=KEPT_SETS)
    return int(used[0]) if used else 0


def _columns(part: ClassifiedPart) -> dict[str, object]:
    names = {name: str(getattr(part.classification, name)) for name in Classification.__slots__}
    return {"since": part.since, "until": part.until, "fraction": part.fraction, **names}


def run_of(cluster: str, row: SqlRow) -> Run:
    """A run from its columns; one missing from later reads is charged only up to when it was last seen."""
    run = Run(int(row[0]), row[1], row[2], Subject(cluster, *row[3:11]), *row[11:20])
    missing_since = row[MISSING_SINCE]
    if missing_since is None:
        return run
    seconds = charge.elapsed(run, missing_since)
    return run._replace(end_at=max(missing_since, run.start_at or 0), elapsed_seconds=seconds)


def _whole(number: Decimal) -> Charge:
    whole = int(number)
    return whole if whole == number else number


@lru_cache(maxsize=4096)
def _classification(row: SqlRow) -> Classification:
    beneficiary, *columns = row
    names = Classification.__slots__[1:]
    return Classification(beneficiary=Beneficiary(beneficiary), **dict(zip(names, columns, strict=True)))
