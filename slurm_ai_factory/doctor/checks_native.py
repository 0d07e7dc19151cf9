"""Checks of ``saf doctor``: what Slurm or another writer enforces on the steered side, beside shares.

Tested in tests/doctor/test_native.py.
"""

from __future__ import annotations

from math import ceil, inf, log

from slurm_ai_factory.core import tres
from slurm_ai_factory.core.escaped import for_shell
from slurm_ai_factory.core.live import health
from slurm_ai_factory.core.live.bounds import (
    HELD,
    SPENT,
    Machine,
    NativeBound,
    NativeLimits,
    binding,
    bounds_on,
    caps_text,
    limit_counts,
)
from slurm_ai_factory.core.records import LeverKind, LoggedWriter
from slurm_ai_factory.core.words import count
from slurm_ai_factory.doctor.facts import OK, PROBLEM, WARNING, CheckResult, Facts, doctor_check

MODE_OF_POWER = 3
"""The mode of hierarchical resources in which the layers add up, made for power (hres.html)."""


@doctor_check(
    "native_bounds",
    "a limit of Slurm's own holds the region whatever its shares",
    ("native_limits", "nodes", "size"),
)
def native_bounds_check(facts: Facts) -> CheckResult:
    limits = facts.native_limits or NativeLimits()
    wanted = f"no limit of Slurm that leaves {facts.steered} less than {facts.promised:.1%} of the machine"
    if facts.steered_by is LeverKind.PARTITION:
        return CheckResult(OK, "not looked at: control.lever is partition", wanted)
    if not health.limits_enforced(facts.priority):
        return CheckResult(OK, "Slurm enforces no limits", wanted)
    qos = facts.accounts[0] if facts.steered_by is LeverKind.QOS else ""
    machine = machine_of(facts)
    bounds = bounds_on(() if qos else facts.accounts, limits, machine, facts.diagnostics.at, qos)
    power = any(row.mode == MODE_OF_POWER for row in limits.licences)
    if tight := binding(bounds, facts.promised):
        level = WARNING if all(row.limit.startswith(SPENT) for row in tight) else PROBLEM  # often renewed
        return CheckResult(level, _caps(facts, tight), wanted, _raise(facts, machine, tight[0]))
    if power and facts.keeps_nodes_free:
        state = "Slurm bounds power itself (HRES, mode 3), and saf keeps nodes free for the same purpose"
        return CheckResult(WARNING, state, wanted, 'saf.toml: grid.mode = "plan", or "off"')
    return CheckResult(OK, _in_words(bounds, limits), wanted)


def machine_of(facts: Facts) -> Machine:
    """What bounds are measured against."""
    half_life = facts.priority.decay_half_life_seconds
    memory = half_life / log(2) if half_life else inf
    return Machine(
        size=tres.parse_tres(facts.size or ""),
        nodes={node.name: tres.parse_tres(node.tres) for node in facts.nodes or ()},
        weights=facts.weights,
        window_seconds=facts.window_seconds,
        memory_seconds=memory if facts.priority.usage_reset == "NONE" else None,
    )


def _caps(facts: Facts, tight: list[NativeBound]) -> str:
    """The tightest bounds, and what they mean for the promise."""
    resource = ", ".join(facts.weights)
    rows = [
        f"{row.limit} on {row.where} caps the region at {row.share:.1%} of {resource}" for row in tight[:3]
    ]
    more = f", and {len(tight) - len(rows)} more" if len(tight) > len(rows) else ""
    promised = f"on a full machine the promise of {facts.promised:.1%} cannot be met by shares"
    return f"{'; '.join(rows)}{more}; {promised}"


def _raise(facts: Facts, machine: Machine, row: NativeBound) -> str:
    """The command that lets an account have what is promised, where that is one limit; else what to do."""
    other = "or lower the promise: saf promise set --share"
    kind, _, name = row.where.partition(" ")
    if kind != "account" or not row.limit.startswith(f"{HELD}="):
        return f"raise the limits of {row.where}, or end them\n{other}"
    limits = limit_counts({HELD: row.limit.removeprefix(f"{HELD}=")}, HELD)
    wide = {
        key: max(count, ceil(facts.promised * float(machine.size.get(key, 0))))
        for key, count in limits.items()
    }
    where = f"{for_shell(f'name={name}')} cluster={facts.priority.cluster}"
    return f"sacctmgr -i modify account where {where} set {for_shell(f'{HELD}={caps_text(wide)}')}\n{other}"


def _in_words(bounds: list[NativeBound], limits: NativeLimits) -> str:
    shares = [row.share for row in bounds if row.share is not None]
    parts = [
        f"{count(len(bounds), 'limit')} on the steered side" if bounds else "no limit on the steered side"
    ]
    if shares:
        parts.append(f"the tightest leaves {min(shares):.1%}")
    layers = sum(row.mode > 0 for row in limits.licences)
    kinds = {"licence": len(limits.licences) - layers, "HRES layer": layers}
    parts += [count(number, kind) for kind, number in kinds.items() if number]
    parts += ["jobs that wait for HRES count as demand"] if layers else []
    return ", ".join(parts)


@doctor_check(
    "platform",
    "a platform that sets shares or limits of the steered accounts undoes the control",
    ("writers", "native_limits"),
)
def platform_check(facts: Facts) -> CheckResult:
    """Waldur's site agent adds accounts, users with Fairshare=parent, and sets GrpTRESMins of allocations."""
    rows = facts.native_limits.associations if facts.native_limits else ()
    steered = {row.number for row in rows if row.account in facts.accounts and not row.user}
    wanted = f"a platform such as Waldur that writes below {facts.steered}, and not to it"
    platforms = [
        row for row in facts.writers or () if row.actor != facts.user and row.accounts and row.budgets
    ]
    if not platforms:
        return CheckResult(OK, "no platform has added accounts and limits in 30 days", wanted)
    state = "; ".join(map(_written, platforms))
    if steered.isdisjoint(number for row in platforms for number in row.changed):
        return CheckResult(OK, f"{state}; none of it to {facts.steered}", wanted)
    fix = (
        f"let the platform set GrpTRESMins and Fairshare of its allocations below {facts.steered} only, "
        f"and saf alone Fairshare of {facts.steered}: see Beside an allocation platform in the documentation"
    )
    return CheckResult(WARNING, f"{state}; some of it to {facts.steered}", wanted, fix)


def _written(row: LoggedWriter) -> str:
    """What a platform wrote; one that adds users with Fairshare=parent writes as Waldur does."""
    likeness = "writes as Waldur's site agent does" if row.users else "adds accounts and limits"
    parts = [
        count(row.accounts, "account"),
        f"{count(row.users, 'user')} with Fairshare=parent",
        f"{count(row.budgets, 'change')} of GrpTRESMins",
        f"{count(row.shares, 'change')} of Fairshare",
    ]
    return f"{row.actor} {likeness}: {', '.join(parts)} in 30 days"
