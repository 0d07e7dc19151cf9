"""The charts of the report: labels clear of the floor, incomplete periods, legends, values in words too."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.report import LANGUAGES, value
from slurm_ai_factory.report.charts import LINE, SIZES, Bar, FigureFrame, SizedChart, chart_svg
from slurm_ai_factory.report.plots import Plot, Plots
from tests import facility
from tests.report.test_language import speech
from tests.report.year import Year

SHARES = st.floats(0, 1)
both = pytest.mark.parametrize("code", LANGUAGES)


def frame(floor: float | None, top: float = 1.0) -> FigureFrame:
    return FigureFrame(name="a", title="b", description="c", top=top, ticks=(), floor=floor)


@given(share=SHARES, floor=SHARES, own=st.booleans())
def test_no_value_is_struck_through_by_the_floor(share: float, floor: float, own: bool) -> None:
    """Also in near misses: a line of text from its foot to its top is clear of the dashes."""
    bar = Bar(share, ("Q1",), "22.6%", floor=floor if own else None)
    for size in SIZES:
        drawing = SizedChart(frame(None if own else floor), size, [bar])
        foot = float(re.findall(r'<text class="value" x="[\d.]+" y="([\d.]+)"', drawing.svg())[0])
        assert not foot - LINE < drawing.y(floor) < foot + 3
        assert foot <= drawing.y(share) - 5, "it stands on its column, not in it"


def widths(svg: str, kind: str) -> list[float]:
    return [float(width) for width in re.findall(rf'<rect class="{kind}"[^>]* width="([\d.]+)"', svg)]


@given(st.floats(0.05, 0.95))
def test_an_incomplete_period_is_as_much_narrower(whole: float) -> None:
    svg = chart_svg(frame(0.5), [Bar(0.5), Bar(0.4, short=True, whole=whole)])
    for full, part in zip(widths(svg, "bar"), widths(svg, "short part"), strict=True):
        assert part == pytest.approx(full * whole, abs=0.06)


def test_what_is_not_known_has_no_column_and_words_are_escaped() -> None:
    svg = chart_svg(replace(frame(0.5), title="<b>"), [Bar(None, text="unknown")])
    assert "<rect" not in svg
    assert "<b>" not in svg
    assert svg.count("unknown") == len(SIZES)


@given(st.integers(1, 60), st.integers(1, 14))
def test_labels_under_the_columns_keep_clear_of_each_other_and_of_the_edge(count: int, letters: int) -> None:
    for size in SIZES:
        svg = SizedChart(frame(None), size, [Bar(0.5, ("m" * letters,))] * count).svg()
        at = [float(x) for x in re.findall(r'<text class="label" x="([\d.]+)"', svg)]
        assert at
        assert at[-1] + 3.5 * letters <= size.width
        assert all(after - before > 7 * letters for before, after in pairwise(at))


def plots(made: Year, window: str = "2027Q3", code: str = "nl", *, at: int | None = None) -> Plots:
    report = made.reports[window] if at is None else made.report(window, at)
    return Plots(speech(code), value(report), "GPU-uren")


def marks(text: str) -> set[str]:
    """The kinds of mark in a drawing or a legend."""
    kinds = re.findall(r'<(?:rect|polyline|line) class="([\w ]+)"', text)
    return {kind.replace("short part", "short").replace("bar part", "part") for kind in kinds} - {"grid"}


@both
@pytest.mark.parametrize("window", facility.QUARTERS)
def test_a_legend_has_every_kind_of_mark_and_no_other(made: Year, window: str, code: str) -> None:
    of = plots(made, window, code)
    for plot in (of.trend(), of.weeks(), of.waiting()):
        legend = "".join(mark for mark, _ in plot.legend)
        assert marks(plot.drawn) == marks(legend) | ({"missed part"} & marks(plot.drawn))
        assert len({words for _, words in plot.legend}) == len(plot.legend)


def test_a_window_that_is_not_over_is_narrower_and_the_legend_says_so(made: Year) -> None:
    whole, part = plots(made).trend(), plots(made, "2027Q4", at=facility.at("2027-11-15")).trend()
    assert " part" not in whole.drawn
    assert part.drawn.count(" part") == len(SIZES)
    (last,) = (words for mark, words in part.legend if " part" in mark)
    assert last == "smalle kolom: periode die nog niet voorbij is"


def cells(plot: Plot, column: int) -> list[float]:
    """The exact values in a column of the table of a chart."""
    return [float(re.findall(r'value="([^"]+)"', row[column])[0]) for row in plot.rows]


def test_a_week_of_few_days_is_not_drawn_as_less_demand(made: Year) -> None:
    """Heights are averages of a day; the table has the whole amounts, which add up."""
    measured = value(made.reports["2027Q3"])
    weeks, plot = measured["weeks"], plots(made).waiting()
    assert round(weeks[-1]["days"]) == 1
    assert sum(cells(plot, 2)) == pytest.approx(measured["share"]["waiting_charge"])
    assert sum(cells(plot, 3)) == pytest.approx(measured["share"]["starved_charge"])
    heights = [float(height) for height in re.findall(r'class="bar[^"]*"[^>]* height="([\d.]+)"', plot.drawn)]
    a_day = [week["waiting_charge"] / week["days"] for week in weeks]
    assert max(a_day) / HOUR <= plot.frame.top
    scale = heights[0] / a_day[0]
    assert heights[: len(weeks)] == pytest.approx([scale * amount for amount in a_day], abs=0.2)


@both
def test_a_chart_says_in_words_what_it_shows(made: Year, code: str) -> None:
    of, last = plots(made, code=code), {"nl": "22,6%", "en": "22.6%"}[code]
    trend, weeks, waiting = (plot().frame.description for plot in (of.trend, of.weeks, of.waiting))
    assert last in trend
    assert speech(code).window("2027Q1") in trend
    shares = [week["delivered_share"] for week in value(made.reports["2027Q3"])["weeks"]]
    for share in (min(shares), max(shares)):
        assert speech(code).plain_percent(share, 0.25) in weeks
    assert f" {sum(share < 0.25 for share in shares)}." in weeks
    assert last in weeks
    assert "GPU-uren" in waiting
    assert len(of.weeks().rows) == len(of.waiting().rows) == len(shares) == 14
