"""A primary and a standby of the ledger: who may write after a failover, what is lost, and who says so."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager

import pytest

from slurm_ai_factory.config import Config
from slurm_ai_factory.core.records import HOUR
from slurm_ai_factory.errors import LedgerError
from slurm_ai_factory.ledger import Limits, Store
from slurm_ai_factory.loop import Loop
from slurm_ai_factory.steps.site import Site
from tests.cluster.slurm import wait_until
from tests.ledger.servers import Server, either, private_server, standby_of, synchronous
from tests.monitor.life import configuration, living

PATIENCE = Limits(silence=4)
DEADLINE = 120


def awaited(primary: Server) -> None:
    with Store(primary.url) as store:
        wait_until(lambda: store.standbys().awaited, "the setting", DEADLINE)


def test_a_primary_that_a_promoted_standby_left_behind_acknowledges_nothing() -> None:
    with private_server() as primary, standby_of(primary) as standby, Store(primary.url) as before:
        before.migrate()
        synchronous(primary)
        awaited(primary)
        assert before.lock(9)
        before.do("add_cluster", cluster="acknowledged")
        wait_until(primary.caught_up, "the standby", DEADLINE)
        with Store(primary.url, PATIENCE) as old, Store(standby.url) as new:
            with pytest.raises(LedgerError, match="is a standby, which cannot be written to"):
                new.do("add_cluster", cluster="on a standby")
            standby.promote()
            with pytest.raises(LedgerError, match="did not answer"):
                old.do("add_cluster", cluster="on the old primary")
            assert list(new.clusters()) == ["acknowledged"]
            assert new.lock(9), "the lock of a leader on another server"
        primary.kill()
        with Store(either(primary, standby)) as after:
            after.do("add_cluster", cluster="after the failover")


def test_a_store_finds_the_new_primary_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    """The standby was behind: the daemon sees that the head of the chain went back."""
    caplog.set_level(logging.INFO, "saf")
    with private_server() as primary, standby_of(primary) as standby:
        url = either(standby, primary)
        with Store(url) as store:
            store.migrate()
            assert store.standbys() == (1, False)
        with living(url, time.monotonic) as life:
            loop = Loop(configuration(), _unopened, lambda: life.model.now, time.monotonic)
            life.beat(HOUR)
            loop._keep_head(life.site)
            wait_until(primary.caught_up, "the standby", DEADLINE)
            standby.run("pg_ctl", "-w", "stop")
            life.beat(HOUR)
            loop._keep_head(life.site)
            primary.kill()
            with pytest.raises(LedgerError, match="cannot be reached"):
                life.beat(HOUR)
            standby.start()
            with pytest.raises(LedgerError, match="is a standby, which cannot be written to"):
                life.beat(HOUR)
            standby.promote()
            life.beat(HOUR)
            loop._keep_head(life.site)
            loop._keep_head(life.site)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "the ledger lost what was recorded last: its chain has no entry" in said[0]


def _unopened(_config: Config) -> AbstractContextManager[Site]:
    raise AssertionError("the daemon's loop does not run here")
