"""The faults: how each is done and undone, by what it must be told, and whether saf may write meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.cluster.slurm import wait_until
from tests.end_to_end import disk
from tests.end_to_end.conftest import cut_sessions, libfaketime
from tests.end_to_end.running import Running
from tests.faults.stage import PERIOD, TIMEOUT, Stage, cycles, metrics

FAILED = r"no cycle: |has not finished|saf_failure"
HELD = rf"{FAILED}|saf_hold"
NOFILE = 1024
TAKEOVER_SECONDS = 60


Strike = Callable[[Stage], AbstractContextManager[str | None]]


class Fault(NamedTuple):
    """One row. ``strike`` does it, undoes it when it is left, and may say what it saw."""

    name: str
    strike: Strike
    told: str = FAILED  #: what a line of the log or a metric has to say; empty where there is nothing to tell
    still: bool = True  #: nothing may be written from when it was told until it is undone
    seconds: float = 0.0  #: how long it lasts at least
    after: bool = False  #: it is over at once, and told afterwards


# --- the daemon


def random_moment(stage: Stage) -> None:
    time.sleep(stage.dice.uniform(0, PERIOD))


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    random_moment(stage)
    stage.start()
    yield


@contextmanager
def killed_in_a_write(stage: Stage, script: str) -> Iterator[None]:
    stage.wrap("sacctmgr", f'case "$*" in *modify*) {script};; esac; exec $REAL "$@"')
    stage.daemon.process.wait(timeout=120)
    stage.wrap("sacctmgr", 'exec $REAL "$@"')
    stage.start()
    yield


@contextmanager
def frozen(stage: Stage, seconds: float) -> Iterator[None]:
    random_moment(stage)
    stage.daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    stage.daemon.process.send_signal(signal.SIGCONT)
    yield


@contextmanager
def wrong_clock(stage: Stage, off: int) -> Iterator[None]:
    """Of the daemon alone, set while it runs; the monotonic clock goes on, as the kernel's does."""
    clock = stage.saf.directory / "clock"
    clock.write_text("+0\n")
    faked = {"LD_PRELOAD": libfaketime(), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    stage.start(**faked)
    stage.cycle()
    clock.write_text(f"{off:+d}\n")
    yield
    clock.write_text("+0\n")


@contextmanager
def log_closed(stage: Stage) -> Iterator[str]:
    """The daemon is started without stderr; only the ledger can tell of its cycles."""
    stage.start(("sh", "-c", 'exec "$@" 2>&-', "sh"))
    before = stage.decisions()
    wait_until(lambda: stage.decisions() >= before + 3, "three cycles", 60)
    stage.start()
    yield "3 cycles"


@contextmanager
def log_full(stage: Stage) -> Iterator[None]:
    place = stage.directory / "small"
    with disk.small(place, "1m"):
        stage.start(("sh", "-c", f'exec "$@" 2>{place}/log', "sh"))
        stage.daemon.log.unlink()
        stage.daemon.log.symlink_to(place / "log")
        stage.cycle()
        disk.fill(place / "filler")
        yield
        stage.start()


@contextmanager
def log_without_reader(stage: Stage) -> Iterator[None]:
    """What systemd-journald would be is killed."""
    stage.start(("bash", "-c", 'exec "$@" 2> >(exec cat >&2)', "bash"))
    stage.cycle()
    pid = stage.daemon.process.pid
    (reader,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(reader), signal.SIGKILL)
    yield


@contextmanager
def paused(stage: Stage) -> Iterator[None]:
    random_moment(stage)
    stage.saf.run("pause", "--until", "now+1hour", "--reason", "maintenance")
    yield
    stage.saf.run("resume")


@contextmanager
def crowded(stage: Stage, connections: int) -> Iterator[None]:
    stage.start(("prlimit", f"--nofile={NOFILE}"))
    stage.cycle()
    with ExitStack() as idle:
        for _ in range(connections):
            idle.enter_context(socket.create_connection(("127.0.0.1", stage.daemon.port), timeout=10))
        stage.cycle()
        yield


# --- two daemons


def one_leads(pair: list[Running]) -> list[int]:
    """Which of the two complete cycles, after both have tried some."""

    def tried(daemon: Running) -> float:
        return sum(value for name, value in metrics(daemon).items() if name.startswith("saf_cycles_total"))

    seen, began = [cycles(one) for one in pair], [tried(one) for one in pair]
    wait_until(lambda: all(tried(one) >= at + 3 for one, at in zip(pair, began, strict=True)), "cycles", 60)
    return [number for number, one in enumerate(pair) if cycles(one) > seen[number]]


@contextmanager
def two(stage: Stage, url: str | None) -> Iterator[list[Running]]:
    """Two daemons on one new ledger, started together, without the usual one; embedded without a url."""
    stage.end()
    saf = stage.another(f"two-{time.monotonic_ns()}", url)
    if url:
        saf.run("ledger", "migrate")
    pair = [stage.run(saf), stage.run(saf)]
    try:
        wait_until(lambda: sum(map(cycles, pair)) > 0, "a first cycle", 60, log=pair[0].log)
        yield pair
    finally:
        for one in pair:
            one.process.kill()
            one.process.wait(timeout=30)
        stage.apart()
        stage.start()


@contextmanager
def fresh_ledger(stage: Stage) -> Iterator[None]:
    with stage.new_ledger() as url, two(stage, url) as pair:
        assert len(one_leads(pair)) == 1, "both wrote"
        yield


@contextmanager
def embedded_ledger(stage: Stage) -> Iterator[None]:
    """The leader is killed, the other takes over, and with its end the server is gone."""
    with two(stage, None) as pair:
        (leader,) = one_leads(pair)
        other = pair[1 - leader]
        pair[leader].process.kill()
        before = cycles(other)
        wait_until(lambda: cycles(other) > before, "the takeover", TAKEOVER_SECONDS, log=other.log)
        pid = other.log.parent / "postgresql" / "postmaster.pid"
        other.process.terminate()
        other.process.wait(timeout=60)
        assert not pid.exists(), "the embedded server still runs"
        yield


@contextmanager
def stopped_leader(stage: Stage) -> Iterator[str]:
    """Another takes over from a leader that stands still; thawed, it stands by."""
    leader, other = stage.daemon, stage.run(stage.saf)
    try:
        other.says("another saf is active")
        leader.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: cycles(other) > 0, "the takeover", TAKEOVER_SECONDS, log=other.log)
        seconds = time.monotonic() - began
        leader.process.send_signal(signal.SIGCONT)
        assert one_leads([leader, other]) == [1], "the thawed leader wrote too"
    finally:
        leader.process.send_signal(signal.SIGCONT)
        other.process.kill()
        other.process.wait(timeout=30)
    yield f"taken over after {seconds:.1f} s"


