"""Civil time and windows: the only module that knows what a quarter is.

A window is half-open and both ends lie on a whole UTC hour, because usage is kept per hour: a calendar
window begins at civil midnight (zones with whole-hour offsets; others are refused), a rolling one begins at
the whole hour N days before now. Arithmetic on civil days never adds 24 hours, so clock changes are right.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from slurm_ai_factory.core.charge import hour_of
from slurm_ai_factory.core.records import HOUR, Instant, Window

_SECONDS = {"m": 60, "h": HOUR, "d": 24 * HOUR, "w": 7 * 24 * HOUR, "": 1, "s": 1}
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_KINDS = {"month": 1, "quarter": 3, "half": 6, "year": 12}

LONGEST = 36525 * 24 * HOUR
"""A window has an entry for each of its hours: 100 years are a million."""


FIRST_OF_SLURM = 1_000_000
"""Slurm's commands take no earlier instant (parse_time.c: parse_time)."""


def duration(text: str) -> int:
    """Seconds in ``30d``, ``12h``, ``5m``, ``90s`` or plain seconds.

    >>> duration("30d"), duration("5m"), duration("90")
    (2592000, 300, 90)
    """
    match = re.fullmatch(r"(\d+)\s*([smhdw]?)", text.strip())
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a duration such as 30d, 12h, 5m or 90s")
    return int(match[1]) * _SECONDS[match[2]]


