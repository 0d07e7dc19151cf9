"""Values as they are typed in a configuration, each read by one function that raises ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.core.tres import Count

MODES = ("observe", "advise", "enforce")


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("wants a text")
    return value


def whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("wants a whole number above 0")
    return value


def ratio(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise ValueError("wants a number between 0 and 1")
    return float(value)


def seconds(value: object) -> int:
    return whole(value) if isinstance(value, int) else windows.duration(text(value))


def path(value: object) -> Path:
    return Path(text(value))


def mode(value: object) -> str:
    if value not in MODES:
        raise ValueError(f"wants one of {', '.join(MODES)}")
    return str(value)


def zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(text(value))
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError("wants a time zone such as Europe/Amsterdam") from error


def window(value: object) -> str:
    name = text(value)
    if name not in ("month", "quarter", "half", "year") and not name.startswith("rolling:"):
        raise ValueError("wants month, quarter, half, year or rolling:30d")
    windows.window(name, 0, ZoneInfo("UTC"))
    return name


def instant(value: object) -> str:
    """A date or instant, kept as it is typed until the time zone is known."""
    typed = value if isinstance(value, str) else str(value)
    on_two_days = {windows.instant(typed, day * 24 * HOUR, ZoneInfo("UTC")) for day in (0, 10)}
    if len(on_two_days) > 1:
        raise ValueError("wants a date that stays, such as 2027-01-01")
    return typed


def resource(value: object) -> dict[str, Count]:
    """A TRES name, or a table of weights."""
    if isinstance(value, str):
        return {text(value): 1}
    if not isinstance(value, dict) or not value:
        raise ValueError('wants "gres/gpu", or weights { cpu = 1, "gres/gpu" = 16 }')
    return {text(name): _weight(weight) for name, weight in value.items()}


def _weight(value: object) -> Decimal:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        weight = Decimal(str(value))
        if weight.is_finite() and weight > 0:
            return weight
    raise ValueError("wants weights above 0")


def resource_name(weights: Mapping[str, Count]) -> str:
    """A resource as it is told to people: a TRES name, or the weighted sum.

    >>> resource_name({"cpu": Decimal("0.25"), "gres/gpu": Decimal(16)})
    '0.25*cpu+16*gres/gpu'
    """
    if len(weights) == 1 and 1 in weights.values():
        return next(iter(weights))
    return "+".join(f"{weight}*{name}" for name, weight in weights.items())


def parse_resource(text: str) -> dict[str, Count]:
    """A resource as it is typed: ``gres/gpu`` or ``0.25*cpu+16*gres/gpu``. Raises ValueError.

    >>> parse_resource("gres/gpu"), parse_resource("0.25*cpu+16*gres/gpu")
    ({'gres/gpu': 1}, {'cpu': Decimal('0.25'), 'gres/gpu': Decimal('16')})
    """
    parts = [part.rpartition("*") for part in text.split("+")]
    if len(parts) == 1 and not parts[0][1]:
        return resource(text)
    weights = {name: weight for weight, _, name in parts}
    try:
        if len(weights) < len(parts):
            raise ValueError("a TRES is named twice")
        return resource({name: Decimal(weight or 1) for name, weight in weights.items()})
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"{text!r} is not a resource such as gres/gpu or 0.25*cpu+16*gres/gpu") from error
