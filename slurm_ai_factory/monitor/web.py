"""The status page, /metrics, /healthz and /readyz, served from memory on threads of their own.

The rule: nothing here changes anything or reads Slurm or the ledger. Healthy: the loop is running. Ready: the
last complete cycle is recent enough.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.language import preferred
from slurm_ai_factory.monitor.access import OPEN, Access, Admission, load_access
from slurm_ai_factory.monitor.server import PageServer, QuietHandler

HealthCheck = Callable[[], tuple[bool, str]]
PageText = Callable[[str], str]
"""Code of a language -> HTML."""
Metrics = Callable[[str], tuple[str, bytes]]
"""Accept header -> (content type, text)."""
Respond = Callable[[str, list[tuple[str, str]]], object]

SWITCH_SECONDS = 0.0005
"""Python's thread switch interval: while a cycle computes, a scrape waits this long instead of 5 ms."""

CLOSED = {"127.0.0.1", "::1", "localhost"}

TURNED_AWAY = {
    Admission.REFUSED: (
        "401 Unauthorized",
        "name and password required\n",
        [("WWW-Authenticate", 'Basic realm="saf", charset="UTF-8"')],
    ),
    Admission.LATER: (
        "429 Too Many Requests",
        "too many wrong passwords; try again later\n",
        [("Retry-After", "5")],
    ),
}


@dataclass(slots=True)
class Web:
    """The running server and its web configuration."""

    server: PageServer
    web_config_file: Path | None
    access: Access

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server.server_port

    def risk(self) -> str:
        """What other machines can see and should not, in one sentence; empty if nothing."""
        if self.server.server_address[0] in CLOSED:
            return ""
        if self.access.open:
            return (
                f"port {self.port} is reachable from the network without authentication; "
                "set daemon.web_config_file"
            )
        if self.access.in_clear:
            return (
                f"passwords cross the network to port {self.port} unencrypted; "
                f"add tls_server_config to {self.access.file}"
            )
        return ""

    def renew(self) -> None:
        """Read the web configuration and certificates again. Raises ConfigError and keeps the old ones."""
        access = OPEN if self.web_config_file is None else load_access(self.web_config_file)
        context = access.context()
        self.access, self.server.context = access, context


@contextmanager
def serving(
    listen: str,
    pages: Mapping[str, PageText],
    metrics: Metrics,
    checks: Mapping[str, HealthCheck],
    web_config_file: Path | None = None,
) -> Iterator[Web]:
    """Serve until the context ends; pages and checks are by path.

    Raises ConfigError if address or web configuration are unusable.
    """
    web = Web(_listening(listen), web_config_file, OPEN)
    try:
        web.renew()
        sys.setswitchinterval(SWITCH_SECONDS)
        web.server.set_app(_guarded(web, _application(pages, metrics, checks)))
        thread = Thread(target=web.server.serve, name="web", daemon=True)
        thread.start()
    except BaseException:
        web.server.server_close()
        raise
    try:
        yield web
    finally:
        web.server.end()


def _listening(listen: str) -> PageServer:
    host, _, port = listen.rpartition(":")
    starting = partial(_answer, status="503 Service Unavailable", text="starting\n")
    try:
        return make_server(host.strip("[]"), int(port), starting, PageServer, QuietHandler)
    except (OSError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"[daemon] listen = {listen!r} cannot be used: {why}; name a free port of this machine"
        ) from error


def _guarded(web: Web, application: Any) -> Any:
    """The application behind authentication, with the configured headers."""

    def guarded(environ: dict[str, Any], start_response: Respond) -> Iterable[bytes]:
        access = web.access

        def respond(status: str, headers: list[tuple[str, str]], *rest: Any) -> object:
            theirs = {name.lower() for name in access.headers}
            ours = [(name, value) for name, value in headers if name.lower() not in theirs]
            return start_response(status, [*ours, *access.headers.items()], *rest)

        entry = access.entry(environ.get("HTTP_AUTHORIZATION", ""), environ["REMOTE_ADDR"])
        if entry is Admission.ADMITTED:
            return application(environ, respond)  # type: ignore[no-any-return]
        return _answer(environ, respond, *TURNED_AWAY[entry])

    return guarded


def _application(pages: Mapping[str, PageText], metrics: Metrics, checks: Mapping[str, HealthCheck]) -> Any:
    def application(environ: dict[str, Any], respond: Respond) -> Any:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(environ, respond, "405 Method Not Allowed", "read only\n", READ_ONLY)
        if path == "/metrics":
            return _scrape(environ, respond, metrics)
        if path in pages:
            # ?lang= overrides what the browser prefers.
            asked = parse_qs(environ.get("QUERY_STRING", "")).get("lang", [""])[0]
            code = preferred(asked, environ.get("HTTP_ACCEPT_LANGUAGE", ""))
            headers = [*HTML, ("Content-Language", code), ("Vary", "Accept-Language")]
            return _answer(environ, respond, "200 OK", pages[path](code), headers)
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
"""They make sure that the page needs nothing from elsewhere."""


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
    environ: Mapping[str, Any], respond: Respond, status: str, body: bytes, headers: Sequence[tuple[str, str]]
) -> list[bytes]:
    respond(status, [*headers, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
