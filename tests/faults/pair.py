"""The stage with two daemons, a ledger on a primary and a standby, and a gate at every step of a cycle.

A gate is in the scripts that stand for Slurm's commands: the command that reaches an armed one waits until
it is opened. The product knows nothing of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import psycopg

from tests.cluster.slurm import ClusterError, SlurmCluster, wait_until
from tests.conftest import with_roles
from tests.end_to_end.conftest import COMMANDS, EAGER, wrapper
from tests.end_to_end.running import Running
from tests.faults import judge
from tests.faults.stage import SACCT, Stage
from tests.ledger.servers import either, follow, private_server, standby_of, synchronous
from tests.saf import Saf

DEADLINE = 180
SLURM = ("slurmctld", "slurmdbd", "mariadbd")
GATE = """
step={name}; case "$*" in *modify*) step=modify;; esac
if [ -e {place}/$step.after ]; then "$REAL" "$@"; code=$?; step=$step.after; else step=$step.before; fi
if [ -e {place}/$step ] && mv {place}/$step {place}/reached 2>/dev/null; then
    echo $$ >{place}/pid.new; mv {place}/pid.new {place}/pid
    while [ ! -e {place}/open ]; do sleep 0.02; done
fi
[ -z "$code" ] || exit "$code"
exec "$REAL" "$@"
"""
LEADER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 7341 AND l.granted
"""
CHANGES = """
SELECT raw_shares_before, raw_shares_after FROM changes JOIN decisions USING (decision_id)
WHERE status <> 'observed' ORDER BY change_id
"""


