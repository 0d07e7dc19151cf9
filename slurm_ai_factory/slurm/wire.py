"""HTTP to slurmrestd, over a Unix socket or TCP: one question, one whole answer, before one deadline.

Rule: an answer is whole, or an error, and no piece of it can delay the deadline.
Tested in tests/slurm/test_rest.py.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ANSWER_MOST = 2**29
"""Bytes of an answer: 60,000 jobs; slurmrestd itself needs ten times as much memory for it."""
_PIECE = 2**20


class Reply(NamedTuple):
    """An HTTP answer that arrived whole."""

    status: int
    body: bytes


class TooLargeError(Exception):
    """The answer is longer than was allowed; the rest of it was not read."""


class _Socket(socket.socket):
    """A socket with one deadline for everything, however many pieces an answer comes in."""

    until = 0.0

    def hurry(self) -> None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)

    def recv_into(self, *arguments: Any) -> int:
        self.hurry()
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.hurry()
        super().sendall(*arguments)


class _RestConnection(http.client.HTTPConnection):
    """A connection to ``unix:PATH`` or ``http://HOST:PORT``."""

    def __init__(self, url: str, until: float) -> None:
        super().__init__("localhost")
        self.url, self.until = url, until

    def connect(self) -> None:
        kind, path = self.url.split(":", 1)
        parts = urlsplit(self.url)
        places: list[tuple[int, Any]] = [(socket.AF_UNIX, path)]
        if kind != "unix":
            addresses = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
            places = [(family, address) for family, _, _, _, address in addresses]
        for place in places[:-1]:
            with suppress(OSError):
                self._to(*place)
                return
        self._to(*places[-1])

    def _to(self, family: int, address: Any) -> None:
        opened = _Socket(family, socket.SOCK_STREAM)
        opened.until = self.until
        try:
            opened.hurry()
            opened.connect(address)
        except OSError:
            opened.close()
            raise
        self.sock = opened


def exchange(url: str, path: str, headers: Mapping[str, str], until: float, most: int = ANSWER_MOST) -> Reply:
    """GET before ``until`` of ``time.monotonic``. Raises OSError, HTTPException or TooLargeError."""
    connection = _RestConnection(url, until)
    try:
        connection.request(
            "GET", path, headers={**headers, "Connection": "close", "Accept": "application/json"}
        )
        answer = connection.getresponse()
        pieces, size = [], 0
        while piece := answer.read(_PIECE):
            size += len(piece)
            if size > most:
                raise TooLargeError
            pieces.append(piece)
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return Reply(answer.status, b"".join(pieces))
    finally:
        connection.close()
