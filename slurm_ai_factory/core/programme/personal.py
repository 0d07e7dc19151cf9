"""What replaces a personal text that was withheld. Tested in tests/ledger/test_people.py.

The rule: a salted hash replaces the text. It recognises the text, or the name of a forgotten user, when that
is given again, and does not reveal it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import md5, sha256
from typing import NamedTuple

from slurm_ai_factory.core.records import Rejected, Run

HASHED = re.compile(r"~[0-9a-f]{16}")
WORD = re.compile(r"\w+(?:[.-]\w+)*")


def personal(text: str, salt: str) -> str:
    """The hash that replaces a text; the same as the function of this name in the ledger.

    >>> personal("jan", "6f1e")
    '~d35d4eb9d42f428e'
    >>> personal(personal("jan", "6f1e"), ""), personal("", "6f1e")
    ('~d35d4eb9d42f428e', '')
    """
    if not text or HASHED.fullmatch(text):
        return text
    return f"~{sha256((salt + text).encode(errors='replace')).hexdigest()[:16]}"


def withheld(line: str) -> str:
    """The hash that replaces a line that could not be read."""
    if line.startswith("~"):
        return line
    return f"~{md5(line.encode(errors='replace'), usedforsecurity=False).hexdigest()}"


class Mark(NamedTuple):
    """A user who was forgotten."""

    person: str  #: ``personal`` of the user's name
    salt: str
    pseudonym: str


class Forgotten:
    """The forgotten users of a cluster: Slurm still lists them, and the ledger keeps no name of theirs."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.marks = tuple(marks)
        self._known: dict[str, str] = {}

    def user(self, name: str) -> str:
        """The name, or the pseudonym of a forgotten user."""
        if name not in self._known:
            pseudonyms = (mark.pseudonym for mark in self.marks if personal(name, mark.salt) == mark.person)
            self._known[name] = next(pseudonyms, name)
        return self._known[name]

    def without_names(self, runs: Iterable[Run | Rejected]) -> Iterable[Run | Rejected]:
        """The runs, with pseudonyms in place of their names."""
        return map(self._without_name, runs) if self.marks else runs

    def _without_name(self, run: Run | Rejected) -> Run | Rejected:
        if isinstance(run, Rejected):
            return run
        return run._replace(subject=run.subject._replace(user=self.user(run.subject.user)))

    def line(self, text: str) -> str:
        """The text, or its hash where it names a forgotten user."""
        words = {*text.split("|"), *WORD.findall(text)} if self.marks else ()
        return withheld(text) if any(self.user(word) != word for word in words) else text
