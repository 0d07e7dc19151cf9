"""The loop by itself: whatever ends a cycle, the next one comes; and what systemd is told meanwhile."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from math import floor
from pathlib import Path
from threading import Event, Timer, get_ident

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory import daemon, loop
from slurm_ai_factory.cli.wiring import among_clusters
from slurm_ai_factory.config import Clusters, Config, parse_clusters, sound
from slurm_ai_factory.daemon import Daemon, _checks
from slurm_ai_factory.errors import ConfigError, LedgerError, SlurmError
from slurm_ai_factory.loop import Loop
from slurm_ai_factory.steps.applying import WRITE_SECONDS
from slurm_ai_factory.steps.site import Site
from tests.monitor.life import configuration

SPEED = 3_600_000
"""An hour of the configured period passes in a millisecond."""


def looping(opened: Callable[[Daemon], None], speed: float = SPEED) -> Daemon:
    """A daemon whose site cannot be opened, for the reason that this raises."""

    def site(_: Config) -> AbstractContextManager[Site]:
        opened(made)
        raise LedgerError("there is no site in this test")

    def load() -> Clusters:
        return {"model": configuration(daemon='period = "1h"\nlisten = "127.0.0.1:0"')}

    made = Daemon(load, site, lambda: int(time.time()), time.monotonic, speed)
    return made


FAILURES = [
    (SlurmError("slurmdbd is away"), "no cycle: slurmdbd is away"),
    (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "this process may open no further file"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x"), "/tmp/x cannot be used: No space left"),
    (BlockingIOError(errno.EAGAIN, "again"), "no further process or thread may be started"),
    (RuntimeError("can't start new thread"), "no further process or thread may be started"),
    (MemoryError(), "there is no memory left"),
    (
        ZeroDivisionError("division by zero"),
        "unexpected ZeroDivisionError: division by zero; this is a defect",
    ),
]


def test_nothing_that_ends_a_cycle_ends_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    failures = [error for error, _ in FAILURES]

    def opened(of: Daemon) -> None:
        if not failures:
            return of.end()
        raise failures.pop(0)

    with caplog.at_level(logging.INFO):
        looping(opened).run()
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert {one.getMessage() for one in said[len(FAILURES) :]} == {"no cycle: there is no site in this test"}
    for record, (error, words) in zip(said, FAILURES, strict=False):
        assert words in record.getMessage()
        assert bool(record.exc_info) == isinstance(error, ZeroDivisionError), "a defect has its traceback"
    assert caplog.messages[-1] == "stopped; the current RawShares stay"


def test_a_configuration_that_cannot_be_reloaded_for_any_reason_leaves_the_one_in_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loads = [ConfigError("no section"), MemoryError(), KeyError("x")]

    def opened(of: Daemon) -> None:
        if not loads:
            return of.end()
        error = loads.pop(0)

        def load() -> Clusters:
            raise error

        of.load = load
        of.asked.put(daemon.RELOAD)
        return None

    looping(opened).run()
    assert sum("the current one stays" in one for one in caplog.messages) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_another_thread_was_given_ends_it(number: signal.Signals) -> None:
    """The kernel may choose any thread, and a thread that starts a command often is chosen."""
    lost: list[bool] = []

    def give_up() -> None:
        lost.append(True)
        made.end()

    made = looping(lambda _: signal.pthread_kill(get_ident(), number))
    timer = Timer(30, give_up)
    timer.start()
    made.run()
    timer.cancel()
    assert not lost


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield channel


def messages(channel: socket.socket) -> list[bytes]:
    """All that was said until now."""
    channel.setblocking(False)
    found = []
    while True:
        try:
            found.append(channel.recv(100))
        except BlockingIOError:
            return found


def test_the_watchdog_hears_a_daemon_that_waits(told: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ALIVE_SECONDS", 0.01)
    waited: list[bool] = []

    def opened(of: Daemon) -> None:
        if waited:
            of.end()
        waited.append(True)

    monkeypatch.setattr(daemon, "NOTIFY_SECONDS", 0.01)  # nobody empties the queue while it runs
    looping(opened, speed=3600).run()
    assert messages(told).count(b"WATCHDOG=1") > 5, "in a second of waiting, beside one for each cycle"


@pytest.mark.usefixtures("told")
def test_a_systemd_that_does_not_listen_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daemon, "NOTIFY_SECONDS", 0.01)
    for _ in range(10_000):
        daemon.notify("WATCHDOG=1")
        if caplog.messages:
            break
    assert caplog.messages == ["could not notify systemd of WATCHDOG=1: timed out"]


def test_the_watchdog_hears_nothing_of_a_cycle_that_hangs(
    told: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("ALIVE_SECONDS", "SLACK_SECONDS", "WATCH_SECONDS"):
        monkeypatch.setattr(loop, name, 0.01)
    heard: list[list[bytes]] = []  # by cycle: another one may begin before the daemon ends

    def opened(of: Daemon) -> None:
        deadline = time.monotonic() + 30
        while not any("has not finished" in one for one in caplog.messages):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        heard.append(messages(told))
        of.end()

    looping(opened).run()
    assert heard[0] == [b"READY=1"]


def test_a_socket_that_cannot_be_made_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setattr(socket, "socket", none)
    daemon.notify("WATCHDOG=1")
    assert caplog.messages == ["could not notify systemd of WATCHDOG=1: Too many open files"]


class Factory:
    """Clusters whose sites cannot be opened; each opening is counted, and ``hung`` ones wait to be let go."""

    def __init__(self, *names: str, hung: str = "") -> None:
        self.names, self.hung = names, hung
        self.opened = dict.fromkeys(names, 0)
        self.let_go = Event()
        self.daemon = Daemon(self.load, self.site, lambda: int(time.time()), time.monotonic, SPEED)

    def load(self) -> Clusters:
        text = '[daemon]\nperiod = "1h"\nlisten = "127.0.0.1:0"\n'
        tables = (f'[[cluster]]\nname = "{name}"\nslurm.conf = "/{name}"\n' for name in self.names)
        return parse_clusters(text + "".join(tables), "saf.toml")

    def site(self, config: Config) -> AbstractContextManager[Site]:
        name = config.cluster.name
        self.opened[name] += 1
        if name == self.hung:
            assert self.let_go.wait(30)
        if self.opened[name] > 20 and all(
            count > 20 or name == self.hung for name, count in self.opened.items()
        ):
            self.let_go.set()
            self.daemon.end()
        raise SlurmError(f"{name} is away")


def test_each_cluster_has_its_own_beat_and_the_log_names_it() -> None:
    factory = Factory("gpu", "cpu")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(among_clusters)
    logging.getLogger("saf").addHandler(handler)
    try:
        factory.daemon.run()
    finally:
        logging.getLogger("saf").removeHandler(handler)
    assert all(count > 20 for count in factory.opened.values())
    lines = stream.getvalue().splitlines()
    assert "gpu: no cycle: gpu is away" in lines
    assert "cpu: no cycle: cpu is away" in lines
    assert "no cycle: gpu is away" not in lines


def test_a_cluster_that_hangs_stops_neither_the_other_nor_the_watchdog_from_noticing(
    told: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "NOTIFY_SECONDS", 0.01)
    factory = Factory("gpu", "cpu", hung="cpu")
    factory.daemon.run()
    assert factory.opened["gpu"] > 20
    assert factory.opened["cpu"] < 5
    assert messages(told).count(b"WATCHDOG=1") < 5, "one for each sign of the cluster that hung"


def test_a_loop_that_dies_ends_the_daemon_with_its_error() -> None:
    """systemd starts it again; a thread less would be noticed by nobody."""

    def opened(_: Daemon) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looping(opened).run()


@pytest.mark.parametrize(
    ("ages", "good", "words"),
    [
        ((0, 0), True, "gpu: passes, "),
        ((0, 9), False, "cpu: fails, last beat"),
        ((9, 9), False, "gpu: fails"),
    ],
)
def test_health_is_that_of_every_cluster(ages: tuple[int, int], good: bool, words: str) -> None:
    configs = sound(Factory("gpu", "cpu").load())
    loops = {config.cluster.name: Loop(config, none_opened, lambda: 0, lambda: 0.0) for config in configs}
    for each, age in zip(loops.values(), ages, strict=True):
        each.beat = -age * each.period
    checks = _checks(loops)
    well, text = checks["/healthz"]()
    assert (well, words in text, len(text.splitlines())) == (good, True, 2)
    assert checks["/cluster/gpu/healthz"]()[0] == (ages[0] == 0)
    assert checks["/readyz"]() == (
        False,
        "gpu: fails, no complete cycle yet\ncpu: fails, no complete cycle yet",
    )


def none_opened(_: Config) -> AbstractContextManager[Site]:
    raise AssertionError("no loop runs here")


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_systemd_hears_of_the_daemon_once_every_loop_gave_a_sign(names: list[str]) -> None:
    """As often as the loop that gave the fewest, at most."""
    heard: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "notify", heard.append)
        signs = daemon.LifeSigns(frozenset("abc"))
        for name in names:
            signs.give(name)
    assert len(heard) <= min(names.count(name) for name in "abc")
    assert bool(heard) == (set(names) == set("abc"))


def test_the_ledger_hears_a_daemon_that_waits_several_times_a_period() -> None:
    config = configuration(daemon='period = "1s"\nlisten = "127.0.0.1:0"')
    made = Loop(config, none_opened, lambda: int(time.time()), time.monotonic, speed=1.25)
    heard: list[float] = []

    def lost() -> None:
        heard.append(time.monotonic())
        raise LedgerError("the session is lost")

    made._pause(lost)
    assert 1 <= len(heard) <= loop.SIGNS_OF_LIFE


@given(period=st.integers(1, 3600), part=st.floats(0.01, 0.5))
def test_a_leader_that_stands_still_is_replaced_within_two_periods(period: int, part: float) -> None:
    """Its session ends, the other looks, and waits for a write that was under way; a cycle has the rest.

    Nobody writes any more when the session ends, and a live leader is heard in time.
    """
    timeout = max(1, floor(period * part))
    config = replace(
        configuration(), daemon=replace(configuration().daemon, period=period),
        slurm=replace(configuration().slurm, timeout=timeout),
    )  # fmt: skip
    silence, write = config.leader_silence(), min(WRITE_SECONDS, timeout)
    assert write < silence
    assert timeout < silence
    assert min(loop.ALIVE_SECONDS, period / loop.SIGNS_OF_LIFE) <= silence / 4
    if timeout <= period / 2:
        assert silence + period / loop.LOOKS + write <= 1.75 * period
