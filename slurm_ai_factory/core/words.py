"""Words around figures, for sentences."""

from __future__ import annotations


def count(number: int, one: str, more: str | None = None) -> str:
    """A number with what it counts.

    >>> count(1, "rule"), count(2, "rule"), count(0, "entry", "entries")
    ('1 rule', '2 rules', '0 entries')
    """
    return f"{number} {one if number == 1 else more or f'{one}s'}"
