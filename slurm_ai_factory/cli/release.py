"""`saf release`: restore the baseline where no daemon has steered for too long; run by saf-release.timer.

Tested in tests/monitor/test_release.py.
"""

from __future__ import annotations

import sys

import click

from slurm_ai_factory.cli import output
from slurm_ai_factory.cli.clusters import EachCommand
from slurm_ai_factory.cli.cycle import exit_code
from slurm_ai_factory.cli.restore_baseline import list_outcomes
from slurm_ai_factory.cli.wiring import load_config, opened_site
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Instant, Mode
from slurm_ai_factory.errors import ConfigError, SafError
from slurm_ai_factory.steps import applying
from slurm_ai_factory.steps.applying import Outcome
from slurm_ai_factory.steps.site import Site


@click.command("release", cls=EachCommand)
def release_command() -> None:
    """Restore the baseline if no cycle was completed for control.lease. Writes to Slurm.

    For saf-release.timer, which does not depend on the daemon. Only in mode enforce. A daemon that completes
    cycles again steers again.
    """
    config = load_config()
    if config.control.lease is None:
        raise ConfigError(f"{config.file}: control.lease is not set; set it, or disable saf-release.timer")
    if config.control.mode is not Mode.ENFORCE:
        output.say("nothing to release: control.mode is not enforce", err=True)
        return list_outcomes(())
    with opened_site(config) as site, site.ledger.store.holding("writing", site.ledger.control.cluster_id):
        since = applying.cycle_overdue(site)  # no cycle can be completed until the lock is given back
        outcomes = () if since is None else released(site, since)
    if since is None:
        output.say("nothing to release: a cycle was completed within control.lease", err=True)
    else:
        output.say(f"no cycle was completed since {windows.iso(since)}: see systemctl status saf", err=True)
    list_outcomes(outcomes)
    sys.exit(exit_code(outcomes))


def released(site: Site, since: Instant) -> tuple[Outcome, ...]:
    """What became of the baseline's part of the level; the writing lock is held.

    Raises SafError where that part is not known.
    """
    associations = applying.settled_shares(site)
    restored = applying.baseline(site, associations)
    if any(row.rescaled and not row.baseline.sibling_shares for row in restored):
        raise SafError(
            "no cycle is completed, and the baseline was recorded without its level, so nothing was "
            "changed; start the daemon, or run: saf restore-baseline"
        )
    why = f", because no cycle was completed since {windows.iso(since)}"
    return applying.put_back(site, associations, why=why) if restored else ()
