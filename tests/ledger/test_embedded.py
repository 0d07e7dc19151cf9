"""The embedded PostgreSQL, in a process of its own: what it does to its environment happens once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import skip_without_embedded

skip_without_embedded()

ASK = """
from pathlib import Path
from slurm_ai_factory.ledger import Store, embedded
with Store(embedded.url(Path("state"))) as store:
    print(store.migrate()[0])
embedded.delete(Path("state"))
"""


def test_a_relative_state_directory_holds_all_that_the_server_needs() -> None:
    """Its package takes an absolute XDG_RUNTIME_DIR only, and else warns and keeps its lock in /tmp."""
    with tempfile.TemporaryDirectory(prefix="saf-embedded-") as directory:
        Path(directory).chmod(0o755)
        command = [sys.executable, "-W", "error", "-c", ASK]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
        assert (done.stdout, done.stderr) == ("0001_ledger.sql\n", "")
        assert [one.name for one in Path(directory, "state").iterdir()] == ["runtime"]
