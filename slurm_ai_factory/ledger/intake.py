"""Writes reads and corrections into the ledger: runs and their earlier versions, hourly usage, events.

A read goes in as one transaction or not at all: runs, versions, hourly usage and the watermark move together,
so the ledger is the same whether a read was recorded once, twice, or after a crash.
Tested in tests/ledger/test_accounting.py, tests/ledger/test_moments.py and tests/ledger/test_withdraw.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from slurm_ai_factory.core.live.cross_check import Unlisted
from slurm_ai_factory.core.records import DAY, Association, Instant, Outage, Rejected, Run, Size
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.accounting import Accounting
from slurm_ai_factory.ledger.persons import forgotten
from slurm_ai_factory.ledger.store import Store

STAGED = (
    "put_under_overrides", "add_allocations", "add_tres", "add_allocation_tres", "add_subjects",
    "find_changed", "keep_versions",
)  # fmt: skip
"""Record the names and TRES sets of a read, and find the runs that are new or changed."""

WITHDRAW = (
    "sign_later", "add_usage", "drop_empty_usage", "keep_withdrawn_runs", "drop_withdrawn_runs",
    "restore_runs", "found_again", "withdraw_sizes", "withdraw_outages", "withdraw_accounts",
    "forget_all_sums",
)  # fmt: skip
"""Undo all reads since an instant: usage first, which is derived from the runs."""

ADD = ("sign_changed", "add_usage", "add_runs")
RESTATE = ("sign_changed", "add_usage", "drop_empty_usage", "update_runs", "add_runs")
"""Record usage and runs of a read: where all its runs are new, and where some were known otherwise."""

LINES = 1000
"""New unparsable lines that are kept and reported within a day; a broken Slurm prints many."""

LINE_LENGTH = 4096
"""Characters kept of a line."""

LATEST = 2**32
"""Instants end in the year 2106: an hour of a run is a row, and its seconds are multiplied by its seconds."""

RANGES = {
    "db_index": range(1, 10**20),
    **dict.fromkeys(("submit_at", "eligible_at", "start_at", "end_at"), range(LATEST)),
    **dict.fromkeys(("elapsed_seconds", "suspended_seconds"), range(LATEST // 2)),
    **dict.fromkeys(("job_id", "energy_joules"), range(2**63)),
}
"""Values of the numbers of a run that the ledger can hold."""

NUMBERS = attrgetter(*RANGES)


class ReadResult(NamedTuple):
    """What a read brought."""

    runs: int
    new: int
    changed: int
    rejected: tuple[Rejected, ...]  #: every line skipped in this read
    states: frozenset[str]
    new_rejected: tuple[Rejected, ...] = ()  #: of these, the lines that no earlier read had
    unlisted: Unlisted = Unlisted()


class Withdrawn(NamedTuple):
    """Reads that were withdrawn."""

    reads: int
    first: Instant  #: the start of what they covered


class Listed:
    """What one read lists, noted while it streams by."""

    def __init__(self) -> None:
        self.runs: set[int] = set()  #: DBIndexes
        self.states: set[str] = set()
        self.rejected: list[Rejected] = []
        self.repeated = False  #: whether a run was listed more than once

    def rows(self, read: Iterable[Run | Rejected]) -> Iterator[tuple[Any, ...]]:
        """Rows for the table observed. The elapsed time of a running run is not kept: it is only true now."""
        for run in read:
            if isinstance(run, Rejected):
                self.rejected.append(run)
                continue
            if why := unfit(run):
                self.rejected.append(Rejected(f"DBIndex {run.db_index}, job {run.job_label}", why))
                continue
            self.states.add(run.state)
            self.repeated = self.repeated or run.db_index in self.runs
            self.runs.add(run.db_index)
            running = run.end_at is None and run.state != "SUSPENDED"
            elapsed = 0 if running else run.elapsed_seconds
            yield (*run[:3], *run.subject[1:8], *run[4:9], elapsed, *run[10:14])


def unfit(run: Run) -> str | None:
    """Why the ledger cannot hold a run, which is skipped then like an unparsable line; None where it can.

    >>> from slurm_ai_factory.core.records import Subject
    >>> whose = Subject("c", "a", "", "", "", "", "")
    >>> unfit(Run(1, 1, "1", whose, "RUNNING", 0, 0, 0, None, 2**40, 0, "", ""))
    'elapsed_seconds 1099511627776 is out of range'
    """
    for value, (name, held) in zip(NUMBERS(run), RANGES.items(), strict=True):
        if value is not None and value not in held:
            return f"{name} {value} is out of range"
    texts = "".join((run.job_label, run.state, run.req_tres, run.alloc_tres, *run.subject))
    return "a NUL character in a name" if "\0" in texts else None


@dataclass(frozen=True, slots=True)
class Intake:
    """Writes to the accounting of one cluster."""

    store: Store
    cluster_id: int
    accounting: Accounting

    def record(
        self, read: Iterable[Run | Rejected], since: Instant, until: Instant, *, at: Instant
    ) -> ReadResult:
        """Record at the instant ``at`` everything Slurm listed for [since, until).

        ``read`` may raise, and then nothing is kept. A read whose ``until`` is ``at`` lists every open run.
        """
        key, listed = {"cluster_id": self.cluster_id, "at": at}, Listed()
        with self.store.transaction():
            self.store.one("serialize", **key)
            for query in ("create_observed", "create_changed", "create_signed"):
                self.store.do(query)
            pseudonymised = forgotten(self.store, self.cluster_id).without_names(read)
            self.store.copy("copy_observed", listed.rows(pseudonymised))
            self.store.do("analyze_observed")
            new_rejected = self.put_aside(listed.rejected, at)
            if listed.repeated:
                self.store.do("keep_told_last")
            unlisted = self._unlisted(key | {"since": since, "until": until}, len(listed.rejected))
            (read_id,) = self.store.one("next_read") or (0,)
            with self.store.pipeline():
                new, changed = self._restate(key | {"read_id": read_id})
                gone = self._gone(key, listed) if until == at else None
                runs = len(listed.runs)
                counts = {"runs": runs, "changed": new + changed, "rejected": len(listed.rejected)}
                touched, newest = self.store.one("touched_from") or (None, None)
                self.store.do(
                    "add_read", **key, read_id=read_id, since=since, until=until, touched_from=touched,
                    newest_record_at=newest, missing=gone, **counts,
                )  # fmt: skip
                if gone:  # after the read is there: a run is missing since a read that did not list it
                    self.store.do("mark_missing", **key, gone=gone)
        states = frozenset(listed.states)
        return ReadResult(runs, new, changed, tuple(listed.rejected), states, new_rejected, unlisted)

    def put_aside(self, rejected: Iterable[Rejected], at: Instant) -> tuple[Rejected, ...]:
        """Keep unparsable lines, each once; those that no earlier read had."""
        key = {"cluster_id": self.cluster_id, "at": at}
        reasons: dict[str, str] = {}
        known_as = forgotten(self.store, self.cluster_id)
        for skipped in rejected:
            if len(reasons) < 2 * LINES:
                line = known_as.line(skipped.line.replace("\0", "\\0")[:LINE_LENGTH])
                reasons[line] = known_as.line(skipped.reason)
        if not reasons:
            return ()
        fresh = [row[0] for row in self.store.all("unseen_lines", **key, lines=list(reasons))]
        (known,) = self.store.one("lines_since", **key, since=at - DAY) or (0,)
        room = max(0, LINES - known)
        kept = reasons.keys() - fresh[room:]
        self.store.do_many("reject_line", [{**key, "line": line, "reason": reasons[line]} for line in kept])
        shown = [Rejected(line, reasons[line]) for line in fresh[:room]]
        if len(fresh) >= room > 0:
            shown.append(Rejected("(any further line)", f"more than {LINES} a day are counted only"))
        return tuple(shown)

    def _restate(self, key: Mapping[str, object]) -> tuple[int, int]:
        """Bring runs and usage up to the staged read: how many runs were new, and how many changed."""
        for query in STAGED:
            self.store.do(query, **key)
        new, changed = self.store.one("changed_counts") or (0, 0)
        for query in RESTATE if changed else ADD if new else ():
            self.store.do(query)
        return new, changed

    def _unlisted(self, key: Mapping[str, object], rejected: int) -> Unlisted:
        """The ended runs that the staged read should list; each line that cannot be read may be one."""
        known, lacking, newest, jobs = self.store.one("unlisted", **key) or (0, 0, None, None)
        return Unlisted(known, lacking, newest, tuple(jobs)) if lacking > rejected else Unlisted(known)

    def _gone(self, key: Mapping[str, object], listed: Listed) -> list[int]:
        """The open runs that the read did not list."""
        rows = self.store.all("open_indexes", **key)
        return [index for index in (int(row[0]) for row in rows) if index not in listed.runs]

    def check_job(self, job: str) -> None:
        """Raise LedgerError where the ledger has no run of a job."""
        if self.store.one("run_of_job", **self._of_job(job)) is None:
            raise LedgerError(f"job {job} is not in the ledger; see `saf explain {job}`")

    def _of_job(self, job: str) -> dict[str, object]:
        """The runs of a job: by JobID as users write it, or by JobIDRaw."""
        raw = int(job) if job.isascii() and job.isdigit() else None
        return {"cluster_id": self.cluster_id, "label": job, "job_id": raw}

    def override(self, job: str, entry: Mapping[str, object], *, at: Instant) -> tuple[str, int]:
        """Put the runs of a job under a new override; its number, and how many runs.

        ``entry`` has beneficiary (None withdraws an earlier override), organisation, actor and reason. The
        runs as they were until now are kept as versions, as with any correction.
        """
        key = {"at": at, **self._of_job(job)}
        with self.store.transaction():
            self.store.one("serialize", **key)
            self.store.one("serialize_sums", **key)
            self.check_job(job)
            number = (self.store.one("add_override", **key, **entry) or ("",))[0]
            for query in ("create_changed", "create_signed"):
                self.store.do(query)
            under = {**key, "override": number if entry["beneficiary"] else ""}
            for query in ("put_runs_under", "add_overridden_subjects", "find_overridden", "keep_versions"):
                self.store.do(query, **under)
            for query in RESTATE:
                self.store.do(query)
            self.store.do("forget_sums", **key)
            runs = (self.store.one("changed_counts") or (0, 0))[1]
        return number, runs

    def withdraw(self, since: Instant, *, at: Instant, actor: str, reason: str) -> Withdrawn:
        """Withdraw the reads made at or after ``since``: the ledger is as it was before them.

        What they recorded is kept. Raises LedgerError where there are none, or where a job was put under an
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
        return Withdrawn(reads, first)

    def record_accounts(self, associations: Iterable[Association], at: Instant) -> None:
        """Record the account tree at the instant ``at``; deleted accounts keep their last parent."""
        now = {row.account: row.parent for row in associations if row.user is None}
        rows = [
            {"cluster_id": self.cluster_id, "account": account, "parent": parent or "", "at": at}
            for account, parent in now.items() - self.accounting.parents().items()
        ]
        self.store.do_many("write_account", rows)

    def record_events(self, sizes: Iterable[Size], outages: Iterable[Outage], at: Instant) -> None:
        """Record the cluster's sizes and outages as Slurm reports them at the instant ``at``."""
        key = {"cluster_id": self.cluster_id, "at": at}
        self.store.do_many("write_size", [key | size._asdict() for size in sizes])
        self.store.do_many("write_outage", [key | outage._asdict() for outage in outages])
