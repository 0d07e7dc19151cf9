"""Files that commands write: each whole or not at all. Tested in tests/cli/test_new_file.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slurm_ai_factory.errors import ConfigError, SafError


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """Where to write the content; at the end it becomes the file, never over another. Raises ConfigError.

    An error or Ctrl-C inside leaves nothing behind.
    """
    _check_regular(file)
    if file.exists():
        raise ConfigError(f"{file} exists; choose another file, or move this one away")
    try:
        with _written_beside(file, os.link) as part:
            yield part
    except FileExistsError as error:
        raise ConfigError(f"{file} exists by now and was left as it is; choose another file") from error


@contextmanager
def replaced_file(file: Path) -> Iterator[Path]:
    """Where to write the content; at the end it takes the place of an earlier file. Raises ConfigError.

    An error or Ctrl-C inside leaves the earlier file as it was. The new one has its mode.
    """
    _check_regular(file)
    with _written_beside(file.resolve(), _replace) as part:
        yield part


def checked_directory(directory: Path) -> Path:
    """The directory, in which files can be written later; left as it is. Raises SafError.

    To call before what the files have is recorded.
    """
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    writable_directory(directory)
    for place in missing:
        place.rmdir()
    return directory


def writable_directory(directory: Path) -> Path:
    """The directory, made if it is not there. Raises SafError."""
    if directory.exists() and not directory.is_dir():
        raise SafError(f"{directory} is not a directory; name a directory to write the files in")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SafError(f"cannot make the directory {directory}: {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SafError(f"cannot write in the directory {directory}; choose one that you may write in")
    return directory


def write_text(directory: Path, name: str, text: str) -> str:
    """Write a file, also over an earlier one, and return its path. Raises SafError."""
    file = writable_directory(directory) / name
    with replaced_file(file) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    return str(file)


def _check_regular(file: Path) -> None:
    """Raise ConfigError for a directory or a device: neither is moved away, and neither is replaced."""
    if file.is_dir():
        raise ConfigError(f"{file} is a directory; name a file")
    if file.exists() and not file.is_file():
        raise ConfigError(f"{file} is a device or a pipe; name a file")


def _replace(part: Path, file: Path) -> None:
    if file.exists():
        shutil.copymode(file, part)
    part.replace(file)


@contextmanager
def _written_beside(file: Path, put: Callable[[Path, Path], object]) -> Iterator[Path]:
    """A file beside the wanted one, with its suffix; at the end it takes its place. Raises ConfigError."""
    part = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        try:
            yield part
            put(part, file)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; nothing of it was kept") from error
