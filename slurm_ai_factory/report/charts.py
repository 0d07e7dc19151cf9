"""Charts of the report as SVG, so that the page needs nothing from elsewhere and looks the same everywhere.

The rule: a chart is drawn twice, wide and narrow: one that shrinks becomes unreadable on a phone. Colours
are classes of the style sheet, a legend has each of them, and hatching and width say the same without colour.
No text lies on the floor. Tested in tests/report/test_charts.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from markupsafe import Markup, escape

LEFT, RIGHT, TOP = 50, 14, 26
LETTER = 7.6
"""Width of a letter of the labels, rounded up."""
LINE = 15
"""Height of a line of the labels."""


class ChartSize(NamedTuple):
    """A drawing's width and height."""

    name: str  #: also its class in the style sheet
    width: float
    height: float


SIZES = (ChartSize("wide", 720, 270), ChartSize("narrow", 380, 270))


class Tick(NamedTuple):
    """A mark on the vertical axis."""

    at: float
    label: str


class Bar(NamedTuple):
    """A bar of a chart."""

    value: float | None  #: its height; None where it is not known
    label: tuple[str, ...] = ()  #: lines under it
    text: str = ""  #: above it
    short: bool = False  #: whether it is below the floor
    floor: float | None = None  #: its own, if the bars of the chart have different floors
    part: float | None = None  #: of its height, drawn hatched in front
    whole: float = 1.0  #: how much of its period has passed; it is that much narrower


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


@dataclass(frozen=True, slots=True)
class SizedChart:
    """Columns from left to right in one size, and a line over them."""

    frame: FigureFrame
    size: ChartSize
    bars: Sequence[Bar]
    line: Sequence[tuple[float, float]] = ()  #: (columns from the left, value)

    def y(self, value: float) -> float:
        """Distance of a value from the upper edge."""
        top = self.frame.top
        return TOP + (self.bottom - TOP) * (1 - min(value, top) / top)

    @property
    def bottom(self) -> float:
        """The lower edge of the columns; their labels are under it."""
        lines = max((len(bar.label) for bar in self.bars), default=0)
        return self.size.height - LINE * lines - 10

    @property
    def step(self) -> float:
        """Distance from one column to the next."""
        return (self.right - LEFT) / max(1, len(self.bars))

    @property
    def right(self) -> float:
        """The right end of the axis."""
        return self.size.width - RIGHT

    def svg(self) -> Markup:
        """The whole drawing: axis, columns, floor, line, and the words over all."""
        name = f"{self.frame.name}-{self.size.name}"
        box = f'viewBox="0 0 {self.size.width:g} {self.size.height:g}"'
        parts = [
            f'<svg class="{self.size.name}" {box} role="img" aria-labelledby="{name}-t {name}-d">',
            f'<title id="{name}-t">{escape(self.frame.title)}</title>',
            f'<desc id="{name}-d">{escape(self.frame.description)}</desc>',
            *self._axis(),
            *(shape for n, bar in enumerate(self.bars) for shape in self._column(n, bar)),
            *self._floors(),
            *self._line(),
            *self._words(),
            "</svg>",
        ]
        return Markup("\n".join(parts))  # noqa: S704 - every text in it is escaped

    def _axis(self) -> Iterator[str]:
        for tick in self.frame.ticks:
            y = self.y(tick.at)
            yield f'<line class="grid" x1="{LEFT}" x2="{self.right:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield text_at(LEFT - 8, y + 4, tick.label, "axis")

    def _column(self, n: int, bar: Bar) -> Iterator[str]:
        """The column; one of an incomplete period begins where a whole one would."""
        widest = min(64.0, 0.72 * self.step)
        x = LEFT + self.step * (n + 0.5) - widest / 2
        kinds = (("short" if bar.short else "bar"), bar.value), ("missed", bar.part)
        for kind, value in kinds:
            if value is not None:
                width, y = widest * bar.whole, self.y(value)
                place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{self.y(0) - y:.1f}"'
                yield f'<rect class="{kind}{" part" if bar.whole < 1 else ""}" {place}/>'

    def _floors(self) -> Iterator[str]:
        if self.frame.floor is not None:
            yield self._dashes(self.frame.floor, LEFT, self.right)
        for n, bar in enumerate(self.bars):
            if bar.floor is not None:
                yield self._dashes(bar.floor, LEFT + self.step * n, LEFT + self.step * (n + 1))

    def _dashes(self, floor: float, begin: float, end: float) -> str:
        y = self.y(floor)
        return f'<line class="floor" x1="{begin:.1f}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'

    def _line(self) -> Iterator[str]:
        if self.line:
            points = " ".join(f"{LEFT + self.step * x:.1f},{self.y(y):.1f}" for x, y in self.line)
            yield f'<polyline class="run" points="{points}"/>'

    def _words(self) -> Iterator[str]:
        """The floor's name, and labels and values of the columns as far as there is room."""
        if self.frame.floor_label:
            yield text_at(self.right, TOP - 12, self.frame.floor_label, "end")
        every = ceil(_widest(line for bar in self.bars for line in bar.label) / self.step)
        room = _widest(bar.text for bar in self.bars) <= self.step
        for n, bar in enumerate(self.bars):
            middle = LEFT + self.step * (n + 0.5)
            fits = middle + _widest(bar.label) / 2 <= self.size.width
            if fits and n % max(1, every) == 0:
                for number, line in enumerate(bar.label, 1):
                    yield text_at(middle, self.bottom + 3 + LINE * number, line, "label")
            if bar.text and room:
                yield text_at(middle, self._above(bar), bar.text, "value")

    def _above(self, bar: Bar) -> float:
        """Where the value of a column stands: on it, or on the floor if that would strike it through.

        >>> frame = FigureFrame(name="", title="", description="", top=0.5, ticks=())
        >>> place = SizedChart(frame, SIZES[0], ())._above
        >>> [round(place(Bar(share, floor=0.25))) for share in (0.1, 0.24, 0.25, 0.3)]
        [207, 137, 137, 114]
        """
        on_column = self.y(bar.value or 0) - 6
        floor = bar.floor if bar.floor is not None else self.frame.floor
        if floor is not None and on_column - LINE <= self.y(floor) <= on_column + 6:
            return self.y(floor) - 6
        return on_column


def chart_svg(frame: FigureFrame, bars: Sequence[Bar], line: Sequence[tuple[float, float]] = ()) -> Markup:
    """The chart in every size; the style sheet shows the one that fits."""
    return Markup("\n").join(SizedChart(frame, size, bars, line).svg() for size in SIZES)


def swatch(kind: str) -> Markup:
    """What a kind of mark looks like, for a legend: the mark itself, small."""
    mark = {
        "floor": '<line class="floor" x1="0" x2="26" y1="7" y2="7"/>',
        "run": '<polyline class="run" points="0,7 26,7"/>',
        "part": '<rect class="bar part" x="9" y="1" width="8" height="12"/>',
    }.get(kind, f'<rect class="{kind}" x="1" y="1" width="24" height="12"/>')
    return Markup(f'<svg class="key" viewBox="0 0 26 14" aria-hidden="true">{mark}</svg>')  # noqa: S704


def text_at(x: float, y: float, text: str, kind: str) -> str:
    """A text of a drawing, escaped."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _widest(texts: Iterable[str]) -> float:
    """The room that the longest text needs, with a space."""
    return LETTER * (1 + max(map(len, texts), default=0))
