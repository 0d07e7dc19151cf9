"""`saf run` on a real Slurm: the beat, the signals, what it serves, and two of them at once."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.slurm import SlurmCluster, wait_until
from tests.end_to_end.conftest import transactions
from tests.saf import Saf


class Running:
    """A daemon and what can be seen of it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def says(self, words: str, timeout: float = 30) -> str:
        """The first line of the log with these words, waited for."""
        wait_until(lambda: bool(self._lines(words)), f"{words!r} in the log", timeout, log=self.log)
        return self._lines(words)[0]

    def _lines(self, words: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if words in line]

    def count(self, words: str) -> int:
        return len(self._lines(words))

    def get(self, path: str) -> tuple[int, str]:
        """(status, body) of a page."""
        found = re.search(r"listening on port (\d+)", self.says("listening on port"))
        assert found
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[str, float]:
        """Every sample as ``name{label values}``, in the order of the labels' names."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {
            f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
            for family in families
            for sample in family.samples
        }


@contextmanager
def running(saf: Saf, name: str = "saf") -> Iterator[Running]:
    log = saf.directory / f"{name}.log"
    process = saf.start(log)
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()


def test_it_beats_serves_and_ends_on_sigterm(saf: Saf) -> None:
    with running(saf) as daemon:
        wait_until(lambda: daemon.count("promised 25%") >= 2, "two cycles", 30, log=daemon.log)
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz")[0] == 200
        assert daemon.get("/nowhere")[0] == 404
        assert (
            "of the CPU time in rolling:30d" in daemon.get("/")[1] or "Nothing has been" in daemon.get("/")[1]
        )
        metrics = daemon.metrics()
        assert metrics["saf_raw_shares{regional,loop}"] > 0
        assert metrics["saf_cycles_total{loop,complete}"] >= 2
        assert metrics["saf_hold{loop,read_failed}"] == 0
        assert metrics["saf_target_share_ratio{loop,cpu,rolling:30d}"] == 0.25
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=30) == 0
        assert "stopped; the RawShares in force stay" in daemon.says("stopped")


def test_what_it_serves_is_what_the_command_line_says(saf: Saf) -> None:
    saf.configure("daemon", period="1h")
    with running(saf) as daemon:
        daemon.says("promised 25%")
        found = saf.json("share")
        regional = daemon.metrics()["saf_delivered_resource_seconds{regional,loop,cpu,rolling:30d}"]
        assert regional == found["regional_charge"]
        assert saf.json("status", code=_any(saf))["leader"].startswith("saf@")


def _any(saf: Saf) -> int:
    """status has three fine exit codes; which one depends on the cluster's history."""
    done = subprocess.run(saf.argv("status"), env=saf.env, capture_output=True, cwd=saf.directory)
    assert done.returncode in (0, 3)
    return done.returncode


def test_a_failed_read_leaves_a_gap_and_a_hold_never_a_zero(slurm: SlurmCluster, saf: Saf) -> None:
    with running(saf) as daemon:
        daemon.says("promised 25%")
        slurm.kill("slurmdbd")
        try:
            assert "no cycle: " in daemon.says("no cycle")
            wait_until(lambda: daemon.metrics()["saf_hold{loop,read_failed}"] == 1, "the hold", 30)
            metrics = daemon.metrics()
            assert not [name for name in metrics if "share_ratio" in name or "resource_seconds" in name]
            assert metrics["saf_last_read_timestamp_seconds{loop}"] > 0
            assert daemon.get("/healthz")[0] == 200
        finally:
            slurm.restart("slurmdbd")
        wait_until(lambda: daemon.metrics()["saf_hold{loop,read_failed}"] == 0, "the next good cycle", 60)


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
        wait_until(lambda: daemon.count("configuration not reloaded") == 2, "a port that wants a restart", 30)
        assert daemon.count("are for a restart: systemctl restart saf") == 1
        seen = daemon.count("promised 25%")
        wait_until(lambda: daemon.count("promised 25%") > seen, "a cycle after the bad file", 30)
    assert transactions(slurm) == before


def test_the_second_daemon_stands_by_and_takes_over(saf: Saf) -> None:
    with running(saf, "first") as first:
        first.says("promised 25%")
        with running(saf, "second") as second:
            assert "another saf is active for cluster loop" in second.says("no cycle")
            first.process.kill()
            second.says("promised 25%")


def test_it_survives_a_ledger_that_is_not_there_yet(saf: Saf) -> None:
    url = saf.sections["ledger"]["url"]
    saf.configure("ledger", url="postgresql://127.0.0.1:1/saf")
    with running(saf) as daemon:
        daemon.says("cannot be reached")
        assert daemon.get("/readyz")[0] == 503
        saf.configure("ledger", url=url)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says("promised 25%")


def test_an_address_in_use_is_said_at_once(saf: Saf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        saf.configure("daemon", listen=f"127.0.0.1:{taken.getsockname()[1]}")
        assert "[daemon] listen" in saf.run("run", code=1).stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_a_command_when_slurm_hangs(slurm: SlurmCluster, saf: Saf, number: int) -> None:
    saf.configure("slurm", timeout="3s")
    slurm.pause("slurmdbd")
    try:
        with running(saf) as daemon:
            daemon.says("started")
            daemon.process.send_signal(number)
            assert daemon.process.wait(timeout=30) == 0
    finally:
        slurm.resume("slurmdbd")
