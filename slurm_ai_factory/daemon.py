"""`saf run`: the beat, the signals, and one sentence in the log for each cycle.

The beat is fixed: a late cycle is said to be late and does not move the following ones. SIGTERM and SIGINT
end the daemon and SIGHUP reloads the configuration between two cycles, never inside one; a configuration
that does not load leaves the one in force. Losing Slurm or the ledger is an outcome of a cycle, not an end.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from types import FrameType

from slurm_ai_factory import cycle, showing
from slurm_ai_factory.applying import Outcome
from slurm_ai_factory.board import Board, Reconciled, foreign
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import judgement, windows
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.cycle import CycleReport
from slurm_ai_factory.errors import ConfigError, HoldError, LedgerError, SafError, StandbyError
from slurm_ai_factory.metrics import Exposition
from slurm_ai_factory.site import Laps, Site
from slurm_ai_factory.web import Web, serving
from slurm_ai_factory.web.page import REFRESH, html

log = logging.getLogger("saf")

PERIODS_UNTIL_UNHEALTHY = 3
LEAST_REFRESH = 2


@dataclass(slots=True)
class Daemon:
    """The loop. Everything it needs from outside is given: config, site, time.

    ``clock`` is the cluster's time, in which the period is told; ``stopwatch`` is that of whoever waits.
    """

    load: Callable[[], Config]
    open_site: Callable[[Config], AbstractContextManager[Site]]
    clock: Callable[[], Instant]
    stopwatch: Callable[[], float]
    speed: float = 1.0  #: seconds of the clock in one of the stopwatch
    stop: Event = field(default_factory=Event)
    wake: Event = field(default_factory=Event)
    reload: Event = field(default_factory=Event)
    compared: tuple[Instant, Instant] | None = None  #: the day whose books were compared last
    beat: float = 0.0  #: when the present cycle was due; the next is due one period later

    def run(self) -> None:
        """Until SIGTERM. Raises ConfigError when it cannot start."""
        config = self.load()
        board = Board(config.cluster.name)
        exposition = Exposition(board)
        with (
            self._signals(),
            serving(
                config.daemon.listen,
                lambda: html(board, self.clock(), self._refresh),
                exposition.text,
                {"/healthz": self._healthy(config), "/readyz": self._ready(config, board)},
                config.daemon.web_config_file,
            ) as web,
        ):
            gc.freeze()  # what is there now stays, and need not be looked at again
            log.info("started in mode %s, listening on port %d", config.control.mode, web.port)
            if web.exposed:
                log.warning("anybody who reaches port %d may read it; see daemon.web_config_file", web.port)
            notify("READY=1")
            self._loop(config, board, exposition, web)
            notify("STOPPING=1")
        log.info("stopped; the RawShares in force stay")

    def end(self) -> None:
        """Let it end after the cycle at hand."""
        self.stop.set()
        self.wake.set()

    def _loop(self, config: Config, board: Board, exposition: Exposition, web: Web) -> None:
        self.beat = self.stopwatch()
        while not self.stop.is_set():
            config = self._reloaded(config, web)
            with self._opened(config, board) as site:
                while site and not (self.stop.is_set() or self.reload.is_set()):
                    self._cycle(site, board)
                    exposition.renew()
                    self._pause(self._period(config, board))
            if site is None:
                self._pause(self._period(config, board))

    def _period(self, config: Config, board: Board) -> float:
        """Until the next beat; one that stands by looks twice as often, to take over within two periods."""
        return config.daemon.period / self.speed / (2 if board.failed == "standby" else 1)

    @property
    def _refresh(self) -> int:
        """How often a browser looks, in its own seconds."""
        return round(max(LEAST_REFRESH, REFRESH / self.speed))

    @contextmanager
    def _opened(self, config: Config, board: Board) -> Iterator[Site | None]:
        """The site; None when it cannot be opened now, which is told and tried again at the next beat."""
        try:
            opened = self.open_site(config)
            site = opened.__enter__()
        except SafError as error:
            self._failed(board, error)
            yield None
            return
        try:
            yield site
        finally:
            opened.__exit__(None, None, None)

    def _cycle(self, site: Site, board: Board) -> None:
        site = replace(site, laps=Laps(self.stopwatch))
        try:
            report = cycle.run(site, self.stopwatch)
            _log(report)
            board.complete(showing.shown(site, report))
        except SafError as error:
            self._failed(board, error)
            return
        notify("WATCHDOG=1")
        self._reconcile(site, board)
        self._sum_up(site)

    def _sum_up(self, site: Site) -> None:
        """What no cycle waits for."""
        try:
            cycle.sum_up(site)
        except SafError as error:
            log.warning("the past was not added up: %s", error)

    def _reconcile(self, site: Site, board: Board) -> None:
        """Once a day, on the day before; a day that was over before the daemon started is left to others."""
        day = showing.civil_day(site, self.clock())
        self.compared = self.compared or day
        if day == self.compared:
            return
        try:
            found = showing.reconciled(site, *day)
        except SafError as error:
            log.warning("the ledger was not compared with Slurm's books: %s", error)
            return
        self.compared = day
        board.compare(found)
        _log_reconciled(found)

    def _failed(self, board: Board, error: SafError) -> None:
        standby = isinstance(error, StandbyError)
        reason = error.reason if isinstance(error, HoldError) else "read_failed"
        board.fail("standby" if standby else "failed", str(error), _cause(error), self.clock(), reason)
        log.log(logging.INFO if standby else logging.ERROR, "no cycle: %s", error)
        notify("WATCHDOG=1")

    def _pause(self, period: float) -> None:
        """Wait for the next beat; beats that passed meanwhile are left out, a signal starts a new one."""
        due = self.beat + period
        late = self.stopwatch() - due
        if late > 0:
            log.warning("the cycle took %.1f s longer than the period of %g s", late, period)
            due += period * (1 + late // period)
        self.wake.wait(max(0.0, due - self.stopwatch()))
        self.wake.clear()
        self.beat = min(due, self.stopwatch())

    def _reloaded(self, config: Config, web: Web) -> Config:
        if not self.reload.is_set():
            return config
        self.reload.clear()
        try:
            loaded = self.load()
            web.renew()
            if (loaded.cluster.name, loaded.daemon.listen) != (config.cluster.name, config.daemon.listen):
                raise ConfigError("cluster.name and daemon.listen are for a restart: systemctl restart saf")
            config = loaded
        except ConfigError as error:
            log.error("configuration not reloaded, the one in force stays: %s", error)
        else:
            log.info("configuration reloaded, mode %s", config.control.mode)
        return config

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(_number: int, _frame: FrameType | None) -> None:
            self.end()

        def again(_number: int, _frame: FrameType | None) -> None:
            self.reload.set()
            self.wake.set()

        handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: again}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _healthy(self, config: Config) -> Callable[[], tuple[bool, str]]:
        limit = PERIODS_UNTIL_UNHEALTHY * config.daemon.period / self.speed + config.slurm.timeout

        def check() -> tuple[bool, str]:
            age = self.stopwatch() - self.beat
            return age < limit, f"last beat {age:.0f} s ago"

        return check

    def _ready(self, config: Config, board: Board) -> Callable[[], tuple[bool, str]]:
        def check() -> tuple[bool, str]:
            if board.finished_at is None:
                return False, board.failure or "no complete cycle yet"
            age = self.clock() - board.finished_at
            if age > config.daemon.ready_after:
                return False, f"last complete cycle {age} s ago: {board.failure}"
            return True, f"last complete cycle {age} s ago"

        return check


def _cause(error: SafError) -> str:
    """What a cycle failed for; standing by is no failure."""
    if isinstance(error, StandbyError):
        return ""
    kinds: dict[type[SafError], str] = {LedgerError: "ledger", ConfigError: "configuration"}
    return next((cause for kind, cause in kinds.items() if isinstance(error, kind)), "slurm")


def _log(report: CycleReport) -> None:
    log.info("%s", sentence(report))
    for rejected in report.gathered.read.new_rejected:
        log.warning("skipped a line of sacct that cannot be read: %s: %r", rejected.reason, rejected.line)


def _log_reconciled(found: Reconciled) -> None:
    if found.unexplained:
        log.warning(
            "the ledger differs from Slurm's books by %s TRES-seconds without a known cause from %s to %s; "
            "see saf reconcile", found.unexplained, windows.iso(found.since), windows.iso(found.until),
        )  # fmt: skip
    else:
        log.info("the ledger agrees with Slurm's books up to %s", windows.iso(found.until))


def sentence(report: CycleReport) -> str:
    """The cycle in one sentence."""
    m = report.gathered.measurement
    part = "nothing delivered yet" if m.delivered_share is None else f"region {m.delivered_share:.1%}"
    done = ", ".join(_done(one, len(report.outcomes)) for one in report.outcomes)
    others = foreign(report.gathered.foreign, len(report.steered))
    return (
        f"{m.window.name}: {part} of {m.resource}, promised {m.target_share:.0%}, {judgement.verdict(m)}; "
        f"{report.decision.sentence}{f' [{done}]' if done else ''}"
        f"{f'; somebody else changed {others}' if others else ''}"
        f"{_complaints(report)}"
    )


def _done(one: Outcome, rows: int) -> str:
    """What became of a change, by name where there are several."""
    name = f"{one.change.account} " if rows > 1 else ""
    return f"{name}{one.status}{f' ({one.note})' if one.note else ''}"


def _complaints(report: CycleReport) -> str:
    unknown = ", ".join(report.gathered.unknown_accounts)
    read = report.gathered.read
    words = report.gathered.signals.demand.unknown
    complaints = (
        (f"rules name unknown accounts: {unknown}", unknown),
        (f"{len(set(read.rejected))} line(s) of sacct cannot be read", read.rejected),
        (f"jobs are in the queue for reasons that are not known: {', '.join(sorted(words))}", words),
        (f"runs counted in states that are not known: {', '.join(read.unknown_states)}", read.unknown_states),
    )
    return "".join(f"; {complaint}" for complaint, found in complaints if found)


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); nothing to do where it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(message.encode())
        except OSError as error:
            log.warning("systemd was not told %s: %s", message, error.strerror)
