"""The kinds of panels in the dashboards, with everything that their panels share.

The rule: an empty panel says why; a colour means the same on every dashboard. Widths are of 24 columns, as in
Grafana. Tested in tests/monitor/test_dashboards.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD, WARNING, BAD, PLAIN = "#2f9e83", "#d98a1f", "#d0453e", "#6f8296"
TEXT = "text"
"""What Grafana writes in, light on dark and dark on light."""
REGION, FLOOR, EXPECTED = "#3f7fbf", "#d98a1f", "#8fa3b5"

NOT_YET = "No complete cycle of saf yet. Its log says why; after a failed one, this is a gap until the next."
NOT_CALENDAR = "Known once something was delivered in the window. Or: no complete cycle yet."
NO_RULE = "Needs deploy/prometheus/rules.yml in Prometheus, and two hours of scrapes."
NO_TARGET = "Prometheus has no target of job saf: see deploy/prometheus/scrape.yml."

Panel = Builder[model.Panel]
Mapped = model.ValueMap | model.RangeMap | model.RegexMap | model.SpecialValueMap


@dataclass(frozen=True, slots=True)
class Line:
    """A query of a panel: its expression, its name, and the style of its line."""

    expr: str
    name: str
    color: str | None = None
    dash: tuple[float, ...] = ()
    width: int = 2


def state(metric: str, label: str, values: Sequence[str], where: str, by: Sequence[str] = ()) -> str:
    """A state set as one series, or one for each of ``by``: the number of its state, from 1 on, for words.

    If two daemons are in different states, the later of the values is shown, never a sum of both.
    """
    numbered = (
        f'{number} * ({metric}{{{where},{label}="{value}"}} == 1)' for number, value in enumerate(values, 1)
    )
    of = f" by ({', '.join(by)}) " if by else ""
    return f"max{of}({' or '.join(numbered)})"


def against(title: str, expr: str, floor: str, unit: str, **more: Any) -> stat.Panel:
    """One number that is good from the floor on and bad below it; of its two queries one has a result."""
    panel = numbers(title, f"{expr} >= {floor}", unit, named="at the floor", **more)
    panel = panel.with_target(_query(f"{expr} < {floor}", "below the floor", ref="B", instant=True))
    for name, color in (("at the floor", GOOD), ("below the floor", BAD)):
        panel = panel.override_by_name(name, _drawing(Line("", name, color)))
    return panel.color_mode(kinds.BigValueColorMode.VALUE).text_mode(kinds.BigValueTextMode.VALUE)


def numbers(
    title: str, expr: str, unit: str, *, why: str = NOT_YET, about: str = "",
    steps: Mapping[float | None, str] | None = None, words: Mapping[int, tuple[str, str]] | None = None,
    decimals: int | None = None, named: str = "",
) -> stat.Panel:  # fmt: skip
    """One number, with a colour where it crosses a step, or a word where it stands for a state.

    Without ``decimals`` Grafana shows as many as a small number needs.
    """
    made = stat.Panel().title(title).datasource(SOURCE).no_value(why).description(about).unit(unit)
    made = made.with_target(_query(expr, named or title, instant=True))
    made = made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    made = made.graph_mode(kinds.BigValueGraphMode.NONE).wide_layout(False)
    made = made.color_mode(kinds.BigValueColorMode.VALUE if steps or words else kinds.BigValueColorMode.NONE)
    made = made.text_mode(kinds.BigValueTextMode.NAME if named else kinds.BigValueTextMode.VALUE)
    made = made.thresholds(_steps(steps or {None: TEXT})).mappings(_words(words or {}))
    return made if decimals is None else made.decimals(decimals)


def lines(
    title: str, drawn: Sequence[Line], unit: str, *, why: str = NOT_YET, about: str = "",
    low: float | None = 0.0, high: float | None = None, stacked: bool = False, legend: bool = True,
) -> timeseries.Panel:  # fmt: skip
    """Lines over time."""
    made = timeseries.Panel().title(title).datasource(SOURCE).no_value(why).description(about).unit(unit)
    made = made.line_width(2).fill_opacity(0).show_points(kinds.VisibilityMode.NEVER).span_nulls(False)
    made = made.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI))
    made = made.legend(
        common.VizLegendOptions().show_legend(legend).placement(kinds.LegendPlacement.BOTTOM)
        .display_mode(kinds.LegendDisplayMode.LIST).calcs([])
    )  # fmt: skip
    if low is not None:
        made = made.axis_soft_min(low)
    if high is not None:
        made = made.axis_soft_max(high)
    if stacked:
        made = made.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A")).fill_opacity(
            60
        )
    for number, line in enumerate(drawn):
        made = made.with_target(_query(line.expr, line.name, ref=chr(ord("A") + number)))
        if properties := _drawing(line):
            made = made.override_by_name(line.name, properties)
    return made


def bars(
    title: str, expr: str, name: str, unit: str, *, why: str = NOT_YET, about: str = ""
) -> bargauge.Panel:
    """One bar for each series, the longest first."""
    made = bargauge.Panel().title(title).datasource(SOURCE).no_value(why).description(about).unit(unit)
    made = made.with_target(_query(f"sort_desc({expr})", name, instant=True))
    made = made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    made = made.orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC)
    made = made.name_placement(kinds.BarGaugeNamePlacement.LEFT).show_unfilled(True).min(0)
    return made.thresholds(_steps({None: REGION}))


def states(
    title: str,
    expr: str,
    name: str,
    words: Mapping[int, tuple[str, str]],
    *,
    why: str = NOT_YET,
    about: str = "",
) -> statetimeline.Panel:
    """A row for each series, coloured by its state."""
    made = statetimeline.Panel().title(title).datasource(SOURCE).no_value(why).description(about)
    made = made.with_target(_query(expr, name)).mappings(_words(words)).show_value(kinds.VisibilityMode.NEVER)
    made = made.row_height(0.8).line_width(0).fill_opacity(80).merge_values(True)
    return made.legend(common.VizLegendOptions().show_legend(False)).thresholds(_steps({None: PLAIN}))


def rows_of(
    title: str, cells: Sequence[Line], units: Sequence[str], named: Mapping[str, str],
    words: Mapping[int, tuple[str, str]], *, why: str = NOT_YET, about: str = "",
) -> table.Panel:  # fmt: skip
    """A row for each set of labels, ``named`` as label -> head, and a cell for each query.

    The last query is a state that stands for one of the words.
    """
    made = table.Panel().title(title).datasource(SOURCE).no_value(why).description(about).unit("none")
    made = made.align(kinds.FieldTextAlignment.AUTO).inspect(False)
    heads = dict(named)
    for number, (cell, unit) in enumerate(zip(cells, units, strict=True)):
        ref = chr(ord("A") + number)
        asked = _query(cell.expr, cell.name, ref=ref, instant=True).format(PromQueryFormat.TABLE)
        made = made.with_target(asked).override_by_name(cell.name, [DynamicConfigValue("unit", unit)])
        heads[f"Value #{ref}"] = cell.name
    order = {name: number for number, name in enumerate(heads)}
    tidy = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": heads}
    for name, options in (("merge", {}), ("organize", tidy)):
        made = made.with_transformation(model.DataTransformerConfig(id_val=name, options=options))
    mapped = [DynamicConfigValue("mappings", _words(words))]
    return made.override_by_name(cells[-1].name, mapped)


def words_of(title: str, markdown: str) -> text.Panel:
    """Text for the reader."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown)


def _query(expr: str, name: str, *, ref: str = "A", instant: bool = False) -> prometheus.Dataquery:
    made = prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(name).datasource(SOURCE)
    made = made.format(PromQueryFormat.TIME_SERIES)
    return made.instant() if instant else made.range()


def _steps(steps: Mapping[float | None, str]) -> dashboard.ThresholdsConfig:
    thresholds = [model.Threshold(value, color) for value, color in steps.items()]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _words(words: Mapping[int, tuple[str, str]]) -> list[Mapped]:
    options = {
        str(value): ValueMappingResult(text=word, color=color, index=number)
        for number, (value, (word, color)) in enumerate(words.items())
    }
    return [ValueMap(options=options)] if options else []


def _drawing(line: Line) -> list[DynamicConfigValue]:
    """The style of a line, as overrides of the panel's."""
    properties = []
    if line.color:
        properties.append(DynamicConfigValue("color", {"mode": "fixed", "fixedColor": line.color}))
    if line.dash:
        properties.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": list(line.dash)}))
    if line.width != 2:
        properties.append(DynamicConfigValue("custom.lineWidth", line.width))
    return properties
