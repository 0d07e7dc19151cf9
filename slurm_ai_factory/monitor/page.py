"""The status page: the board as one self-contained HTML page. Pure: board, time and language in, HTML out.

The rule: the numbers are in the page itself and need no script; numbers from before a failed cycle are marked
as old. Every word is in ``messages``, except names, commands and the errors and decisions that saf recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slurm_ai_factory import __version__
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.control.lever import APART_MOST
from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.escaped import for_page
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.measure.figures import FIGURES, Unit
from slurm_ai_factory.core.measure.share import Group
from slurm_ai_factory.core.records import Further, Instant, LeverKind
from slurm_ai_factory.language import DEFAULT, LANGUAGES, Language, language
from slurm_ai_factory.monitor import chart
from slurm_ai_factory.monitor.advice import foreign_words, stale, steps
from slurm_ai_factory.monitor.board import Board, Shown
from slurm_ai_factory.monitor.joint import JointShown
from slurm_ai_factory.monitor.sentence import promise_sentence, resource_hours, resource_key

UTC = ZoneInfo("UTC")
REFRESH = 60
"""Seconds after which a browser asks for the page again."""
TONES = ("bad", "warning", "waiting", "good")
"""The states of a cluster, the worst first."""
MOST_GROUPS = 8
MOST_CHANGES = 6

ENVIRONMENT = Environment(
    loader=PackageLoader("slurm_ai_factory.monitor", "."),
    autoescape=True,
    finalize=for_page,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_template = ENVIRONMENT.get_template("status.html")


def status_html(
    board: Board, now: Instant, refresh: int = REFRESH, code: str = DEFAULT, root: str = "",
    joint: Sequence[JointShown] = (),
) -> str:  # fmt: skip
    """The page at an instant, in a language; the browser asks for it again after ``refresh`` seconds.

    ``root``: the way from this page to that of all clusters; empty where this is the only one, which then has
    the joint promises.
    """
    rows = joint_rows(joint, code)
    with board.lock:
        shown = board.shown
        speech = language(code, shown.zone if shown else UTC)
        return _template.render(
            **around(speech, refresh, root),
            board=board,
            joint=rows,
            tone=worst(tone(board, now), *(row["tone"] for row in rows)),
            headline=headline(board, speech),
            trouble=trouble(board, now, speech),
            steps=[(step.sentence(speech), step.command) for step in steps(board, now, speech)],
            seen=None if shown is None else _seen(shown, speech),
        )


def around(speech: Language, refresh: int, root: str = "") -> dict[str, Any]:
    """What every page shows around its content, in a language."""
    names = {code: language(code, UTC).text("live_page.name") for code in LANGUAGES if code != speech.code}
    return {
        "version": __version__, "refresh": refresh, "root": root, "l": speech, "say": speech.text,
        "others": list(names.items()),
    }  # fmt: skip


def tone(board: Board, now: Instant) -> str:
    """good, warning, bad, or waiting for the first cycle."""
    if board.shown is None:
        return "bad" if board.failed == "failed" else "waiting"
    if board.failed == "failed" or board.overdue_since is not None or stale(board, now):
        return "bad"
    shown = board.shown
    on_hold = shown.decision.reason in HOLDS or shown.foreign
    return "warning" if on_hold else _tone_of(shown.promises[0])


def _tone_of(promise: Further) -> str:
    """good or warning, of a promise whose measurement is the newest."""
    known = assess(*promise)
    return "warning" if known.below or known.reason in ("unread", "unclassified") else "good"


def worst(*tones: str) -> str:
    """The worst of these tones."""
    return min(tones, key=TONES.index)


def joint_rows(joint: Sequence[JointShown], code: str) -> list[dict[str, str]]:
    """A joint promise in each row, with times in its own zone."""
    return [_joint_row(each, language(code, each.zone or UTC)) for each in joint]


def _joint_row(each: JointShown, speech: Language) -> dict[str, str]:
    if each.measured is None:
        why = _sentence(each.error) if each.error else speech.text("joint_page.late")
        row = {"verdict": speech.text("joint_page.unmeasured"), "sentence": why, "tone": "warning"}
        return {"name": each.name, "clusters": "", "as_of": "", **row}
    m, margin = each.measured
    return {
        "name": each.name,
        "clusters": m.cluster.replace(",", ", "),
        "tone": _tone_of(each.measured),
        "verdict": speech.word("promise_verdict", assess(m, margin).verdict),
        "sentence": promise_sentence(m, margin, speech),
        "as_of": f"{speech.clock(m.as_of)} ({speech.zone.key})",
    }


def headline(board: Board, speech: Language) -> str:
    """The promise in one sentence."""
    if board.shown is not None:
        return promise_sentence(board.shown.measurement, board.shown.margin, speech)
    if board.failed == "standby":
        return speech.text("live_page.standby")
    return speech.text("live_page.first_failed" if board.failed else "live_page.first")


def trouble(board: Board, now: Instant, speech: Language) -> str:
    """Why the numbers on the page are out of date; empty when they are not."""
    why = why_old(board, now, speech)
    as_of = f" {speech.text('live_page.as_of', at=speech.clock(board.shown.at))}" if board.shown else ""
    return f"{why}{as_of}" if why else ""


def why_old(board: Board, now: Instant, speech: Language) -> str:
    """Why nothing newer is known; empty where the last cycle is."""
    if board.overdue_since is not None:
        due = f"{speech.clock(board.overdue_since)}{'' if board.shown else ' UTC'}"
        return speech.text("live_page.overdue", at=due)
    if board.failed:
        return _sentence(board.failure)
    return speech.text("live_page.stale") if stale(board, now) else ""


def _seen(shown: Shown, speech: Language) -> dict[str, Any]:
    """What the template takes from a complete cycle."""
    m = shown.measurement
    figures = list(_figures(shown, speech))
    drawn = partial(chart.share_chart, m, speech, promise_sentence(m, shown.margin, speech), shown.earlier)
    return {
        "window": speech.window(m.window.name),
        "rolling": m.window.rolling,
        "span": {
            "since": speech.day(windows.iso(m.window.since)),
            "until": speech.day(windows.iso(m.window.until), 1),
        },
        "weights": _weights(shown, speech),
        "mode": shown.mode,
        "as_of": speech.clock(m.as_of),
        "zone": speech.zone.key,
        "wide": Markup(drawn(width=960, height=300)),  # noqa: S704 (its words are escaped there)
        "narrow": Markup(drawn(width=380, height=260)),  # noqa: S704
        "figures": figures,
        "promises": [_promised(each, speech) for each in shown.promises] if shown.further else [],
        "columns": 4 if len(figures) > 6 else 3,
        "forecast": assess(m, shown.margin).expected_share is not None,
        "control": list(_control(shown, speech)),
        "decision": _decision(shown, speech),
        "decided": _decided(shown, speech),
        "holds": list(_holds(shown, speech)),
        "changes": _changes(shown, speech),
        "groups": [
            (label, _groups(shown, label, groups, speech))
            for label, groups in shown.groups.items()
            if any(group.name != group.beneficiary for group in groups)
        ],
    }


def _figures(shown: Shown, speech: Language) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it is of); figures of the rest of a window only where something is said of it."""
    m, margin = shown.measurement, shown.margin
    known = assess(m, margin)
    words = {
        "total": speech.short_hours(m.total_charge),
        "unit": resource_hours(m, speech),
        "margin": speech.plain_floor(margin),
        "verdict": speech.word("live_outcome", known.verdict),
    }
    reach = {True: "_yes", False: "_no", None: ""}[known.attainable]
    for key in (
        "delivered_share", "target_share", "required_share", "expected_share", "capacity_share",
        "waiting_charge", "starved_charge", "unclassified_share",
    ):  # fmt: skip
        value = FIGURES[key].of(m, margin)
        if value is None and key in ("required_share", "expected_share"):
            continue
        note = f"{key}_note{reach if key == 'required_share' else ''}"
        yield (
            speech.word("live_figure", key),
            _value(key, value, m.target_share, speech),
            speech.text(f"live_figure.{note}", **words),
        )


