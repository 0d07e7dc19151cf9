"""What a measurement means to somebody who looks at it: its course, its outlook, one sentence. Pure.

The rule: whatever is shown, on a page, in a terminal or as a metric, is one of these values, so that no two
places can say different things of the same measurement.
"""

from __future__ import annotations

from math import fsum
from typing import NamedTuple

from slurm_ai_factory.core.measure import judgement, share
from slurm_ai_factory.core.records import DAY, HOUR, Hour, Instant, Measurement, Verdict, Window

WORDS = {"gres/gpu": "GPU time", "cpu": "CPU time", "node": "node time", "billing": "billed time"}
"""Resources as people call them; others are called by their own name."""
UNITS = {"gres/gpu": "GPU", "cpu": "CPU"}
"""What they count in."""


class Point(NamedTuple):
    """The delivered share of the window up to an instant."""

    at: Instant
    share: float


def course(measurement: Measurement) -> list[Point]:
    """The share of the window as it stood at the end of each hour, from the first that delivered anything.

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
    """The share of each day alone, days of 24 hours from the window's start; without those of no charge."""
    sums: dict[Instant, tuple[float, float]] = {}
    for hour in measurement.hours:
        day = hour.at - (hour.at - measurement.window.since) % DAY
        regional, total = sums.get(day, (0.0, 0.0))
        sums[day] = regional + hour.regional, total + hour.total
    return [Point(day, regional / total) for day, (regional, total) in sums.items() if total > 0]


def recent_share(measurement: Measurement) -> float | None:
    """The share of the last seven days of the window; None when they delivered nothing."""
    recent = [hour for hour in measurement.hours if hour.at >= measurement.as_of - share.RATE_HORIZON]
    total = fsum(hour.total for hour in recent)
    return fsum(hour.regional for hour in recent) / total if total > 0 else None


def expected_share(measurement: Measurement) -> float | None:
    """The share at the end of a calendar window if the rest of it is like the last seven days.

    None when the window rolls on, or nothing was delivered lately.
    """
    recent = recent_share(measurement)
    if measurement.window.rolling or recent is None:
        return None
    left = max(0, measurement.window.until - measurement.as_of)
    rest = share.expected_rate(measurement) * left
    return (float(measurement.regional_charge) + recent * rest) / (float(measurement.total_charge) + rest)


def below(measurement: Measurement) -> bool:
    """Whether the window has less than was promised now; not while nothing was delivered or promised."""
    delivered = measurement.delivered_share
    return delivered is not None and not measurement.ended and delivered < measurement.target_share


def mendable(measurement: Measurement, margin: float) -> bool | None:
    """Whether what is missing can still be made up for; None while nothing is missing, or it is not known."""
    return share.attainable(measurement, margin) if below(measurement) else None


def at_risk(measurement: Measurement, margin: float) -> bool:
    """Whether the floor is at risk: below it, and either the window rolls or what is left cannot mend it."""
    lost = measurement.window.rolling or share.attainable(measurement, margin) is False
    return below(measurement) and lost


def unclassified_ratio(measurement: Measurement) -> float | None:
    """The part of all charge that no rule matched; None when nothing was delivered."""
    if not measurement.total_charge:
        return None
    return float(measurement.unclassified_charge / measurement.total_charge)


def resource_words(resource: str) -> str:
    """A resource as people call it.

    >>> resource_words("gres/gpu"), resource_words("0.25*cpu+16*gres/gpu")
    ('GPU time', '0.25*cpu+16*gres/gpu')
    """
    return WORDS.get(resource, resource)


def resource_unit(resource: str) -> str:
    """One of a resource, as in GPU-hours.

    >>> resource_unit("gres/gpu"), resource_unit("node")
    ('GPU', 'node')
    """
    return UNITS.get(resource, resource)


def short_percent(ratio: float) -> str:
    """A ratio in a sentence; whole numbers without decimals.

    >>> percent(0.25), percent(0.2468)
    ('25 %', '24.7 %')
    """
    text = f"{100 * ratio:.1f}".removesuffix(".0")
    return f"{text} %"


def exact(ratio: float, target: float) -> str:
    """A ratio told beside the target, with as many decimals as it takes to see on which side it is.

    >>> exact(0.2497, 0.25), exact(0.243, 0.25), exact(0.25, 0.25)
    ('24.97 %', '24.3 %', '25 %')
    """
    for decimals in (1, 2, 3) if ratio != target else ():
        if round(100 * ratio, decimals) != round(100 * target, decimals):
            return f"{100 * ratio:.{decimals}f} %"
    return short_percent(ratio)


def promise_sentence(measurement: Measurement, margin: float) -> str:
    """The promise and where it stands, in one sentence.

    >>> sentence(_example(), 0.01)
    'The region has had 20.0 % of the CPU time in 2027Q1, below the promised 25 %; no regional job waits.'
    """
    m = measurement
    if m.ended:
        return f"No promise holds in {m.window.name}; see `saf promise list`."
    words = f"{m.resource_label} time" if m.resource_label else resource_words(m.resource)
    promised = short_percent(m.target_share)
    if m.delivered_share is None and m.unread_seconds:
        return f"Of {m.window.name} nothing is known: it was not read; the region is promised {promised}."
    if m.delivered_share is None:
        return f"Nothing has been delivered in {m.window.name} yet; the region is promised {promised}."
    side = "below" if below(m) else "as much as" if m.delivered_share == m.target_share else "above"
    had = f"The region has had {exact(m.delivered_share, m.target_share)} of the {words} in {m.window.name}"
    return f"{had}, {side} the promised {promised}{_clause(m, margin)}."


def _clause(m: Measurement, margin: float) -> str:
    """What follows from where it stands; empty when nothing does."""
    if m.unread_seconds:
        return f"; {m.unread_seconds / HOUR:.0f} hours of the window were never read"
    found, required = judgement.verdict(m), share.required_share(m, margin)
    if found is Verdict.MISSED_STARVED:
        return "; regional jobs waited while it was below"
    if found is Verdict.MISSED_DEMAND:
        return "; there was too little regional work to reach it"
    if found is Verdict.MET and not m.window.rolling:
        return " and that can no longer change"
    if not below(m) or required is None:
        return ""
    if share.attainable(m, margin):
        return f"; {short_percent(required)} of the rest of the window would mend it"
    if not m.regional_running and not m.regional_pending:
        return "; no regional job waits"
    wanted = short_percent(required)
    return f"; it would take {wanted} of the rest of the window, more than regional jobs ask for"


def _example() -> Measurement:
    """For the doctests: three hours of a quarter."""
    hours = tuple(Hour(HOUR * n, 10.0 * (n + 1), 100.0, 0.0, 200.0) for n in range(3))
    return Measurement(
        cluster="c", window=Window("2027Q1", 0, 90 * DAY), as_of=3 * HOUR, resource="cpu", target_share=0.25,
        regional_charge=60, total_charge=300, unclassified_charge=0, capacity=600, waiting_charge=0,
        starved_charge=0.0, newest_record_at=3 * HOUR, hours=hours,
    )  # fmt: skip
