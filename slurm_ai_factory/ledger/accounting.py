"""What is asked of the accounting of one cluster: runs, hourly usage, the account tree, capacity, reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from slurm_ai_factory.core.live.cross_check import OpenJob
from slurm_ai_factory.core.records import Instant, Interval, Outage, Run, Size
from slurm_ai_factory.core.tres import Count
from slurm_ai_factory.ledger.classified import run_of
from slurm_ai_factory.ledger.hour_sums import Compared
from slurm_ai_factory.ledger.store import Store, known_at


class Usual(NamedTuple):
    """The usual run of an interval."""

    seconds: Mapping[str, float]  #: mean elapsed seconds by user
    run_charge: float  #: resource-seconds of one run, each weighted by itself; 0 where none ran


@dataclass(frozen=True, slots=True)
class Accounting:
    """The accounting of one cluster. ``then`` asks for what was known at an instant; None is now."""

    store: Store
    cluster: str
    cluster_id: int

    def watermark(self, then: Instant | None = None) -> Instant | None:
        """The instant up to which accounting was read completely; None before the first read."""
        row = self.store.one("watermark", cluster_id=self.cluster_id, as_of=known_at(then))
        return row[0] if row else None

    def gaps(self, since: Instant, until: Instant, then: Instant | None = None) -> list[Interval]:
        """The parts of [since, until) that no read covers, oldest first."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until}
        return [(row[0], row[1]) for row in self.store.all("gaps", **key, as_of=known_at(then))]

    def unread(self, since: Instant, until: Instant, then: Instant | None = None) -> int:
        """Seconds of [since, until) that no read covers."""
        return sum(end - start for start, end in self.gaps(since, until, then)) if since < until else 0

    def unreadable(self, since: Instant) -> int:
        """How many different unparsable lines reads met after an instant, as far as they are kept."""
        row = self.store.one("lines_read_since", cluster_id=self.cluster_id, since=since)
        return int(row[0]) if row else 0

    def parents(self, then: Instant | None = None) -> dict[str, str | None]:
        """account -> parent, of every account ever seen."""
        rows = self.store.all("accounts", cluster_id=self.cluster_id, as_of=known_at(then))
        return {account: parent or None for account, parent in rows}

    def lost_reservations(
        self, names: Iterable[str], interval: Interval, before: Instant, then: Instant | None = None
    ) -> list[str]:
        """Which of these reservations runs of an interval had, as known before, and have none any more."""
        key = {"cluster_id": self.cluster_id, "since": interval[0], "until": interval[1]}
        had: dict[int, str] = dict(
            self.store.all("reservations_of_runs", **key, names=sorted(names), runs=[], as_of=before)
        )
        now: dict[int, str] = dict(
            self.store.all("reservations_of_runs", **key, names=[], runs=list(had), as_of=known_at(then))
        )
        return sorted({name for run, name in had.items() if now.get(run) == ""})

    def names(self) -> dict[str, frozenset[str]]:
        """All names seen, by condition of a rule; accounts also from the tree."""
        columns = self.store.named("names", cluster_id=self.cluster_id)[0]
        names = {key: frozenset(seen or ()) - {""} for key, seen in columns.items()}
        accounts = names["account"] | self.parents().keys()
        return {**names, "account": accounts, "account_subtree": accounts}

    def tres(self) -> set[str]:
        """The TRES that any run of the ledger requested or was allocated."""
        return {row[0] for row in self.store.all("tres_names")}

    def events(self, since: Instant, until: Instant, as_of: Instant) -> tuple[list[Size], list[Outage]]:
        """The sizes and outages that touch an interval, as known at an instant."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": as_of}
        sizes = [Size(*row) for row in self.store.all("sizes", **key)]
        return sizes, [Outage(*row) for row in self.store.all("outages", **key)]

    def open_runs(self) -> list[Run]:
        """Runs that have not ended, by DBIndex."""
        rows = self.store.all("open_runs", cluster_id=self.cluster_id, as_of=known_at(None))
        return [run_of(self.cluster, row) for row in rows]

    def open_jobs(self) -> list[OpenJob]:
        """The jobs of runs that have not ended."""
        return [OpenJob(*row) for row in self.store.all("open_jobs", cluster_id=self.cluster_id)]

    def runs_between(self, since: Instant, until: Instant) -> list[Run]:
        """Every run that was delivered in [since, until), or is open, by DBIndex."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until, "as_of": known_at(None)}
        return [run_of(self.cluster, row) for row in self.store.all("runs_between", **key)]

    def usage_by_account(self, since: Instant, until: Instant) -> dict[tuple[str, str], Count]:
        """TRES-seconds of ended runs by (account, TRES) in the whole hours of [since, until)."""
        rows = self.store.all("usage_by_account", cluster_id=self.cluster_id, since=since, until=until)
        return {(account, name): int(used) if used == int(used) else used for account, name, used in rows}

    def span(self) -> Interval | None:
        """From the first instant to the last with runs or usage in the ledger; None where there is none."""
        since, until = self.store.one("span", cluster_id=self.cluster_id) or (None, None)
        return None if since is None or until is None else (since, until)

    def usage_compared(self, since: Instant, until: Instant) -> Compared:
        """Compare hourly usage, which reads keep up to date, with the ended runs; whole hours."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until}
        return Compared(*(self.store.one("usage_compared", **key) or (0, 0, None)))

    def usual(self, since: Instant, until: Instant, weights: Mapping[str, Count]) -> Usual:
        """The usual run among the runs that ended in [since, until)."""
        scope = {"since": since, "until": until, "tres": list(weights), "weights": list(weights.values())}
        rows = self.store.all("usual", cluster_id=self.cluster_id, **scope)
        seconds = {user: float(mean) for user, mean, _, _ in rows}
        charges, squares = (sum(row[column] for row in rows) for column in (2, 3))
        return Usual(seconds, squares / charges if charges else 0.0)

    def newest_record_at(self, then: Instant | None = None) -> Instant | None:
        """The newest submit, start or end that accounting reported of any run."""
        row = self.store.one("newest_record", cluster_id=self.cluster_id, as_of=known_at(then))
        return row[0] if row else None

    def status(self) -> dict[str, int | None]:
        """How many rows the ledger holds of each kind, and how far it was read."""
        return self.store.named("status", cluster_id=self.cluster_id)[0]

    def reads(self, limit: int) -> list[dict[str, Any]]:
        """The latest reads, newest first; one for each interval that a cycle read."""
        return self.store.named("latest_reads", cluster_id=self.cluster_id, limit=limit)

    def tables(self) -> list[dict[str, Any]]:
        """name, rows and bytes of every table, the largest first; rows are None before PostgreSQL counts."""
        return self.store.named("table_sizes")

    def server(self) -> str:
        """The version of PostgreSQL."""
        return str((self.store.one("server") or ("",))[0])
