"""The model cluster, to be advanced, read and steered. Tested in tests/simulation/test_engine.py.

The compiled engine does the work between two instants; this is its face in the product's own values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from slurm_ai_factory.core.records import HOUR, Association
from slurm_ai_factory.simulation import build, engine
from slurm_ai_factory.simulation.arrays import LAST_PASS, NOW, PENDING, Floats, Ints, Jobs
from slurm_ai_factory.simulation.layout import NAME, REGION, Layout, ModelSettings
from slurm_ai_factory.simulation.peers import NO_PEER, Peer
from slurm_ai_factory.simulation.workload import User, Workload


class ModelCluster:
    """A cluster at an instant; ``advance`` moves it on."""

    def __init__(
        self,
        workload: Workload,
        regional: frozenset[User],
        layout: Layout,
        settings: ModelSettings,
        shares: Mapping[str, int],
        favour: float = 0.0,
        stops: Sequence[tuple[int, int]] = (),
        siblings: bool = False,
        peer: Peer = NO_PEER,
        placed: build.Placed | None = None,
    ) -> None:
        """``regional`` has the users of the region, ``shares`` the RawShares of both sides to begin with.

        ``stops``: spans in which slurmctld is down, apart from each other, in seconds since the beginning.

        ``favour`` is added to the priority of regional jobs; ``peer`` chooses the side of each job instead.

        ``siblings``: all accounts are directly under root; else each side has one of its own there.

        ``placed`` has other rows under root than the two sides, those of ``shares``.

        Time begins in the whole hour of the first submission and needs a workload that is not empty.
        """
        self.settings = settings
        self.began = int(workload.submit[0]) // HOUR * HOUR
        placed = placed or build.two_sides(workload.users, regional)
        root = build.planted(workload.users, placed.rows, shares, siblings)
        self.accounts = tuple(node.key for node in root.children if not node.user)
        self._tree, self._index = build.flattened(root)
        self._jobs = build.jobs_of(workload, placed, layout, settings, self._index, self.began)
        self._rules = build.model_rules(settings, workload.backlog, favour, peer)
        self._events = build.events_of(layout, stops, self.began)
        self._state = build.state_of(
            self._jobs, self._tree, layout, settings, root, self._index, placed.groups
        )

    @property
    def now(self) -> int:
        """The model's clock."""
        return self.began + int(self._state.at[NOW])

    @property
    def until(self) -> int:
        """When the last job is submitted."""
        return self.began + int(self._jobs.submit[-1])

    def advance(self, until: int) -> None:
        """Let everything happen that happens before ``until``."""
        self._make_room(until)
        engine.advance(self._jobs, self._tree, self._rules, self._events, self._state, until - self.began)

    def _make_room(self, until: int) -> None:
        wanted = (until - self.began) // HOUR + 2
        hours = self._state.hours
        if wanted > len(hours):
            more = np.zeros((wanted + len(hours), hours.shape[1]))
            more[: len(hours)] = hours
            self._state = self._state._replace(hours=more)

    def set_raw_shares(self, account: str, raw_shares: int) -> None:
        """Set RawShares as sacctmgr does; they take effect at the next decay pass."""
        node = self._index[account]
        engine.rank_now(self._tree, self._state)
        self._state.shares[node] = raw_shares
        self._state.moved[self._tree.parent[node]] = True

    def favour(self, priority: float) -> None:
        """Give regional jobs this priority for nothing; waiting ones get it at the next pass."""
        self._rules = self._rules._replace(favour=priority)

    @property
    def favoured(self) -> bool:
        """Whether regional jobs have a priority for nothing."""
        return self._rules.favour > 0

    def reset_usage(self) -> None:
        """Forget all usage, as PriorityUsageResetPeriod does."""
        self._state.usage[:] = 0
        self._state.moved[:] = True
        self._state.part[:] = -self._state.rate * (self._state.at[NOW] - self._state.at[LAST_PASS])

    def associations(self) -> tuple[Association, ...]:
        """The rows of the steered level, as sshare would list them now."""
        rows = [self._row("root", None, None), self._row("root", None, "root")]
        return (*rows, *(self._row(account, "root", None) for account in self.accounts))

    def _row(self, account: str, parent: str | None, user: str | None) -> Association:
        node = self._index[account if user is None else f"{account}/{user}"]
        shares = int(self._state.shares[node])
        return Association(
            cluster=NAME, account=account, parent=parent, user=user, raw_shares=shares,
            stored_shares=shares, raw_usage=int(self._state.usage[node]),
        )  # fmt: skip

    def members(self) -> tuple[Association, ...]:
        """The rows below that level: the sides' accounts and their users, by the names in the workload.

        An account with users on both sides would be there twice under one name, as in no real Slurm.
        """
        below = ((key, side) for key in self._index for side in self.accounts if key.startswith(f"{side}."))
        return tuple(self._member(key, side) for key, side in below)

    def _member(self, key: str, side: str) -> Association:
        account, _, user = key.removeprefix(f"{side}.").partition("/")
        shares = int(self._state.shares[self._index[key]])
        return Association(
            cluster=NAME, account=account, parent=None if user else side, user=user or None,
            raw_shares=shares, stored_shares=shares, raw_usage=int(self._state.usage[self._index[key]]),
        )  # fmt: skip

    def waiting(self) -> list[tuple[int, float, float]]:
        """(job, priority, its fairshare term) of each waiting job, in the order in which they would start."""
        pending = self._state.pending[: self._state.at[PENDING]]
        fairshare = self._rules.weight_fairshare * self._state.fairshare[self._jobs.leaf[pending]]
        rows = zip(pending, self._state.priority[pending], fairshare, strict=True)
        return [(int(job), float(priority), float(term)) for job, priority, term in rows]

    @property
    def regional(self) -> tuple[str, ...]:
        """The region's accounts directly under root."""
        return tuple(account for account in self.accounts if account.partition(".")[0] == REGION)

    @property
    def waiting_accounts(self) -> frozenset[str]:
        """The accounts directly under root with jobs that wait."""
        pending = self._state.pending[: self._state.at[PENDING]]
        lines = {self._tree.parent[leaf] for leaf in np.unique(self._jobs.leaf[pending])}
        tops = {node if self._tree.parent[node] == 0 else self._tree.parent[node] for node in lines}
        return frozenset(account for account in self.accounts if self._index[account] in tops)

    def usage(self) -> dict[str, float]:
        """Decayed usage of each user as of the last pass, by ``account/user``."""
        return {key: float(self._state.usage[node]) for key, node in self._index.items() if "/" in key}

    def fairshare(self) -> dict[str, float]:
        """FairShare of each user as of the last pass, by ``account/user``."""
        engine.rank_now(self._tree, self._state)
        return {key: float(self._state.fairshare[node]) for key, node in self._index.items() if "/" in key}

    @property
    def hours(self) -> Floats:
        """[hour since ``began``, column of ``State.rates``]: resource-seconds, up to now."""
        return self._state.hours[: -(-int(self._state.at[NOW]) // HOUR)]

    @property
    def rates(self) -> Floats:
        """The promised resource now, by column of ``State.rates``."""
        return self._state.rates

    def backlog(self, longest: int, side: Ints | None = None) -> float:
        """Resource-seconds that waiting regional jobs may use, each for at most ``longest`` seconds.

        ``side`` has 1 for each job of those to look at instead.
        """
        jobs = self._jobs if side is None else self._jobs._replace(side=side)
        return float(engine.backlog(jobs, self._state, longest))

    def run_charge(self, since: int, until: int) -> float:
        """Resource-seconds of a run that ended in [since, until), each weighted by itself; 0 if none did."""
        start, end = self._state.start, self._state.end + self.began
        ended = (start >= 0) & (end >= since) & (end < min(until, self.now))
        charge = self._jobs.weight[ended] * (self._state.end[ended] - start[ended])
        return float(charge @ charge / charge.sum()) if charge.any() else 0.0

    @property
    def jobs(self) -> tuple[Jobs, Ints, Ints]:
        """The jobs; when each started (-1: not yet, -2: never submitted); when it ends or ended."""
        return self._jobs, self._state.start, self._state.end
