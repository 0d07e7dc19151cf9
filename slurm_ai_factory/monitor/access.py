"""TLS and basic authentication, in the format of a Prometheus web configuration file.

https://prometheus.io/docs/prometheus/latest/configuration/https/ describes the file. The rule: a key that
saf cannot honour is an error and never ignored, because the pages would be less protected than the file says.
Relative paths are relative to the file. Tested in tests/monitor/test_web.py.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from threading import Lock
from typing import Any

import bcrypt
import yaml

from slurm_ai_factory.errors import ConfigError

KEYS: dict[str, set[str]] = {
    "tls_server_config": {
        "cert_file",
        "key_file",
        "client_auth_type",
        "client_ca_file",
        "min_version",
        "max_version",
    },
    "http_server_config": {"http2", "headers"},
    "basic_auth_users": set(),
}  # fmt: skip
"""The keys that saf honours, by section; those of basic_auth_users are names of users."""

HEADERS = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
)
"""The headers that the format can set."""

CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

REMEMBERED = 100
PENALTY = 10
"""A peer waits this many times as long as the check of its wrong password took: a tenth of a core each."""

PATIENCE_SECONDS = 5
"""How long a check waits for its turn."""


class Admission(Enum):
    """Whether a request may be answered."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    LATER = "later"  #: without a look at the password


@dataclass(slots=True)
class Turnstile:
    """Checks one password at a time, since a check takes a whole core; a peer with a wrong password waits."""

    stopwatch: Callable[[], float] = time.monotonic
    turn: Lock = field(default_factory=Lock)
    barred: dict[str, float] = field(default_factory=dict)  #: peer -> until when

    def passed(self, peer: str, check: Callable[[], bool]) -> Admission:
        """The result of ``check``, or LATER if it is not the turn of this peer."""
        if self._barred(peer) or not self.turn.acquire(timeout=PATIENCE_SECONDS):
            return Admission.LATER
        try:
            if self._barred(peer):  # wrong while this one waited
                return Admission.LATER
            began = self.stopwatch()
            if check():
                return Admission.ADMITTED
            ended = self.stopwatch()  # checks come one by one, so few are barred at any time
            self.barred = {other: until for other, until in self.barred.items() if until > ended}
            self.barred[peer] = ended + PENALTY * (ended - began)
            return Admission.REFUSED
        finally:
            self.turn.release()

    def _barred(self, peer: str) -> bool:
        return self.barred.get(peer, 0.0) > self.stopwatch()


@dataclass(frozen=True, slots=True)
class Access:
    """A checked web configuration."""

    file: Path = Path()
    tls: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict)  #: name -> bcrypt hash
    headers: Mapping[str, str] = field(default_factory=dict)
    admitted: set[bytes] = field(default_factory=set, repr=False)  #: digests of the headers admitted before
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)
    turnstile: Turnstile = field(default_factory=Turnstile, repr=False)

    @property
    def open(self) -> bool:
        """Whether every user who can reach the port can read the pages."""
        return not self.users and self.tls.get("client_auth_type") != "RequireAndVerifyClientCert"

    @property
    def in_clear(self) -> bool:
        """Whether passwords cross the network unencrypted."""
        return bool(self.users) and not self.tls

    def entry(self, authorization: str, peer: str) -> Admission:
        """Whether a request of this peer with this Authorization header may be answered."""
        if not self.users:
            return Admission.ADMITTED
        digest = hmac.digest(self.salt, authorization.encode("latin-1", "replace"), hashlib.sha256)
        if digest in self.admitted:
            return Admission.ADMITTED
        given = _given(authorization)
        if given is None:
            return Admission.REFUSED
        entry = self.turnstile.passed(peer, lambda: self._known(*given))
        if entry is Admission.ADMITTED and len(self.admitted) < REMEMBERED:
            self.admitted.add(digest)
        return entry

    def _known(self, name: str, password: bytes) -> bool:
        """Whether the password is right; one check of each cost, so that unknown names take as long."""
        wanted = self.users.get(name)
        by_cost = {
            entry.split(b"$")[2]: entry for entry in (*self.users.values(), *([wanted] if wanted else []))
        }
        return wanted in [entry for entry in by_cost.values() if _checks(password, entry)]

    def context(self) -> ssl.SSLContext | None:
        """TLS as configured; None without TLS. Raises ConfigError."""
        if not self.tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[self.tls.get("min_version", "TLS12")]
        context.maximum_version = VERSIONS[self.tls.get("max_version", "TLS13")]
        try:
            context.load_cert_chain(self._path("cert_file"), self._path("key_file"), _no_password)
            context.verify_mode = CLIENTS[self.tls.get("client_auth_type", "NoClientCert")]
            if "client_ca_file" in self.tls:
                context.load_verify_locations(self._path("client_ca_file"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.file}: [tls_server_config] certificate cannot be used: {error}"
            ) from error
        return context

    def _path(self, key: str) -> Path:
        return self.file.parent / self.tls[key]


