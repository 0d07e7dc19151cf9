"""What the ledger holds about one person, a user of Slurm: to show, export, forget, or keep for a reason.

Every act is a row with actor, time and reason; a salted mark in it replaces the name. The search covers every
text column of the schema, also of tables that are added later.
Tested in tests/ledger/test_people.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from psycopg.sql import SQL, Composed, Identifier

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.programme.personal import Forgotten, Mark
from slurm_ai_factory.core.records import FOREVER, Instant
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger.connection import wrapped
from slurm_ai_factory.ledger.privacy import PERSONAL, Gone, Privacy
from slurm_ai_factory.ledger.store import Store

AGES = {personal.table: personal.at for personal in PERSONAL} | {"rejected_lines": "first_read_at"}
"""table -> the column with the age of a row, where there is one."""

STAFF = {(personal.table, column) for personal in PERSONAL for column in personal.staff}
TEXTS = {(personal.table, column) for personal in PERSONAL for column in personal.texts}
LINES = {("rejected_lines", "line"), ("rejected_lines", "reason")}
OWN = ("subjects", "user_name")
"""The column that runs get their user from; `held` counts the runs instead."""


class Text(NamedTuple):
    """A column that may hold a name."""

    table: str
    column: str
    by_cluster: bool

    @property
    def naming(self) -> Composed:
        """The condition that a row names the user."""
        names = SQL("mentions({}::text, %(user)s)").format(Identifier(self.column))
        return names + SQL(" AND cluster_id = %(cluster_id)s") if self.by_cluster else names

    @property
    def fate(self) -> str:
        """What `forget` does to it."""
        key = self.table, self.column
        return "withheld" if key in TEXTS | LINES else "staff" if key in STAFF else "kept"


class Held(NamedTuple):
    """Rows of a table about a person: how many, from when to when, and what `forget` does to them."""

    table: str
    column: str  #: that names the person; empty for the person's own runs
    rows: int
    first: Instant | None
    last: Instant | None
    fate: str  #: pseudonym or withheld; staff and kept are not changed


class Act(NamedTuple):
    """A recorded act on a person's data."""

    act: str
    until: Instant | None  #: of a hold
    pseudonym: str  #: of a person who was forgotten
    at: Instant
    actor: str
    reason: str


class HeldBack(NamedTuple):
    """The newest hold of a user: the name stays up to ``until``."""

    user: str
    until: Instant
    at: Instant
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Persons:
    """The people in the ledger of one cluster."""

    store: Store
    cluster_id: int
    privacy: Privacy

    def held(self, user: str) -> list[Held]:
        """What the ledger holds about a user, under the name and under the pseudonym."""
        usage = self.store.all("usage_held", cluster_id=self.cluster_id, names=self._names(user))
        own = [Held(table, "", rows, first, last, "pseudonym") for table, rows, first, last in usage]
        return [held for held in (*own, *self._texts_naming(user)) if held.rows]

    def _texts_naming(self, user: str) -> Iterator[Held]:
        for text in self._texts():
            age = AGES.get(text.table)
            at = Identifier(age) if age else SQL("NULL::bigint")
            count = SQL("SELECT count(*), min({at}), max({at}) FROM {table} WHERE {naming}")
            query = count.format(at=at, table=Identifier(text.table), naming=text.naming)
            for rows, first, last in self._all(query, user):
                yield Held(text.table, text.column, rows, first, last, text.fate)

    def rows(self, user: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(table, row) of everything that the ledger holds about a user. Inside a transaction."""
        names = self._names(user)
        for rows in self.store.stream("usage_rows", cluster_id=self.cluster_id, names=names):
            yield from rows
        for table, texts in groupby(self._texts(), lambda text: text.table):
            naming = SQL(" OR ").join(SQL("({})").format(text.naming) for text in texts)
            query = SQL("SELECT to_jsonb(t) - 'salt' FROM {} AS t WHERE {}").format(Identifier(table), naming)
            for (row,) in self._all(query, user):
                yield table, row

    def _texts(self) -> Iterator[Text]:
        texts = (Text(*row) for row in self.store.all("text_columns"))
        return (text for text in texts if (text.table, text.column) != OWN)

    def _all(self, query: Composed, user: str) -> list[tuple[Any, ...]]:
        with wrapped(self.store.url):
            values = {"cluster_id": self.cluster_id, "user": user}
            return self.store.connection.execute(query, values).fetchall()

    def _names(self, user: str) -> list[str]:
        """The name and every pseudonym that the user's runs may have."""
        given = [act.pseudonym for act in self.acts(user)]
        return [name for name in (user, self.privacy.known_pseudonym(user), *given) if name]

    def acts(self, user: str) -> list[Act]:
        """The recorded acts on a user's data, oldest first."""
        return [Act(*row) for row in self.store.all("acts_on", cluster_id=self.cluster_id, user=user)]

    def note(
        self, act: str, user: str, by: Mapping[str, object], until: Instant | None = None, pseudonym: str = ""
    ) -> None:
        """Record an act. ``by`` has at, actor and reason; ``pseudonym`` is that of a forgotten user."""
        values = {"cluster_id": self.cluster_id, "act": act, "user": user, **by}
        self.store.do("add_act", **values, until=until, pseudonym=pseudonym)

    def holds(self) -> list[HeldBack]:
        """The newest hold of each user whose name is in the ledger, also holds that are over."""
        return [HeldBack(*row) for row in self.store.all("holds", cluster_id=self.cluster_id)]

    def held_back(self, now: Instant) -> set[str]:
        """The users whose names are held now."""
        return {hold.user for hold in self.holds() if hold.until > now}

    def mentioned(self, text: str) -> list[str]:
        """The users whose names are whole words of a text."""
        return [row[0] for row in self.store.all("users_mentioned", cluster_id=self.cluster_id, text=text)]

    def forget(self, user: str, named: Collection[str], by: Mapping[str, Any]) -> Gone:
        """Remove the name except where it must stay: runs get a pseudonym, texts and lines are withheld.

        From now on reads get the pseudonym too. ``named`` are the users that rules name; ``by`` has at, actor
        and reason. Raises LedgerError where a rule or a hold needs the name, or the ledger does not have it.
        """
        at = by["at"]
        self._check(user, named, at)
        with self.store.transaction():
            self.store.one("serialize", cluster_id=self.cluster_id)
            self.note("forget", user, by, pseudonym=self.privacy.pseudonym(user, at))
        runs, users = self.privacy.pseudonymise(FOREVER, (), at, only=user)
        texts = self.privacy.withhold_naming(user)
        lines = self.store.do("withhold_lines_naming", cluster_id=self.cluster_id, user=user)
        return Gone(runs, users, lines, 0, texts)

    def _check(self, user: str, named: Collection[str], now: Instant) -> None:
        if user in named:
            raise LedgerError(
                f"a rule names {user}; take the name out of the rules, for example by naming the account, "
                "and try again"
            )
        if user in self.privacy.named_by_rules():
            raise LedgerError(
                f"rules of an earlier time name {user}, and reports of that time need the name; keep it with "
                f"`saf person hold {user}`, and answer the person why"
            )
        for hold in self.holds():
            if hold.user == user and hold.until > now:
                raise LedgerError(
                    f"{user} is held until {windows.iso(hold.until)} ({hold.reason}); end that first: "
                    f"saf person hold {user} --until now"
                )
        if not self.held(user):
            raise LedgerError(f"the ledger holds nothing of {user}; check the name")


def forgotten(store: Store, cluster_id: int) -> Forgotten:
    return Forgotten(Mark(*row) for row in store.all("forgotten", cluster_id=cluster_id))
