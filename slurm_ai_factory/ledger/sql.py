"""SQL as files: named queries in the .sql file beside the module that uses them, and migrations.

A block of a file is ``-- name --``, a line that describes it, and the statement. A fragment is a block that
other statements name in braces; those of more than one module are in fragments.sql.
"""

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
    digest: str  #: SHA-256 of the statements


@cache
def queries() -> dict[str, str]:
    """Every query by its name, with its fragments in place.

    >>> queries()["cluster_id"]
    'SELECT cluster_id FROM clusters WHERE name = %(cluster)s'
    """
    texts = [file.read_text() for file in _FOLDER.iterdir() if file.name.endswith(".sql")]
    parts = re.split(r"^-- (\w+) --\n-- .+\n", "\n".join(texts), flags=re.MULTILINE)
    blocks = {name: statement.strip() for name, statement in zip(parts[1::2], parts[2::2], strict=True)}
    return {name: _whole(statement, blocks) for name, statement in blocks.items()}


def _whole(statement: str, blocks: Mapping[str, str]) -> str:
    """A statement with every fragment that it or a fragment of it names."""
    return re.sub(r"\{(\w+)\}", lambda match: _whole(blocks[match[1]], blocks), statement)


def migrations() -> list[Migration]:
    """Every migration, oldest first."""
    texts = {file.name: file.read_text() for file in (_FOLDER / "migrations").iterdir()}
    return [
        Migration(name, text, sha256(text.encode()).hexdigest())
        for name, text in sorted(texts.items())
        if name.endswith(".sql")
    ]
