"""The model cluster in time, compiled: submit, end, decay pass, and the scheduler's look at the queue.

What it keeps of Slurm: usage accrues and decays in passes (priority_multifactor.c: decay_apply_new_usage),
and what was set between two passes acts at the next; a job's priority is computed when it is submitted and in
each pass; jobs start in the order of priority until one does not fit, and then behind it what does not
delay it (backfill.c). What it leaves out: single nodes within a pool, preemption, the time that Slurm needs.
"""

from __future__ import annotations

from numba import njit

from slurm_ai_factory.simulation import lists
from slurm_ai_factory.simulation.arrays import (
    ALL,
    FIRST_GROUP,
    LAST_PASS,
    NEVER,
    NEXT_EVENT,
    NEXT_JOB,
    NEXT_PASS,
    NOW,
    OTHERS_WAITING,
    PENDING,
    REGIONAL,
    RUNNING,
    STALE,
    UP,
    WAITING,
    WANTED_AT,
    Events,
    Jobs,
    ModelRules,
    State,
    TreeArrays,
)
from slurm_ai_factory.simulation.backfill import look
from slurm_ai_factory.simulation.peers import remember
from slurm_ai_factory.simulation.ranks import make_ranks

HOUR = 3600


@njit(cache=True)
def advance(
    jobs: Jobs, tree: TreeArrays, rules: ModelRules, events: Events, state: State, until: int
) -> None:
    """Everything that happens before ``until``."""
    at = state.at
    while True:
        now = min(until, _next(jobs, events, state))
        passed = now - at[NOW]
        _integrate(state, now)
        if rules.peer:
            remember(rules, state, passed)
        if now >= until:
            return
        answers = _answers(events, now) == now
        if answers and at[NEXT_PASS] <= now:
            _pass(tree, rules, state)
        _ends(jobs, rules, state)
        _events(rules, events, state)
        if answers:
            _submissions(jobs, tree, rules, state)
        if answers and at[WANTED_AT] <= now:
            _refresh(jobs, tree, rules, state)
            look(jobs, rules, state)
            at[WANTED_AT] = NEVER


@njit(cache=True)
def _next(jobs: Jobs, events: Events, state: State) -> int:
    """When something happens next."""
    at = state.at
    soonest = min(at[NEXT_PASS], at[WANTED_AT])
    if at[NEXT_JOB] < len(jobs.submit):
        soonest = min(soonest, jobs.submit[at[NEXT_JOB]])
    soonest = _answers(events, max(soonest, at[NOW]))
    if at[RUNNING]:
        soonest = min(soonest, state.end[state.ends[0]])
    if at[NEXT_EVENT] < len(events.at):
        soonest = min(soonest, events.at[at[NEXT_EVENT]])
    return int(soonest)


@njit(cache=True)
def _answers(events: Events, at: int) -> int:
    """When slurmctld answers: then, or when it has been started again."""
    for stop in range(len(events.stops)):
        if events.stops[stop, 0] <= at < events.stops[stop, 1]:
            return int(events.stops[stop, 1])
    return at


@njit(cache=True)
def _integrate(state: State, until: int) -> None:
    """Add what runs, waits and is up to the hours, up to ``until``."""
    now = state.at[NOW]
    while now < until:
        hour = now // HOUR
        end = min(until, (hour + 1) * HOUR)
        for column in range(len(state.rates)):
            state.hours[hour, column] += state.rates[column] * (end - now)
        now = end
    state.at[NOW] = until


@njit(cache=True)
def _want_a_look(rules: ModelRules, state: State) -> None:
    """Let the scheduler look at its next beat."""
    beat = state.at[NOW] + (-state.at[NOW]) % rules.interval
    state.at[WANTED_AT] = min(state.at[WANTED_AT], beat)


@njit(cache=True)
def _pass(tree: TreeArrays, rules: ModelRules, state: State) -> None:
    """One pass of the decay thread: decay, then new usage; ranks are computed when they are needed."""
    seconds = state.at[NOW] - state.at[LAST_PASS]
    left = (1.0 - 0.693 / rules.half_life) ** seconds if rules.half_life else 1.0
    state.usage[:] = state.usage * left
    for leaf in range(len(state.usage)):
        used = state.rate[leaf] * seconds + state.part[leaf]
        state.part[leaf] = 0.0
        node = leaf if used else -1
        while node >= 0:
            state.usage[node] += used * left
            state.moved[node] = True
            node = tree.parent[node]
    state.at[LAST_PASS] = state.at[NOW]
    state.at[NEXT_PASS] = state.at[NOW] + rules.calc_period
    state.at[STALE] = 1
    if state.at[PENDING]:
        _want_a_look(rules, state)


@njit(cache=True)
def rank_now(tree: TreeArrays, state: State) -> None:
    """Make the ranks that the last pass made."""
    if state.at[STALE]:
        make_ranks(tree, state)
        state.at[STALE] = 0


