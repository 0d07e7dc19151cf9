"""The status page, /metrics, /healthz and /readyz, served from memory on their own threads.

The rule: nothing here can change anything, and nothing here asks Slurm or the ledger. Healthy: the loop still
beats. Ready: a complete cycle is recent enough to be believed.
"""

from __future__ import annotations

import gzip
import logging
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.web.access import OPEN, Access, load

log = logging.getLogger("saf")

Check = Callable[[], tuple[bool, str]]
Page = Callable[[], str]
Metrics = Callable[[str], tuple[str, bytes]]
"""Accept header -> (content type, text)."""
Respond = Callable[[str, list[tuple[str, str]]], object]

IDLE_SECONDS = 20
"""A client that says nothing for so long is let go."""

SWITCH_SECONDS = 0.0005
"""While a cycle computes, a scrape waits for its turn this long at most, and not Python's usual 5 ms."""

CLOSED = {"127.0.0.1", "::1", "localhost"}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64
    context: ssl.SSLContext | None = None

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake is had on the client's own thread, so that a slow client keeps nobody waiting."""
        request.settimeout(IDLE_SECONDS)
        try:
            ready = self.context.wrap_socket(request, server_side=True) if self.context else request
        except OSError as error:
            log.debug("no TLS with %s: %s", client_address[0], error)
            self.shutdown_request(request)
            return
        super().process_request_thread(ready, client_address)

    def handle_error(self, _request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A client that went away is not news."""
        log.debug("a request of %s broke off", client_address[0], exc_info=True)


class _QuietHandler(WSGIRequestHandler):
    timeout = IDLE_SECONDS
    wbufsize = -1  # an answer in few writes: each is a wait for Python's lock

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Scrapes are not news."""


@dataclass(slots=True)
class Web:
    """What is being served, and who may see it."""

    server: _Server
    web_config_file: Path | None
    access: Access

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server.server_port

    @property
    def exposed(self) -> bool:
        """Whether other machines can read it without a password or a certificate of theirs."""
        return self.server.server_address[0] not in CLOSED and self.access.open

    def renew(self) -> None:
        """Read the web configuration again, and the certificates. Raises ConfigError and keeps the old."""
        access = OPEN if self.web_config_file is None else load(self.web_config_file)
        context = access.context()
        self.access, self.server.context = access, context


@contextmanager
def serving(
    listen: str,
    page: Page,
    metrics: Metrics,
    checks: Mapping[str, Check],
    web_config_file: Path | None = None,
) -> Iterator[Web]:
    """Serve until the context ends. Raises ConfigError when address or web configuration cannot be used."""
    web = Web(_listening(listen), web_config_file, OPEN)
    try:
        web.renew()
        sys.setswitchinterval(SWITCH_SECONDS)
        web.server.set_app(_guarded(web, _application(page, metrics, checks)))
        thread = Thread(target=web.server.serve_forever, name="web", daemon=True)
        thread.start()
    except BaseException:
        web.server.server_close()
        raise
    try:
        yield web
    finally:
        web.server.shutdown()
        web.server.server_close()


def _listening(listen: str) -> _Server:
    host, _, port = listen.rpartition(":")
    try:
        return make_server(host.strip("[]"), int(port), _nothing_yet, _Server, _QuietHandler)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"[daemon] listen = {listen!r} cannot be used: {error}") from error


def _nothing_yet(environ: dict[str, Any], respond: Any) -> list[bytes]:
    return _answer(environ, respond, "503 Service Unavailable", "starting\n")


def _guarded(web: Web, application: Any) -> Any:
    """The application, for those who may see it."""

    def guarded(environ: dict[str, Any], start_response: Respond) -> Iterable[bytes]:
        access = web.access

        def respond(status: str, headers: list[tuple[str, str]], *rest: Any) -> object:
            theirs = {name.lower() for name in access.headers}
            ours = [(name, value) for name, value in headers if name.lower() not in theirs]
            return start_response(status, [*ours, *access.headers.items()], *rest)

        if access.admits(environ.get("HTTP_AUTHORIZATION", "")):
            return application(environ, respond)  # type: ignore[no-any-return]
        ask = ("WWW-Authenticate", 'Basic realm="saf", charset="UTF-8"')
        return _answer(environ, respond, "401 Unauthorized", "name and password, please\n", [ask])

    return guarded


def _application(page: Page, metrics: Metrics, checks: Mapping[str, Check]) -> Any:
    def application(environ: dict[str, Any], respond: Respond) -> Any:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(
                environ, respond, "405 Method Not Allowed", "read only\n", [("Allow", "GET, HEAD")]
            )
        if path == "/metrics":
            return _scrape(environ, respond, metrics)
        if path == "/":
            return _answer(environ, respond, "200 OK", page(), HTML)
        if path in checks:
            good, why = checks[path]()
            return _answer(environ, respond, "200 OK" if good else "503 Service Unavailable", f"{why}\n")
        return _answer(environ, respond, "404 Not Found", "try /, /metrics, /healthz or /readyz\n")

    return application


def _scrape(environ: Mapping[str, Any], respond: Respond, metrics: Metrics) -> list[bytes]:
    kind, body = metrics(environ.get("HTTP_ACCEPT", ""))
    headers = [("Content-Type", kind)]
    if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
        body = gzip.compress(body, compresslevel=1)
        headers.append(("Content-Encoding", "gzip"))
    return _send(environ, respond, "200 OK", body, headers)


READ_ONLY = [("Allow", "GET, HEAD")]
TEXT = [("Content-Type", "text/plain; charset=utf-8")]
HTML = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")]
GUARDS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]
"""The page needs nothing from anywhere else, and says so to the browser."""


def _answer(
    environ: Mapping[str, Any],
    respond: Respond,
    status: str,
    text: str,
    headers: Sequence[tuple[str, str]] = (),
) -> list[bytes]:
    kind = [] if any(name == "Content-Type" for name, _ in headers) else TEXT
    return _send(environ, respond, status, text.encode(), [*kind, *headers, *GUARDS])


def _send(
    environ: Mapping[str, Any],
    respond: Respond,
    status: str,
    body: bytes,
    headers: Sequence[tuple[str, str]],
) -> list[bytes]:
    respond(status, [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
