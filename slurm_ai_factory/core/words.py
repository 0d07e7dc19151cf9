"""Words around figures, for sentences."""

from __future__ import annotations


def count(number: int, singular: str, plural: str | None = None) -> str:
    """A number with the noun that it counts.

    >>> count(1, "rule"), count(2, "rule"), count(0, "entry", "entries")
    ('1 rule', '2 rules', '0 entries')
    """
    return f"{number} {singular if number == 1 else plural or f'{singular}s'}"
