"""A daemon in a process of its own, and what can be seen of it from outside."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.slurm import wait_until
from tests.saf import Saf


class Running:
    """A daemon and what can be seen of it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def says(self, words: str, timeout: float = 120) -> str:
        """The first line of the log with these words, waited for."""
        wait_until(lambda: bool(self._lines(words)), f"{words!r} in the log", timeout, log=self.log)
        return self._lines(words)[0]

    def _lines(self, words: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if words in line]

    def count(self, words: str) -> int:
        return len(self._lines(words))

    @property
    def port(self) -> int:
        """Where it listens."""
        found = re.search(r"listening on port (\d+)", self.says("listening on port"))
        assert found
        return int(found[1])

    def get(self, path: str, timeout: float = 120) -> tuple[int, str]:
        """(status, body) of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
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

    def cycle(self, timeout: float = 120) -> None:
        """Wait for one more complete cycle."""
        seen = self.count("promised 25%")
        wait_until(lambda: self.count("promised 25%") > seen, "one more cycle", timeout, log=self.log)


@contextmanager
def running(saf: Saf, name: str = "saf", under: Sequence[str] = ()) -> Iterator[Running]:
    """The daemon, killed at the end; ``under`` is a command that starts it with less than there is."""
    log = saf.directory / f"{name}.log"
    process = saf.start(log, under)
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait(timeout=120)
