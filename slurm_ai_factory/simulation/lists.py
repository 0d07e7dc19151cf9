"""The model's ordered lists of jobs, compiled. Tested in tests/simulation/test_engine.py.

Waiting jobs are sorted by priority, highest first, and by submission where that ties. Running jobs are kept
twice: in a heap by their end, and for each pool sorted by their time limit, which is all the scheduler knows.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from slurm_ai_factory.simulation.arrays import PENDING, RUNNING, Jobs, State


@njit(cache=True)
def _first(priority: np.ndarray, job: int, other: int) -> bool:
    return bool(priority[job] > priority[other] or (priority[job] == priority[other] and job < other))


@njit(cache=True)
def insert_pending(state: State, job: int) -> None:
    """Put a job in its place among those that wait."""
    pending, low, high = state.pending, 0, state.at[PENDING]
    while low < high:
        middle = (low + high) // 2
        if _first(state.priority, pending[middle], job):
            low = middle + 1
        else:
            high = middle
    for place in range(state.at[PENDING], low, -1):
        pending[place] = pending[place - 1]
    pending[low] = job
    state.at[PENDING] += 1


@njit(cache=True)
def sort_pending(state: State) -> None:
    """Sort by merging what is in order already: after a pass, a few long stretches are."""
    source, target, size = state.pending, state.scratch, state.at[PENDING]
    merged = size
    turns = 0
    while merged > 1:
        merged = _merge_stretches(source, target, size, state.priority)
        source, target = target, source
        turns += 1
    if turns % 2:
        for place in range(size):
            state.pending[place] = state.scratch[place]


@njit(cache=True)
def _stretch(jobs: np.ndarray, start: int, size: int, priority: np.ndarray) -> int:
    """Where the stretch that begins at ``start`` ends."""
    end = start + 1
    while end < size and _first(priority, jobs[end - 1], jobs[end]):
        end += 1
    return end


@njit(cache=True)
def _merge_stretches(source: np.ndarray, target: np.ndarray, size: int, priority: np.ndarray) -> int:
    """Merge neighbouring stretches of ``source`` into ``target``; how many there are then."""
    start, stretches = 0, 0
    while start < size:
        middle = _stretch(source, start, size, priority)
        end = _stretch(source, middle, size, priority) if middle < size else middle
        left, right = start, middle
        for place in range(start, end):
            take_left = right >= end or (left < middle and _first(priority, source[left], source[right]))
            target[place] = source[left] if take_left else source[right]
            left, right = (left + 1, right) if take_left else (left, right + 1)
        start, stretches = end, stretches + 1
    return stretches


@njit(cache=True)
def push_end(state: State, job: int) -> None:
    """Add a running job to the heap of ends."""
    heap, end, place = state.ends, state.end, state.at[RUNNING]
    state.at[RUNNING] += 1
    while place > 0 and end[heap[(place - 1) // 2]] > end[job]:
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = job


@njit(cache=True)
def pop_end(state: State) -> int:
    """Take the running job that ends first."""
    heap, end = state.ends, state.end
    state.at[RUNNING] -= 1
    size = state.at[RUNNING]
    job, moved, place = heap[0], heap[size], 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and end[heap[child + 1]] < end[heap[child]]:
            child += 1
        if end[heap[child]] >= end[moved]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = moved
    return int(job)


@njit(cache=True)
def _place(jobs: Jobs, state: State, pool: int, job: int) -> int:
    """Where a job stands, or belongs, among the running jobs of a pool."""
    running, low, high = state.running, 0, state.busy[pool]
    due = state.start[job] + jobs.limit[job]
    while low < high:
        middle = (low + high) // 2
        other = running[pool, middle]
        other_due = state.start[other] + jobs.limit[other]
        if other_due < due or (other_due == due and other < job):
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def insert_running(jobs: Jobs, state: State, job: int) -> None:
    """Put a job among the running ones of its pool."""
    pool = jobs.pool[job]
    first = _place(jobs, state, pool, job)
    for place in range(state.busy[pool], first, -1):
        state.running[pool, place] = state.running[pool, place - 1]
    state.running[pool, first] = job
    state.busy[pool] += 1


@njit(cache=True)
def remove_running(jobs: Jobs, state: State, job: int) -> None:
    """Take a job out of the running ones of its pool."""
    pool = jobs.pool[job]
    state.busy[pool] -= 1
    for place in range(_place(jobs, state, pool, job), state.busy[pool]):
        state.running[pool, place] = state.running[pool, place + 1]
