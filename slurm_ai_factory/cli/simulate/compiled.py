"""Where numba keeps compiled code: beside the package, in the user's cache, or in a temporary directory.

numba fails if it can write to neither of the first two; then its code lives only as long as this process.
Tested in tests/end_to_end/test_model_demo.py.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import slurm_ai_factory

VARIABLE = "NUMBA_CACHE_DIR"


def writable(path: Path) -> bool:
    """Whether the directory is writable or can be created."""
    nearest = next(place for place in (path, *path.parents) if place.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def keep_compiled(
    environment: MutableMapping[str, str] = os.environ, can_write: Callable[[Path], bool] = writable
) -> None:
    """Set NUMBA_CACHE_DIR if needed. Call it before numba is imported."""
    places = [Path(slurm_ai_factory.__file__).parent]
    with suppress(RuntimeError):  # this user has no home
        places.append(Path(environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()))
    if VARIABLE in environment or any(map(can_write, places)):
        return
    scratch = mkdtemp(prefix="saf-compiled-")
    atexit.register(rmtree, scratch, ignore_errors=True)
    environment[VARIABLE] = scratch
