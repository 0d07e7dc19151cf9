"""What stands for a personal text once it is gone, and who was forgotten, told without telling the name.

The rule: a salted hash stands for the text: it recognises the text when somebody gives it, and does not tell
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import md5, sha256
from typing import NamedTuple

from slurm_ai_factory.core.records import Rejected, Run

HASHED = re.compile(r"~[0-9a-f]{16}")
WORD = re.compile(r"\w+(?:[.-]\w+)*")


def personal(told: str, salt: str) -> str:
    """What stands for a text; the same as the function of this name in the ledger.

    >>> personal("jan", "6f1e")
    '~d35d4eb9d42f428e'
    >>> personal(personal("jan", "6f1e"), ""), personal("", "6f1e")
    ('~d35d4eb9d42f428e', '')
    """
    if not told or HASHED.fullmatch(told):
        return told
    return f"~{sha256((salt + told).encode(errors='replace')).hexdigest()[:16]}"


def withheld(line: str) -> str:
    """What stands for a line that could not be read."""
    return (
        line
        if line.startswith("~")
        else f"~{md5(line.encode(errors='replace'), usedforsecurity=False).hexdigest()}"
    )


class Mark(NamedTuple):
    """A user who was forgotten."""

    person: str  #: ``personal`` of the user's name
    salt: str
    pseudonym: str


class Forgotten:
    """The users of a cluster who were forgotten: Slurm still tells of them, and the ledger keeps no name."""

    def __init__(self, marks: Iterable[Mark]) -> None:
        self.marks = tuple(marks)
        self._known: dict[str, str] = {}

    def user(self, name: str) -> str:
        """The name, or the pseudonym of one who was forgotten."""
        if name not in self._known:
            found = (one.pseudonym for one in self.marks if personal(name, one.salt) == one.person)
            self._known[name] = next(found, name)
        return self._known[name]

    def told(self, read: Iterable[Run | Rejected]) -> Iterable[Run | Rejected]:
        """What Slurm tells, without their names."""
        return map(self._told, read) if self.marks else read

    def _told(self, one: Run | Rejected) -> Run | Rejected:
        if isinstance(one, Rejected):
            return one
        subject = one.subject
        return one._replace(subject=subject._replace(user=self.user(subject.user)))

    def line(self, text: str) -> str:
        """A text that may name them: as it is, or withheld."""
        words = {*text.split("|"), *WORD.findall(text)} if self.marks else ()
        return withheld(text) if any(self.user(word) != word for word in words) else text
