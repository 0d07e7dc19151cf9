"""What can still become of a calendar window, and what that rests on.

A forecast decides nothing. Every figure about the rest of a window comes from here; ``assess`` decides which
of them are said.
"""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.measure.share import RATE_HORIZON, expected_demand, expected_rate, recent_share
from slurm_ai_factory.core.records import DAY, Measurement

DAYS = RATE_HORIZON // DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The rest of a window, and its end. A share is None where it is not known, as in a rolling window."""

    remaining_seconds: int
    expected_share: float | None  #: of the whole window, if the rest of it is like the last seven days
    highest_share: float | None  #: of the rest, that regional demand as in the last seven days can fill
    attainable_share: float | None  #: of the whole window, if all of that demand is served
    expected_rate: float  #: resource delivered per second, all sides
    demand_rate: float | None  #: resource that regional runs held or waited for, mean of the last seven days

    def assumptions(self, resource: str) -> tuple[str, ...]:
        """What the forecast rests on, in sentences."""
        demand = (
            f"regional demand is not known: its mean takes a window that has run for {DAYS} days and was "
            "read without a gap"
            if self.demand_rate is None
            else f"regional runs go on holding and wanting {self.demand_rate:.1f} {resource}, the mean of "
            "the same days; demand that comes later is not foreseen"
        )
        return (
            f"the cluster goes on delivering {self.expected_rate:.1f} {resource}, which is the mean of the "
            f"last {DAYS} days of the window with usage",
            demand,
            "what regional runs want is freed by others as their runs end",
        )


def forecast_of(measurement: Measurement) -> Forecast:
    """What the region can get in the rest of a calendar window, at the expected delivered rate.

    Shares are None when the window rolls or nothing was delivered lately; the highest share of the rest also
    when it has none.
    """
    m, rate, demand = measurement, expected_rate(measurement), expected_demand(measurement)
    left = max(0, m.window.until - m.as_of)
    regional, total, rest = float(m.regional_charge), float(m.total_charge), rate * left
    recent = None if m.window.rolling else recent_share(m)
    highest = None
    if rest > 0 and recent is not None and demand is not None:
        highest = max(recent, min(1.0, demand / rate))  # equal, but for rounding, where nothing waited
    return Forecast(
        remaining_seconds=left,
        expected_share=None if recent is None else (regional + recent * rest) / (total + rest),
        highest_share=highest,
        attainable_share=None if highest is None else (regional + highest * rest) / (total + rest),
        expected_rate=rate,
        demand_rate=demand,
    )


def required_share(measurement: Measurement, margin: float) -> float | None:
    """The share of the rest of a calendar window with which it ends at target + margin.

    Above 1 when even all of the rest is too little; None when the window rolls, is over, or delivers nothing.
    """
    m = measurement
    rest = expected_rate(m) * max(0, m.window.until - m.as_of)
    if rest <= 0 or m.window.rolling:
        return None
    wanted = (m.target_share + margin) * (float(m.total_charge) + rest)
    return max(0.0, (wanted - float(m.regional_charge)) / rest)