def _promised(promise: Further, speech: Language) -> dict[str, str]:
    """A promise beside the others."""
    m, share = promise.measurement, promise.measurement.delivered_share
    unknown = speech.text("format.unknown")
    return {
        "name": m.promise,
        "what": speech.text(
            "promises.what",
            bound=speech.word("bound", m.bound),
            base=speech.part_of(m.share_of),
            window=speech.window(m.window.name),
        ),
        "promised": speech.promised(m.bound, m.target_share),
        "delivered": unknown if share is None else speech.plain_percent(share, m.target_share),
        "verdict": speech.word("promise_verdict", assess(*promise).verdict),
    }


def _value(key: str, value: Any, floor: float, speech: Language) -> str:
    """A figure as text; the delivered share with enough decimals beside the floor."""
    if value is None:
        return speech.text("format.unknown")
    if FIGURES[key].unit is not Unit.RATIO:
        return speech.short_hours(value)
    if key == "target_share":
        return speech.plain_floor(value)
    return speech.plain_percent(value, floor if key == "delivered_share" else None)


def _weights(shown: Shown, speech: Language) -> str:
    """The weighted sum behind the unit; empty for a plain TRES."""
    m = shown.measurement
    if "*" not in m.resource.name:
        return ""
    terms = (f"{weight} {name}" for name, weight in m.resource.weights.items())
    return speech.text(
        "live_page.weights",
        label=m.resource_label or speech.text("live_page.one_unit"),
        weights=" + ".join(terms),
    )


