"""The status page: the board as one page that needs nothing else. Pure: board and time in, HTML out.

The rule: the numbers are in the page itself and need no script; what is older than a failed cycle says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slurm_ai_factory import __version__
from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.escaped import for_page
from slurm_ai_factory.core.measure import judgement, outlook, share
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import HOUR, Instant, Verdict
from slurm_ai_factory.monitor import chart
from slurm_ai_factory.monitor.advice import stale, steps
from slurm_ai_factory.monitor.board import Board, Done, Shown

UTC = ZoneInfo("UTC")
REFRESH = 60
"""Seconds after which a browser asks for the page again."""
MOST_GROUPS = 8
MOST_CHANGES = 6
MODES = {
    "observe": "watches, and writes nothing to Slurm",
    "advise": "says what it would set, and writes nothing to Slurm",
    "enforce": "sets RawShares",
}
STANDING = {
    Verdict.MET: "met", Verdict.OPEN: "open", Verdict.MISSED_DEMAND: "missed, for want of regional work",
    Verdict.MISSED_STARVED: "missed, while regional jobs waited",
}  # fmt: skip

_environment = Environment(
    loader=PackageLoader("slurm_ai_factory.monitor", "."),
    autoescape=True,
    finalize=for_page,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_template = _environment.get_template("status.html")


def status_html(board: Board, now: Instant, refresh: int = REFRESH) -> str:
    """The page as of now, which asks for itself again after so many seconds."""
    with board.lock:
        shown = board.shown
        text = _template.render(
            board=board,
            version=__version__,
            refresh=refresh,
            tone=tone(board, now),
            headline=headline(board),
            trouble=trouble(board, now),
            steps=steps(board, now),
            seen=None if shown is None else _seen(shown),
        )
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def tone(board: Board, now: Instant) -> str:
    """good, warning, bad, or waiting for the first cycle."""
    if board.shown is None:
        return "bad" if board.failed == "failed" else "waiting"
    if board.failed == "failed" or board.overdue_since is not None or stale(board, now):
        return "bad"
    held = board.shown.decision.reason in HOLDS or board.shown.foreign != ""
    risky = outlook.below(board.shown.measurement)
    return "warning" if held or risky else "good"


def headline(board: Board) -> str:
    """The promise in one sentence."""
    if board.shown is not None:
        return outlook.promise_sentence(board.shown.measurement, board.shown.margin)
    if board.failed == "standby":
        return "This saf stands by; another one steers the cluster."
    if board.failed:
        return "Nothing has been measured yet, because the first cycle failed."
    return "Nothing has been measured yet; the first cycle is under way."


def trouble(board: Board, now: Instant) -> str:
    """Why the numbers on the page may not be believed as they stand; empty when they may."""
    zone = board.shown.zone if board.shown else UTC
    when = f" What follows is as of {_clock(board.shown.at, zone)}." if board.shown else ""
    if board.overdue_since is not None:
        due = f"{_clock(board.overdue_since, zone)}{'' if board.shown else ' UTC'}"
        return f"The cycle that began at {due} has not finished yet.{when}"
    if board.failed:
        return f"{board.failure[:1].upper()}{board.failure[1:].rstrip('.')}.{when}"
    return f"No complete cycle for too long.{when}" if stale(board, now) else ""


def _seen(shown: Shown) -> dict[str, Any]:
    m, zone = shown.measurement, shown.zone
    figures = list(_figures(shown))
    return {
        "window": m.window.name,
        "span": f"{_date(m.window.since, zone)} to {_date(m.window.until - 1, zone)}",
        "mode": shown.mode,
        "mode_means": MODES[shown.mode],
        "as_of": _clock(m.as_of, zone),
        "zone": zone.key,
        "wide": Markup(chart.share_chart(m, zone, width=960, height=300)),  # noqa: S704 (numbers and our own words)
        "narrow": Markup(chart.share_chart(m, zone, width=380, height=260)),  # noqa: S704
        "figures": figures,
        "columns": 4 if len(figures) > 6 else 3,
        "forecast": outlook.expected_share(m) is not None,
        "control": list(_control(shown)),
        "decision": _sentence(shown.decision.sentence),
        "decided": _clock(shown.decision.at, zone),
        "since": shown.reason_since and _clock(shown.reason_since, zone),
        "holds": list(_holds(shown)),
        "changes": [_change(one, zone, len(shown.steered) > 1) for one in shown.history[:MOST_CHANGES]],
        "groups": [
            (label, _groups(shown, groups)) for label, groups in shown.groups.items() if _told(groups)
        ],
    }


def _figures(shown: Shown) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it is of)."""
    m = shown.measurement
    unit = f"{outlook.resource_unit(m.called)}-hours"
    yield "Delivered to the region", _ratio(m.delivered_share), f"of {_hours(m.total_charge)} {unit}"
    yield "Promised", outlook.short_percent(m.target_share), f"verdict: {STANDING[judgement.verdict(m)]}"
    yield from _ahead(shown)
    yield "Of capacity", _ratio(m.capacity_share), "of all that was up in the window"
    yield "Waited", _hours(m.waiting_charge), f"regional {unit}"
    yield "Starved", _hours(m.starved_charge), f"{unit} of them while below the floor"
    yield "Unclassified", _ratio(outlook.unclassified_ratio(m)), "of the charge; counted as not regional"


