"""What the ledger has, as one set of rules classifies it, now or as it was known at an instant.

Several sets can be in use beside each other: the daemon's, a report's of last year, a file that is being
tried. Each has its own answers and its own sums, and none disturbs another. Subjects that were never seen
before have no answer until they are sorted: ask ``complete`` inside the snapshot in which the rest is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

from slurm_ai_factory.core import charge
from slurm_ai_factory.core.measure import rest
from slurm_ai_factory.core.measure.share import HourUsage, SortedRun, SubjectUsage
from slurm_ai_factory.core.records import FOREVER, HOUR, Charge, Instant, Run, Subject, Window
from slurm_ai_factory.core.rules.classify import Beneficiary, Classification, ClassifiedPart, Rules
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.ledger import hour_sums
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.recent import Recent, SumScope
from slurm_ai_factory.ledger.store import SqlRow, Store

KEPT_SETS = 8
"""Sets of rules whose answers are kept, those used last."""

SUBJECT = 8
"""Columns of a subject: account, user, partition, QOS, wckey, reservation, comment, override."""

TAKEN_BACK = {"by_hour": "corrections_by_hour", "by_subject": "corrections_by_subject"}
"""What undoes everything recorded after an instant, by the shape of the answer."""


MISSING_SINCE, SUBJECT_ID = 20, 21
"""Where these columns are in the rows of a query for runs."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The books of one cluster by one set of rules; made by ``Ledger.books``."""

    store: Store
    cluster: str
    cluster_id: int
    set_id: int
    then: Instant | None = None  #: as known at this instant; None is now

    @property
    def recent(self) -> Recent:
        """What was answered last."""
        return self.store.remembered(Recent, self.cluster_id)

    def complete(self) -> bool:
        """Whether every subject has an answer."""
        return not self._unsorted()

    def sort(self, rules: Rules) -> None:
        """Give every subject known now the answer of these rules, which are those of this set."""
        found = [
            {"set_id": self.set_id, "subject_id": row[0], "part": number, **_columns(part)}
            for row in self._unsorted()
            for number, part in enumerate(rules.parts(Subject(self.cluster, *row[1:])))
        ]
        if found:
            with self.store.transaction():
                self.store.do_many("write_classification", found)
                self.store.do("analyze_classifications")

    def _unsorted(self) -> list[SqlRow]:
        return self.store.all("unsorted_subjects", cluster_id=self.cluster_id, set_id=self.set_id)

    def usage_by_hour(
        self, window: Window, until: Instant, weights: Mapping[str, Count]
    ) -> Sequence[HourUsage]:
        """Charge of ended runs by hour and beneficiary; an hour may come twice."""
        scope = self._scope(window, until, weights)
        after = [
            HourUsage(scope["until"] - HOUR, one.classification.beneficiary, -one.delivered, -one.waiting)
            for one in self._rest(scope, until, weights)
        ]
        if self.then is not None:
            return [*_by_hour(self._usage("by_hour", scope)), *after]
        known = self.recent.usage(
            self.store,
            SumScope(self.cluster_id, self.set_id, scope["resource"]),
            scope["since"],
            scope["until"],
            lambda known: _by_hour(hour_sums.hourly_sums(self.store, {**scope, "since": known})),
        )
        return [*known, *after] if after else known

    def usage_by_subject(
        self, window: Window, until: Instant, weights: Mapping[str, Count]
    ) -> Iterator[SubjectUsage]:
        """Charge of ended runs by subject and beneficiary; both may come twice."""
        scope = self._scope(window, until, weights)
        for row in self._usage("by_subject", scope):
            subject = Subject(self.cluster, *row[:SUBJECT])
            yield SubjectUsage(subject, _classification(row[SUBJECT:-1]), row[-1])
        for one in self._rest(scope, until, weights):
            yield SubjectUsage(one.subject, one.classification, -one.delivered)

    def _rest(
        self, scope: hour_sums.Scope, until: Instant, weights: Mapping[str, Count]
    ) -> Iterator[rest.Rest]:
        """What the scope's last hour has after ``until``, of runs that were told of later."""
        end, then = cast("Instant", scope["until"]), FOREVER if self.then is None else self.then
        if end - HOUR < until < end:
            runs = self._runs("runs_beyond", as_of=then, since=until, until=end)
            yield from rest.of_hour(runs, weights, until, end)

    def keep_sums(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> None:
        """Have what usage_by_hour will answer at hand, but for the last day. Not inside a transaction."""
        hour_sums.keep_sums(self.store, self._scope(window, until - hour_sums.UNSETTLED, weights))

    def keep_more_sums(self, until: Instant, weights: Mapping[str, Count]) -> None:
        """Have some more of all hours up to a day before ``until`` at hand. Not inside a transaction."""
        first = (self.store.one("first_hour") or (None,))[0]
        if first is not None:
            everything = Window("all", first, until)
            hour_sums.keep_more(self.store, self._scope(everything, until - hour_sums.UNSETTLED, weights))

    def sums_compared(self, since: Instant, until: Instant, weights: Mapping[str, Count]) -> Compared:
        """Sums that are kept beside the usage they are of; whole hours. Not inside a transaction."""
        return hour_sums.compared(self.store, self._scope(Window("", since, until), until, weights))

    def open_runs(self) -> list[SortedRun]:
        """Runs that have not ended, or had not then, with who they are for."""
        if self.then is not None:
            return self._runs("open_runs_then", as_of=self.then)
        key, recent = {"cluster_id": self.cluster_id}, self.recent.open_runs
        rows = self.store.all("open_rows", **key)
        unknown = recent.unknown(self.set_id, ((version, listed) for version, listed in rows))
        asked = self.store.all("runs_of_rows", **key, rows=unknown) if unknown else []
        found = recent.all(zip((row[-1] for row in asked), self._sorted(asked), strict=True))
        return sorted(found, key=lambda one: one.run.db_index)  # floats add up the same way every time

    def runs_between(self, since: Instant, until: Instant) -> Iterator[SortedRun]:
        """Every run that was delivered in [since, until), or is open, one by one. Inside a transaction."""
        query = "runs_between" if self.then is None else "runs_between_then"
        key = {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": self.then}
        for rows in self.store.stream(query, **key):
            yield from self._sorted(rows)

    def runs_of_job(self, label: str) -> list[SortedRun]:
        """Every run of a job: by JobID as users write it, or by JobIDRaw."""
        raw = int(label) if label.isascii() and label.isdigit() else None
        return self._runs("runs_of_job", label=label, job_id=raw)

    def _usage(self, shape: str, scope: hour_sums.Scope) -> list[SqlRow]:
        """What the ledger has now and, for an earlier instant, what was recorded since taken back."""
        if self.then is None:
            return self._usage_now(shape, scope)
        with self.store.transaction():
            self.store.do("create_signed")
            self.store.do("clear_signed")
            self.store.do("sign_later", cluster_id=self.cluster_id, as_of=self.then)
            return self._usage_now(shape, scope) + self.store.all(TAKEN_BACK[shape], **scope)

    def _usage_now(self, shape: str, scope: hour_sums.Scope) -> list[SqlRow]:
        if shape == "by_hour":
            return hour_sums.hourly_sums(self.store, scope)
        return self.store.all("usage_by_subject", **scope)

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

    def _runs(self, query: str, **values: object) -> list[SortedRun]:
        return self._sorted(self.store.all(query, cluster_id=self.cluster_id, **values))

    def _sorted(self, rows: Sequence[SqlRow]) -> list[SortedRun]:
        """Runs with who they are for."""
        parts = self.recent.parts_of(self.set_id, {row[SUBJECT_ID] for row in rows}, self._parts)
        return [SortedRun(run_of(self.cluster, row), parts.get(row[SUBJECT_ID], ())) for row in rows]

    def _parts(self, subjects: set[int]) -> dict[int, tuple[ClassifiedPart, ...]]:
        found: dict[int, tuple[ClassifiedPart, ...]] = {}
        for subject_id, *told in self.store.all(
            "parts_of_subjects", set_id=self.set_id, subjects=list(subjects)
        ):
            found[subject_id] = (*found.get(subject_id, ()), part_of(told))
        return found


def part_of(row: Sequence[Any]) -> ClassifiedPart:
    """A part of an answer from its columns."""
    since, until, fraction, *told = row
    return ClassifiedPart(since, until, _whole(fraction), _classification(tuple(told)))


def set_of(store: Store, cluster_id: int, digest: str) -> int:
    """The key of a set of rules, which is now the one used last; those not used for long are dropped."""
    key = {"cluster_id": cluster_id, "digest": digest}
    row = store.one("newest_set", **key)
    if row and row[1]:
        return int(row[0])
    with store.transaction():
        used = store.one("use_set", **key)
        store.do("forget_sets", cluster_id=cluster_id, kept=KEPT_SETS)
    return int(used[0]) if used else 0


def _by_hour(rows: list[SqlRow]) -> list[HourUsage]:
    return [HourUsage(row[0], Beneficiary(row[1]), _whole(row[2]), _whole(row[3])) for row in rows]


def _columns(part: ClassifiedPart) -> dict[str, object]:
    told = {name: str(getattr(part.classification, name)) for name in Classification.__slots__}
    return {"since": part.since, "until": part.until, "fraction": part.fraction, **told}


def run_of(cluster: str, row: SqlRow) -> Run:
    """A run from its columns; one that Slurm stopped telling of counts no further than it was last seen."""
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
    beneficiary, *told = row
    names = Classification.__slots__[1:]
    return Classification(beneficiary=Beneficiary(beneficiary), **dict(zip(names, told, strict=True)))
