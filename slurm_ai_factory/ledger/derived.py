"""Compares derived tables with the facts they come from, and derives them again.

Facts come from Slurm and from people: runs, sets of TRES as text, subjects, the registry, rules. Derived are
TRES counts by set, hourly usage, classifications and sums; facts are enough to make them again.
Tested in tests/cli/ledger/test_verify.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from slurm_ai_factory.core.records import Instant, Subject
from slurm_ai_factory.core.rules.classify import ClassifiedPart, Rules
from slurm_ai_factory.ledger.classified import SUBJECT, part_of
from slurm_ai_factory.ledger.store import Store

ANEW = (
    "shadow_tres", "shadow_allocation_tres", "shadow_hourly_usage", "shadow_rule_sets",
    "shadow_classifications", "shadow_sums", "shadow_hourly_sums",
    "shadow_daily_sums",
    "add_tres", "add_allocation_tres", "all_usage", "analyze_usage",
)  # fmt: skip
"""The queries that compute everything derived into temporary tables, beside the permanent ones."""

REMAKE = (
    "drop_allocation_tres", "add_tres", "add_allocation_tres", "drop_usage", "all_usage", "forget_all_sets",
)  # fmt: skip


class Comparison(NamedTuple):
    """How many rows were compared with their facts, how many differ, and the first that does."""

    rows: int
    differing: int
    first: str = ""


class KeptSet(NamedTuple):
    """A set of rules with classifications in the ledger."""

    set_id: int
    digest: str


@dataclass(frozen=True, slots=True)
class Derived:
    """The derived tables of one cluster."""

    store: Store
    cluster: str
    cluster_id: int

    def tres(self) -> Comparison:
        """Compare TRES counts with the sets they come from."""
        return Comparison(*(self.store.one("sets_compared") or (0, 0)))

    def overrides(self) -> Comparison:
        """Compare the override of each run with the recorded overrides of its job."""
        return Comparison(*(self.store.one("subjects_compared", cluster_id=self.cluster_id) or (0, 0)))

    def sets(self) -> list[KeptSet]:
        """Sets of rules with classifications in the ledger, the most recently used first."""
        return [KeptSet(*row) for row in self.store.all("kept_sets", cluster_id=self.cluster_id)]

    def instants(self) -> Iterator[Instant]:
        """Instants at which rules, or what they are read against, may have changed; newest first."""
        return (row[0] for row in self.store.all("instants_of_rules", cluster_id=self.cluster_id))

    def answers(self, set_id: int, rules: Rules) -> Comparison:
        """Compare kept classifications with the rules; a subject without one is not compared."""
        rows = self.store.all("answers", cluster_id=self.cluster_id, set_id=set_id)
        compared, wrong = 0, []
        for subject, parts in groupby(rows, lambda row: Subject(self.cluster, *row[:SUBJECT])):
            kept = [part_of(row[SUBJECT + 1 :]) for row in parts if row[SUBJECT + 1] is not None]
            compared += bool(kept)
            if kept and kept != [_exact(part) for part in rules.parts(subject)]:
                wrong.append(subject)
        return Comparison(compared, len(wrong), f"account {wrong[0].account}" if wrong else "")

    def sums(self, set_id: int) -> list[str]:
        """The resources with saved sums by one set of rules."""
        rows = self.store.all("kept_resources", cluster_id=self.cluster_id)
        return [resource for owner, resource in rows if owner == set_id]

    def remake(self) -> None:
        """Compute everything derived again from facts. Reads wait meanwhile."""
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
            self.store.one("serialize_sums", cluster_id=self.cluster_id)
            for query in REMAKE:
                self.store.do(query, cluster_id=self.cluster_id)


def _exact(part: ClassifiedPart) -> ClassifiedPart:
    """With the fraction as the ledger has it."""
    whole = int(part.fraction)
    return part._replace(fraction=whole if whole == part.fraction else part.fraction)
