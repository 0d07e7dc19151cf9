"""Where faults are tried: a real Slurm with live jobs, an operator who changes shares, PostgreSQL, a daemon.

Rule: what is asked afterwards is asked of Slurm's own commands and of the ledger's tables.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import signal
import subprocess
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import psycopg

from slurm_ai_factory import question
from slurm_ai_factory.audit import verification
from slurm_ai_factory.cli.wiring import opened_ledger
from slurm_ai_factory.config import Config, load_file
from slurm_ai_factory.ledger import LONG, Ledger, Store, embedded
from tests.cluster.slurm import USERS, SlurmCluster, wait_until
from tests.cluster.tree import plant
from tests.cluster.workload import Workload
from tests.end_to_end.conftest import EAGER, wrapper
from tests.end_to_end.running import Running
from tests.faults import judge
from tests.faults.judge import Run, Told, Written
from tests.saf import Saf

PERIOD, TIMEOUT, LEDGER_TIMEOUT = 2, 5, 15
OPERATOR_SECONDS = 3
SETTLE_SECONDS = 60
LONGEST = 100
LASTING_SECONDS = 7200
"""Of four jobs beside the short ones: only those that have run for minutes are compared with squeue."""

OPERATOR = USERS[-1]
"""No account of the tree has this user."""
SACCT = ("env", "TZ=UTC", "SLURM_TIME_FORMAT=%s", "sacct", "-a", "-D", "-X", "-n", "-P", "-Snow-1day",
         "-Enow+1day", "-o", judge.FIELDS)  # fmt: skip
TRANSACTIONS = ("env", "SLURM_TIME_FORMAT=%s", "sacctmgr", "-n", "-P", "list", "transactions",
                "format=Time,Actor,Action,Info")  # fmt: skip
OVER = """
SELECT r.db_index, r.job_id, r.state, r.start_at, r.end_at, r.elapsed_seconds, a.tres
FROM runs r JOIN allocations a ON a.allocation_id = r.alloc_id WHERE r.start_at < r.end_at + 1
"""
RECORDED = "SELECT raw_shares_after FROM changes JOIN decisions USING (decision_id) WHERE at >= %s"
PLANNED = (
    "SELECT count(*) FROM changes JOIN decisions USING (decision_id) WHERE status = 'planned' AND at < %s"
)
SETTINGS = {
    "daemon": {"period": f"{PERIOD}s"},
    "slurm": {"timeout": f"{TIMEOUT}s"},
    "control": {**EAGER, "writes_per_day": 100_000},
}


class Stage:
    """All of it; the daemon may be ended and started again by whoever tries a fault."""

    def __init__(self, directory: Path, slurm: SlurmCluster, disk: Path, seed: int) -> None:
        self.slurm, self.disk, self.directory = slurm, disk, directory
        self.tree = plant(slurm)
        self.dice, self.operator_dice = random.Random(seed), random.Random(-seed)
        self.workload = Workload(
            slurm, self.tree, seed=seed, seconds=(1, 8), depths={"national": 1.0, "regional": 1.0},
            sizes={1: 3, 2: 1},
        )  # fmt: skip
        self.url = self._ledger()
        self.saf = self.another("saf", self.url)
        self.wrap = wrapper(self.saf)
        self.wrap("sdiag", 'exec $REAL "$@"')
        self.slurm.run(
            "sacctmgr", "-i", "add", "user", f"name={OPERATOR}", "account=astro", "adminlevel=Operator"
        )
        for account, users in [("umcg", self.tree.regional), ("astro", self.tree.national)] * 2:
            slurm.submit(users[account][0], account, seconds=LASTING_SECONDS)
        self._daemon: Running | None = None
        self._started = 0
        self.usual = True  #: how the daemon was started
        self.apart()

    def _ledger(self) -> str:
        url = embedded.url(self.disk / "ledger")
        with Store(url) as store:
            store.migrate()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_wal_size = '96MB'")
            connection.execute("SELECT pg_reload_conf()")
        return url

    def another(self, name: str, url: str | None) -> Saf:
        """A configuration of the same cluster in a directory of its own."""
        place = self.directory / name
        place.mkdir(mode=0o755)
        saf = Saf(place, self.slurm.env, url)
        saf.sections["ledger"] |= {"timeout": f"{LEDGER_TIMEOUT}s"} | (
            {} if url else {"state_directory": str(place)}
        )
        for section, values in SETTINGS.items():
            saf.configure(section, **values)
        return saf

    # --- what goes on all the time

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Jobs and the operator's changes, until the end; then the daemon is ended."""
        stop = Event()
        threads = [Thread(target=self.workload.run, args=(stop,)), Thread(target=self._operate, args=(stop,))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=120)
            self.end()

    def _operate(self, stop: Event) -> None:
        """Set other RawShares every few seconds; what fails is tried again."""
        while not stop.wait(OPERATOR_SECONDS):
            with suppress(subprocess.TimeoutExpired):
                self.operate()

    def operate(self) -> None:
        """Set other RawShares, as a user of their own."""
        entry, value = pwd.getpwnam(OPERATOR), self.operator_dice.randint(15, 30)
        change = ("sacctmgr", "-i", "modify", "account", "where", "name=regional", "cluster=loop", "set")
        subprocess.run(
            [*change, f"fairshare={value}"], env=self.slurm.env, timeout=60, cwd="/",
            user=entry.pw_uid, group=entry.pw_gid, extra_groups=(), capture_output=True,
        )  # fmt: skip

    # --- the daemon

    @property
    def daemon(self) -> Running:
        assert self._daemon
        return self._daemon

    def start(self, under: Sequence[str] = (), **env: str) -> None:
        """Start the daemon, after the one before has ended; what is not usual lasts until the next fault."""
        self.end()
        self.usual = not (under or env)
        self._daemon = self.run(self.saf, under, **env)

    def run(self, saf: Saf, under: Sequence[str] = (), **env: str) -> Running:
        """One more daemon, of any configuration, with a log of its own."""
        self._started += 1
        log = saf.directory / f"saf-{self._started}.log"
        before, saf.env = saf.env, {**saf.env, **env}
        try:
            return Running(saf.start(log, under), log)
        finally:
            saf.env = before

    def end(self) -> None:
        if self._daemon:
            self._daemon.process.kill()
            self._daemon.process.wait(timeout=30)

    def ready(self) -> None:
        """The daemon runs and has just completed a cycle."""
        if not (self._daemon and self.usual) or self._daemon.process.poll() is not None:
            self.start()
        self.cycle()

    def cycle(self, timeout: float = 120) -> float:
        """Wait for one more complete cycle; how many seconds that took."""
        began = time.monotonic()
        seen = cycles(self.daemon)
        wait_until(lambda: cycles(self.daemon) > seen, "a complete cycle", timeout, log=self.daemon.log)
        return time.monotonic() - began

    def signs(self) -> list[str]:
        """What the daemon tells now: the lines of its log, and holds and failures in its metrics."""
        found = self.daemon.log.read_text(errors="replace").splitlines()
        for name, value in metrics(self.daemon).items():
            if value == 1 and (sign := re.fullmatch(r"(saf_hold|saf_failure)\{loop,(\w+)\}", name)):
                found.append(f"{sign[1]} {sign[2]}")
        return found

    def told(self, known: Sequence[str], words: str, began: float) -> Told | None:
        """The first new sign with these words, if there is one by now; none where no words are given."""
        if not words:
            return None
        new = [sign for sign in self.signs() if sign not in known and re.search(words, sign)]
        return Told(time.monotonic() - began, short(new[0], words)) if new else None

    # --- the ledger's server

    def server(self, number: int) -> None:
        """Send a signal to every process of PostgreSQL."""
        postmaster = int((self.disk / "ledger" / "postgresql" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number == signal.SIGKILL:
            wait_until(lambda: not Path(f"/proc/{postmaster}").exists(), "the end of PostgreSQL", 30)

    def serve(self) -> None:
        """Start PostgreSQL again unless it answers."""
        wait_until(lambda: embedded.url(self.disk / "ledger") == self.url, "PostgreSQL", 60)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    @contextmanager
    def new_ledger(self) -> Iterator[str]:
        """A further database on the same server."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE another")
            yield psycopg.conninfo.make_conninfo(self.url, dbname="another")
            connection.execute("DROP DATABASE another WITH (FORCE)")

    def decisions(self) -> int:
        """How many the ledger has."""
        return int(str(self.rows("SELECT count(*) FROM decisions")[0][0]))

    # --- what became of it

    def kept(self) -> dict[int, Run]:
        """The ledger's runs that are over."""
        return {
            int(str(index)): Run(
                str(job), str(state), str(start), str(end), int(str(elapsed)), frozenset(str(tres).split(","))
            )
            for index, job, state, start, end, elapsed, tres in self.rows(OVER)
        }

    def differences(self) -> tuple[list[int], list[int]]:
        """Runs that are lost and runs that are doubled, once the ledger had time to read them."""
        told, _ = judge.printed(self.slurm.run(*SACCT))
        with suppress(Exception):
            wait_until(lambda: not judge.lost(told, self.kept()), "the ledger", SETTLE_SECONDS, interval=0.5)
        kept = self.kept()
        return judge.lost(told, kept), judge.doubled(kept, *judge.printed(self.slurm.run(*SACCT)))

    def transactions(self) -> list[Written]:
        """Every change of RawShares, oldest first, as slurmdbd has it: who is not saf is another user."""
        rows = [line.split("|") for line in self.slurm.run(*TRANSACTIONS).splitlines()]
        return [
            Written(int(at), actor == "root", int(info.rpartition("shares=")[2]))
            for at, actor, action, info, *_ in rows
            if action == "Modify Associations" and "shares=" in info
        ]

    def written(self) -> list[tuple[int, str]]:
        """When and what saf wrote."""
        return [(one.at, str(one.raw_shares)) for one in self.transactions() if one.by_saf]

    def apart(self) -> None:
        """What was written until now is not looked for in the ledger: somebody else did it in saf's name."""
        self.since = int(time.time()) + 1

    def wrong(self) -> Iterator[str]:
        """What does not hold of the ledger."""
        made = [shares for at, shares in self.written() if at > self.since]
        recorded = [str(row[0]) for row in self.rows(RECORDED, self.since)]
        if extra := judge.unrecorded(made, recorded):
            yield f"written without a record: RawShares {', '.join(extra)}"
        if self.rows(PLANNED, int(time.time()) - 30) != [(0,)]:
            yield "a change stays planned"
        config = load_file(self.saf.file)
        with opened_ledger(config, LONG) as ledger:
            yield from differing(question.under_terms(config, ledger, int(time.time())), ledger)


def differing(config: Config, ledger: Ledger) -> Iterator[str]:
    """What `saf ledger verify` finds."""
    hours = verification.intervals_to_compare(ledger)
    for check in verification.verify(config, ledger, hours, lambda _: None, None):
        if check.differing:
            yield f"saf ledger verify: {check}"


def metrics(daemon: Running) -> dict[str, float]:
    """Its metrics; none where it cannot be asked."""
    try:
        return daemon.metrics()
    except (OSError, urllib.error.URLError):
        return {}


def cycles(daemon: Running) -> float:
    """How many cycles it has completed."""
    return metrics(daemon).get("saf_cycles_total{loop,complete}", 0)


def short(line: str, words: str) -> str:
    """A line of the log without its time and paths; a long one from these words on.

    >>> short("2026-01-03T07:05:08Z ERROR no cycle: /usr/bin/sacct failed", "no cycle")
    'ERROR no cycle: sacct failed'
    """
    said = re.sub(r"^\S+Z |/\S*/", "", line)
    found = re.search(words, said)
    said = said[found.start() :] if found and len(said) > LONGEST else said
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."
