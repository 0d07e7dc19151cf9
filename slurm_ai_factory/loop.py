"""The loop of one cluster: a cycle at every beat, and one sentence in the log for each.

The beat is fixed: a late cycle is said to be late and does not move the following ones. Losing Slurm or the
ledger, running out of what the machine has, and a defect of this program are outcomes of a cycle, not an end.
A thread beside the loop says when it hangs.

Tested in tests/test_daemon.py and tests/end_to_end/test_daemon.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread, current_thread

from slurm_ai_factory import cycle, question
from slurm_ai_factory.audit import signing
from slurm_ai_factory.config import Config
from slurm_ai_factory.core import windows
from slurm_ai_factory.core.live.modes import modes_differ
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
from slurm_ai_factory.steps import showing
from slurm_ai_factory.steps.site import Laps, Site
from slurm_ai_factory.steps.summary import cycle_sentence

log = logging.getLogger("saf")

PERIODS_UNTIL_UNHEALTHY = 3

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


@dataclass(slots=True)
class Loop:
    """The cycles of one cluster. Everything it needs from outside is given: config, site, time.

    ``clock`` is the cluster's time, which counts the period; ``stopwatch`` is this machine's.
    """

    config: Config
    open_site: Callable[[Config], AbstractContextManager[Site]]
    clock: Callable[[], Instant]
    stopwatch: Callable[[], float]
    speed: float = 1.0  #: seconds of the clock in one of the stopwatch
    thread: str = "cycles"  #: name of its threads; ``AMONG`` and the cluster's among several
    sign: Callable[[], None] = lambda: None  #: called whenever it moves, or says that it waits
    renew: Callable[[], None] = lambda: None  #: called after each cycle, once the board has its outcome
    joint: Callable[[Site], None] = lambda _: None  #: called beside each complete cycle: the joint promises
    stop: Event = field(default_factory=Event)
    wake: Event = field(default_factory=Event)
    coming: Config | None = None  #: to be taken between two cycles
    board: Board = field(init=False)
    compared: tuple[Instant, Instant] | None = None  #: the day whose books were compared last
    logged: int | None = None  #: the day since the epoch on which the head was logged last
    head: Head | None = None  #: of the ledger's chain, as it was seen last
    beat: float = 0.0  #: when the present cycle was due; the next is due one period later
    moved: float = 0.0  #: when a cycle last began or ended
    differing: str = ""  #: what was said last of the modes of the cluster's daemons
    host_clock: Callable[[], float] = time.time  #: Prometheus has this one, and perhaps not the cluster's

    def __post_init__(self) -> None:
        self.board = Board(self.config.cluster.name)
        self.beat = self.moved = self.stopwatch()

    @property
    def period(self) -> float:
        """Between two beats, of the stopwatch."""
        return self.config.daemon.period / self.speed

    def run(self) -> None:
        """Until it is to end."""
        current_thread().name = self.thread
        with self._watched():
            while not self.stop.is_set():
                try:
                    if self.coming is not None:
                        self.config, self.coming = self.coming, None
                        log.info("configuration reloaded, mode %s", self.config.control.mode)
                    self._cycles()
                except Exception as error:
                    self._failed(error)
                    self._pause()

    def end(self) -> None:
        """Let it end after the cycle at hand."""
        self.stop.set()
        self.wake.set()

    def reload(self, config: Config) -> None:
        """Let it go on with this configuration after the cycle at hand, at once."""
        self.coming = config
        self.wake.set()

    def _cycles(self) -> None:
        """A cycle at every beat, until the loop is to end or to reload."""
        with self.open_site(self.config) as site:
            while not (self.stop.is_set() or self.coming is not None):
                self._cycle(site)
                if self.board.failed != "failed":
                    _beside("the head of the chain was not looked at", lambda: self._keep_head(site))
                    _beside("the modes were not compared", lambda: self._compare_modes(site))
                _beside("the metrics were not renewed", self.renew)
                self._pause(site.ledger.store.touch, standby=self.board.failed == "standby")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        ended = Event()
        thread = Thread(target=self._watch, args=(ended,), name=self.thread, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()

    def _watch(self, ended: Event) -> None:
        while not ended.wait(WATCH_SECONDS):
            _beside("the cycle was not watched", self._look)

    def _look(self) -> None:
        """Say it once, from a thread of its own, when the loop hangs in Slurm or in the ledger."""
        version, still = self.board.version, self.stopwatch() - self.moved
        if still > self.period + SLACK_SECONDS and self.board.overdue(
            self.clock() - round(still * self.speed), version
        ):
            log.warning(
                "the cycle under way has not finished after %.0f s, and what is shown is of the one before; "
                "see whether slurmctld, slurmdbd and PostgreSQL answer", still
            )  # fmt: skip

    def _cycle(self, site: Site) -> None:
        site = replace(site, laps=Laps(self.stopwatch))
        try:
            taking_over = self._taking_over(site)
            report = cycle.run(site, self.stopwatch)
            if taking_over:
                log.warning("%s; give all daemons the same control.mode", taking_over)
            failed = any(outcome.status is ChangeStatus.FAILED for outcome in report.outcomes)
            log.log(logging.WARNING if failed else logging.INFO, "%s", cycle_sentence(report))
            for rejected in report.gathered.read.new_rejected:
                log.warning("skipped a line that cannot be read: %s: %r", rejected.reason, rejected.line)
            shown = showing.what_is_shown(site, report, self.board.shown)
            self.moved = self.stopwatch()
            self.board.complete(shown, self.host_clock())
        except Exception as error:
            self._failed(error)
            return
        self.sign()
        self._afterwards(site)

    def _afterwards(self, site: Site) -> None:
        """What no cycle waits for."""
        _beside("the ledger was not compared with Slurm's books", lambda: self._reconcile(site))
        _beside(
            "the energy was not measured",
            lambda: self.board.meter(showing.metered(site, self.clock(), self.board.metered)),
        )
        _beside("the joint promises were not measured", lambda: self.joint(site))
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
            signed = f", signature {signing.head_signature(key, head.entry, head.hash)}" if key else ""
            log.info("head of the ledger's chain: entry %d, %s%s", head.entry, head.hash, signed)

    def _taking_over(self, site: Site) -> str:
        """What is to be said where this daemon stood by until now, and the leader ran in another mode."""
        ledger, mode = site.ledger, self.config.control.mode
        ledger.store.announce_mode(ledger.control.cluster_id, mode)
        last = ledger.control.last_decision() if self.board.failed == "standby" else None
        if last is None or last["mode"] == mode:
            return ""
        return f"took over in mode {mode}; the leader before, {last['actor']}, ran in mode {last['mode']}"

    def _compare_modes(self, site: Site) -> None:
        """Say it once where a daemon that may take over, or the leader, runs in another mode."""
        differing = modes_differ(site.ledger.store.daemons(site.ledger.control.cluster_id))
        if differing and differing != self.differing:
            log.warning("%s; give all the same control.mode", differing)
        self.differing = differing

    def _reconcile(self, site: Site) -> None:
        """Once a day, on the day before; a day that was over before the daemon started is left to others."""
        day = showing.rolled_up_day(site, self.clock())
        self.compared = self.compared or day
        if day == self.compared:
            return
        comparison = showing.reconciled(site, *day)
        self.compared = day
        self.board.compare(comparison)
        _log_reconciled(comparison)

    def _failed(self, error: Exception) -> None:
        """Whatever ended a cycle: the board says why, and the next beat tries again."""
        standby, cause, message = isinstance(error, StandbyError), _cause(error), one_sentence(error)
        reason = error.reason if isinstance(error, HoldError) else "read_failed"
        self.moved = self.stopwatch()
        self.board.fail("standby" if standby else "failed", message, cause, reason)
        log.log(logging.INFO if standby else logging.ERROR, "no cycle: %s", message, exc_info=trace_of(error))
        self.sign()

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
            self.sign()
            with suppress(LedgerError):  # a cycle begins with a session, and asks for the lock
                touch()
        self.wake.clear()
        self.moved = self.stopwatch()
        self.beat = min(due, self.moved)

    def healthy(self) -> tuple[bool, str]:
        """Whether the loop runs, and when it last began a cycle."""
        age = self.stopwatch() - self.beat
        limit = PERIODS_UNTIL_UNHEALTHY * self.period + self.config.slurm.timeout
        return age < limit, f"last beat {age:.0f} s ago"

    def ready(self) -> tuple[bool, str]:
        """Whether the last complete cycle is recent enough, and what came after it."""
        board = self.board
        if board.finished_at is None:
            return False, board.failure or "no complete cycle yet"
        age = self.clock() - board.finished_at
        since = "; the cycle under way has not finished" if board.overdue_since is not None else ""
        why = f": {board.failure}" if board.failure else since
        return age <= self.config.daemon.ready_after, f"last complete cycle {age} s ago{why}"


def _cause(error: Exception) -> str:
    """What a cycle failed for; standing by is no failure."""
    if isinstance(error, StandbyError):
        return ""
    kinds: dict[type[Exception], str] = {
        LedgerError: "ledger", ConfigError: "configuration", SafError: "slurm", OSError: "machine"
    }  # fmt: skip
    other = "machine" if shortage(error) else "defect"
    return next((cause for kind, cause in kinds.items() if isinstance(error, kind)), other)


def trace_of(error: Exception) -> Exception | None:
    """What to show the traceback of: nothing but a defect has one that says more than the sentence."""
    return error if _cause(error) == "defect" else None


def _beside(what: str, work: Callable[[], None]) -> None:
    """Do it; a failure is a warning, as it is tried again."""
    try:
        work()
    except Exception as error:
        log.warning("%s: %s", what, one_sentence(error), exc_info=trace_of(error))


def _log_reconciled(comparison: Reconciled) -> None:
    if comparison.unexplained:
        log.warning(
            "the ledger differs from Slurm's books by %s TRES-seconds without a known cause from %s to %s; "
            "see saf reconcile",
            comparison.unexplained, windows.iso(comparison.since), windows.iso(comparison.until),
        )  # fmt: skip
    else:
        log.info("the ledger agrees with Slurm's books up to %s", windows.iso(comparison.until))