def _control(shown: Shown, speech: Language) -> Iterator[tuple[str, str]]:
    """(name, value) of what the control works with."""
    inputs, m = shown.decision.inputs, shown.measurement
    for row in shown.steered:
        if row.raw_shares is not None:
            key = "live_control.raw_shares" if len(shown.steered) == 1 else "live_control.raw_shares_of"
            if shown.lever is not LeverKind.ACCOUNT:
                key = f"live_control.switch_{shown.lever}"
            wanted = speech.text("live_control.wanted", shares=row.raw_shares, wanted=row.wanted)
            yield (
                speech.text(key, account=row.account),
                str(row.raw_shares) if row.wanted == row.raw_shares else wanted,
            )
    if shown.switch_raised is not None:
        position = "raised" if shown.switch_raised else "lowered"
        yield speech.text("live_control.position"), speech.text(f"live_control.{position}")
    switched = shown.lever is not LeverKind.ACCOUNT
    for name, value in (
        ("share", inputs.get("share")),
        ("share_wanted", inputs.get("u_ref" if switched else "share_wanted")),
        ("decayed" if switched else "usage_share", inputs.get("usage_share")),
        ("outside", shown.reach.outside_share),
        ("other", shown.reach.other_share),
    ):
        if isinstance(value, float | int):
            yield speech.text(f"live_control.{name}"), speech.plain_percent(value)
    unit = m.resource_label or speech.word("live_amount", resource_key(m))
    running, waiting = (speech.amount(float(n)) for n in (m.regional_running, m.regional_pending))
    yield (
        speech.text("live_control.jobs"),
        speech.text("live_control.jobs_now", running=running, unit=unit, waiting=waiting),
    )


def _decision(shown: Shown, speech: Language) -> str:
    """The last decision from its reason and changes; in English a hold as recorded, which says more of it."""
    if speech.code == DEFAULT and shown.decision.reason in HOLDS:
        return _sentence(shown.decision.sentence)
    changes = ", ".join(
        f"{change.lever.attribute} {change.account} {change.raw_shares_before} → {change.raw_shares_after}"
        for change in shown.decision.changes
    )
    key = "live_decided.changed" if changes else "live_decided.unchanged"
    return speech.text(key, changes=changes, reason=speech.word("live_why", shown.decision.reason))


def _decided(shown: Shown, speech: Language) -> str:
    at = speech.clock(shown.decision.at)
    if shown.reason_since is None:
        return speech.text("live_page.decided", at=at)
    return speech.text("live_page.decided_since", at=at, since=speech.clock(shown.reason_since))


def _holds(shown: Shown, speech: Language) -> Iterator[str]:
    """What keeps the control from steering, and what it steers badly, in sentences."""
    reason = shown.decision.reason
    if reason in HOLDS:
        since = "" if shown.reason_since is None else speech.clock(shown.reason_since)
        words = _sentence(speech.word("live_why", reason)).rstrip(".")
        yield speech.text(
            "live_control.hold_since" if since else "live_control.hold", reason=words, since=since
        )
    if changes := foreign_words(shown, speech):
        yield speech.text("live_control.foreign", changes=changes)
    for key, part in (("outside_much", shown.reach.outside_share), ("other_much", shown.reach.other_share)):
        if part is not None and part > APART_MOST:
            yield speech.text(f"live_control.{key}", share=speech.plain_percent(part))


def _changes(shown: Shown, speech: Language) -> list[dict[str, str]]:
    """The latest changes of RawShares; with the account where several are steered."""
    return [
        {
            "at": speech.clock(change.at),
            "shares": f"{f'{change.account} ' if len(shown.steered) > 1 else ''}"
            f"{change.raw_shares_before} → {change.raw_shares_after}",
            "status": change.status,
            "status_words": speech.word("live_change", change.status),
            "why": speech.word("live_why", change.reason),
        }
        for change in shown.history[:MOST_CHANGES]
    ]


def _groups(shown: Shown, label: str, groups: Sequence[Group], speech: Language) -> list[dict[str, str]]:
    """The largest groups, with the width of their bars in per cent of the largest."""
    total = float(shown.measurement.total_charge) or 1.0
    largest = max(float(group.delivered) for group in groups)
    return [
        {
            "name": speech.word(label, speech.word("live_beneficiary", group.name)).replace("_", " "),
            "beneficiary": str(group.beneficiary),
            "share": speech.plain_percent(float(group.delivered) / total),
            "width": f"{100 * float(group.delivered) / largest:.1f}",
        }
        for group in groups[:MOST_GROUPS]
    ]


def _sentence(text: str) -> str:
    """A phrase of the code as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
