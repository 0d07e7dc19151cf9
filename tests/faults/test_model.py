"""The model behind Slurm's commands is the model, and twenty drawn faults on it lose and double nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from slurm_ai_factory.core.records import Change
from slurm_ai_factory.errors import SlurmError
from slurm_ai_factory.slurm import Slurm
from slurm_ai_factory.slurm.commands import Commands
from tests.cluster.processes import wait_until
from tests.faults import chaos, model_campaign
from tests.faults.chaos import MODEL, Chaos
from tests.faults.modelled import GONE, Modelled

FAULTS, SEED = 20, 20270326
DEADLINE = 120


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modelled]:
    """A model whose time stands still after its beginning."""
    now = time.time() + 20
    site = Modelled(tmp_path_factory.mktemp("modelled"), seed=1, clock=lambda: now)
    with site.serving():
        yield site


@pytest.fixture
def slurm(modelled: Modelled) -> Slurm:
    return Slurm("model", Commands(modelled.directory / "bin", timeout_seconds=DEADLINE))


def test_every_read_of_a_cycle_gives_the_values_of_the_model(modelled: Modelled, slurm: Slurm) -> None:
    model = modelled.source
    now = model.advance()
    assert slurm.priority_config() == model.priority_config()
    assert slurm.associations() == model.associations()
    runs = list(model.runs(now - 30, now + 30))
    assert {run.state for run in runs} == {"COMPLETED", "RUNNING", "PENDING"}
    assert list(slurm.runs(now - 30, now + 30)) == runs
    assert slurm.events(now - 30, now) == model.events(now - 30, now)
    assert slurm.queue() == model.queue()
    assert slurm.priority_terms() == model.priority_terms()
    assert slurm.diagnostics() == model.diagnostics()
    assert slurm.reservations(now - 30, now) == []
    assert slurm.unreadable() == []
    assert slurm.rolled_up(now - 7200, now - 3600) is False


def to(raw_shares: int) -> Change:
    """A change of the region's RawShares."""
    return Change(
        cluster="model", account="regional", raw_shares_before=25, raw_shares_after=raw_shares,
    )  # fmt: skip


def test_a_write_is_made_once_and_logged(modelled: Modelled, slurm: Slurm) -> None:
    slurm.set_raw_shares(to(31), time.monotonic() + DEADLINE)
    stored = {row.account: row.raw_shares for row in slurm.associations() if row.user is None}
    assert (stored["regional"], modelled.log[-1][1:]) == (31, ("root", "regional", 31))
    (logged,) = slurm.logged_changes(to(31).lever, "regional", 0)
    assert (logged.actor, logged.raw_shares) == ("root", "31")


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, DEADLINE), (signal.SIGSTOP, 10)])
def test_a_command_that_is_ended_or_stands_still_before_it_asks_writes_nothing(
    modelled: Modelled, slurm: Slurm, number: signal.Signals, seconds: int
) -> None:
    """One that stands still beyond its deadline is ended by it."""
    before, deadline = list(modelled.log), time.monotonic() + seconds
    modelled.arm("modify.before")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(slurm.set_raw_shares, to(33), deadline)
        pid = modelled.reached()
        os.kill(pid, number)
        modelled.open()
        if number is signal.SIGSTOP:
            wait_until(lambda: time.monotonic() > deadline, "the deadline to pass", DEADLINE)
            os.kill(pid, signal.SIGCONT)
        with pytest.raises(SlurmError, match="sacctmgr failed"):
            writing.result(timeout=DEADLINE)
    assert modelled.log == before


@pytest.mark.parametrize("daemon", GONE)
def test_what_is_done_to_a_daemon_fails_its_commands_alone(
    modelled: Modelled, slurm: Slurm, daemon: str
) -> None:
    asked = {"slurmdbd": lambda: slurm.events(0, 1), "slurmctld": slurm.diagnostics}
    modelled.be(daemon, "gone")
    with pytest.raises(SlurmError, match="error: "):
        asked[daemon]()
    other = next(name for name in GONE if name != daemon)
    assert asked[other]()
    modelled.be(daemon, "stopped")
    hurried = Slurm("model", Commands(modelled.directory / "bin", timeout_seconds=1))
    with pytest.raises(SlurmError, match="no complete answer within 1 s"):
        {"slurmdbd": lambda: hurried.events(0, 1), "slurmctld": hurried.diagnostics}[daemon]()
    modelled.be(daemon)
    assert asked[daemon]()


def test_twenty_drawn_faults_lose_and_double_nothing() -> None:
    """Short ones, and none that needs a file system of its own."""
    drawn = [fault for fault in chaos.left(SEED, 2 * FAULTS, [], MODEL) if fault.how != "full"]
    cut = [Chaos("leader", "partition", step, 0) for step in ("sshare.before", "modify.before")]
    with model_campaign.staged(SEED, disks=False, period=1) as stage:
        for fault in (*cut, *drawn[: FAULTS - len(cut)]):
            found = model_campaign.tried(stage, fault._replace(seconds=min(MODEL.seconds)))
            assert found.held, found
        assert sum(write.by_saf for write in stage.transactions()) >= FAULTS / 4, "there was little to lose"
