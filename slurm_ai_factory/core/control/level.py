"""The level that is steered: the region's accounts among their siblings under root. Pure.

Fair Tree ranks siblings by LevelFS = (RawShares / the level's) / (usage / the level's). One account against
one other is a switch on its part of the usage. Among several, each regional account is ranked against each
other one; the two sides meet where the LevelFS of those of them meet that take all they can get. So a side
counts by its *effective shares*: its usage x the LevelFS of those accounts, which is the RawShares they would
have if each account of the side were served as they are. With one account, or with every account busy, that
is the sum of RawShares. docs/decisions/0002-control-law.md, "Several accounts".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

from slurm_ai_factory.core.records import PARENT_SHARES, Association

ROOT = "root"
MAX_RAW_SHARES = 2147483646

LEAST_OF_PART = 0.5
"""An account with less than this of the usage that its shares would have is idle, or catching up."""


SERVED_ALIKE = 0.8
"""An account with less than this of what the one served most has for its shares is not the last in turn: it
gets what it asks for before that one does."""


LEAST_COMPETING = 0.1
"""No fewer effective shares than this part of all that the siblings have."""


class Baseline(NamedTuple):
    """An account's RawShares before the first change, as part of its level."""

    raw_shares: int
    sibling_shares: int | None  #: RawShares of all that was not steered beside it; None where not recorded

    def rescaled(self, sibling_shares: int | None) -> int:
        """The RawShares that are the same part of the level beside so many others.

        >>> Baseline(25, 75).rescaled(30000), Baseline(25, 75).rescaled(75), Baseline(25, None).rescaled(75)
        (10000, 25, 25)
        """
        if not (self.sibling_shares and sibling_shares):
            return self.raw_shares
        return max(1, round(self.raw_shares * sibling_shares / self.sibling_shares))


class Refusal(NamedTuple):
    """Why a level cannot be steered, and for which accounts."""

    reason: str  #: a code: see reasons.REASONS
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SteeredLevel:
    """The steered accounts among their siblings; ``waiting`` has the accounts with jobs that could start."""

    regional: tuple[Association, ...]
    siblings: tuple[Association, ...]
    ratio: tuple[int, ...]  #: of the regional accounts' RawShares, as the operator set them
    waiting: frozenset[str] | None = None  #: None where the queue was not read

    @property
    def present(self) -> tuple[int, ...]:
        """RawShares in force of the regional accounts."""
        return tuple(one.raw_shares for one in self.regional)

    @property
    def sibling_shares(self) -> int:
        """RawShares of all siblings, the root user's own included."""
        return sum(one.raw_shares for one in self.siblings)

    @property
    def others(self) -> tuple[Association, ...]:
        """The accounts among the siblings."""
        return tuple(one for one in self.siblings if one.user is None)

    @property
    def competing_shares(self) -> float:
        """Effective shares of the siblings; root's own user has a share and no part in it.

        Where next to none of them take part the region has the machine, and its RawShares stay of a size that
        means something when the others come back.
        """
        shares = [one.raw_shares for one in self.others]
        least = LEAST_COMPETING * self.sibling_shares
        return max(least, self._effective(self.others, shares, shares))

    @property
    def counted(self) -> tuple[list[str], list[str]]:
        """The accounts whose LevelFS stands for each side: regional ones, others."""
        shares = [one.raw_shares for one in self.others]
        sides = (self.regional, self.ratio), (self.others, shares)
        return tuple(sorted(rows[n].account for n in _busy(rows, due, self.waiting)) for rows, due in sides)  # type: ignore[return-value]

    @property
    def usage_share(self) -> float:
        """u: decayed usage of the region in that of the level; its present share while nothing was used."""
        regional = _usage(self.regional)
        used = regional + _usage(self.siblings)
        return regional / used if used else self.share(self.present)

    @property
    def in_ratio(self) -> bool:
        """Whether the regional RawShares are some multiple of ``ratio``, to within one RawShare each."""
        pairs = list(zip(self.present, self.ratio, strict=True))
        lowest = max((one - 1) / own for one, own in pairs)
        return lowest <= min((one + 1) / own for one, own in pairs)

    def share(self, rows: Sequence[int]) -> float:
        """sigma: the region's part of the level's usage that its accounts with these RawShares settle at."""
        effective = self._effective(self.regional, rows, self.ratio)
        return effective / (effective + self.competing_shares)

    def rows(self, share: float, slew: float) -> tuple[int, ...]:
        """The RawShares nearest to a share, in the operator's ratio, that move it by no more than ``slew``.

        slurmctld adds up a level in 31 bits, and 0 would mean no shares at all.
        """
        exact = self._exact(self.competing_shares * share / (1.0 - share))
        rows = tuple(max(1, round(one)) for one in exact)
        present = self.share(self.present)
        if abs(self.share(rows) - present) > slew + 1e-9:
            nearer = floor if share > present else ceil
            rows = tuple(max(1, nearer(one)) for one in exact)
        most = min(MAX_RAW_SHARES, max(sum(self.present), MAX_RAW_SHARES - self.sibling_shares))
        if sum(rows) > most:
            room = most - (len(rows) - 1)
            rows = tuple(max(1, floor(room * (one / sum(self.ratio)))) for one in self.ratio)
        return rows

    def _exact(self, effective: float) -> list[float]:
        """RawShares of each regional account, not yet whole, that make so many effective shares."""
        busy = _busy(self.regional, self.ratio, self.waiting)
        due = sum(self.ratio[n] for n in busy) or sum(self.ratio)
        part = _usage([self.regional[n] for n in busy]) / _usage(self.regional) if busy else 1.0
        return [effective * (own / due) * part for own in self.ratio]

    def _effective(self, rows: Sequence[Association], shares: Sequence[int], due: Sequence[int]) -> float:
        """Usage x LevelFS of those of a side that take all they can get; its shares while it used nothing."""
        busy = _busy(rows, due, self.waiting)
        if not busy:
            return sum(shares)
        part = _usage([rows[n] for n in busy]) / _usage(rows)
        return sum(shares[n] for n in busy) / part


