"""`saf run`: the daemon. Tested in tests/end_to_end/test_daemon.py."""

from __future__ import annotations

import signal
import time
from threading import Event

import click

from slurm_ai_factory.cli.options import SafCommand
from slurm_ai_factory.cli.wiring import asked_clusters, now, opened_site, service, start_logging
from slurm_ai_factory.daemon import Daemon


@click.command("run", cls=SafCommand)
def run_command() -> None:
    """Run the daemon: a cycle every daemon.period until SIGTERM; SIGHUP reloads the configuration.

    It runs every cluster of the configuration, or those that -M names. Writes to the ledger. Sets RawShares
    in Slurm only if control.mode is enforce.
    """
    start_logging()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon handles it; commands it starts ignore it
    stop = Event()
    Daemon(
        load=asked_clusters,
        open_site=lambda config: opened_site(config, stop.wait, who=service),
        clock=now,
        stopwatch=time.monotonic,
        stop=stop,
    ).run()
