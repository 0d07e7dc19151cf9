"""Charts of the report as SVG, so that the page needs nothing from elsewhere and looks the same everywhere.

Every chart has a title and a description for screen readers, has its values as text, and uses more than
colour to distinguish things. Tested in tests/report/test_report.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 40


class Bar(NamedTuple):
    """A bar of a chart."""

    label: str  #: under it
    text: str  #: above it
    value: float | None  #: its height
    short: bool = False  #: whether it is below the floor
    floor: float | None = None  #: its own, if the bars of the chart have different floors


class Tick(NamedTuple):
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureFrame:
    """The parts that all charts have: words, a vertical axis from 0 to ``top``, and perhaps a floor."""

    name: str  #: unique on the page
    title: str
    description: str
    top: float
    ticks: Sequence[Tick]
    floor: float | None = None
    floor_label: str = ""

    def y(self, value: float) -> float:
        """Distance of a value from the upper edge."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(value, self.top) / self.top)


def bars(frame: FigureFrame, columns: Sequence[Bar]) -> Markup:
    """A column chart with the value of each column as text."""
    step = (WIDTH - LEFT - RIGHT) / max(1, len(columns))
    width = min(64.0, step * 0.62)
    shapes, floors, words = [], [], []
    for n, bar in enumerate(columns):
        middle = LEFT + step * (n + 0.5)
        shapes.append(_rect(frame, bar, middle - width / 2, width))
        if bar.floor is not None:
            floors.append(_dashes(frame, bar.floor, LEFT + step * n, LEFT + step * (n + 1)))
        words.append(_text(middle, HEIGHT - BOTTOM + 18, bar.label, "label"))
        words.append(_text(middle, frame.y(bar.value or 0) - 6, bar.text, "value"))
    return _svg(frame, shapes, floors + words)


def line(
    frame: FigureFrame,
    columns: Sequence[Bar],
    points: Sequence[tuple[float, float]],
    labels: Sequence[Tick],
    parts: Sequence[Bar] = (),
) -> Markup:
    """A chart of narrow columns without values, parts of them, and a line over them.

    Positions on the horizontal axis are 0 to 1.
    """
    span = WIDTH - LEFT - RIGHT
    step = span / max(1, len(columns))
    shapes = [
        _rect(frame, bar, LEFT + step * (n + 0.14), step * 0.72)
        for group in (columns, parts)
        for n, bar in enumerate(group)
    ]
    path = " ".join(f"{LEFT + span * x:.1f},{frame.y(y):.1f}" for x, y in points)
    over = [f'<polyline class="run" points="{path}"/>'] if points else []
    words = [_text(LEFT + span * tick.at, HEIGHT - BOTTOM + 18, tick.label, "label") for tick in labels]
    return _svg(frame, shapes, over + words)


def _svg(frame: FigureFrame, shapes: Iterable[str], over: Iterable[str]) -> Markup:
    """The whole drawing: axis, shapes, the floor over them, and ``over`` over all."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{frame.name}-t {frame.name}-d">',
        f'<title id="{frame.name}-t">{escape(frame.title)}</title>',
        f'<desc id="{frame.name}-d">{escape(frame.description)}</desc>',
    ]
    for tick in frame.ticks:
        y = frame.y(tick.at)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, tick.label, "axis"))
    parts += shapes
    if frame.floor is not None:
        parts.append(_dashes(frame, frame.floor, LEFT, WIDTH - RIGHT))
    if frame.floor_label:
        parts.append(_text(WIDTH - RIGHT, TOP - 10, frame.floor_label, "end"))
    parts += [*over, "</svg>"]
    return Markup("\n".join(parts))  # noqa: S704 - every text in it is escaped


def _dashes(frame: FigureFrame, floor: float, begin: float, end: float) -> str:
    y = frame.y(floor)
    return f'<line class="floor" x1="{begin:g}" x2="{end:g}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _rect(frame: FigureFrame, bar: Bar, x: float, width: float) -> str:
    if bar.value is None:
        return ""
    y = frame.y(bar.value)
    kind = "short" if bar.short else "bar"
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{frame.y(0) - y:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
