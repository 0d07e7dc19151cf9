"""The scheduler's look at the queue, compiled. Tested in tests/simulation/test_engine.py.

EASY: the first job of a pool that does not fit gets a reservation at the earliest time the others' limits
promise, and what is behind it may start if that reservation holds. Conservative: each job that was looked at
gets one, as Slurm's backfill does up to bf_max_job_test (backfill.c: _attempt_backfill, _add_reservation).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from slurm_ai_factory.simulation.arrays import (
    ALL,
    FIRST_GROUP,
    LAST_PASS,
    NEVER,
    NOW,
    OTHERS_WAITING,
    PENDING,
    REGIONAL,
    RUNNING,
    WAITING,
    Jobs,
    ModelRules,
    State,
)
from slurm_ai_factory.simulation.lists import insert_running, push_end
from slurm_ai_factory.simulation.peers import BY_PRIORITY, next_side


@njit(cache=True)
def look(jobs: Jobs, rules: ModelRules, state: State) -> None:
    """Start what may start now."""
    if _room(state):
        if rules.conservative:
            _conservative(jobs, rules, state)
        else:
            _easy(jobs, rules, state)


@njit(cache=True)
def _room(state: State) -> bool:
    """Whether any pool has room for the least that waits for it."""
    for pool in range(state.free.shape[0]):  # noqa: SIM110 - numba has no any()
        if _fits(state.free[pool], state.least[pool]):
            return True
    return False


@njit(cache=True)
def _fits(free: np.ndarray, need: np.ndarray) -> bool:
    for component in range(len(need)):  # noqa: SIM110 - numba has no all()
        if need[component] > free[component]:
            return False
    return True


@njit(cache=True)
def _easy(jobs: Jobs, rules: ModelRules, state: State) -> None:
    pools = state.free.shape[0]
    reserved = np.full(pools, NEVER)  # when the first job that does not fit may start
    spare = state.free.copy()  # what may be used beyond that
    roomy, size, running = True, min(state.at[PENDING], rules.depth), state.at[RUNNING]
    places = np.zeros(2, np.int64)
    looked = 0
    while looked < size and roomy:
        if rules.peer:
            job = _turn(jobs, rules, state, places)
        else:
            job, places[0] = state.pending[looked], looked + 1
        pool = jobs.pool[job]
        if _fits_now(jobs, state, job) and _leaves_alone(jobs, state, job, reserved[pool], spare[pool]):
            _start(jobs, state, job)
            roomy = _room(state)
        elif reserved[pool] == NEVER:
            reserved[pool] = _reserve(jobs, state, job, spare[pool])
        looked += 1
    if state.at[RUNNING] > running:
        _close_up(state, places.max())


@njit(cache=True)
def _turn(jobs: Jobs, rules: ModelRules, state: State, places: np.ndarray) -> int:
    """The waiting job to look at next; ``places`` has how far each side was looked at, and is moved on."""
    side = 0
    for own in range(2):
        while places[own] < state.at[PENDING] and jobs.side[state.pending[places[own]]] != own:
            places[own] += 1
    if places[0] == state.at[PENDING]:
        side = 1
    elif places[1] < state.at[PENDING]:
        wanted = next_side(rules, state)
        side = 1 if wanted > 0 or (wanted == BY_PRIORITY and places[1] < places[0]) else 0
    places[side] += 1
    return int(state.pending[places[side] - 1])


@njit(cache=True)
def _fits_now(jobs: Jobs, state: State, job: int) -> bool:
    for component in range(jobs.need.shape[1]):
        if jobs.need[job, component] > state.free[jobs.pool[job], component]:
            return False
    return True


@njit(cache=True)
def _leaves_alone(jobs: Jobs, state: State, job: int, reserved: int, spare: np.ndarray) -> bool:
    """Whether the job would not delay a reservation; what it takes of ``spare`` is taken."""
    if reserved == NEVER or state.at[NOW] + jobs.limit[job] <= reserved:
        return True
    if not _fits(spare, jobs.need[job]):
        return False
    spare -= jobs.need[job]
    return True


@njit(cache=True)
def _reserve(jobs: Jobs, state: State, job: int, spare: np.ndarray) -> int:
    """When the job may start at the latest, by the limits of what runs; ``spare`` is what is left then."""
    pool = jobs.pool[job]
    spare[:] = state.free[pool]
    for place in range(state.busy[pool]):
        other = state.running[pool, place]
        spare += jobs.need[other]
        if _fits(spare, jobs.need[job]):
            spare -= jobs.need[job]
            return int(state.start[other] + jobs.limit[other])
    return NEVER - 1  # larger than the pool: nothing can delay it


@njit(cache=True)
def _start(jobs: Jobs, state: State, job: int) -> None:
    now, leaf = state.at[NOW], jobs.leaf[job]
    state.start[job], state.end[job] = now, now + jobs.runtime[job]
    state.free[jobs.pool[job]] -= jobs.need[job]
    push_end(state, job)
    insert_running(jobs, state, job)
    state.rate[leaf] += jobs.billing[job]
    state.part[leaf] -= jobs.billing[job] * (now - state.at[LAST_PASS])
    group = jobs.group[job]
    state.waiting[group] -= 1
    state.rates[ALL] += jobs.weight[job]
    if jobs.side[job]:
        state.rates[REGIONAL] += jobs.weight[job]
    state.rates[WAITING if jobs.side[job] else OTHERS_WAITING] -= jobs.weight[job]
    if len(state.rates) > FIRST_GROUP:
        state.rates[FIRST_GROUP + 2 * group] += jobs.weight[job]
        state.rates[FIRST_GROUP + 2 * group + 1] -= jobs.weight[job]


@njit(cache=True)
def _close_up(state: State, looked: int) -> None:
    """Close the gaps that started jobs left among the first that wait: ``looked`` places were looked at."""
    kept, size = 0, state.at[PENDING]
    for place in range(looked):
        job = state.pending[place]
        state.pending[kept] = job
        kept += state.start[job] < 0
    for place in range(looked, size if kept < looked else looked):
        state.pending[kept + place - looked] = state.pending[place]
    state.at[PENDING] = size - (looked - kept)


@njit(cache=True)
def _conservative(jobs: Jobs, rules: ModelRules, state: State) -> None:
    """Each job that is looked at starts now, or is written into the plan of its pool."""
    components = jobs.need.shape[1]
    longest = state.at[PENDING] if state.at[PENDING] < rules.depth else rules.depth
    most = state.busy.max() + 2 * longest + 2
    times = np.empty((len(state.busy), most), np.int64)
    free = np.empty((len(state.busy), most, components), np.int64)
    size = np.zeros(len(state.busy), np.int64)
    for pool in range(len(size)):
        size[pool] = _plan(jobs, state, pool, times[pool], free[pool])
    running = state.at[RUNNING]
    places = np.zeros(2, np.int64)
    looked = 0
    while looked < longest and _room(state):
        if rules.peer:
            job = _turn(jobs, rules, state, places)
        else:
            job, places[0] = state.pending[looked], looked + 1
        pool = jobs.pool[job]
        looked += 1
        begin = _earliest(jobs, job, times[pool], free[pool], size[pool])
        if begin < size[pool]:
            size[pool] = _book(jobs, job, times[pool], free[pool], size[pool], begin)
        if begin == 0:
            _start(jobs, state, job)
    if state.at[RUNNING] > running:
        _close_up(state, places.max())


@njit(cache=True)
def _plan(jobs: Jobs, state: State, pool: int, times: np.ndarray, free: np.ndarray) -> int:
    """What will be free from when on, by the limits of what runs; how many steps that has."""
    times[0], size = state.at[NOW], 1
    free[0] = state.free[pool]
    for place in range(state.busy[pool]):
        other = state.running[pool, place]
        due = max(state.at[NOW] + 1, state.start[other] + jobs.limit[other])
        if due > times[size - 1]:
            times[size] = due
            free[size] = free[size - 1]
            size += 1
        free[size - 1] += jobs.need[other]
    return size


@njit(cache=True)
def _earliest(jobs: Jobs, job: int, times: np.ndarray, free: np.ndarray, size: int) -> int:
    """The first step of the plan from which on the job fits for as long as it may run."""
    begin = 0
    for step in range(size):
        if step > begin and times[step] >= times[begin] + jobs.limit[job]:
            return begin
        if not _fits(free[step], jobs.need[job]):
            begin = step + 1
    return begin


@njit(cache=True)
def _book(jobs: Jobs, job: int, times: np.ndarray, free: np.ndarray, size: int, begin: int) -> int:
    """Write a job into the plan from a step on; how many steps the plan has then."""
    due = times[begin] + jobs.limit[job]
    end = begin
    while end < size and times[end] < due:
        end += 1
    if end == size or times[end] != due:
        for step in range(size, end, -1):
            times[step] = times[step - 1]
            free[step] = free[step - 1]
        times[end] = due
        free[end] = free[end - 1]
        size += 1
    for step in range(begin, end):
        free[step] -= jobs.need[job]
    return size
