"""Orders of a grid operator in UFTP (Shapeshifter): a FlexOrder in XML, as rows of allowed power.

The element ISP says for one or more intervals of a civil day by how many watts the connection is to draw less
or more than its baseline; interval 1 begins at midnight in the TimeZone of the order, and a day in which the
clocks change has 92 or 100 of them. Positive power is consumption. The order says nothing of the baseline, so
the reader gives it. Source: Shapeshifter specification, version 3: message FlexOrder, UFTP-V3.0-agr-dso.xsd.

The file is not trusted: a document type, which XML needs for entities, is refused before it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from xml.parsers import expat
from zoneinfo import ZoneInfo

from slurm_ai_factory.core.energy.allowed import AllowedPower, PowerKind, civil_instant, problems
from slurm_ai_factory.core.energy.meters import QUARTER
from slurm_ai_factory.core.records import Instant

MOST_BYTES = 2**20
"""Of an order: one of 100 intervals has some ten thousand."""

Attributes = Mapping[str, str]


def from_flex_order(data: bytes, baseline_kw: Decimal, now: Instant) -> list[AllowedPower]:
    """The rows of an order: the baseline less what is ordered. Raises ValueError.

    Intervals without a change are left out: they order nothing.
    """
    order, intervals = _elements(data)
    if order.get("ISP-Duration") != "PT15M":
        raise ValueError(f"ISP-Duration is {order.get('ISP-Duration')!r}; only PT15M can be read")
    midnight, count = _day_of(order)
    told_at = civil_instant(_text(order, "TimeStamp"), ZoneInfo("UTC"))
    factor = _number(order.get("ActivationFactor", "1"), "ActivationFactor")
    if not 0 < factor <= 1:
        raise ValueError(f"ActivationFactor {factor} is not above 0 and at most 1")
    rows, taken = [], set[int]()
    for attributes in intervals:
        first, last, watts = _interval(attributes, count)
        if taken & set(range(first, last)):
            raise ValueError(f"ISP {first} is there twice")
        taken |= set(range(first, last))
        if watts:
            max_kw = baseline_kw + factor * watts / 1000
            if max_kw < 0:
                raise ValueError(f"ISP {first} orders {-watts} W less than a baseline of {baseline_kw} kW")
            rows.append(
                AllowedPower(
                    since=midnight + (first - 1) * QUARTER,
                    until=midnight + (last - 1) * QUARTER,
                    max_kw=max_kw,
                    kind=PowerKind.REDISPATCH,
                    reference=_text(order, "OrderReference"),
                    told_at=told_at,
                )
            )
    if not rows:
        raise ValueError("the order changes nothing: no ISP has power other than 0")
    for row in rows:
        for column, reason in problems(row, now).items():
            raise ValueError(f"{column} {reason}")
    return rows


def _elements(data: bytes) -> tuple[Attributes, list[Attributes]]:
    """The attributes of the order and of its intervals. Raises ValueError."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES} bytes, which no order has")
    seen: list[tuple[str, Attributes]] = []

    def refuse(*_: object) -> None:
        raise ValueError("has a document type, which no order has; it was not read")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: seen.append((name.split(" ")[-1], attributes))
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"is not XML: {error}") from None
    name, order = seen[0]
    if name != "FlexOrder":
        raise ValueError(f"is a {name}; only a FlexOrder can be read")
    return order, [attributes for name, attributes in seen[1:] if name == "ISP"]


def _day_of(order: Attributes) -> tuple[Instant, int]:
    """The beginning of the order's day and its number of intervals. Raises ValueError."""
    try:
        zone, day = ZoneInfo(_text(order, "TimeZone")), date.fromisoformat(_text(order, "Period"))
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"TimeZone or Period cannot be read: {error}") from None
    begins, ends = (
        int(datetime.combine(civil, time(), zone).timestamp()) for civil in (day, day + timedelta(days=1))
    )
    return begins, (ends - begins) // QUARTER


def _interval(attributes: Attributes, count: int) -> tuple[int, int, Decimal]:
    """The first interval, the one after the last, and the ordered change in watts. Raises ValueError."""
    first, duration = _text(attributes, "Start"), attributes.get("Duration", "1")
    if not (first.isdecimal() and duration.isdecimal() and int(first) and int(duration)):
        raise ValueError(f"ISP Start {first!r} or Duration {duration!r} is not a number from 1")
    last = int(first) + int(duration)
    if last - 1 > count:
        raise ValueError(f"ISP {last - 1} is not on that day, which has {count}")
    watts = _number(_text(attributes, "Power"), "Power")
    if watts > 0:
        raise ValueError(f"ISP {first} orders to draw more, which is no limit; enter such a row from CSV")
    return int(first), last, watts


def _text(attributes: Attributes, name: str) -> str:
    if not attributes.get(name, "").strip():
        raise ValueError(f"{name} is missing")
    return attributes[name].strip()


def _number(text: str, name: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} {text!r} is not a number") from None
    if not value.is_finite() or abs(value) > 10**10:
        raise ValueError(f"{name} {text!r} is out of range")
    return value
