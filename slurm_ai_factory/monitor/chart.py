"""The share over the window against the floor, as SVG drawn on the server. Pure: values in, text out.

The rule: colours are classes, so that the style sheet of the page makes the chart dark or light; only
measured values are drawn solid, expected ones dotted. Tested in tests/monitor/test_page.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from markupsafe import escape

from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.outlook import Point
from slurm_ai_factory.core.records import DAY, Hour, Instant, Measurement
from slurm_ai_factory.language import Language

MOST_POINTS = 400
STEPS: tuple[tuple[int, str], ...] = (
    (2 * DAY, "hour"), (14 * DAY, "day"), (45 * DAY, "week"), (100 * 365 * DAY, "month")
)  # fmt: skip
"""Windows up to this long have marks for these."""
EVERY_HOURS = 6


@dataclass(frozen=True, slots=True)
class ChartFrame:
    """The coordinates of instants and shares, in the units of the drawing."""

    width: float
    height: float
    since: Instant
    until: Instant
    top: float  #: the largest share drawn
    left: float = 44.0
    right: float = 16.0
    above: float = 18.0
    under: float = 26.0

    def x(self, at: Instant) -> float:
        """Of an instant, from the left."""
        part = (at - self.since) / max(1, self.until - self.since)
        return self.left + min(1.0, max(0.0, part)) * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        """Of a share, from the top; a share above ``top`` is at the upper edge."""
        part = min(1.0, max(0.0, share / self.top))
        return self.height - self.under - part * (self.height - self.above - self.under)


def share_chart(
    m: Measurement, speech: Language, label: str, earlier: Sequence[Hour], *, width: float, height: float
) -> str:
    """The drawing as an <svg>; while nothing was delivered it says so and has no line.

    ``label``: the sentence for those who do not see it. ``earlier``: the hours before a rolling window.
    """
    course = outlook.course(m, earlier)
    step = ceil(len(course) / MOST_POINTS) or 1
    course = [*course[:-1][::step], *course[-1:]]  # the last one always: it is the share now
    expected = assess(m, 0.0).expected_share
    until = m.as_of if m.window.rolling else m.window.until
    # The scale ends above the line after its first, wild day, and well above the floor.
    settled_at = m.window.since + (0 if m.window.rolling else DAY)
    settled = [point.share for point in course if point.at >= settled_at]
    settled = settled or [point.share for point in course]
    highest = max([*settled, expected or 0.0, 1.6 * m.target_share])
    frame = ChartFrame(width, height, m.window.since, until, min(1.0, ceil(1.1 * highest / 0.1) * 0.1))
    parts = [
        *_scale(frame, speech),
        *_calendar(frame, speech),
        *_days(frame, m),
        *_course(frame, m, course, speech),
        f'<path class="floor" d="M{frame.left:g} {frame.y(m.target_share):.1f}H{width - frame.right:g}"/>',
        *_outlook(frame, m, course, expected, speech),
    ]
    box = f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def _scale(frame: ChartFrame, speech: Language) -> Iterator[str]:
    step = 0.1 if frame.top <= 0.65 else 0.2
    for number in range(round(frame.top / step) + 1):
        y = frame.y(number * step)
        yield f'<path class="grid" d="M{frame.left:g} {y:.1f}H{frame.width - frame.right:g}"/>'
        yield (
            f'<text class="tick" x="{frame.left - 8:g}" y="{y + 4:.1f}" text-anchor="end">'
            f"{speech.plain_floor(number * step)}</text>"
        )


def _calendar(frame: ChartFrame, speech: Language) -> Iterator[str]:
    """Marks in civil time, as many as fit: by the length of the window for hours, days, weeks or months."""
    marks = list(_marks(frame, speech))
    room = max(1, int((frame.width - frame.left - frame.right) / 64))
    step = ceil(len(marks) / room) or 1
    y = frame.height - frame.under
    for at, label in marks[::step]:
        x = frame.x(at)
        yield f'<path class="mark" d="M{x:.1f} {y:.1f}v5"/>'
        anchor = "start" if x < frame.left + 20 else "middle"
        yield f'<text class="tick" x="{x:.1f}" y="{y + 19:.1f}" text-anchor="{anchor}">{label}</text>'


def _marks(frame: ChartFrame, speech: Language) -> Iterator[tuple[Instant, str]]:
    unit = next(unit for longest, unit in STEPS if frame.until - frame.since <= longest)
    hours = EVERY_HOURS if unit == "hour" else 24
    at = datetime.fromtimestamp(frame.since, speech.zone).replace(hour=0, minute=0, second=0)
    while at.timestamp() < frame.until:
        fits = {"week": at.weekday() == 0, "month": at.day == 1}.get(unit, True)
        if fits and at.timestamp() >= frame.since:
            instant = int(at.timestamp())
            date = speech.clock(instant).rpartition(" ")[0]
            yield instant, f"{at:%H:%M}" if at.hour else date
        at += timedelta(hours=hours)  # of civil time


def _days(frame: ChartFrame, m: Measurement) -> Iterator[str]:
    """The share of each day, as a bar behind the line."""
    for at, share in outlook.daily(m):
        left, right = frame.x(at), frame.x(min(at + DAY, m.as_of))
        y = frame.y(share)
        yield (
            f'<rect class="day" x="{left + 0.5:.1f}" y="{y:.1f}" width="{max(0.5, right - left - 1):.1f}" '
            f'height="{frame.height - frame.under - y:.1f}"/>'
        )


def _course(frame: ChartFrame, m: Measurement, course: Sequence[Point], speech: Language) -> Iterator[str]:
    """The line, and the areas between it and the floor."""
    if not course:
        place = f'x="{(frame.left + frame.width - frame.right) / 2:g}" y="{frame.height * 0.72:g}"'
        words = escape(speech.text("live_page.nothing_yet"))
        yield f'<text class="empty" {place} text-anchor="middle">{words}</text>'
        return
    line = "L".join(f"{frame.x(at):.1f} {frame.y(share):.1f}" for at, share in course)
    floor, first, last = frame.y(m.target_share), frame.x(course[0].at), frame.x(course[-1].at)
    area = f"M{first:.1f} {floor:.1f}L{line}L{last:.1f} {floor:.1f}Z"
    bottom = frame.height - frame.under
    for name, y, height in (("over", 0.0, floor), ("short", floor, bottom - floor)):
        clip = f"{name}-{frame.width:g}"
        half = f'<rect x="0" y="{y:.1f}" width="{frame.width:g}" height="{height:.1f}"/>'
        yield f'<clipPath id="{clip}">{half}</clipPath>'
        yield f'<path class="{name}" clip-path="url(#{clip})" d="{area}"/>'
    yield f'<path class="course" d="M{line}"/>'


def _outlook(
    frame: ChartFrame, m: Measurement, course: Sequence[Point], expected: float | None, speech: Language
) -> Iterator[str]:
    """The end of the line, and its course if the rest is like the last seven days."""
    if course:
        at, share = course[-1]
        x, y = frame.x(at), frame.y(share)
        if expected is not None and m.window.until > at:
            end = frame.x(m.window.until), frame.y(expected)
            yield f'<path class="expected" d="M{x:.1f} {y:.1f}L{end[0]:.1f} {end[1]:.1f}"/>'
        yield f'<circle class="now" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        yield _now_label(frame, m, course[-1], speech)
    # the label of the floor is on the side where the other line does not end
    beside = course[-1].share if course and expected is None else expected
    y = frame.y(m.target_share) + (16 if beside is not None and beside >= m.target_share else -8)
    yield (
        f'<text class="floor-label" x="{frame.width - frame.right:g}" y="{y:.1f}" text-anchor="end">'
        f"{escape(speech.text('live_page.promised', floor=speech.plain_floor(m.target_share)))}</text>"
    )


def _now_label(frame: ChartFrame, m: Measurement, now: Point, speech: Language) -> str:
    """Beside the end of the line, on its far side from the floor."""
    x = frame.x(now.at)
    anchor, shift = ("end", -10) if x > frame.width * 0.55 else ("start", 10)
    y = frame.y(now.share) + (-12 if now.share >= m.target_share else 22)
    return (
        f'<text class="now-label" x="{x + shift:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{speech.plain_percent(now.share, m.target_share)}</text>"
    )
