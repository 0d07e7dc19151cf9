"""`saf run`: a loop for each cluster, one web server, the signals, and systemd's watchdog.

The rule: no cluster waits for another. Each has a thread, a connection to the ledger, a board and deadlines
of its own. SIGTERM and SIGINT end the daemon. SIGHUP reloads the configuration, which each loop takes between
two cycles, never inside one; a configuration that does not load leaves the current one. systemd hears of the
daemon only once every loop has moved, or said that it waits, since the last time.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock

from slurm_ai_factory import signals
from slurm_ai_factory.config import Clusters, Config, check_apart, sound
from slurm_ai_factory.core.records import Instant
from slurm_ai_factory.errors import ConfigError, one_sentence
from slurm_ai_factory.loop import Loop, trace_of
from slurm_ai_factory.monitor.board import Board
from slurm_ai_factory.monitor.joint import JointBoard
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.monitor.overview import address_of, overview_html
from slurm_ai_factory.monitor.page import REFRESH, status_html
from slurm_ai_factory.monitor.web import HealthCheck, PageText, Web, serving
from slurm_ai_factory.steps import showing
from slurm_ai_factory.steps.site import AMONG, Site

log = logging.getLogger("saf")

LEAST_REFRESH = 2

NOTIFY_SECONDS = 5
"""How long a systemd that takes nothing in is waited for."""

END, RELOAD = "end", "reload"
"""What signals ask for."""

ASKS = {signal.SIGTERM: END, signal.SIGINT: END, signal.SIGHUP: RELOAD}


@dataclass(slots=True)
class LifeSigns:
    """Notifies systemd's watchdog once every cluster has given a sign of life since the last time."""

    clusters: frozenset[str]
    given: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def give(self, cluster: str) -> None:
        """A sign of life of this cluster."""
        with self.lock:
            self.given.add(cluster)
            complete = self.given == self.clusters
            if complete:
                self.given.clear()
        if complete:
            notify("WATCHDOG=1")