# --- Slurm's daemons and the ledger's server


@contextmanager
def slurm_killed(stage: Stage, name: str) -> Iterator[None]:
    stage.slurm.kill(name)
    yield
    stage.slurm.restart(name)


@contextmanager
def slurm_stopped(stage: Stage, name: str) -> Iterator[None]:
    stage.slurm.pause(name)
    yield
    stage.slurm.resume(name)


@contextmanager
def postgresql(stage: Stage, strike: int, undo: Callable[[Stage], None]) -> Iterator[None]:
    stage.server(strike)
    yield
    undo(stage)


def thaw(stage: Stage) -> None:
    stage.server(signal.SIGCONT)


@contextmanager
def terminated(stage: Stage) -> Iterator[None]:
    random_moment(stage)
    cut_sessions(stage.url)
    yield


@contextmanager
def terminated_in_a_write(stage: Stage) -> Iterator[None]:
    """sacctmgr waits, the session is cut, sacctmgr goes on."""
    planned, go_on = stage.saf.directory / "planned", stage.saf.directory / "go_on"
    wait = f"touch {planned}; while [ ! -e {go_on} ]; do sleep 0.05; done"
    stage.wrap("sacctmgr", f'case "$*" in *modify*) {wait};; esac; exec $REAL "$@"')
    wait_until(planned.exists, "a write", 60)
    cut_sessions(stage.url)
    go_on.touch()
    yield
    stage.wrap("sacctmgr", 'exec $REAL "$@"')
    planned.unlink()
    go_on.unlink()


@contextmanager
def full(stage: Stage) -> Iterator[None]:
    filler = stage.disk / "filler"
    disk.fill(filler)
    yield
    filler.unlink()
    stage.serve()


# --- Slurm's commands


@contextmanager
def answers(stage: Stage, name: str, script: str) -> Iterator[None]:
    stage.wrap(name, script)
    yield
    stage.wrap(name, 'exec $REAL "$@"')


@contextmanager
def another_value(stage: Stage) -> Iterator[None]:
    with answers(stage, "sacctmgr", on_modify(f"exec $REAL -i {ELSE}")):
        yield
    stage.apart()


@contextmanager
def stopped_while_written(stage: Stage) -> Iterator[None]:
    """slurmctld stands still from when sacctmgr begins."""
    stopped = stage.saf.directory / "stopped"
    stop = f"kill -STOP $(cat {stage.slurm.directory}/slurmctld.pid); touch {stopped}"
    with answers(stage, "sacctmgr", f'case "$*" in *modify*) {stop};; esac; exec $REAL "$@"'):
        wait_until(stopped.exists, "a write", 60)
        yield
        stage.slurm.resume("slurmctld")
    stopped.unlink()


def command(name: str, what: str, script: str, told: str, still: bool = True) -> Fault:
    return Fault(f"{name}: {what}", partial(answers, name=name, script=script), told, still)


