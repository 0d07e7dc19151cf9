"""A real headless Chromium: pictures of pages, and what it said and asked for meanwhile.

Rule: each picture is taken with a new, empty profile; where Chromium is not installed, tests skip with the
reason.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


def unavailable() -> str | None:
    """Why there can be no pictures here; None when there can."""
    return None if shutil.which("chromium") else "chromium is missing: install the Debian package chromium"


def picture(url: str, file: Path, width: int, height: int, *more: str) -> str:
    """A screenshot of a page as PNG; what Chromium said on stderr."""
    with TemporaryDirectory(prefix="saf-chromium-") as profile:
        done = subprocess.run(
            ["chromium", *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}",
             f"--screenshot={file}", *more, url],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert file.exists(), done.stderr
    return done.stderr
