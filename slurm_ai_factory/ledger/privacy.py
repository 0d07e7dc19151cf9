"""Names of people taken out of the books: the runs stay, and every total and every fingerprint stays.

A pseudonym is a keyed hash of the name (HMAC-SHA256), so that the same person stays one person, and nobody
without the key can tell which. The runs are moved to a subject that differs in its user only, so that no rule
answers otherwise: users that rules name keep their names. Of what staff wrote a salted hash is left.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from psycopg.sql import SQL, Composed, Identifier

from slurm_ai_factory.core.programme.retention import Due, Retained
from slurm_ai_factory.core.records import FOREVER, Instant
from slurm_ai_factory.ledger.connection import wrapped
from slurm_ai_factory.ledger.store import Store

BATCH = 200_000
"""Runs moved in one transaction, so that reading is not kept waiting."""

MOVE = (
    "add_pseudonymous_subjects", "copy_classifications", "create_signed", "sign_renamed", "add_usage",
    "drop_empty_usage", "rename_runs", "rename_versions",
)  # fmt: skip

OF_CLUSTER = "cluster_id = %(cluster_id)s"
OF_ALL = "true"
"""Which rows of a table are of the cluster: organisations and experts are of all clusters together."""


class Personal(NamedTuple):
    """A table with personal texts; each of its rows has a salt until all of them are gone."""

    table: str
    at: str  #: the column that says how old a row is
    staff: tuple[str, ...] = ("actor",)  #: who did it
    texts: tuple[str, ...] = ("reason",)  #: what they wrote, which may name anybody
    scope: str = OF_CLUSTER

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.staff, *self.texts)


PERSONAL = (
    Personal("decisions", "at", texts=("sentence",)),
    Personal("changes", "settled_at", (), ("note",),
             "decision_id IN (SELECT decision_id FROM decisions WHERE cluster_id = %(cluster_id)s)"),
    Personal("organisations", "recorded_at", scope=OF_ALL),
    Personal("links", "recorded_at"),
    Personal("overrides", "recorded_at"),
    Personal("pauses", "recorded_at"),
    Personal("withdrawals", "recorded_at"),
    Personal("expertise_entries", "recorded_at", texts=("activity", "reason"), scope=OF_ALL),
    Personal("reports", "published_at", texts=()),
    Personal("pseudonymisations", "at", texts=()),
    Personal("person_acts", "recorded_at"),
    Personal("audits", "recorded_at", texts=()),
    Personal("proposals", "recorded_at"),
)  # fmt: skip
"""Every personal text that staff leave in the ledger."""

WITHHOLD = SQL("UPDATE {table} SET {new} WHERE {scope} AND {which} AND ({differs})")
DROP_SALT = SQL(
    "UPDATE {table} SET salt = NULL "
    "WHERE {scope} AND salt IS NOT NULL AND '~' = ANY(ARRAY[{signs}]) AND NOT ({differs})"
)


class Gone(NamedTuple):
    """What went: runs and their users, lines that could not be read, rows with staff names or with texts."""

    runs: int = 0
    users: int = 0
    lines: int = 0
    staff: int = 0
    texts: int = 0


@dataclass(frozen=True, slots=True)
class Privacy:
    """The names in one cluster's books."""

    store: Store
    cluster_id: int

    def retain(self, due: Due, keep: Iterable[str], *, at: Instant, actor: str) -> Gone:
        """Let go of what is too old, but for the users to keep, and note it."""
        runs, users = (0, 0) if due.users is None else self.pseudonymise(due.users - 1, keep, at)
        lines = self._before("withhold_lines", due.lines)
        staff = sum(self._withhold_older(one, one.staff, due.staff) for one in PERSONAL)
        texts = sum(self._withhold_older(one, one.texts, due.texts) for one in PERSONAL)
        gone = Gone(runs, users, lines, staff, texts)
        self.store.do(
            "note_pseudonymisation", cluster_id=self.cluster_id, at=at, before=due.users, actor=actor,
            **gone._asdict(),
        )  # fmt: skip
        return gone

    def retained(self) -> Retained:
        """When this last went through."""
        return Retained(*(self.store.one("last_retention", cluster_id=self.cluster_id) or (None, None)))

    def pseudonymise(
        self, until: Instant, keep: Iterable[str], at: Instant, only: str | None = None
    ) -> tuple[int, int]:
        """Give the users of runs that were over by an instant pseudonyms; how many runs and users.

        With FOREVER open runs are among them; with ``only`` those of one user.
        """
        kept, users, runs = sorted({*keep, *self.named_by_rules()}), set[str](), 0
        while found := self._move({"until": until, "kept": kept, "only": only}, at):
            runs += found[0]
            users |= found[1]
        self._drop_nobody(kept)
        return runs, len(users)

    def named_by_rules(self) -> set[str]:
        """Users that rules named at some time: a report of that time needs them still."""
        return {str(row[0]) for row in self.store.all("users_of_rules", cluster_id=self.cluster_id)}

    def _move(self, which: dict[str, object], at: Instant) -> tuple[int, set[str]] | None:
        """Some runs, in one transaction; None when there are none left."""
        values = {"cluster_id": self.cluster_id, "batch": BATCH, "ever": FOREVER, **which}
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

    def _drop_nobody(self, kept: list[str]) -> None:
        """Leave no subject behind that has a name and no run."""
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
            for query in ("create_nobody", "find_nobody", "drop_answers_of_nobody", "drop_nobody"):
                self.store.do(query, cluster_id=self.cluster_id, kept=kept)

    def _name(self, users: list[str], at: Instant) -> None:
        self.store.do("create_pseudonyms")
        rows = [{"user_name": user, "pseudonym": self.pseudonym(user, at)} for user in users]
        self.store.do_many("add_pseudonym", rows)

    def pseudonym(self, user: str, at: Instant) -> str:
        """The pseudonym of a user, under a key that is made where there is none."""
        self.store.do("add_pseudonym_key", cluster_id=self.cluster_id, key=secrets.token_bytes(32), at=at)
        return self.known_pseudonym(user) or ""

    def known_pseudonym(self, user: str) -> str | None:
        """The pseudonym that the user's runs have, if any were given one under the key there is."""
        row = self.store.one("pseudonym_key", cluster_id=self.cluster_id)
        return pseudonym(bytes(row[0]), user) if row else None

    def _before(self, query: str, before: Instant | None) -> int:
        return 0 if before is None else self.store.do(query, cluster_id=self.cluster_id, before=before)

    def _withhold_older(self, one: Personal, columns: tuple[str, ...], before: Instant | None) -> int:
        if before is None or not columns:
            return 0
        return self._withhold(one, columns, SQL("{} < %(before)s").format(Identifier(one.at)), before=before)

    def withhold_naming(self, user: str) -> int:
        """Withhold every text of staff that names the user; how many rows. Who wrote it stays."""
        return sum(
            self._withhold(
                one, (column,), SQL("mentions({}, %(user)s)").format(Identifier(column)), user=user
            )
            for one in PERSONAL
            for column in one.texts
        )

    def _withhold(self, one: Personal, columns: tuple[str, ...], which: Composed, **values: object) -> int:
        """Put hashes in place of the texts of some rows; how many. A row left without any loses its salt."""
        parts = {"table": Identifier(one.table), "scope": SQL(one.scope), "which": which}
        new = SQL(", ").join(SQL("{0} = personal({0}, salt)").format(Identifier(name)) for name in columns)
        values["cluster_id"] = self.cluster_id
        withhold = WITHHOLD.format(**parts, new=new, differs=_differs(columns))
        signs = SQL(", ").join(SQL("left({}, 1)").format(Identifier(name)) for name in one.columns)
        drop_salt = DROP_SALT.format(**parts, signs=signs, differs=_differs(one.columns))
        with wrapped(self.store.url):
            gone = self.store.connection.execute(withhold, values).rowcount
            self.store.connection.execute(drop_salt, values)
        return gone


def _differs(columns: Iterable[str]) -> Composed:
    """Whether a text of a row is still there."""
    return SQL(" OR ").join(SQL("{0} <> personal({0}, salt)").format(Identifier(name)) for name in columns)


def pseudonym(key: bytes, user: str) -> str:
    """The pseudonym of a user; no Slurm user name begins with a tilde.

    >>> pseudonym(b"key", "jan"), pseudonym(b"key", "jan") == pseudonym(b"other key", "jan")
    ('~abdb1332c025b888', False)
    """
    return "~" + hmac.new(key, user.encode(), "sha256").hexdigest()[:16]
