"""A socket between the daemons and a PostgreSQL: what passes it can stall, be late, or be cut.

Rule: it changes no byte. What it does to a connection that is open it also does to a new one.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread

DELAY_SECONDS = 0.05
"""For each piece of an answer."""

SOCKET = ".s.PGSQL.5432"
PIECE = 65536


class Between:
    """One socket, in a directory that takes the place of the server's in a url."""

    def __init__(self, place: Path, server: Path) -> None:
        self.place, self.server = place, server
        self.way = ""  #: "stall", "delay", or nothing
        self.changed = Condition()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Take connections, until the end."""
        self.place.mkdir(mode=0o755)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.place / SOCKET))
            (self.place / SOCKET).chmod(0o777)
            listening.listen(64)
            Thread(target=self._accept, args=(listening,), daemon=True).start()
            yield
            self.be()
            self.cut()
            listening.shutdown(socket.SHUT_RDWR)

    def be(self, way: str = "") -> None:
        """From now on this happens to what passes."""
        with self.changed:
            self.way = way
            self.changed.notify_all()

    def cut(self, *, half: bool = False) -> None:
        """End what is open; the half of it is what the server hears."""
        for ours, theirs in self.pairs:
            for end, how in ((theirs, socket.SHUT_WR), *([] if half else [(ours, socket.SHUT_RDWR)])):
                with suppress(OSError):
                    end.shutdown(how)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                ours, _ = listening.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            try:
                theirs.connect(str(self.server / SOCKET))
            except OSError:
                ours.close()
                theirs.close()
                continue
            self.pairs = [pair for pair in self.pairs if pair[0].fileno() >= 0] + [(ours, theirs)]
            ends = Ends()
            for source, sink in ((ours, theirs), (theirs, ours)):
                Thread(target=self._pump, args=(source, sink, ends), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, ends: Ends) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE):
                with self.changed:
                    self.changed.wait_for(lambda: self.way != "stall")
                    late = self.way == "delay"
                if late:
                    time.sleep(DELAY_SECONDS)
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if ends.both():
            source.close()
            sink.close()


class Ends:
    """How many of the two directions of a connection have ended."""

    def __init__(self) -> None:
        self.ended: list[None] = []

    def both(self) -> bool:
        """Whether this is the second one."""
        self.ended.append(None)
        return len(self.ended) == 2
