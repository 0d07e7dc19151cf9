"""Where the compiled part of the model cluster is kept: beside the package, in the user's cache, or nowhere.

numba refuses to work where it can write to neither; then its code lives as long as this process.
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
    """Whether this can be written, or made."""
    there = next(one for one in (path, *path.parents) if one.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def keep_compiled(
    environment: MutableMapping[str, str] = os.environ, can_write: Callable[[Path], bool] = writable
) -> None:
    """To be called before numba is imported."""
    if VARIABLE in environment or any(map(can_write, _usual(environment))):
        return
    scratch = mkdtemp(prefix="saf-compiled-")
    atexit.register(rmtree, scratch, ignore_errors=True)
    environment[VARIABLE] = scratch


def _usual(environment: MutableMapping[str, str]) -> list[Path]:
    """The places numba takes by itself."""
    places = [Path(slurm_ai_factory.__file__).parent]
    with suppress(RuntimeError):  # this user has no home
        places.append(Path(environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()))
    return places
