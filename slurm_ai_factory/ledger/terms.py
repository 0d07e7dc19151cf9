"""The terms of every promise. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slurm_ai_factory.core.programme import terms
from slurm_ai_factory.core.programme.terms import PromiseTerms, Term
from slurm_ai_factory.core.records import FIRST, Instant
from slurm_ai_factory.ledger.store import Store, json


@dataclass(frozen=True, slots=True)
class TermsBook:
    """The terms of the promises on one cluster."""

    store: Store
    cluster_id: int

    def rows(self, promise: str = FIRST) -> list[Term]:
        """Every row of a promise, in the order of recording."""
        return [term for term in self._all() if term.promise == promise]

    def known(self, then: Instant | None = None) -> PromiseTerms | None:
        """The terms of the first promise as known now or then; None before the first."""
        return terms.known(self.rows(), then)

    def further(self, then: Instant | None = None) -> dict[str, PromiseTerms]:
        """The terms of every promise but the first, as known now or then, by name in order."""
        every = _by_promise(self._all(), then)
        return {name: known for name, known in every.items() if name != FIRST}

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

        Where the ledger has no term of the promise yet, ``first`` is recorded before it.
        """
        with self.store.transaction():
            self.store.one("serialize_registry")
            rows = self._all()
            missing = [first] if first and all(term.promise != new.promise for term in rows) else []
            every = _by_promise([*rows, *missing])
            if new.promise not in every:
                return ("the promise has no first term yet",)
            problems = (*terms.term_problems(every[new.promise], new), *terms.problems_beside(every, new))
            for term in () if problems else (*missing, new):
                self._add(term)
        return problems

    def _all(self) -> list[Term]:
        return [terms.term_of(row) for row in self.store.named("promise_terms", cluster_id=self.cluster_id)]

    def _add(self, term: Term) -> None:
        value = {**term.plain(), "bound": term.bound.value}
        values = {"resource": json(value["resource"]), "who": json(term.whom())}
        self.store.do("add_promise_term", cluster_id=self.cluster_id, **value | values)


def _by_promise(rows: Iterable[Term], then: Instant | None = None) -> dict[str, PromiseTerms]:
    """The terms of every promise as known now or then, by name in order."""
    of: dict[str, list[Term]] = {}
    for term in rows:
        of.setdefault(term.promise, []).append(term)
    present = {name: terms.known(of[name], then) for name in sorted(of)}
    return {name: known for name, known in present.items() if known}
