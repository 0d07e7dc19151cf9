"""Windows in civil time: right across clock changes, without gaps, and clear about what is refused."""

from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import HOUR, Window

AMSTERDAM, UTC = ZoneInfo("Europe/Amsterdam"), ZoneInfo("UTC")
NOON = 1_803_902_400
"""2027-03-01T12:00:00Z"""

years = st.integers(2000, 2100)
zones = st.sampled_from(("Europe/Amsterdam", "UTC", "America/New_York", "Asia/Tokyo")).map(ZoneInfo)
moments = st.integers(946_684_800 + 48 * HOUR, 4_102_444_800)
"""Anywhere in 2000..2099."""


def _window(text: str, now: int = NOON, zone: ZoneInfo = AMSTERDAM) -> Window:
    return windows.window(text, now, zone)


@pytest.mark.parametrize(
    ("text", "since", "until", "hours"),
    [
        ("2027-03", "2027-02-28T23:00:00Z", "2027-03-31T22:00:00Z", 31 * 24 - 1),
        ("2027-10", "2027-09-30T22:00:00Z", "2027-10-31T23:00:00Z", 31 * 24 + 1),
        ("2027-12", "2027-11-30T23:00:00Z", "2027-12-31T23:00:00Z", 31 * 24),
        ("2028-02", "2028-01-31T23:00:00Z", "2028-02-29T23:00:00Z", 29 * 24),
        ("2027Q1", "2026-12-31T23:00:00Z", "2027-03-31T22:00:00Z", 90 * 24 - 1),
        ("2027Q2", "2027-03-31T22:00:00Z", "2027-06-30T22:00:00Z", 91 * 24),
        ("2027Q3", "2027-06-30T22:00:00Z", "2027-09-30T22:00:00Z", 92 * 24),
        ("2027Q4", "2027-09-30T22:00:00Z", "2027-12-31T23:00:00Z", 92 * 24 + 1),
        ("2027H1", "2026-12-31T23:00:00Z", "2027-06-30T22:00:00Z", 181 * 24 - 1),
        ("2027H2", "2027-06-30T22:00:00Z", "2027-12-31T23:00:00Z", 184 * 24 + 1),
        ("2027", "2026-12-31T23:00:00Z", "2027-12-31T23:00:00Z", 365 * 24),
        ("2028", "2027-12-31T23:00:00Z", "2028-12-31T23:00:00Z", 366 * 24),
    ],
)
def test_a_calendar_window_begins_and_ends_at_civil_midnight(
    text: str, since: str, until: str, hours: int
) -> None:
    found = _window(text)
    assert (found.name, windows.iso(found.since), windows.iso(found.until)) == (text, since, until)
    assert found.until - found.since == hours * HOUR
    assert not found.rolling


@pytest.mark.parametrize(
    ("text", "now", "name"),
    [
        ("quarter", "2027-03-31T21:59:59Z", "2027Q1"),
        ("quarter", "2027-03-31T22:00:00Z", "2027Q2"),
        ("month", "2027-10-31T22:59:59Z", "2027-10"),
        ("month", "2027-10-31T23:00:00Z", "2027-11"),
        ("half", "2027-06-30T22:00:00Z", "2027H2"),
        ("year", "2027-12-31T22:59:59Z", "2027"),
        ("year", "2027-12-31T23:00:00Z", "2028"),
    ],
)
def test_a_window_without_a_year_is_the_one_that_now_lies_in(text: str, now: str, name: str) -> None:
    assert _window(text, windows.instant(now, 0, AMSTERDAM)).name == name


@given(st.sampled_from(("month", "quarter", "half", "year")), moments, zones)
def test_the_window_that_now_lies_in_contains_now_and_goes_by_its_own_name(
    kind: str, now: int, zone: ZoneInfo
) -> None:
    found = _window(kind, now, zone)
    assert found.since <= now < found.until
    assert _window(found.name, 0, zone) == found


@pytest.mark.parametrize(
    "parts",
    [
        [f"Q{n}" for n in range(1, 5)],
        [f"H{n}" for n in range(1, 3)],
        [f"-{n:02}" for n in range(1, 13)],
    ],
)
@given(year=years, zone=zones)
def test_the_parts_of_a_year_tile_it(parts: list[str], year: int, zone: ZoneInfo) -> None:
    tiles = [_window(f"{year}{part}", zone=zone) for part in parts]
    whole = _window(f"{year}", zone=zone)
    assert (tiles[0].since, tiles[-1].until) == (whole.since, whole.until)
    assert all(one.until == following.since for one, following in pairwise(tiles))
    assert all(one.since % HOUR == one.until % HOUR == 0 and one.since < one.until for one in tiles)


@given(years, zones)
def test_a_year_ends_where_the_following_one_begins(year: int, zone: ZoneInfo) -> None:
    assert _window(f"{year}", zone=zone).until == _window(f"{year + 1}", zone=zone).since


