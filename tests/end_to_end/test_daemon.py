"""`saf run` on a real Slurm: the beat, the signals, what it serves, and two of them at once."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.end_to_end.conftest import transactions
from tests.end_to_end.running import running
from tests.saf import Saf

COMPLETE = "saf_cycles_total{loop,complete}"


def test_it_beats_serves_and_ends_on_sigterm(saf: Saf) -> None:
    with running(saf) as daemon:
        # What a cycle did is logged a moment before it is shown.
        wait_until(lambda: daemon.metrics()[COMPLETE] >= 2, "two cycles", 120, log=daemon.log)
        assert daemon.count("promised 25%") >= 2
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 200
        assert daemon.get("/nowhere")[0] == 404
        page = daemon.get("/")[1]
        assert "of the CPU time in the last 30 days" in page or "Nothing has been" in page
        metrics = daemon.metrics()
        assert metrics["saf_raw_shares{regional,loop}"] > 0
        assert metrics["saf_hold{loop,read_failed}"] == 0
        assert metrics["saf_target_share_ratio{loop,cpu,rolling:30d}"] == 0.25
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=120) == 0
        assert "stopped; the current RawShares stay" in daemon.says("stopped")


def test_what_it_serves_is_what_the_command_line_says(saf: Saf) -> None:
    saf.configure("daemon", period="1h")
    with running(saf) as daemon:
        wait_until(lambda: daemon.metrics()[COMPLETE] == 1, "the cycle", 120, log=daemon.log)
        found = saf.json("share")
        regional = daemon.metrics()["saf_window_delivered_resource_seconds{regional,loop,cpu,rolling:30d}"]
        assert regional == found["regional_charge"]
        assert saf.json("status", code=_any(saf))["leader"].startswith("saf@")


def _any(saf: Saf) -> int:
    """status has three fine exit codes; which one depends on the cluster's history."""
    done = subprocess.run(
        saf.argv("status"), env=saf.env, capture_output=True, cwd=saf.directory, timeout=60
    )  # fmt: skip
    assert done.returncode in (0, 3)
    return done.returncode


def test_a_failed_read_leaves_a_gap_and_a_hold_never_a_zero(slurm: SlurmCluster, saf: Saf) -> None:
    with running(saf) as daemon:
        daemon.says("promised 25%")
        slurm.kill("slurmdbd")
        try:
            assert "no cycle: " in daemon.says("no cycle")
            wait_until(lambda: daemon.metrics()["saf_hold{loop,read_failed}"] == 1, "the hold", 120)
            metrics = daemon.metrics()
            assert not [name for name in metrics if "share_ratio" in name or "resource_seconds" in name]
            assert metrics["saf_last_read_timestamp_seconds{loop}"] > 0
            assert daemon.get("/healthz")[0] == 200
        finally:
            slurm.restart("slurmdbd")
        wait_until(lambda: daemon.metrics()["saf_hold{loop,read_failed}"] == 0, "the next good cycle", 180)


def test_sighup_reloads_and_a_bad_file_changes_nothing(slurm: SlurmCluster, saf: Saf) -> None:
    before = transactions(slurm)
    with running(saf) as daemon:
        daemon.says("started in mode observe")
        daemon.says("promised 25%")
        saf.configure("control", mode="advise")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says("configuration reloaded, mode advise")
        saf.configure("control", mode="enforec")
        daemon.process.send_signal(signal.SIGHUP)
        assert "wants one of observe, advise, enforce" in daemon.says("configuration not reloaded")
        saf.configure("control", mode="advise")
        saf.configure("daemon", listen="127.0.0.1:1")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: daemon.count("configuration not reloaded") == 2, "a port that wants a restart", 120
        )
        assert daemon.count("are for a restart: systemctl restart saf") == 1
        seen = daemon.count("promised 25%")
        wait_until(lambda: daemon.count("promised 25%") > seen, "a cycle after the bad file", 120)
    assert transactions(slurm) == before


def test_the_second_daemon_stands_by_and_takes_over(saf: Saf) -> None:
    with running(saf, "first") as first:
        first.says("promised 25%")
        with running(saf, "second") as second:
            assert "another saf is active for cluster loop" in second.says("no cycle")
            first.process.kill()
            second.says("promised 25%")


def test_a_daemon_that_takes_over_in_another_mode_says_so(saf: Saf) -> None:
    differing = "the daemons run in different modes: "
    with running(saf, "first") as first:
        first.says("promised 25%")
        saf.configure("control", mode="advise")
        with running(saf, "second") as second:
            said = second.says(differing)
            assert "in mode observe" in said
            assert "in mode advise" in said
            assert f"WARNING {differing}" in first.says(differing)
            found = {one["check"]: one for one in saf.json("doctor", code=5)["findings"]}
            assert found["modes"]["level"] == "warning"
            assert found["modes"]["found"] in said
            assert {one["mode"] for one in saf.json("status", code=_any(saf))["daemons"]} == {
                "observe",
                "advise",
            }
            shown = " ".join(saf.run("status", code=_any(saf)).stdout.split())
            assert f"modes {differing}" in shown
            first.process.kill()
            assert "ran in mode observe; give all daemons the same" in second.says("took over in mode advise")
            (alone,) = saf.json("status", code=_any(saf))["daemons"]
            assert alone["mode"] == "advise"


