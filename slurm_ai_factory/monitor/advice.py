"""What an operator should do next, by what the board shows, most urgent first. Pure.

The rule: a step says what is wrong and names a command that shows more; if nothing is wrong, it says so.
Tested in tests/monitor/test_page.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from slurm_ai_factory.core.control.reasons import HOLDS
from slurm_ai_factory.core.measure.assessment import assess
from slurm_ai_factory.core.records import ChangeStatus, Instant, LeverKind, Mode
from slurm_ai_factory.language import Language
from slurm_ai_factory.monitor.board import Board, Shown

LOG = "journalctl -u saf"

NOTICED = 0.001
"""Unclassified share below which no step is shown."""


class Step(NamedTuple):
    """Something to do; the command shows more."""

    key: str  #: of its sentence, in the section ``live_step`` of the messages
    command: str = ""
    values: Mapping[str, str] = {}

    def sentence(self, speech: Language) -> str:
        """What to do, in a language."""
        return speech.text(f"live_step.{self.key}", **self.values)


def steps(board: Board, now: Instant, speech: Language) -> list[Step]:
    """What to do now, at least one."""
    shown = board.shown
    advised = [*_of_cycles(board, now)]
    if shown is not None:
        advised += [*_of_control(shown, speech), *_of_numbers(board, shown, speech)]
    if advised:
        return advised
    if shown is not None and shown.mode == Mode.OBSERVE:
        return [Step("calm_observe", "saf plan")]
    if shown is not None and assess(shown.measurement, shown.margin).below:
        return [Step("calm_below", "saf status")]
    return [Step("calm")]


def stale(board: Board, now: Instant) -> bool:
    """Whether the last complete cycle is older than daemon.ready_after."""
    shown = board.shown
    return shown is not None and now - shown.at > shown.stale_after


def foreign_words(shown: Shown, speech: Language) -> str:
    """The RawShares that another user changed, with the account where several are steered; empty if none."""
    key = "live_control.foreign_shares_of" if len(shown.steered) > 1 else "live_control.foreign_shares"
    return ", ".join(
        speech.text(key, attribute=shown.lever.attribute, account=row.account, shares=row.foreign_from)
        for row in shown.steered
        if row.foreign_from is not None
    )


def _of_cycles(board: Board, now: Instant) -> Iterator[Step]:
    if board.overdue_since is not None and board.shown is not None:
        yield Step("overdue", "saf doctor")
    elif board.failed == "standby":
        yield Step("standby", "saf status")
    elif board.failed:
        yield Step("failed", LOG)
    elif stale(board, now):
        yield Step("stale", LOG)
    elif board.shown is None:
        yield Step("first", LOG)


def _of_control(shown: Shown, speech: Language) -> Iterator[Step]:
    reason = shown.decision.reason
    if reason in HOLDS:
        remedy = "saf resume" if reason in ("paused", "foreign_change") else "saf doctor"
        yield Step("hold", remedy, {"reason": speech.word("live_why", reason)})
    if changes := foreign_words(shown, speech):
        yield Step("foreign", "saf history", {"changes": changes})
    if {ChangeStatus.FAILED, ChangeStatus.PLANNED} & set(shown.statuses):
        yield Step("not_effective", "saf history")
    if not shown.weight_fairshare and shown.lever is LeverKind.ACCOUNT:
        yield Step("no_weight", "scontrol show config")
    if assess(shown.measurement, shown.margin).at_risk:
        yield Step("at_risk", "saf plan")


def _of_numbers(board: Board, shown: Shown, speech: Language) -> Iterator[Step]:
    unclassified = shown.measurement.unclassified_share or 0.0
    if unclassified >= NOTICED:
        yield Step("unclassified", "saf unclassified", {"share": speech.plain_percent(unclassified)})
    if shown.unknown_accounts:
        yield Step("unknown_accounts", "saf config show", {"names": ", ".join(shown.unknown_accounts)})
    if shown.unreadable:
        key = "unreadable_1" if shown.unreadable == 1 else "unreadable"
        yield Step(key, LOG, {"lines": str(shown.unreadable)})
    if board.reconciled is not None and board.reconciled.unexplained:
        yield Step("reconcile", "saf reconcile")