@given(st.integers(1, 1000), st.sampled_from("hdw"), moments)
def test_a_rolling_window_ends_now_and_begins_on_the_whole_hour_it_reaches_back_to(
    count: int, unit: str, now: int
) -> None:
    found = _window(f"rolling:{count}{unit}", now)
    asked = windows.duration(f"{count}{unit}")
    assert found.rolling
    assert found.until == now
    assert found.since % HOUR == 0
    assert asked <= found.until - found.since < asked + HOUR


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide", "America/St_Johns"])
@pytest.mark.parametrize("text", ["2027Q1", "2027-07", "quarter", "year"])
def test_a_zone_that_is_not_whole_hours_from_utc_is_refused_by_its_name(zone: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"time zone {zone} has no whole-hour offset"):
        _window(text, zone=ZoneInfo(zone))


def test_a_rolling_window_is_the_same_in_every_zone() -> None:
    assert _window("rolling:30d", zone=ZoneInfo("Asia/Kolkata")) == _window("rolling:30d", zone=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "", "Q1", "2027Q0", "2027Q5", "2027H0", "2027H3", "2027-00", "2027-13", "2027-1", "2027-3", "0000",
        "27Q1", "2027q1", "2027Q1 ", " 2027", "2027-03-01", "quarters", "Quarter", "rolling", "rolling:",
        "rolling:0d", "rolling:-3d", "rolling:30y", "rolling:30", "rolling:quarter", "week", "9999",
    ],
)  # fmt: skip
def test_a_name_that_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (window|duration)|is too far away: give a year"):
        _window(text)


@given(st.text(max_size=30) | st.from_regex(r"\A\d{1,5}([QH-]?\d{0,3})\Z"), moments)
@example("0001", NOON)
@example("9999Q4", NOON)
@example("rolling:" + "9" * 5000, NOON)
@example("rolling:99999999d", NOON)
def test_any_name_is_a_window_or_refused(text: str, now: int) -> None:
    try:
        found = _window(text, now)
    except ValueError:
        return
    assert found.since < found.until


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("5m", 300), ("12h", 12 * HOUR), ("30d", 720 * HOUR), ("2w", 336 * HOUR),
        (" 5 m ", 300), ("05m", 300),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert windows.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0d", "-1d", "+1d", "1.5h", "h", "1y", "1 month", "1d12h", "1D", "9" * 5000]
)
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reason for 5000 digits is Python's own
        windows.duration(text)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("now", "2027-03-01T12:00:00Z"),
        ("now-7days", "2027-02-22T12:00:00Z"),
        ("now-1day", "2027-02-28T12:00:00Z"),
        ("now+2hours", "2027-03-01T14:00:00Z"),
        ("now-30minutes", "2027-03-01T11:30:00Z"),
        ("now-90seconds", "2027-03-01T11:58:30Z"),
        ("now-1week", "2027-02-22T12:00:00Z"),
        ("2027-03-28", "2027-03-27T23:00:00Z"),
        ("2027-03-29", "2027-03-28T22:00:00Z"),
        ("2027-10-31", "2027-10-30T22:00:00Z"),
        ("2027-11-01", "2027-10-31T23:00:00Z"),
        ("2027-07-01T12:00", "2027-07-01T10:00:00Z"),
        ("2027-07-01T12:00Z", "2027-07-01T12:00:00Z"),
        ("2027-07-01T12:00:30+05:30", "2027-07-01T06:30:30Z"),
        ("2027-10-31T02:30", "2027-10-31T00:30:00Z"),
        ("2027-10-31T02:30+01:00", "2027-10-31T01:30:00Z"),
    ],
)
def test_an_instant_without_an_offset_is_civil_time(text: str, iso: str) -> None:
    assert windows.iso(windows.instant(text, NOON, AMSTERDAM)) == iso


@pytest.mark.parametrize(
    "text", ["", "someday", "now-", "now-7 months", "2027", "2027-13-01", "2027-02-30", "12:00"]
)
def test_a_text_that_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an instant"):
        windows.instant(text, NOON, AMSTERDAM)


@pytest.mark.parametrize(
    "text", ["now-9999999999999999days", f"now+{'9' * 5000}hours", "now+9999999weeks", "0001-01-01"]
)
def test_an_instant_of_which_no_date_can_be_written_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is too far away"):
        windows.instant(text, NOON, AMSTERDAM)


@given(st.text(max_size=30) | st.from_regex(r"\A\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d|Z)?)?\Z"))
@example("0001-01-01")
@example("0001-01-01T00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    try:
        windows.instant(text, NOON, AMSTERDAM)
    except ValueError:
        return


@given(moments, zones)
def test_an_instant_written_in_iso_is_read_back(at: int, zone: ZoneInfo) -> None:
    assert windows.instant(windows.iso(at), 0, zone) == at


@given(moments, st.integers(1, 10_000_000))
def test_a_span_is_widened_to_whole_hours_and_named_by_them(since: int, seconds: int) -> None:
    found = windows.span(since, since + seconds)
    assert found.since % HOUR == found.until % HOUR == 0
    assert found.since <= since < found.since + HOUR
    assert found.until - HOUR < since + seconds <= found.until
    assert found.name == f"{windows.iso(found.since)}..{windows.iso(found.until)}"


@pytest.mark.parametrize(("since", "until"), [(3600, 3600), (7200, 3600), (7201, 7200)])
def test_a_span_that_ends_before_it_starts_is_refused(since: int, until: int) -> None:
    with pytest.raises(ValueError, match="not after its start"):
        windows.span(since, until)