class Gate:
    """Where a command of Slurm can be made to wait."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()

    def script(self, name: str) -> str:
        """What stands for a command."""
        return GATE.format(name=name, place=shlex.quote(str(self.place)))

    def arm(self, step: str) -> None:
        """Have the next command that reaches the step wait there."""
        for file in self.place.iterdir():
            file.unlink()
        (self.place / step).touch()

    def reached(self) -> int:
        """The process that waits, once one does."""
        wait_until((self.place / "pid").exists, "a command at the gate", DEADLINE)
        return int((self.place / "pid").read_text())

    def open(self) -> None:
        """Let it go on."""
        (self.place / "open").touch()


class PairStage(Stage):
    """Two daemons; ``primary`` and ``standby`` change places at a failover."""

    def __init__(self, directory: Path, slurm: SlurmCluster, seed: int, stack: ExitStack) -> None:
        self.stack = stack
        self.pair: dict[int, tuple[Saf, Running]] = {}
        super().__init__(directory, slurm, directory, seed)
        self.gate = Gate(directory / "gate")
        self.second = self.another("second", self.url)
        for saf, wrap in ((self.saf, self.wrap), (self.second, wrapper(self.second))):
            for name in COMMANDS:
                wrap(name, self.gate.script(name))
            saf.configure("ledger", timeout="5s")
        self.beside = sum(
            int(line.split("|")[1])
            for line in slurm.run("sshare", "-n", "-P", "-o", "Account,RawShares").splitlines()
            if line.startswith(" ") and not line.startswith("  ") and line.split("|")[0] != " regional"
        )

    def _ledger(self) -> str:
        places = self.places()
        self.primary = self.stack.enter_context(private_server(place=places[0]))
        with_roles(self.primary.url)
        self.standby = self.stack.enter_context(standby_of(self.primary, places[1]))
        synchronous(self.primary)
        return f"{either(self.primary, self.standby)}&target_session_attrs=read-write"

    def places(self) -> tuple[Path | None, Path | None]:
        """Where the directories of both servers are made."""
        return None, None

    # --- the daemons

    def ready(self) -> None:
        """Both run."""
        for saf in (self.saf, self.second):
            if not any(one is saf and run.process.poll() is None for one, run in self.pair.values()):
                self.begin(saf)

    def begin(self, saf: Saf) -> None:
        """Start one of the two, after it has ended."""
        self.pair = {pid: one for pid, one in self.pair.items() if one[0] is not saf}
        running = self.run(saf)
        self.pair[running.process.pid] = saf, running

    def end(self) -> None:
        for _, running in self.pair.values():
            running.process.kill()
            running.process.wait(timeout=30)

    def leader(self) -> int:
        """The process of the daemon that holds the lock."""
        found: list[int] = []

        def look() -> bool:
            with suppress(psycopg.Error):
                found[:] = [int(str(name).rpartition(":")[2]) for (name,) in self.rows(LEADER)]
            return len(found) == 1 and found[0] in self.pair

        wait_until(look, "one leader", DEADLINE)
        return found[0]

    def other(self) -> int:
        """The process of the daemon that stands by."""
        leader = self.leader()
        return next(pid for pid in self.pair if pid != leader)

    def logs(self) -> dict[Path, int]:
        """How long the log of each daemon is now."""
        return {running.log: running.log.stat().st_size for _, running in self.pair.values()}

    def back(self, since: dict[Path, int]) -> int:
        """Wait for a complete cycle of one of the two; how many it took, failed ones included."""
        told: list[list[str]] = []

        def look() -> bool:
            told[:] = [
                running.log.read_bytes()[since.get(running.log, 0) :].decode(errors="replace").splitlines()
                for _, running in self.pair.values()
            ]
            return any("promised 25%" in line for lines in told for line in lines)

        wait_until(look, "a complete cycle", DEADLINE)
        return 1 + max(sum("ERROR no cycle" in line for line in lines) for lines in told)

    # --- the ledger

    def failover(self) -> None:
        """Promote the standby, whatever became of the primary."""
        self.standby.promote()

    def repair(self) -> None:
        """Make the old primary the standby of the promoted one, with synchronous commits."""
        with suppress(FileNotFoundError):
            self.primary.kill()
        self.primary, self.standby = self.standby, self.primary
        follow(self.standby, self.primary)
        synchronous(self.primary)

    def heal(self) -> None:
        """Whatever a fault left: everything runs again, and the primary has a standby."""
        for name in SLURM:
            if self.slurm.is_alive(name):
                self.slurm.resume(name)
            else:
                self.slurm.restart(name)
        self.follow_again()

    def follow_again(self) -> None:
        """Whatever became of the servers: one is the primary, and the other follows it."""
        if not self.primary.running():
            self.primary, self.standby = self.standby, self.primary
        if self.standby.running():
            self.standby.kill()
        follow(self.standby, self.primary)
        synchronous(self.primary)

    # --- what became of it

    def _operate(self, stop: Event) -> None:
        """Nothing: an operator acts between two faults."""

    def judged(self, old: int) -> tuple[int, int]:
        """How many writes went outside slew and bounds, and how many show two writers; not the old ones."""
        changes = [(int(str(before)), int(str(after))) for before, after in self.rows(CHANGES)]
        made = self.transactions()[max(old - 1, 0) :]
        outside = judge.outside(made, self.share, EAGER["slew"], EAGER["share_max"])
        return outside, judge.interleaved(made, changes)

    def share(self, raw_shares: int) -> float:
        """The part of the level that these RawShares give."""
        return raw_shares / (raw_shares + self.beside)

    def tres_seconds(self) -> int:
        """By how many TRES-seconds the ledger differs from sacct, over the runs that both have."""
        told, _ = judge.printed(self.slurm.run(*SACCT))
        both = [(run, kept[key]) for kept in [self.kept()] for key, run in told.items() if key in kept]
        return sum(abs(judge.tres_seconds(one) - judge.tres_seconds(other)) for one, other in both)

    def wrong(self) -> Iterator[str]:
        leaders = len(self.rows(LEADER))
        if leaders > 1:
            yield f"{leaders} leaders"
        try:
            self.leader()  # none for a moment is a takeover
        except ClusterError as error:
            yield str(error)
        yield from super().wrong()
