"""A dashboard drawn from a real Prometheus, without Grafana: every panel in its place, with its result.

Rule: it draws what the dashboard's JSON says, places, units, colours, words and what an empty panel says,
and nothing that it does not; it is to look at, not a copy of Grafana.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from tests.monitor.prometheus import Prometheus

ROW, GAP = 30, 8
INK = "#d5d6da"
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#fade2a", "#5794f2")
STYLE = """
body{margin:0;background:#111217;color:#d5d6da;font:13px Inter,"DejaVu Sans",sans-serif}
h1{font-size:17px;font-weight:500;margin:12px 16px}h1 small{color:#8e929b;font-weight:400;margin-left:14px}
main{position:relative;margin:0 8px 8px}
section{position:absolute;background:#181b1f;border:1px solid #26282e;border-radius:2px;overflow:hidden}
h2{font-size:13px;font-weight:500;margin:7px 9px 0;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.big{position:absolute;inset:26px 8px 6px;display:flex;align-items:center;
justify-content:center;text-align:center;font-weight:500;line-height:1.15}
.none{position:absolute;inset:26px 14px 6px;display:flex;align-items:center;justify-content:center;
text-align:center;color:#8e929b;font-size:12px}
.legend{position:absolute;left:10px;right:8px;bottom:6px;font-size:11px;white-space:nowrap}
.legend i{display:inline-block;width:12px;height:3px;margin:0 5px 3px 0}.legend span{margin-right:12px}
.text{padding:4px 12px;font-size:12.5px;line-height:1.45}
.text p,.text ul{margin:6px 0}.text ul{padding-left:18px}
svg{position:absolute;left:0;top:26px}text{fill:#9fa2aa;font-size:10.5px}
.bar{display:grid;grid-template-columns:max-content 1fr max-content;gap:3px 10px;
padding:6px 10px;align-items:center}
td,th{padding:3px 10px;text-align:left;font-weight:400;font-size:12px}th{color:#8e929b}
.bar div{background:#22252b;height:14px}.bar div b{display:block;height:14px}
"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where and when to look."""

    prometheus: Prometheus
    variables: dict[str, str]
    since: float
    until: float
    width: int

    def page(self, dashboard: dict[str, Any]) -> str:
        panels = dashboard["panels"]
        bottom = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels) * (ROW + GAP)
        values = " ".join(f"{name}: {value}" for name, value in self.variables.items())
        body = "".join(self.section(panel) for panel in panels)
        title = f"<h1>{escape(dashboard['title'])}<small>{escape(values)}</small></h1>"
        return (
            f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{title}"
            f'<main style="height:{bottom}px">{body}</main>'
        )

    def section(self, panel: dict[str, Any]) -> str:
        grid = panel["gridPos"]
        unit = (self.width - 16) / 24
        width, height = grid["w"] * unit - GAP, grid["h"] * (ROW + GAP) - GAP
        place = f"left:{grid['x'] * unit:.0f}px;top:{grid['y'] * (ROW + GAP)}px"
        inside = self.inside(panel, width, height)
        return (
            f'<section style="{place};width:{width:.0f}px;height:{height:.0f}px">'
            f"<h2>{escape(panel.get('title', ''))}</h2>{inside}</section>"
        )

    def inside(self, panel: dict[str, Any], width: float, height: float) -> str:
        """What a panel shows; its own words when there is nothing."""
        if panel["type"] == "text":
            return f'<div class="text">{_markdown(panel["options"]["content"])}</div>'
        if panel["type"] == "table":
            return self._table(panel)
        found = [(name, series) for target in panel["targets"] for name, series in self.series(target)]
        if not found:
            return f'<div class="none">{escape(panel["fieldConfig"]["defaults"].get("noValue", ""))}</div>'
        kinds = {"stat": _stat, "bargauge": _bars, "timeseries": self._lines, "state-timeline": self._states}
        return kinds[panel["type"]](panel, found, width, height)

    def _table(self, panel: dict[str, Any]) -> str:
        """Rows by their labels, as Grafana merges and renames the queries of the panel."""
        tidy = panel["transformations"][1]["options"]
        heads = {
            key: tidy["renameByName"][key] for key in sorted(tidy["indexByName"], key=tidy["indexByName"].get)
        }
        rows: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
        for target in panel["targets"]:
            for one in self.ask(target):
                cells = rows.setdefault(tuple(sorted(one["metric"].items())), {})
                cells[f"Value #{target['refId']}"] = float(one["value"][1])
        if not rows:
            return f'<div class="none">{escape(panel["fieldConfig"]["defaults"].get("noValue", ""))}</div>'
        lines = "".join(
            f"<tr>{''.join(f'<td>{_cell(panel, head, dict(key) | cells)}' for head in heads)}"
            for key, cells in rows.items()
        )
        return f"<table><tr>{''.join(f'<th>{escape(head)}' for head in heads.values())}{lines}</table>"

    def series(self, target: dict[str, Any]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
        """(name, points) of a query; one point where it is an instant one."""
        for one in self.ask(target):
            points = one["values"] if "values" in one else [one["value"]]
            name = _named(target["legendFormat"], one["metric"])
            kept = [(float(at), float(value)) for at, value in points if value not in ("NaN", "+Inf", "-Inf")]
            if kept:
                yield name, kept

    def ask(self, target: dict[str, Any]) -> list[dict[str, Any]]:
        """The result of a target's query."""
        expr = substituted(target["expr"], self.variables)
        if target.get("instant"):
            return self.prometheus.query(expr, self.until)
        return self.prometheus.over(expr, self.since, self.until, (self.until - self.since) / 240)

    def _lines(self, panel: dict[str, Any], found: Any, width: float, height: float) -> str:
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        stacked = custom.get("stacking", {}).get("mode") == "normal"
        styles = _styles(panel)
        w, h = width, height - 26 - 26
        top = _top(found, custom, stacked=stacked)
        parts = [*self._axes(panel, w, h, top)]
        base: dict[float, float] = {}
        for number, (name, points) in enumerate(found):
            style = styles.get(name, {})
            color = style.get("color", PALETTE[number % len(PALETTE)])
            shifted = [(at, value + base.get(at, 0.0)) for at, value in points] if stacked else points
            base |= dict(shifted) if stacked else {}
            line = "L".join(f"{self._x(at, w):.1f} {_y(value, h, top):.1f}" for at, value in shifted)
            dash = f' stroke-dasharray="{",".join(map(str, style["dash"]))}"' if style.get("dash") else ""
            pen = f'stroke="{color}" stroke-width="{style.get("width", 2)}"{dash}'
            parts.append(f'<path d="M{line}" fill="none" {pen}/>')
        names = [(n, styles.get(n, {}).get("color", PALETTE[i % 9])) for i, (n, _) in enumerate(found)]
        return f'<svg width="{w:.0f}" height="{h:.0f}">{"".join(parts)}</svg>{_legend(names)}'

    def _axes(self, panel: dict[str, Any], w: float, h: float, top: float) -> Iterator[str]:
        unit = panel["fieldConfig"]["defaults"].get("unit", "none")
        for value in (top * number / 4 for number in range(5)):
            y = _y(value, h, top)
            yield f'<path d="M62 {y:.1f}H{w - 8:.0f}" stroke="#26282e"/>'
            yield f'<text x="56" y="{y + 4:.1f}" text-anchor="end">{shown(value, unit, None)}</text>'
        marks = 5 if w > 400 else 3
        for number in range(marks):
            at = self.since + (self.until - self.since) * number / (marks - 1)
            x, anchor = self._x(at, w), "end" if number == marks - 1 else "middle"
            moment = datetime.fromtimestamp(at, UTC)
            yield f'<text x="{x:.0f}" y="{h - 3:.0f}" text-anchor="{anchor}">{moment:%m-%d %H:%M}</text>'

    def _x(self, at: float, w: float) -> float:
        return 62 + (at - self.since) / (self.until - self.since) * (w - 62 - 10)

    def _states(self, panel: dict[str, Any], found: Any, width: float, height: float) -> str:
        words = _words(panel)
        each = (height - 26 - 22) / len(found)
        parts = []
        for row, (name, points) in enumerate(found):
            y = row * each
            parts.append(f'<text x="8" y="{y + each / 2 + 4:.1f}">{escape(name)}</text>')
            step = (self.until - self.since) / 240
            for at, value in points:
                color = words.get(f"{value:g}", ("", "#6f8296"))[1]
                left = 110 + (at - self.since) / (self.until - self.since) * (width - 124)
                size = step / (self.until - self.since) * (width - 124) + 0.6
                place = f'x="{left:.1f}" y="{y + 2:.1f}" width="{size:.1f}" height="{each - 4:.1f}"'
                parts.append(f'<rect {place} fill="{color}"/>')
        return f'<svg width="{width:.0f}" height="{height - 26:.0f}">{"".join(parts)}</svg>'


def _named(text: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), text)


def substituted(expr: str, variables: dict[str, str]) -> str:
    """An expression with the dashboard's variables filled in."""
    for name, value in variables.items():
        expr = expr.replace(f"${name}", value)
    return expr


def shown(value: float, unit: str, decimals: int | None) -> str:
    """A value in its unit, as Grafana would write it.

    >>> shown(0.2468, "percentunit", 1), shown(7200, "s", None), shown(-0.5, "suffix: points", 2)
    ('24.7%', '2 hours', '-0.50 points')
    >>> shown(0.0004, "percentunit", None), shown(-0.001, "suffix: points", None)
    ('0.04%', '-0.001 points')
    """
    digits = ".3g" if decimals is None else f".{decimals}f"
    if unit == "percentunit":
        return f"{100 * value:{digits}}%"
    if unit.startswith("suffix:"):
        return f"{value:{digits}}{unit.removeprefix('suffix:')}"
    scales: dict[str, Sequence[tuple[float, str]]] = {
        "s": ((86400, " days"), (3600, " hours"), (60, " mins"), (1, " s"), (0.001, " ms")),
        "bytes": ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")),
        "short": ((1e6, " Mil"), (1e3, " K"), (1, "")),
    }
    for size, name in scales.get(unit, ()):
        if abs(value) >= size:
            return f"{value / size:.3g}{name}"
    return f"{value:.4g}"


def _stat(panel: dict[str, Any], found: Any, width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    name, points = found[0]
    value = points[-1][1]
    word, color = _words(panel).get(f"{value:g}", ("", ""))
    if panel["options"]["textMode"] == "name":
        word, color = name, ""
    text = word or shown(value, defaults.get("unit", "none"), defaults.get("decimals"))
    plain = panel["options"]["colorMode"] == "none"
    color = color or _styles(panel).get(name, {}).get("color", "")
    color = "text" if plain else color or _step(defaults["thresholds"]["steps"], value)
    color = INK if color == "text" else color
    size = min(height * 0.36, 1.5 * width / max(4, len(text)), 44)
    return f'<div class="big" style="color:{color};font-size:{max(15, size):.0f}px">{escape(text)}</div>'


def _bars(panel: dict[str, Any], found: Any, _width: float, _height: float) -> str:
    unit = panel["fieldConfig"]["defaults"].get("unit", "none")
    most = max(points[-1][1] for _, points in found) or 1.0
    rows = "".join(
        f'<span>{escape(name)}</span><div><b style="width:{100 * points[-1][1] / most:.0f}%;'
        f'background:#3f7fbf"></b></div><span>{shown(points[-1][1], unit, None)}</span>'
        for name, points in found
    )
    return f'<div class="bar">{rows}</div>'


def _cell(panel: dict[str, Any], head: str, row: dict[str, Any]) -> str:
    """A cell in its column's unit, or as the word that it stands for; empty where the row has none."""
    found = row.get(head, "")
    if not isinstance(found, float):
        return escape(found)
    name = panel["transformations"][1]["options"]["renameByName"][head]
    properties = {
        one["id"]: one["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == name
        for one in override["properties"]
    }
    words = {
        value: word["text"]
        for each in properties.get("mappings", [])
        for value, word in each["options"].items()
    }
    return escape(words.get(f"{found:g}") or shown(found, properties["unit"], None))


def _top(found: Any, custom: dict[str, Any], *, stacked: bool) -> float:
    """The highest value on the axis."""
    if stacked:
        sums: dict[float, float] = {}
        for _, points in found:
            for at, value in points:
                sums[at] = sums.get(at, 0.0) + value
        highest = max(sums.values())
    else:
        highest = max(value for _, points in found for _, value in points)
    return max(1.05 * highest, custom.get("axisSoftMax") or 0.0) or 1.0


def _y(value: float, h: float, top: float) -> float:
    return 6 + (1 - value / top) * (h - 26)


def _styles(panel: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The overrides by name that say how a line is drawn."""
    keys = {"color": "color", "custom.lineStyle": "dash", "custom.lineWidth": "width"}
    found: dict[str, dict[str, Any]] = {}
    for override in panel["fieldConfig"].get("overrides", []):
        style = found.setdefault(override["matcher"]["options"], {})
        for one in override["properties"]:
            value = one["value"]
            inner = value.get("fixedColor") or value.get("dash") if isinstance(value, dict) else value
            style[keys[one["id"]]] = inner
    return found


def _words(panel: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        value: (result["text"], result["color"])
        for mapping in panel["fieldConfig"]["defaults"].get("mappings", [])
        for value, result in mapping["options"].items()
    }


def _step(steps: Sequence[dict[str, Any]], value: float) -> str:
    return str([step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1])


def _legend(names: Sequence[tuple[str, str]]) -> str:
    marks = "".join(f'<span><i style="background:{color}"></i>{escape(name)}</span>' for name, color in names)
    return f'<div class="legend">{marks}</div>'


def _markdown(text: str) -> str:
    """The little markdown that the dashboards use."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))
    text = re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)
    blocks = text.split("\n\n")
    items = (
        f"<ul>{''.join(f'<li>{item}' for item in block[2:].split(chr(10) + '- '))}</ul>"
        if block.startswith("- ")
        else f"<p>{block}</p>"
        for block in blocks
    )
    return "".join(items)
