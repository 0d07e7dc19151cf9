"""The policies to compare, the controller among them. Tested in tests/simulation/test_evaluation.py."""

from __future__ import annotations

from typing import NamedTuple

FULL = 10_000
"""RawShares of the whole level: fine enough for steps of a thousandth."""


class Named(NamedTuple):
    """A policy as it was asked for."""

    name: str
    kind: str  #: floor, switch, static, reset, partition, oracle
    share: float  #: of the level, or of the machine, that the region has; of a switch that is lowered
    period: str = ""  #: of a reset


def named(text: str, target: float) -> Named:
    """floor, switch:0.1, static:0.33, reset:quarter, partition:0.25 or oracle. Else raises ValueError."""
    kind, _, value = text.partition(":")
    if text in ("floor", "oracle"):
        return Named(text, kind, target)
    if kind == "reset" and value in ("month", "quarter", "half", "year"):
        return Named(text, kind, target, value)
    if kind in ("switch", "static", "partition"):
        try:
            share = float(value)
        except ValueError:
            share = 0.0
        if 0 < share < 1:
            return Named(text, kind, share)
    raise ValueError(
        f"{text!r} is not a policy: use floor, switch:0.1, static:0.25, reset:quarter, partition:0.25 or "
        "oracle"
    )


def raw_shares(share: float) -> dict[str, int]:
    """RawShares of both sides for a share of the level; the root user has one, too."""
    regional = min(FULL - 2, max(1, round(share * FULL)))
    return {"regional": regional, "national": FULL - 1 - regional}
