"""What can still become of a calendar window, with everything that this rests on said.

The rule: a forecast decides nothing; it is the share that the demand seen now could fill, carried on.
"""

from __future__ import annotations

from typing import NamedTuple

from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.records import HOUR, Measurement


class Forecast(NamedTuple):
    """What is left of a window, and what the region can get of it; None where it is not known."""

    remaining_seconds: int
    required_share: float | None  #: of what is left, to end at target + margin
    highest_share: float | None  #: of what is left, that regional demand seen now can fill
    projected_share: float | None  #: of the whole window, should the region get the highest share from now on
    attainable: bool | None
    expected_rate: float  #: resource a second, all sides
    demand_rate: float  #: resource held and wanted by regional runs now

    def assumptions(self, resource: str) -> tuple[str, ...]:
        """What it rests on, in sentences."""
        days = share.RATE_HORIZON // (24 * HOUR)
        return (
            f"the cluster goes on delivering {self.expected_rate:.1f} {resource}, which is the mean of the "
            f"last {days} days of the window with usage",
            f"regional runs go on holding and wanting {self.demand_rate:.1f} {resource}, as now; demand that "
            "comes later is not foreseen",
            "what regional runs want is freed by others as their runs end",
        )


def forecast(measurement: Measurement, margin: float) -> Forecast:
    """What the region needs, and can get, in what is left of a calendar window."""
    left = max(0, measurement.window.until - measurement.as_of)
    required, rate = share.required_share(measurement, margin), share.expected_rate(measurement)
    demand = float(measurement.regional_running + measurement.regional_pending)
    highest = None if required is None else min(1.0, demand / rate)
    projected = None
    if highest is not None:
        regional = float(measurement.regional_charge) + highest * rate * left
        projected = regional / (float(measurement.total_charge) + rate * left)
    reached = share.attainable(measurement, margin)
    return Forecast(left, required, highest, projected, reached, rate, demand)
