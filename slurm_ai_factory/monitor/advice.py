"""What an operator should do next, by what the board shows, most urgent first. Pure.

The rule: a step says what is wrong and names a command that shows more; if nothing is wrong, it says so.
Tested in tests/monitor/test_page.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from slurm_ai_factory.core.control.reasons import HOLDS, REASONS
from slurm_ai_factory.core.measure import outlook
from slurm_ai_factory.core.records import ChangeStatus, Instant, Mode
from slurm_ai_factory.core.words import count
from slurm_ai_factory.monitor.board import Board, Shown

LOG = "journalctl -u saf"

NOTICED = 0.001
"""Unclassified share below which no step is shown."""


class Step(NamedTuple):
    """Something to do; the command shows more."""

    what: str
    command: str = ""


def steps(board: Board, now: Instant) -> list[Step]:
    """What to do now, at least one."""
    shown = board.shown
    advised = [*_of_cycles(board, now)]
    if shown is not None:
        advised += [*_of_control(shown), *_of_numbers(board, shown)]
    if advised:
        return advised
    if shown is not None and shown.mode == Mode.OBSERVE:
        calm = "Nothing to do. When these numbers agree with yours, set control.mode to advise."
        return [Step(calm, "saf plan")]
    return [Step("Nothing to do: all is well.")]


def stale(board: Board, now: Instant) -> bool:
    """Whether the last complete cycle is older than daemon.ready_after."""
    shown = board.shown
    return shown is not None and now - shown.at > shown.stale_after


def _of_cycles(board: Board, now: Instant) -> Iterator[Step]:
    if board.overdue_since is not None and board.shown is not None:
        yield Step(
            "The running cycle takes longer than a period. Check that Slurm and PostgreSQL answer.",
            "saf doctor",
        )
    elif board.failed == "standby":
        yield Step(
            "Another saf steers this cluster and this one is on standby. Look at the other's page.",
            "saf status",
        )
    elif board.failed:
        yield Step("The last cycle failed. saf tries again at the next period; see the log.", LOG)
    elif stale(board, now):
        yield Step("No cycle has completed for too long. Check whether the daemon hangs.", LOG)
    elif board.shown is None:
        yield Step("The first cycle is running; the first read of a long history takes a while.", LOG)


def _of_control(shown: Shown) -> Iterator[Step]:
    reason = shown.decision.reason
    if reason in HOLDS:
        remedy = "saf resume" if reason == "paused" else "saf doctor"
        yield Step(f"The control is on hold: {REASONS[reason]}.", remedy)
    if shown.foreign:
        yield Step(f"Another user changed {shown.foreign}. Find out who and why.", "saf history")
    if {ChangeStatus.FAILED, ChangeStatus.PLANNED} & set(shown.statuses):
        yield Step("A change of RawShares did not take effect.", "saf history")
    if not shown.weight_fairshare:
        yield Step("PriorityWeightFairShare is 0, so shares have no effect.", "scontrol show config")
    if outlook.at_risk(shown.measurement, shown.margin):
        yield Step("The floor is at risk. See what the next decision would be, and why.", "saf plan")


def _of_numbers(board: Board, shown: Shown) -> Iterator[Step]:
    unclassified = shown.measurement.unclassified_share or 0.0
    if unclassified >= NOTICED:
        yield Step(
            f"{outlook.percent_text(unclassified)} of the charge is unclassified and counts as not regional. "
            "Write rules for it.",
            "saf unclassified",
        )
    if shown.unknown_accounts:
        names = ", ".join(shown.unknown_accounts)
        yield Step(f"Rules name accounts that the cluster does not have: {names}.", "saf config show")
    if shown.unreadable:
        yield Step(
            f"saf could not parse {count(shown.unreadable, 'line')} of sacct; their runs are not counted.",
            LOG,
        )
    if board.reconciled is not None and board.reconciled.unexplained:
        yield Step("The ledger differs from Slurm's accounting without a known cause.", "saf reconcile")
