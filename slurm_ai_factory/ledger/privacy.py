"""Names of users taken out of the books: the runs stay, and every total stays.

A pseudonym is a keyed hash of the name (HMAC-SHA256), so that the same person stays one person, and nobody
without the key can tell which. The runs are moved to a subject that differs in its user only, so that no rule
answers otherwise: users that rules name keep their names.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.ledger.store import Store

BATCH = 200_000
"""Runs moved in one transaction, so that reading is not kept waiting."""

MOVE = (
    "add_pseudonymous_subjects", "copy_classifications", "create_signed", "sign_renamed", "add_usage",
    "drop_empty_usage", "rename_runs", "rename_versions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Privacy:
    """The names in one cluster's books."""

    store: Store
    cluster_id: int

    def pseudonymise(
        self, before: Instant, keep: Iterable[str], *, at: Instant, actor: str
    ) -> tuple[int, int]:
        """Give the users of runs that were over before an instant pseudonyms; how many runs and users."""
        kept, users, runs = sorted({*keep, *self._named_by_rules()}), set[str](), 0
        while found := self._move(before, kept, at):
            runs += found[0]
            users |= found[1]
        self.store.do("withhold_lines", cluster_id=self.cluster_id, before=before)
        noted = {"runs": runs, "users": len(users), "actor": actor}
        self.store.do("note_pseudonymisation", cluster_id=self.cluster_id, at=at, before=before, **noted)
        return runs, len(users)

    def _named_by_rules(self) -> set[str]:
        """Users that rules named at some time: a report of that time needs them still."""
        return {str(row[0]) for row in self.store.all("users_of_rules", cluster_id=self.cluster_id)}

    def _move(self, before: Instant, kept: list[str], at: Instant) -> tuple[int, set[str]] | None:
        """Some runs, in one transaction; None when there are none left."""
        values = {"cluster_id": self.cluster_id, "before": before, "kept": kept, "batch": BATCH}
        with self.store.transaction():
            self.store.one("serialize", **values)
            self.store.do("create_moved")
            if not self.store.do("find_moved", **values):
                return None
            names = [str(row[0]) for row in self.store.all("moved_users")]
            (runs,) = self.store.one("moved_runs") or (0,)
            self._name(names, at)
            for query in MOVE:
                self.store.do(query, **values)
        return int(runs), set(names)

    def _name(self, users: list[str], at: Instant) -> None:
        key = self._key(at)
        self.store.do("create_pseudonyms")
        rows = [{"user_name": user, "pseudonym": pseudonym(key, user)} for user in users]
        self.store.do_many("add_pseudonym", rows)

    def _key(self, at: Instant) -> bytes:
        self.store.do("add_pseudonym_key", cluster_id=self.cluster_id, key=secrets.token_bytes(32), at=at)
        row = self.store.one("pseudonym_key", cluster_id=self.cluster_id)
        return bytes(row[0]) if row else b""


def pseudonym(key: bytes, user: str) -> str:
    """The pseudonym of a user; no Slurm user name begins with a tilde.

    >>> pseudonym(b"key", "jan"), pseudonym(b"key", "jan") == pseudonym(b"other key", "jan")
    ('~abdb1332c025b888', False)
    """
    return "~" + hmac.new(key, user.encode(), "sha256").hexdigest()[:16]
