"""Several promises in `saf simulate`: how they are given, and how what became of them is shown.

Tested in tests/cli/test_simulate_promises.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.arguments import usage_errors
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.promise import PROMISE_NAME
from slurm_ai_factory.cli.simulate.shown import Value, flat_value, left_out_value, workload_facts
from slurm_ai_factory.cli.simulate.trial import log_lines, trial_of
from slurm_ai_factory.core.measure.share import CAPACITY, DELIVERED, Promise
from slurm_ai_factory.core.records import Bound, Verdict
from slurm_ai_factory.core.words import count
from slurm_ai_factory.simulation.commitments import Commitments
from slurm_ai_factory.simulation.formats import promise_accounts
from slurm_ai_factory.simulation.layout import OTHERS
from slurm_ai_factory.simulation.policies import Named
from slurm_ai_factory.simulation.replay import Trial
from slurm_ai_factory.simulation.verdicts import PromiseOutcome

POLICIES = ("floor", "static")
VERDICTS = {
    "kept": (Verdict.MET, Verdict.KEPT),
    "missed, no demand": (Verdict.MISSED_DEMAND,),
    "missed, demand waited": (Verdict.MISSED_STARVED,),
    "exceeded on idle nodes": (Verdict.EXCEEDED_IDLE,),
    "exceeded": (Verdict.EXCEEDED,),
}
"""The columns of the table, and the verdicts that each counts."""


def several_trial(source: str, given: Sequence[str], accounts: str, **options: Any) -> Trial:
    """The trial of several promises to the accounts in a file. Raises UsageError, SafError."""
    with log_lines(Path(accounts)) as lines:
        table = promise_accounts(lines, [text.partition("=")[0] for text in given])
    named = frozenset(table)
    trial = trial_of(source, **{**options, "regional": named})
    with usage_errors("--promise"):
        promises = tuple(_promise(text, trial.promise) for text in given)
        _check_names(promises)
    there = {account for account, _ in trial.workload.users}
    for promise in promises:
        if not any(promise.name in names for account, names in table.items() if account in there):
            raise click.UsageError(
                f"no account of promise {promise.name} in {accounts} has a job in {source}"
            )
    commitments = Commitments(promises=promises, accounts=table)
    return replace(trial, promise=promises[0], commitments=commitments)


def _promise(text: str, like: Promise) -> Promise:
    """The promise that NAME=BOUND:SHARE[:OF] describes. Raises ValueError.

    The other values are those of the promise ``like``.
    """
    name, _, terms = text.partition("=")
    bound, _, terms = terms.partition(":")
    share, _, of = terms.partition(":")
    if not PROMISE_NAME.fullmatch(name) or name == OTHERS:
        raise ValueError(
            f"{name!r} is no name of a promise; use up to 32 of a-z, 0-9 and -, but not {OTHERS}"
        )
    if bound not in tuple(Bound):
        raise ValueError(f"{text!r} has neither floor nor cap; write NAME=floor:0.25 or NAME=cap:0.2")
    if not 0 < (part := float(share)) < 1:
        raise ValueError(f"the share {share} is not between 0 and 1")
    return replace(like, name=name, bound=Bound(bound), target_share=part, share_of=of or DELIVERED)


def _check_names(promises: Sequence[Promise]) -> None:
    """Raise ValueError where a name is there twice, or a share is a part of no promise."""
    names = [promise.name for promise in promises]
    for promise in promises:
        if names.count(promise.name) > 1:
            raise ValueError(f"{promise.name} is there twice")
        known = (DELIVERED, CAPACITY, *(f"promise:{name}" for name in names if name != promise.name))
        if promise.share_of not in known:
            raise ValueError(f"{promise.name} is a share of {promise.share_of!r}; use {', '.join(known)}")


def asked_policies(names: Sequence[str], target: float) -> list[Named]:
    """The policies with these names, each once. Raises UsageError for one that knows two sides only."""
    if wrong := next((name for name in names if name not in POLICIES), None):
        raise click.UsageError(f"--policy {wrong} does not go with --promise; use {' or '.join(POLICIES)}")
    return [Named(name, name, target) for name in dict.fromkeys(names or POLICIES)]


class Judged(NamedTuple):
    """What a policy made of the promises."""

    policy: str
    utilisation: float
    outcomes: Sequence[PromiseOutcome]


def show_promises(trial: Trial, judged: Sequence[Judged], took: Value) -> None:
    """Print what became of each promise, as the options ask for it."""
    facts = {name: fact for name, fact in workload_facts(trial).items() if name != "regional_demand_share"}
    value = {
        "workload": facts, "left_out": left_out_value(trial), "resource": trial.promise.resource.name,
        "capacity": trial.layout.total, "window": trial.window,
        "promises": [_promise_value(trial, row.promise) for row in judged[0].outcomes],
        "policies": [
            {"policy": policy, "utilisation": used, "promises": [_outcome_value(row) for row in rows]}
            for policy, used, rows in judged
        ],
        **took,
    }  # fmt: skip
    if chosen.json:
        return output.emit(value)
    if chosen.csv:
        flat = [
            flat_value({"policy": policy, **_outcome_value(row)})
            for policy, _, rows in judged
            for row in rows
        ]
        return output.table(list(flat[0]), [list(row.values()) for row in flat])
    if not chosen.quiet:
        click.echo(
            f"{facts['jobs']} jobs in {facts['span_days']:.0f} days on {trial.layout.total:.0f} "
            f"{trial.promise.resource}, which they would fill to {100 * facts['offered_load']:.0f} %; "
            f"{count(judged[0].outcomes[0].windows, 'window')} of {trial.window}\n"
        )
    titles = ("policy", "promise", "bound", "share", "delivered", "worst window", *VERDICTS, "writes/day")
    output.table(titles, [_cells_of(policy, row) for policy, _, rows in judged for row in rows])
    return None


def _promise_value(trial: Trial, promise: Promise) -> Mapping[str, object]:
    """A promise, with its part of all demand and the accounts that its row has; none where it has no row."""
    charge = trial.layout.weight * trial.workload.runtime
    side = sight.side if (sight := trial.sight(promise)) else trial.side
    accounts = {account for account, _ in trial.workload.users}
    row = trial.commitments.row if trial.commitments else str
    return {
        "promise": promise.name, "bound": promise.bound, "share": promise.target_share,
        "share_of": promise.share_of, "demand_share": float((charge * side).sum() / charge.sum()),
        "steered": sorted(name for name in accounts if row(name) == promise.name),
    }  # fmt: skip


def _outcome_value(row: PromiseOutcome) -> Mapping[str, object]:
    return {
        "promise": row.promise.name, "delivered_share": row.delivered_share,
        "worst_window_share": row.worst_window_share, "windows": row.windows,
        "verdicts": {name: row.verdicts.get(name, 0) for name in Verdict},
        "writes_per_day": row.writes_per_day,
    }  # fmt: skip


def _cells_of(policy: str, row: PromiseOutcome) -> list[object]:
    promise = row.promise
    of = "" if promise.share_of == DELIVERED else f" of {promise.share_of}"
    return [
        policy, promise.name, promise.bound, f"{100 * promise.target_share:g} %{of}",
        output.percent(row.delivered_share), output.percent(row.worst_window_share),
        *(sum(row.verdicts.get(name, 0) for name in names) for names in VERDICTS.values()),
        None if row.writes_per_day is None else f"{row.writes_per_day:.2f}",
    ]  # fmt: skip
