"""A measurement for its readers: its course, and the words of its figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import DAY, HOUR, Hour, Instant, Measurement, Window
from slurm_ai_factory.core.tres import Resource

UNITS = {"gres/gpu": "GPU", "cpu": "CPU"}
"""Units of resources as people call them; other resources are their own unit."""
WEIGHTED = "weighted-unit"
"""The unit of a weighted sum that has no label; ``promise.resource_label`` gives it one."""


class Point(NamedTuple):
    """The delivered share of the window up to an instant."""

    at: Instant
    share: float


def course(measurement: Measurement, earlier: Sequence[Hour] = ()) -> list[Point]:
    """The share at the end of each hour: of a calendar window up to then, of a rolling one that ended then.

    ``earlier``: the hours before a rolling window. Points for which they do not reach back far enough are
    left out, except the last one, the share now.

    >>> [round(point.share, 2) for point in course(_example())]
    [0.1, 0.15, 0.2]
    """
    m = measurement
    if m.window.rolling:
        return _trailing(m, (*earlier, *m.hours))
    return [
        Point(min(hour.at + HOUR, m.as_of), regional / total)
        for hour, regional, total in zip(m.hours, *_sums(m.hours), strict=True)
        if total > 0
    ]


def _sums(hours: Iterable[Hour]) -> tuple[list[float], list[float]]:
    """The regional and the whole charge up to the end of each hour."""
    pairs = [(hour.regional, hour.total) for hour in hours]
    return list(accumulate(pair[0] for pair in pairs)), list(accumulate(pair[1] for pair in pairs))


def _trailing(m: Measurement, hours: Sequence[Hour]) -> list[Point]:
    """The share in the window's length that ended with each of its hours; ``hours`` may begin before it."""
    regional, total = ([0.0, *sums] for sums in _sums(hours))
    length = (hour_of(m.as_of) - m.window.since) // HOUR
    first = next((n for n, hour in enumerate(hours) if hour.total > 0), len(hours))
    points = []
    for end in range(len(hours) - len(m.hours) + 1, len(hours) + 1):
        at = min(hours[end - 1].at + HOUR, m.as_of)
        since = end - length - (1 if at % HOUR else 0)
        if (since < first and end < len(hours)) or total[end] <= total[max(0, since)]:
            continue
        of, ours = (sums[end] - sums[max(0, since)] for sums in (total, regional))
        points.append(Point(at, min(1.0, max(0.0, ours / of))))
    return points


def daily(measurement: Measurement) -> list[Point]:
    """The share of each day of 24 hours from the start of the window; without days that delivered nothing."""
    sums: dict[Instant, tuple[float, float]] = {}
    for hour in measurement.hours:
        day = hour.at - (hour.at - measurement.window.since) % DAY
        regional, total = sums.get(day, (0.0, 0.0))
        sums[day] = regional + hour.regional, total + hour.total
    return [Point(day, regional / total) for day, (regional, total) in sums.items() if total > 0]


def resource_unit(resource: str) -> str:
    """The unit of a resource, as in GPU-hours.

    >>> resource_unit("gres/gpu"), resource_unit("node"), resource_unit("0.25*cpu+16*gres/gpu")
    ('GPU', 'node', 'weighted-unit')
    """
    return WEIGHTED if "*" in resource else UNITS.get(resource, resource)


def percent_text(ratio: float, beside: float | None = None) -> str:
    """A ratio in per cent: whole numbers without decimals, others with one.

    ``beside`` is a ratio that stands next to it: up to four decimals show on which side of that it is.

    >>> percent_text(0.25), percent_text(0.2468), percent_text(0.2497, 0.25), percent_text(0.25, 0.25)
    ('25 %', '24.7 %', '24.97 %', '25 %')
    >>> percent_text(0.0004), percent_text(-1e-12)
    ('0.04 %', '0 %')
    """
    whole = round(100 * ratio, 9) == round(100 * ratio)
    decimals = 0 if whole else decimals_beside(ratio, beside)
    return f"{round(100 * ratio, decimals) + 0.0:.{decimals}f} %"


def decimals_beside(ratio: float, beside: float | None) -> int:
    """How many decimals of a per cent, 1 to 4, distinguish a ratio from the one ``beside`` it, and from 0.

    >>> [decimals_beside(ratio, 0.25) for ratio in (0.243, 0.2497, 0.25, 0.25000000001)]
    [1, 2, 1, 4]
    >>> [decimals_beside(ratio, None) for ratio in (0.0, 0.25, 0.0004, 0.00004, 1e-9)]
    [1, 1, 2, 3, 4]
    """
    others = {0.0, ratio if beside is None else beside} - {ratio}
    return next(
        (n for n in (1, 2, 3) if all(round(100 * ratio, n) != round(100 * other, n) for other in others)), 4
    )


def decimals_of(largest: float) -> int:
    """How many decimals show at least two digits of a small figure.

    >>> [decimals_of(value) for value in (0, 0.0004, 0.04, 0.4, 4, 4000)]
    [1, 4, 3, 2, 1, 1]
    """
    return next(
        (n for n, least in ((1, 1), (2, 0.1), (3, 0.01)) if abs(largest) >= least), 4 if largest else 1
    )


def _example() -> Measurement:
    """For the doctests: three hours of a quarter."""
    hours = tuple(Hour(HOUR * n, 10.0 * (n + 1), 100.0, 0.0, 200.0) for n in range(3))
    return Measurement(
        cluster="c", window=Window("2027Q1", 0, 90 * DAY), as_of=3 * HOUR, resource=Resource({"cpu": 1}),
        target_share=0.25, regional_charge=60, total_charge=300, unclassified_charge=0, capacity=600,
        waiting_charge=0, starved_charge=0.0, newest_record_at=3 * HOUR, hours=hours,
    )  # fmt: skip
