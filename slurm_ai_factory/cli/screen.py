"""Standard output and error as they are from the start of `saf` on: nothing printed can steer a terminal.

The rule: it is the stream that escapes, so that no caller can forget to. What is drawn in colour and progress
bars go past it, to ``plain``, and escape what they show themselves.
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
    """Text of which only the end of a line is more than its letters; no encoding lacks one of them."""

    def __init__(self, plain: io.TextIOWrapper) -> None:
        plain.reconfigure(errors="backslashreplace")
        super().__init__(
            plain.buffer, plain.encoding, "backslashreplace", newline="\n",
            line_buffering=plain.line_buffering, write_through=True,
        )  # fmt: skip
        self.plain = plain  #: the same place, as it was

    def write(self, text: str, /) -> int:
        super().write(for_terminal(text, keep="\n"))
        return len(text)


class OneLineRecord(logging.LogRecord):
    """A message in one line, whoever formats it."""

    def getMessage(self) -> str:  # noqa: N802
        return for_terminal(super().getMessage())


def guard() -> None:
    """Let all that is printed and logged from now on go through a Screen; a closed output takes nothing."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)
    logging.setLogRecordFactory(OneLineRecord)


def _guarded(stream: TextIO | None) -> TextIO:
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    return Screen(stream) if isinstance(stream, io.TextIOWrapper) else stream


def plain(stream: TextIO) -> TextIO:
    """The stream without its guard."""
    return stream.plain if isinstance(stream, Screen) else stream