def iso(at: Instant) -> str:
    """The instant in ISO 8601, UTC.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: str, now: Instant, zone: ZoneInfo) -> Instant:
    """An instant as -S and -E take it: now, now-7days, today, 2027-01-31, or ISO 8601 (civil if no offset).

    >>> amsterdam = ZoneInfo("Europe/Amsterdam")
    >>> iso(instant("2027-03-28", 0, amsterdam)), iso(instant("2027-03-29", 0, amsterdam))
    ('2027-03-27T23:00:00Z', '2027-03-28T22:00:00Z')
    >>> instant("now-2hours", 7200, amsterdam)
    0
    >>> iso(instant("yesterday", instant("2027-03-29T12:00Z", 0, amsterdam), amsterdam))
    '2027-03-27T23:00:00Z'
    """
    if relative := re.fullmatch(r"now(?:([+-]\d+)\s*(second|minute|hour|day|week)s?)?", text):
        unit = (relative[2] or "s")[0]
        return reachable(text, now + int((relative[1] or "0")[:20]) * _SECONDS[unit])
    if text in _DAYS:
        civil = datetime.fromtimestamp(now, zone).date() + timedelta(days=_DAYS[text])
        text = civil.isoformat()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an instant: use 2027-01-31, 2027-01-31T12:00Z, yesterday, now-7days, now+4hours"
        ) from None
    return reachable(text, int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()))


def reachable(text: str, at: Instant) -> Instant:
    """The instant that a text means, if a date can be written for it in every zone. Raises ValueError.

    >>> reachable("now+9999999weeks", 9999999 * 7 * 24 * HOUR)
    Traceback (most recent call last):
    ValueError: 'now+9999999weeks' is too far away: give an instant after 1870 and before 8970
    """
    if not -LONGEST < at < 70 * LONGEST:
        raise ValueError(f"{text!r} is too far away: give an instant after 1870 and before 8970")
    return at


def asked_of_slurm(at: Instant) -> Instant:
    """The instant, if Slurm's commands take it. Raises ValueError.

    >>> asked_of_slurm(0)
    Traceback (most recent call last):
    ValueError: 1970-01-01T00:00:00Z is too early: Slurm takes no instant before 1970-01-12T13:46:40Z
    """
    if at < FIRST_OF_SLURM:
        raise ValueError(f"{iso(at)} is too early: Slurm takes no instant before {iso(FIRST_OF_SLURM)}")
    return at


def day(text: str, zone: ZoneInfo) -> Instant:
    """The civil midnight at which a date begins, which must lie on a whole UTC hour.

    >>> iso(day("2027-04-01", ZoneInfo("Europe/Amsterdam")))
    '2027-03-31T22:00:00Z'
    """
    try:
        civil = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date such as 2027-01-31") from None
    at = int(datetime.combine(civil, time(), zone).timestamp())
    if at % HOUR:
        raise ValueError(f"{text} does not begin on a whole UTC hour in {zone.key}; usage is kept per hour")
    return at


def civil_day(at: Instant, zone: ZoneInfo) -> str:
    """The date that begins at an instant; the instant itself where it is not midnight.

    >>> civil_day(day("2027-04-01", ZoneInfo("Europe/Amsterdam")), ZoneInfo("Europe/Amsterdam"))
    '2027-04-01'
    """
    civil = datetime.fromtimestamp(at, zone)
    return civil.date().isoformat() if civil.time() == time() else iso(at)


def window(text: str, now: Instant, zone: ZoneInfo) -> Window:
    """The window a name means: 2027Q1, 2027-03, 2027H1, 2027, month, quarter, half, year, rolling:30d.

    >>> amsterdam = ZoneInfo("Europe/Amsterdam")
    >>> w = window("2027Q1", 0, amsterdam)
    >>> (w.name, iso(w.since), iso(w.until))
    ('2027Q1', '2026-12-31T23:00:00Z', '2027-03-31T22:00:00Z')
    >>> window("quarter", w.since, amsterdam).name
    '2027Q1'
    >>> window("rolling:2h", 9000, amsterdam)
    Window(name='rolling:2h', since=0, until=9000, rolling=True)
    """
    if text.startswith("rolling:") and not text[-1].isdigit():
        length = duration(text.removeprefix("rolling:"))
        if length > LONGEST:
            raise ValueError(f"{text!r} is longer than 100 years")
        return Window(text, hour_of(now - length), now, rolling=True)
    if text in _KINDS:
        return _containing(_KINDS[text], now, zone)
    if match := re.fullmatch(r"(\d{4})(?:Q([1-4])|H([12])|-(0[1-9]|1[0-2]))?", text):
        year, quarter, half, month = (int(part) if part else None for part in match.groups())
        months = 3 if quarter else 6 if half else 1 if month else 12
        index = (quarter or half or month or 1) - 1
        if year and not 1870 < year < 8970:
            raise ValueError(f"{text!r} is too far away: give a year after 1870 and before 8970")
        if year:
            return _calendar(year, index, months, zone)
    raise ValueError(f"{text!r} is not a window: use 2027Q1, 2027-03, 2027H1, 2027, quarter or rolling:30d")


def read_up_to(asked: Window, as_of: Instant, zone: ZoneInfo) -> Window:
    """The window; a rolling one ends where reading ended, or else only a part of it would be judged."""
    return window(asked.name, min(asked.until, as_of), zone) if asked.rolling else asked


def before(present: Window, zone: ZoneInfo) -> Window | None:
    """The calendar window of the same kind that ends where this one begins; None for another interval.

    >>> amsterdam = ZoneInfo("Europe/Amsterdam")
    >>> before(window("2027Q1", 0, amsterdam), amsterdam).name, before(span(0, 3600), amsterdam)
    ('2026Q4', None)
    """
    months = _months(present.name)
    return _containing(months, present.since - 1, zone) if months else None


def _months(name: str) -> int:
    """How many months the calendar window of this name has; 0 for any other interval."""
    patterns = {r"\d{4}Q\d": 3, r"\d{4}H\d": 6, r"\d{4}-\d\d": 1, r"\d{4}": 12}
    return next((months for pattern, months in patterns.items() if re.fullmatch(pattern, name)), 0)


def leads_to(name: str, other: str) -> bool:
    """Whether a calendar window is the other one, or an earlier one of the same kind.

    >>> leads_to("2027Q1", "2027Q3"), leads_to("2027Q3", "2027Q1"), leads_to("2027Q1", "2027-03")
    (True, False, False)
    """
    return 0 < _months(name) == _months(other) and name <= other


def days(whole: Window, zone: ZoneInfo) -> tuple[date, date]:
    """The civil days of a window, [first, last).

    >>> amsterdam = ZoneInfo("Europe/Amsterdam")
    >>> [day.isoformat() for day in days(window("2027Q1", 0, amsterdam), amsterdam)]
    ['2027-01-01', '2027-04-01']
    """
    first, last = (datetime.fromtimestamp(at, zone).date() for at in (whole.since, whole.until - 1))
    return first, last + timedelta(days=1)


def _containing(months: int, now: Instant, zone: ZoneInfo) -> Window:
    civil = datetime.fromtimestamp(now, zone)
    return _calendar(civil.year, (civil.month - 1) // months, months, zone)


def _calendar(year: int, index: int, months: int, zone: ZoneInfo) -> Window:
    name = {1: f"{year}-{index + 1:02}", 3: f"{year}Q{index + 1}", 6: f"{year}H{index + 1}", 12: f"{year}"}
    first = index * months
    last = first + months
    return Window(name[months], _midnight(year, first, zone), _midnight(year + last // 12, last % 12, zone))


def _midnight(year: int, month0: int, zone: ZoneInfo) -> Instant:
    at = int(datetime.combine(date(year, month0 + 1, 1), time(), zone).timestamp())
    if at % HOUR:
        raise ValueError(f"time zone {zone.key} has no whole-hour offset; usage is kept per whole UTC hour")
    return at


def span(since: Instant, until: Instant) -> Window:
    """The window between two instants, widened to whole hours, as -S and -E mean it.

    >>> span(10, 3601)
    Window(name='1970-01-01T00:00:00Z..1970-01-01T02:00:00Z', since=0, until=7200, rolling=False)
    """
    first, last = hour_of(since), hour_of(until + HOUR - 1)
    if last <= first:
        raise ValueError("the end of the interval is not after its start")
    return Window(f"{iso(first)}..{iso(last)}", first, last)
