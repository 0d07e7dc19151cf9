"""One connection, and driver errors turned into one sentence for the operator."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from slurm_ai_factory.errors import LedgerError

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 600
"""Long enough to take in a day of a busy cluster; a server that hangs longer than this is down."""

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(url: str) -> Connection:
    """An autocommit connection whose statements have a deadline. Raises LedgerError.

    What the url says of timeouts goes before.
    """
    parts = _parts(url)
    with wrapped(url):
        timeouts = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": CONNECT_SECONDS * 1000}
        return psycopg.connect(
            autocommit=True,
            **timeouts | parts,
            application_name=f"saf@{socket.gethostname()}:{os.getpid()}",
            options=f"-c statement_timeout={STATEMENT_SECONDS}s -c client_min_messages=warning "
            "-c jit=off -c work_mem=64MB",
        )


@contextmanager
def wrapped(url: str) -> Iterator[None]:
    """Let no driver error out: LedgerError says what happened, where and what to do."""
    try:
        yield
    except (psycopg.errors.DiskFull, psycopg.errors.InsufficientResources) as error:
        raise LedgerError(f"the ledger at {place(url)} is full: {_first(error)}; free space on it") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise LedgerError(
            f"the ledger at {place(url)} has not the schema of this version; run: saf ledger migrate"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerError(f"the ledger at {place(url)} refuses: {_first(error)}; grant it") from error
    except psycopg.errors.QueryCanceled as error:
        raise LedgerError(f"the ledger at {place(url)} did not answer in time: {_first(error)}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise LedgerError(
            f"the ledger at {place(url)} cannot be reached: {_first(error)}; check ledger.url and PostgreSQL"
        ) from error
    except psycopg.Error as error:
        raise LedgerError(f"the ledger at {place(url)} failed: {_first(error)}") from error


def place(url: str) -> str:
    """Where a ledger is, without its password.

    >>> place("postgresql://saf:secret@db.example:5433/saf")
    'db.example:5433/saf'
    """
    parts = _parts(url)
    host, port = parts.get("host") or "local socket", parts.get("port")
    return f"{host}{f':{port}' if port else ''}/{parts.get('dbname') or parts.get('user') or ''}"


def _parts(url: str) -> dict[str, Any]:
    """What a url is made of. The driver's own words would have the password in them."""
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise LedgerError(
            "ledger.url cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special "
            "characters of the password percent-encoded (% is %25)"
        ) from None


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
