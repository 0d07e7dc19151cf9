"""The status page: the board as one self-contained HTML page. Pure: board and time in, HTML out.

The rule: the numbers are in the page itself and need no script; numbers from before a failed cycle are marked
as old.
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
from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.measure.figures import FIGURES, Unit, yes_or_no
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import HOUR, Instant, Mode, Verdict
from slurm_ai_factory.monitor import chart
from slurm_ai_factory.monitor.advice import stale, steps
from slurm_ai_factory.monitor.board import Board, Shown

UTC = ZoneInfo("UTC")
REFRESH = 60
"""Seconds after which a browser asks for the page again."""
MOST_GROUPS = 8
MOST_CHANGES = 6
MODES = {
    Mode.OBSERVE: "observes and writes nothing to Slurm",
    Mode.ADVISE: "says what it would set and writes nothing to Slurm",
    Mode.ENFORCE: "sets RawShares",
}
STANDING: dict[str, str] = {
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
    """The page at an instant; the browser asks for it again after ``refresh`` seconds."""
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
    on_hold = board.shown.decision.reason in HOLDS or board.shown.foreign != ""
    return "warning" if on_hold or outlook.below(board.shown.measurement) else "good"


def headline(board: Board) -> str:
    """The promise in one sentence."""
    if board.shown is not None:
        return outlook.promise_sentence(board.shown.measurement, board.shown.margin)
    if board.failed == "standby":
        return "This saf is on standby; another one steers the cluster."
    if board.failed:
        return "Nothing has been measured yet, because the first cycle failed."
    return "Nothing has been measured yet; the first cycle is running."


def trouble(board: Board, now: Instant) -> str:
    """Why the numbers on the page are out of date; empty when they are not."""
    zone = board.shown.zone if board.shown else UTC
    when = f" The numbers below are as of {_clock(board.shown.at, zone)}." if board.shown else ""
    if board.overdue_since is not None:
        due = f"{_clock(board.overdue_since, zone)}{'' if board.shown else ' UTC'}"
        return f"The cycle that began at {due} has not finished yet.{when}"
    if board.failed:
        return f"{_sentence(board.failure)}{when}"
    return f"No cycle has completed for too long.{when}" if stale(board, now) else ""


def _seen(shown: Shown) -> dict[str, Any]:
    """What the template takes from a complete cycle."""
    m, zone = shown.measurement, shown.zone
    figures = list(_figures(shown))
    until = datetime.fromtimestamp(m.window.until - 1, zone)
    since = datetime.fromtimestamp(m.window.since, zone)
    return {
        "window": m.window.name,
        "span": f"{since.day} {since:%B %Y} to {until.day} {until:%B %Y}",
        "mode": shown.mode,
        "mode_means": MODES[shown.mode],
        "as_of": _clock(m.as_of, zone),
        "zone": zone.key,
        "wide": Markup(chart.share_chart(m, zone, width=960, height=300)),  # noqa: S704 (numbers and our own words)
        "narrow": Markup(chart.share_chart(m, zone, width=380, height=260)),  # noqa: S704
        "figures": figures,
        "columns": 4 if len(figures) > 6 else 3,
        "forecast": FIGURES["expected_share"].of(m, shown.margin) is not None,
        "control": list(_control(shown)),
        "decision": _sentence(shown.decision.sentence),
        "decided": _clock(shown.decision.at, zone),
        "since": shown.reason_since and _clock(shown.reason_since, zone),
        "holds": list(_holds(shown)),
        "changes": _changes(shown),
        "groups": [
            (label, _groups(shown, groups))
            for label, groups in shown.groups.items()
            if any(group.name != group.beneficiary for group in groups)
        ],
    }


def _figures(shown: Shown) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it is of); figures of the rest of a window only where it has a rest."""
    m, margin = shown.measurement, shown.margin
    unit = f"{outlook.resource_unit(m.called)}-hours"
    mendable = outlook.mendable(m, margin)
    attainable = "" if mendable is None else f"; {FIGURES['attainable'].words}: {yes_or_no(mendable)}"
    verdict = STANDING[FIGURES["verdict"].of(m, margin)]
    for key, note in (
        ("delivered_share", f"to the region, of {_hours(m.total_charge)} {unit}"),
        ("target_share", f"{FIGURES['verdict'].words}: {verdict}"),
        ("required_share", f"of the rest, {outlook.percent_text(margin)} to spare{attainable}"),
        ("expected_share", "if the rest is like the last seven days"),
        ("capacity_share", "of all that was up in the window"),
        ("waiting_charge", f"regional {unit}"),
        ("starved_charge", f"{unit} of them while below the floor"),
        ("unclassified_share", "of the charge; counted as not regional"),
    ):
        figure = FIGURES[key]
        value = figure.of(m, margin)
        if value is not None or key not in ("required_share", "expected_share"):
            text = _ratio(value) if figure.unit is Unit.RATIO else _hours(value)
            yield figure.words.capitalize(), text, note


def _control(shown: Shown) -> Iterator[tuple[str, str]]:
    """(name, value) of what the control works with."""
    inputs, m = shown.decision.inputs, shown.measurement
    for row in shown.steered:
        if row.raw_shares is not None:
            name = "RawShares" if len(shown.steered) == 1 else f"RawShares of {row.account}"
            wanted = "" if row.wanted == row.raw_shares else f", wanted {row.wanted}"
            yield name, f"{row.raw_shares}{wanted}"
    for name, value in (
        ("Share of its level", inputs.get("share")),
        ("Set-point", inputs.get("share_wanted")),
        ("EffectvUsage", inputs.get("usage_share")),
        ("Regional charge outside the steered accounts", shown.reach.outside_share),
        ("Non-regional charge of the steered accounts", shown.reach.other_share),
    ):
        if isinstance(value, float | int):
            yield name, _ratio(value)
    running, waiting = (
        f"{float(amount):,.10g}".replace(",", " ") for amount in (m.regional_running, m.regional_pending)
    )
    yield "Regional jobs", f"{running} {outlook.resource_unit(m.called)} running, {waiting} waiting"


def _holds(shown: Shown) -> Iterator[str]:
    """What keeps the control from steering, and what it steers badly, in sentences."""
    reason = shown.decision.reason
    if reason in HOLDS:
        since = "" if shown.reason_since is None else f", since {_clock(shown.reason_since, shown.zone)}"
        yield f"{_sentence(REASONS[reason]).rstrip('.')}{since}."
    if shown.foreign:
        yield f"Another user changed {shown.foreign}."
    yield from map(_sentence, shown.reach.sentences)


def _changes(shown: Shown) -> list[dict[str, str]]:
    """The latest changes of RawShares; with the account where several are steered."""
    return [
        {
            "at": _clock(change.at, shown.zone),
            "shares": f"{f'{change.account} ' if len(shown.steered) > 1 else ''}"
            f"{change.raw_shares_before} → {change.raw_shares_after}",
            "status": change.status,
            "why": REASONS.get(change.reason, change.reason),
        }
        for change in shown.history[:MOST_CHANGES]
    ]


def _groups(shown: Shown, groups: Sequence[Group]) -> list[dict[str, str]]:
    """The largest groups, with the width of their bars in per cent of the largest."""
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
    return "unknown" if value is None else outlook.percent_text(value)


def _hours(charge: Any) -> str:
    return "unknown" if charge is None else f"{float(charge) / HOUR:,.0f}".replace(",", " ")


def _clock(at: Instant, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(at, zone)
    return f"{moment.day} {moment:%b %H:%M}"
