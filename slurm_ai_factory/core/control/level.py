"""The steered level: the region's accounts among their siblings under one parent account. Pure.

Fair Tree ranks siblings by LevelFS = (RawShares / the level's) / (usage / the level's). One account against
one other is a switch on its part of the usage. Among several, each regional account is ranked against each
other account; the sides balance where the accounts of each that take all they can get have the same LevelFS.
So a side counts by its *effective shares*: its usage x the LevelFS of those accounts, which is the RawShares
it would have if each of its accounts were served as they are. With one account, or with every account busy,
that is the sum of RawShares. docs/decisions/0002-control-law.md, "Several accounts".

The promise is a part of the whole machine, and the level is what its parent gets of it: of root, everything.
docs/decisions/0016-levers.md, "A level below root".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

from slurm_ai_factory.core.records import PARENT_SHARES, Association, Inputs

ROOT = "root"
MAX_RAW_SHARES = 2147483646

LEAST_OF_PART = 0.5
"""An account with less than this part of the usage that its shares give is idle, or catching up."""

SERVED_ALIKE = 0.8
"""An account with less usage for its shares than this part of that of the account served most overtakes it,
and gets what it asks for."""

LEAST_COMPETING = 0.1
"""The siblings' effective shares are at least this part of all their shares."""


class Baseline(NamedTuple):
    """An account's RawShares before the first change, as part of its level."""

    raw_shares: int
    sibling_shares: int | None  #: RawShares of all that was not steered beside it; None where not recorded

    def rescaled(self, sibling_shares: int | None) -> int:
        """The RawShares that are the same part of the level beside ``sibling_shares`` of others.

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


class Parent(NamedTuple):
    """The account that a level is below, and how much of the whole machine the level is."""

    account: str
    usage_part: float  #: of all decayed usage
    shares_part: float  #: of the machine, by its RawShares and those of the accounts above it


WHOLE = Parent(ROOT, 1.0, 1.0)
"""The level under root."""


@dataclass(frozen=True, slots=True)
class SteeredLevel:
    """The steered accounts among their siblings; ``waiting`` has the rows with jobs that could start."""

    regional: tuple[Association, ...]
    siblings: tuple[Association, ...]
    ratio: tuple[int, ...]  #: of the regional accounts' RawShares, as the operator set them
    waiting: frozenset[str] | None = None  #: None where the queue was not read
    parent: Parent = WHOLE

    @property
    def present(self) -> tuple[int, ...]:
        """The regional accounts' current RawShares."""
        return tuple(account.raw_shares for account in self.regional)

    @property
    def sibling_shares(self) -> int:
        """RawShares of all siblings, the root user's own included."""
        return sum(sibling.raw_shares for sibling in self.siblings)

    @property
    def others(self) -> tuple[Association, ...]:
        """The siblings that compete: all but root's own users."""
        return tuple(sibling for sibling in self.siblings if sibling.account != ROOT)

    @property
    def competing_shares(self) -> float:
        """Effective shares of the siblings, without those of root's own user.

        Where hardly any sibling takes part the region has the machine; the lower bound keeps its RawShares at
        a size that still fits when the others come back.
        """
        shares = [other.raw_shares for other in self.others]
        least = LEAST_COMPETING * self.sibling_shares
        return max(least, self._effective(self.others, shares, shares))

    @property
    def counted(self) -> tuple[list[str], list[str]]:
        """The accounts whose LevelFS counts for each side: (regional, others); a user is its account."""
        shares = [other.raw_shares for other in self.others]
        sides = (self.regional, self.ratio), (self.others, shares)
        return tuple(  # type: ignore[return-value]
            sorted({rows[n].account for n in _busy(rows, due, self.waiting)}) for rows, due in sides
        )

    @property
    def usage_share(self) -> float:
        """u: the region's part of the level's decayed usage; its present share while nothing was used."""
        regional = _usage(self.regional)
        used = regional + _usage(self.siblings)
        return regional / used if used else self.share(self.present)

    def of_whole(self, share: float) -> float:
        """The part of this level that is a ``share`` of the whole machine; all of it where that is more."""
        part = self.parent.usage_part
        return min(1.0, share / part) if part else 1.0

    def reaches(self, share: float, share_max: float) -> bool:
        """Whether ``share_max`` of this level can be a ``share`` of the whole machine."""
        _, used, granted = self.parent
        return self.parent is WHOLE or share <= share_max * max(used, granted)

    @property
    def limits(self) -> Inputs:
        """How the parent limits the level, for a decision's inputs; nothing under root."""
        if self.parent is WHOLE:
            return {}
        account, used, granted = self.parent
        return {"parent": account, "parent_usage_part": used, "parent_shares_part": granted}

    @property
    def in_ratio(self) -> bool:
        """Whether the regional RawShares are some multiple of ``ratio``, to within one RawShare each."""
        pairs = list(zip(self.present, self.ratio, strict=True))
        lowest = max((shares - 1) / own for shares, own in pairs)
        return lowest <= min((shares + 1) / own for shares, own in pairs)

    def share(self, rows: Sequence[int]) -> float:
        """sigma: the part of the level's usage at which the region's accounts settle with these RawShares."""
        return self.part(self.effective(rows))

    def part(self, effective: float) -> float:
        """The part of the level that effective shares of the regional accounts are."""
        return effective / (effective + self.competing_shares)

    def effective(self, rows: Sequence[int]) -> float:
        """Effective shares of the regional accounts with these RawShares."""
        return self._effective(self.regional, rows, self.ratio)

    def rows(self, share: float, slew: float) -> tuple[int, ...]:
        """The RawShares nearest to a share, in the operator's ratio, that move it by at most ``slew``.

        Each is at least 1, for 0 means no shares; slurmctld adds up a level in 31 bits.
        """
        effective = self.competing_shares * share / (1.0 - share)
        busy = _busy(self.regional, self.ratio, self.waiting)
        due = sum(self.ratio[n] for n in busy) or sum(self.ratio)
        part = _usage([self.regional[n] for n in busy]) / _usage(self.regional) if busy else 1.0
        exact = [effective * (own / due) * part for own in self.ratio]
        rows = tuple(max(1, round(shares)) for shares in exact)
        present = self.share(self.present)
        if abs(self.share(rows) - present) > slew + 1e-9:
            nearer = floor if share > present else ceil
            rows = tuple(max(1, nearer(shares)) for shares in exact)
        most = min(MAX_RAW_SHARES, max(sum(self.present), MAX_RAW_SHARES - self.sibling_shares))
        if sum(rows) > most:
            room = most - (len(rows) - 1)
            rows = tuple(max(1, floor(room * (own / sum(self.ratio)))) for own in self.ratio)
        return rows

    def _effective(self, rows: Sequence[Association], shares: Sequence[int], due: Sequence[int]) -> float:
        """A side's usage x the LevelFS of its busy accounts; its shares while it used nothing."""
        busy = _busy(rows, due, self.waiting)
        if not busy:
            return sum(shares)
        part = _usage([rows[n] for n in busy]) / _usage(rows)
        return sum(shares[n] for n in busy) / part