@dataclass(slots=True)
class Daemon:
    """The loops of all clusters. Everything they need from outside is given: configuration, sites, time."""

    load: Callable[[], Clusters]
    open_site: Callable[[Config], AbstractContextManager[Site]]
    clock: Callable[[], Instant]
    stopwatch: Callable[[], float]
    speed: float = 1.0  #: seconds of the clock in one of the stopwatch
    stop: Event = field(default_factory=Event)
    asked: SimpleQueue[str] = field(default_factory=SimpleQueue)  #: END or RELOAD

    def run(self) -> None:
        """Until SIGTERM. Raises ConfigError when it cannot start."""
        configs = sound(self.load())
        loops = self._loops(configs)
        asks = {number: partial(self.asked.put, what) for number, what in ASKS.items()}
        boards = [loop.board for loop in loops.values()]
        joint = JointBoard(boards, self.clock)
        exposition = Exposition(*boards, joint=joint)
        for loop in loops.values():
            loop.renew, loop.joint = exposition.renew, partial(_measure_joint, joint, loops)
        pages, checks, common = self._pages(joint), _checks(loops), configs[0].daemon
        with (
            signals.calling(asks),
            serving(common.listen, pages, exposition.text, checks, common.web_config_file) as web,
        ):
            gc.freeze()  # what is there now stays, and need not be looked at again
            log.info("started %s, listening on port %d", _modes(configs), web.port)
            _warn(web)
            notify("READY=1")
            self._keep(loops, web)
            notify("STOPPING=1")
        log.info("stopped; the current RawShares stay")

    def end(self) -> None:
        """Let each loop end after the cycle at hand."""
        self.asked.put(END)

    def _loops(self, configs: Sequence[Config]) -> dict[str, Loop]:
        """The loop of each cluster, by name."""
        signs = LifeSigns(frozenset(config.cluster.name for config in configs))
        return {
            name: Loop(
                config,
                self.open_site,
                self.clock,
                self.stopwatch,
                self.speed,
                f"{AMONG}{name}" if len(configs) > 1 else "cycles",
                partial(signs.give, name),
                stop=self.stop,
            )
            for config in configs
            for name in (config.cluster.name,)
        }

    def _keep(self, loops: Mapping[str, Loop], web: Web) -> None:
        """Run the loops, and do what signals ask, until the end; a loop that ends by itself ends all."""
        with ThreadPoolExecutor(len(loops)) as pool:
            try:
                running = [pool.submit(loop.run) for loop in loops.values()]
                for each in running:
                    each.add_done_callback(lambda _: self.end())
                for _reload in iter(self.asked.get, END):
                    self._reload(loops, web)
            finally:
                for loop in loops.values():
                    loop.end()
        for each in running:
            each.result()

    def _reload(self, loops: Mapping[str, Loop], web: Web) -> None:
        """Give each loop its configuration; one that does not load stays, and all where two collide."""
        try:
            clusters = self.load()
            web.renew()
            coming = [
                loops[name].config if isinstance(config, ConfigError) else config
                for name, config in clusters.items()
                if name in loops
            ]
            listen = {loop.config.daemon.listen for loop in loops.values()}
            if clusters.keys() != loops.keys() or {config.daemon.listen for config in coming} != listen:
                raise ConfigError(
                    "the names of clusters and daemon.listen are for a restart: systemctl restart saf"
                )
            check_apart(coming)
        except Exception as error:
            return _not_reloaded(error)
        for name, config in clusters.items():
            if isinstance(config, ConfigError):
                _not_reloaded(config)
            else:
                loops[name].reload(config)
        return _warn(web)

    def _pages(self, joint: JointBoard) -> dict[str, PageText]:
        """The page of each address: of the one cluster, or an overview and a page for each cluster.

        The first of them has the joint promises.
        """
        refresh = round(max(LEAST_REFRESH, REFRESH / self.speed))  # in seconds of the browser
        boards = joint.boards
        if len(boards) == 1:
            [alone] = boards
            return {"/": lambda code: status_html(alone, self.clock(), refresh, code, joint=joint.current())}

        def page(board: Board, code: str) -> str:
            return status_html(board, self.clock(), refresh, code, "../")

        return {
            "/": lambda code: overview_html(boards, self.clock(), refresh, code, joint.current()),
            **{f"/{address_of(board.cluster)}": partial(page, board) for board in boards},
        }


def _measure_joint(joint: JointBoard, loops: Mapping[str, Loop], site: Site) -> None:
    """Measure the joint promises by the present configurations, and log what keeps one from it, once."""
    clusters = {name: loop.config for name, loop in loops.items()}
    for each in showing.measure_joint(joint, clusters, site):
        log.warning("joint promise %s was not measured: %s", each.name, each.error)


def _checks(loops: Mapping[str, Loop]) -> dict[str, HealthCheck]:
    """The checks of all clusters together; among several, of each too."""
    paths = {"/healthz": Loop.healthy, "/readyz": Loop.ready}
    if len(loops) == 1:
        [loop] = loops.values()
        return {path: partial(check, loop) for path, check in paths.items()}

    def together(check: Callable[[Loop], tuple[bool, str]]) -> tuple[bool, str]:
        answers = {name: check(loop) for name, loop in loops.items()}
        lines = (f"{name}: {'passes' if good else 'fails'}, {why}" for name, (good, why) in answers.items())
        return all(good for good, _ in answers.values()), "\n".join(lines)

    return {
        **{path: partial(together, check) for path, check in paths.items()},
        **{
            f"/{address_of(name)}{path}": partial(check, loop)
            for name, loop in loops.items()
            for path, check in paths.items()
        },
    }


def _modes(configs: Sequence[Config]) -> str:
    """The mode of the one cluster, or of each."""
    modes = [f"{config.cluster.name} in mode {config.control.mode}" for config in configs]
    return f"in mode {configs[0].control.mode}" if len(configs) == 1 else f"with {', '.join(modes)}"


def _not_reloaded(error: Exception) -> None:
    log.error(
        "configuration not reloaded; the current one stays: %s", one_sentence(error), exc_info=trace_of(error)
    )


def _warn(web: Web) -> None:
    risk = web.risk()
    if risk:
        log.warning("%s", risk)


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
