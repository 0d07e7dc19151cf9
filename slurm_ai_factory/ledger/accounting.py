"""What was read from Slurm: runs, their earlier versions, hourly usage, the account tree, capacity.

A read goes in as one transaction or not at all: runs, kept versions, hourly usage and the watermark move
together, so the ledger is the same whether a read was taken once, twice, or after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from slurm_ai_factory.core import charge
from slurm_ai_factory.core.classify import Beneficiary, Classification, Rules
from slurm_ai_factory.core.records import (
    HOUR,
    Association,
    Instant,
    Outage,
    Rejected,
    Run,
    Size,
    Subject,
    Window,
)
from slurm_ai_factory.core.share import SortedRun, SubjectUsage, Usage
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.ledger import hour_sums
from slurm_ai_factory.ledger.store import Row, Store
from slurm_ai_factory.ledger.told import Memory, Told

ADD = ("sign_changed", "add_usage", "add_runs")
RESTATE = ("sign_changed", "add_usage", "drop_empty_usage", "update_runs", "add_runs")
"""What a read does to usage and runs: where all its runs are new, and where some were known otherwise."""

TAKEN_BACK = {"by_hour": "corrections_by_hour", "by_subject": "corrections_by_subject"}
"""What undoes everything recorded after an instant, by the shape of the answer."""


class ReadResult(NamedTuple):
    """What a read brought."""

    runs: int
    new: int
    changed: int
    rejected: tuple[Rejected, ...]
    states: frozenset[str]


@dataclass(frozen=True, slots=True)
class Accounting:
    """The accounting of one cluster."""

    store: Store
    cluster: str
    cluster_id: int
    memory: Memory = field(default_factory=Memory, repr=False)

    def watermark(self, then: Instant | None = None) -> Instant | None:
        """How far accounting was read completely, now or then; None before the first read."""
        query = "watermark" if then is None else "watermark_then"
        row = self.store.one(query, cluster_id=self.cluster_id, as_of=then)
        return row[0] if row else None

    def gaps(self, since: Instant, until: Instant) -> list[tuple[Instant, Instant]]:
        """What of an interval was never read, oldest first."""
        rows = self.store.all("gaps", cluster_id=self.cluster_id, since=since, until=until)
        return [(row[0], row[1]) for row in rows]

    def record(
        self, read: Iterable[Run | Rejected], since: Instant, until: Instant, *, at: Instant
    ) -> ReadResult:
        """Take in at the instant ``at`` everything Slurm told of [since, until).

        ``read`` may raise, and then nothing is kept. A read whose ``until`` is ``at`` lists every open run.
        """
        key = {"cluster_id": self.cluster_id, "at": at}
        listed = Listed()
        with self.store.transaction():
            self.store.one("serialize", **key)
            last = self.store.one("last_read", **key) or (None,)
            self.memory.follow(last[0])
            self._stage(listed.rows(read))
            new, changed = self._take_over(key)
            gone = self._mark_missing(key, listed.open) if until == at else []
            self.store.do_many("reject_line", [key | one._asdict() for one in listed.rejected])
            counts = {"runs": listed.runs, "changed": new + changed, "rejected": len(listed.rejected)}
            touched, newest = self.store.one("touched_from") or (None, None)
            read_id = self.store.one(
                "add_read", **key, since=since, until=until, touched_from=touched,
                newest_record_at=newest, **counts,
            )  # fmt: skip
        if read_id:
            self.memory.keep(read_id[0], gone)
        return ReadResult(listed.runs, new, changed, tuple(listed.rejected), frozenset(listed.states))

    def _stage(self, rows: Iterable[Told]) -> None:
        """Stream what is told anew into a temporary table, and make its names and TRES sets known."""
        for query in ("create_observed", "create_changed", "create_signed"):
            self.store.do(query)
        self.store.copy("copy_observed", self.memory.news(rows))
        for query in ("analyze_observed", "add_allocations", "add_tres", "add_allocation_tres"):
            self.store.do(query)

    def _take_over(self, key: Mapping[str, object]) -> tuple[int, int]:
        """The ledger follows what was staged: how many runs were new, and how many changed."""
        for query in ("add_subjects", "find_changed", "keep_versions"):
            self.store.do(query, **key)
        new, changed = self.store.one("changed_counts") or (0, 0)
        for query in RESTATE if changed else ADD if new else ():
            self.store.do(query)
        return new, changed

    def _mark_missing(self, key: Mapping[str, object], listed: set[int]) -> list[int]:
        """Count the open runs that were not listed no further; which these are."""
        gone = [int(row[0]) for row in self.store.all("open_indexes", **key) if int(row[0]) not in listed]
        if gone:
            self.store.do("mark_missing", **key, gone=gone)
        return gone

    def record_accounts(self, associations: Iterable[Association]) -> None:
        """The account tree as it is now; accounts that are gone keep their last parent."""
        now = {one.account: one.parent for one in associations if one.user is None}
        rows = [
            {"cluster_id": self.cluster_id, "account": account, "parent": parent or ""}
            for account, parent in now.items() - self.parents().items()
        ]
        self.store.do_many("write_account", rows)

    def parents(self) -> dict[str, str | None]:
        """account -> parent, of every account ever seen."""
        rows = self.store.all("accounts", cluster_id=self.cluster_id)
        return {account: parent or None for account, parent in rows}

    def record_events(self, sizes: Iterable[Size], outages: Iterable[Outage], at: Instant) -> None:
        """The cluster's sizes and outages as Slurm tells them at the instant ``at``."""
        key = {"cluster_id": self.cluster_id, "at": at}
        self.store.do_many("write_size", [key | one._asdict() for one in sizes])
        self.store.do_many("write_outage", [key | one._asdict() for one in outages])

    def events(self, since: Instant, until: Instant, as_of: Instant) -> tuple[list[Size], list[Outage]]:
        """The sizes and outages that touch an interval, as known at an instant."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": as_of}
        sizes = [Size(*row) for row in self.store.all("sizes", **key)]
        return sizes, [Outage(*row) for row in self.store.all("outages", **key)]

    def classify(self, rules: Rules) -> int:
        """Bring every subject's classification up to these rules; how many were classified anew."""
        digest = rules.digest()
        rows = self.store.all("unsorted_subjects", cluster_id=self.cluster_id, digest=digest)
        found = [
            {"subject_id": row[0], "digest": digest}
            | vars_of(rules.classify(Subject(self.cluster, *row[1:])))
            for row in rows
        ]
        with self.store.transaction():
            self.store.do_many("write_classification", found)
        return len(found)

    def classified(self, rules: Rules) -> bool:
        """Whether every subject's classification is of these rules."""
        values = {"cluster_id": self.cluster_id, "digest": rules.digest()}
        return not self.store.all("unsorted_subjects", **values)

    def usage_by_hour(
        self, window: Window, until: Instant, weights: Mapping[str, Count], then: Instant | None = None
    ) -> Iterator[Usage]:
        """Charge of ended runs by hour and beneficiary, as known now or then; an hour may come twice."""
        for hour, beneficiary, delivered, waiting in self._usage("by_hour", window, until, weights, then):
            yield Usage(hour, Beneficiary(beneficiary), delivered, waiting)

    def usage_by_subject(
        self, window: Window, until: Instant, weights: Mapping[str, Count], then: Instant | None = None
    ) -> Iterator[SubjectUsage]:
        """Charge of ended runs by subject, as known now or then; a subject may come twice."""
        for row in self._usage("by_subject", window, until, weights, then):
            yield SubjectUsage(Subject(self.cluster, *row[:6]), _classification(row[6:12]), row[12])

    def keep_sums(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> None:
        """Have what usage_by_hour will answer at hand."""
        scope = self._scope(window, until, weights)
        if scope["digest"] is not None:
            hour_sums.keep(self.store, scope)

    def _usage(
        self, shape: str, window: Window, until: Instant, weights: Mapping[str, Count], then: Instant | None
    ) -> list[Row]:
        """What the ledger has now and, for an earlier instant, what was recorded since taken back."""
        scope = self._scope(window, until, weights)
        if then is None:
            return self._usage_now(shape, scope)
        with self.store.transaction():
            self.store.do("create_signed")
            self.store.do("sign_later", cluster_id=self.cluster_id, as_of=then)
            return self._usage_now(shape, scope) + self.store.all(TAKEN_BACK[shape], **scope)

    def _usage_now(self, shape: str, scope: hour_sums.Scope) -> list[Row]:
        if shape == "by_hour":
            return hour_sums.rows(self.store, scope)
        return self.store.all("usage_by_subject", **scope)

    def _scope(self, window: Window, until: Instant, weights: Mapping[str, Count]) -> hour_sums.Scope:
        """What is summed: the hours of an interval, of one resource, by the classification in force."""
        classified = self.store.one("classification_digest", cluster_id=self.cluster_id)
        return {
            "cluster_id": self.cluster_id,
            "digest": classified[0] if classified else None,
            "resource": "+".join(f"{weight}*{name}" for name, weight in sorted(weights.items())),
            "tres": list(weights),
            "weights": list(weights.values()),
            "since": window.since,
            "until": charge.hour_of(min(window.until, until) + HOUR - 1),
        }

    def open_runs(self, then: Instant | None = None) -> list[SortedRun]:
        """Runs that have not ended, or had not then, with who they are for."""
        query = "open_runs" if then is None else "open_runs_then"
        rows = self.store.all(query, cluster_id=self.cluster_id, as_of=then)
        return [self._sorted_run(row) for row in rows]

    def runs_of_job(self, label: str) -> list[SortedRun]:
        """Every run of a job: by JobID as users write it, or by JobIDRaw."""
        raw = int(label) if label.isascii() and label.isdigit() else None
        rows = self.store.all("runs_of_job", cluster_id=self.cluster_id, label=label, job_id=raw)
        return [self._sorted_run(row) for row in rows]

    def runs_between(self, since: Instant, until: Instant) -> list[Run]:
        """Every run that was delivered in [since, until), or is open."""
        rows = self.store.all("runs_between", cluster_id=self.cluster_id, since=since, until=until)
        return [self._run(row) for row in rows]

    def usage_by_account(self, since: Instant, until: Instant) -> dict[tuple[str, str], Count]:
        """TRES-seconds of ended runs by (account, TRES) in the whole hours of [since, until)."""
        rows = self.store.all("usage_by_account", cluster_id=self.cluster_id, since=since, until=until)
        return {(account, name): int(used) if used == int(used) else used for account, name, used in rows}

    def usual_seconds(self, since: Instant, until: Instant) -> dict[str, float]:
        """How long the runs of each user took that ended in [since, until), on average."""
        rows = self.store.all("usual_seconds", cluster_id=self.cluster_id, since=since, until=until)
        return {user: float(seconds) for user, seconds in rows}

    def newest_record_at(self) -> Instant | None:
        """The newest instant that accounting told of a run."""
        row = self.store.one("newest_record", cluster_id=self.cluster_id)
        return row[0] if row else None

    def status(self) -> dict[str, int | None]:
        """How much the ledger holds."""
        return self.store.named("status", cluster_id=self.cluster_id)[0]

    def _run(self, row: Row) -> Run:
        subject = Subject(self.cluster, *row[3:9])
        return _counted(Run(int(row[0]), row[1], row[2], subject, *row[9:18]), row[18])

    def _sorted_run(self, row: Row) -> SortedRun:
        return SortedRun(self._run(row), _classification(row[19:]))


def _counted(run: Run, missing_since: Instant | None) -> Run:
    """A run that Slurm stopped telling of counts no further than it was last seen."""
    if missing_since is None:
        return run
    seconds = charge.elapsed(run, missing_since)
    return run._replace(end_at=max(missing_since, run.start_at or 0), elapsed_seconds=seconds)


class Listed:
    """What a read listed, noted while it streams by."""

    def __init__(self) -> None:
        self.runs = 0
        self.open: set[int] = set()
        self.states: set[str] = set()
        self.rejected: list[Rejected] = []

    def rows(self, read: Iterable[Run | Rejected]) -> Iterator[Told]:
        """Rows for the ledger. What a running run has elapsed is now, not a fact to keep."""
        for one in read:
            if isinstance(one, Rejected):
                self.rejected.append(one)
                continue
            self.runs += 1
            self.states.add(one.state)
            if one.end_at is None:
                self.open.add(one.db_index)
            elapsed = 0 if one.end_at is None and one.state != "SUSPENDED" else one.elapsed_seconds
            yield (one.db_index, one.job_id, one.job_label, *one.subject[1:], *one[4:9], elapsed, *one[10:14])


@lru_cache(maxsize=4096)
def _classification(row: Row) -> Classification:
    beneficiary, rule, category, organisation, sector, hub = row
    return Classification(
        beneficiary=Beneficiary(beneficiary),
        rule=rule,
        category=category,
        organisation=organisation,
        sector=sector,
        hub=hub,
    )


def vars_of(classification: Classification) -> dict[str, str]:
    """A classification by column."""
    return {name: str(getattr(classification, name)) for name in Classification.__slots__}