def _ahead(shown: Shown) -> Iterator[tuple[str, str, str]]:
    """What a calendar window still takes, and where it will end."""
    m, margin = shown.measurement, shown.margin
    required, expected = share.required_share(m, margin), outlook.expected_share(m)
    reach = {True: "; within reach", False: "; out of reach", None: ""}[outlook.mendable(m, margin)]
    if required is not None:
        yield (
            "Needed from now on",
            _ratio(required),
            f"of the rest, {outlook.short_percent(margin)} to spare{reach}",
        )
    if expected is not None:
        yield "Expected at the end", _ratio(expected), "if the rest is like the last seven days"


def _control(shown: Shown) -> Iterator[tuple[str, str]]:
    inputs, m = shown.decision.inputs, shown.measurement
    for one in shown.steered:
        if one.raw_shares is not None:
            name = "RawShares" if len(shown.steered) == 1 else f"RawShares of {one.account}"
            wanted = "" if one.wanted == one.raw_shares else f", wanted {one.wanted}"
            yield name, f"{one.raw_shares}{wanted}"
    for name, key in (
        ("Share of its level", "share"),
        ("Set-point", "share_wanted"),
        ("EffectvUsage", "usage_share"),
    ):
        value = inputs.get(key)
        if isinstance(value, float | int):
            yield name, _ratio(value)
    for name, part in (
        ("Regional charge out of its reach", shown.reach.outside_share),
        ("Its charge that is not regional", shown.reach.other_share),
    ):
        if part is not None:
            yield name, _ratio(part)
    unit = outlook.resource_unit(m.called)
    yield (
        "Regional jobs",
        f"{_count(m.regional_running)} {unit} running, {_count(m.regional_pending)} waiting",
    )


def _holds(shown: Shown) -> Iterator[str]:
    reason = shown.decision.reason
    if reason in HOLDS:
        since = "" if shown.reason_since is None else f", since {_clock(shown.reason_since, shown.zone)}"
        yield f"{_sentence(REASONS[reason]).rstrip('.')}{since}."
    if shown.foreign:
        yield f"Somebody else changed {shown.foreign}."
    yield from (_sentence(one) for one in shown.reach.sentences)


def _change(one: Done, zone: ZoneInfo, named: bool) -> dict[str, str]:
    name = f"{one.account} " if named else ""
    return {
        "at": _clock(one.at, zone),
        "shares": f"{name}{one.raw_shares_before} → {one.raw_shares_after}",
        "status": one.status,
        "why": REASONS.get(one.reason, one.reason),
    }


def _told(groups: Sequence[Group]) -> bool:
    """Whether the rules tell any of these apart from the beneficiary alone."""
    return any(group.name != group.beneficiary for group in groups)


def _groups(shown: Shown, groups: Sequence[Group]) -> list[dict[str, str]]:
    total = float(shown.measurement.total_charge) or 1.0
    largest = max(float(group.delivered) for group in groups)
    return [
        {
            "name": group.name.replace("_", " "),
            "beneficiary": str(group.beneficiary),
            "share": _ratio(float(group.delivered) / total),
            "width": f"{100 * float(group.delivered) / largest:.1f}",
        }
        for group in groups[:MOST_GROUPS]
    ]


def _sentence(text: str) -> str:
    """A phrase of the code as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _ratio(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _hours(charge: Any) -> str:
    return "unknown" if charge is None else f"{float(charge) / HOUR:,.0f}".replace(",", " ")


def _count(value: Any) -> str:
    return f"{float(value):,.10g}".replace(",", " ")


def _date(at: Instant, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(at, zone)
    return f"{moment.day} {moment:%B %Y}"


def _clock(at: Instant, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(at, zone)
    return f"{moment.day} {moment:%b %H:%M}"
