"""What an operator should do next, from what the board shows: the most pressing first. Pure.

The rule: a step says what is the matter and names a command that shows more; where nothing is the matter, it
says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.core.words import count
from slurm_ai_factory.monitor.board import Board, Shown

LOG = "journalctl -u saf"

NOTICED = 0.001
"""Less unclassified charge than this is left to whoever looks for it."""


class Step(NamedTuple):
    """Something to do; the command shows more."""

    what: str
    command: str = ""


def steps(board: Board, now: Instant) -> list[Step]:
    """What to do now, at least one."""
    found = [*_of_cycles(board, now)]
    if board.shown is not None:
        found += [*_of_control(board.shown), *_of_numbers(board, board.shown)]
    return found or [_nothing(board.shown)]


def stale(board: Board, now: Instant) -> bool:
    """Whether the last complete cycle is too old to be believed."""
    shown = board.shown
    return shown is not None and now - shown.at > shown.stale_after


def _of_cycles(board: Board, now: Instant) -> Iterator[Step]:
    if board.overdue_since is not None and board.shown is not None:
        yield Step(
            "The cycle under way takes longer than a period. See whether Slurm and PostgreSQL answer.",
            "saf doctor",
        )
    elif board.failed == "standby":
        yield Step(
            "Another saf steers this cluster and this one stands by; look at the other's page.", "saf status"
        )
    elif board.failed:
        yield Step(
            "The last cycle failed. The next beat tries again; the log says more.", "journalctl -u saf"
        )
    elif stale(board, now):
        yield Step(
            "No cycle has ended for too long. See whether the daemon hangs in one.", "journalctl -u saf"
        )
    elif board.shown is None:
        yield Step(
            "The first cycle is under way; a first read of a long history takes a while.", "journalctl -u saf"
        )


def _of_control(shown: Shown) -> Iterator[Step]:
    reason = shown.decision.reason
    if reason in HOLDS:
        remedy = "saf resume" if reason == "paused" else "saf doctor"
        yield Step(f"The control holds: {REASONS[reason]}.", remedy)
    if shown.foreign:
        yield Step(f"Somebody else changed {shown.foreign}; find out who and why.", "saf history")
    if {"failed", "planned"} & set(shown.statuses):
        yield Step("A change of RawShares did not come into force.", "saf history")
    if not shown.weight_fairshare:
        yield Step("PriorityWeightFairShare is 0, so no shares have any effect.", "scontrol show config")
    if outlook.at_risk(shown.measurement, shown.margin):
        yield Step(
            "The floor is at risk. See what the next decision would be, and what it rests on.", "saf plan"
        )


def _of_numbers(board: Board, shown: Shown) -> Iterator[Step]:
    unclassified = outlook.unclassified_ratio(shown.measurement) or 0.0
    if unclassified >= NOTICED:
        part = outlook.short_percent(unclassified)
        yield Step(
            f"{part} of the charge is for nobody known and counts as not regional; write rules for it.",
            "saf unclassified",
        )
    if shown.unknown_accounts:
        names = ", ".join(shown.unknown_accounts)
        yield Step(f"Rules name accounts that the cluster does not have: {names}.", "saf config show")
    if shown.unreadable:
        yield Step(
            f"{count(shown.unreadable, 'line')} of sacct cannot be read; what they say is not counted.",
            "journalctl -u saf",
        )
    if board.reconciled is not None and board.reconciled.unexplained:
        yield Step("The ledger differs from Slurm's books without a known cause.", "saf reconcile")


def _nothing(shown: Shown | None) -> Step:
    if shown is not None and shown.mode == "observe":
        return Step(
            "Nothing needs you. When these numbers agree with yours, set control.mode to advise.", "saf plan"
        )
    return Step("Nothing: all is well.")
