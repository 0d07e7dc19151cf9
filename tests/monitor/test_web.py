"""The web server: no write endpoint; TLS and passwords as Prometheus' web configuration says."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, active_count

import bcrypt
import pytest
import yaml

from slurm_ai_factory.errors import ConfigError
from slurm_ai_factory.language import LANGUAGES
from slurm_ai_factory.monitor import page, server
from slurm_ai_factory.monitor.access import OPEN, PENALTY, Admission, Turnstile, load_access
from slurm_ai_factory.monitor.metrics import Exposition
from slurm_ai_factory.monitor.server import MOST_CONNECTIONS, QuietHandler
from slurm_ai_factory.monitor.web import Web, serving
from tests.monitor import examples

PASSWORD = "a pass phrase, with a colon: and ümlauts"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = {"basic_auth_users": {"prometheus": HASH}}
BOARD = examples.complete()
PATHS = ("/", "/metrics", "/healthz", "/readyz")
TURNED_AWAY = (401, 429)
"""Refused; or not looked at, because this peer was wrong just before."""


@dataclass
class Client:
    """Asks one server."""

    port: int
    context: ssl.SSLContext | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body)."""
        connection: http.client.HTTPConnection
        if self.context:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=120, context=self.context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, headers=self.headers | headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextmanager
def served(file: Path | None = None) -> Iterator[tuple[Web, Client]]:
    checks = {"/healthz": lambda: (True, "well"), "/readyz": lambda: (False, "not yet")}
    html = {code: page.status_html(BOARD, examples.NOW, code=code) for code in LANGUAGES}
    with serving("127.0.0.1:0", {"/": html.__getitem__}, Exposition(BOARD).text, checks, file) as web:
        yield web, Client(web.port)


@pytest.fixture(scope="module")
def open_client() -> Iterator[Client]:
    """A server that anybody may ask."""
    with served() as (_, client):
        yield client


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that wants a password."""
    with served(configured(tmp_path_factory.mktemp("guarded") / "web.yml", USERS)) as (_, client):
        yield client


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Where a web configuration is written."""
    return tmp_path / "web.yml"


