"""Dumps a ledger into a file with pg_dump, and restores it into an empty database.

The connection settings reach PostgreSQL's programs in their environment, never on a command line. The head of
the chain is read from the same snapshot as the dump, so a restored ledger can be compared with it. A restore
is one transaction: the database is the ledger of the dump, or stays empty. Tested in
tests/cli/ledger/test_backup.py and, on several versions of PostgreSQL, by tests/drill/__main__.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from psycopg import pq
from psycopg.conninfo import make_conninfo

from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import embedded, rights
from slurm_ai_factory.ledger.chain import Chain, Head
from slurm_ai_factory.ledger.connection import LONG, parts_of, place
from slurm_ai_factory.ledger.store import Store

MOST_SECONDS = 24 * 3600
"""Deadline of a dump and of a restore."""

NEWER_SETTING = b"SET transaction_timeout = 0;\n"
"""What pg_restore writes since version 17, for no use here; an older server refuses it."""

PREAMBLE_LINES = 50
"""Where a script sets such things; the data comes later."""


class BackedUp(NamedTuple):
    """What a dump has."""

    head: Head
    roles: bool  #: whether saf_owner owned the ledger


def back_up(url: str, file: Path, directory: Path | None = None) -> BackedUp:
    """Dump the ledger into a file in pg_dump's custom format, while a daemon may run. Raises LedgerError.

    ``directory`` has PostgreSQL's programs; by default those of PATH or of the embedded server are used.
    """
    with Store(url, LONG) as store, store.snapshot():
        store.check_schema()
        head = Chain(store, 0).head()
        if head is None:
            raise LedgerError(f"the ledger at {place(url)} is empty; run `saf cycle` once")
        (owned,) = store.one("owned_by_role") or (False,)
        (snapshot,) = store.one("export_snapshot") or ("",)
        programs = _dumping(store.connection.info.server_version // 10000, directory)
        options = ("--format=custom", f"--snapshot={snapshot}", f"--file={file}", "--no-password")
        _run([programs / "pg_dump", *options], environment(url), f"dump the ledger at {place(url)}")
    return BackedUp(head, bool(owned))


def restore(url: str, file: Path, directory: Path | None = None, dumped: BackedUp | None = None) -> Head:
    """Restore a dump into an empty database, and bring it to this version; the head of its chain as dumped.

    ``dumped`` is what was noted beside the dump. Where the ledger had its roles, it gets them again. Raises
    LedgerError; then the database is as it was, unless the sentence says otherwise.
    """
    programs = _restoring(file, directory)
    with Store(url, LONG) as target:
        if (target.one("relations") or (0,))[0]:
            raise LedgerError(
                f"the database at {place(url)} is not empty; create another and restore into it"
            )
        owned = _owned(target, dumped)
        _load(programs, file, url, owned)
        head = Chain(target, 0).head()
        if head is None or (dumped and head.hash != dumped.head.hash):
            raise LedgerError(
                f"the ledger restored at {place(url)} does not end with the head noted beside {file}; do not "
                "use it: drop the database, and restore another dump"
            )
        target.migrate()
    return head


def environment(url: str) -> dict[str, str]:
    """The environment in which PostgreSQL's programs reach a ledger.

    >>> sorted(environment("postgresql://saf:secret@db/saf").items() - os.environ.items())
    [('PGDATABASE', 'saf'), ('PGHOST', 'db'), ('PGPASSWORD', 'secret'), ('PGUSER', 'saf')]
    """
    whole = make_conninfo("", **parts_of(url)).encode()
    parts = {part.envvar: part.val for part in pq.Conninfo.parse(whole) if part.envvar and part.val}
    return os.environ | {os.fsdecode(name): os.fsdecode(value) for name, value in parts.items()}


def _candidates(directory: Path | None, program: str) -> Iterator[Path]:
    """Directories that have one of PostgreSQL's programs."""
    if directory:
        yield directory
        return
    if in_path := which(program):
        yield Path(in_path).parent
    if installed := embedded.programs_installed():
        yield installed


