"""`saf run`: the daemon."""

from __future__ import annotations

import signal
import time
from threading import Event

import click

from slurm_ai_factory.cli.options import SafCommand, load_config, now, opened_site, service, start_logging
from slurm_ai_factory.daemon import Daemon


@click.command("run", cls=SafCommand)
def run_command() -> None:
    """The daemon: a cycle at every beat until SIGTERM; SIGHUP reloads the configuration.

    Writes to the ledger; sets RawShares in Slurm when control.mode is enforce, and only then.
    """
    start_logging()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon hears it; what ends it needs no second one
    stop = Event()
    Daemon(
        load=load_config,
        open_site=lambda config: opened_site(config, stop.wait, who=service),
        clock=now,
        stopwatch=time.monotonic,
        stop=stop,
    ).run()


COMMANDS = (run_command,)
