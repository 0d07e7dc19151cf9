"""Joint promises: their terms, and the weights of their clusters. Rows are added and never changed.

Tested in tests/cli/test_joint.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.programme import joint
from slurm_ai_factory.core.programme.terms import Term
from slurm_ai_factory.core.records import FOREVER, Instant
from slurm_ai_factory.ledger.accounting import Accounting
from slurm_ai_factory.ledger.store import Store, json


@dataclass(frozen=True, slots=True)
class JointBook:
    """The joint promises of a ledger, which are of no single cluster."""

    store: Store

    def terms(self) -> list[Term]:
        """Every term ever recorded, in the order of recording."""
        return [joint.joint_term(row) for row in self.store.named("joint_terms")]

    def weights(self) -> list[joint.JointWeight]:
        """Every weight ever recorded, in the order of recording."""
        return [joint.weight_of(row) for row in self.store.named("joint_weights")]

    def promises(self, then: Instant | None = None) -> dict[str, joint.JointPromise]:
        """Every joint promise as known now or then, by name."""
        return joint.joint_promises(self.terms(), self.weights(), then)

    def holding(self, at: Instant, then: Instant | None = None) -> dict[str, joint.JointPromise]:
        """Those that have not ended at an instant, as known now or then, by name."""
        known = self.promises(then)
        return {name: promise for name, promise in known.items() if not promise.terms.at(at).ended}

    def record(self, new: Term) -> tuple[str, ...]:
        """Record a whole term, unless there are problems; the problems, each in a sentence."""
        with self.store.transaction():
            self.store.one("serialize_registry")
            problems = tuple(joint.joint_term_problems(self.promises().get(new.promise), new))
            if not problems:
                self.store.do("add_joint_term", **joint.joint_term_value(new))
        return problems

    def weigh(self, new: joint.JointWeight) -> tuple[str, ...]:
        """Record a weight, unless there are problems; the problems, each in a sentence."""
        with self.store.transaction():
            self.store.one("serialize_registry")
            present, clusters = self.promises().get(new.promise), self.store.clusters()
            if present is None:
                return (f"there is no joint promise {new.promise}; make it with `saf joint set`",)
            if new.cluster not in clusters:
                return (f"the ledger has no cluster {new.cluster}; it has {', '.join(clusters)}",)
            accounting = Accounting(self.store, new.cluster, clusters[new.cluster])
            sizes, _ = accounting.events(0, FOREVER, FOREVER)
            known = tres.tres_names(size.tres for size in sizes)
            problems = tuple(joint.weight_problems(present, new, known))
            if not problems:
                value = new.plain()
                self.store.do("add_joint_weight", **value | {"weights": json(value["weights"])})
        return problems