def test_it_survives_a_ledger_that_is_not_there_yet(saf: Saf) -> None:
    url = saf.sections["ledger"]["url"]
    saf.configure("ledger", url="postgresql://127.0.0.1:1/saf")
    with running(saf) as daemon:
        daemon.says("cannot be reached")
        assert daemon.get("/readyz")[0] == 503
        saf.configure("ledger", url=url)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says("promised 25%")


def test_further_interrupts_while_it_ends_are_not_heard(saf: Saf, open_directory: Path) -> None:
    saf.sections["ledger"].pop("url")
    saf.configure("ledger", state_directory=str(open_directory / "interrupted"))
    with running(saf) as daemon:
        daemon.says("promised 25%")
        daemon.process.send_signal(signal.SIGINT)
        daemon.says("stopped")

        def ended() -> bool:
            daemon.process.send_signal(signal.SIGINT)
            return daemon.process.poll() is not None

        wait_until(ended, "its end", 180, log=daemon.log)
        assert daemon.process.returncode == 0
        assert "stopped" in daemon.log.read_text().splitlines()[-1]


def test_the_journal_is_told_how_grave_each_line_is(slurm: SlurmCluster, saf: Saf) -> None:
    log = saf.directory / "saf.log"
    log.touch()
    saf.env["JOURNAL_STREAM"] = f"{log.stat().st_dev}:{log.stat().st_ino}"
    with running(saf) as daemon:
        assert daemon.says("promised 25%").startswith("<6>INFO rolling:30d")
        slurm.kill("slurmdbd")
        try:
            assert daemon.says("no cycle").startswith("<3>ERROR no cycle: ")
        finally:
            slurm.restart("slurmdbd")
    assert re.fullmatch(r"(<[2-7]>.*\n)+", log.read_text())
    saf.configure("daemon", listen="127.0.0.1:-1")
    process = saf.start(log)
    assert process.wait(timeout=120) == 1
    assert log.read_text().startswith("<3>saf: ")


def test_an_address_in_use_is_said_at_once(saf: Saf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        saf.configure("daemon", listen=f"127.0.0.1:{taken.getsockname()[1]}")
        assert "[daemon] listen" in saf.run("run", code=1).stderr


@contextmanager
def slurmdbd_hangs(slurm: SlurmCluster, _url: str) -> Iterator[None]:
    slurm.pause("slurmdbd")
    try:
        yield
    finally:
        slurm.resume("slurmdbd")


@contextmanager
def postgresql_hangs(_slurm: SlurmCluster, url: str) -> Iterator[None]:
    """The one process of the server that serves the daemon."""
    theirs = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'saf@%%' AND datname = %s"
    with psycopg.connect(url) as connection:
        ((pid,),) = connection.execute(theirs, [connection.info.dbname]).fetchall()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("hung", [slurmdbd_hangs, postgresql_hangs])
def test_a_cycle_that_hangs_is_told_while_it_hangs(
    slurm: SlurmCluster,
    saf: Saf,
    ledger_url: str,
    hung: Callable[[SlurmCluster, str], AbstractContextManager[None]],
) -> None:
    saf.configure("slurm", timeout="60s")
    with running(saf) as daemon:
        wait_until(lambda: daemon.count("promised 25%") >= 2, "a cycle that is shown", 120, log=daemon.log)
        with hung(slurm, ledger_url):
            assert "WARNING the cycle under way has not finished" in daemon.says("has not finished")
            metrics = daemon.metrics()
            assert metrics["saf_hold{loop,read_failed}"] == 1
            assert metrics["saf_overdue_since_timestamp_seconds{loop}"] > 0
            assert not [name for name in metrics if "share_ratio" in name or "resource_seconds" in name]
            assert "has not finished yet. The numbers below are as of" in daemon.get("/")[1]
            assert "the cycle under way has not finished" in daemon.get("/readyz")[1]
            assert daemon.count("has not finished") == 1
        wait_until(lambda: daemon.metrics()["saf_hold{loop,read_failed}"] == 0, "the next good cycle", 180)
        assert "saf_overdue_since_timestamp_seconds{loop}" not in daemon.metrics()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_a_command_when_slurm_hangs(slurm: SlurmCluster, saf: Saf, number: int) -> None:
    saf.configure("slurm", timeout="3s")
    slurm.pause("slurmdbd")
    try:
        with running(saf) as daemon:
            daemon.says("started")
            daemon.process.send_signal(number)
            assert daemon.process.wait(timeout=120) == 0
    finally:
        slurm.resume("slurmdbd")
