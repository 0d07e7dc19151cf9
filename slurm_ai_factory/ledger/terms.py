"""The terms of the promise. Rows are added and never changed."""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.programme import terms
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.store import Store, json


@dataclass(frozen=True, slots=True)
class TermsBook:
    """The terms of one cluster's promise."""

    store: Store
    cluster_id: int

    def rows(self) -> list[Term]:
        """Every row, in the order of recording."""
        return [terms.term_of(row) for row in self.store.named("promise_terms", cluster_id=self.cluster_id)]

    def known(self, then: Instant | None = None) -> PromiseTerms | None:
        """The terms as known now or then; None before the first."""
        return terms.known(self.rows(), then)

    def begin(self, first: Term) -> bool:
        """Record the first term; False where there is a term already."""
        with self.store.transaction():
            self.store.one("serialize_registry")
            begun = not self.rows()
            if begun:
                self._add(first)
        return begun

    def record(self, new: Term, first: Term | None = None) -> tuple[str, ...]:
        """Record a whole term, unless there are problems; the problems, each in a sentence.

        Where the ledger has no term yet, ``first`` is recorded before it.
        """
        with self.store.transaction():
            self.store.one("serialize_registry")
            rows = self.rows()
            missing = [first] if first and not rows else []
            present = terms.known([*rows, *missing])
            problems = (
                tuple(terms.term_problems(present, new))
                if present
                else ("the promise has no first term yet",)
            )
            for term in () if problems else (*missing, new):
                self._add(term)
        return problems

    def _add(self, term: Term) -> None:
        value = term.plain()
        self.store.do(
            "add_promise_term", cluster_id=self.cluster_id, **value | {"resource": json(value["resource"])}
        )
