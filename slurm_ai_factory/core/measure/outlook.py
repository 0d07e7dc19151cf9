"""A measurement for its readers: its course, its outlook, and one sentence. Pure.

The rule: page, terminal and metrics all show these values, so that no two of them differ.
"""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.measure import judgement
from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.records import DAY, HOUR, Hour, Instant, Measurement, Verdict, Window
from slurm_ai_factory.core.tres import Resource

WORDS = {"gres/gpu": "GPU time", "cpu": "CPU time", "node": "node time", "billing": "billed time"}
"""Resources as people call them; other resources have their own name."""
UNITS = {"gres/gpu": "GPU", "cpu": "CPU"}
"""Their units; other resources are their own unit."""


class Point(NamedTuple):
    """The delivered share of the window up to an instant."""

    at: Instant
    share: float


def course(measurement: Measurement) -> list[Point]:
    """The share of the window at the end of each hour, from the first hour that delivered anything.

    >>> [round(point.share, 2) for point in course(_example())]
    [0.1, 0.15, 0.2]
    """
    points = []
    regional = total = 0.0
    for hour in measurement.hours:
        regional, total = regional + hour.regional, total + hour.total
        if total > 0:
            points.append(Point(min(hour.at + HOUR, measurement.as_of), regional / total))
    return points


def daily(measurement: Measurement) -> list[Point]:
    """The share of each day of 24 hours from the start of the window; without days that delivered nothing."""
    sums: dict[Instant, tuple[float, float]] = {}
    for hour in measurement.hours:
        day = hour.at - (hour.at - measurement.window.since) % DAY
        regional, total = sums.get(day, (0.0, 0.0))
        sums[day] = regional + hour.regional, total + hour.total
    return [Point(day, regional / total) for day, (regional, total) in sums.items() if total > 0]


def below(measurement: Measurement) -> bool:
    """Whether the share is below the floor now; False if nothing was delivered or promised."""
    delivered = measurement.delivered_share
    return delivered is not None and not measurement.ended and delivered < measurement.target_share


def mendable(measurement: Measurement, margin: float) -> bool | None:
    """Whether the floor can still be reached; None if the share is not below it, or if that is not known."""
    return forecast_of(measurement, margin).attainable if below(measurement) else None


def at_risk(measurement: Measurement, margin: float) -> bool:
    """Whether the share is below the floor, and the window rolls or its rest cannot mend that."""
    lost = measurement.window.rolling or forecast_of(measurement, margin).attainable is False
    return below(measurement) and lost


def resource_words(resource: str) -> str:
    """A resource as people call it.

    >>> resource_words("gres/gpu"), resource_words("0.25*cpu+16*gres/gpu")
    ('GPU time', '0.25*cpu+16*gres/gpu')
    """
    return WORDS.get(resource, resource)


def resource_unit(resource: str) -> str:
    """The unit of a resource, as in GPU-hours.

    >>> resource_unit("gres/gpu"), resource_unit("node")
    ('GPU', 'node')
    """
    return UNITS.get(resource, resource)


def percent_text(ratio: float, beside: float | None = None) -> str:
    """A ratio in per cent: whole numbers without decimals, others with one.

    ``beside`` is a ratio that stands next to it: up to four decimals show on which side of that it is.

    >>> percent_text(0.25), percent_text(0.2468), percent_text(0.2497, 0.25), percent_text(0.25, 0.25)
    ('25 %', '24.7 %', '24.97 %', '25 %')
    """
    whole = round(100 * ratio, 9) == round(100 * ratio)
    return f"{100 * ratio:.{0 if whole else decimals_beside(ratio, beside)}f} %"


def decimals_beside(ratio: float, beside: float | None) -> int:
    """How many decimals of a per cent, 1 to 4, distinguish a ratio from the one ``beside`` it.

    >>> [decimals_beside(ratio, 0.25) for ratio in (0.243, 0.2497, 0.25, 0.25000000001)]
    [1, 2, 1, 4]
    """
    if beside is None or ratio == beside:
        return 1
    return next((n for n in (1, 2, 3) if round(100 * ratio, n) != round(100 * beside, n)), 4)


def promise_sentence(measurement: Measurement, margin: float) -> str:
    """The promise and its state, in one sentence.

    >>> promise_sentence(_example(), 0.01)
    'The region has had 20 % of the CPU time in 2027Q1, below the promised 25 %; no regional job waits.'
    """
    m = measurement
    if m.ended:
        return f"No promise holds in {m.window.name}; see `saf promise list`."
    words = f"{m.resource_label} time" if m.resource_label else resource_words(m.resource.name)
    promised = percent_text(m.target_share)
    if m.delivered_share is None and m.unread_seconds:
        return f"Nothing is known of {m.window.name}: it was not read; the region is promised {promised}."
    if m.delivered_share is None:
        return f"Nothing has been delivered in {m.window.name} yet; the region is promised {promised}."
    side = "below" if below(m) else "as much as" if m.delivered_share == m.target_share else "above"
    share = percent_text(m.delivered_share, m.target_share)
    return (
        f"The region has had {share} of the {words} in {m.window.name}, {side} the promised {promised}"
        f"{_clause(m, margin)}."
    )


def _clause(m: Measurement, margin: float) -> str:
    """What follows from the state; empty if nothing does."""
    if m.unread_seconds:
        return f"; {m.unread_seconds / HOUR:.0f} hours of the window were never read"
    verdict, ahead = judgement.verdict(m), forecast_of(m, margin)
    if verdict is Verdict.MISSED_STARVED:
        return "; regional jobs waited while it was below"
    if verdict is Verdict.MISSED_DEMAND:
        return "; there was too little regional work to reach it"
    if verdict is Verdict.MET and not m.window.rolling:
        return " and that can no longer change"
    if not below(m) or ahead.required_share is None:
        return ""
    required = percent_text(ahead.required_share)
    if ahead.attainable:
        return f"; {required} of the rest of the window would mend it"
    if not m.regional_running and not m.regional_pending:
        return "; no regional job waits"
    return f"; it would take {required} of the rest of the window, more than regional jobs ask for"


def _example() -> Measurement:
    """For the doctests: three hours of a quarter."""
    hours = tuple(Hour(HOUR * n, 10.0 * (n + 1), 100.0, 0.0, 200.0) for n in range(3))
    return Measurement(
        cluster="c", window=Window("2027Q1", 0, 90 * DAY), as_of=3 * HOUR, resource=Resource({"cpu": 1}),
        target_share=0.25, regional_charge=60, total_charge=300, unclassified_charge=0, capacity=600,
        waiting_charge=0, starved_charge=0.0, newest_record_at=3 * HOUR, hours=hours,
    )  # fmt: skip