def _dumping(server: int, directory: Path | None) -> Path:
    """The directory of a pg_dump that is not older than the server. Raises LedgerError."""
    versions = []
    for candidate in _candidates(directory, "pg_dump"):
        answer = _run([candidate / "pg_dump", "--version"], {}, "ask pg_dump for its version")
        version = int(answer.split()[2].partition(".")[0])
        if version >= server:
            return candidate
        versions.append(f"{candidate / 'pg_dump'} is version {version}")
    raise LedgerError(
        f"PostgreSQL is version {server}, and {' and '.join(versions) or 'there is no pg_dump'}; name the "
        f"directory of the programs of version {server} or later with --programs"
    )


def _restoring(file: Path, directory: Path | None) -> Path:
    """The directory of a pg_restore that reads the file. Raises LedgerError."""
    why = "there is no pg_restore"
    for candidate in _candidates(directory, "pg_restore"):
        try:
            _run([candidate / "pg_restore", "--list", file], {}, "read it")
        except LedgerError as error:
            why = str(error)
        else:
            return candidate
    raise LedgerError(
        f"{file} cannot be restored: {why}; see whether it is a whole dump, and name newer programs of "
        "PostgreSQL with --programs"
    )


def _owned(target: Store, dumped: BackedUp | None) -> bool:
    """Whether saf_owner owns the target; a superuser makes it so where the dumped ledger had roles."""
    if rights.has_owner(target.connection, target.url):
        return True
    if dumped is None or not dumped.roles:
        return False
    if not (target.one("is_superuser") or (False,))[0]:
        raise LedgerError(
            f"the dumped ledger had roles, and the database at {place(target.url)} has none; run as a "
            "superuser: saf ledger roles | psql --dbname=DATABASE"
        )
    target.connection.execute(rights.roles().encode())
    return True


def _load(programs: Path, file: Path, url: str, owned: bool) -> None:
    """Run the statements of a dump in one transaction. Raises LedgerError.

    It is committed by a statement of its own: psql takes the end of saf for the end of the dump.
    """
    unpack = (programs / "pg_restore", "--no-owner", "--no-privileges", "--file=-", file)
    load = (programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--no-password")
    as_owner = ("-c", "SET ROLE saf_owner") if owned else ()
    with (
        TemporaryFile() as complaints,
        subprocess.Popen(unpack, stdout=subprocess.PIPE, stderr=complaints) as source,
        subprocess.Popen(
            (*load, *as_owner, "-c", "BEGIN", "-f", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=complaints, env=environment(url),
        ) as sink,
    ):  # fmt: skip
        try:
            _pump(source.stdout, sink.stdin)
            source.wait(MOST_SECONDS)
        finally:
            source.kill()
        if source.returncode:
            sink.kill()
        elif sink.stdin:
            with suppress(BrokenPipeError):  # it ended early, and said why
                sink.stdin.write(b"COMMIT;\n")
                sink.stdin.close()
        if sink.wait(MOST_SECONDS) or source.returncode:
            complaints.seek(0)
            why = _first(complaints.read().decode(errors="replace"))
            raise LedgerError(f"{file} was not restored at {place(url)}: {why}; the database is still empty")


def _pump(script: IO[bytes] | None, sink: IO[bytes] | None) -> None:
    """Hand a script on, without a setting that older servers do not have."""
    try:
        for number, line in enumerate(script or ()):
            if sink and (number > PREAMBLE_LINES or line != NEWER_SETTING):
                sink.write(line)
        if sink:
            sink.flush()
    except BrokenPipeError:  # it ended early, and said why
        for _ in script or ():
            pass


def _run(command: Sequence[str | Path], reached_by: Mapping[str, str], aim: str) -> str:
    """What one of PostgreSQL's programs printed. Raises LedgerError."""
    try:
        done = subprocess.run(
            command, env=os.environ | reached_by | {"LC_ALL": "C"}, capture_output=True, text=True,
            timeout=MOST_SECONDS, umask=0o077,
        )  # fmt: skip
    except OSError as error:
        raise LedgerError(f"{command[0]} cannot be run: {error.strerror}; see --programs") from error
    except subprocess.TimeoutExpired as error:
        raise LedgerError(f"{command[0]} did not {aim} within a day; see what it waits for") from error
    if done.returncode:
        raise LedgerError(f"{command[0]} did not {aim}: {_first(done.stderr)}; solve that and try again")
    return done.stdout


def _first(complaints: str) -> str:
    """The first complaint of a program."""
    return next(
        (line.strip().removesuffix(".") for line in complaints.splitlines() if line.strip()),
        "no reason given",
    )
