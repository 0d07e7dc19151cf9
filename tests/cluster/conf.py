"""The texts of the configuration files of one loopback cluster.

Rule: every path is inside the cluster's directory and every port is one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname

DATABASE = "slurm_acct_db"
BACKUP_HOST = "ctl2"
"""Of the second slurmctld; the first one's is this machine's."""

REPEATED = ("NodeName", "PartitionName")
LONGEST = 60000
OF_PARTITIONS = ("TRESBillingWeights",)
CGROUP = "CgroupPlugin=disabled\n"
"""slurmd from 23.11 on wants to know; 22.05 has no such word."""


@dataclass(frozen=True)
class Ports:
    mariadb: int
    slurmdbd: int
    slurmctld: int
    slurmds: tuple[int, ...]
    slurmrestd: int = 0  #: 0 where there is none


@dataclass(frozen=True)
class Layout:
    """What the cluster looks like; times are in the cluster's own seconds."""

    directory: Path
    name: str
    nodes: int
    cpus_per_node: int
    gpus_per_node: int
    speed: int
    half_life: str
    calc_period_minutes: int
    options: Mapping[str, str] = field(default_factory=dict)
    storage: Path | None = None  #: the directory of the cluster whose munge and slurmdbd it uses
    backup: str = ""  #: address of a second slurmctld, which takes over from the first; empty without one

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))

    @property
    def munge_socket(self) -> Path:
        return (self.storage or self.directory) / "munge.sock"

    @property
    def rest_socket(self) -> Path:
        return self.rest_conf.parent / "socket"

    @property
    def rest_conf(self) -> Path:
        """A copy of slurm.conf where slurmrestd's user can read it: directories of tests are closed to it."""
        return self.spool / "rest" / "slurm.conf"

    @property
    def gateway(self) -> str:
        """This machine's end of the wire to the host of the second slurmctld."""
        return str(ip_address(self.backup) - 1)

    @property
    def own(self) -> Path:
        """Where each slurmctld of two sees a directory of its own."""
        return self.directory / "own"

    @property
    def jwt_key(self) -> Path:
        return self.directory / "jwt.key"

    @property
    def spool(self) -> Path:
        return (self.directory / "spool").resolve()

    @property
    def mariadb_socket(self) -> Path:
        return self.directory / "mariadb.sock"


def slurm_conf(layout: Layout, ports: Ports) -> str:
    settings = _places(layout, ports) | _plugins() | _priority(layout) | _timing(layout.speed)
    if layout.gpus_per_node:
        settings |= {"GresTypes": "gpu", "AccountingStorageTRES": "gres/gpu"}
    settings |= _tokens(layout, ports) | (_two_hosts(layout) if layout.backup else {})
    settings |= {
        key: value for key, value in layout.options.items() if key not in (*REPEATED, *OF_PARTITIONS)
    }
    lines = [f"{key}={value}" for key, value in settings.items()]
    lines += _extra_lines(layout.options)
    lines += [_node(layout, name, port) for name, port in zip(layout.node_names, ports.slurmds, strict=True)]
    lines += ["PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"]
    lines += ["PartitionName=debug Nodes=ALL MaxTime=INFINITE State=UP"]
    return "\n".join(lines) + "\n"


def _tokens(layout: Layout, ports: Ports) -> dict[str, str]:
    """What makes slurmctld and slurmdbd accept tokens, for slurmrestd."""
    if not ports.slurmrestd:
        return {}
    return {"AuthAltTypes": "auth/jwt", "AuthAltParameters": f"jwt_key={layout.jwt_key}"}


def _two_hosts(layout: Layout) -> dict[str, str]:
    """The second slurmctld has an address and a directory for its pid file of its own."""
    return {
        "SlurmctldHost": f"{gethostname()}({layout.gateway})\nSlurmctldHost={BACKUP_HOST}({layout.backup})",
        "SlurmctldPidFile": f"{layout.own}/slurmctld.pid",
        "SlurmctldTimeout": "10",
    }


def _extra_lines(options: Mapping[str, str]) -> list[str]:
    """Before the lines of our own, so that a DEFAULT among them applies to these."""
    lines = [f"{key}={options[key]}" for key in REPEATED if key in options]
    return lines + [f"PartitionName=DEFAULT {key}={options[key]}" for key in OF_PARTITIONS if key in options]


