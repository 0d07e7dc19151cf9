"""The page of all clusters: a line for each, with a link to its own page, and for each joint promise.

Pure, as ``page`` is.
"""

from __future__ import annotations

from collections.abc import Sequence

from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.language import DEFAULT, language
from slurm_ai_factory.monitor.board import Board
from slurm_ai_factory.monitor.joint import JointShown
from slurm_ai_factory.monitor.page import (
    ENVIRONMENT,
    REFRESH,
    UTC,
    around,
    headline,
    joint_rows,
    tone,
    why_old,
    worst,
)

_template = ENVIRONMENT.get_template("overview.html")


def address_of(cluster: str) -> str:
    """The address of a cluster's page, below that of all clusters."""
    return f"cluster/{cluster}"


def overview_html(
    boards: Sequence[Board], now: Instant, refresh: int = REFRESH, code: str = DEFAULT,
    joint: Sequence[JointShown] = (),
) -> str:  # fmt: skip
    """The page at an instant, in a language; the browser asks for it again after ``refresh`` seconds."""
    rows = [_row(board, now, code) for board in boards]
    speech, promised = language(code, UTC), joint_rows(joint, code)
    good = [row["tone"] for row in rows].count("good")
    return _template.render(
        **around(speech, refresh),
        rows=rows,
        joint=promised,
        seen=None,
        trouble="",
        tone=worst(*(row["tone"] for row in (*rows, *promised))),
        headline=speech.text("overview.headline", good=good, all=len(rows)),
    )


def _row(board: Board, now: Instant, code: str) -> dict[str, str]:
    """A cluster as one line, with times in its own zone."""
    with board.lock:
        shown = board.shown
        speech = language(code, shown.zone if shown else UTC)
        return {
            "cluster": board.cluster,
            "address": address_of(board.cluster),
            "tone": tone(board, now),
            "headline": headline(board, speech),
            "why": why_old(board, now, speech),
            "mode": str(shown.mode) if shown else "",
            "as_of": f"{speech.clock(shown.measurement.as_of)} ({speech.zone.key})" if shown else "",
        }
