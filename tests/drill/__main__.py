"""`make drill`: lose a ledger and get it back, from a dump on another PostgreSQL, and to a point in time.

    python -m tests.drill [DIRECTORY ...]

Each directory has the programs of one PostgreSQL; by default those of Debian, and the embedded one. A model
cluster fills a ledger on one server; the server is killed and its files are deleted. On the next server the
ledger is restored, verified, and the next cycle goes on. Exit code 1 at the first thing that is otherwise.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from slurm_ai_factory.audit import verification
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.ledger import Ledger, backup, embedded, open_ledger
from slurm_ai_factory.ledger.chain import Head
from tests.conftest import with_roles
from tests.ledger.servers import ACCOUNT, DEADLINE, Server, private_server
from tests.monitor.life import Life, living
from tests.monitor.model import CLUSTER

BEATS = 24
"""Cycles before the machine is lost, an hour apart."""

POINT = "before_the_mistake"


def expect(holds: bool, sentence: str) -> None:
    """Say what was found; end the drill where it is otherwise."""
    print(f"{'ok' if holds else 'FAILED':>8}  {sentence}", flush=True)
    if not holds:
        sys.exit(1)


def database(server: Server) -> str:
    """The url of a new database."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE saf")
    return psycopg.conninfo.make_conninfo(server.url, dbname="saf")


def head_of(ledger: Ledger) -> Head:
    head = ledger.chain.head()
    assert head is not None
    return head


def goes_on(life: Life, url: str, head: Head) -> None:
    """The ledger ends with this head, is clean, and the next cycle reads and decides on it."""
    with open_ledger(url, CLUSTER) as ledger:
        expect(head_of(ledger).hash == head.hash, f"the chain ends with entry {head.entry}, {head.hash[:16]}")
        before = ledger.accounting.watermark()
        life.site = replace(life.site, ledger=ledger)
        for moment in ("as restored", "after the next cycle"):
            hours = verification.intervals_to_compare(ledger)
            checks = list(verification.verify(life.site.config, ledger, hours, lambda _: None, head.hash))
            rows, differing = sum(one.compared for one in checks), sum(one.differing for one in checks)
            expect(not differing, f"saf ledger verify {moment}: {rows} compared, {differing} differ")
            if moment == "as restored":
                life.beat(HOUR)
        expect((ledger.accounting.watermark() or 0) > (before or 0), "the next cycle read on from there")


def from_a_dump(first: Path, second: Path) -> None:
    """A dump of one server, restored on another."""
    with TemporaryDirectory(prefix="saf-drill-") as scratch:
        dump = Path(scratch) / "saf.dump"
        with private_server(first) as lost:
            url = database(lost)
            with_roles(url)
            with living(url, time.monotonic) as life:
                for _ in range(BEATS):
                    life.beat(HOUR)
                dumped = backup.back_up(url, dump)
        expect(
            not lost.data.exists(), f"{first}: dumped {dump.stat().st_size} bytes, and the machine is lost"
        )
        with private_server(second) as server:
            url = database(server)
            began = time.monotonic()
            backup.restore(url, dump, dumped=dumped)
            expect(True, f"{second}: restored in {time.monotonic() - began:.1f} s")
            goes_on(life, url, dumped.head)


def to_a_point(programs: Path) -> None:
    """A base backup and the archived log, recovered to a moment before later cycles."""
    with TemporaryDirectory(prefix="saf-drill-") as scratch:
        archive, base = Path(scratch) / "archive", Path(scratch) / "data"
        archive.mkdir()
        _give_to_server(Path(scratch))
        settings = f"-c archive_mode=on -c archive_command='test ! -f {archive}/%f && cp %p {archive}/%f'"
        with private_server(programs, settings) as lost:
            url = database(lost)
            with_roles(url)
            with living(url, time.monotonic) as life:
                life.beat(HOUR)
                _base_backup(lost, base)
                life.beat(HOUR)
                head = head_of(life.site.ledger)
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute("SELECT pg_create_restore_point(%s)", (POINT,))
                    connection.execute("SELECT pg_switch_wal()")
                for _ in range(3):
                    life.beat(HOUR)
                expect(head_of(life.site.ledger).entry > head.entry, "more was recorded after the point")
            _await_archived(url, archive)
        with _recovered(Server(Path(scratch), programs), archive) as server:
            expect(True, f"{programs}: recovered to the point {POINT}")
            goes_on(life, psycopg.conninfo.make_conninfo(server.url, dbname="saf"), head)


def _await_archived(url: str, archive: Path) -> None:
    """Wait until what is in the log now is in the archive."""
    with psycopg.connect(url, autocommit=True) as connection:
        (segment,) = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or ("",)
    until = time.monotonic() + DEADLINE
    while not (archive / segment).exists():
        assert time.monotonic() < until, f"segment {segment} was not archived in time"
        time.sleep(0.1)


def _base_backup(server: Server, base: Path) -> None:
    programs = embedded.programs_installed()
    assert programs is not None
    subprocess.run(
        [programs / "pg_basebackup", "-D", base, "-h", server.directory, "-U", "postgres", "-X", "none", "-c",
         "fast"],
        check=True, capture_output=True, timeout=DEADLINE,
    )  # fmt: skip
    _give_to_server(base.parent)


def _give_to_server(directory: Path) -> None:
    """The server's user owns the directory and all in it."""
    for path in (directory, *directory.rglob("*")):
        os.chown(path, ACCOUNT.pw_uid if ACCOUNT else -1, -1)


@contextmanager
def _recovered(server: Server, archive: Path) -> Iterator[Server]:
    """The server of a base backup, once it has gone through the log up to POINT."""
    (server.data / "recovery.signal").touch()
    with (server.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {archive}/%f %p'\nrecovery_target_name = '{POINT}'\n"
            "recovery_target_action = 'promote'\n"
        )
    _give_to_server(server.directory)
    server.start()
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            until = time.monotonic() + DEADLINE
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                assert time.monotonic() < until, "recovery did not end in time"
                time.sleep(0.1)
        yield server
    finally:
        server.run("pg_ctl", "-w", "-m", "immediate", "stop")


def main(arguments: list[str]) -> int:
    """The drill on each pair of neighbours, and back from the last to the first."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    programs = [Path(one).resolve() for one in arguments] or debian
    if not arguments and (installed := embedded.programs_installed()):
        programs.append(installed)
    if not programs:
        sys.exit("no PostgreSQL was found; name the directories of their programs")
    following = [*programs[1:], programs[0]]
    for first, second in zip(programs, following, strict=True):
        from_a_dump(first, second)
    to_a_point(programs[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
