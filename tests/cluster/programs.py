"""The command lines of the programs that are not Slurm's, and the one directory that jobs have to get at.

Rule: all of it is scratch, so nothing is made to survive a crash of the machine.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from tests.cluster.conf import BACKUP_HOST, Layout, Ports
from tests.cluster.processes import ClusterError

REDO_LOG = "--innodb-log-file-size=32M"
REST_USER = "lp"
NO_SYNC = "--innodb-flush-method=nosync"


def munged(layout: Layout) -> list[str]:
    files = [f"--{each}-file={layout.directory}/munged.{each}" for each in ("key", "pid", "seed")]
    return ["munged", "--foreground", "--force", "--num-threads=2", f"--socket={layout.munge_socket}", *files]


def mariadb_install(layout: Layout) -> list[str]:
    data = ["--user=root", f"--datadir={layout.directory}/db"]
    settings = ["--auth-root-authentication-method=socket", "--skip-test-db", REDO_LOG, NO_SYNC]
    return ["mariadb-install-db", "--no-defaults", *data, *settings]


def mariadbd(layout: Layout, ports: Ports) -> list[str]:
    """As root, so that it can be in a directory that is closed to others."""
    return [
        "mariadbd", "--no-defaults", "--user=root", f"--datadir={layout.directory}/db",
        f"--socket={layout.mariadb_socket}", f"--pid-file={layout.directory}/mariadbd.pid",
        f"--init-file={layout.directory}/init.sql", f"--port={ports.mariadb}", "--bind-address=127.0.0.1",
        "--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=128M",
        "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0",
        "--max-allowed-packet=64M", REDO_LOG, NO_SYNC,
    ]  # fmt: skip


WIRE = """
ip link set lo up
ip link add eth0 type veth peer name saf$$ netns {here}
ip address add {backup}/30 dev eth0
ip link set eth0 up
nsenter --net --target {here} sh -ec "ip address add {gateway}/30 dev saf$$; ip link set saf$$ up"
exec sleep infinity
"""
HOST = """
mount --bind {own} {shown}
mount --bind {own}/hosts /etc/hosts
hostname {name}
exec "$@"
"""


def wire(layout: Layout) -> list[str]:
    """A network with one wire to this machine; both end with this program."""
    script = WIRE.format(here=os.getpid(), backup=layout.backup, gateway=layout.gateway)
    return ["unshare", "--net", "sh", "-ec", script]


def slurmctld(layout: Layout) -> list[str]:
    return ["slurmctld", "-D", "-f", f"{layout.directory}/slurm.conf"]


def backup_slurmctld(layout: Layout, network: int) -> list[str]:
    """As on a host of its own, in the network of the process with this number."""
    own = layout.directory / BACKUP_HOST
    for place in (own, layout.own):
        place.mkdir()
    (own / "hosts").write_text(f"{layout.gateway} localhost\n")
    script = HOST.format(own=own, shown=layout.own, name=BACKUP_HOST)
    entered = ["nsenter", "--net", f"--target={network}", "unshare", "--uts", "--mount"]
    return [*entered, "sh", "-ec", script, "sh", *slurmctld(layout)]


def slurmrestd(layout: Layout, ports: Ports) -> list[str]:
    """As a user without any rights, as its documentation wants it: the token says who asks."""
    who = [f"-u{REST_USER}", f"-g{REST_USER}", "-arest_auth/jwt", "-f", str(layout.rest_conf)]
    return ["slurmrestd", *who, f"unix:{layout.rest_socket}", f"127.0.0.1:{ports.slurmrestd}"]


def rest_env(layout: Layout) -> dict[str, str]:
    """Tokens instead of munge, and whole lists of array tasks."""
    return {"SLURM_JWT": "daemon", "SLURM_BITSTR_LEN": "0", "SLURM_CONF": str(layout.rest_conf)}


def spool_directory() -> Path:
    """Jobs run as other users, who have to get at their scripts; directories of tests are closed to them."""
    scratch = Path(tempfile.mkdtemp(prefix="slurm-"))
    scratch.chmod(0o755)
    closed = [str(parent) for parent in scratch.parents if not parent.stat().st_mode & stat.S_IXOTH]
    if closed:
        scratch.rmdir()
        raise ClusterError(f"users of jobs cannot enter {closed[0]}: set TMPDIR to where they can")
    return scratch
