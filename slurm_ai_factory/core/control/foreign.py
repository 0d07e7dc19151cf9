"""What saf does about a value that another user set: leave it, write its own back, or go on from it. Pure.

Two writers of one value must not undo each other without end. So a value is written back only in the cycle
after the one that reported it, and a few times a day; then saf leaves it alone until an operator decides.
docs/decisions/0019-foreign-changes.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from slurm_ai_factory.core.records import DAY, Hold, Instant, LeverKind
from slurm_ai_factory.core.windows import iso

REASSERTIONS_MOST = 3
"""How often saf writes its own value back within a day."""

RESUME = "put it back, or run `saf resume` to let saf steer on from it"


class ForeignAnswer(StrEnum):
    """What saf does about a value that another user set (control.on_foreign_change)."""

    YIELD = "yield"  #: leaves it alone until an operator decides
    REASSERT = "reassert"  #: writes its own value back in the next cycle, a few times a day
    ADOPT = "adopt"  #: goes on from it


class Changer(NamedTuple):
    """Who set a value, by Slurm's own log."""

    user: str = ""  #: empty where that is not recorded
    at: Instant | None = None  #: by the clock of slurmdbd's host
    unknown: str = ""  #: why it is not recorded

    @property
    def words(self) -> str:
        """Who and when, or why that is not known."""
        when = "" if self.at is None else f" at {iso(self.at)}"
        return f"by {self.user}{when}" if self.user else f"by whom is not recorded: {self.unknown}"


class ForeignChange(NamedTuple):
    """A value that is not the one that saf's last change left."""

    lever: LeverKind
    account: str  #: or the QOS or partition
    ours: int  #: as our last change left it
    ours_at: Instant  #: when that was read back
    theirs: int  #: as it is now
    seen_at: Instant | None = None  #: by the cycle that recorded it; None before
    changer: Changer = Changer()
    accepted: bool = False  #: by an operator, who ran `saf resume` after it was seen

    @property
    def sentence(self) -> str:
        """The change in words.

        >>> ForeignChange(LeverKind.ACCOUNT, "umcg", 40, 0, 30, 0, Changer("root", 60)).sentence
        'another user changed RawShares of umcg from 40 to 30 (by root at 1970-01-01T00:01:00Z)'
        """
        change = f"{self.lever.attribute} of {self.account} from {self.ours} to {self.theirs}"
        return f"another user changed {change} ({self.changer.words})"


class Reaction(NamedTuple):
    """What a decision has to heed."""

    holds: tuple[Hold, ...] = ()
    back_to: Mapping[str, int] = {}  #: values to write back, by account, QOS or partition


def counted_from(changes: Sequence[ForeignChange], now: Instant) -> Instant:
    """From when on reassertions count: a day before the first of these changes was seen."""
    return min((change.seen_at or now for change in changes), default=now) - DAY


def react(
    answer: ForeignAnswer, changes: Sequence[ForeignChange], reassertions: int, now: Instant
) -> Reaction:
    """What to do about the changes of one promise's accounts, of which no operator has accepted any.

    ``reassertions``: the decisions since ``counted_from`` that wrote a value of saf's own back. They count
    from a day before the change until now, so a change that saf once left alone is never written back.
    """
    if answer is ForeignAnswer.ADOPT or not changes:
        return Reaction()
    what = "; ".join(change.sentence for change in changes)
    if answer is ForeignAnswer.YIELD:
        return _left_alone(f"{what}; saf leaves it alone: {RESUME}")
    if reassertions >= REASSERTIONS_MOST:
        return _left_alone(
            f"{what}, after saf wrote its own value back {reassertions} times within a day; saf leaves it "
            f"alone: {RESUME}"
        )
    if any(change.seen_at is None or change.seen_at >= now for change in changes):
        return _left_alone(f"{what}; the next cycle writes saf's own value back")
    return Reaction(back_to={change.account: change.ours for change in changes})


def _left_alone(sentence: str) -> Reaction:
    return Reaction((Hold("foreign_change", sentence),))