def _places(layout: Layout, ports: Ports) -> dict[str, str]:
    directory = layout.directory
    return {
        "ClusterName": layout.name,
        "SlurmctldHost": "localhost",
        "SlurmctldPort": str(ports.slurmctld),
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "StateSaveLocation": f"{directory}/state",
        "SlurmdSpoolDir": f"{layout.spool}/%n",
        "SlurmctldPidFile": f"{directory}/slurmctld.pid",
        "SlurmdPidFile": f"{directory}/slurmd.%n.pid",
        "AuthType": "auth/munge",
        # A requeued job is held back until the credential of its last run has expired, usually two minutes.
        "AuthInfo": f"socket={layout.munge_socket},cred_expire={max(10, 4 * layout.speed)}",
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "localhost",
        "AccountingStoragePort": str(ports.slurmdbd),
        "AccountingStoragePass": str(layout.munge_socket),
        "AccountingStorageEnforce": "associations,limits,safe",
        "AccountingStoreFlags": "job_comment",
    }


def _plugins() -> dict[str, str]:
    return {
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "MailProg": "/bin/true",
        "SwitchType": "switch/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "JobAcctGatherType": "jobacct_gather/none",
        "JobCompType": "jobcomp/none",
        "SchedulerType": "sched/backfill",
        "SlurmdParameters": "config_overrides",
        "DebugFlags": "NO_CONF_HASH",
        "ReturnToService": "2",
        "JobRequeue": "1",
        "MaxArraySize": "1001",
    }


def _priority(layout: Layout) -> dict[str, str]:
    return {
        "PriorityType": "priority/multifactor",
        "PriorityDecayHalfLife": layout.half_life,
        "PriorityCalcPeriod": str(layout.calc_period_minutes),
        "PriorityWeightFairshare": "100000",
        "PriorityWeightAge": "0",
        "PriorityWeightJobSize": "0",
        "PriorityWeightPartition": "0",
        "PriorityWeightQOS": "0",
    }


def _timing(speed: int) -> dict[str, str]:
    """Quick for tests; on a fast clock all of these pass faster too, so they grow with the speed."""
    return {
        "SchedulerParameters": f"batch_sched_delay=0,sched_interval={max(2, speed)},bf_interval={speed}",
        "KillWait": "1" if speed == 1 else "30",
        "EpilogMsgTime": "1",
        "InactiveLimit": "0",
        "MinJobAge": str(min(60 * speed, LONGEST)),
        "SlurmctldTimeout": str(min(300 * speed, LONGEST)),
        "SlurmdTimeout": str(min(300 * speed, LONGEST)),
    } | _network_timing(speed)


def _network_timing(speed: int) -> dict[str, str]:
    """Slurm's own ten and two seconds, and a little more where everything else is hurried too."""
    return {"MessageTimeout": str(10 * speed), "TCPTimeout": "2" if speed == 1 else str(4 * speed)}


def _node(layout: Layout, name: str, port: int) -> str:
    gres = f" Gres=gpu:{layout.gpus_per_node}" if layout.gpus_per_node else ""
    return (
        f"NodeName={name} NodeHostname=localhost Port={port} CPUs={layout.cpus_per_node} RealMemory=1000"
        f"{gres} State=UNKNOWN"
    )


def gres_conf(layout: Layout) -> str:
    """slurmd counts these files and wants devices; nothing ever opens them."""
    files = f"{layout.directory}/gpu[0-{layout.gpus_per_node - 1}]"
    return f"NodeName=n[1-{layout.nodes}] Name=gpu File={files}\n"


def slurmdbd_conf(layout: Layout, ports: Ports, password: str) -> str:
    settings = (
        {
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={layout.munge_socket}",
            "DbdHost": "localhost",
            "DbdPort": str(ports.slurmdbd),
            "SlurmUser": "root",
            "PidFile": f"{layout.directory}/slurmdbd.pid",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": str(ports.mariadb),
            "StorageUser": "slurm",
            "StoragePass": password,
            "StorageLoc": DATABASE,
        }
        | _network_timing(layout.speed)
        | _tokens(layout, ports)
    )
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def init_sql(password: str) -> str:
    """One statement a line, as MariaDB's --init-file wants it."""
    users = [f"'slurm'@'{host}'" for host in ("localhost", "127.0.0.1")]
    lines = [f"CREATE DATABASE IF NOT EXISTS {DATABASE};"]
    lines += [f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{password}';" for user in users]
    lines += [f"GRANT ALL ON {DATABASE}.* TO {user};" for user in users]
    return "\n".join(lines) + "\n"
