"""SQL as files: named, described queries, and migrations in the order of their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

_FOLDER = files("slurm_ai_factory.ledger")


class Migration(NamedTuple):
    """One step of the schema."""

    name: str
    statements: str
    digest: str


@cache
def queries() -> dict[str, str]:
    """Every query of the .sql files here by its name, with the fragments it names in braces put in.

    >>> queries()["watermark"]
    'SELECT max(until) FROM reads WHERE cluster_id = %(cluster_id)s AND withdrawn_at IS NULL'
    """
    texts = [file.read_text() for file in _FOLDER.iterdir() if file.name.endswith(".sql")]
    text = "\n".join(sorted(texts))
    parts = re.split(r"^-- (\w+) --\n-- .+\n", text, flags=re.MULTILINE)
    found = {name: statement.strip() for name, statement in zip(parts[1::2], parts[2::2], strict=True)}
    return {name: _whole(statement, found) for name, statement in found.items()}


def _whole(statement: str, found: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: _whole(found[match[1]], found), statement)


def migrations() -> list[Migration]:
    """Every migration, oldest first."""
    found = sorted((_FOLDER / "migrations").iterdir(), key=lambda file: file.name)
    return [_migration(file.name, file.read_text()) for file in found if file.name.endswith(".sql")]


def _migration(name: str, text: str) -> Migration:
    return Migration(name, text, sha256(text.encode()).hexdigest())