def configured(file: Path, value: object) -> Path:
    file.write_text(yaml.safe_dump(value))
    return file


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's certificate, an authority, and a client's certificate of that authority."""
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    openssl("req", "-x509", *new, "-subj", "/CN=saf", *names, "-keyout", "key.pem", "-out", "cert.pem")
    openssl("req", "-x509", *new, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *new[:-2], "-subj", "/CN=prometheus", "-keyout", "client.key", "-out", "client.csr")
    openssl("x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-out", "client.pem")  # fmt: skip
    return directory


def trusting(certificates: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates / "cert.pem"))


def basic(name: str, password: str) -> dict[str, str]:
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        told = re.escape(f"'{listen}' cannot be used: Address already in use; name a free port")
        with (
            pytest.raises(ConfigError, match=told),
            serving(listen, {}, Exposition(BOARD).text, {}),
        ):
            pass


def test_each_path_answers(open_client: Client) -> None:
    assert [open_client.ask(path)[0] for path in PATHS] == [200, 200, 200, 503]
    assert open_client.ask("/readyz")[2] == b"not yet\n"
    assert open_client.ask("/elsewhere")[0] == 404
    assert open_client.ask("/metrics")[2].startswith(b"# HELP saf_build_info")


@pytest.mark.parametrize(
    ("query", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "nl-NL,nl;q=0.9,en;q=0.8", "nl"),
        ("", "en-GB,nl;q=0.5", "en"),
        ("", "de-DE,de;q=0.9,nl;q=0.4", "nl"),
        ("", "fr", "en"),
        ("", "nl;q=nan, ;q=, nl;q=x,\t*", "en"),
        ("?lang=nl", "en", "nl"),
        ("?lang=en&lang=nl", "nl", "en"),
        ("?lang=../nl", "nl", "nl"),
        ("?lang=%00", "", "en"),
    ],
)
def test_the_page_is_in_the_language_asked_for_or_preferred(
    open_client: Client, query: str, accepted: str, code: str
) -> None:
    status, headers, body = open_client.ask(f"/{query}", **{"Accept-Language": accepted})
    assert (status, headers["content-language"], headers["vary"]) == (200, code, "Accept-Language")
    assert f'<html lang="{code}">'.encode() in body
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_can_be_written(open_client: Client, method: str, path: str) -> None:
    assert open_client.ask(path, method)[0] in (405, 501)


@pytest.mark.parametrize("path", ["/", "/healthz", "/elsewhere"])
def test_head_is_get_without_the_body(open_client: Client, path: str) -> None:
    status, headers, body = open_client.ask(path, "HEAD")
    assert (status, body) == (open_client.ask(path)[0], b"")
    assert int(headers["content-length"]) == len(open_client.ask(path)[2])


def test_the_page_forbids_everything_it_does_not_need(open_client: Client) -> None:
    headers = open_client.ask("/")[1]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
def test_a_password_is_asked_for_on_every_path(guarded: Client, path: str) -> None:
    status, headers, body = guarded.ask(path)
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic")
    assert b"saf_" not in body
    first, again = (guarded.ask(path, **basic("prometheus", PASSWORD))[0] for _ in range(2))
    assert first == again != 401


REFUSED = [
    basic("prometheus", "wrong"), basic("nobody", PASSWORD), basic("", ""),
    basic("prometheus", PASSWORD + "!"), basic("prometheus", "x" * 100), {"Authorization": "Basic ???"},
    {"Authorization": "Basic"}, {"Authorization": f"Bearer {PASSWORD[:5]}"},
    {"Authorization": "Basic cHJvbWV0aGV1cw=="},
]  # fmt: skip


@pytest.mark.parametrize("headers", REFUSED)
def test_who_does_not_know_it_is_refused(guarded: Client, headers: Mapping[str, str]) -> None:
    assert guarded.ask("/metrics", **headers)[0] in TURNED_AWAY
    assert guarded.ask("/metrics", **headers)[0] in TURNED_AWAY


def test_tls_is_spoken_and_nothing_else(written: Path, certificates: Path) -> None:
    tls = {"cert_file": str(certificates / "cert.pem"), "key_file": str(certificates / "key.pem")}
    with served(configured(written, {"tls_server_config": tls} | USERS)) as (web, client):
        secure = Client(web.port, trusting(certificates))
        assert secure.ask("/metrics")[0] == 401
        assert secure.ask("/metrics", **basic("prometheus", PASSWORD))[0] == 200
        with pytest.raises((http.client.HTTPException, OSError)):
            client.ask("/metrics")
        old = trusting(certificates)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert Client(web.port, old).ask("/healthz", **basic("prometheus", PASSWORD))[0] == 200


def test_a_client_without_its_certificate_is_refused(certificates: Path) -> None:
    tls = {
        "cert_file": "cert.pem", "key_file": "key.pem", "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": "ca.pem", "min_version": "TLS13",
    }  # fmt: skip
    file = configured(certificates / "web.yml", {"tls_server_config": tls})
    assert not load_access(file).open
    with served(file) as (web, _):
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            Client(web.port, trusting(certificates)).ask("/metrics")
        known = trusting(certificates)
        known.load_cert_chain(certificates / "client.pem", certificates / "client.key")
        assert Client(web.port, known).ask("/metrics")[0] == 200


def test_it_is_read_again_and_a_bad_one_changes_nothing(written: Path) -> None:
    with served(configured(written, USERS)) as (web, client):
        assert client.ask("/healthz")[0] == 401
        configured(written, {"basic_auth_users": {"prometheus": "no hash"}})
        with pytest.raises(ConfigError):
            web.renew()
        assert client.ask("/healthz")[0] == 401
        configured(written, {})
        web.renew()
        assert client.ask("/healthz")[0] == 200


def test_headers_are_set_as_configured(written: Path) -> None:
    headers = {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "deny"}
    with served(configured(written, {"http_server_config": {"headers": headers}})) as (_, client):
        for path in ("/", "/metrics"):
            answered = client.ask(path)[1]
            assert answered["strict-transport-security"] == "max-age=31536000"
            assert answered["x-frame-options"] == "deny"


CERTIFICATE = {"cert_file": "c", "key_file": "k"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"tls_server_confg": {}}, "does not know 'tls_server_confg'"),
        ({"rate_limit": {"burst": 1}}, "does not know 'rate_limit'"),
        ({"tls_server_config": CERTIFICATE | {"cipher_suites": []}}, "'cipher_suites'"),
        ({"tls_server_config": {"cert_file": "c"}}, "lacks key_file"),
        ({"tls_server_config": {"cert_file": "c", "key_file": 3}}, "key_file wants a text"),
        ({"tls_server_config": CERTIFICATE | {"min_version": "TLS10"}}, "TLS12, TLS13"),
        ({"tls_server_config": CERTIFICATE | {"client_auth_type": "RequireAnyClientCert"}},
         "client_auth_type wants one of"),
        ({"tls_server_config": CERTIFICATE | {"client_auth_type": "RequireAndVerifyClientCert"}},
         "needs client_ca_file"),
        ({"basic_auth_users": {"a": "plain"}}, "bcrypt hash"),
        ({"basic_auth_users": {"a": None}}, "bcrypt hash"),
        ({"basic_auth_users": ["a"]}, "not a mapping"),
        ({"http_server_config": {"headers": {"Server": "x"}}}, "does not know 'Server'"),
        ([], "not a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(written: Path, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_access(configured(written, value))


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not YAML"), ("\x00", "not YAML"), (None, "No such file")]
)
def test_a_file_that_cannot_be_read_is_said(written: Path, text: str | None, said: str) -> None:
    if text is not None:
        written.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_access(written)


def test_certificates_that_do_not_fit_are_said(written: Path, certificates: Path) -> None:
    tls = {"cert_file": str(certificates / "cert.pem"), "key_file": str(certificates / "client.key")}
    with pytest.raises(ConfigError, match="certificate cannot be used"):
        load_access(configured(written, {"tls_server_config": tls})).context()


def test_an_empty_file_is_open(written: Path) -> None:
    written.write_text("# nothing yet\n")
    assert load_access(written).open
    assert OPEN.open


@pytest.mark.parametrize(
    ("host", "users", "tls", "said"),
    [
        ("127.0.0.1", False, False, ""),
        ("127.0.0.1", True, False, ""),
        ("0.0.0.0", False, False, "port "),
        ("0.0.0.0", False, True, "port "),
        ("0.0.0.0", True, False, "passwords cross the network to port"),
        ("0.0.0.0", True, True, ""),
    ],
)
def test_what_others_may_see_is_said(
    certificates: Path, host: str, users: bool, tls: bool, said: str
) -> None:
    files = {"cert_file": "cert.pem", "key_file": "key.pem"}
    value = (USERS if users else {}) | ({"tls_server_config": files} if tls else {})
    file = configured(certificates / "risk.yml", value)
    with serving(f"{host}:0", {"/": lambda _: ""}, Exposition(BOARD).text, {}, file) as web:
        assert web.risk().startswith(said)
        assert bool(web.risk()) == bool(said)


def test_an_unknown_name_costs_what_a_known_one_costs(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costly, cheap, other = (bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)) for cost in (6, 5, 5))
    users = {"a": costly.decode(), "b": cheap.decode(), "c": other.decode()}
    access = load_access(configured(written, {"basic_auth_users": users}))
    checked: list[list[bytes]] = []
    plain = bcrypt.checkpw

    def counted(password: bytes, wanted: bytes) -> bool:
        checked[-1].append(wanted[4:6])
        return plain(password, wanted)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    for number, name in enumerate(("a", "b", "c", "nobody", "")):
        checked.append([])
        header = basic(name, "wrong")["Authorization"]
        assert access.entry(header, f"192.0.2.{number}") is Admission.REFUSED
    assert [sorted(one) for one in checked] == [[b"05", b"06"]] * 5
    for name in users:
        assert access.entry(basic(name, PASSWORD)["Authorization"], name) is Admission.ADMITTED


def test_a_peer_that_was_wrong_waits_and_the_others_do_not() -> None:
    now = [0.0]

    def check(right: bool) -> bool:
        now[0] += 0.25
        return right

    turnstile = Turnstile(stopwatch=lambda: now[0])
    assert turnstile.passed("a", lambda: check(False)) is Admission.REFUSED
    assert turnstile.passed("a", lambda: check(True)) is Admission.LATER
    assert turnstile.passed("b", lambda: check(True)) is Admission.ADMITTED
    now[0] += PENALTY * 0.25
    assert turnstile.passed("a", lambda: check(True)) is Admission.ADMITTED


def test_many_wrong_passwords_at_once_are_mostly_not_looked_at(written: Path) -> None:
    """A check takes so long that the penalty for it outlasts all the others' requests."""
    costly = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    users = configured(written, {"basic_auth_users": {"prometheus": costly}})
    with served(users) as (_, client), ThreadPoolExecutor(50) as crowd:
        asked = [crowd.submit(client.ask, "/", "GET", **basic("prometheus", f"{n}")) for n in range(50)]
        answers = Counter(one.result(timeout=120)[0] for one in asked)
    assert set(answers) <= set(TURNED_AWAY)
    assert answers[429] > answers[401]


