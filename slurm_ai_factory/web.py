"""/metrics, /healthz and /readyz, served from memory on their own threads; nothing here can change anything.

Healthy: the loop still beats. Ready: a complete cycle is recent enough to be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from slurm_ai_factory.errors import ConfigError

Check = Callable[[], tuple[bool, str]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Scrapes are not news."""


@contextmanager
def serving(listen: str, metrics: CollectorRegistry, healthy: Check, ready: Check) -> Iterator[int]:
    """Serve until the context ends; yields the port. Raises ConfigError when the address cannot be used."""
    host, _, port = listen.rpartition(":")
    application = _application(make_wsgi_app(metrics), {"/healthz": healthy, "/readyz": ready})
    try:
        server = make_server(host.strip("[]"), int(port), application, _Server, _QuietHandler)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"[daemon] listen = {listen!r} cannot be used: {error}") from error
    thread = Thread(target=server.serve_forever, name="web", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _application(metrics: Any, checks: dict[str, Check]) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(start_response, "405 Method Not Allowed", "read only")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path in checks:
            good, why = checks[path]()
            return _answer(start_response, "200 OK" if good else "503 Service Unavailable", why)
        return _answer(start_response, "404 Not Found", "try /metrics, /healthz or /readyz")

    return application


def _answer(start_response: Any, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode() + b"\n"]
