"""Files that commands write: one whole or not at all and never over another, or a text over an earlier one.

Tested in tests/cli/test_init.py and tests/cli/test_report.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slurm_ai_factory.errors import ConfigError, SafError


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """Where to write the content; at the end it becomes the file. Raises ConfigError.

    An error or Ctrl-C inside leaves nothing behind.
    """
    if file.exists():
        raise ConfigError(f"{file} exists; choose another file, or move this one away")
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            yield part
            os.link(part, file)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{file} exists by now and was left as it is; choose another file") from error
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error


def write_text(directory: Path, name: str, text: str) -> str:
    """Write a file, also over an earlier one, and return its path. Raises SafError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SafError(f"cannot write {directory / name}: {error.strerror}") from error
    return str(directory / name)
