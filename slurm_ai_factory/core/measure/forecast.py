"""What can still become of a calendar window, and what that rests on.

A forecast decides nothing. Every figure about the rest of a window comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from slurm_ai_factory.core.measure.share import RATE_HORIZON, expected_rate, recent_share
from slurm_ai_factory.core.records import DAY, Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The rest of a window, and its end. A share is None where it is not known, as in a rolling window."""

    remaining_seconds: int
    expected_share: float | None  #: of the whole window, if the rest of it is like the last seven days
    required_share: float | None  #: of the rest, to end at target + margin; above 1 when out of reach
    highest_share: float | None  #: of the rest, that the regional demand seen now can fill
    attainable_share: float | None  #: of the whole window, if all regional demand seen now is served
    attainable: bool | None  #: whether the regional demand seen now is enough for the required share
    expected_rate: float  #: resource delivered per second, all sides
    demand_rate: float  #: resource that regional runs hold or wait for now

    def assumptions(self, resource: str) -> tuple[str, ...]:
        """What the forecast rests on, in sentences."""
        return (
            f"the cluster goes on delivering {self.expected_rate:.1f} {resource}, which is the mean of the "
            f"last {RATE_HORIZON // DAY} days of the window with usage",
            f"regional runs go on holding and wanting {self.demand_rate:.1f} {resource}, as now; demand that "
            "comes later is not foreseen",
            "what regional runs want is freed by others as their runs end",
        )


def forecast_of(measurement: Measurement, margin: float) -> Forecast:
    """What the region needs and can get in the rest of a calendar window, at the expected delivered rate.

    A required share below 0 is given as 0. Shares are None when the window rolls; those of the rest also
    when it is over or nothing was delivered yet.
    """
    m, rate = measurement, expected_rate(measurement)
    left = max(0, m.window.until - m.as_of)
    regional, total = float(m.regional_charge), float(m.total_charge)
    rest, demand = rate * left, float(m.regional_running + m.regional_pending)
    recent = None if m.window.rolling else recent_share(m)
    required = highest = None
    if rest > 0 and not m.window.rolling:
        required = max(0.0, ((m.target_share + margin) * (total + rest) - regional) / rest)
        highest = min(1.0, demand / rate)
    return Forecast(
        remaining_seconds=left,
        expected_share=None if recent is None else (regional + recent * rest) / (total + rest),
        required_share=required,
        highest_share=highest,
        attainable_share=None if highest is None else (regional + highest * rest) / (total + rest),
        attainable=None if required is None or highest is None else required <= highest,
        expected_rate=rate,
        demand_rate=demand,
    )
