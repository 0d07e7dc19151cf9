"""One private Slurm on loopback: munge, MariaDB, slurmdbd, slurmctld and a slurmd per node.

Rule: everything lives in one directory and in child processes of ours, and nothing of it outlives us: a
reaper holds a pipe to this process and ends what is left when it closes, however this process ended.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from tests.cluster import conf, programs, reaper, versions
from tests.cluster.clock import Clock
from tests.cluster.commands import Commands
from tests.cluster.conf import Layout, Ports
from tests.cluster.processes import (
    ClusterError,
    Daemon,
    Pipe,
    PortTakenError,
    free_ports,
    listens,
    wait_until,
)
from tests.cluster.requirements import PATH, USERS, unavailable

__all__ = ["USERS", "ClusterError", "SlurmCluster", "unavailable", "wait_until"]

FOREIGN = ("SLURM", "SBATCH", "SACCT", "SQUEUE", "SINFO", "SCANCEL", "FAKETIME", "LD_PRELOAD")
LONGEST_PATH = 80
BACKUP, WIRE = "slurmctld2", "wire"
ATTEMPTS = 3


class SlurmCluster(Commands):
    """A context manager; several may run at once."""

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "loop",
        nodes: int = 4,
        cpus_per_node: int = 4,
        gpus_per_node: int = 0,
        speed: int = 1,
        half_life: str = "00:10:00",
        calc_period_minutes: int = 1,
        clock_start: str | None = None,
        options: Mapping[str, str] | None = None,
        version: str | None = None,
        rest: bool = False,
        beside: SlurmCluster | None = None,
        backup: bool = False,
    ) -> None:
        """With ``beside``, it uses the munge and slurmdbd of that cluster, which has to be up.

        With ``backup``, a second slurmctld takes over once the first has been silent for 10 seconds.
        """
        self.directory = directory.resolve()
        if len(str(self.directory)) > LONGEST_PATH:
            raise ClusterError(f"{directory}: too long a path for the sockets in it (over {LONGEST_PATH})")
        super().__init__({}, speed, self.directory / "slurmctld.log")
        self.name = name
        self.speed = speed
        self.version = versions.chosen(version)
        self._layout = Layout(
            self.directory, name, nodes, cpus_per_node, gpus_per_node, speed, half_life, calc_period_minutes,
            dict(options or {}), beside.directory if beside else None,
            f"10.213.{os.getpid() % 250}.2" if backup else "",
        )  # fmt: skip
        self.rest = rest
        self._beside = beside
        self._slurmdbd_port = 0
        self._clock = Clock(speed, clock_start)
        self._password = secrets.token_hex(16)
        self._daemons: dict[str, Daemon] = {}
        self._rest_port = 0
        self._reaper: Pipe | None = None

    def __enter__(self) -> SlurmCluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def slurm_conf(self) -> Path:
        return self.directory / "slurm.conf"

    @property
    def rest_urls(self) -> tuple[str, str]:
        """Where slurmrestd listens: its socket, and its port."""
        return f"unix:{self._layout.rest_socket}", f"http://127.0.0.1:{self._rest_port}"

    @property
    def node_names(self) -> tuple[str, ...]:
        return self._layout.node_names

    @property
    def daemons(self) -> tuple[str, ...]:
        return tuple(self._daemons)

    def now(self) -> float:
        """The time on the cluster's clock."""
        return self._clock.now()

    def start(self) -> None:
        """Bring everything up; on failure nothing is left behind."""
        for _ in range(ATTEMPTS - 1):
            try:
                self._start_or_stop()
            except PortTakenError:
                continue
            return
        self._start_or_stop()

    def stop(self) -> None:
        """End every process of this cluster; may be called at any time, any number of times."""
        try:
            self._end_daemons()
            left = reaper.clean(self.directory)
        finally:
            self._clock.stop()
            if self._reaper is not None:
                self._reaper.close()
                self._reaper = None
        atexit.unregister(self.stop)
        if left:
            raise ClusterError(f"processes that could not be ended: {left}")

    def _end_daemons(self) -> None:
        """Slurm may save its state; the database is thrown away."""
        order = ["slurmrestd", *self.node_names, BACKUP, "slurmctld", WIRE, "slurmdbd", "munged"]
        ending = [self._daemons[name] for name in order if name in self._daemons]
        for daemon in ending:
            daemon.terminate()
        for daemon in ending:
            daemon.reap(3.0)
        if "mariadbd" in self._daemons:
            self._daemons["mariadbd"].kill()
        self._daemons.clear()

    def pause(self, daemon: str) -> None:
        self._daemons[daemon].signal(signal.SIGSTOP)

    def resume(self, daemon: str) -> None:
        self._daemons[daemon].signal(signal.SIGCONT)

    def kill(self, daemon: str) -> None:
        self._daemons[daemon].kill()

    def restart(self, daemon: str, timeout: float = 120.0) -> None:
        """End it if it still runs, then start it again on the same data."""
        self._daemons[daemon].end()
        self._daemons[daemon].start(timeout)

    def peak_mib(self, daemon: str) -> float:
        """The most memory that a daemon had so far."""
        status = Path(f"/proc/{self._daemons[daemon].pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def is_alive(self, daemon: str) -> bool:
        return daemon in self._daemons and self._daemons[daemon].alive

    def log(self, daemon: str) -> Path:
        return self.directory / f"{daemon}.log"

    def mysql(self, sql: str, timeout: float = 600.0) -> str:
        """Run SQL in the accounting database; rows come back tab-separated without a header."""
        argv = ["mariadb", "--no-defaults", "-S", str(self._layout.mariadb_socket), "-uslurm", "-B", "-N"]
        env = self._real_env() | {"MYSQL_PWD": self._password}
        done = subprocess.run(
            [*argv, conf.DATABASE], env=env, input=sql, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode != 0:
            raise ClusterError(f"mariadb: {done.stderr.strip()}")
        return done.stdout

    def _start_or_stop(self) -> None:
        atexit.register(self.stop)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._clear()
        self._reaper = Pipe([sys.executable, reaper.__file__, str(self.directory)], self._real_env())
        self._clock.start(self.directory, self._real_env())
        self.env = self._real_env() | {"SLURM_CONF": str(self.slurm_conf)} | self._clock.env
        ports = self._write_configuration()
        self._define(ports)
        if not self._beside:
            self._daemons["munged"].spawn()
            self._install_database()
            self._daemons["mariadbd"].start()
            self._daemons["munged"].await_ready()
            self._daemons["slurmdbd"].start()
        self._start_slurm()

    def _clear(self) -> None:
        """An empty directory with what the daemons expect to find; only one of our own is emptied."""
        if self.directory.exists() and any(self.directory.iterdir()) and not reaper.is_ours(self.directory):
            raise ClusterError(f"{self.directory} is not empty, and no cluster was ever made in it")
        shutil.rmtree(self.directory, ignore_errors=True)
        for each in ("state", "db"):
            (self.directory / each).mkdir(parents=True)
        (self.directory / reaper.OURS).touch()
        self.directory.chmod(0o755)
        if self.version:
            versions.install(self.version, self.programs)
        (self.directory / reaper.SPOOL).symlink_to(programs.spool_directory(), target_is_directory=True)

    def _real_env(self) -> dict[str, str]:
        """Ours, without what would steer Slurm's commands or the clock."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        return env | {"PATH": f"{self.programs}{os.pathsep}{PATH}" if self.version else PATH}

    @property
    def programs(self) -> Path:
        """Where the programs of a version that is not this machine's own are."""
        return self.directory / "bin"

    def _write_configuration(self) -> Ports:
        mariadb, slurmdbd, slurmctld, slurmrestd, *slurmds = free_ports(4 + self._layout.nodes)
        self._slurmdbd_port = self._beside._slurmdbd_port if self._beside else slurmdbd
        rest = slurmrestd if self.rest else 0
        ports = Ports(mariadb, self._slurmdbd_port, slurmctld, tuple(slurmds), rest)
        self._write("munged.key", os.urandom(1024))
        self._write(self._layout.jwt_key.name, os.urandom(32))
        self._write("slurm.conf", conf.slurm_conf(self._layout, ports).encode(), 0o644)
        if self.version:
            self._write("cgroup.conf", conf.CGROUP.encode(), 0o644)
        self._rest_port = ports.slurmrestd
        if self._layout.gpus_per_node:
            self._write("gres.conf", conf.gres_conf(self._layout).encode(), 0o644)
        for number in range(self._layout.gpus_per_node):
            (self.directory / f"gpu{number}").symlink_to("/dev/null")
        self._write("slurmdbd.conf", conf.slurmdbd_conf(self._layout, ports, self._password).encode())
        self._write("init.sql", conf.init_sql(self._password).encode())
        return ports

    def _write(self, name: str, content: bytes, mode: int = 0o600) -> None:
        path = self.directory / name
        path.touch(mode=mode)
        path.write_bytes(content)

    def _define(self, ports: Ports) -> None:
        layout = self._layout
        if not self._beside:
            self._declare("munged", programs.munged(layout), self._munge_answers)
            self._declare("mariadbd", programs.mariadbd(layout, ports), partial(listens, ports.mariadb))
            dbd_env = {"SLURM_CONF": str(self.directory / "slurmdbd.conf")}
            self._declare("slurmdbd", ["slurmdbd", "-D"], partial(listens, ports.slurmdbd), dbd_env)
        self._declare("slurmctld", programs.slurmctld(layout), partial(listens, ports.slurmctld))
        if layout.backup:
            self._declare(WIRE, programs.wire(layout), lambda _: _has_address(layout.gateway))
            self._daemons[WIRE].start()
            argv = programs.backup_slurmctld(layout, self._daemons[WIRE].pid or 0)
            self._declare(BACKUP, argv, partial(listens, ports.slurmctld))
        for node, port in zip(self.node_names, ports.slurmds, strict=True):
            argv = ["slurmd", "-D", "-N", node, "-f", str(self.slurm_conf)]
            self._declare(node, argv, partial(listens, port))
        if self.rest:
            self._layout.rest_conf.parent.mkdir()
            shutil.chown(self._layout.rest_conf.parent, programs.REST_USER, programs.REST_USER)
            shutil.copy(self.slurm_conf, self._layout.rest_conf)
            argv, ready = programs.slurmrestd(layout, ports), partial(listens, ports.slurmrestd)
            self._declare("slurmrestd", argv, ready, programs.rest_env(layout))

    def _declare(
        self, name: str, argv: list[str], ready: Callable[[int], bool], extra: Mapping[str, str] | None = None
    ) -> None:
        env = self._env_of(name) | {reaper.MARK: str(self.directory)} | dict(extra or {})
        self._daemons[name] = Daemon(name, argv, env, self.log(name), ready)

    def _env_of(self, daemon: str) -> dict[str, str]:
        """On the cluster's clock, but for those that do not mind which time it is.

        munged hangs up on who is slower than two seconds, and whoever is hung up on dies of SIGPIPE.
        """
        match daemon:
            case "mariadbd":
                return self._database_env()
            case "munged":
                return self._real_env()
        return self.env

    def _munge_answers(self, _pid: int) -> bool:
        with socket.socket(socket.AF_UNIX) as attempt:
            return attempt.connect_ex(str(self._layout.munge_socket)) == 0

    def _database_env(self) -> dict[str, str]:
        """A server that starts removes the temporary tables of others, where they share a directory."""
        return {**self._real_env(), "TMPDIR": str(self.directory)}

    def _install_database(self) -> None:
        argv = programs.mariadb_install(self._layout)
        with self.log("mariadb-install").open("wb") as log:
            done = subprocess.run(argv, env=self._database_env(), stdout=log, stderr=log, timeout=120)
        if done.returncode != 0:
            raise ClusterError(f"mariadb-install-db failed\n{self.log('mariadb-install').read_text()}")

    def _start_slurm(self) -> None:
        self.run("sacctmgr", "-i", "add", "cluster", self.name)
        self._daemons["slurmctld"].start()
        if BACKUP in self._daemons:
            self._daemons[BACKUP].start()
        for node in self.node_names:
            self._daemons[node].spawn()
        wait_until(self._registered, "slurmctld to register with slurmdbd", 120, log=self.log("slurmctld"))
        wait_until(self._nodes_idle, "all nodes to be idle", 120, log=self.log("slurmctld"))
        if self.rest:
            self._daemons["slurmrestd"].start()

    def _registered(self) -> bool:
        asked = ("show", "cluster", self.name, "format=ControlPort")
        port = self.run("sacctmgr", "-n", "-P", *asked).strip()
        return port not in ("", "0")

    def _nodes_idle(self) -> bool:
        for node in self.node_names:
            self._daemons[node].await_ready()
        return set(self.run("sinfo", "-h", "-N", "-o", "%T").split()) == {"idle"}


def _has_address(address: str) -> bool:
    """Whether this machine has it."""
    with socket.socket() as attempt, suppress(OSError):
        attempt.bind((address, 0))
        return True
    return False
