"""Records what real Slurms answer to everything that the product asks.

    python -m tests.slurm.record [VERSION ...] [SCENARIO ...]

lives through each scenario on each version, and writes each answer to recorded/VERSION/SCENARIO. Where there
is a pyslurm for the version, what the client asks with it goes to recorded/pyslurm-VERSION. Rule: the reads
are those of the product's own client, so that what is recorded is what it asks for.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slurm_ai_factory.core.records import LeverKind
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import Slurm, names
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.library import WORKER, Library, LibrarySlurm
from slurm_ai_factory.slurm.shares import SHARE_FIELDS
from tests.cluster import versions
from tests.cluster.requirements import unavailable
from tests.cluster.slurm import SlurmCluster
from tests.cluster.versions import BUILT, VERSIONS
from tests.scratch import scratch_directory
from tests.slurm import scenarios
from tests.slurm.scenarios import Times

RECORDED = Path(__file__).parent / "recorded"
CLUSTER = "loop"
SEPARATOR = "\x1f"
NOTHING: Mapping[str, str] = {}
_NOT_TOLD_APART = {"where", "withcoord", "Seconds", "ALL", "cluster", "tree", CLUSTER}
_CONDITIONS = {"account", "user", "name"}


def asked(name: str, arguments: tuple[str, ...]) -> str:
    """What a question is called, without what differs from one cluster to the next.

    >>> asked("sacctmgr", ("show", "assoc", "where", "cluster=loop", "account=regional", "format=ID,User"))
    'sacctmgr_show_assoc_account_ID'
    >>> [asked("sshare", one) for one in (("-a", "--json=v0.0.42"), ("-V",), ("-o", "User,Share"))]
    ['sshare_json', 'sshare_V', 'sshare']
    """
    if str(WORKER) in arguments:
        return f"pyslurm_{arguments[-1]}"
    words = [one for one in arguments if one.isalpha() and one not in _NOT_TOLD_APART]
    words += [
        one.partition("=")[0] for one in arguments if one.partition("=")[0] in _CONDITIONS and "=" in one
    ]
    words += [
        one.strip("-").partition("=")[0] for one in arguments if one == "-V" or one.startswith("--json")
    ]
    words += [one.partition("=")[2].partition(",")[0] for one in arguments if one.startswith("format=")]
    return "_".join([name, *words])


def delimiter(arguments: tuple[str, ...], env: Mapping[str, str]) -> str:
    """The one asked for, which is another each time; recorded is the one it begins with."""
    found = [one.partition("=")[2] for one in arguments if one.startswith("--delimiter=")]
    found += [one.partition(":")[2].partition(",")[0] for one in env.values()]
    return next(iter(found), SEPARATOR)


@dataclass(frozen=True)
class Tape(Commands):
    """Commands whose answers are kept, each under what was asked."""

    source: Commands = field(default_factory=Commands)
    kept: dict[str, str] = field(default_factory=dict)

    def pieces(self, name: str, *arguments: str, env: Mapping[str, str] = NOTHING) -> Iterator[str]:
        answer = list(self.source.pieces(name, *arguments, env=env))
        self.kept[asked(name, arguments)] = "".join(answer).replace(delimiter(arguments, env), SEPARATOR)
        yield from answer


@dataclass(frozen=True)
class Replay(Commands):
    """Commands that answer what was recorded; what was not is an error."""

    recorded: Path = RECORDED

    def pieces(self, name: str, *arguments: str, env: Mapping[str, str] = NOTHING) -> Iterator[str]:
        path = self.recorded / f"{asked(name, arguments)}.txt"
        if not path.exists():
            raise SlurmError(f"{path} was not recorded: python -m tests.slurm.record")
        for line in path.read_text().split("\n")[:-1]:
            yield line.replace(SEPARATOR, delimiter(arguments, env)) + "\n"


def library(commands: Commands, python: str) -> LibrarySlurm:
    """The client that asks pyslurm."""
    return LibrarySlurm(CLUSTER, commands, Library(commands, python))


def ask(slurm: Slurm, times: Times) -> None:
    """Every read of the client; those of ``names`` first, which ask some of the same for other fields."""
    names.names_by_condition(slurm.commands, CLUSTER)
    slurm.associations()
    slurm.queue()
    slurm.priority_terms()
    slurm.diagnostics()
    slurm.priority_config()
    slurm.partitions()
    slurm.nodes()
    slurm.usage_factors()
    slurm.coordinators(["root"])
    slurm.slurmdbd()
    slurm.admin_level("root")
    slurm.logged_changes(LeverKind.ACCOUNT, "regional", 0)
    list(slurm.runs(times.since, times.until))
    slurm.events(times.since, times.until)
    slurm.rolled_up(times.since, times.since + 3600)
    slurm.utilization(times.since, times.until)
    slurm.reservations(times.since, times.until)


def record(cluster: SlurmCluster, times: Times, scenario: str) -> None:
    tape = Tape(source=scenarios.inside(cluster))
    slurm = Slurm(cluster.name, tape)
    ask(slurm, times)
    tape.output(
        "sshare", "-P", "-h", "-a", "-o", ",".join(SHARE_FIELDS)
    )  # beside its JSON, where it has that
    version = slurm.priority_config().version
    keep(tape, cluster, times, RECORDED / version / scenario)
    python = versions.pyslurm() if cluster.version == BUILT else None
    if python:
        tape = Tape(source=scenarios.inside(cluster))
        client = library(tape, python)
        ask(client, times)
        if client.refused():
            raise SlurmError(f"pyslurm has no answer: {client.refused()}")
        keep(tape, cluster, times, RECORDED / f"pyslurm-{version}" / scenario)


def keep(tape: Tape, cluster: SlurmCluster, times: Times, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    times.save(directory)
    for name, answer in tape.kept.items():
        (directory / f"{name}.txt").write_text(answer.replace(str(cluster.directory), "/cluster"))


def lived(scenario: str, version: str) -> None:
    with (
        scratch_directory() as scratch,
        getattr(scenarios, scenario)(scratch / "cluster", version) as (cluster, times),
    ):
        record(cluster, times, scenario)


def main() -> int:
    wanted = sys.argv[1:]
    for version in [one for one in wanted if one not in scenarios.NAMES] or VERSIONS:
        reason = unavailable(scenarios.SPEED, version)
        if reason:
            print(reason, file=sys.stderr)
            return 1
        for scenario in [one for one in scenarios.NAMES if one in wanted] or scenarios.NAMES:
            lived(scenario, version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
