"""`saf run` where the kernel refuses what it needs: a cycle fails with one sentence, and the next goes on.

What is short is taken from a real process while it runs, and given back.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from slurm_ai_factory.monitor.server import IDLE_SECONDS
from tests.cluster.processes import wait_until
from tests.end_to_end.running import Running, running
from tests.saf import Saf

NOBODY = (
    "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)  # fmt: skip
"""As a user who has no other process, but can read the files of this checkout."""
PROCESSES = 16


@contextmanager
def crowd() -> Iterator[None]:
    """So many processes of the same user."""
    with ExitStack() as all_of_them:
        for _ in range(PROCESSES):
            one = all_of_them.enter_context(subprocess.Popen([*NOBODY, "sleep", "600"]))
            all_of_them.callback(one.kill)
        yield


@contextmanager
def limited(daemon: Running, what: int, to: int) -> Iterator[None]:
    """The daemon has no more of this for a while."""
    before = resource.prlimit(daemon.process.pid, what)
    resource.prlimit(daemon.process.pid, what, (to, before[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.process.pid, what, before)


def descriptors(daemon: Running) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


def idle_descriptors(daemon: Running) -> int:
    """Those it has between two commands; while one runs there are pipes to it."""
    counted: list[int] = []
    seen = daemon.count("promised 25%")

    def one_more() -> bool:
        counted.append(descriptors(daemon))
        return daemon.count("promised 25%") > seen

    wait_until(one_more, "one more cycle", 120, log=daemon.log)
    return min(counted)


def threads(daemon: Running) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir()))


def is_told(daemon: Running, words: str) -> None:
    """A cycle fails with these words and without a traceback."""
    assert words in daemon.says(f"no cycle: {words}")
    assert not daemon.count("Traceback")


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_no_descriptor_is_one_failed_cycle(saf: Saf, left: int) -> None:
    with running(saf) as daemon:
        daemon.cycle()
        with limited(daemon, resource.RLIMIT_NOFILE, idle_descriptors(daemon) + left):
            is_told(daemon, "this process may open no further file")
        daemon.cycle()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who has no other process")
def test_no_process_and_no_thread_is_one_failed_cycle(saf: Saf) -> None:
    with running(saf, under=("prlimit", f"--nproc={PROCESSES}", *NOBODY)) as daemon:
        daemon.cycle()
        with crowd():
            is_told(daemon, "no further process or thread may be started")
        daemon.cycle()


def test_no_memory_is_one_failed_cycle(saf: Saf) -> None:
    with running(saf) as daemon:
        daemon.cycle()
        with limited(daemon, resource.RLIMIT_AS, 1 << 20):
            daemon.says("no cycle: ")
            assert not daemon.count("Traceback")
        daemon.cycle()


@pytest.mark.parametrize(("limit", "connections"), [(1024, 1030), (256, 220), (64, 220)])
def test_idle_connections_stop_no_cycle_and_no_scrape(saf: Saf, limit: int, connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, connections + soft), hard))
    with running(saf, under=("prlimit", f"--nofile={limit}")) as daemon, ExitStack() as idle:
        daemon.cycle()
        for _ in range(connections):
            idle.enter_context(socket.create_connection(("127.0.0.1", daemon.port), timeout=120))
        assert daemon.metrics()["saf_hold{loop,read_failed}"] == 0
        daemon.cycle()
        assert descriptors(daemon) < limit
        assert not daemon.count("no cycle")


def test_a_connection_that_is_kept_alive_byte_by_byte_gives_way(saf: Saf) -> None:
    with running(saf) as daemon, ExitStack() as slow:
        daemon.cycle()
        made = [
            slow.enter_context(socket.create_connection(("127.0.0.1", daemon.port), timeout=120))
            for _ in range(100)
        ]
        for one in made[-50:]:
            one.send(b"G")
        assert daemon.get("/healthz", timeout=IDLE_SECONDS)[0] == 200, "before one is closed for idling"
        assert threads(daemon) < 80
