"""`make demo-slurm`: a region in deficit, the daemon, and a real Slurm on a clock 60 times too fast."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from tests.cluster.slurm import unavailable

CYCLE = re.compile(r"INFO rolling:6h: .*promised 25%.*")
WRITTEN = re.compile(r"regional RawShares 25 -> \d+: .* \[applied\]")
CHANGE = re.compile(r"enforce +regional +(\d+) +(\d+) +(\d+) +applied ")
DEADLINE = 300


@pytest.mark.slurm
def test_a_regional_deficit_raises_the_regional_raw_shares_within_bounds() -> None:
    if reason := unavailable(60):
        pytest.skip(reason)
    printed = _until_the_first_write()
    assert len(CYCLE.findall(printed)) >= 5, printed
    before, after = (int(value) for value in re.findall(r"^regional +(\d+) ", printed, flags=re.MULTILINE))
    assert before == 25 < after, printed
    changes = [(int(old), int(new), int(read)) for old, new, read in CHANGE.findall(printed)]
    old, new, read = changes[-1]
    assert old == 25 < new == read, printed
    assert new / (new + 76) - old / (old + 76) <= 0.05 + 1e-9


def _until_the_first_write() -> str:
    """What the demo prints when it is interrupted as soon as the daemon has written and read back."""
    demo = [sys.executable, "-m", "tests.cluster.demo", "--for", "2m"]
    checkout = Path(__file__).parents[2]
    with subprocess.Popen(
        demo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=checkout, process_group=0
    ) as running:
        assert running.stdout is not None
        limit = Timer(DEADLINE, os.killpg, (running.pid, signal.SIGKILL))
        limit.start()
        lines = []
        for line in running.stdout:
            lines.append(line)
            if WRITTEN.search(line):
                running.send_signal(signal.SIGINT)
        limit.cancel()
    printed = "".join(lines)
    assert running.returncode == 0, printed
    return printed
