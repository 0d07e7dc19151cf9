"""`saf plan`: the decision of the next cycle, without carrying it out.

Tested in tests/end_to_end/test_control.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from slurm_ai_factory import cycle
from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.options import chosen
from slurm_ai_factory.cli.wiring import load_config, opened_site, slurm_of
from slurm_ai_factory.core.records import FIRST, Decision
from slurm_ai_factory.errors import StandbyError
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.steps import clocks
from slurm_ai_factory.steps.reading import Read
from slurm_ai_factory.steps.site import Site


@click.command("plan", cls=EachCommand)
def plan_command() -> None:
    """Show what the next cycle would do: the decision, its reason, and the commands, ready to paste.

    Changes nothing in Slurm. If no daemon is active, accounting is read first, which writes to the ledger.
    Text output is comments and commands, so that a shell can read it.
    """
    config = load_config()
    with opened_site(config) as site:
        print_plan(planned(site), slurm_of(config))


def planned(site: Site) -> tuple[Decision, ...]:
    """The decisions on the present state. An active daemon keeps the ledger fresh; without one, it reads."""
    try:
        cycle.hold_the_lock(site)
    except StandbyError:
        priority = site.slurm.priority_config()
        return cycle.decide_on(site, cycle.observe(site, clocks.cluster_now(site), priority, Read()))
    return cycle.decide_on(site, cycle.gather(site))


def print_plan(decisions: Sequence[Decision], slurm: Slurm) -> None:
    """Print decisions, the first promise's first, as JSON, or as comments and commands for a shell."""
    if chosen.json:
        first, *beside = (output.decision_value(decision, slurm) for decision in decisions)
        return output.emit({"decision": first, "beside": beside})
    for decision in decisions:
        if not chosen.quiet:
            about = "" if decision.promise == FIRST else f"promise {decision.promise}: "
            output.say(f"# {output.when(decision.at)} {about}{decision.reason}: {decision.sentence}")
            for name, value in decision.inputs.items():
                output.say(f"#   {name} = {_input_text(name, value)}")
        for change in decision.changes:
            output.say(shlex.join(slurm.argv(change)))
    return None


def _input_text(name: str, value: float | int | str | None) -> str:
    """An input of a decision, with its unit."""
    if value is None or value == "":
        return "-"
    if name == "as_of" and isinstance(value, int):
        return str(output.when(value))
    if name.endswith("_charge"):
        return f"{output.hours(float(value))} resource-hours"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
