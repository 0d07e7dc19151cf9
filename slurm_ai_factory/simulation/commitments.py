"""Several promises on the model cluster: whom each is made to, and which row steers it.

Promises cross: an account may be regional and industrial. Its jobs count for both, and it is below one row of
the steered level, for on a Slurm an account has one place. That is the row of the cap, if it is under one, so
that the cap reaches all that it counts; else the row of the first promise that is made to it. An account of
no promise is below the row of the others. docs/decisions/0014-several-promises.md says why.

Tested in tests/simulation/test_commitments.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

import numpy as np

from slurm_ai_factory.core.control.several import MOST, fitted
from slurm_ai_factory.core.measure.share import CAPACITY, Promise
from slurm_ai_factory.core.records import Bound
from slurm_ai_factory.core.rules.classify import Beneficiary
from slurm_ai_factory.simulation import arrays
from slurm_ai_factory.simulation.build import Placed
from slurm_ai_factory.simulation.layout import OTHERS
from slurm_ai_factory.simulation.policies import FULL
from slurm_ai_factory.simulation.workload import User


class Sight(NamedTuple):
    """The part of a model cluster that a promise is about."""

    side: arrays.Ints  #: 1 for each job that counts for it
    columns: arrays.Floats
    """[column of the cluster's hours, column up to UP]: what the promise makes of it; see ``columns_of``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitments:
    """Several promises, and the names of the ones made to each account."""

    promises: tuple[Promise, ...]
    accounts: Mapping[str, frozenset[str]]  #: an account of no promise may be missing

    def of(self, account: str) -> frozenset[str]:
        """The names of the promises to an account."""
        return self.accounts.get(account, frozenset())

    def row(self, account: str) -> str:
        """The row of the level that an account is below."""
        rows = sorted(self.steerable, key=lambda promise: promise.bound is not Bound.CAP)
        return next((promise.name for promise in rows if promise.name in self.of(account)), OTHERS)

    @property
    def steerable(self) -> tuple[Promise, ...]:
        """The promises that can have a row: a part of another promise's charge is no part of the level."""
        return tuple(promise for promise in self.promises if not promise.base)

    def placed(self, users: Sequence[User]) -> Placed:
        """Each user below a row; users whose accounts have the same promises are a group."""
        groups = self.groups(users)
        group = np.array([groups.index(self.of(account)) for account, _ in users], np.int64)
        first = np.array([self.promises[0].name in self.of(account) for account, _ in users], np.int64)
        return Placed(tuple(self.row(account) for account, _ in users), first, group, len(groups))

    def groups(self, users: Sequence[User]) -> list[frozenset[str]]:
        """The promises of each group of accounts, in the order of the cluster's columns."""
        return sorted({self.of(account) for account, _ in users}, key=sorted)

    def sight(self, promise: Promise, users: Sequence[User], user: arrays.Ints) -> Sight:
        """What a promise is about; ``user`` has the place of each job's user."""
        side = np.array([promise.name in self.of(account) for account, _ in users], np.int64)
        return Sight(side[user], columns_of(promise, self.groups(users)))

    def raw_shares(self, rows: Sequence[str]) -> dict[str, int]:
        """What the rows begin with: the promised shares, as far as they fit; the others have the rest."""
        wanted = {n: promise.target_share for n, promise in enumerate(self.steerable) if promise.name in rows}
        floors = {n: wanted[n] * (self.steerable[n].bound is Bound.FLOOR) for n in wanted}
        given = fitted(wanted, floors, MOST)
        own = {self.steerable[n].name: max(1, round(share * FULL)) for n, share in given.items()}
        return {**own, OTHERS: max(1, round((1 - fsum(given.values())) * FULL) - 1)}


def columns_of(promise: Promise, groups: Sequence[frozenset[str]]) -> arrays.Floats:
    """How the columns of a promise are sums of the cluster's, which has these groups.

    What is no part of the promise's whole is left out. The whole takes the place of all that runs, and of
    another promise's charge, also of what is up, as for ``measure_window``.
    """
    columns = np.zeros((arrays.FIRST_GROUP + 2 * len(groups), arrays.UP + 1))
    share_of = [arrays.UP, arrays.ALL] if promise.share_of == CAPACITY else [arrays.UP]
    columns[arrays.UP, share_of] = not promise.base
    for place, names in enumerate(groups):
        side = promise.side(Beneficiary.NON_REGIONAL, " ".join(names))
        if side is None:
            continue
        ours, running = side is Beneficiary.REGIONAL, arrays.FIRST_GROUP + 2 * place
        columns[running, arrays.REGIONAL] = ours
        columns[running, arrays.ALL] = promise.share_of != CAPACITY
        columns[running, arrays.UP] = bool(promise.base)
        columns[running + 1, arrays.WAITING if ours else arrays.OTHERS_WAITING] = 1
    return columns
