"""The report for people: one HTML page in one file, on screen and on A4, that asks nothing of any network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slurm_ai_factory.core.escaped import for_page
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.report import charts
from slurm_ai_factory.report.charts import Bar, FigureFrame, Tick
from slurm_ai_factory.report.language import Language, language
from slurm_ai_factory.report.values import Report, value

LANGUAGES = ("nl", "en")
STEP = 0.1
"""Between the marks of a chart of shares."""


def report_html(report: Report, code: str, labels: Mapping[str, str]) -> str:
    """The page in a language; ``labels`` are names for codes of municipalities."""
    said = value(report)
    speech = language(code, ZoneInfo(said["report"]["time_zone"]))
    page = Page(speech, said, labels)
    return _environment().get_template("report.html.j2").render(p=page, r=said, say=speech.say, l=speech)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("slurm_ai_factory.report"),
        autoescape=True,
        finalize=for_page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


class Page:
    """What the template asks for: words that depend on the figures, and charts."""

    def __init__(self, speech: Language, said: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        self.l, self.r, self.labels = speech, said, labels

    @property
    def share(self) -> Mapping[str, Any]:
        """The measurement."""
        return self.r["share"]  # type: ignore[no-any-return]

    @property
    def region(self) -> str:
        """What the region is called."""
        named = self.r["report"]["region"] or {}
        return named.get(self.l.code) or str(self.l.say("words.region"))

    @property
    def unit(self) -> str:
        """What an hour of the resource is called."""
        return self.unit_of(self.share["resource_label"] or self.share["resource"])

    def unit_of(self, resource: str) -> str:
        """What an hour of a resource is called."""
        known = self.l.messages["unit"]
        return str(known[resource]) if resource in known else str(self.l.say("words.unit", resource=resource))

    def interval(self, one: Mapping[str, Any]) -> Markup:
        """First and last day of a window."""
        first, last = self.l.day(one["since"]), self.l.day(one["until"], before=1)
        return self.l.say("words.interval", first=first, last=last)

    def label(self, table: str, name: str) -> str:
        """What a line of a table is called."""
        if not name:
            return str(self.l.say("words.nowhere"))
        return self.labels.get(name, name) if table == "municipality" else self.l.word(table, name)

    def term(self) -> Markup:
        """Since when the promise holds, and which document says so."""
        one = self.r["promise"]
        if one["since"] is None:
            return self.l.say("promise.first", source=one["source"])
        return self.l.say("promise.since", since=self.l.day(one["since"]), source=one["source"])

    def promise_changed(self, one: Mapping[str, Any]) -> Markup:
        """When the promise changed, and what it was."""
        told = Markup("; ").join(self._was(name, pair) for name, pair in one["changed"].items())
        return self.l.say(
            "promise.changed", since=self.l.day(one["since"]), changes=told, source=one["source"]
        )

    def _was(self, name: str, pair: Mapping[str, Any]) -> Markup:
        """One thing that changed: what it was and is."""
        if name == "ended":
            return self.l.say("promise.ended" if pair["now"] else "promise.resumed")
        if name == "region":
            added, removed = (self._municipalities(pair, *keys) for keys in (("now", "was"), ("was", "now")))
            return self.l.say("promise.was_region", added=added, removed=removed)
        told = {key: self._of_term(name, pair[key]) for key in ("was", "now")}
        if name == "share":
            return self.l.say("promise.was_share", **told)
        return self.l.say("promise.was", what=self.l.word("term", name), **told)

    def _of_term(self, name: str, value: Any) -> str:
        """A value of a term in words."""
        if name in ("share", "margin", "unclassified_limit", "expertise_share") and value is not None:
            return self.l.plain_floor(value)
        if value is None:
            return str(self.l.say("words.none"))
        return self.l.word("window_kind", value) if name == "window" else str(value)

    def _municipalities(self, pair: Mapping[str, Any], of: str, without: str) -> str:
        """Those that are in one list and not in the other."""
        names = [self.label("municipality", code) for code in pair[of] if code not in pair[without]]
        return ", ".join(names) or str(self.l.say("words.none"))

    def compared(self) -> str:
        """What each window is compared with."""
        return "; ".join(
            f"{self.l.window(one['window'])}: {self.l.day(one['as_of'])}"
            for one in self.r["restatements"]["compared_with"]
        )

    def terms_changed(self, row: Mapping[str, Any]) -> Markup | str:
        """What of the promise is not what it was in the earlier report."""
        others = [self.l.word("term", name) for name in row["terms_changed"] if name != "share"]
        if "share" in row["terms_changed"]:
            shares = (self.l.plain_floor(row[key]) for key in ("target_share_before", "target_share"))
            others.insert(0, " → ".join(shares))
        return ", ".join(others) or self.l.say("words.unchanged")

    def why_restated(self) -> Markup:
        """Why this report says something else than the one it replaces."""
        rows = self.r["restatements"]["rows"]
        row = next((one for one in rows if one["window"] == self.share["window"]), None)
        if row is None:
            return self.l.say("restated.same")
        causes = {
            "accounting": row["regional_charge_by_accounting"],
            "classification": row["regional_charge_by_classification"],
            "joined": not row["causes_told"],
            "terms": row["terms_changed"],
        }
        told = (self.l.say(f"restated.cause_{name}") for name, found in causes.items() if found)
        return self.l.say("restated.why", causes=Markup("; ").join(told))

    def reasons(self) -> str:
        """Why the control could not steer, the most frequent first."""
        reasons: Counter[str] = Counter()
        for month in self.r["control"]["months"]:
            reasons.update(month["reasons"])
        ordered = sorted(reasons, key=lambda name: (-reasons[name], name))
        return "; ".join(self.l.word("reason", name) for name in ordered)

    def trend(self) -> Markup:
        """The share of each window against the floor."""
        rows: Sequence[Mapping[str, Any]] = self.r["trend"]
        targets = {one["target_share"] for one in rows}
        columns = [
            Bar(
                self.l.short_window(one["window"]),
                self._percent(one["delivered_share"]),
                one["delivered_share"],
                one["verdict"].startswith("missed"),
                one["target_share"] if len(targets) > 1 else None,
            )
            for one in rows
        ]
        told = ", ".join(
            f"{self.l.window(one['window'])}: {self._percent(one['delivered_share'])}" for one in rows
        )
        frame = self._frame(
            "trend", [c.value for c in columns], max(targets), told, one_floor=len(targets) == 1
        )
        return charts.bars(frame, columns)

    def weeks(self) -> Markup:
        """The share of each week, and the share to date as a line."""
        rows: Sequence[Mapping[str, Any]] = self.r["weeks"]
        target = self.share["target_share"]
        columns = [
            Bar("", "", one["delivered_share"], (one["delivered_share"] or 0) < target) for one in rows
        ]
        points = [
            ((n + 1) / len(rows), one["share_to_date"])
            for n, one in enumerate(rows)
            if one["share_to_date"] is not None
        ]
        last = self._percent(points[-1][1] if points else None)
        values = [column.value for column in columns] + [y for _, y in points]
        return charts.line(self._frame("weeks", values, target, last), columns, points, self._dates(rows))

    def waiting(self) -> Markup:
        """What waited in each week, and the part of it that the region was owed."""
        rows: Sequence[Mapping[str, Any]] = self.r["weeks"]
        most = max((one["waiting_charge"] for one in rows), default=0) / HOUR or 1.0
        step = _round_step(most / 4)
        ticks = [Tick(n * step, self.l.plain(n * step)) for n in range(ceil(most / step) + 1)]
        frame = FigureFrame(
            name="waiting",
            title=str(self.l.say("charts.waiting", unit=self.unit)),
            description=str(
                self.l.say("charts.waiting_told", most=self.l.plain(most), unit=self.unit, weeks=len(rows))
            ),
            top=ticks[-1].at,
            ticks=ticks,
        )
        columns = [Bar("", "", one["waiting_charge"] / HOUR) for one in rows]
        missed = [Bar("", "", one["starved_charge"] / HOUR, short=True) for one in rows]
        return charts.line(frame, columns, [], self._dates(rows), missed)

    def _dates(self, rows: Sequence[Mapping[str, Any]]) -> list[Tick]:
        every = max(1, ceil(len(rows) / 7))
        return [
            Tick((n + 0.5) / len(rows), self.l.short_day(one["since"]))
            for n, one in enumerate(rows)
            if n % every == 0
        ]

    def _frame(
        self,
        name: str,
        values: Sequence[float | None],
        target: float,
        told: str,
        *,
        one_floor: bool = True,
    ) -> FigureFrame:
        """The frame of a chart of shares; without ``one_floor`` each column has its own."""
        highest = max([one for one in values if one is not None] + [target]) * 1.12
        marks = [n * STEP for n in range(ceil(highest / STEP) + 1)]
        one = self.l.say("charts.floor", floor=self.l.plain_floor(target))
        floor = one if one_floor else self.l.say("charts.floors")
        return FigureFrame(
            name=name,
            title=str(self.l.say(f"charts.{name}", window=self.l.window(self.share["window"]))),
            description=str(self.l.say(f"charts.{name}_told", told=told, floor=floor)),
            top=min(1.0, marks[-1]) if highest <= 1 else 1.0,
            ticks=[Tick(mark, f"{100 * mark:.0f} %") for mark in marks if mark <= 1],
            floor=target if one_floor else None,
            floor_label=str(floor),
        )

    def _percent(self, ratio: float | None) -> str:
        if ratio is None:
            return str(self.l.say("format.unknown"))
        return self.l.plain_percent(ratio, self.share["target_share"])


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
