"""The registry as it was told: organisations, their links to accounts, overrides, and the rules then used.

Nothing is overwritten: what is said of the same thing later is another row, with who said it, when and why,
and the newest row known at an instant holds.
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
from slurm_ai_factory.ledger.store import Store, json


class Recorded(NamedTuple):
    """What became of entries: how many were written down, how many were known, and what stood against."""

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
        """Every entry in force, as known now or then."""
        key = {"cluster_id": self.cluster_id, "as_of": then}
        organisations = (Organisation(**row) for row in self.store.named("organisations", **key))
        links = (Link(**row) for row in self.store.named("links", **key))
        return Registry().plus([*organisations, *links])

    def record(
        self,
        entries: Iterable[RegistryEntry],
        terms: Codes,
        said: Mapping[str, object],
        *,
        correct: bool = False,
    ) -> Recorded:
        """Write entries down: all of them that are not known just so, or none where there are problems.

        ``said`` has at, actor and reason. What is known of the same thing from the same instant is only put
        otherwise with ``correct``.
        """
        with self.store.transaction():
            self.store.one("serialize_registry")
            new, checked = self.check(entries, terms, correct=correct)
            self._write(new, said)
        return checked

    def check(
        self, entries: Iterable[RegistryEntry], terms: Codes, *, correct: bool = False
    ) -> tuple[list[RegistryEntry], Recorded]:
        """What would be written down of these entries, and what would become of them all."""
        present, told = self.known(), list(entries)
        new = news(present, told)
        found = [] if correct else known_otherwise(present, new)
        found += entry_problems(present, new, terms)
        wanted = [] if found else new
        return wanted, Recorded(len(wanted), len(told) - len(new), tuple(found))

    def _write(self, entries: Iterable[RegistryEntry], said: Mapping[str, object]) -> None:
        for one in entries:
            query = "add_organisation" if isinstance(one, Organisation) else "add_link"
            self.store.do(query, cluster_id=self.cluster_id, **said, **entry_value(one))

    def history(self, organisation: str | None = None) -> list[dict[str, Any]]:
        """Everything that was ever said, of one organisation or of all, oldest first."""
        key = {"cluster_id": self.cluster_id, "organisation": organisation}
        return self.store.named("registry_history", **key)

    def overrides(self, then: Instant | None = None) -> dict[str, Override]:
        """Every override by its number, as known now or then."""
        rows = self.store.all("overrides", cluster_id=self.cluster_id, as_of=then)
        return {row[0]: _override(*row) for row in rows}

    def keep_rules(self, rules: Iterable[Rule], region: Collection[str], at: Instant) -> None:
        """Note the rules that are worked by from now on, where they are others than before."""
        value = json(rules_value(rules, region))
        self.store.do("keep_rules", cluster_id=self.cluster_id, at=at, rules=value)

    def rules_used(self, then: Instant) -> tuple[tuple[Rule, ...], frozenset[str]] | None:
        """The rules and the region that were worked by at an instant; None when none had been noted."""
        row = self.store.one("rules_used", cluster_id=self.cluster_id, as_of=then)
        return rules_from(row[0]) if row else None


def _override(
    number: str, job: str, beneficiary: str | None, organisation: str, at: Instant, actor: str, reason: str
) -> Override:
    return Override(
        number=number,
        job=job,
        beneficiary=Beneficiary(beneficiary) if beneficiary else None,
        organisation=organisation,
        reason=reason,
        actor=actor,
        at=at,
    )