def on_modify(script: str) -> str:
    return f'case "$*" in *modify*) {script};; esac; exec $REAL "$@"'


HALF, NOTHING = "half, exit 0", "nothing, exit 0"
ANSWERS = {
    NOTHING: "exit 0",
    HALF: '$REAL "$@" >$0.$$; head -n $(($(wc -l <$0.$$) / 2)) $0.$$; rm $0.$$',
    "garbage, exit 0": "head -c 2000 /dev/urandom | base64",
    "exit 1": "echo failed >&2; exit 1",
    "every line twice": '$REAL "$@" | sed p',
    "hangs": "exec sleep 3600",
}
ASIDE = {
    "a line of garbage": 'echo nonsense; exec $REAL "$@"',
    "100 MB of garbage": "head -c 75000000 /dev/urandom | base64",
}
UNSEEN = (("squeue", HALF), ("sprio", HALF), ("sprio", NOTHING))
"""Squeue is compared with the running jobs of sacct, half of which may have ended; sprio with nothing, for no
decision rests on it."""

OTHERS = ("sshare", "sacctmgr", "squeue", "sdiag", "scontrol", "sprio")
SLURM = ("slurmdbd", "slurmctld", "mariadbd", "munged")
ELSE = "modify account where name=regional cluster=loop set fairshare=33"
STARTED = "started in mode enforce"
KILLS = {"before": "kill -9 $PPID; exit 1", "after": '$REAL "$@"; kill -9 $PPID; exit 1'}


def brief(name: str, strike: Strike, told: str) -> Fault:
    """One that is over at once, and in which saf may write."""
    return Fault(name, strike, told, still=False, after=True)


TABLE = (
    brief("saf: kill -9 at a random moment", killed, STARTED),
    *(brief(f"saf: kill -9 {when} a write", partial(killed_in_a_write, script=script), STARTED)
      for when, script in KILLS.items()),
    brief("saf: STOP 7 s, CONT", partial(frozen, seconds=7), rf"{FAILED}|longer than the period"),
    brief("two daemons on a new ledger", fresh_ledger, ""),
    brief("two daemons on an embedded ledger, leader killed", embedded_ledger, ""),
    brief("leader STOPped, session alive", stopped_leader, "no cycle"),
    *(Fault(f"{name}: killed", partial(slurm_killed, name=name)) for name in SLURM),
    *(Fault(f"{name}: STOP {seconds} s", partial(slurm_stopped, name=name), seconds=seconds)
      for name in SLURM for seconds in (12, 22)),
    Fault("PostgreSQL: killed", partial(postgresql, strike=signal.SIGKILL, undo=Stage.serve)),
    *(Fault(f"PostgreSQL: STOP {seconds} s", partial(postgresql, strike=signal.SIGSTOP, undo=thaw),
            seconds=seconds) for seconds in (8, 22)),
    brief("PostgreSQL: sessions cut at a random moment", terminated, FAILED),
    Fault("PostgreSQL: sessions cut between planned and applied", terminated_in_a_write, still=False),
    Fault("PostgreSQL: disk full", full, still=False, seconds=10),
    *(Fault(f"clock of saf: {name}", partial(wrong_clock, off=off), "slurmctld's|saf_hold clock")
      for name, off in (("+1 d", 86400), ("+1 h", 3600), ("-15 s", -15))),
    *(command("sacct", what, script, rf"{HELD}|cannot be read", still=False)
      for what, script in ASIDE.items()),
    command("sacct", "a cut line", '$REAL "$@" | head -c -7', FAILED),
    command("sacct", "the answer twice", '$REAL "$@"; exec $REAL "$@"', "", still=False),
    *(command(name, what, script, "" if unseen else rf"{HELD}|cannot be read",
              still=not unseen and name != "sprio")
      for name in ("sacct", *OTHERS) for what, script in ANSWERS.items()
      for unseen in ["twice" in what or (name, what) in UNSEEN]),
    command("sacctmgr", "exit 0 without effect", on_modify("exit 0"), r"\[failed", still=False),
    command("sacctmgr", "exit 1 with effect", on_modify('$REAL "$@"; exit 1'), r"\[applied \(", still=False),
    Fault("sacctmgr: sets another value", another_value, r"\[failed", still=False),
    Fault("slurmctld: STOP while sacctmgr writes", stopped_while_written, rf"{FAILED}|\[", still=False,
          seconds=TIMEOUT),
    brief("log: closed", log_closed, ""),
    Fault("log: its disk is full", log_full, "", still=False),
    Fault("log: its reader is killed", log_without_reader, "", still=False),
    Fault("saf pause at a random moment", paused, "saf_hold paused", seconds=3 * PERIOD),
    Fault(f"1,000 idle connections at RLIMIT_NOFILE {NOFILE}", partial(crowded, connections=1000), "",
          still=False),
)  # fmt: skip
