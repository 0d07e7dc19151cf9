"""`make demo-slurm`: a region in deficit, the daemon, and a real Slurm on a clock 60 times too fast."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.slurm import unavailable

CYCLE = re.compile(r"INFO rolling:6h: .*promised 25%.*")
RAISE = re.compile(r"enforce +regional +(\d+) +(\d+) +(\d+) +applied +raise")


@pytest.mark.slurm
def test_a_regional_deficit_raises_the_regional_raw_shares_within_bounds() -> None:
    if reason := unavailable(60):
        pytest.skip(reason)
    demo = [sys.executable, "-m", "tests.cluster.demo", "--for", "80s"]
    checkout = Path(__file__).parents[2]
    done = subprocess.run(demo, capture_output=True, text=True, timeout=300, cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(CYCLE.findall(done.stdout)) >= 5
    before, after = (
        int(value) for value in re.findall(r"^regional +(\d+) ", done.stdout, flags=re.MULTILINE)
    )
    assert before == 25 < after
    raises = [(int(a), int(b), int(read)) for a, b, read in RAISE.findall(done.stdout)]
    assert raises
    for old, new, read in raises:
        assert old < new == read
        assert new / (new + 76) - old / (old + 76) <= 0.05 + 1e-9
