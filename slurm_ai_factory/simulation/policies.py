"""The policies to compare, the controller among them. Tested in tests/simulation/test_evaluation.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.simulation import peers

FORMS = (
    "floor", "switch:0.1", "static:0.25", "reset:quarter", "partition:0.25", "oracle", "guarantee:0.25",
    "karma:0.25,0.5", "dmmf:0.25", "kai:0.25,1", "fstarget:0.25", "onesided:0.25,30d",
)  # fmt: skip
"""A policy of each kind, as it is asked for."""

FULL = 10_000
"""RawShares of the whole level: fine enough for steps of a thousandth."""


class Named(NamedTuple):
    """A policy as it was asked for."""

    name: str
    kind: str  #: floor, switch, static, reset, partition, oracle, or one of peers.KINDS
    share: float  #: of the level, or of the machine, that the region has; of a switch that is lowered
    period: str = ""  #: of a reset
    extra: float = 0.0  #: alpha of karma, k of kai, the seconds of onesided
    padding: float = 1.0  #: the region's users ask for so many times their time limits

    def padded(self, padding: float) -> Named:
        """The same policy where the region's users ask for longer time limits than they need."""
        return self._replace(name=f"{self.name}, padding {padding:g}", padding=padding)


def _up_to(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if 0 <= (value := float(text)) <= most:
            return value
        raise ValueError(f"{text!r} is not between 0 and {most:g}")

    return number


EXTRA: Mapping[str, Callable[[str], float]] = {
    "karma": _up_to(1), "kai": _up_to(1000), "onesided": windows.duration,
}  # fmt: skip
"""How the second number of a policy is read, by kind: see ``Named.extra``."""


def asked(names: Sequence[str], target: float, padding: float | None = None) -> list[Named]:
    """The policies with these names, each once; with ``padding`` each is followed by its padded self.

    >>> [policy.name for policy in asked(["oracle", "oracle"], 0.25, 2)]
    ['oracle', 'oracle, padding 2']
    """
    plain = dict.fromkeys(named(name, target) for name in names)
    if padding is None:
        return list(plain)
    return [row for policy in plain for row in (policy, policy.padded(padding))]


def own_machines(target: float) -> Named:
    """Each side alone on a machine of its size; ``target`` is the region's part."""
    return named(f"partition:{target:g}", target)


def named(text: str, target: float) -> Named:
    """The policy of a name such as static:0.33 (see FORMS). Raises ValueError for anything else."""
    kind, _, value = text.partition(":")
    if text in ("floor", "oracle"):
        return Named(text, kind, target)
    if kind == "reset" and value in ("month", "quarter", "half", "year"):
        return Named(text, kind, target, value)
    with suppress(ValueError):
        share, *extra = value.split(",")
        known = kind in ("switch", "static", "partition", *peers.KINDS) and len(extra) == (kind in EXTRA)
        if known and 0 < float(share) < 1:
            name = ",".join((f"{kind}:{float(share):g}", *extra))
            return Named(name, kind, float(share), extra=EXTRA[kind](*extra) if extra else 0.0)
    raise ValueError(f"{text!r} is not a policy: use {', '.join(FORMS[:-1])} or {FORMS[-1]}")


def raw_shares(share: float) -> dict[str, int]:
    """RawShares of both sides for a share of the level; the root user has one, too."""
    regional = min(FULL - 2, max(1, round(share * FULL)))
    return {"regional": regional, "national": FULL - 1 - regional}
