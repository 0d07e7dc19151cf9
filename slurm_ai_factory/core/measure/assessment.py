"""What is said of a measurement, everywhere: one function decides. Pure.

The rule: page, terminal, report, metrics and `saf status --check` say of verdict, floor and outlook what
``assess`` says. So no two of them differ, and no two sentences contradict each other: what would mend a
share, and whether that can be done, is said only of a share below the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from slurm_ai_factory.core.measure import judgement
from slurm_ai_factory.core.measure.forecast import forecast_of, required_share
from slurm_ai_factory.core.records import Bound, Measurement, Verdict


class FloorSide(StrEnum):
    """On which side of the floor the share is now; by exact charge, as the verdict."""

    ABOVE = "above"
    AT = "at"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What may be said of a measurement; None: nothing is said."""

    verdict: Verdict
    reason: str  #: of the verdict, a key of ``judgement.GROUNDS``
    floor_side: FloorSide | None  #: None for a cap, where nothing was delivered, or where no promise holds
    required_share: float | None  #: of the rest, to end at target + margin; below the floor only
    attainable: bool | None  #: below the floor: whether demand as in the last seven days can still reach it
    expected_share: float | None  #: at the end, if the rest is like the last seven days
    at_risk: (
        bool  #: below the floor, or above the cap while others waited; the window rolls or cannot mend it
    )

    @property
    def below(self) -> bool:
        """Whether the share is below the floor now."""
        return self.floor_side is FloorSide.BELOW


def assess(measurement: Measurement, margin: float) -> Assessment:
    """What is said of a measurement under a promise with this margin."""
    m, judged, ahead = measurement, judgement.judge(measurement), forecast_of(measurement)
    side = None if m.bound is Bound.CAP else _side(m)
    below = side is FloorSide.BELOW
    required, attainable = _needed(m, margin, ahead.attainable_share) if below else (None, None)
    expected = None if m.ended else ahead.expected_share
    capped = m.bound is Bound.CAP and not m.ended and m.whole_charge is not None
    above = capped and judgement.took(m)
    return Assessment(
        verdict=judged.verdict,
        reason=judged.reason,
        floor_side=side,
        required_share=required,
        attainable=attainable,
        expected_share=expected,
        at_risk=(below and (m.window.rolling or attainable is False))
        or (above and (m.window.rolling or (expected or 0.0) > m.target_share)),
    )


def _needed(m: Measurement, margin: float, highest: float | None) -> tuple[float | None, bool | None]:
    """The share of the rest that the region must get, and whether it can; ``highest`` is the best end.

    Where the margin is out of reach and the floor is not, it is the share that reaches the floor. Whatever
    the demand, more than all of the rest cannot be had.
    """
    floor, wanted = required_share(m, 0.0), required_share(m, margin)
    if floor is not None and floor > 1:
        return wanted, False
    attainable = None if highest is None else highest >= m.target_share
    return (floor if wanted is not None and wanted > 1 else wanted), attainable


def _side(m: Measurement) -> FloorSide | None:
    if m.ended or not m.total_charge:
        return None
    surplus = m.regional_charge - Decimal(str(m.target_share)) * m.total_charge
    return FloorSide.BELOW if surplus < 0 else FloorSide.ABOVE if surplus > 0 else FloorSide.AT
