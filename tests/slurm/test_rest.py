"""slurmrestd's client against a server on a real socket: whatever it says, nothing is invented."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from slurm_ai_factory.cli.wiring import slurm_of
from slurm_ai_factory.config import load_file
from slurm_ai_factory.errors import SlurmError, SlurmTooMuchError, SlurmUnsupportedError
from slurm_ai_factory.slurm import answers, wire
from slurm_ai_factory.slurm.commands import Commands
from slurm_ai_factory.slurm.rest import RestSlurm, Slurmrestd

OPENAPI: dict[str, object] = {
    "paths": {"/slurm/v0.0.42/diag/": {}, "/slurm/v0.0.42/jobs/": {}, "/slurmdb/v0.0.42/associations/": {}}
}
META = {"meta": {"slurm": {"cluster": "loop"}}, "errors": [], "warnings": []}
OK = "200 OK"


def token(user: str = "saf", mark: str = "a") -> str:
    said = base64.urlsafe_b64encode(json.dumps({"sun": user}).encode()).decode().rstrip("=")
    return f"head.{said}.{mark}"


def number(value: int) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": value}


DIAG = {
    "req_time": number(1795852655), "dbd_agent_queue_size": 0, "bf_when_last_cycle": number(1795852654),
    "bf_last_depth": 30, "bf_queue_len": 9,
}  # fmt: skip


def http(answer: object, status: str = OK) -> bytes:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@contextmanager
def serving(tmp_path: Path, answer: Callable[[str], bytes | None]) -> Iterator[str]:
    """A server on a socket; None leaves a question without an answer. Gives its URL."""
    path = tmp_path / "socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    held = []

    def run() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            asked = client.recv(2**16).decode()
            reply = answer(asked)
            if reply is None:
                held.append(client)
                continue
            client.sendall(reply)
            client.close()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"unix:{path}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for client in held:
            client.close()


def rest(url: str, tmp_path: Path, seconds: int = 20) -> Slurmrestd:
    file = tmp_path / "token"
    if not file.exists():
        file.write_text(f"SLURM_JWT={token()}\n")
    return Slurmrestd(url, "loop", Commands(timeout_seconds=seconds), file)


def health(answer: bytes) -> Callable[[str], bytes | None]:
    return lambda asked: http(OPENAPI | META) if "openapi" in asked else answer


def test_a_whole_answer_is_read_with_the_newest_version(tmp_path: Path) -> None:
    with serving(tmp_path, health(http(META | {"statistics": DIAG}))) as url:
        found = RestSlurm("loop", Commands(), rest(url, tmp_path)).diagnostics()
    assert (found.at, found.backfill_depth, found.backfill_queue) == (1795852655, 30, 9)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            http(META | {"errors": [{"error": "Zero Bytes", "description": "x\x1b[2J"}]}),
            r"Zero Bytes: x\x1b[2J",
        ),
        (http(META | {"statistics": DIAG}, "502 Bad Gateway"), "HTTP 502"),
        (http(b"Authentication failure", "401 UNAUTHORIZED"), "HTTP 401, 'Authentication failure'"),
        (http(META | {"statistics": DIAG})[:-9], "IncompleteRead"),
        (b"", "RemoteDisconnected"),
        (http(META | {"meta": {"slurm": {"cluster": "other"}}}), "serves cluster other, not loop"),
        (http(META | {"statistics": {}}), "in an unknown shape"),
        (http(META | {"statistics": DIAG | {"req_time": None}}), "in an unknown shape"),
        (http(META | {"statistics": DIAG | {"dbd_agent_queue_size": -1}}), "not a natural number"),
        (http(b"[]"), "HTTP 200"),
    ],
)
def test_an_answer_that_is_not_whole_and_sound_is_an_error(tmp_path: Path, answer: bytes, says: str) -> None:
    with serving(tmp_path, health(answer)) as url, pytest.raises(SlurmError) as error:
        RestSlurm("loop", Commands(), rest(url, tmp_path)).diagnostics()
    assert says in str(error.value)
    assert "head." not in str(error.value), "a token must be in no message"


def test_a_server_that_never_ends_its_answer_meets_the_deadline(tmp_path: Path) -> None:
    with serving(tmp_path, lambda _: None) as url, pytest.raises(SlurmTooMuchError, match="within 1 s"):
        rest(url, tmp_path, 1).version()


def test_an_answer_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    with serving(tmp_path, lambda _: http(b"x" * 4096)) as url, pytest.raises(wire.TooLargeError):
        wire.exchange(url, "/", {}, time.monotonic() + 120, most=1000)


def test_nobody_there_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SlurmError, match="see whether slurmrestd runs"):
        rest(f"unix:{tmp_path}/none", tmp_path).version()


def test_an_expired_token_is_read_again(tmp_path: Path) -> None:
    new = token(mark="b")

    def answer(asked: str) -> bytes:
        return http(OPENAPI | META) if new in asked else http(b"Authentication failure", "401 UNAUTHORIZED")

    with serving(tmp_path, answer) as url:
        client = rest(url, tmp_path)
        assert client.user() == "saf"
        (tmp_path / "token").write_text(new)
        assert client.version() == "v0.0.42"


def test_an_expired_token_is_read_again_by_many_threads_at_once(tmp_path: Path) -> None:
    """No thread sends an empty token, or gives up because another one has the new token already."""
    new, refused = token(mark="b"), threading.Barrier(8)

    def answer(asked: str) -> bytes:
        if "openapi" in asked:
            return http(OPENAPI | META)
        return http(META | {"statistics": DIAG}) if new in asked else http(b"expired", "401 UNAUTHORIZED")

    with serving(tmp_path, answer) as url:
        slurm = RestSlurm("loop", Commands(), rest(url, tmp_path))
        slurm.rest.version()
        assert slurm.rest.token() != new
        (tmp_path / "token").write_text(new)

        def ask(_: int) -> int:
            refused.wait(timeout=120)
            return slurm.diagnostics().at

        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(ask, range(8))) == {1795852655}
    assert slurm.refused() == {}


def test_the_configuration_names_the_source(tmp_path: Path) -> None:
    keys = f'[cluster]\nname = "loop"\n[slurm]\nsource = "slurmrestd"\nrest_url = "unix:{tmp_path}/none"\n'
    (tmp_path / "saf.toml").write_text(keys)
    slurm = slurm_of(load_file(tmp_path / "saf.toml"))
    assert isinstance(slurm, RestSlurm)
    assert (slurm.rest.url, slurm.rest.token_file) == (f"unix:{tmp_path}/none", None)
    with pytest.raises(SlurmError, match="scontrol"):
        replace(slurm.rest, commands=Commands(directory=tmp_path)).token()


@pytest.mark.parametrize(
    "text", ["", "SLURM_JWT=", "a.b", "a.b.c\nX-SLURM-USER-NAME: root", f"a.{'!' * 8}.c"]
)
def test_what_is_no_token_is_not_sent(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(SlurmError, match="token"):
        rest(f"unix:{tmp_path}/none", tmp_path).headers()


def test_a_warning_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer = http(META | {"statistics": DIAG, "warnings": [{"description": "deprecated\n"}]})
    with serving(tmp_path, health(answer)) as url:
        client = RestSlurm("loop", Commands(), rest(url, tmp_path))
        client.diagnostics()
        client.diagnostics()
    assert [one.message for one in caplog.records] == [r"slurmrestd says: deprecated\n"]


def test_what_a_version_does_not_tell_is_refused_by_name(tmp_path: Path) -> None:
    paths: dict[str, object] = {"/slurm/v0.0.38/jobs": {}, "/slurmdb/v0.0.38/associations": {}}
    with serving(tmp_path, lambda _: http({"paths": paths} | META)) as url:
        client = rest(url, tmp_path)
        with pytest.raises(SlurmUnsupportedError, match=r"v0\.0\.38 does not report shares and usage"):
            client.path(answers.SHARES)
        with pytest.raises(SlurmUnsupportedError, match=r"does not offer /slurm/v0\.0\.38/nodes"):
            client.path(answers.NODES)
        slurm = RestSlurm("loop", Commands(directory=tmp_path), client)
        with pytest.raises(SlurmError, match="sdiag cannot be run"):
            slurm.diagnostics()
        assert list(slurm.refused()) == ["diagnostics"]