def connected(web: Web) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=120)


def over(one: socket.socket) -> bool:
    """Whether the server has ended this connection, waited for."""
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is ended by its age or for idling, however long a test takes."""
    monkeypatch.setattr(server, "DEADLINE_SECONDS", 3600)
    monkeypatch.setattr(QuietHandler, "timeout", 3600)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("tls", [False, True])
def test_more_connections_than_places_end_the_oldest_ones(certificates: Path, tls: bool) -> None:
    files = {"cert_file": "cert.pem", "key_file": "key.pem"}
    file = configured(certificates / "places.yml", {"tls_server_config": files} if tls else {})
    with served(file) as (web, _), ExitStack() as stack:
        before = active_count()
        idle = [stack.enter_context(connected(web)) for _ in range(3 * MOST_CONNECTIONS)]
        client = Client(web.port, trusting(certificates) if tls else None)
        assert client.ask("/metrics")[0] == 200
        assert all(over(one) for one in idle[:MOST_CONNECTIONS])
        assert len(web.server.connections) <= MOST_CONNECTIONS
        assert active_count() - before <= MOST_CONNECTIONS


def trickle(one: socket.socket) -> None:
    """A request that never ends, for half a minute."""
    for _ in range(600):
        one.sendall(b"G")
        Event().wait(0.05)


def test_a_connection_has_a_deadline_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DEADLINE_SECONDS", 0.5)
    with served() as (web, client), connected(web) as slow:
        with pytest.raises(OSError, match=r"reset|pipe"):
            trickle(slow)
        assert client.ask("/healthz")[0] == 200


def test_no_thread_to_be_had_closes_the_connection_and_the_next_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served() as (web, client):

        def none(*_: object) -> None:
            monkeypatch.undo()
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(web.server.threads, "submit", none)
        with connected(web) as refused:
            assert over(refused)
        assert client.ask("/healthz")[0] == 200
        assert len(web.server.connections) <= 1


@pytest.mark.usefixtures("patient")
def test_a_client_that_says_nothing_keeps_nobody_waiting(written: Path, certificates: Path) -> None:
    tls = {"cert_file": str(certificates / "cert.pem"), "key_file": str(certificates / "key.pem")}
    with served(configured(written, {"tls_server_config": tls})) as (web, _):
        silent = [socket.create_connection(("127.0.0.1", web.port), timeout=120) for _ in range(20)]
        try:
            assert Client(web.port, trusting(certificates)).ask("/healthz")[0] == 200
        finally:
            for one in silent:
                one.close()


def test_the_server_leaves_no_port_behind() -> None:
    with served() as (web, client):
        assert client.ask("/healthz")[0] == 200
        port = web.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
