"""Day statements in the ledger: those that this site gave, and those that a programme took in from sites.

The rule: a statement goes in as one transaction or not at all, and nothing is overwritten; a later revision
is a further row, so that any earlier instant still has what was known then. Any order of the same statements
leads to the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from slurm_ai_factory.core import canonical, tres
from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.measure.capacity import capacity_by_hour
from slurm_ai_factory.core.programme.day_statement import (
    FORMAT,
    DayStatement,
    SignedStatement,
    StatedRow,
    StatedUsage,
    SyncLine,
    capacity_stated,
    open_usage,
    stated_rows,
    sync_fault,
    sync_of,
)
from slurm_ai_factory.core.programme.hubs import (
    Hub,
    HubCapacity,
    HubKey,
    HubTerm,
    HubUsage,
    KnownStatement,
    account_of,
    capacity_in,
    hubs_of,
)
from slurm_ai_factory.core.records import DAY, FOREVER, HOUR, Instant
from slurm_ai_factory.core.tres import Resource
from slurm_ai_factory.core.windows import iso
from slurm_ai_factory.errors import LedgerError, RefusedError
from slurm_ai_factory.ledger.accounting import Accounting
from slurm_ai_factory.ledger.derived import Comparison
from slurm_ai_factory.ledger.store import Store, json, known_at


@dataclass(frozen=True, slots=True)
class GivenBook:
    """The statements that this site gave of the days of one cluster."""

    store: Store
    cluster: str
    cluster_id: int
    accounting: Accounting

    def state(self, site: str, infrastructure: str, day: Instant, *, at: Instant) -> list[DayStatement]:
        """Every revision of a day, oldest first; a further one where what is known of the day has changed.

        The day must have been read whole: without it, raises LedgerError.
        """
        key = {"cluster_id": self.cluster_id, "site": site, "day": day}
        with self.store.transaction():
            self.store.one("serialize_hubs", cluster_id=self.cluster_id)
            given = [
                msgspec.json.decode(row[1], type=DayStatement)
                for row in self.store.all("given_revisions", **key)
            ]
            now = self._as_known(site, infrastructure, day, given)
            if given and now.same(given[-1]):
                return given
            content = canonical.canonical_text(msgspec.to_builtins(now))
            self.store.do(
                "give_statement", **key, revision=now.revision, digest=now.digest, content=content, at=at
            )
        return [*given, now]

    def _as_known(
        self, site: str, infrastructure: str, day: Instant, given: list[DayStatement]
    ) -> DayStatement:
        """The next revision of a day. Raises LedgerError where a part of it was not read."""
        mark = self.accounting.watermark()
        if mark is None or self.accounting.gaps(day, day + DAY):
            raise LedgerError(f"the day that begins {iso(day)} was not read whole; run saf backfill")
        key = {"cluster_id": self.cluster_id, "day": day}
        usage = [StatedUsage(*row) for row in self.store.all("stated_usage", **key)]
        usage += [
            StatedUsage(hour, account, project, held, runs=runs)
            for hour, account, project, held, runs in self.store.all("stated_runs", **key)
        ]
        usage += open_usage(self.accounting.open_runs(), day, mark)
        rows = stated_rows(usage, day, infrastructure)
        return DayStatement(
            format=FORMAT, site=site, cluster=self.cluster, day=day, revision=len(given) + 1,
            previous=given[-1].digest if given else "", capacity=self._capacity(day), rows=rows,
            sync=sync_of(rows, mark),
        )  # fmt: skip

    def _capacity(self, day: Instant) -> dict[str, list[str]]:
        sizes, outages = self.accounting.events(day, day + DAY, FOREVER)
        names = tres.tres_names(size.tres for size in sizes)
        by_tres = {
            name: capacity_by_hour(sizes, outages, {name: 1}, day, day + DAY) or {} for name in sorted(names)
        }
        return capacity_stated(by_tres, day)


@dataclass(frozen=True, slots=True)
class HubBook:
    """The sites of a programme, and the statements it took in; accounts of sites are in its account tree."""

    store: Store
    cluster_id: int

    def hubs(self, then: Instant | None = None) -> dict[HubKey, Hub]:
        """The clusters of sites, as known now or then."""
        rows = self.store.all("hub_terms", cluster_id=self.cluster_id, as_of=known_at(then))
        return hubs_of(HubTerm(*row) for row in rows)

    def history(self) -> list[dict[str, Any]]:
        """Every term ever recorded, oldest first."""
        return self.store.named("hub_history", cluster_id=self.cluster_id)

    def record(self, term: HubTerm, by: Mapping[str, object]) -> None:
        """Record a term; ``by`` has at, actor and reason."""
        with self.store.transaction():
            self.store.do("add_hub", cluster_id=self.cluster_id, **term._asdict(), **by)
            self._add_accounts(term.site, (), by["at"])

    def take_in(self, signed: SignedStatement, *, at: Instant) -> bool:
        """Record a statement whose signature was checked; False where the ledger has it already.

        Raises RefusedError where it contradicts a revision of its day.
        """
        statement = signed.statement
        key: dict[str, object] = {
            "cluster_id": self.cluster_id, "site": statement.site, "cluster": statement.cluster,
            "day": statement.day,
        }  # fmt: skip
        with self.store.transaction():
            self.store.one("serialize_hubs", cluster_id=self.cluster_id)
            known = {row[0]: row[1:] for row in self.store.all("statements_of_day", **key)}
            if statement.revision in known:
                if known[statement.revision][1] != signed.digest:
                    raise RefusedError(
                        f"is another revision {statement.revision} than the one taken in; the site must "
                        "state the day as a new revision"
                    )
                return False
            self._check_chain(signed, known)
            (statement_id,) = self.store.one(
                "take_statement", **key, revision=statement.revision, previous=statement.previous,
                digest=signed.digest, signature=signed.signature, fault=sync_fault(statement),
                capacity=json(statement.capacity), sync=json(msgspec.to_builtins(statement.sync)), at=at,
            ) or (0,)  # fmt: skip
            rows = (
                (statement_id, place, statement.day + HOUR * row.hour, *msgspec.structs.astuple(row)[1:])
                for place, row in enumerate(statement.rows)
            )
            self.store.copy("copy_statement_rows", rows)
            self._add_accounts(statement.site, sorted({row.account for row in statement.rows}), at)
        return True

    def _check_chain(self, signed: SignedStatement, known: Mapping[int, tuple[str, str]]) -> None:
        """Raise RefusedError where the revision before or after names another digest."""
        number = signed.statement.revision
        before, after = known.get(number - 1), known.get(number + 1)
        if before and before[1] != signed.statement.previous:
            raise RefusedError(f"does not follow the revision {number - 1} that was taken in")
        if after and after[0] != signed.digest:
            raise RefusedError(f"is not the revision {number} that revision {number + 1} follows")

    def _add_accounts(self, site: str, accounts: Iterable[str], at: object) -> None:
        """Record the accounts of a site below the site, so that rules and the registry know them."""
        below = [(account_of(site, ""), "root"), *((account_of(site, name), f"{site}/") for name in accounts)]
        key = {"cluster_id": self.cluster_id, "at": at}
        self.store.do_many(
            "add_hub_account", [{**key, "account": account, "parent": parent} for account, parent in below]
        )

    def statements(self, since: Instant, until: Instant, then: Instant | None = None) -> list[KnownStatement]:
        """Every statement of a day that touches [since, until), as known now or then."""
        key = {"cluster_id": self.cluster_id, "since": since, "until": until}
        rows = self.store.all("statements_known", **key, as_of=known_at(then))
        return [KnownStatement(*row) for row in rows]

    def usage(
        self, hub: Hub, counting: Iterable[KnownStatement], resource: Resource, since: Instant, until: Instant
    ) -> Iterator[HubUsage]:
        """The charge of a cluster in [since, until) by these statements, in a resource and in units."""
        for (first, last), term, ids in self._spans(hub, counting, since, until):
            texts = [row[0] for row in self.store.all("statement_tres", statements=ids)]
            counts = [tres.parse_tres(text) for text in texts]
            raw, weighted = (
                [Decimal(tres.weigh(each, weights)) for each in counts]
                for weights in (resource.weights, Resource.parse(term.weights).weights)
            )
            scope = {"statements": ids, "since": first, "until": last}
            for hour, *row in self.store.all(
                "statement_usage", **scope, tres=texts, raw=raw, weighted=weighted
            ):
                yield HubUsage(*hub.key, hour, *row)

    def capacity(
        self, hub: Hub, counting: Iterable[KnownStatement], resource: Resource, since: Instant, until: Instant
    ) -> Iterator[HubCapacity]:
        """The capacity of a cluster in the hours of [since, until), by these statements, in both units."""
        for (first, last), term, ids in self._spans(hub, counting, since, until):
            units = resource.weights, Resource.parse(term.weights).weights
            for day, stated in self.store.all("statement_capacity", statements=ids):
                raw, weighted = (capacity_in(stated, weights) for weights in units)
                for place, hour in enumerate(range(day, day + DAY, HOUR)):
                    if first <= hour < last:
                        up = (None if each is None else each[place] for each in (raw, weighted))
                        yield HubCapacity(*hub.key, hour, next(up), next(up))

    def _spans(
        self, hub: Hub, counting: Iterable[KnownStatement], since: Instant, until: Instant
    ) -> Iterator[tuple[tuple[Instant, Instant], HubTerm, list[int]]]:
        """The parts of an interval with one term, and the statements that count in each."""
        own = [each for each in counting if (each.site, each.cluster) == hub.key]
        for (first, last), term in hub.spans(hour_of(since), until):
            ids = [each.statement_id for each in own if each.day < last and each.day + DAY > first]
            if ids:
                yield (first, last), term, ids

    def compared(self) -> Comparison:
        """Compare every statement's rows with its digest."""
        rows, differing, first = 0, 0, ""
        for statement_id, site, cluster, day, revision, previous, digest, capacity, sync in self.store.all(
            "statement_contents", cluster_id=self.cluster_id
        ):
            stated = [
                StatedRow((hour - day) // HOUR, *row)
                for hour, *row in self.store.all("statement_rows", statement_id=statement_id)
            ]
            content = DayStatement(
                FORMAT, site, cluster, day, revision, previous, capacity, stated, SyncLine(**sync)
            )
            rows += 1
            if content.digest != digest:
                differing, first = differing + 1, first or f"{site}/{cluster} {iso(day)} revision {revision}"
        return Comparison(rows, differing, first)