def _busy(rows: Sequence[Association], due: Sequence[int], waiting: Collection[str] | None) -> list[int]:
    """Those of a side that take all they can get: who waits, of those that had their part of its usage.

    An account that had much less than its part was away, or asks for less; if it waits now it goes first
    whatever the shares are, until it has caught up. While nobody waits, everyone who had their part counts.
    Of these, only those served most for their shares are held back by them; the others wait for a moment.
    """
    used = [n for n, one in enumerate(rows) if one.raw_usage and due[n]]
    if not used:
        return []
    least = LEAST_OF_PART * _usage([rows[n] for n in used]) / sum(due[n] for n in used)
    fed = [n for n in used if (rows[n].raw_usage or 0) >= least * due[n]]
    some = [n for n in fed if waiting and rows[n].account in waiting] or fed
    most = max((rows[n].raw_usage or 0) / due[n] for n in some)
    return [n for n in some if (rows[n].raw_usage or 0) >= SERVED_ALIKE * most * due[n]]


def _usage(rows: Sequence[Association]) -> int:
    return sum(one.raw_usage or 0 for one in rows)


def find_level(
    accounts: Sequence[str],
    associations: Sequence[Association],
    waiting: frozenset[str] | None = None,
    own: Mapping[str, int] | None = None,
) -> SteeredLevel | Refusal:
    """The steered accounts among their siblings, or why they cannot be steered.

    ``own`` has the operator's own RawShares where others are in force now.
    """
    found = {one.account: one for one in reversed(associations) if one.user is None}
    if missing := tuple(name for name in accounts if name not in found):
        return Refusal("no_account", missing)
    regional = tuple(found[name] for name in accounts)
    if nested := _names(one for one in regional if one.parent != ROOT):
        return Refusal("not_top_level" if len(accounts) == 1 else "mixed_parents", nested)
    siblings = tuple(one for one in associations if _top_level(one) and one not in regional)
    if parents := _names(one for one in siblings if one.raw_shares == PARENT_SHARES):
        return Refusal("mixed_level", parents)
    if fixed := _names(one for one in regional if not one.steerable):
        return Refusal("not_steerable", fixed)
    ratio = tuple((own or {}).get(one.account, one.raw_shares) for one in regional)
    level = SteeredLevel(regional, siblings, ratio, waiting)
    if not level.sibling_shares:
        return Refusal("no_competition", tuple(accounts))
    unknown = _names(one for one in (*regional, *siblings) if one.raw_usage is None)
    return Refusal("usage_unknown", unknown) if unknown else level


def sibling_shares(accounts: Collection[str], associations: Iterable[Association]) -> int | None:
    """RawShares of all rows at the top but the accounts' own; None where a row has Fairshare=parent."""
    rows = [one for one in associations if _top_level(one) and (one.user or one.account not in accounts)]
    if any(one.raw_shares == PARENT_SHARES for one in rows):
        return None
    return sum(one.raw_shares for one in rows)


def differing_shares(associations: Iterable[Association]) -> list[str]:
    """The accounts at the top whose RawShares in slurmctld are others than in slurmdbd."""
    return [
        one.account
        for one in associations
        if _top_level(one) and one.user is None and one.stored_shares not in (None, one.raw_shares)
    ]


def _names(rows: Iterable[Association]) -> tuple[str, ...]:
    return tuple(one.account for one in rows)


def _top_level(association: Association) -> bool:
    """Accounts under root, and root's own users: slurmctld makes root/root with one share."""
    if association.user is None:
        return association.parent == ROOT
    return association.account == ROOT
