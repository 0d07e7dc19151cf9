"""Values as bytes that stay the same: what a digest is taken of.

A digest is published and compared years later, by another version on another Python. So it is taken of plain
values (text, whole numbers, floats, lists, mappings) that say nothing of how the program is written, in one
spelling, under a name and a format number. Whoever changes what is hashed raises the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

Plain = str | int | float | Decimal | Sequence["Plain"] | Mapping[str, "Plain"] | None
"""What can be written down: exact numbers, text, and lists and mappings of these."""


FOLLOWS = ("fingerprint",)
"""Keys whose values follow from those of others: that they differ is told last."""


def canonical_text(value: Plain) -> str:
    """The one spelling of a value: JSON in ASCII, keys in order, no spaces, decimals as text.

    Raises TypeError for whatever is not plain, ValueError for infinities.

    >>> text({"b": Decimal("0.40"), "a": [1, "é", None]})
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
    """Where two values of JSON differ first; None where they are the same.

    >>> difference({"a": [1, 2], "b": 3}, {"a": [1, 4], "b": 5})
    'a.1 was 2, is 4'
    >>> difference({"a": 1}, {"a": 1})
    """
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        keys = sorted(before, key=lambda key: (key in FOLLOWS, key))
        found = (first_difference(before[key], now[key], f"{path}.{key}") for key in keys)
        return next(filter(None, found), None)
    was, now_is = canonical_text(before), canonical_text(now)
    return None if was == now_is else f"{path.removeprefix('.')} was {was}, is {now_is}"


def _exact(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    raise TypeError(f"{type(value).__name__} has no plain spelling")
