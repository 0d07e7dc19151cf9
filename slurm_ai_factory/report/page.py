"""The report for people: one self-contained HTML page, for screen and A4.

Tested in tests/report/test_report.py.
"""

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
from slurm_ai_factory.language import Language, language
from slurm_ai_factory.report import charts
from slurm_ai_factory.report.charts import Bar, FigureFrame, Tick
from slurm_ai_factory.report.values import Report, value

STEP = 0.1
"""Distance between the marks of a chart of shares."""


def report_html(report: Report, code: str, labels: Mapping[str, str]) -> str:
    """The page in a language; ``labels``: CBS code -> name of the municipality."""
    values = value(report)
    speech = language(code, ZoneInfo(values["report"]["time_zone"]))
    page = Page(speech, values, labels)
    return _environment().get_template("report.html.j2").render(p=page, r=values, say=speech.say, l=speech)


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
    """What the template needs besides the values: words that depend on them, and charts."""

    def __init__(self, speech: Language, values: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        self.l, self.r, self.labels = speech, values, labels

    @property
    def share(self) -> Mapping[str, Any]:
        """The measurement."""
        return self.r["share"]  # type: ignore[no-any-return]

    @property
    def region(self) -> str:
        """The name of the region."""
        named = self.r["report"]["region"] or {}
        return named.get(self.l.code) or str(self.l.say("words.region"))

    @property
    def unit(self) -> str:
        """The name of an hour of the resource of the promise."""
        return self.unit_of(self.share["resource_label"] or self.share["resource"])

    def unit_of(self, resource: str) -> str:
        """The name of an hour of a resource."""
        known = self.l.messages["unit"]
        return str(known[resource]) if resource in known else str(self.l.say("words.unit", resource=resource))

    def interval(self, window: Mapping[str, Any]) -> Markup:
        """First and last day of a window."""
        first, last = self.l.day(window["since"]), self.l.day(window["until"], before=1)
        return self.l.say("words.interval", first=first, last=last)

    def label(self, table: str, name: str) -> str:
        """The name of a row of a table."""
        if not name:
            return str(self.l.say("words.nowhere"))
        return self.labels.get(name, name) if table == "municipality" else self.l.word(table, name)

    def term(self) -> Markup:
        """The first day of the term, and its source document."""
        term = self.r["promise"]
        if term["since"] is None:
            return self.l.say("promise.first", source=term["source"])
        return self.l.say("promise.since", since=self.l.day(term["since"]), source=term["source"])

    def promise_changed(self, term: Mapping[str, Any]) -> Markup:
        """The first day of a term, and its differences from the one before."""
        changes = Markup("; ").join(self._was(name, pair) for name, pair in term["changed"].items())
        return self.l.say(
            "promise.changed", since=self.l.day(term["since"]), changes=changes, source=term["source"]
        )

    def _was(self, name: str, pair: Mapping[str, Any]) -> Markup:
        """One field of a term, before and after."""
        if name == "ended":
            return self.l.say("promise.ended" if pair["now"] else "promise.resumed")
        if name == "region":
            added, removed = (self._municipalities(pair, *keys) for keys in (("now", "was"), ("was", "now")))
            return self.l.say("promise.was_region", added=added, removed=removed)
        both = {key: self._of_term(name, pair[key]) for key in ("was", "now")}
        if name == "share":
            return self.l.say("promise.was_share", **both)
        return self.l.say("promise.was", what=self.l.word("term", name), **both)

    def _of_term(self, name: str, value: Any) -> str:
        """A value of a term in words."""
        if name in ("share", "margin", "unclassified_limit", "expertise_share") and value is not None:
            return self.l.plain_floor(value)
        if value is None:
            return str(self.l.say("words.none"))
        return self.l.word("window_kind", value) if name == "window" else str(value)

    def _municipalities(self, pair: Mapping[str, Any], of: str, without: str) -> str:
        """The municipalities in one list and not in the other."""
        names = [self.label("municipality", code) for code in pair[of] if code not in pair[without]]
        return ", ".join(names) or str(self.l.say("words.none"))

    def compared(self) -> str:
        """The instant of the earlier figures of each window."""
        return "; ".join(
            f"{self.l.window(earlier['window'])}: {self.l.day(earlier['as_of'])}"
            for earlier in self.r["restatements"]["compared_with"]
        )

    def terms_changed(self, row: Mapping[str, Any]) -> Markup | str:
        """The fields of the term that differ from the earlier report."""
        others = [self.l.word("term", name) for name in row["terms_changed"] if name != "share"]
        if "share" in row["terms_changed"]:
            shares = (self.l.plain_floor(row[key]) for key in ("target_share_before", "target_share"))
            others.insert(0, " → ".join(shares))
        return ", ".join(others) or self.l.say("words.unchanged")

    def why_restated(self) -> Markup:
        """Why the figures differ from those of the report that this one replaces."""
        rows = self.r["restatements"]["rows"]
        row = next((each for each in rows if each["window"] == self.share["window"]), None)
        if row is None:
            return self.l.say("restated.same")
        causes = {
            "accounting": row["regional_charge_by_accounting"],
            "classification": row["regional_charge_by_classification"],
            "joined": not row["causes_told"],
            "terms": row["terms_changed"],
        }
        sentences = (self.l.say(f"restated.cause_{name}") for name, applies in causes.items() if applies)
        return self.l.say("restated.why", causes=Markup("; ").join(sentences))

    def reasons(self) -> str:
        """The reasons of holds, the most frequent first."""
        reasons: Counter[str] = Counter()
        for month in self.r["control"]["months"]:
            reasons.update(month["reasons"])
        ordered = sorted(reasons, key=lambda name: (-reasons[name], name))
        return "; ".join(self.l.word("reason", name) for name in ordered)

    def trend(self) -> Markup:
        """The share of each window against the floor."""
        rows: Sequence[Mapping[str, Any]] = self.r["trend"]
        targets = {window["target_share"] for window in rows}
        columns = [
            Bar(
                self.l.short_window(window["window"]),
                self._percent(window["delivered_share"]),
                window["delivered_share"],
                window["verdict"].startswith("missed"),
                window["target_share"] if len(targets) > 1 else None,
            )
            for window in rows
        ]
        words = ", ".join(
            f"{self.l.window(window['window'])}: {self._percent(window['delivered_share'])}"
            for window in rows
        )
        values = [column.value for column in columns]
        frame = self._frame("trend", values, max(targets), words, one_floor=len(targets) == 1)
        return charts.bars(frame, columns)

    def weeks(self) -> Markup:
        """The share of each week, and the share to date as a line."""
        rows: Sequence[Mapping[str, Any]] = self.r["weeks"]
        target = self.share["target_share"]
        columns = [
            Bar("", "", week["delivered_share"], (week["delivered_share"] or 0) < target) for week in rows
        ]
        points = [
            ((n + 1) / len(rows), week["share_to_date"])
            for n, week in enumerate(rows)
            if week["share_to_date"] is not None
        ]
        last = self._percent(points[-1][1] if points else None)
        values = [column.value for column in columns] + [y for _, y in points]
        return charts.line(self._frame("weeks", values, target, last), columns, points, self._dates(rows))

    def waiting(self) -> Markup:
        """Waiting regional demand of each week, and the starved part of it."""
        rows: Sequence[Mapping[str, Any]] = self.r["weeks"]
        most = max((week["waiting_charge"] for week in rows), default=0) / HOUR or 1.0
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
        columns = [Bar("", "", week["waiting_charge"] / HOUR) for week in rows]
        starved = [Bar("", "", week["starved_charge"] / HOUR, short=True) for week in rows]
        return charts.line(frame, columns, [], self._dates(rows), starved)

    def _dates(self, rows: Sequence[Mapping[str, Any]]) -> list[Tick]:
        every = max(1, ceil(len(rows) / 7))
        return [
            Tick((n + 0.5) / len(rows), self.l.short_day(week["since"]))
            for n, week in enumerate(rows)
            if n % every == 0
        ]

    def _frame(
        self,
        name: str,
        values: Sequence[float | None],
        target: float,
        words: str,
        *,
        one_floor: bool = True,
    ) -> FigureFrame:
        """The frame of a chart of shares; without ``one_floor`` each column has a floor of its own."""
        highest = max([share for share in values if share is not None] + [target]) * 1.12
        marks = [n * STEP for n in range(ceil(highest / STEP) + 1)]
        single = self.l.say("charts.floor", floor=self.l.plain_floor(target))
        floor = single if one_floor else self.l.say("charts.floors")
        return FigureFrame(
            name=name,
            title=str(self.l.say(f"charts.{name}", window=self.l.window(self.share["window"]))),
            description=str(self.l.say(f"charts.{name}_told", told=words, floor=floor)),
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
