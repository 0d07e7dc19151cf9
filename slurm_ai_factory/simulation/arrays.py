"""The arrays that compiled code works on. Tested in tests/simulation/test_engine.py.

Everything is an array or a number, because compiled code takes nothing else. A job is an index into ``Jobs``,
in order of submission; an association is an index into ``TreeArrays``; a pool is a row of ``free``. Instants
and spans are whole seconds. What a job needs is a row of counts, one for each component of a pool (cores,
GPUs).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

REGIONAL, ALL, WAITING, OTHERS_WAITING, UP = range(5)
"""Columns of ``State.rates`` and ``State.hours``: the promised resource, regional running, all running,
regional waiting, others waiting, and up."""

FIRST_GROUP = UP + 1
"""From here on two columns for each group, running and waiting, where there are several promises."""

(NOW, NEXT_JOB, PENDING, RUNNING, NEXT_EVENT, NEXT_PASS, LAST_PASS, WANTED_AT, STALE) = range(9)
"""Places in ``State.at``. WANTED_AT is when the scheduler looks next, STALE whether ranks are to be made."""

NEVER = np.iinfo(np.int64).max


class Jobs(NamedTuple):
    """The work, in order of submission."""

    submit: Ints
    runtime: Ints
    limit: Ints  #: time limit, at least the runtime
    leaf: Ints  #: the user's association
    pool: Ints
    need: Ints  #: [job, component]
    weight: Floats  #: of the promised resource
    billing: Floats  #: billing TRES: what usage counts
    standing: Floats  #: the part of the priority that stays: size, partition, QOS
    side: Ints  #: 1 regional, 0 not
    group: Ints  #: whose jobs wait together: of a side, or of the accounts with the same promises


class TreeArrays(NamedTuple):
    """Associations; those that compete below an account are ``below[first[i]:last[i]]``."""

    parent: Ints  #: -1 for root, and always less than the association's own index
    user: NDArray[np.bool_]
    first: Ints
    last: Ints
    below: Ints


class ModelRules(NamedTuple):
    """How the model cluster is configured: slurm.conf's words."""

    calc_period: int  #: PriorityCalcPeriod, seconds
    half_life: float  #: PriorityDecayHalfLife, seconds; 0: no decay
    weight_fairshare: float
    weight_age: float
    max_age: float  #: PriorityMaxAge, seconds
    interval: int  #: seconds between two looks of the scheduler, when there is something to look at
    depth: int  #: jobs looked at each time (bf_max_job_test)
    conservative: bool  #: every job looked at gets a reservation, not only the first of each pool
    backlog: int  #: jobs of a group that wait before its users stop submitting; 0: no limit
    favour: float  #: priority that regional jobs have for nothing (the oracle)
    peer: int  #: the rule that chooses the side of each job, see peers
    peer_share: float
    peer_extra: float


class Events(NamedTuple):
    """Changes of what is up, in order of time, and stops of slurmctld."""

    at: Ints
    pool: Ints
    change: Ints  #: [event, component]
    weight: Floats  #: of the promised resource
    stops: Ints  #: [stop, (since, until)]: slurmctld is down; running jobs go on, no job is submitted


class State(NamedTuple):
    """The model cluster at an instant."""

    at: Ints  #: see NOW ... STALE
    start: Ints  #: of each job; -1 while it waits, -2 when it was never submitted
    end: Ints  #: of each job; of a running one, when it will end
    priority: Floats
    pending: Ints  #: jobs that wait, the highest priority first
    scratch: Ints
    ends: Ints  #: heap of running jobs by end
    free: Ints  #: [pool, component]; below 0 while nodes drain
    running: Ints  #: [pool, place]: running jobs by start + limit
    busy: Ints  #: running jobs of each pool
    least: Ints  #: [pool, component]: the least that a waiting job needs, or less
    waiting: Ints  #: jobs of each group that wait
    usage: Floats  #: decayed usage of each association, accounts too, as of the last pass
    rate: Floats  #: billing running now, of each association
    part: Floats  #: correction of the usage since the last pass for jobs that began or ended since
    shares: Floats  #: RawShares of each association
    fairshare: Floats  #: of each user, as of the last pass
    rates: Floats  #: see REGIONAL ... UP, FIRST_GROUP
    hours: Floats  #: [hour, column]: the integral of ``rates`` over each hour
    order: Ints  #: as ``Tree.below``, the best level_fs first
    level_fs: Floats
    ended: Ints  #: jobs of each user that have ended
    ran: Ints  #: seconds that these ran
    memory: Floats  #: what a peer's rule remembers, see peers
    moved: NDArray[np.bool_]  #: associations that were used, or whose shares were set, since the last ranks
