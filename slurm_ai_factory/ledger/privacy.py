"""Removes names of people from the ledger: runs, totals and fingerprints stay the same.

A pseudonym is a keyed hash of the name (HMAC-SHA256): the same person stays one person, and only the
key shows which one. The runs move to a subject that differs in its user only. Users that rules name keep
their names, so no classification changes. Salted hashes replace names and texts of staff.
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
"""Runs moved in one transaction, so that reads do not wait long."""

MOVE = (
    "add_pseudonymous_subjects", "copy_classifications", "create_signed", "sign_renamed", "add_usage",
    "drop_empty_usage", "forget_sums", "rename_runs", "rename_versions",
)  # fmt: skip

OF_CLUSTER = "cluster_id = %(cluster_id)s"
OF_ALL = "true"
"""Conditions for the rows of one cluster; organisations and experts belong to all clusters."""


class Personal(NamedTuple):
    """A table with personal texts; each of its rows has a salt until all of its texts are withheld."""

    table: str
    at: str  #: the column with the age of a row
    staff: tuple[str, ...] = ("actor",)  #: columns with names of staff
    texts: tuple[str, ...] = ("reason",)  #: columns with texts of staff, which may name anybody
    scope: str = OF_CLUSTER

    @property
    def columns(self) -> tuple[str, ...]:
        """All its personal columns."""
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
    Personal("foreign_changes", "recorded_at", texts=("note",)),
    Personal("expiries", "recorded_at", texts=()),
    Personal("meters", "recorded_at"),
    Personal("meter_ends", "recorded_at"),
    Personal("placements", "recorded_at", texts=()),
    Personal("allowed_power", "recorded_at"),
    Personal("reservation_acts", "at", texts=("sentence",)),
    Personal("acknowledgements", "recorded_at"),
    Personal("hubs", "recorded_at"),
    Personal("archives", "recorded_at", texts=()),
    Personal("joint_terms", "recorded_at", scope=OF_ALL),
    Personal("joint_weights", "recorded_at"),
)  # fmt: skip
"""Every table with personal texts of staff."""

WITHHOLD = SQL("UPDATE {table} SET {new} WHERE {scope} AND {which} AND ({differs})")
DROP_SALT = SQL(
    "UPDATE {table} SET salt = NULL "
    "WHERE {scope} AND salt IS NOT NULL AND '~' = ANY(ARRAY[{signs}]) AND NOT ({differs})"
)


class Gone(NamedTuple):
    """How many were pseudonymised or withheld: runs, users, unparsable lines, staff names, texts."""

    runs: int = 0
    users: int = 0
    lines: int = 0
    staff: int = 0
    texts: int = 0


@dataclass(frozen=True, slots=True)
class Privacy:
    """The names in the ledger of one cluster."""

    store: Store
    cluster_id: int

    def retain(self, due: Due, keep: Iterable[str], *, at: Instant, actor: str) -> Gone:
        """Remove what is too old, except for the users to keep, and record that."""
        runs, users = (0, 0) if due.users is None else self.pseudonymise(due.users - 1, keep, at)
        lines = 0
        if due.lines is not None:
            lines = self.store.do("withhold_lines", cluster_id=self.cluster_id, before=due.lines)
        staff = sum(self._withhold_older(table, table.staff, due.staff) for table in PERSONAL)
        texts = sum(self._withhold_older(table, table.texts, due.texts) for table in PERSONAL)
        gone = Gone(runs, users, lines, staff, texts)
        self.store.do(
            "note_pseudonymisation", cluster_id=self.cluster_id, at=at, before=due.users, actor=actor,
            **gone._asdict(),
        )  # fmt: skip
        return gone

    def retained(self) -> Retained:
        """When retention last ran, and when the ledger was first read into."""
        return Retained(*(self.store.one("last_retention", cluster_id=self.cluster_id) or (None, None)))

    def pseudonymise(
        self, until: Instant, keep: Iterable[str], at: Instant, only: str | None = None
    ) -> tuple[int, int]:
        """Pseudonymise the users of runs that ended by an instant; how many runs and users.

        FOREVER includes open runs; ``only`` is one user.
        """
        kept, users, runs = sorted({*keep, *self.named_by_rules()}), set[str](), 0
        while moved := self._move({"until": until, "kept": kept, "only": only}, at):
            runs += moved[0]
            users |= moved[1]
        with self.store.transaction():  # leave no subject behind that has a name and no run
            self.store.one("serialize", cluster_id=self.cluster_id)
            for query in ("create_nobody", "find_nobody", "drop_answers_of_nobody", "drop_nobody"):
                self.store.do(query, cluster_id=self.cluster_id, kept=kept)
        return runs, len(users)

    def named_by_rules(self) -> set[str]:
        """Users that rules named at some time: reports of that time still need the names."""
        return {str(row[0]) for row in self.store.all("users_of_rules", cluster_id=self.cluster_id)}

    def _move(self, which: dict[str, object], at: Instant) -> tuple[int, set[str]] | None:
        """Move one batch in one transaction: how many runs, and whose; None when there are none left."""
        values = {"cluster_id": self.cluster_id, "batch": BATCH, "ever": FOREVER, **which}
        with self.store.transaction():
            self.store.one("serialize", **values)
            self.store.one("serialize_sums", **values)
            self.store.do("create_moved")
            if not self.store.do("find_moved", **values):
                return None
            names = [str(row[0]) for row in self.store.all("moved_users")]
            (runs,) = self.store.one("moved_runs") or (0,)
            self.store.do("create_pseudonyms")
            pseudonyms = [{"user_name": user, "pseudonym": self.pseudonym(user, at)} for user in names]
            self.store.do_many("add_pseudonym", pseudonyms)
            for query in MOVE:
                self.store.do(query, **values)
        return int(runs), set(names)

    def pseudonym(self, user: str, at: Instant) -> str:
        """The pseudonym of a user; makes a key where there is none."""
        self.store.do("add_pseudonym_key", cluster_id=self.cluster_id, key=secrets.token_bytes(32), at=at)
        return self.known_pseudonym(user) or ""

    def known_pseudonym(self, user: str) -> str | None:
        """The pseudonym of a user under the present key; None where there is no key."""
        row = self.store.one("pseudonym_key", cluster_id=self.cluster_id)
        return pseudonym(bytes(row[0]), user) if row else None

    def _withhold_older(self, table: Personal, columns: tuple[str, ...], before: Instant | None) -> int:
        if before is None or not columns:
            return 0
        older = SQL("{} < %(before)s").format(Identifier(table.at))
        return self._withhold(table, columns, older, before=before)

    def withhold_naming(self, user: str) -> int:
        """Withhold every text of staff that names the user; how many rows. Its author stays."""
        return sum(
            self._withhold(
                table, (column,), SQL("mentions({}, %(user)s)").format(Identifier(column)), user=user
            )
            for table in PERSONAL
            for column in table.texts
        )

    def _withhold(self, table: Personal, columns: tuple[str, ...], which: Composed, **values: object) -> int:
        """Replace texts by hashes; in how many rows. A row without any text left loses its salt."""
        parts = {"table": Identifier(table.table), "scope": SQL(table.scope), "which": which}
        new = SQL(", ").join(SQL("{0} = personal({0}, salt)").format(Identifier(name)) for name in columns)
        values["cluster_id"] = self.cluster_id
        withhold = WITHHOLD.format(**parts, new=new, differs=_differs(columns))
        signs = SQL(", ").join(SQL("left({}, 1)").format(Identifier(name)) for name in table.columns)
        drop_salt = DROP_SALT.format(**parts, signs=signs, differs=_differs(table.columns))
        with wrapped(self.store.url):
            gone = self.store.connection.execute(withhold, values).rowcount
            self.store.connection.execute(drop_salt, values)
        return gone


def _differs(columns: Iterable[str]) -> Composed:
    """The condition that a row still has one of its texts."""
    return SQL(" OR ").join(SQL("{0} <> personal({0}, salt)").format(Identifier(name)) for name in columns)


def pseudonym(key: bytes, user: str) -> str:
    """The pseudonym of a user; no Slurm user name begins with a tilde.

    >>> pseudonym(b"key", "jan"), pseudonym(b"key", "jan") == pseudonym(b"other key", "jan")
    ('~abdb1332c025b888', False)
    """
    return "~" + hmac.new(key, user.encode(), "sha256").hexdigest()[:16]
