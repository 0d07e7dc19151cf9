"""Policies compared over many draws of several workloads. Tested in tests/cli/test_sweep.py."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from distributed import Client

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.simulate import shown
from slurm_ai_factory.cli.simulate.sweep import swept
from slurm_ai_factory.cli.simulate.trial import scenario_of
from slurm_ai_factory.simulation.draws import judged_draw
from slurm_ai_factory.simulation.evaluation import PolicyResult
from slurm_ai_factory.simulation.policies import Named, own_machines
from slurm_ai_factory.simulation.replay import Trial


def compare(client: Client, trials: Mapping[str, Trial], asked: Sequence[Named], draws: int) -> None:
    """Replay every draw of every workload under every policy, and show means and spreads."""
    began, target = time.monotonic(), next(iter(trials.values())).promise.target_share
    own = own_machines(target)
    cases = [
        (source, seed, policy)
        for source in trials
        for seed in range(1, draws + 1)
        for policy in dict.fromkeys((*asked, own))
    ]
    sent = {source: client.scatter(trial) for source, trial in trials.items()}
    tasks = [(sent[source], scenario_of(source), seed, policy) for source, seed, policy in cases]
    results: dict[tuple[str, int, Named], PolicyResult] = {}
    with output.bar(len(tasks), "simulating") as bar:
        for place, result in swept(client, judged_draw, tasks):
            results[cases[place]] = result
            bar.update(1)
    rows = {
        (source, seed): [
            shown.row(results[source, seed, policy], results[source, seed, own]) for policy in asked
        ]
        for source in trials
        for seed in range(1, draws + 1)
    }
    shown.show_sweep(trials, rows, time.monotonic() - began)
