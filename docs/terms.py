"""The words of the report in Dutch and English, from docs/terms.toml.

Tested in tests/report/test_words.py.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "terms.toml"


class Term(NamedTuple):
    """A word for one thing; the first form is the one to look up."""

    nl: tuple[str, ...]
    en: tuple[str, ...]
    glossary: str = ""  #: the entry of docs/glossary.md that means the same
    not_nl: tuple[str, ...] = ()  #: words that no message uses, because this one says it
    not_en: tuple[str, ...] = ()


def terms() -> list[Term]:
    """All, in the order of the file."""
    listed = tomllib.loads(FILE.read_text(encoding="utf-8"))["term"]
    return [
        Term(**{key: value if isinstance(value, str) else tuple(value) for key, value in row.items()})
        for row in listed
    ]
