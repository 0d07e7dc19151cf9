"""What the ledger keeps only so that it need not be worked out again: compared with facts, and made again.

Facts are what Slurm and people told: runs, sets of TRES as text, subjects, the registry, rules. Derived are
counts by set, usage by hour, answers of rules and sums by hour; whatever they say, they can be made again.
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

REMAKE = (
    "drop_allocation_tres", "add_tres", "add_allocation_tres", "drop_usage", "all_usage", "forget_all_sets",
)  # fmt: skip


class Comparison(NamedTuple):
    """Rows that are kept beside what they are made from: how many, how many of them differ, and the first."""

    rows: int
    differing: int
    first: str = ""


class KeptSet(NamedTuple):
    """A set of rules whose answers are kept."""

    set_id: int
    digest: str


@dataclass(frozen=True, slots=True)
class Derived:
    """Everything derived of one cluster."""

    store: Store
    cluster: str
    cluster_id: int

    def tres(self) -> Comparison:
        """Counts of sets of TRES beside the sets."""
        return Comparison(*(self.store.one("sets_compared") or (0, 0)))

    def overrides(self) -> Comparison:
        """The override that each run stands under beside those that were put on runs."""
        return Comparison(*(self.store.one("subjects_compared", cluster_id=self.cluster_id) or (0, 0)))

    def sets(self) -> list[KeptSet]:
        """Sets of rules whose answers are kept, those used last first."""
        return [KeptSet(*row) for row in self.store.all("kept_sets", cluster_id=self.cluster_id)]

    def instants(self) -> Iterator[Instant]:
        """From which instants on rules may have answered otherwise, newest first."""
        return (row[0] for row in self.store.all("instants_of_rules", cluster_id=self.cluster_id))

    def answers(self, set_id: int, rules: Rules) -> Comparison:
        """Answers that are kept beside those of the rules; a subject without any is not compared."""
        rows = self.store.all("answers", cluster_id=self.cluster_id, set_id=set_id)
        compared, wrong = 0, []
        for subject, found in groupby(rows, lambda row: Subject(self.cluster, *row[:SUBJECT])):
            kept = [part_of(row[SUBJECT + 1 :]) for row in found if row[SUBJECT + 1] is not None]
            compared += bool(kept)
            if kept and kept != [_exact(part) for part in rules.parts(subject)]:
                wrong.append(subject)
        return Comparison(compared, len(wrong), f"account {wrong[0].account}" if wrong else "")

    def sums(self, set_id: int) -> list[str]:
        """The resources whose sums by hour are kept, by one set of rules."""
        rows = self.store.all("kept_resources", cluster_id=self.cluster_id)
        return [resource for owner, resource in rows if owner == set_id]

    def remake(self) -> None:
        """Make everything derived again, from facts. Reads wait meanwhile."""
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
            self.store.one("serialize_sums", cluster_id=self.cluster_id)
            for query in REMAKE:
                self.store.do(query, cluster_id=self.cluster_id)
        self.store.forget()


def _exact(part: ClassifiedPart) -> ClassifiedPart:
    """With the fraction as the ledger has it."""
    whole = int(part.fraction)
    return part._replace(fraction=whole if whole == part.fraction else part.fraction)
