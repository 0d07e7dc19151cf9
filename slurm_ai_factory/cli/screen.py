"""Standard output and error that escape control characters, so that no printed text can steer a terminal.

The rule: the stream escapes, so that no caller can forget to. Coloured lines and progress bars bypass it
through ``unguarded`` and escape their texts themselves. Tested in tests/cli/test_hostile.py.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from slurm_ai_factory.core.escaped import for_terminal


class Screen(io.TextIOWrapper):
    """A stream that escapes every control character but the newline, and what its encoding lacks."""

    def __init__(self, unguarded: io.TextIOWrapper) -> None:
        unguarded.reconfigure(errors="backslashreplace")
        super().__init__(
            unguarded.buffer, unguarded.encoding, "backslashreplace", newline="\n",
            line_buffering=unguarded.line_buffering, write_through=True,
        )  # fmt: skip
        self.unguarded = unguarded  #: the unguarded stream

    def write(self, text: str, /) -> int:
        super().write(for_terminal(text, keep="\n"))
        return len(text)


class OneLineRecord(logging.LogRecord):
    """A log record whose message is one line, with any formatter."""

    def getMessage(self) -> str:  # noqa: N802
        return for_terminal(super().getMessage())


def guard() -> None:
    """Send all output and log messages through a Screen from now on; a closed stream becomes /dev/null."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)
    logging.setLogRecordFactory(OneLineRecord)


def _guarded(stream: TextIO | None) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    return Screen(stream) if isinstance(stream, io.TextIOWrapper) else stream


def unguarded(stream: TextIO) -> TextIO:
    """The stream without its guard."""
    return stream.unguarded if isinstance(stream, Screen) else stream
