"""The report for people: one self-contained HTML page, for screen and A4, and what its first page says.

The rule: a sentence is made from the values that stand beside it, so that it cannot contradict them.
Tested in tests/report/test_programme.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from slurm_ai_factory.core.escaped import for_page
from slurm_ai_factory.language import language
from slurm_ai_factory.report.charts import SIZES, ChartSize, text_at
from slurm_ai_factory.report.page import Page
from slurm_ai_factory.report.plots import Plots
from slurm_ai_factory.report.values import Report, value

NAMED_SECTORS = (("care", "Q"), ("agriculture", "A"), ("public_services", "O"))
"""The sectors that the promise names: the programme's own code, and the section of the SBI."""

HEIGHT, TOP, BOTTOM = 58, 22, 54
"""Of the bar."""


def report_html(report: Report, code: str, labels: Mapping[str, str]) -> str:
    """The page in a language; ``labels``: CBS code -> name of the municipality."""
    values = value(report)
    speech = language(code, ZoneInfo(values["report"]["time_zone"]))
    page = Page(speech, values, labels)
    names = {"p": page, "f": FrontPage(page), "r": values, "say": speech.say, "l": speech}
    names["plots"] = Plots(speech, values, page.unit)
    return template_environment().get_template("report.html.j2").render(names)


@cache
def template_environment() -> Environment:
    """The templates of the report."""
    return Environment(
        loader=PackageLoader("slurm_ai_factory.report"),
        autoescape=True,
        finalize=for_page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


class FrontPage:
    """What the template needs for the first page."""

    def __init__(self, page: Page) -> None:
        self.page, self.l, self.r = page, page.l, page.r

    def meter(self) -> Markup:
        """The share as one bar against the floor, in every size."""
        return Markup("\n").join(self._meter(f"meter-{size.name}", size) for size in SIZES)

    def _meter(self, name: str, size: ChartSize) -> Markup:
        share, floor = self.page.share["delivered_share"], self.page.share["target_share"]
        scale = size.width / min(1.0, max(0.4, 1.25 * max(share, floor)))
        label = self.l.say("charts.floor", floor=self.l.plain_floor(floor))
        percent, x = self.l.plain_percent(share, floor), f"{scale * floor:.1f}"
        side = "end" if scale * floor > size.width / 2 else "start"
        title = self.l.say("answer.meter", region=self.page.region)
        description = self.l.say("answer.meter_told", share=percent, floor=label)
        box = f'viewBox="0 0 {size.width:g} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d"'
        parts = [
            f'<svg class="meter {size.name}" {box}>',
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>',
            f'<rect class="track" x="0" y="{TOP}" width="{size.width:g}" height="{BOTTOM - TOP}"/>',
            f'<rect class="{"short" if share < floor else "bar"}" x="0" y="{TOP}" '
            f'width="{scale * share:.1f}" height="{BOTTOM - TOP}"/>',
            f'<line class="floor" x1="{x}" x2="{x}" y1="{TOP - 4}" y2="{HEIGHT}"/>',
            text_at(float(x), 13, label, f"meter-{side}"),
            "</svg>",
        ]
        return Markup("\n".join(parts))  # noqa: S704 - every text in it is escaped

    def why(self) -> Markup | None:
        """Why the floor was missed; None where it was not."""
        cause: Mapping[str, Any] | None = self.r["answer"]["cause"]
        if cause is None:
            return None
        share = self.page.share
        return self.l.say(
            f"answer.{cause['name']}",
            since=self.l.day(cause["since"]) if cause["since"] else "",
            until=self.l.day(cause["until"]) if cause["until"] else "",
            reason=self.l.word("reason", cause["reason"]),
            part=self.l.hours(cause["starved_charge"]),
            starved=self.l.hours(share["starved_charge"]),
            shortfall=self.l.hours(share["shortfall_charge"]),
            unit=self.page.unit,
        )

    def bridge(self) -> Markup | None:
        """Both shortfalls in one line of arithmetic; None where there is none or no capacity is known."""
        bridge: Mapping[str, float] | None = self.r["answer"]["bridge"]
        if bridge is None:
            return None
        amounts = {name: self.l.hours(amount) for name, amount in bridge.items()}
        floor = self.l.floor(self.page.share["target_share"])
        return self.l.say("answer.bridge", **amounts, unit=self.page.unit, floor=floor)

    def chosen(self) -> Markup:
        """Who chose of what the share is a part, when, and in which document."""
        term = self.r["promise"]
        if term["recorded_at"] is None:
            return self.l.say("answer.chosen_configured", source=term["source"])
        day = self.l.day(term["recorded_at"])
        return self.l.say("answer.chosen", actor=term["actor"], recorded=day, source=term["source"])

    def benefits(self) -> Iterator[Markup]:
        """Who benefited, one line each."""
        count = self.r["organisations"]["regional"]
        yield self.l.say("benefits.organisations", count=self.l.number(count), region=self.page.region)
        reach = {row["name"]: row for row in self.r["programme"]["reach"]}
        for kinds in (("sme", "young"), ("new", "returning")):
            counts = {kind: self._count(reach[kind]) for kind in kinds}
            yield self.l.say(f"benefits.{'_'.join(kinds)}", **counts)
        expertise = self.r["expertise"]
        share, floor = expertise["delivered_share"], expertise["target_share"]
        yield self.l.say("benefits.expertise", share=self.l.percent(share, floor), floor=self.l.floor(floor))
        yield self.l.say("benefits.sectors", sectors=Markup("; ").join(map(self._sector, NAMED_SECTORS)))

    def _count(self, row: Mapping[str, Any]) -> Markup:
        if row["organisations"] is not None:
            return self.l.number(row["organisations"])
        return self.l.say("benefits.hidden" if row["recorded"] else "benefits.unrecorded")

    def _sector(self, codes: tuple[str, str]) -> Markup:
        """A sector that the promise names, with its part of the region's charge where that is shown."""
        table = self.r["tables"]["sector"]
        rows = [row for row in table["rows"] if row["name"] in codes]
        name = self.l.word("sector", codes[0])
        if rows:
            shares = Markup(" + ").join(self.l.percent(row["part_of_table"]) for row in rows)
            return self.l.say("benefits.sector", name=name, share=shares)
        return self.l.say(
            "benefits.sector_hidden" if table["suppressed"] else "benefits.sector_none", name=name
        )

    def upcoming(self) -> Iterator[Markup]:
        """What is expected of the window that is not over; what it takes only while the share is below."""
        ahead: Mapping[str, Any] | None = self.r["answer"]["next"]
        if ahead is None or ahead["expected_share"] is None:
            yield self.l.say("next.unknown")
            return
        floor, window = self.l.floor(ahead["target_share"]), self.l.window(ahead["window"])
        share = self.l.percent(ahead["expected_share"], ahead["target_share"])
        yield self.l.say("next.expected", window=window, share=share, floor=floor)
        required, attainable = ahead["required_share"], ahead["attainable"]
        if required is not None and required > 1:
            yield self.l.say("next.out_of_reach")
        elif required is not None:
            share = self.l.percent(required)
            yield self.l.say("verdict.required", region=self.page.region, share=share)
            if attainable is not None:
                yield self.l.say("verdict.attainable_yes" if attainable else "verdict.attainable_no")