def _busy(rows: Sequence[Association], due: Sequence[int], waiting: Collection[str] | None) -> list[int]:
    """The places of a side's busy accounts: those that take all they can get.

    They wait, and had their part of the side's usage. An account that had much less was away, or asks for
    less; if it waits now it goes first whatever the shares are, until it has caught up. While no account
    waits, all that had their part count. Of these, only those served most for their shares are held back by
    them; the others wait for a moment.
    """
    used = [n for n, row in enumerate(rows) if row.raw_usage and due[n]]
    if not used:
        return []
    least = LEAST_OF_PART * _usage([rows[n] for n in used]) / sum(due[n] for n in used)
    fed = [n for n in used if (rows[n].raw_usage or 0) >= least * due[n]]
    some = [n for n in fed if waiting and rows[n].key in waiting] or fed
    most = max((rows[n].raw_usage or 0) / due[n] for n in some)
    return [n for n in some if (rows[n].raw_usage or 0) >= SERVED_ALIKE * most * due[n]]


def _usage(rows: Sequence[Association]) -> int:
    return sum(row.raw_usage or 0 for row in rows)


def find_level(
    accounts: Sequence[str],
    associations: Sequence[Association],
    waiting: frozenset[str] | None = None,
    own: Mapping[str, int] | None = None,
) -> SteeredLevel | Refusal:
    """The steered accounts among their siblings, or why they cannot be steered.

    ``own`` has the operator's RawShares of accounts for which saf set others.
    """
    by_account = {row.account: row for row in reversed(associations) if row.user is None}
    if missing := tuple(name for name in accounts if name not in by_account):
        return Refusal("no_account", missing)
    regional = tuple(by_account[name] for name in accounts)
    above = _above(regional[0], by_account)
    if above is None:
        return Refusal("not_top_level", _names(regional))
    parent = above[0].account if above else ROOT
    if apart := _names(row for row in regional if row.parent != parent):
        return Refusal("mixed_parents", apart)
    siblings = tuple(row for row in level_rows(parent, associations) if row not in regional)
    if parents := _names(row for row in (*siblings, *above) if row.raw_shares == PARENT_SHARES):
        return Refusal("mixed_level", parents)
    if fixed := _names(row for row in regional if not row.steerable):
        return Refusal("not_steerable", fixed)
    if not sum(row.raw_shares for row in siblings):
        return Refusal("no_competition", tuple(accounts))
    top = level_rows(ROOT, associations) if above else []
    if unknown := _names(row for row in (*regional, *siblings, *above[:1], *top) if row.raw_usage is None):
        return Refusal("usage_unknown", unknown)
    ratio = tuple((own or {}).get(row.account, row.raw_shares) for row in regional)
    return SteeredLevel(regional, siblings, ratio, waiting, _parent(above, associations) if above else WHOLE)


