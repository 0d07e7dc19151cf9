"""The edge to PostgreSQL: accounting, decisions, changes and reports. psycopg is imported here only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.rules.classify import Rule, Rules
from slurm_ai_factory.core.rules.organisations import Regional
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.accounting import Accounting, Usual
from slurm_ai_factory.ledger.acknowledging import AcknowledgementBook
from slurm_ai_factory.ledger.allowed import AllowedBook
from slurm_ai_factory.ledger.archives import ArchiveBook
from slurm_ai_factory.ledger.audits import Audits
from slurm_ai_factory.ledger.chain import Chain
from slurm_ai_factory.ledger.classified import Classified, set_of
from slurm_ai_factory.ledger.connection import LONG, USUAL, Limits
from slurm_ai_factory.ledger.control import Control, Planned
from slurm_ai_factory.ledger.derived import ANEW, Derived
from slurm_ai_factory.ledger.expertise import Expertise
from slurm_ai_factory.ledger.expiry import Expiries
from slurm_ai_factory.ledger.hubs import GivenBook, HubBook
from slurm_ai_factory.ledger.intake import Intake, ReadResult
from slurm_ai_factory.ledger.joint import JointBook
from slurm_ai_factory.ledger.meters import Meters
from slurm_ai_factory.ledger.persons import Persons
from slurm_ai_factory.ledger.privacy import Privacy
from slurm_ai_factory.ledger.proposals import Proposals
from slurm_ai_factory.ledger.publishing import Publishing
from slurm_ai_factory.ledger.registry import RegistryBook
from slurm_ai_factory.ledger.reserving import ReservationBook
from slurm_ai_factory.ledger.store import Store
from slurm_ai_factory.ledger.terms import TermsBook

__all__ = [
    "LONG", "Classified", "Ledger", "Limits", "Planned", "ReadResult", "Store", "Usual", "ledger_of",
    "open_ledger", "unasked",
]  # fmt: skip

UNKNOWN = 0
"""The key of a cluster that is not in the ledger; no row has it."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one cluster: accounting, decisions and changes, the registry, published reports."""

    store: Store
    accounting: Accounting
    intake: Intake
    control: Control
    registry: RegistryBook
    expertise: Expertise
    publishing: Publishing
    privacy: Privacy
    derived: Derived
    chain: Chain
    audits: Audits
    persons: Persons
    promise_terms: TermsBook
    proposals: Proposals
    expiries: Expiries
    meters: Meters
    allowed: AllowedBook
    reserving: ReservationBook
    acknowledging: AcknowledgementBook
    given: GivenBook
    hubs: HubBook
    archives: ArchiveBook
    joint: JointBook

    def books(self, rules: Rules, then: Instant | None = None) -> Classified:
        """The accounting as these rules classify it, as known now or then; new subjects may be unsorted."""
        store, cluster, cluster_id = self.store, self.accounting.cluster, self.accounting.cluster_id
        return Classified(store, cluster, cluster_id, set_of(store, cluster_id, rules.digest), then)

    def classified(self, rules: Rules, then: Instant | None = None) -> Classified:
        """The same, with every subject known now classified."""
        books = self.books(rules, then)
        books.sort(rules)
        return books

    @contextmanager
    def anew(self) -> Iterator[Ledger]:
        """The same ledger at one moment, with everything derived computed again from facts.

        Temporary tables hide the permanent ones: TRES counts, hourly usage, classifications, sums.
        """
        with Store(self.store.url, self.store.limits) as store, store.snapshot():
            for query in ANEW:
                store.do(query, cluster_id=self.accounting.cluster_id)
            yield ledger_of(store, self.accounting.cluster, self.accounting.cluster_id)

    def rules_of(
        self, rules: tuple[Rule, ...], region: frozenset[Regional], then: Instant | None = None
    ) -> Rules:
        """Rules with the account tree, registry, region, overrides and promises, as known now or then."""
        known, overrides = self.registry.known(then), self.registry.overrides(then)
        further = self.promise_terms.further(then).values()
        promises = frozenset(membership for terms in further for membership in terms.memberships())
        return Rules(rules, self.accounting.parents(then), known, region, overrides, promises)


def unasked() -> None:
    """Admit any cluster to the ledger."""


@contextmanager
def open_ledger(
    url: str, cluster: str, limits: Limits = USUAL, *, admit: Callable[[], object] | None = unasked
) -> Iterator[Ledger]:
    """The ledger of one cluster, its schema checked. Raises LedgerError.

    A new cluster is added once ``admit`` returns. With None nothing is written for it: a ledger of other
    clusters refuses it, and a ledger without any cluster is empty.
    """
    with Store(url, limits) as store:
        store.check_schema()
        yield ledger_of(store, cluster, _key(store, cluster, admit))


def _key(store: Store, cluster: str, admit: Callable[[], object] | None) -> int:
    known = store.clusters()
    if cluster in known:
        return known[cluster]
    if admit:
        admit()
        return store.cluster_id(cluster)
    if known:
        raise LedgerError(
            f"the ledger has nothing of cluster {cluster}, only of {', '.join(known)}; correct "
            f"cluster.name, or add the cluster by its first cycle: saf -M {cluster} cycle"
        )
    return UNKNOWN


def ledger_of(store: Store, cluster: str, cluster_id: int) -> Ledger:
    key, privacy = (store, cluster, cluster_id), Privacy(store, cluster_id)
    accounting = Accounting(*key)
    return Ledger(
        store,
        accounting,
        Intake(store, cluster_id, accounting),
        Control(*key),
        RegistryBook(*key),
        Expertise(store),
        Publishing(store, cluster_id),
        privacy,
        Derived(store, cluster, cluster_id),
        Chain(store, cluster_id),
        Audits(store, cluster_id),
        Persons(store, cluster_id, privacy),
        TermsBook(store, cluster_id),
        Proposals(store, cluster_id),
        Expiries(store, cluster_id),
        Meters(store, cluster_id),
        AllowedBook(store, cluster_id),
        ReservationBook(store, cluster_id),
        AcknowledgementBook(store, cluster_id),
        GivenBook(*key, accounting),
        HubBook(store, cluster_id),
        ArchiveBook(store, cluster_id),
        JointBook(store),
    )
