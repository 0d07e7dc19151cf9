"""Every figure of a measurement, once: its key, words, unit, meaning, metric, and how it is computed.

`saf share --json`, the terminal, the status page, /metrics, the reports and docs/reference/figures.md take
their figures from FIGURES, so that no two of them differ. Tested in tests/core/measure/test_figures.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.measure import share
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.forecast import forecast_of
from slurm_ai_factory.core.records import Charge, Instant, Measurement

SCHEMA = 1
"""The number in every JSON answer; docs/reference/json.md says what may change without a new one."""


class Unit(StrEnum):
    """Instants are ISO 8601 in UTC in JSON, and seconds since the epoch as a metric."""

    RATIO = "0 to 1"
    CHARGE = "resource-seconds"
    RESOURCE = "resource"
    SECONDS = "seconds"
    INSTANT = "instant"
    YES_NO = "yes or no"
    WORD = "word"
    TABLE = "table"


OF_WINDOW = ("cluster", "window", "resource")
BY_BENEFICIARY = (*OF_WINDOW, "beneficiary")


class Figure(NamedTuple):
    """One figure of a measurement."""

    key: str  #: in JSON, and in FIGURES
    words: str  #: what people read
    unit: Unit
    meaning: str  #: HELP of the metric, and in docs/reference
    of: Callable[[Measurement, float], Any]  #: measurement and margin -> value; None where it is not known
    metric: str = ""  #: its name in /metrics; empty for none
    labels: tuple[str, ...] = OF_WINDOW  #: of the metric
    beneficiary: str = ""  #: value of the label of that name
    in_json: bool = True

    def plain(self, m: Measurement, margin: float) -> Any:
        """The value in JSON."""
        value = self.of(m, margin)
        if self.unit is Unit.INSTANT:
            return when(value)
        if isinstance(value, float):
            return value + 0.0  # never -0.0
        return number(value) if isinstance(value, Decimal) else value


def number(value: Charge) -> int | float:
    """A charge as JSON: an int where it is one."""
    return int(value) if value == int(value) else float(value)


def when(at: Instant | None) -> str | None:
    """An instant as JSON and text."""
    return None if at is None else windows.iso(at)


def part(charge: Charge, total: Charge) -> float | None:
    """A charge as a ratio of a total; None where the total is 0."""
    return float(charge / total) if total else None


def yes_or_no(value: bool) -> str:
    """A boolean for people, everywhere."""
    return "yes" if value else "no"


def _word(value: StrEnum | None) -> str | None:
    """A word of the code as JSON has it."""
    return None if value is None else value.value


def forecast_value(m: Measurement, _: float) -> dict[str, Any]:
    """The rest of the window in JSON, with the assumptions of the forecast."""
    forecast = forecast_of(m)
    return {**asdict(forecast), "assumptions": list(forecast.assumptions(m.resource.name))}


FIGURES: Mapping[str, Figure] = {figure.key: figure for figure in (
    Figure("promise", "promise", Unit.WORD, "Name of the promise.", lambda m, _: m.promise),
    Figure("bound", "bound", Unit.WORD, "Whether it is a floor or a cap.", lambda m, _: m.bound.value),
    Figure("share_of", "part of", Unit.WORD, "What it is a part of: delivered, capacity, promise:NAME.",
           lambda m, _: m.share_of),
    Figure("window", "window", Unit.WORD, "Name of the window.", lambda m, _: m.window.name),
    Figure("since", "from", Unit.INSTANT, "Start of the window.", lambda m, _: m.window.since,
           "saf_window_start_timestamp_seconds"),
    Figure("until", "to", Unit.INSTANT, "End of the window; of a rolling window, the time of the cycle.",
           lambda m, _: m.window.until, "saf_window_end_timestamp_seconds"),
    Figure("as_of", "as of", Unit.INSTANT, "Accounting is complete up to this time.", lambda m, _: m.as_of,
           "saf_watermark_timestamp_seconds", ("cluster",)),
    Figure("resource", "resource", Unit.WORD, "Resource of the promise.", lambda m, _: m.resource.name),
    Figure("resource_label", "called", Unit.WORD, "What people call the resource.",
           lambda m, _: m.resource_label or None),
    Figure("target_share", "promised", Unit.RATIO, "Promised regional share.", lambda m, _: m.target_share,
           "saf_target_share_ratio"),
    Figure("delivered_share", "delivered", Unit.RATIO, "Regional charge / all charge in the window.",
           lambda m, _: m.delivered_share, "saf_delivered_share_ratio"),
    Figure("capacity_share", "of capacity", Unit.RATIO, "Regional charge / capacity in the window.",
           lambda m, _: m.capacity_share, "saf_capacity_share_ratio"),
    Figure("regional_charge", "regional", Unit.CHARGE,
           "Charge in the window by beneficiary; shares count unclassified charge as non-regional.",
           lambda m, _: m.regional_charge,
           "saf_window_delivered_resource_seconds", BY_BENEFICIARY, "regional"),
    Figure("total_charge", "total", Unit.CHARGE,
           "All charge in the window; of a further promise, what its share is a part of.",
           lambda m, _: m.whole_charge),
    Figure("non_regional_charge", "non-regional", Unit.CHARGE,
           "Charge in the window of runs that a rule calls non-regional.",
           lambda m, _: m.total_charge - m.regional_charge - m.unclassified_charge,
           "saf_window_delivered_resource_seconds", BY_BENEFICIARY, "non_regional", in_json=False),
    Figure("unclassified_charge", "unclassified", Unit.CHARGE,
           "Charge in the window of runs that no rule matched.", lambda m, _: m.unclassified_charge,
           "saf_window_delivered_resource_seconds", BY_BENEFICIARY, "unclassified"),
    Figure("capacity", "capacity", Unit.CHARGE, "Capacity that was up in the window.",
           lambda m, _: m.capacity, "saf_window_capacity_resource_seconds"),
    Figure("waiting_charge", "waited", Unit.CHARGE, "Regional demand that waited in the window.",
           lambda m, _: m.waiting_charge, "saf_window_waiting_resource_seconds"),
    Figure("starved_charge", "starved", Unit.CHARGE,
           "Waiting regional demand that the region could have received while it was below the floor.",
           lambda m, _: m.starved_charge, "saf_window_starved_resource_seconds"),
    Figure("shortfall_charge", "short of the promise", Unit.CHARGE,
           "Regional charge missing to reach the floor at the same total.", lambda m, _: m.shortfall_charge,
           "saf_window_shortfall_resource_seconds"),
    Figure("verdict", "verdict", Unit.WORD,
           "Verdict of the window; as a metric, 1 for it and 0 for the others.",
           lambda m, margin: str(assess(m, margin).verdict), "saf_verdict", (*OF_WINDOW, "verdict")),
    Figure("verdict_reason", "because", Unit.WORD, "Reason of the verdict.",
           lambda m, margin: assess(m, margin).reason),
    Figure("floor_side", "against the floor", Unit.WORD,
           "Whether the share is above, at or below the floor now; null where nothing was delivered or "
           "promised.", lambda m, margin: _word(assess(m, margin).floor_side)),
    Figure("unread_seconds", "never read", Unit.SECONDS,
           "Time in the window that no read of accounting covers.", lambda m, _: m.unread_seconds,
           "saf_unread_seconds"),
    Figure("unclassified_share", "unclassified", Unit.RATIO,
           "Unclassified charge / all charge in the window.",
           lambda m, _: m.unclassified_share, "saf_unclassified_ratio"),
    Figure("unclassified_limit", "limit of unclassified", Unit.RATIO,
           "Unclassified share above which the window is not called met.",
           lambda m, _: m.unclassified_limit),
    Figure("required_share", "required from now on", Unit.RATIO,
           "Share the region must get in the rest of the window to end at floor and margin; only while it is "
           "below the floor. Above 1: out of reach.",
           lambda m, margin: assess(m, margin).required_share, "saf_required_share_ratio"),
    Figure("attainable", "attainable", Unit.YES_NO,
           "Whether regional demand as in the last seven days can still reach the floor; only while the "
           "share is below it. A metric of 1 or 0.",
           lambda m, margin: assess(m, margin).attainable, "saf_attainable"),
    Figure("forecast", "forecast", Unit.TABLE, "The rest of the window, and the assumptions of the forecast.",
           forecast_value),
    Figure("newest_record_at", "newest record", Unit.INSTANT, "Latest time that sacct reported of any run.",
           lambda m, _: m.newest_record_at, "saf_newest_record_timestamp_seconds", ("cluster",)),
    Figure("recent_share", "last seven days", Unit.RATIO,
           "Regional charge / all charge in the last seven days of the window.",
           lambda m, _: share.recent_share(m), "saf_recent_share_ratio", in_json=False),
    Figure("expected_share", "expected at the end", Unit.RATIO,
           "Share at the end of the window if the rest of it is like the last seven days.",
           lambda m, margin: assess(m, margin).expected_share, "saf_forecast_share_ratio",
           in_json=False),
    Figure("at_risk", "floor at risk", Unit.YES_NO,
           "Whether the share is below the floor and the rest of the window cannot mend it; a metric of "
           "1 or 0.",
           lambda m, margin: assess(m, margin).at_risk, "saf_floor_at_risk", in_json=False),
    Figure("regional_running", "regional running", Unit.RESOURCE,
           "Amount of the resource allocated to regional runs now.", lambda m, _: m.regional_running,
           "saf_regional_running_resources", ("cluster", "resource"), in_json=False),
    Figure("regional_pending", "regional waiting", Unit.RESOURCE,
           "Amount of the resource requested by eligible regional runs now.",
           lambda m, _: m.regional_pending, "saf_regional_pending_resources", ("cluster", "resource"),
           in_json=False),
)}  # fmt: skip
"""By key, in the order of the JSON."""


def figure_values(keys: Iterable[str], m: Measurement, margin: float) -> dict[str, Any]:
    """These figures of a measurement, as JSON."""
    return {key: FIGURES[key].plain(m, margin) for key in keys}


PROMISE_KEYS = (
    "promise", "bound", "target_share", "share_of", "window", "resource", "delivered_share",
    "regional_charge", "total_charge", "required_share", "expected_share", "at_risk", "verdict",
    "verdict_reason",
)  # fmt: skip
"""What is shown of each promise beside the others."""


def share_value(m: Measurement, margin: float, groups: Iterable[share.Group] = ()) -> dict[str, Any]:
    """A measurement as JSON, with the charge of groups of it."""
    values = figure_values((key for key, figure in FIGURES.items() if figure.in_json), m, margin)
    rows = [
        {"name": group.name, "beneficiary": str(group.beneficiary), "charge": number(group.delivered),
         "share": part(group.delivered, m.total_charge)}
        for group in groups
    ]  # fmt: skip
    return {**values, "groups": rows}
