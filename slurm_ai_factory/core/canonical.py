"""One lasting spelling of values, for digests.

A digest is published and compared years later, by another version on another Python. So it covers plain
values (text, numbers, lists, mappings) that do not depend on names in the program, in one spelling, under a
name and a format number. A change of what is hashed raises the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

Plain = str | int | float | Decimal | Sequence["Plain"] | Mapping[str, "Plain"] | None
"""Numbers, text, and lists and mappings of these."""

FOLLOWS = ("fingerprint",)
"""Keys whose values follow from others: their difference is reported last."""


def canonical_text(value: Plain) -> str:
    """The one spelling of a value: JSON in ASCII, keys in order, no spaces, decimals as text.

    Raises TypeError for a value that is not plain, ValueError for infinities.

    >>> canonical_text({"b": Decimal("0.40"), "a": [1, "é", None]})
    '{"a":[1,"\\\\u00e9",null],"b":"0.4"}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_exact, allow_nan=False)


def digest(name: str, version: int, value: Plain) -> str:
    """SHA-256 of a value, in hex, over a first line of its name and format and the text.

    >>> digest("terms", 1, {"share": Decimal("0.250")}) == digest("terms", 1, {"share": Decimal("0.25")})
    True
    """
    return sha256(f"{name} {version}\n{canonical_text(value)}".encode()).hexdigest()


def first_difference(before: Any, now: Any, path: str = "") -> str | None:
    """The first difference of two values of JSON, as a sentence; None where they are the same.

    >>> first_difference({"a": [1, 2], "b": 3}, {"a": [1, 4], "b": 5})
    'a.1 was 2, is 4'
    >>> first_difference({"a": 1}, {"a": 1})
    """
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        keys = sorted(before, key=lambda key: (key in FOLLOWS, key))
        differences = (first_difference(before[key], now[key], f"{path}.{key}") for key in keys)
        return next(filter(None, differences), None)
    was, now_is = canonical_text(before), canonical_text(now)
    return None if was == now_is else f"{path.removeprefix('.')} was {was}, is {now_is}"


def within(before: Any, now: Any) -> Any:
    """``now`` with only the keys that ``before`` has too: what an earlier version knew of it.

    >>> within({"a": [{"b": 1}], "c": 2}, {"a": [{"b": 3, "new": 4}], "new": 5})
    {'a': [{'b': 3}]}
    """
    if isinstance(before, dict) and isinstance(now, dict):
        return {key: within(before[key], now[key]) for key in before if key in now}
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [within(*pair) for pair in zip(before, now, strict=True)]
    return now


def _exact(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    raise TypeError(f"{type(value).__name__} has no plain spelling")