def _above(row: Association, by_account: Mapping[str, Association]) -> list[Association] | None:
    """The accounts between an account and root, upwards; None where the tree does not lead to root."""
    above: list[Association] = []
    while row.parent != ROOT:
        parent = by_account.get(row.parent or "")
        if parent is None or parent in above:
            return None
        above.append(row := parent)
    return above


def _parent(above: Sequence[Association], associations: Sequence[Association]) -> Parent:
    """The lowest of the accounts ``above`` a level; its part of the RawShares while nothing was used."""
    granted = 1.0
    for row in above:
        granted *= row.raw_shares / max(1, _level_shares(row.parent or "", associations))
    used, everything = _usage(above[:1]), _usage(level_rows(ROOT, associations))
    return Parent(above[0].account, min(1.0, used / everything) if everything else granted, granted)


def _level_shares(parent: str, associations: Sequence[Association]) -> int:
    """RawShares on a level; the rows below an account with Fairshare=parent are on that account's level."""
    total = 0
    for row in level_rows(parent, associations):
        if row.raw_shares != PARENT_SHARES:
            total += row.raw_shares
        elif row.user is None:
            total += _level_shares(row.account, associations)
    return total


def level_rows(parent: str, associations: Iterable[Association]) -> list[Association]:
    """What competes under a parent: the accounts below it, and its own users. slurmctld makes root/root."""
    return [row for row in associations if (row.parent if row.user is None else row.account) == parent]


def steered_rows(accounts: Collection[str], associations: Sequence[Association]) -> list[Association]:
    """The level of these accounts, themselves included; none where they have no common parent."""
    parents = {row.parent for row in associations if row.user is None and row.account in accounts}
    parent = parents.pop() if len(parents) == 1 else None
    return level_rows(parent, associations) if parent else []


def sibling_shares(accounts: Collection[str], associations: Sequence[Association]) -> int | None:
    """RawShares of all other rows of their level; None where there is none, or one has Fairshare=parent."""
    level = steered_rows(accounts, associations)
    rows = [row for row in level if row.user or row.account not in accounts]
    if not level or any(row.raw_shares == PARENT_SHARES for row in rows):
        return None
    return sum(row.raw_shares for row in rows)


def differing_shares(level: Iterable[Association]) -> list[str]:
    """The accounts of a level whose RawShares differ between slurmctld and slurmdbd."""
    return [
        row.account for row in level if row.user is None and row.stored_shares not in (None, row.raw_shares)
    ]


def _names(rows: Iterable[Association]) -> tuple[str, ...]:
    return tuple(row.account for row in rows)
