"""The registry: organisations, their links to accounts, overrides, and the rules in use.

Nothing is overwritten: a later entry about the same thing is another row, with actor, time and reason. The
newest row known at an instant counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.rules.classify import Beneficiary, Override, Rule
from slurm_ai_factory.core.rules.organisations import (
    Codes,
    Link,
    Organisation,
    Problem,
    Registry,
    RegistryEntry,
    entry_problems,
    entry_value,
    known_otherwise,
    news,
)
from slurm_ai_factory.core.rules.saved import rules_from, rules_value
from slurm_ai_factory.ledger.store import Store, json, known_at


class Recorded(NamedTuple):
    """How many entries were recorded, how many were known already, and the problems of the others."""

    new: int
    known: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class RegistryBook:
    """The registry, with the links, overrides and rules of one cluster. Organisations are of all clusters."""

    store: Store
    cluster: str
    cluster_id: int

    def known(self, then: Instant | None = None) -> Registry:
        """Every current entry, as known now or then."""
        key = {"cluster_id": self.cluster_id, "as_of": known_at(then)}
        organisations = (Organisation(**row) for row in self.store.named("organisations", **key))
        links = (Link(**row) for row in self.store.named("links", **key))
        return Registry().plus([*organisations, *links])

    def record(
        self,
        entries: Iterable[RegistryEntry],
        terms: Codes,
        by: Mapping[str, object],
        *,
        correct: bool = False,
    ) -> Recorded:
        """Record all entries that are not known already, or none where there are problems.

        ``by`` has at, actor and reason. What is known of the same thing from the same instant is changed only
        with ``correct``.
        """
        with self.store.transaction():
            self.store.one("serialize_registry")
            new, checked = self.check(entries, terms, correct=correct)
            for entry in new:
                query = "add_organisation" if isinstance(entry, Organisation) else "add_link"
                self.store.do(query, cluster_id=self.cluster_id, **by, **entry_value(entry))
        return checked

    def check(
        self, entries: Iterable[RegistryEntry], terms: Codes, *, correct: bool = False
    ) -> tuple[list[RegistryEntry], Recorded]:
        """Which of these entries would be recorded, and the outcome for all of them."""
        present, given = self.known(), list(entries)
        new = news(present, given)
        problems = [] if correct else known_otherwise(present, new)
        problems += entry_problems(present, new, terms)
        wanted = [] if problems else new
        return wanted, Recorded(len(wanted), len(given) - len(new), tuple(problems))

    def history(self, organisation: str | None = None) -> list[dict[str, Any]]:
        """Every entry ever recorded, of one organisation or of all, oldest first."""
        key = {"cluster_id": self.cluster_id, "organisation": organisation}
        return self.store.named("registry_history", **key)

    def overrides(self, then: Instant | None = None) -> dict[str, Override]:
        """Every override by its number, as known now or then."""
        rows = self.store.all("overrides", cluster_id=self.cluster_id, as_of=known_at(then))
        return {row[0]: _override(*row) for row in rows}

    def keep_rules(self, rules: Iterable[Rule], region: Collection[str], at: Instant) -> None:
        """Record the rules and the region in use from now on, where they changed."""
        value = json(rules_value(rules, region))
        self.store.do("keep_rules", cluster_id=self.cluster_id, at=at, rules=value)

    def rules_used(self, then: Instant) -> tuple[tuple[Rule, ...], frozenset[str]] | None:
        """The rules and the region in use at an instant; None when none had been recorded."""
        row = self.store.one("rules_used", cluster_id=self.cluster_id, as_of=then)
        return rules_from(row[0]) if row else None


def _override(
    number: str, job: str, beneficiary: str | None, organisation: str, at: Instant, actor: str, reason: str
) -> Override:
    return Override(
        number=number, job=job, beneficiary=Beneficiary(beneficiary) if beneficiary else None,
        organisation=organisation, reason=reason, actor=actor, at=at,
    )  # fmt: skip
