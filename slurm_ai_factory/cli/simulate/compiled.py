"""Where numba keeps compiled code: in the user's cache, or in a temporary directory.

numba compiles a function again when its own file changes, but not when the classes that it uses do. So each
version of the package has a directory of its own.
Tested in tests/end_to_end/test_model_demo.py.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import slurm_ai_factory

VARIABLE = "NUMBA_CACHE_DIR"
SOURCES = Path(slurm_ai_factory.__file__).parent / "simulation"


def writable(path: Path) -> bool:
    """Whether the directory is writable or can be created."""
    nearest = next(place for place in (path, *path.parents) if place.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def keep_compiled(
    environment: MutableMapping[str, str] = os.environ,
    can_write: Callable[[Path], bool] = writable,
    sources: Path = SOURCES,
) -> None:
    """Set NUMBA_CACHE_DIR, unless it is set. Call it before numba is imported."""
    if VARIABLE in environment:
        return
    with suppress(RuntimeError):  # this user has no home
        cache = Path(environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        if can_write(cache):
            code = b"".join(file.read_bytes() for file in sorted(sources.glob("*.py")))
            environment[VARIABLE] = str(cache / "saf" / sha256(code).hexdigest()[:16])
            return
    scratch = mkdtemp(prefix="saf-compiled-")
    atexit.register(rmtree, scratch, ignore_errors=True)
    environment[VARIABLE] = scratch
