"""Which charts the report has: their columns, words, legend, and values as a table.

The rule: what a chart draws is in a table too: its own, or the one that follows it in the report. A column of
an incomplete period is narrower, and the legend says so. Tested in tests/report/test_charts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from markupsafe import Markup

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.language import Language
from slurm_ai_factory.report import charts
from slurm_ai_factory.report.charts import Bar, FigureFrame, Tick

STEP = 0.1
"""Distance between the marks of a chart of shares."""
DAYS = 7
"""Of a whole week."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart with the words around it."""

    frame: FigureFrame
    drawn: Markup
    legend: Sequence[tuple[Markup, str]]  #: (mark, words)
    head: Sequence[str] = ()  #: of the table of its values; empty if they are elsewhere in the report
    rows: Sequence[Sequence[Markup | str]] = ()


class Plots:
    """The charts of a report in a language."""

    def __init__(self, speech: Language, values: Mapping[str, Any], unit: str) -> None:
        self.l, self.r, self.unit = speech, values, unit

    def trend(self) -> Plot:
        """The share of each window against the floor."""
        rows: Sequence[Mapping[str, Any]] = self.r["trend"]
        floors = {window["target_share"] for window in rows}
        bars = [
            Bar(
                window["delivered_share"],
                tuple(self.l.short_window(window["window"]).split()),
                self._percent(window["delivered_share"], window["target_share"]),
                short=_below(window["delivered_share"], window["target_share"]),
                floor=window["target_share"] if len(floors) > 1 else None,
                whole=self._passed(window),
            )
            for window in rows
        ]
        shares = ", ".join(
            f"{self.l.window(window['window'])}: {bar.text}" for window, bar in zip(rows, bars, strict=True)
        )
        frame = self._frame("trend", floors, [bar.value for bar in bars], values=shares)
        return Plot(frame, charts.chart_svg(frame, bars), self._legend(frame, bars, part="part_window"))

    def weeks(self) -> Plot:
        """The share of each week, and the share to date as a line."""
        rows: Sequence[Mapping[str, Any]] = self.r["weeks"]
        floor = self.r["share"]["target_share"]
        bars = [
            Bar(
                week["delivered_share"],
                (self.l.short_day(week["since"]),),
                short=_below(week["delivered_share"], floor),
                whole=_of_week(week),
            )
            for week in rows
        ]
        line = [
            (n + 0.14 + 0.72 * bar.whole, week["share_to_date"])
            for n, (bar, week) in enumerate(zip(bars, rows, strict=True))
            if week["share_to_date"] is not None
        ]
        frame = self._frame(
            "weeks", {floor}, [bar.value for bar in bars] + [share for _, share in line],
            weeks=len(rows), short=sum(bar.short for bar in bars),
            least=self._week_of(min, rows), most=self._week_of(max, rows),
            to_date=self._percent(line[-1][1] if line else None, floor),
        )  # fmt: skip
        shares = "delivered_share", "share_to_date"
        return Plot(
            frame,
            charts.chart_svg(frame, bars, line),
            self._legend(frame, bars, "run", part="part_week"),
            self._head(self.l.figure("delivered_share"), self.l.say("charts.run")),
            [[*self._week(week), *(self.l.percent(week[key], floor) for key in shares)] for week in rows],
        )

    def waiting(self) -> Plot:
        """Waiting regional demand in each week as the average of a day, and what the region missed of it."""
        rows: Sequence[Mapping[str, Any]] = self.r["weeks"]
        known = all(week["starved_charge"] is not None for week in rows)
        kinds = ("waiting_charge", "starved_charge") if known else ("waiting_charge",)
        days = [{kind: week[kind] / week["days"] / HOUR for kind in kinds} for week in rows]
        bars = [
            Bar(
                day["waiting_charge"],
                (self.l.short_day(week["since"]),),
                part=day.get("starved_charge"),
                whole=_of_week(week),
            )
            for week, day in zip(rows, days, strict=True)
        ]
        most = max((day["waiting_charge"] for day in days), default=0) or 1.0
        step = _round_step(most / 4)
        ticks = [Tick(n * step, self.l.plain(n * step)) for n in range(ceil(most / step) + 1)]
        words = {"most": self.l.plain(most), "unit": self.unit, "weeks": len(rows)}
        if known:
            words["starved"] = self.l.plain_hours(sum(week["starved_charge"] for week in rows))
        frame = FigureFrame(
            name="waiting",
            title=str(self.l.say("charts.waiting", unit=self.unit)),
            description=str(self.l.say("charts.waiting_told" if known else "charts.waiting_only", **words)),
            top=ticks[-1].at,
            ticks=ticks,
        )
        return Plot(
            frame,
            charts.chart_svg(frame, bars),
            self._keys(
                {"bar": "waited"} | ({"missed": "missed"} if known else {}) | _part_key(bars, "part_week")
            ),
            self._head(*(f"{self.l.figure(kind)} ({self.unit})" for kind in kinds)),
            [[*self._week(week), *(self.l.hours(week[kind]) for kind in kinds)] for week in rows],
        )

    def _passed(self, window: Mapping[str, Any]) -> float:
        """How much of a window had passed when its records were read."""
        since, until, read = (
            datetime.fromisoformat(at).timestamp()
            for at in (window["since"], window["until"], self.r["report"]["read_until"])
        )
        return min(1.0, max(0.0, (read - since) / (until - since)))

    def _frame(
        self, name: str, floors: set[float], shares: Sequence[float | None], **words: object
    ) -> FigureFrame:
        """The frame of a chart of shares; where there are several floors, each column has its own."""
        highest = max([share for share in shares if share is not None] + list(floors)) * 1.12
        marks = [n * STEP for n in range(ceil(highest / STEP) + 1) if n * STEP <= 1]
        floor = max(floors) if len(floors) == 1 else None
        label = (
            self.l.say("charts.floors")
            if floor is None
            else self.l.say("charts.floor", floor=self.l.plain_floor(floor))
        )
        return FigureFrame(
            name=name,
            title=str(self.l.say(f"charts.{name}", window=self.l.window(self.r["share"]["window"]))),
            description=str(self.l.say(f"charts.{name}_told", floor=label, **words)),
            top=marks[-1] if highest <= 1 else 1.0,
            ticks=[Tick(mark, self.l.plain_floor(mark)) for mark in marks],
            floor=floor,
            floor_label=str(label),
        )

    def _legend(
        self, frame: FigureFrame, bars: Sequence[Bar], *more: str, part: str
    ) -> list[tuple[Markup, str]]:
        """The legend of a chart of shares: each kind of mark that is in it."""
        kinds = {"bar": "met"} if any(bar.value is not None and not bar.short for bar in bars) else {}
        kinds |= {"short": "short"} if any(bar.short for bar in bars) else {}
        floor = charts.swatch("floor"), frame.floor_label
        return [*self._keys(kinds | {kind: kind for kind in more}), floor, *self._keys(_part_key(bars, part))]

    def _keys(self, kinds: Mapping[str, str]) -> list[tuple[Markup, str]]:
        """A legend: kind of mark -> its message."""
        return [(charts.swatch(kind), self.l.say(f"charts.{name}")) for kind, name in kinds.items()]

    def _head(self, *columns: str) -> list[str]:
        """The head of a table of weeks."""
        return [self.l.say("charts.week"), self.l.say("charts.days"), *columns]

    def _week(self, week: Mapping[str, Any]) -> Iterator[Markup | str]:
        """The first cells of a week: its first day, and how many days it has."""
        yield self.l.short_day(week["since"])
        yield self.l.number(week["days"], 0 if abs(week["days"] - round(week["days"])) < 0.05 else 1)

    def _week_of(self, choose: Any, rows: Sequence[Mapping[str, Any]]) -> str:
        """The week with the least or most of the shares, in words."""
        known = [week for week in rows if week["delivered_share"] is not None]
        if not known:
            return str(self.l.say("format.unknown"))
        week = choose(known, key=lambda row: row["delivered_share"])
        share = self._percent(week["delivered_share"], self.r["share"]["target_share"])
        return f"{self.l.short_day(week['since'])}, {share}"

    def _percent(self, ratio: float | None, beside: float) -> str:
        return str(self.l.say("format.unknown")) if ratio is None else self.l.plain_percent(ratio, beside)


def _below(share: float | None, floor: float) -> bool:
    return share is not None and share < floor


def _of_week(week: Mapping[str, Any]) -> float:
    """How much of a week has passed; a week in which the clock changes is whole.

    >>> [_of_week({"days": days}) for days in (7.0, 167 / 24, 3.5)]
    [1.0, 1.0, 0.5]
    """
    return 1.0 if round(week["days"]) >= DAYS else float(week["days"]) / DAYS


def _part_key(bars: Sequence[Bar], name: str) -> dict[str, str]:
    """The entry of a legend for columns of incomplete periods, if there are any."""
    return {"part": name} if any(bar.whole < 1 for bar in bars) else {}


def _round_step(step: float) -> float:
    """A step of 1, 2 or 5 times a power of ten, at least this one.

    >>> [_round_step(step) for step in (0.7, 3, 38, 1200)]
    [1.0, 5.0, 50.0, 2000.0]
    """
    power = 1.0
    while True:
        for digit in (1, 2, 5):
            if digit * power >= step:
                return digit * power
        power *= 10
