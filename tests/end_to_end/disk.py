"""A file system that can be filled without harm to the machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small(place: Path, size: str) -> Iterator[Path]:
    """Make the directory a file system of this size; a PostgreSQL on it is ended at once at the end."""
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    done = subprocess.run(argv, capture_output=True, timeout=60)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    place.chmod(0o755)
    try:
        yield place
    finally:
        for file in place.rglob("postmaster.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
        subprocess.run(["umount", "-l", place], check=True, timeout=60)


def fill(file: Path) -> None:
    """Take all the space there is."""
    with file.open("wb", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    out.write(os.urandom(size) if size == 1 else bytes(size))
            except OSError:
                continue
