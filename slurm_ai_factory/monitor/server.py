"""The server under the pages: a bounded number of connections, each with a deadline.

The rule: whoever connects, and however often, takes no more than so many descriptors and threads of this
process, for so long. Where all places are taken the oldest connection gives way to a new one: who asks at
once is answered at once, whoever holds connections open. TLS shakes hands on the connection's own thread.
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
"""Connections take no more than one of so many descriptors; the others are for the cycle."""

IDLE_SECONDS = 20
"""A client that says nothing for so long is let go."""

DEADLINE_SECONDS = 60
"""A connection ends after so long, whatever its client says."""

GIVING_WAY_SECONDS = 2
"""How long a new connection waits for the place of the oldest."""

BREATH_SECONDS = 0.1
"""Where the machine has no descriptor for a connection, this long passes before it is asked again."""


@dataclass(slots=True)
class _Connection:
    """One that is open, by the socket that is in use for it."""

    channel: socket
    began: float
    ended: bool = False

    def end(self) -> None:
        """Wake its thread, which closes it; TLS is left to find that its peer has gone."""
        self.ended = True
        with suppress(OSError):
            socket.shutdown(self.channel, SHUT_RDWR)


class PageServer(WSGIServer):
    """So many connections, on threads that stay: none need be started when memory or processes are short."""

    request_queue_size = 64
    context: ssl.SSLContext | None = None

    def __init__(self, *arguments: Any) -> None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(1, min(MOST_CONNECTIONS, descriptors // OURS))
        self.places, self.threads = BoundedSemaphore(most), ThreadPoolExecutor(most, "web")
        self.connections: dict[socket, _Connection] = {}  #: by what was accepted, the oldest first
        self.lock = Lock()
        self.ending = Event()
        super().__init__(*arguments)

    def serve(self) -> None:
        """Serve until it is ended; an error in between is logged and ends nothing."""
        while True:
            try:
                return self.serve_forever()
            except Exception as error:
                log.error("the web server failed and goes on: %s", one_sentence(error))
            if self.ending.wait(BREATH_SECONDS):
                return None

    def end(self) -> None:
        """End ``serve`` and every connection, and give the port back."""
        self.ending.set()
        self.shutdown()
        self.server_close()
        self._end_before(time.monotonic())

    def get_request(self) -> tuple[socket, Any]:
        """The next connection; where there is no descriptor for it, the oldest gives way."""
        try:
            return super().get_request()
        except OSError as error:
            if shortage(error):
                self._end_oldest()
                self.ending.wait(BREATH_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give it a place and a thread, or close it."""
        if not self._placed():
            self.shutdown_request(request)
            return
        with self.lock:
            self.connections[request] = _Connection(request, time.monotonic())
        try:
            self.threads.submit(self._answered, request, client_address)
        except BaseException:  # no thread can be started; the base class closes it
            self._forget(request)
            raise

    def server_close(self) -> None:
        """Give the port back; no connection is answered any more that has not begun to be."""
        super().server_close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _answered(self, request: Any, client_address: Any) -> None:
        """The handshake and the answer, on the connection's own thread."""
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
        """A client that went away, or speaks no TLS, is not news."""
        log.debug("a request of %s broke off", client_address[0], exc_info=True)

    def service_actions(self) -> None:
        """Called twice a second at least: end what is past its deadline."""
        self._end_before(time.monotonic() - DEADLINE_SECONDS)

    def _placed(self) -> bool:
        if self.places.acquire(blocking=False):
            return True
        self._end_oldest()
        return self.places.acquire(timeout=GIVING_WAY_SECONDS)

    def _end_before(self, began: float) -> None:
        with self.lock:
            for one in self.connections.values():
                if one.began <= began and not one.ended:
                    one.end()

    def _end_oldest(self) -> None:
        with self.lock:
            oldest = next((one for one in self.connections.values() if not one.ended), None)
            if oldest:
                oldest.end()

    def _forget(self, request: socket) -> None:
        """Before it is closed: its descriptor may be another's right after."""
        with self.lock:
            del self.connections[request]
        self.places.release()


class QuietHandler(WSGIRequestHandler):
    """One request, of which the log says nothing."""

    timeout = IDLE_SECONDS
    wbufsize = -1  # an answer in few writes: each is a wait for Python's lock

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Scrapes are not news."""
