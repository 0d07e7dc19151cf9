"""What was read from Slurm: runs, their earlier versions, hourly usage, the account tree, capacity.

A read goes in as one transaction or not at all: runs, kept versions, hourly usage and the watermark move
together, so the ledger is the same whether a read was taken once, twice, or after a crash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.live.cross_check import OpenJob
from slurm_ai_factory.core.records import DAY, Association, Instant, Interval, Outage, Rejected, Run, Size
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.classified import run_of
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.persons import forgotten
from slurm_ai_factory.ledger.recent import Covered
from slurm_ai_factory.ledger.store import Store
from slurm_ai_factory.ledger.told import Listed, Memory, Told

STAGED = (
    "put_under_overrides",
    "add_allocations",
    "add_tres",
    "add_allocation_tres",
    "add_subjects",
    "find_changed",
    "keep_versions",
)
"""What makes the names and TRES sets of a read known, and what tells the runs that are new or changed."""

WITHDRAW = (
    "sign_later",
    "add_usage",
    "drop_empty_usage",
    "keep_withdrawn_runs",
    "drop_withdrawn_runs",
    "restore_runs",
    "found_again",
    "withdraw_sizes",
    "withdraw_outages",
    "withdraw_accounts",
    "forget_all_sums",
)
"""What takes back all that reads brought since an instant: usage first, which is told from the runs."""

ADD = ("sign_changed", "add_usage", "add_runs")
RESTATE = ("sign_changed", "add_usage", "drop_empty_usage", "update_runs", "add_runs")
"""What a read does to usage and runs: where all its runs are new, and where some were known otherwise."""


LINES = 1000
"""Unreadable lines never seen before that are kept and told within a day; a broken Slurm prints many."""

LINE_LENGTH = 4096
"""Characters kept of one."""


class ReadResult(NamedTuple):
    """What a read brought."""

    runs: int
    new: int
    changed: int
    rejected: tuple[Rejected, ...]  #: all of this read
    states: frozenset[str]
    new_rejected: tuple[Rejected, ...] = ()  #: of these, those that no read had before


class Usual(NamedTuple):
    """How runs of an interval were."""

    seconds: Mapping[str, float]  #: how long those of each user took, on average
    run_charge: float  #: resource-seconds of one, each weighted by itself; 0 where none ran


class Withdrawn(NamedTuple):
    """Reads that were taken back."""

    reads: int
    first: Instant  #: from which instant on they covered accounting


class Lately(dict[Interval, Usual]):
    """How the runs of some intervals were."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """The accounting of one cluster."""

    store: Store
    cluster: str
    cluster_id: int

    def watermark(self, then: Instant | None = None) -> Instant | None:
        """How far accounting was read completely, now or then; None before the first read."""
        query = "watermark" if then is None else "watermark_then"
        row = self.store.one(query, cluster_id=self.cluster_id, as_of=then)
        return row[0] if row else None

    def gaps(self, since: Instant, until: Instant, then: Instant | None = None) -> list[Interval]:
        """What of an interval was never read, or had not been then, oldest first."""
        rows = self.store.all("gaps", cluster_id=self.cluster_id, since=since, until=until, as_of=then)
        return [(row[0], row[1]) for row in rows]

    def unread(self, since: Instant, until: Instant, then: Instant | None = None) -> int:
        """Seconds of an interval that no read has covered, or had not then."""
        if since >= until:
            return 0
        if then is not None:
            return sum(end - start for start, end in self.gaps(since, until, then))
        return self.store.remembered(Covered, self.cluster_id).unread(since, until, self.gaps)

    def record(
        self, read: Iterable[Run | Rejected], since: Instant, until: Instant, *, at: Instant
    ) -> ReadResult:
        """Take in at the instant ``at`` everything Slurm told of [since, until).

        ``read`` may raise, and then nothing is kept. A read whose ``until`` is ``at`` lists every open run.
        """
        key = {"cluster_id": self.cluster_id, "at": at}
        listed, gone = Listed(), None
        with self.store.transaction():
            self.store.one("serialize", **key)
            last = self.store.one("last_read", **key) or (None,)
            memory = self.store.remembered(Memory, self.cluster_id)
            memory.follow(last[0])
            named = forgotten(self.store, self.cluster_id).told(read)
            self._stage(listed.news(named, memory.digests))
            new_rejected = self.put_aside(listed.rejected, at)
            if listed.again:
                self.store.do("keep_told_last")
            (read_id,) = self.store.one("next_read") or (0,)
            with self.store.pipeline():
                new, changed = self._take_over(key | {"read_id": read_id})
                gone = self._gone(key, listed, memory.open) if until == at else None
                runs = len(listed.digests)
                counts = {"runs": runs, "changed": new + changed, "rejected": len(listed.rejected)}
                touched, newest = self.store.one("touched_from") or (None, None)
                self.store.do(
                    "add_read", **key, read_id=read_id, since=since, until=until, touched_from=touched,
                    newest_record_at=newest, missing=gone, **counts,
                )  # fmt: skip
                if gone:  # after the read is there: a run is missing since a read that did not list it
                    self.store.do("mark_missing", **key, gone=gone)
        memory.keep(read_id, listed, gone)
        states = frozenset(listed.states)
        return ReadResult(runs, new, changed, tuple(listed.rejected), states, new_rejected)

    def _stage(self, rows: Iterable[Told]) -> None:
        """Stream what is told anew into a temporary table."""
        for query in ("create_observed", "create_changed", "create_signed"):
            self.store.do(query)
        (planned_for,) = self.store.one("observed_before") or (0,)
        staged = self.store.copy("copy_observed", rows)
        if not planned_for / 2 <= staged <= planned_for * 2:
            self.store.do("analyze_observed")

    def put_aside(self, rejected: Iterable[Rejected], at: Instant) -> tuple[Rejected, ...]:
        """Keep lines that could not be read, each once; those never seen before."""
        key = {"cluster_id": self.cluster_id, "at": at}
        reasons: dict[str, str] = {}
        known_as = forgotten(self.store, self.cluster_id)
        for one in rejected:
            if len(reasons) < 2 * LINES:
                line = known_as.line(one.line.replace("\0", "\\0")[:LINE_LENGTH])
                reasons[line] = known_as.line(one.reason)
        if not reasons:
            return ()
        fresh = [row[0] for row in self.store.all("unseen_lines", **key, lines=list(reasons))]
        (known,) = self.store.one("lines_since", **key, since=at - DAY) or (0,)
        room = max(0, LINES - known)
        kept = reasons.keys() - fresh[room:]
        self.store.do_many("reject_line", [{**key, "line": line, "reason": reasons[line]} for line in kept])
        told = [Rejected(line, reasons[line]) for line in fresh[:room]]
        if len(fresh) >= room > 0:
            told.append(Rejected("(any further line)", f"more than {LINES} a day are counted only"))
        return tuple(told)

    def unreadable(self, since: Instant) -> int:
        """How many different lines could not be read since an instant, as far as they are kept."""
        row = self.store.one("lines_read_since", cluster_id=self.cluster_id, since=since)
        return int(row[0]) if row else 0

    def _take_over(self, key: Mapping[str, object]) -> tuple[int, int]:
        """The ledger follows what was staged: how many runs were new, and how many changed."""
        for query in STAGED:
            self.store.do(query, **key)
        new, changed = self.store.one("changed_counts") or (0, 0)
        for query in RESTATE if changed else ADD if new else ():
            self.store.do(query)
        return new, changed

    def _gone(self, key: Mapping[str, object], listed: Listed, was_open: Collection[int] | None) -> list[int]:
        """The open runs that were not listed."""
        if was_open is None:
            was_open = [int(row[0]) for row in self.store.all("open_indexes", **key)]
        return [db_index for db_index in was_open if db_index not in listed.digests]

    def check_job(self, job: str) -> None:
        """Raise LedgerError where the ledger has no run of a job."""
        if self.store.one("run_of_job", **self._of_job(job)) is None:
            raise LedgerError(f"job {job} is not in the ledger; see `saf explain {job}`")

    def _of_job(self, job: str) -> dict[str, object]:
        """By JobID as users write it, or by JobIDRaw."""
        raw = int(job) if job.isascii() and job.isdigit() else None
        return {"cluster_id": self.cluster_id, "label": job, "job_id": raw}

    def override(self, job: str, said: Mapping[str, object], *, at: Instant) -> tuple[str, int]:
        """Put the runs of a job under a new override, or under none: its number, and how many runs.

        ``said`` has beneficiary (None takes an earlier override back), organisation, actor and reason. What
        the runs were until now is kept, as with any correction.
        """
        key = {"at": at, **self._of_job(job)}
        with self.store.transaction():
            self.store.one("serialize", **key)
            self.store.one("serialize_sums", **key)
            self.check_job(job)
            number = (self.store.one("add_override", **key, **said) or ("",))[0]
            for query in ("create_changed", "create_signed"):
                self.store.do(query)
            under = {**key, "override": number if said["beneficiary"] else ""}
            for query in ("put_runs_under", "add_overridden_subjects", "find_overridden", "keep_versions"):
                self.store.do(query, **under)
            for query in RESTATE:
                self.store.do(query)
            self.store.do("forget_sums", **key)
            runs = (self.store.one("changed_counts") or (0, 0))[1]
        return number, runs

    def withdraw(self, since: Instant, *, at: Instant, actor: str, reason: str) -> Withdrawn:
        """Take back the reads made at or after ``since``: the ledger is what it was before them.

        What they brought is kept. Raises LedgerError where there are none, or where a job was put under an
        override since: that correction rests on them.
        """
        key = {"cluster_id": self.cluster_id, "at": at, "since": since}
        with self.store.transaction():
            self.store.one("serialize", **key)
            self.store.one("serialize_sums", **key)
            if jobs := [row[0] for row in self.store.all("overridden_since", **key)]:
                raise LedgerError(
                    f"job {', '.join(jobs)} was put under an override since {iso(since)}; withdraw a later "
                    "instant, or take the override back first: saf override JOBID --withdraw"
                )
            (number,) = self.store.one("add_withdrawal", **key, actor=actor, reason=reason) or (None,)
            reads, first = self.store.one("withdraw_reads", **key, withdrawal_id=number) or (0, None)
            if not reads:
                raise LedgerError(f"no read was made since {iso(since)}; see `saf ledger status`")
            self.store.do("create_signed")
            for query in WITHDRAW:
                self.store.do(query, **key, as_of=since - 1, withdrawal_id=number)
        self.store.forget()
        return Withdrawn(reads, first)

    def record_accounts(self, associations: Iterable[Association], at: Instant) -> None:
        """The account tree as it is at the instant ``at``; accounts that are gone keep their last parent."""
        now = {one.account: one.parent for one in associations if one.user is None}
        rows = [
            {"cluster_id": self.cluster_id, "account": account, "parent": parent or "", "at": at}
            for account, parent in now.items() - self.parents().items()
        ]
        self.store.do_many("write_account", rows)

    def parents(self, then: Instant | None = None) -> dict[str, str | None]:
        """account -> parent, of every account ever seen, as known now or then."""
        rows = self.store.all("accounts", cluster_id=self.cluster_id, as_of=then)
        return {account: parent or None for account, parent in rows}

    def names(self) -> dict[str, frozenset[str]]:
        """The names that were seen, by condition of a rule; accounts also from the tree."""
        seen = self.store.named("names", cluster_id=self.cluster_id)[0]
        found = {key: frozenset(names or ()) - {""} for key, names in seen.items()}
        accounts = found["account"] | self.parents().keys()
        return {**found, "account": accounts, "account_subtree": accounts}

    def tres(self) -> set[str]:
        """The TRES that any run of the ledger wanted or had."""
        return {row[0] for row in self.store.all("tres_names")}

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

    def open_runs(self) -> list[Run]:
        """Runs that have not ended."""
        rows = self.store.all("open_runs", cluster_id=self.cluster_id)
        return [run_of(self.cluster, row) for row in rows]

    def open_jobs(self) -> list[OpenJob]:
        """The jobs that have not ended, as far as the ledger knows."""
        return [OpenJob(*row) for row in self.store.all("open_jobs", cluster_id=self.cluster_id)]

    def runs_between(self, since: Instant, until: Instant) -> list[Run]:
        """Every run that was delivered in [since, until), or is open."""
        rows = self.store.all("runs_between", cluster_id=self.cluster_id, since=since, until=until)
        return [run_of(self.cluster, row) for row in rows]

    def usage_by_account(self, since: Instant, until: Instant) -> dict[tuple[str, str], Count]:
        """TRES-seconds of ended runs by (account, TRES) in the whole hours of [since, until)."""
        rows = self.store.all("usage_by_account", cluster_id=self.cluster_id, since=since, until=until)
        return {(account, name): int(used) if used == int(used) else used for account, name, used in rows}

    def span(self) -> Interval | None:
        """From the first instant to the last that the ledger has runs or usage of."""
        since, until = self.store.one("span", cluster_id=self.cluster_id) or (None, None)
        return None if since is None or until is None else (since, until)

    def usage_compared(self, since: Instant, until: Instant) -> Compared:
        """Usage by hour, which reads keep up to date, beside what the ended runs make of it; whole hours."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until}
        return Compared(*(self.store.one("usage_compared", **key) or (0, 0, None)))

    def usual(self, since: Instant, until: Instant, weights: Mapping[str, Count]) -> Usual:
        """The runs that ended in [since, until).

        What was answered last is remembered: a correction shows in the next interval.
        """
        lately = self.store.remembered(Lately, self.cluster_id)
        if (since, until) not in lately:
            key = {"cluster_id": self.cluster_id, "since": since, "until": until}
            seconds = {user: float(mean) for user, mean in self.store.all("usual_seconds", **key)}
            scope = {"tres": list(weights), "weights": list(weights.values())}
            row = self.store.one("run_charge", **key, **scope)
            if len(lately) > 1:
                lately.clear()
            lately[since, until] = Usual(seconds, row[0] if row and row[0] else 0.0)
        return lately[since, until]

    def newest_record_at(self, then: Instant | None = None) -> Instant | None:
        """The newest instant that accounting told of a run, now or then."""
        row = self.store.one("newest_record", cluster_id=self.cluster_id, as_of=then)
        return row[0] if row else None

    def status(self) -> dict[str, int | None]:
        """How much the ledger holds."""
        return self.store.named("status", cluster_id=self.cluster_id)[0]
