"""Charts as SVG: drawn here, so that a page needs nothing from elsewhere and looks the same everywhere.

Every chart has a title and a description for those who do not see it, says its values in text, and tells
things apart by more than colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 40


class Bar(NamedTuple):
    """One bar: what stands under it and above it, its height, whether it fell short, and its own floor."""

    label: str
    text: str
    value: float | None
    short: bool = False
    floor: float | None = None  #: where the bars of a chart have different ones


class Tick(NamedTuple):
    """A place on an axis, and what stands there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureFrame:
    """What all charts have: words, a vertical axis from 0 to ``top``, and perhaps a floor."""

    name: str  #: unique on the page
    title: str
    description: str
    top: float
    ticks: Sequence[Tick]
    floor: float | None = None
    floor_label: str = ""

    def y(self, value: float) -> float:
        """Where a value is, from above."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(value, self.top) / self.top)


def bars(frame: FigureFrame, columns: Sequence[Bar]) -> Markup:
    """A column chart; every column says its value."""
    step = (WIDTH - LEFT - RIGHT) / max(1, len(columns))
    width = min(64.0, step * 0.62)
    middles = [LEFT + step * (n + 0.5) for n in range(len(columns))]
    shapes = [_rect(frame, one, x - width / 2, width) for one, x in zip(columns, middles, strict=True)]
    words = [word for one, x in zip(columns, middles, strict=True) for word in _words(frame, one, x)]
    return _svg(frame, shapes, [*_floors(frame, columns, step), *words])


def line(
    frame: FigureFrame,
    columns: Sequence[Bar],
    points: Sequence[tuple[float, float]],
    labels: Sequence[Tick],
    parts: Sequence[Bar] = (),
) -> Markup:
    """Narrow columns without values, parts of them, and a line over them.

    Places on the horizontal axis are 0..1.
    """
    span = WIDTH - LEFT - RIGHT
    step = span / max(1, len(columns))
    shapes = [
        _rect(frame, one, LEFT + step * (n + 0.14), step * 0.72)
        for ones in (columns, parts)
        for n, one in enumerate(ones)
    ]
    path = " ".join(f"{LEFT + span * x:.1f},{frame.y(y):.1f}" for x, y in points)
    over = [f'<polyline class="run" points="{path}"/>'] if points else []
    words = [_text(LEFT + span * one.at, HEIGHT - BOTTOM + 18, one.label, "label") for one in labels]
    return _svg(frame, shapes, over + words)


def _svg(frame: FigureFrame, shapes: Iterable[str], over: Iterable[str]) -> Markup:
    """The axis, the shapes, the floor over them, and over that what must stay readable."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{frame.name}-t {frame.name}-d">',
        f'<title id="{frame.name}-t">{escape(frame.title)}</title>',
        f'<desc id="{frame.name}-d">{escape(frame.description)}</desc>',
        *_axis(frame),
        *shapes,
        *_floor(frame),
        *over,
        "</svg>",
    ]
    return Markup("\n".join(parts))  # noqa: S704 - every text in it is escaped


def _axis(frame: FigureFrame) -> Iterator[str]:
    for tick in frame.ticks:
        y = frame.y(tick.at)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(LEFT - 8, y + 4, tick.label, "axis")


def _floor(frame: FigureFrame) -> Iterator[str]:
    if frame.floor is not None:
        yield _dashes(frame, frame.floor, LEFT, WIDTH - RIGHT)
    if frame.floor_label:
        yield _text(WIDTH - RIGHT, TOP - 10, frame.floor_label, "end")


def _floors(frame: FigureFrame, columns: Sequence[Bar], step: float) -> Iterator[str]:
    """The floor of each column that has its own."""
    for n, one in enumerate(columns):
        if one.floor is not None:
            yield _dashes(frame, one.floor, LEFT + step * n, LEFT + step * (n + 1))


def _dashes(frame: FigureFrame, floor: float, begin: float, end: float) -> str:
    y = frame.y(floor)
    return f'<line class="floor" x1="{begin:g}" x2="{end:g}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _words(frame: FigureFrame, one: Bar, middle: float) -> Iterator[str]:
    """What stands under and above a column."""
    yield _text(middle, HEIGHT - BOTTOM + 18, one.label, "label")
    yield _text(middle, frame.y(one.value or 0) - 6, one.text, "value")


def _rect(frame: FigureFrame, one: Bar, x: float, width: float) -> str:
    if one.value is None:
        return ""
    y = frame.y(one.value)
    kind = "short" if one.short else "bar"
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{frame.y(0) - y:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
