"""`saf run`: the beat, the signals, and one sentence in the log for each cycle.

The beat is fixed: a late cycle is said to be late and does not move the following ones. SIGTERM and SIGINT
end the daemon and SIGHUP reloads the configuration between two cycles, never inside one; a configuration
that does not load leaves the current one. Losing Slurm or the ledger, running out of what the machine has,
and a defect of this program are outcomes of a cycle, not an end. A thread beside the loop says when it hangs.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from types import FrameType

from slurm_ai_factory import cycle, question
from slurm_ai_factory.audit import signing
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.records import DAY, ChangeStatus, Instant
from slurm_ai_factory.errors import (
    ConfigError,
    HoldError,
    LedgerError,
    SafError,
    StandbyError,
    one_sentence,
    shortage,
)
from slurm_ai_factory.ledger.chain import Head
from slurm_ai_factory.monitor.board import Board, Reconciled
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.monitor.page import REFRESH, status_html
from slurm_ai_factory.monitor.web import Web, serving
from slurm_ai_factory.steps import showing
from slurm_ai_factory.steps.site import Laps, Site
from slurm_ai_factory.steps.summary import cycle_sentence
from slurm_ai_factory.steps.values import CycleReport

log = logging.getLogger("saf")

PERIODS_UNTIL_UNHEALTHY = 3
LEAST_REFRESH = 2

SLACK_SECONDS = 5
"""Beyond a period, before the loop is said to hang."""

WATCH_SECONDS = 1
"""How often it is looked whether the loop hangs."""

ALIVE_SECONDS = 60
"""How often systemd and the ledger hear that a loop that waits for its next beat lives, or more often."""

SIGNS_OF_LIFE = 8
"""In a period, at least: four times as often as the ledger gives a silent leader up."""

LOOKS = 4
"""Times in a period that a daemon that stands by asks for the lock."""

NOTIFY_SECONDS = 5
"""How long a systemd that takes nothing in is waited for."""


@dataclass(slots=True)
class Daemon:
    """The loop. Everything it needs from outside is given: config, site, time.

    ``clock`` is the cluster's time, which counts the period; ``stopwatch`` is this machine's.
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
    logged: int | None = None  #: the day since the epoch on which the head was logged last
    head: Head | None = None  #: of the ledger's chain, as it was seen last
    beat: float = 0.0  #: when the present cycle was due; the next is due one period later
    moved: float = 0.0  #: when a cycle last began or ended
    period: float = 0.0  #: between two beats, of the stopwatch
    host_clock: Callable[[], float] = time.time  #: Prometheus has this one, and perhaps not the cluster's

    def run(self) -> None:
        """Until SIGTERM. Raises ConfigError when it cannot start."""
        config = self.load()
        self.period = config.daemon.period / self.speed
        self.beat = self.moved = self.stopwatch()
        board = Board(config.cluster.name)
        exposition = Exposition(board)
        with (
            self._signals(),
            serving(
                config.daemon.listen,
                lambda code: status_html(board, self.clock(), self._refresh, code),
                exposition.text,
                {"/healthz": self._healthy(config), "/readyz": self._ready(config, board)},
                config.daemon.web_config_file,
            ) as web,
            self._watched(board),
        ):
            gc.freeze()  # what is there now stays, and need not be looked at again
            log.info("started in mode %s, listening on port %d", config.control.mode, web.port)
            _warn(web)
            notify("READY=1")
            self._loop(config, board, exposition, web)
            notify("STOPPING=1")
        log.info("stopped; the current RawShares stay")

    def end(self) -> None:
        """Let it end after the cycle at hand."""
        self.stop.set()
        self.wake.set()

    def _loop(self, config: Config, board: Board, exposition: Exposition, web: Web) -> None:
        while not self.stop.is_set():
            try:
                config = self._reloaded(config, web)
                self._cycles(config, board, exposition)
            except Exception as error:
                self._failed(board, error)
                self._pause()

    def _cycles(self, config: Config, board: Board, exposition: Exposition) -> None:
        """A cycle at every beat, until the daemon is to end or to reload."""
        with self.open_site(config) as site:
            while not (self.stop.is_set() or self.reload.is_set()):
                self._cycle(site, board)
                if board.failed != "failed":
                    _beside("the head of the chain was not looked at", lambda: self._keep_head(site))
                _beside("the metrics were not renewed", exposition.renew)
                self._pause(site.ledger.store.touch, standby=board.failed == "standby")

    @contextmanager
    def _watched(self, board: Board) -> Iterator[None]:
        ended = Event()
        thread = Thread(target=self._watch, args=(board, ended), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()

    def _watch(self, board: Board, ended: Event) -> None:
        while not ended.wait(WATCH_SECONDS):
            _beside("the cycle was not watched", lambda: self._look(board))

    def _look(self, board: Board) -> None:
        """Say it once, from a thread of its own, when the loop hangs in Slurm or in the ledger."""
        version, still = board.version, self.stopwatch() - self.moved
        if still > self.period + SLACK_SECONDS and board.overdue(
            self.clock() - round(still * self.speed), version
        ):
            log.warning(
                "the cycle under way has not finished after %.0f s, and what is shown is of the one before; "
                "see whether slurmctld, slurmdbd and PostgreSQL answer", still
            )  # fmt: skip

    @property
    def _refresh(self) -> int:
        """How often a browser looks, in its own seconds."""
        return round(max(LEAST_REFRESH, REFRESH / self.speed))

    def _cycle(self, site: Site, board: Board) -> None:
        site = replace(site, laps=Laps(self.stopwatch))
        try:
            report = cycle.run(site, self.stopwatch)
            _log(report)
            shown = showing.what_is_shown(site, report, board.shown)
            self.moved = self.stopwatch()
            board.complete(shown, self.host_clock())
        except Exception as error:
            self._failed(board, error)
            return
        notify("WATCHDOG=1")
        self._afterwards(site, board)

    def _afterwards(self, site: Site, board: Board) -> None:
        """What no cycle waits for."""
        _beside("the ledger was not compared with Slurm's books", lambda: self._reconcile(site, board))
        _beside(
            "the energy was not measured",
            lambda: board.meter(showing.metered(site, self.clock(), board.metered)),
        )
        _beside("the past was not added up", lambda: question.sum_up(site.config, site.ledger))

    def _keep_head(self, site: Site) -> None:
        """Say it where the chain lacks the head seen last, and log the head once a day.

        Where logs go to another machine, the owner of the ledger cannot change this copy.
        """
        if self.head and not site.ledger.chain.has(self.head):
            log.error(
                "the ledger lost what was recorded last: its chain has no entry %d, %s; see whether a standby"
                " that was behind was promoted, or an old dump restored", self.head.entry, self.head.hash
            )  # fmt: skip
        day, head = self.clock() // DAY, site.ledger.chain.head()
        self.head = head
        if head and day != self.logged:
            self.logged = day
            key = site.config.ledger.signing_key
            signed = f", signature {signing.signature(key, head.entry, head.hash)}" if key else ""
            log.info("head of the ledger's chain: entry %d, %s%s", head.entry, head.hash, signed)

    def _reconcile(self, site: Site, board: Board) -> None:
        """Once a day, on the day before; a day that was over before the daemon started is left to others."""
        day = showing.rolled_up_day(site, self.clock())
        self.compared = self.compared or day
        if day == self.compared:
            return
        comparison = showing.reconciled(site, *day)
        self.compared = day
        board.compare(comparison)
        _log_reconciled(comparison)

    def _failed(self, board: Board, error: Exception) -> None:
        """Whatever ended a cycle: the board says why, and the next beat tries again."""
        standby, cause, message = isinstance(error, StandbyError), _cause(error), one_sentence(error)
        reason = error.reason if isinstance(error, HoldError) else "read_failed"
        self.moved = self.stopwatch()
        board.fail("standby" if standby else "failed", message, cause, reason)
        log.log(logging.INFO if standby else logging.ERROR, "no cycle: %s", message, exc_info=_trace(error))
        notify("WATCHDOG=1")

    def _pause(self, touch: Callable[[], object] = bool, *, standby: bool = False) -> None:
        """Wait for the next beat; beats that passed meanwhile are left out, a signal starts a new one.

        The ledger hears meanwhile that this process lives: it takes a silent leader for dead. A daemon that
        stands by looks more often, to take over within two periods.
        """
        period = self.period / LOOKS if standby else self.period
        due = self.beat + period
        late = self.stopwatch() - due
        if late > 0:
            log.warning("the cycle took %.1f s longer than the period of %g s", late, period)
            due += period * (1 + late // period)
        alive = min(ALIVE_SECONDS, self.period / SIGNS_OF_LIFE)
        while not self.wake.wait(max(0.0, min(alive, due - self.stopwatch()))):
            if self.stopwatch() >= due:
                break
            notify("WATCHDOG=1")
            with suppress(LedgerError):  # a cycle begins with a session, and asks for the lock
                touch()
        self.wake.clear()
        self.moved = self.stopwatch()
        self.beat = min(due, self.moved)

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
        except Exception as error:
            log.error(
                "configuration not reloaded; the current one stays: %s",
                one_sentence(error),
                exc_info=_trace(error),
            )
        else:
            self.period = config.daemon.period / self.speed
            log.info("configuration reloaded, mode %s", config.control.mode)
            _warn(web)
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
        def check() -> tuple[bool, str]:
            age = self.stopwatch() - self.beat
            limit = PERIODS_UNTIL_UNHEALTHY * self.period + config.slurm.timeout
            return age < limit, f"last beat {age:.0f} s ago"

        return check

    def _ready(self, config: Config, board: Board) -> Callable[[], tuple[bool, str]]:
        def check() -> tuple[bool, str]:
            if board.finished_at is None:
                return False, board.failure or "no complete cycle yet"
            age = self.clock() - board.finished_at
            since = "; the cycle under way has not finished" if board.overdue_since is not None else ""
            why = f": {board.failure}" if board.failure else since
            return age <= config.daemon.ready_after, f"last complete cycle {age} s ago{why}"

        return check


def _cause(error: Exception) -> str:
    """What a cycle failed for; standing by is no failure."""
    if isinstance(error, StandbyError):
        return ""
    kinds: dict[type[Exception], str] = {
        LedgerError: "ledger", ConfigError: "configuration", SafError: "slurm", OSError: "machine"
    }  # fmt: skip
    other = "machine" if shortage(error) else "defect"
    return next((cause for kind, cause in kinds.items() if isinstance(error, kind)), other)


def _trace(error: Exception) -> Exception | None:
    """What to show the traceback of: nothing but a defect has one that says more than the sentence."""
    return error if _cause(error) == "defect" else None


def _beside(what: str, work: Callable[[], None]) -> None:
    """Do it; a failure is a warning, as it is tried again."""
    try:
        work()
    except Exception as error:
        log.warning("%s: %s", what, one_sentence(error), exc_info=_trace(error))


def _warn(web: Web) -> None:
    risk = web.risk()
    if risk:
        log.warning("%s", risk)


def _log(report: CycleReport) -> None:
    failed = any(outcome.status is ChangeStatus.FAILED for outcome in report.outcomes)
    log.log(logging.WARNING if failed else logging.INFO, "%s", cycle_sentence(report))
    for rejected in report.gathered.read.new_rejected:
        log.warning("skipped a line that cannot be read: %s: %r", rejected.reason, rejected.line)


def _log_reconciled(comparison: Reconciled) -> None:
    if comparison.unexplained:
        log.warning(
            "the ledger differs from Slurm's books by %s TRES-seconds without a known cause from %s to %s; "
            "see saf reconcile",
            comparison.unexplained, windows.iso(comparison.since), windows.iso(comparison.until),
        )  # fmt: skip
    else:
        log.info("the ledger agrees with Slurm's books up to %s", windows.iso(comparison.until))


def notify(message: str) -> None:
    """Notify systemd (sd_notify(3)), if it listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(NOTIFY_SECONDS)
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(message.encode())
    except OSError as error:
        log.warning("could not notify systemd of %s: %s", message, error.strerror or error)