OPEN = Access()
"""Without a web configuration: open to every user who can reach the port, by default only this machine."""


def _given(authorization: str) -> tuple[str, bytes] | None:
    """Name and password in an Authorization header; None if it has none."""
    scheme, _, given = authorization.partition(" ")
    try:
        text = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(b":")
    return (name.decode("utf-8", "replace"), password) if scheme.lower() == "basic" and colon else None


def _checks(password: bytes, wanted: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, wanted)
    except ValueError:  # longer than bcrypt accepts
        return False


def _no_password() -> str:
    raise ValueError("the key has a password; saf runs unattended, so use a key without one")


def load_access(path: Path) -> Access:
    """Read and check a web configuration. Raises ConfigError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"[daemon] web_config_file {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"[daemon] web_config_file {path} is not YAML: {error}") from error
    sections = _section(path, "the file", {} if content is None else content, set(KEYS))
    parts = {name: _section(path, name, sections.get(name) or {}, known) for name, known in KEYS.items()}
    http = parts["http_server_config"]
    return Access(
        file=path,
        tls=_tls(path, parts["tls_server_config"]),
        users={name: _hash(path, name, value) for name, value in parts["basic_auth_users"].items()},
        headers=_section(path, "headers", http.get("headers") or {}, set(HEADERS)),
    )


def _section(path: Path, name: str, content: object, known: set[str]) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: {name} is not a mapping of names")
    for key in content:
        if known and key not in known:
            raise ConfigError(
                f"{path}: saf does not know {key!r} in {name}; it honours {', '.join(sorted(known))}"
            )
    return content


def _tls(path: Path, section: Mapping[str, object]) -> dict[str, str]:
    """TLS settings. An empty section turns TLS off, as in Prometheus."""
    if not section:
        return {}
    known: dict[str, Mapping[str, object]] = {
        "client_auth_type": CLIENTS, "min_version": VERSIONS, "max_version": VERSIONS
    }  # fmt: skip
    for key, value in section.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{path}: tls_server_config: {key} wants a text")
        if key in known and value not in known[key]:
            raise ConfigError(f"{path}: tls_server_config: {key} wants one of {', '.join(known[key])}")
    for key in ("cert_file", "key_file"):
        if key not in section:
            raise ConfigError(f"{path}: tls_server_config lacks {key}")
    tls = {key: str(value) for key, value in section.items()}
    if tls.get("client_auth_type", "NoClientCert") != "NoClientCert" and "client_ca_file" not in tls:
        raise ConfigError(f"{path}: tls_server_config: client_auth_type needs client_ca_file")
    return tls


def _hash(path: Path, name: str, value: object) -> bytes:
    text = value.encode() if isinstance(value, str) else b""
    try:
        bcrypt.checkpw(b"", text)
    except ValueError as error:
        raise ConfigError(
            f"{path}: basic_auth_users: {name} wants a bcrypt hash, as `htpasswd -nBC 10 {name}` makes it"
        ) from error
    return text
