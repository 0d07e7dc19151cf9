"""Grants the roles saf_owner, saf_daemon and saf_reader their rights on the schema of a ledger."""

from __future__ import annotations

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import sql
from slurm_ai_factory.ledger.connection import Connection, place

AS_OWNER = "SET LOCAL ROLE saf_owner"
"""For the rest of a transaction, where ``has_owner``: saf_owner owns what is created in it."""


def roles() -> str:
    """The statements with which a superuser gives the database of a ledger to saf_owner."""
    return sql.queries()["roles"].replace("%%", "%")


def has_owner(connection: Connection, url: str) -> bool:
    """Whether saf_owner owns the schema.

    Raises LedgerError where the role of this session may not change the schema.
    """
    role, may_change, owned = connection.execute(sql.queries()["owner"]).fetchone() or (
        "this user",
        False,
        False,
    )
    if not may_change:
        raise LedgerError(
            f"role {role} may not change the schema of the ledger at {place(url)}; connect as a "
            "member of saf_owner: saf ledger migrate --url URL, saf ledger move --from URL --to URL"
        )
    return bool(owned)


def grant(connection: Connection) -> None:
    """Revoke all rights of saf_daemon and saf_reader, and grant those that this version needs."""
    for query in ("revokes", "grants"):
        for (statement,) in connection.execute(sql.queries()[query], {}).fetchall():
            connection.execute(statement)