@njit(cache=True)
def _refresh(jobs: Jobs, tree: TreeArrays, rules: ModelRules, state: State) -> None:
    """The priorities that the last pass gave, when there was one since the last look."""
    if not state.at[STALE]:
        return
    rank_now(tree, state)
    state.least[:] = NEVER
    for place in range(state.at[PENDING]):
        job = state.pending[place]
        _prioritise(jobs, rules, state, job, state.at[LAST_PASS])
        _note_need(jobs, state, job)
    lists.sort_pending(state)


@njit(cache=True)
def _prioritise(jobs: Jobs, rules: ModelRules, state: State, job: int, now: int) -> None:
    """priority_multifactor.c: _get_priority_internal; age grows up to PriorityMaxAge."""
    age = max(0.0, min(1.0, (now - jobs.submit[job]) / rules.max_age))
    shares = rules.weight_fairshare * state.fairshare[jobs.leaf[job]]
    favour = rules.favour if jobs.side[job] else 0.0
    state.priority[job] = shares + rules.weight_age * age + jobs.standing[job] + favour


@njit(cache=True)
def _note_need(jobs: Jobs, state: State, job: int) -> None:
    pool = jobs.pool[job]
    for component in range(jobs.need.shape[1]):
        state.least[pool, component] = min(state.least[pool, component], jobs.need[job, component])


@njit(cache=True)
def _ends(jobs: Jobs, rules: ModelRules, state: State) -> None:
    """Jobs that end now."""
    at = state.at
    while at[RUNNING] and state.end[state.ends[0]] <= at[NOW]:
        job = lists.pop_end(state)
        lists.remove_running(jobs, state, job)
        for component in range(jobs.need.shape[1]):
            state.free[jobs.pool[job], component] += jobs.need[job, component]
        state.rate[jobs.leaf[job]] -= jobs.billing[job]
        state.part[jobs.leaf[job]] += jobs.billing[job] * (at[NOW] - at[LAST_PASS])
        state.ended[jobs.leaf[job]] += 1
        state.ran[jobs.leaf[job]] += jobs.runtime[job]
        state.rates[ALL] -= jobs.weight[job]
        if jobs.side[job]:
            state.rates[REGIONAL] -= jobs.weight[job]
        if len(state.rates) > FIRST_GROUP:
            state.rates[FIRST_GROUP + 2 * jobs.group[job]] -= jobs.weight[job]
        if at[PENDING]:
            _want_a_look(rules, state)


@njit(cache=True)
def _events(rules: ModelRules, events: Events, state: State) -> None:
    """Nodes that go down or come up now."""
    at = state.at
    while at[NEXT_EVENT] < len(events.at) and events.at[at[NEXT_EVENT]] <= at[NOW]:
        event = at[NEXT_EVENT]
        for component in range(state.free.shape[1]):
            state.free[events.pool[event], component] += events.change[event, component]
        state.rates[UP] += events.weight[event]
        at[NEXT_EVENT] += 1
        if at[PENDING]:
            _want_a_look(rules, state)


@njit(cache=True)
def _submissions(jobs: Jobs, tree: TreeArrays, rules: ModelRules, state: State) -> None:
    """Jobs that are submitted now; users of a group whose backlog is full go without."""
    at = state.at
    while at[NEXT_JOB] < len(jobs.submit) and jobs.submit[at[NEXT_JOB]] <= at[NOW]:
        job = at[NEXT_JOB]
        at[NEXT_JOB] += 1
        if rules.backlog and state.waiting[jobs.group[job]] >= rules.backlog:
            state.start[job] = -2
            continue
        _refresh(jobs, tree, rules, state)
        _prioritise(jobs, rules, state, job, at[NOW])
        lists.insert_pending(state, job)
        _note_need(jobs, state, job)
        state.waiting[jobs.group[job]] += 1
        state.rates[WAITING if jobs.side[job] else OTHERS_WAITING] += jobs.weight[job]
        if len(state.rates) > FIRST_GROUP:
            state.rates[FIRST_GROUP + 2 * jobs.group[job] + 1] += jobs.weight[job]
        _want_a_look(rules, state)


@njit(cache=True)
def backlog(jobs: Jobs, state: State, longest: int) -> float:
    """Resource-seconds that waiting regional jobs may be expected to use.

    As long as its user's jobs have run in the mean, if any have ended, but no longer than the time limit.
    """
    total = 0.0
    for place in range(state.at[PENDING]):
        job = state.pending[place]
        if jobs.side[job]:
            ended = state.ended[jobs.leaf[job]]
            usual = state.ran[jobs.leaf[job]] / ended if ended else float(longest)
            total += jobs.weight[job] * min(usual, jobs.limit[job], longest)
    return total
