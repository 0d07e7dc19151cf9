"""What is asked of the accounting of one cluster: runs, hourly usage, the account tree, capacity, reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from slurm_ai_factory.core.live.cross_check import OpenJob
from slurm_ai_factory.core.records import Instant, Interval, Outage, Run, Size
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.ledger.classified import run_of
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.recent import Covered
from slurm_ai_factory.ledger.store import Store


class Usual(NamedTuple):
    """How runs of an interval were."""

    seconds: Mapping[str, float]  #: how long those of each user took, on average
    run_charge: float  #: resource-seconds of one, each weighted by itself; 0 where none ran


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

    def unreadable(self, since: Instant) -> int:
        """How many different lines could not be read since an instant, as far as they are kept."""
        row = self.store.one("lines_read_since", cluster_id=self.cluster_id, since=since)
        return int(row[0]) if row else 0

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
