"""Measurements under the keys that others rely on, for --json and for reports alike.

Ratios are 0..1, instants ISO 8601 in UTC, charges resource-seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import forecast, judgement, share
from slurm_ai_factory.core.records import Charge, Instant, Measurement


def number(value: Charge) -> int | float:
    """A charge as JSON: an int where it is one."""
    return int(value) if value == int(value) else float(value)


def when(at: Instant | None) -> str | None:
    """An instant as JSON and text."""
    return None if at is None else windows.iso(at)


def share_value(m: Measurement, margin: float, groups: Iterable[share.Group] = ()) -> dict[str, Any]:
    """A measurement under the contract's keys."""
    return {
        "window": m.window.name,
        "since": when(m.window.since),
        "until": when(m.window.until),
        "as_of": when(m.as_of),
        "resource": m.resource,
        "resource_label": m.resource_label or None,
        "target_share": m.target_share,
        "delivered_share": m.delivered_share,
        "capacity_share": m.capacity_share,
        "regional_charge": number(m.regional_charge),
        "total_charge": number(m.total_charge),
        "unclassified_charge": number(m.unclassified_charge),
        "capacity": None if m.capacity is None else number(m.capacity),
        "waiting_charge": number(m.waiting_charge),
        "starved_charge": m.starved_charge,
        "shortfall_charge": m.shortfall_charge,
        "verdict": str(judgement.verdict(m)),
        "verdict_reason": judgement.judge(m).reason,
        "unread_seconds": m.unread_seconds,
        "unclassified_share": m.unclassified_share,
        "unclassified_limit": m.unclassified_limit,
        "required_share": share.required_share(m, margin),
        "attainable": share.attainable(m, margin),
        "forecast": forecast_value(m, margin),
        "newest_record_at": when(m.newest_record_at),
        "groups": [
            {"name": g.name, "beneficiary": str(g.beneficiary), "charge": number(g.delivered),
             "share": part(g.delivered, m.total_charge)}
            for g in groups
        ],
    }  # fmt: skip


def forecast_value(m: Measurement, margin: float) -> dict[str, Any]:
    """What is left of the window, with what the forecast rests on."""
    found = forecast.forecast(m, margin)
    return {**found._asdict(), "assumptions": list(found.assumptions(m.resource))}


def part(charge: Charge, total: Charge) -> float | None:
    """A charge as a ratio of a total."""
    return float(charge / total) if total else None
