"""Words around figures and names, for sentences."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def count(number: int, singular: str, plural: str | None = None) -> str:
    """A number with the noun that it counts.

    >>> count(1, "rule"), count(2, "rule"), count(0, "entry", "entries")
    ('1 rule', '2 rules', '0 entries')
    """
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"


def nearest(name: str, known: Collection[str]) -> str:
    """The end of a sentence about an unknown name: the known one that is most like it, or all of them.

    >>> nearest("clok", ["clock", "lease"]), nearest("x", ["clock", "lease"])
    ("; did you mean 'clock'?", '; known: clock, lease')
    """
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
