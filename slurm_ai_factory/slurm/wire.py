"""HTTP to slurmrestd, over a Unix socket or TCP: one question, one whole answer, before one deadline.

Rule: imports nothing of the package, because a write runs as a program of its own behind fence.py, which
kills it at the deadline: ``python -I -S wire.py URL PATH`` sends the body in SAF_REST_BODY. The headers,
with the token, are in SAF_REST_HEADERS, so no other user can see them. Tested in tests/slurm/test_rest.py.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn
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


def exchange(
    url: str,
    path: str,
    headers: Mapping[str, str],
    until: float,
    body: str | None = None,
    most: int = ANSWER_MOST,
) -> Reply:
    """GET, or POST of a body, before ``until`` of ``time.monotonic``.

    Raises OSError, HTTPException or TooLargeError.
    """
    connection = _RestConnection(url, until)
    try:
        method = "GET" if body is None else "POST"
        connection.request(
            method, path, body, {**headers, "Connection": "close", "Accept": "application/json"}
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


def main(url: str, path: str) -> NoReturn:
    """POST the body in the environment, and print status and answer as one line of JSON."""
    headers = json.loads(os.environ["SAF_REST_HEADERS"])
    try:
        reply = exchange(url, path, headers, time.monotonic() + 3600, os.environ["SAF_REST_BODY"], _PIECE)
    except (OSError, http.client.HTTPException, TooLargeError) as error:
        sys.exit(f"slurmrestd: error: {type(error).__name__}: {error}")
    sys.stdout.write(json.dumps([reply.status, reply.body.decode(errors="replace")]) + "\n")
    sys.exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
