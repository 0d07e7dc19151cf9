"""The web server: a bounded number of connections, each with a deadline.

The rule: clients together use a bounded number of descriptors and threads of this process, each for a bounded
time. If all places are taken, the oldest connection is closed for a new one, so that open connections keep
no other client from an answer. The TLS handshake runs on the thread of its connection. Tested in
tests/monitor/test_web.py.
"""

from __future__ import annotations

import logging
import resource
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR, socket
from threading import BoundedSemaphore, Event, Lock
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from slurm_ai_factory.errors import one_sentence, shortage

log = logging.getLogger("saf")

MOST_CONNECTIONS = 64
OURS = 4
"""Connections use at most one descriptor in this many; the cycle needs the others."""

IDLE_SECONDS = 20
"""A connection is closed after this long without data from its client."""

DEADLINE_SECONDS = 60
"""A connection is closed after this long in any case."""

GIVING_WAY_SECONDS = 2
"""How long a new connection waits until the oldest is closed."""

BREATH_SECONDS = 0.1
"""Pause before the next attempt when no descriptor is left for a connection."""


@dataclass(slots=True)
class _Connection:
    """An open connection, with its present socket."""

    channel: socket
    began: float
    ended: bool = False

    def end(self) -> None:
        """Wake its thread, which closes it; without a TLS close_notify."""
        self.ended = True
        with suppress(OSError):
            socket.shutdown(self.channel, SHUT_RDWR)


class PageServer(WSGIServer):
    """Bounded connections on lasting threads, so that an answer needs no new thread when memory is short."""

    request_queue_size = 64
    context: ssl.SSLContext | None = None

    def __init__(self, *arguments: Any) -> None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(1, min(MOST_CONNECTIONS, descriptors // OURS))
        self.places, self.threads = BoundedSemaphore(most), ThreadPoolExecutor(most, "web")
        self.connections: dict[socket, _Connection] = {}  #: by accepted socket, the oldest first
        self.lock = Lock()
        self.ending = Event()
        super().__init__(*arguments)

    def serve(self) -> None:
        """Serve until ``end``; log any error and go on."""
        while True:
            try:
                return self.serve_forever()
            except Exception as error:
                log.error("web server error; serving goes on: %s", one_sentence(error))
            if self.ending.wait(BREATH_SECONDS):
                return None

    def end(self) -> None:
        """End ``serve``, close every connection and release the port."""
        self.ending.set()
        self.shutdown()
        self.server_close()
        self._end_before(time.monotonic())

    def get_request(self) -> tuple[socket, Any]:
        """The next connection; if no descriptor is left for it, close the oldest."""
        try:
            return super().get_request()
        except OSError as error:
            if shortage(error):
                self._end_oldest()
                self.ending.wait(BREATH_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer the connection on a thread, or close it if no place becomes free."""
        if not self._placed():
            self.shutdown_request(request)
            return
        with self.lock:
            self.connections[request] = _Connection(request, time.monotonic())
        try:
            self.threads.submit(self._answered, request, client_address)
        except BaseException:  # no thread can start; the base class closes the connection
            self._forget(request)
            raise

    def server_close(self) -> None:
        """Release the port and drop the connections that wait for a thread."""
        super().server_close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _answered(self, request: Any, client_address: Any) -> None:
        """Shake hands and answer, on the thread of the connection."""
        connection = self.connections[request]
        try:
            request.settimeout(IDLE_SECONDS)
            if self.context:
                channel = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                connection.channel = channel
                channel.do_handshake()
            self.finish_request(connection.channel, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self._forget(request)
            self.shutdown_request(connection.channel)

    def handle_error(self, _request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A client that disconnects, or does not speak TLS, is normal."""
        log.debug("a request of %s failed", client_address[0], exc_info=True)

    def service_actions(self) -> None:
        """Close connections past their deadline; called at least twice a second."""
        self._end_before(time.monotonic() - DEADLINE_SECONDS)

    def _placed(self) -> bool:
        if self.places.acquire(blocking=False):
            return True
        self._end_oldest()
        return self.places.acquire(timeout=GIVING_WAY_SECONDS)

    def _end_before(self, began: float) -> None:
        with self.lock:
            for connection in self.connections.values():
                if connection.began <= began and not connection.ended:
                    connection.end()

    def _end_oldest(self) -> None:
        with self.lock:
            oldest = next((each for each in self.connections.values() if not each.ended), None)
            if oldest:
                oldest.end()

    def _forget(self, request: socket) -> None:
        """Call this before the socket is closed: another one may get its descriptor right after."""
        with self.lock:
            del self.connections[request]
        self.places.release()


class QuietHandler(WSGIRequestHandler):
    """Answers a request and logs nothing."""

    timeout = IDLE_SECONDS
    wbufsize = -1  # few writes an answer: each waits for Python's lock

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Log nothing: a scrape is normal."""
